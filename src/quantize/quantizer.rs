//! Quantizers: how real values become few. One file per family.
//!
//! A quantizer here is settled: whatever is automatic in a plan (a binary point, a magnitude, a
//! threshold) was fixed from the values seen ([`QuantizerSpec::fit`]), so that the same value
//! always gives the same result. Definitions and sources: `docs/quantizers.md`.

mod affine;
mod binary;
mod chain;
mod exact;
mod fixed;
mod n_of_m;
mod power_of_two;
mod small_float;
mod spec;
mod ternary;
mod threshold;
mod top_k;

use std::fmt;

use crate::numeric::Format;
use crate::quantize::WordMap;
use crate::tensor::Shape;

pub use affine::{AffineSpec, Encoded, Granularity, Scale};
pub use binary::{Binary, BinarySpec};
pub use chain::Chain;
pub use exact::cast_value;
pub use fixed::{FixedPoint, FixedSpec, FormatSpec};
pub use n_of_m::NOfM;
pub use power_of_two::{LogRounding, PowerOfTwo, PowerOfTwoSpec};
pub use small_float::{SmallFloat, SmallFloatSpec, Special};
pub use spec::{QuantizerSpec, Seen};
pub use ternary::{Ternary, TernarySpec};
pub use threshold::Threshold;
pub use top_k::TopK;

/// A quantizer with nothing left to choose. The families of this module implement it, and so can
/// others, through [`QuantizerSpec::Custom`].
pub trait Quantizer: fmt::Debug + Send + Sync {
    /// Quantizes all values of a tensor in place. Values are finite and stay so.
    fn quantize(&self, values: &mut [f64], layout: Layout);

    /// Whether the quantized values have exact words.
    fn words(&self) -> WordFormat;

    /// What it does, for people: `fixed s8f6, half_even, saturate`.
    fn describe(&self) -> String;

    /// How it runs on the words of a feature map of `shape`, if a word's result depends on other
    /// words; `None` if it works element by element.
    fn on_map(&self, shape: Shape) -> Option<WordMap> {
        let _ = shape;
        None
    }
}

/// Whether a quantizer's values are words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WordFormat {
    /// Every value is exactly a word of this format, which has at most 32 bits.
    Exact(Format),
    /// Every value is one of the incoming values or zero: words stay words of their format.
    Kept,
    /// It quantizes values only.
    ValuesOnly,
}

/// How the values of a tensor lie: outer × channels × inner, row-major.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Length of the channel axis: input channels of weights, channels of a feature map.
    pub channels: usize,
    /// Values between one channel and the next: kernel positions of weights, 1 in a channels-last
    /// feature map.
    pub inner: usize,
    /// Which tensor it is, for the draws of stochastic rounding.
    pub tensor: u64,
}

impl Layout {
    /// A vector of `channels` values.
    pub fn vector(channels: usize) -> Self {
        Self { channels, inner: 1, tensor: 0 }
    }
}

#[cfg(test)]
mod tests;
