//! The requantizers: from an accumulator to an output word. Hardware has one of three; a fourth is
//! that of a runtime.
//!
//! Words are centred: a stored word is the word here plus its zero point. The multiply of
//! [`RequantizerKind::Float32`] and that of [`Requantizer::float64`] are part of their definitions
//! and the one place where a word passes through a float.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::numeric::{Cast, CastWord, Format, Overflow, Rounding};

/// How an accumulator becomes an output word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequantizerKind {
    /// A shift by a power of two, with the output's rounding and overflow.
    Shift,
    /// Integer multiplier and right shift, as gemmlowp and TFLite define it.
    MultiplierShift,
    /// A float32 multiply, rounded half to even, saturated, as ONNX QLinearConv defines it.
    Float32,
}

/// A requantizer with its scale and output format: `word ≈ acc · scale`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Requantizer {
    scheme: Scheme,
    low: i64,
    high: i64,
}

/// What makes a word of an accumulator, before it is brought into its range.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Scheme {
    Shift { acc_frac: i32, output: Cast },
    MultiplierShift(MultiplierShift),
    Float32 { scale: f32, zero_point: f32 },
    Float64 { scale: f64 },
}

/// What a requantizer multiplies and shifts by, in the form in which hardware stores it.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Constants {
    /// A shift of an accumulator with so many fractional bits, rounded and brought into range as
    /// the output's cast says.
    Shift {
        /// Fractional bits F of the accumulator.
        acc_frac: i32,
    },
    /// See [`Requantizer::multiplier_shift`].
    MultiplierShift {
        /// 0 to 2^31 − 1.
        multiplier: i32,
        /// −31 to 30, positive to the left.
        shift: i32,
    },
    /// See [`Requantizer::float32`].
    Float32 {
        /// IEEE bits of the scale.
        scale_bits: u32,
    },
    /// See [`Requantizer::float64`].
    Float64 {
        /// IEEE bits of the scale.
        scale_bits: u64,
    },
}

/// `acc · multiplier · 2^(left − 31 − right)`, one of `left` and `right` being zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MultiplierShift {
    pub multiplier: i32,
    pub left: u32,
    pub right: u32,
    /// Saturating cast into 32 bits, halves up: the accumulator, its left shift and the
    /// high half of the doubled product.
    word32: Cast,
    /// The rounding right shift, halves away from zero.
    divided: Cast,
}

impl Requantizer {
    /// A requantizer between binary points: the accumulator has `acc_frac` fractional bits, the
    /// scale is 2^(F − `acc_frac`).
    ///
    /// `multiplier_shift` and `float32` define their own rounding, which takes the place of the
    /// output's; they saturate, so that an output with another overflow is refused, as is a power
    /// of two beyond their scales.
    pub fn new(kind: RequantizerKind, acc_frac: i32, output: Cast) -> Result<Self> {
        if kind == RequantizerKind::Shift {
            return Ok(Self::of(Scheme::Shift { acc_frac, output }, output.to()));
        }
        if output.overflow() != Overflow::Saturate {
            return Err(Error::new(
                output.to(),
                format_args!("this requantizer saturates, the output is to {}", output.overflow()),
            )
            .remedy("use overflow saturate for the output, or the requantizer shift"));
        }
        let scale = 2_f64.powi(output.to().frac().saturating_sub(acc_frac));
        match kind {
            RequantizerKind::MultiplierShift => Self::scaled(scale, output.to()),
            _ => Self::float32(scale as f32, output.to()),
        }
    }

    /// `multiplier_shift` with a real scale, in units of the output's raw words for each unit of
    /// the accumulator's, as multiplier and shift by [`quantize_multiplier`].
    pub fn scaled(scale: f64, output: Format) -> Result<Self> {
        if !(scale.is_normal() && scale > 0.0) {
            return Err(scale_error(scale));
        }
        let (multiplier, shift) = quantize_multiplier(scale);
        Self::multiplier_shift(multiplier, shift, output).map_err(|_| scale_error(scale))
    }

    /// `multiplier_shift` with TFLite's multiplier, 0 to 2^31 − 1, and shift, −31 to 30, positive
    /// to the left: the scale is `multiplier · 2^(shift − 31)`.
    pub fn multiplier_shift(multiplier: i32, shift: i32, output: Format) -> Result<Self> {
        if multiplier < 0 || !(-31..=30).contains(&shift) {
            return Err(Error::new(
                format_args!("multiplier {multiplier}, shift {shift}"),
                "the multiplier is not negative, and the shift lies in -31..=30",
            )
            .remedy("write the scale as multiplier · 2^(shift − 31)"));
        }
        let word32 = Format::new(true, 32, 0)?;
        let scheme = Scheme::MultiplierShift(MultiplierShift {
            multiplier,
            left: shift.max(0).unsigned_abs(),
            right: shift.min(0).unsigned_abs(),
            word32: Cast::new(word32, Rounding::HalfUp, Overflow::Saturate)?,
            divided: Cast::new(word32, Rounding::HalfAway, Overflow::Saturate)?,
        });
        Ok(Self::of(scheme, output))
    }

    /// `float32` with a scale in units of the output's raw words for each unit of the
    /// accumulator's.
    pub fn float32(scale: f32, output: Format) -> Result<Self> {
        Self::float32_stored(scale, 0, output)
    }

    /// `float32` that rounds the stored word, product and zero point added in float32: ONNX
    /// Runtime's `QLinearMul`.
    pub fn float32_stored(scale: f32, zero_point: i64, output: Format) -> Result<Self> {
        if !(scale.is_normal() && scale > 0.0) {
            return Err(scale_error(scale.into()));
        }
        Ok(Self::of(Scheme::Float32 { scale, zero_point: zero_point as f32 }, output))
    }

