//! Powers of two: the logarithmic quantizer, whose multiplier is a shift.
//!
//! Miyashita, Lee and Murmann, "Convolutional Neural Networks using Logarithmic Data
//! Representation", 2016, section 3: `±2^e` with `e` the clamped, rounded log2 of the magnitude.

use std::sync::Arc;

use serde::Deserialize;

use super::exact::{dyadic, narrowest};
use super::{Layout, Quantizer, Seen, WordFormat};
use crate::error::{Error, Result};

/// How the exponent is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogRounding {
    /// The nearest in the log domain: ⌊log2|x| + ½⌋.
    #[default]
    Nearest,
    /// ⌊log2|x|⌋.
    Floor,
}

impl LogRounding {
    /// The exponent of a magnitude above zero.
    fn exponent(self, magnitude: f64) -> i32 {
        let floor = floor_log2(magnitude);
        match self {
            Self::Nearest if above_sqrt2(magnitude) => floor + 1,
            Self::Nearest | Self::Floor => floor,
        }
    }
}

/// ⌊log2 m⌋ of a finite m > 0, exactly.
pub(super) fn floor_log2(magnitude: f64) -> i32 {
    let (mantissa, exponent) = dyadic(magnitude);
    exponent + mantissa.ilog2() as i32
}

/// Whether m / 2^⌊log2 m⌋ is above √2, exactly: √2 is irrational, so there are no ties.
fn above_sqrt2(magnitude: f64) -> bool {
    let mantissa = dyadic(magnitude).0.unsigned_abs();
    u128::from(mantissa).pow(2) >> (2 * mantissa.ilog2()) >= 2
}

/// Zero and ±2^e for `min_exponent` ≤ e ≤ `max_exponent`.
#[derive(Clone, Debug)]
pub struct PowerOfTwo {
    /// Whether there are negative values; without, they become zero (or the smallest power).
    pub signed: bool,
    /// Whether there is a zero, to which values below the smallest power underflow; without, they
    /// become the smallest power of their sign.
    pub zero: bool,
    /// Smallest exponent.
    pub min_exponent: i32,
    /// Largest exponent, at which larger values saturate.
    pub max_exponent: i32,
    /// How the exponent is chosen.
    pub rounding: LogRounding,
}

impl PowerOfTwo {
    fn value(&self, value: f64) -> f64 {
        let value = if self.signed { value } else { value.max(0.0) };
        let exponent = match value {
            0.0 => i32::MIN,
            _ => self.rounding.exponent(value.abs()).min(self.max_exponent),
        };
        if exponent < self.min_exponent && self.zero {
            return 0.0;
        }
        let power = f64::powi(2.0, exponent.max(self.min_exponent));
        if value < 0.0 { -power } else { power }
    }
}

impl Quantizer for PowerOfTwo {
    fn quantize(&self, values: &mut [f64], _: Layout) {
        values.iter_mut().for_each(|value| *value = self.value(*value));
    }

    fn words(&self) -> WordFormat {
        let span = (self.max_exponent - self.min_exponent) as u32;
        let largest = 1u64.checked_shl(span).unwrap_or(u64::MAX);
        narrowest(self.signed, largest, -self.min_exponent)
            .map_or(WordFormat::ValuesOnly, WordFormat::Exact)
    }

    fn describe(&self) -> String {
        let sign = if self.signed { "±" } else { "" };
        let zero = if self.zero { ", 0" } else { "" };
        let rounding = match self.rounding {
            LogRounding::Nearest => "nearest",
            LogRounding::Floor => "floor",
        };
        let Self { min_exponent, max_exponent, .. } = self;
        format!("power of two {sign}2^{min_exponent}…{sign}2^{max_exponent}{zero}, {rounding}")
    }
}

/// The logarithmic quantizer as a plan writes it.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerOfTwoSpec {
    /// Bits of a code: the sign bit (if signed) and the code of the exponent.
    pub bits: u32,
    /// How the exponent is chosen.
    #[serde(default)]
    pub rounding: LogRounding,
    /// Whether one code is zero; it is unless stated.
    pub zero: Option<bool>,
    /// Whether there is a sign bit; if not stated, where a value is negative.
    pub signed: Option<bool>,
    /// Largest exponent; if not stated, that of the largest magnitude seen.
    pub max_exponent: Option<i32>,
}

