//! What stands between C and everything else: pointers, errors and panics.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use super::{BITTRUE_ABI, BITTRUE_FAILED, BITTRUE_OK, BITTRUE_REFUSED};
use crate::error::{Error, Result};

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

fn remember(text: &str) {
    let text: Vec<u8> = text.bytes().filter(|&byte| byte != 0).collect();
    LAST_ERROR.set(CString::new(text).unwrap_or_default());
}

/// Runs `body`; an error or a panic becomes a return code.
pub(super) fn guard(body: impl FnOnce() -> Result<()>) -> i32 {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => BITTRUE_OK,
        Ok(Err(error)) => {
            remember(&format!("{error:?}"));
            BITTRUE_REFUSED
        }
        Err(_) => {
            remember("internal error: please report it with the arguments of the call");
            BITTRUE_FAILED
        }
    }
}

/// Runs `body`; in place of an error or a panic there is `T`'s default.
pub(super) fn value<T: Default>(body: impl FnOnce() -> Result<T>) -> T {
    let mut result = T::default();
    guard(|| {
        result = body()?;
        Ok(())
    });
    result
}

fn null(argument: &str) -> Error {
    Error::new(format_args!("argument `{argument}`"), "is null")
}

/// The object behind a handle.
///
/// # Safety
///
/// `handle` is null or came from this library and is not yet closed.
#[allow(unsafe_code)]
pub(super) unsafe fn object<'a, T>(handle: *const T, argument: &str) -> Result<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { handle.as_ref() }.ok_or_else(|| null(argument))
}

/// Puts a new object behind the handle at `place`.
///
/// # Safety
///
/// `place` is null or can be written.
#[allow(unsafe_code)]
pub(super) unsafe fn open<T>(place: *mut *mut T, body: impl FnOnce() -> Result<T>) -> i32 {
    guard(|| {
        let place = NonNull::new(place).ok_or_else(|| null("handle"))?;
        // SAFETY: not null, so that by the caller's promise it can be written.
        unsafe { place.write(std::ptr::null_mut()) };
        let handle = Box::into_raw(Box::new(body()?));
        // SAFETY: as above.
        unsafe { place.write(handle) };
        Ok(())
    })
}

/// Frees the object behind a handle; null is passed over.
///
/// # Safety
///
/// `handle` is null or came from [`open`] and is not used again.
#[allow(unsafe_code)]
pub(super) unsafe fn close<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: it came from `Box::into_raw` in `open`, and nobody else has it any more.
        let object = unsafe { Box::from_raw(handle) };
        guard(|| {
            drop(object);
            Ok(())
        });
    }
}

/// A text; null and the empty text are none.
///
/// # Safety
///
/// `text` is null or ends in a zero byte.
#[allow(unsafe_code)]
pub(super) unsafe fn text<'a>(text: *const c_char, argument: &str) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not null, so that by the caller's promise it ends in a zero byte.
    let text = unsafe { CStr::from_ptr(text) };
    let text = text
        .to_str()
        .map_err(|_| Error::new(format_args!("argument `{argument}`"), "is not UTF-8"))?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// A text that must be there.
///
/// # Safety
///
/// As [`text`].
#[allow(unsafe_code)]
pub(super) unsafe fn needed<'a>(given: *const c_char, argument: &str) -> Result<&'a str> {
    // SAFETY: the caller's promise.
    unsafe { text(given, argument) }?.ok_or_else(|| null(argument))
}

/// An array of `len` elements, which may be null if it has none.
///
/// # Safety
///
/// `array` is null or holds `len` elements.
#[allow(unsafe_code)]
pub(super) unsafe fn array<'a, T>(array: *const T, len: u64, argument: &str) -> Result<&'a [T]> {
    let len = elements::<T>(len, argument)?;
    if len == 0 {
        return Ok(&[]);
    }
    let array = NonNull::new(array.cast_mut()).ok_or_else(|| null(argument))?;
    // SAFETY: not null, so that by the caller's promise it holds so many elements.
    Ok(unsafe { std::slice::from_raw_parts(array.as_ptr(), len) })
}

/// An array of `len` elements to be written.
///
/// # Safety
///
/// As [`array`](fn@array), and nobody else reads or writes it meanwhile.
#[allow(unsafe_code)]
pub(super) unsafe fn array_mut<'a, T>(
    array: *mut T,
    len: u64,
    argument: &str,
) -> Result<&'a mut [T]> {
    let len = elements::<T>(len, argument)?;
    if len == 0 {
        return Ok(&mut []);
    }
    let array = NonNull::new(array).ok_or_else(|| null(argument))?;
    // SAFETY: not null, so that by the caller's promise it holds so many elements.
    Ok(unsafe { std::slice::from_raw_parts_mut(array.as_ptr(), len) })
}

fn elements<T>(len: u64, argument: &str) -> Result<usize> {
    let bytes = len.checked_mul(size_of::<T>() as u64);
    match bytes.filter(|&bytes| bytes <= isize::MAX as u64) {
        Some(_) => Ok(len as usize),
        None => Err(Error::new(format_args!("argument `{argument}`"), "is longer than memory")),
    }
}

/// Writes a result where the caller wants it.
///
/// # Safety
///
/// `place` is null or can be written.
#[allow(unsafe_code)]
pub(super) unsafe fn put<T>(place: *mut T, value: T) {
    if let Some(place) = NonNull::new(place) {
        // SAFETY: not null, so that by the caller's promise it can be written.
        unsafe { place.write(value) };
    }
}

/// What the last refused call of this thread found; valid until its next refused call.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn bittrue_last_error() -> *const c_char {
    LAST_ERROR.with(|text| text.try_borrow().map_or(c"".as_ptr(), |text| text.as_ptr()))
}

/// Number of the interface: `BITTRUE_ABI` of the header that belongs to this library.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn bittrue_abi() -> u32 {
    BITTRUE_ABI
}

/// Version of bittrue.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn bittrue_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