    /// The float64 product with a scale in units of the output's raw words for each unit of the
    /// accumulator's, rounded half away from zero: TFLite's reference kernel of `FULLY_CONNECTED`.
    pub fn float64(scale: f64, output: Format) -> Result<Self> {
        if !(scale.is_normal() && scale > 0.0) {
            return Err(scale_error(scale));
        }
        Ok(Self::of(Scheme::Float64 { scale }, output))
    }

    fn of(scheme: Scheme, output: Format) -> Self {
        let end = |word: i128| word.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        Self { scheme, low: end(output.min()), high: end(output.max()) }
    }

    /// A requantizer of the given constants; the output's rounding and overflow count for a shift,
    /// its format for all.
    pub fn from_constants(constants: Constants, output: Cast) -> Result<Self> {
        match constants {
            Constants::Shift { acc_frac } => Self::new(RequantizerKind::Shift, acc_frac, output),
            Constants::MultiplierShift { multiplier, shift } => {
                Self::multiplier_shift(multiplier, shift, output.to())
            }
            Constants::Float32 { scale_bits } => {
                Self::float32(f32::from_bits(scale_bits), output.to())
            }
            Constants::Float64 { scale_bits } => {
                Self::float64(f64::from_bits(scale_bits), output.to())
            }
        }
    }

    /// What it multiplies and shifts by.
    pub fn constants(&self) -> Constants {
        match self.scheme {
            Scheme::Shift { acc_frac, .. } => Constants::Shift { acc_frac },
            Scheme::MultiplierShift(MultiplierShift { multiplier, left, right, .. }) => {
                Constants::MultiplierShift { multiplier, shift: left as i32 - right as i32 }
            }
            Scheme::Float32 { scale, .. } => Constants::Float32 { scale_bits: scale.to_bits() },
            Scheme::Float64 { scale } => Constants::Float64 { scale_bits: scale.to_bits() },
        }
    }

    /// Smallest and largest word that it gives.
    pub fn range(&self) -> [i64; 2] {
        [self.low, self.high]
    }

    /// The requantizer that saturates to `low..=high`, each end brought into its format: the range
    /// of a stored word less its zero point.
    pub fn within(self, low: i64, high: i64) -> Self {
        let low = low.clamp(self.low, self.high);
        Self { low, high: high.clamp(low, self.high), ..self }
    }

    /// The scheme.
    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The output word of an accumulator. `random` is for stochastic rounding.
    #[inline]
    pub fn apply(self, acc: i64, random: u64) -> CastWord {
        let word = match self.scheme {
            Scheme::Shift { acc_frac, output } => output.apply(acc.into(), acc_frac, random),
            Scheme::MultiplierShift(scheme) => scheme.apply(acc),
            Scheme::Float32 { scale, zero_point } => {
                let stored = (acc as f32 * scale + zero_point).round_ties_even();
                multiplied(acc, stored as i128 - zero_point as i128)
            }
            Scheme::Float64 { scale } => multiplied(acc, (acc as f64 * scale).round() as i128),
        };
        let raw = word.raw.clamp(self.low.into(), self.high.into());
        let overflowed = word.overflowed || raw != word.raw;
        CastWord { raw, overflowed, underflowed: word.underflowed && !overflowed }
    }
}

fn scale_error(scale: f64) -> Error {
    Error::new(format_args!("scale {scale:e}"), "outside what the requantizer can multiply by")
        .remedy("use a positive scale below 2^30, and for float32 at least 2^-126")
}

/// TFLite's `QuantizeMultiplier`: multiplier and shift of a positive normal scale, which is
/// `multiplier · 2^(shift − 31)`. The multiplier is the scale's fraction in 0.5..1 as 31 bits, halves
/// up; a scale below 2^−32 becomes zero.
pub fn quantize_multiplier(scale: f64) -> (i32, i32) {
    const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    let bits = scale.to_bits();
    let exponent = (bits >> MANTISSA_BITS) as i32 - 1022;
    let fraction = bits & ((1 << MANTISSA_BITS) - 1) | 1 << MANTISSA_BITS;
    let dropped = f64::MANTISSA_DIGITS - 31;
    let (multiplier, shift) = match (fraction + (1 << (dropped - 1))) >> dropped {
        0x8000_0000 => (1 << 30, exponent + 1),
        multiplier => (multiplier as i32, exponent),
    };
    if shift < -31 { (0, 0) } else { (multiplier, shift) }
}

impl MultiplierShift {
    /// TFLite's `MultiplyByQuantizedMultiplier` with double rounding: gemmlowp's
    /// `SaturatingRoundingDoublingHighMul`, then its `RoundingDivideByPOT`. Where TFLite leaves
    /// 32 bits, in the accumulator or its left shift, this saturates, and the word counts as
    /// overflowed.
    fn apply(self, acc: i64) -> CastWord {
        let shifted = self.word32.apply(i128::from(acc) << self.left, 0, 0);
        let high =
            self.word32.apply((shifted.raw as i64 * i64::from(self.multiplier)).into(), 31, 0);
        let word = self.divided.apply(high.raw, self.right as i32, 0);
        CastWord {
            raw: word.raw,
            overflowed: shifted.overflowed,
            underflowed: acc != 0 && self.multiplier != 0 && word.raw == 0,
        }
    }
}

/// The word of a float product, before it saturates: ±2^127, far beyond any word, at most.
fn multiplied(acc: i64, raw: i128) -> CastWord {
    CastWord { raw, overflowed: false, underflowed: acc != 0 && raw == 0 }
}

#[cfg(test)]
mod tests;
