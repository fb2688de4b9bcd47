//! What a word is: formats, rounding, overflow and requantization.
//!
//! Pure functions over integers; definitions in `docs/numerics.md`. Nothing here knows of tensors,
//! networks or hardware, and nothing here rounds through a float but the requantizer that is
//! defined so.

mod cast;
mod events;
mod format;
mod modes;
mod requantize;
mod stochastic;
mod typed;

pub use cast::{Cast, CastWord};
pub use events::Events;
pub use format::Format;
pub use modes::{Overflow, Rounding};
pub(crate) use requantize::Scheme;
pub use requantize::{Constants, Requantizer, RequantizerKind, quantize_multiplier};
pub use stochastic::{Draws, Lfsr16};
pub use typed::{from_fixed, to_fixed};