impl PowerOfTwoSpec {
    pub(super) fn check(&self) -> Result<()> {
        if !(2..=8).contains(&self.bits) {
            return Err(Error::new(
                "quantizer power_of_two",
                format_args!("`bits` is 2 to 8, not {}", self.bits),
            ));
        }
        match self.max_exponent {
            Some(exponent) if !(-200..=200).contains(&exponent) => Err(Error::new(
                "quantizer power_of_two",
                format_args!("`max_exponent` is -200 to 200, not {exponent}"),
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn fit(&self, seen: &Seen) -> Result<Arc<dyn Quantizer>> {
        let signed = match self.signed {
            Some(signed) => signed,
            None => !seen.nonnegative()?,
        };
        let zero = self.zero.unwrap_or(true);
        let max_exponent = match self.max_exponent {
            Some(exponent) => exponent,
            None => match seen.distribution()?.max_magnitude() {
                0.0 => 0,
                largest => self.rounding.exponent(largest),
            },
        };
        let exponents = (1 << (self.bits - u32::from(signed))) - i32::from(zero);
        let min_exponent = max_exponent + 1 - exponents;
        let rounding = self.rounding;
        Ok(Arc::new(PowerOfTwo { signed, zero, min_exponent, max_exponent, rounding }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(bits: u32, rounding: LogRounding, zero: bool) -> Arc<dyn Quantizer> {
        let spec = PowerOfTwoSpec {
            bits,
            rounding,
            zero: Some(zero),
            signed: Some(true),
            max_exponent: Some(1),
        };
        spec.fit(&Seen::nothing("w")).unwrap()
    }

    fn apply(quantizer: &dyn Quantizer, value: f64) -> f64 {
        let mut values = [value];
        quantizer.quantize(&mut values, Layout::vector(1));
        values[0]
    }

    /// Of all values that the quantizer has, the nearest in log2, or the next below.
    #[test]
    fn equals_a_search_over_all_values() {
        for bits in 2..=5 {
            // Four bits: a sign, eight codes, one of them zero: exponents 1, 0, …, −5.
            let exponents = (1 << (bits - 1)) - 1;
            let powers: Vec<f64> = (0..exponents).map(|k| 2f64.powi(1 - k)).collect();
            let (lowest, highest) = (powers[powers.len() - 1], powers[0]);
            let nearest = fitted(bits, LogRounding::Nearest, true);
            let floor = fitted(bits, LogRounding::Floor, true);
            for step in 1..4000 {
                let x = f64::from(step) / 1000.0;
                let distance = |p: f64| (p.log2() - x.log2()).abs();
                let best = powers
                    .iter()
                    .copied()
                    .min_by(|&a, &b| distance(a).total_cmp(&distance(b)))
                    .unwrap();
                // Below the smallest power the next one down would be nearer: zero.
                let expected = if distance(lowest / 2.0) < distance(best) { 0.0 } else { best };
                assert_eq!(apply(&*nearest, x), expected, "{bits} {x}");
                assert_eq!(apply(&*nearest, -x), -expected, "{bits} {x}");
                let below = powers.iter().copied().filter(|&p| p <= x).fold(0.0, f64::max);
                assert_eq!(apply(&*floor, x), below.min(highest), "{bits} {x}");
            }
        }
    }

    #[test]
    fn without_zero_small_values_become_the_smallest_power() {
        let quantizer = fitted(3, LogRounding::Nearest, false); // ±2, ±1, ±1/2, ±1/4
        assert_eq!(apply(&*quantizer, 0.0), 0.25);
        assert_eq!(apply(&*quantizer, -0.01), -0.25);
        assert_eq!(quantizer.words(), WordFormat::Exact("s5f2".parse().unwrap()));
    }

    #[test]
    fn words_of_at_most_32_bits() {
        let words = |bits| fitted(bits, LogRounding::Floor, true).words();
        assert_eq!(words(4), WordFormat::Exact("s8f5".parse().unwrap()));
        assert_eq!(words(6), WordFormat::Exact("s32f29".parse().unwrap()));
        assert_eq!(words(7), WordFormat::ValuesOnly);
    }

    #[test]
    fn the_largest_exponent_is_that_of_the_largest_magnitude() {
        let seen = crate::quantize::Distribution::of("w", &[0.1, -2.9]).unwrap();
        let spec: PowerOfTwoSpec = toml::from_str("bits = 4").unwrap();
        let quantizer =
            spec.fit(&Seen { distribution: Some(&seen), ..Seen::nothing("w") }).unwrap();
        assert_eq!(apply(&*quantizer, -100.0), -4.0); // log2 2.9 = 1.54
    }
}
