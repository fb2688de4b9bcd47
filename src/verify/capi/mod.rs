//! The C and DPI-C interface, in the header `bittrue.h` beside this file and the SystemVerilog
//! package `bittrue_pkg.sv`. How to use it is in `docs/verification.md`.
//!
//! No panic and no exception crosses it; every function may be called from several threads at
//! once. Words are 64-bit integers of which the low W bits of the format count; results are
//! sign-extended, or zero-extended in unsigned formats. `unsafe` is allowed here for what comes
//! from C and nowhere else outside `kernels`.

mod cast;
mod chain;
mod guard;
mod layer;
mod model;

use crate::numeric::Format;

/// Number of the interface; grows when a function changes or goes.
pub const BITTRUE_ABI: u32 = 1;

/// All went well.
pub const BITTRUE_OK: i32 = 0;
/// An argument or a file was refused; `bittrue_last_error` says which and why.
pub const BITTRUE_REFUSED: i32 = 1;
/// The library failed; `bittrue_last_error` says how.
pub const BITTRUE_FAILED: i32 = 2;

/// Flag: the accumulator overflowed.
pub const BITTRUE_ACCUMULATOR_OVERFLOW: u32 = 1;
/// Flag: a cast into the accumulator made a nonzero value zero.
pub const BITTRUE_ACCUMULATOR_UNDERFLOW: u32 = 2;
/// Flag: a product overflowed.
pub const BITTRUE_PRODUCT_OVERFLOW: u32 = 4;
/// Flag: a product became zero by its cast.
pub const BITTRUE_PRODUCT_UNDERFLOW: u32 = 8;
/// Flag: the result word overflowed.
pub const BITTRUE_OVERFLOW: u32 = 16;
/// Flag: a nonzero value became zero in the result word.
pub const BITTRUE_UNDERFLOW: u32 = 32;

/// The raw word of a format of which `word` holds the bits.
fn raw(format: Format, word: i64) -> i128 {
    format.raw(format.pattern(word.into())).unwrap_or_default()
}
