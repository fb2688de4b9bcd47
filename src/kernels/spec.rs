//! What determines the output words of a multiply-accumulate layer, beside its operands.

use crate::kernels::{AccumulationOrder, Style};
use crate::numeric::{Cast, CastWord, Format, Overflow, Requantizer};
use crate::tensor::{ConvGeometry, Words};

/// The sites of one multiply-accumulate layer, all formats resolved.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct MacSpec {
    /// Where the chain loses bits.
    pub style: Style,
    /// Products summed exactly before each accumulation, at least 1.
    pub adder_tree: usize,
    /// Weight words.
    pub weights: Format,
    /// Activation words as they enter the multipliers.
    pub activations: Format,
    /// Cast of a product, in the `product_cast` style.
    pub product: Cast,
    /// Cast into the accumulator.
    pub accumulator: Cast,
    /// From the accumulator to the output word.
    pub epilogue: Epilogue,
}

/// A multiply-accumulate layer: everything that its output words depend on but the input.
#[derive(Clone, Copy, Debug)]
pub struct Mac<'a> {
    /// Sites.
    pub spec: MacSpec,
    /// Smallest and largest activation word that ever comes, within the format.
    pub range: [i64; 2],
    /// Shapes.
    pub geometry: ConvGeometry,
    /// Accumulation order.
    pub order: &'a AccumulationOrder,
    /// Weights `[output channel][input channel of the group][kernel row][kernel column]`.
    pub weights: &'a Words,
    /// Format and raw words of the bias by output channel.
    pub bias: Option<(Format, &'a [i64])>,
    /// Requantizers by output channel in place of the epilogue's, or none.
    pub requantizers: &'a [Requantizer],
}

impl Mac<'_> {
    /// Largest magnitude of an activation word.
    pub(crate) fn largest_activation(&self) -> i128 {
        self.range.iter().map(|end| end.unsigned_abs()).max().unwrap_or(0).into()
    }
}

impl MacSpec {
    /// All words of the activations' format.
    pub fn all_activations(&self) -> [i64; 2] {
        [self.activations.min(), self.activations.max()].map(|end| end as i64)
    }

    /// Fractional bits of an exact product.
    pub fn product_frac(&self) -> i32 {
        self.weights.frac() + self.activations.frac()
    }

    /// Fractional bits of what is added to the accumulator.
    pub fn term_frac(&self) -> i32 {
        match self.style {
            Style::ProductCast => self.product.to().frac(),
            Style::Fused | Style::Exact => self.product_frac(),
        }
    }
}

/// From a result to the output word: `clamp(cast(result))`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Epilogue {
    /// Format, rounding and overflow.
    pub cast: Cast,
    /// In place of the cast, a requantizer between the same formats with a rounding of its own.
    pub requantizer: Option<Requantizer>,
    /// Fused activation function, the bounds as raw words of the format.
    pub clamp: Option<(i64, i64)>,
}

impl Epilogue {
    /// The cast alone.
    pub fn cast(cast: Cast) -> Self {
        Self { cast, requantizer: None, clamp: None }
    }

    /// The epilogue of output channel `channel`, whose requantizer is that of `requantizers` if
    /// there are any.
    pub fn of_channel(&self, requantizers: &[Requantizer], channel: usize) -> Self {
        match requantizers.get(channel) {
            Some(&requantizer) => Self { requantizer: Some(requantizer), ..*self },
            None => *self,
        }
    }

    /// The output word of `raw · 2^−frac`. With an unsigned format and a lower bound of 0, a
    /// negative value becomes 0 by the activation function: neither overflow nor underflow.
    pub fn apply(&self, raw: i128, frac: i32, random: u64) -> CastWord {
        if raw < 0 && self.rectifies() {
            return CastWord { raw: self.clamp(0), overflowed: false, underflowed: false };
        }
        let word = match self.requantizer {
            Some(requantizer) => requantizer.apply(raw as i64, random),
            None => self.cast.apply(raw, frac, random),
        };
        CastWord { raw: self.clamp(word.raw), ..word }
    }

    /// Whether negative values are cut off by the activation function before the cast.
    pub(crate) fn rectifies(&self) -> bool {
        !self.cast.to().is_signed() && self.clamp.is_some_and(|(low, _)| low >= 0)
    }

    /// Whether words of `format` stay as they are.
    pub(crate) fn keeps(&self, format: Format) -> bool {
        let overflow = self.cast.overflow();
        let (low, high) = self.clamp.unwrap_or((i64::MIN, i64::MAX));
        self.requantizer.is_none()
            && self.cast.to() == format
            && overflow != Overflow::SaturateSymmetric
            && format.min() >= i128::from(low)
            && format.max() <= i128::from(high)
    }

    fn clamp(&self, word: i128) -> i128 {
        match self.clamp {
            Some((low, high)) => word.max(low.into()).min(high.into()),
            None => word,
        }
    }
}
