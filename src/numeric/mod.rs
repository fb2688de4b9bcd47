//! What a word is: formats, rounding, overflow and requantization.
//!
//! Pure functions over integers; definitions in `docs/numerics.md`. Nothing here knows of tensors,
//! networks or hardware, and nothing here rounds through a float.

mod cast;
mod format;
mod requantize;

pub use cast::{Cast, CastWord, Events, Overflow, Rounding};
pub use format::Format;
pub use requantize::RequantizerKind;
