//! Casts.

use std::ffi::c_char;

use super::guard::{close, guard, needed, object, open, put, value};
use super::{BITTRUE_OVERFLOW, BITTRUE_UNDERFLOW, raw};
use crate::numeric::{Cast, CastWord, Format};

/// A cast from one format into another.
pub struct BittrueCast {
    from: Format,
    cast: Cast,
}

impl BittrueCast {
    fn apply(&self, word: i64, random: u64) -> CastWord {
        self.cast.apply(raw(self.from, word), self.from.frac(), random)
    }
}

/// The flags of a result word.
pub(super) fn flags(word: CastWord) -> u32 {
    let over = if word.overflowed { BITTRUE_OVERFLOW } else { 0 };
    over | if word.underflowed { BITTRUE_UNDERFLOW } else { 0 }
}

/// Opens a cast between formats in short form (`s16f8`), with the names of rounding and overflow
/// modes that plans use, or those of `ap_fixed`.
///
/// # Safety
///
/// Texts end in a zero byte; `cast` can be written.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_cast_open(
    from: *const c_char,
    to: *const c_char,
    rounding: *const c_char,
    overflow: *const c_char,
    cast: *mut *mut BittrueCast,
) -> i32 {
    // SAFETY: the caller's promise.
    let [from, to, rounding, overflow] = unsafe {
        [
            needed(from, "from"),
            needed(to, "to"),
            needed(rounding, "rounding"),
            needed(overflow, "overflow"),
        ]
    };
    let body = || {
        let cast = Cast::new(to?.parse()?, rounding?.parse()?, overflow?.parse()?)?;
        Ok(BittrueCast { from: from?.parse()?, cast })
    };
    // SAFETY: the caller's promise.
    unsafe { open(cast, body) }
}

/// Frees a cast.
///
/// # Safety
///
/// `cast` is null or a handle that is not used again.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_cast_close(cast: *mut BittrueCast) {
    // SAFETY: the caller's promise.
    unsafe { close(cast) }
}

/// Casts a word. `random` decides stochastic rounding; `flags` may be null.
///
/// # Safety
///
/// `cast` is an open handle; `result` and `flags` are null or can be written.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_cast_word(
    cast: *const BittrueCast,
    word: i64,
    random: u64,
    result: *mut i64,
    flags: *mut u32,
) -> i32 {
    guard(|| {
        // SAFETY: the caller's promise.
        let word = unsafe { object(cast, "cast") }?.apply(word, random);
        // SAFETY: the caller's promise.
        unsafe {
            put(result, word.raw as i64);
            put(flags, self::flags(word));
        }
        Ok(())
    })
}

/// Casts a word: the result itself, for expressions. A null handle gives 0.
///
/// # Safety
///
/// `cast` is null or an open handle.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_cast(cast: *const BittrueCast, word: i64) -> i64 {
    // SAFETY: the caller's promise.
    value(|| Ok(unsafe { object(cast, "cast") }?.apply(word, 0).raw as i64))
}
