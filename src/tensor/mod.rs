//! Shapes, convolution geometry, arrays of raw words with their format, and nonzero bitmaps.
//!
//! Data only: no arithmetic on words happens here.

mod bitmap;
mod geometry;
mod words;

pub use bitmap::Bitmap;
pub use geometry::{ConvGeometry, Shape, Window};
pub use words::{Buffer, Word, Words};
pub(crate) use words::{Slots, with_slots, with_words};
