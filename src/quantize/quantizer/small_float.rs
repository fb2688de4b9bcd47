//! Small floats: a sign, a few exponent bits, a few mantissa bits.
//!
//! Half and bfloat16 as IEEE 754 lays them out; the 8-bit kinds are those of the OCP 8-bit
//! Floating Point Specification (OFP8), revision 1.0. Rounding is half to even, subnormals are
//! kept, and values beyond the largest finite one saturate to it.

use std::sync::Arc;

use serde::Deserialize;

use super::exact::narrowest;
use super::power_of_two::floor_log2;
use super::{Layout, Quantizer, WordFormat};
use crate::error::{Error, Result};

/// What the codes of the largest exponent mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Special {
    /// All of them infinities and NaNs, as in IEEE 754.
    #[default]
    Ieee,
    /// The code with all mantissa bits set is NaN, the others are finite: e4m3 of OFP8.
    NanOnly,
    /// All of them finite.
    None,
}

/// A small float as a plan writes it; it is settled by itself.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmallFloatSpec {
    /// Exponent bits, 2 to 8; the exponent bias is 2^(bits − 1) − 1.
    pub exponent: u32,
    /// Mantissa bits, 1 to 23.
    pub mantissa: u32,
    /// The codes of the largest exponent.
    #[serde(default)]
    pub special: Special,
}

impl SmallFloatSpec {
    pub(super) fn check(&self) -> Result<()> {
        if !(2..=8).contains(&self.exponent) || !(1..=23).contains(&self.mantissa) {
            return Err(Error::new(
                "quantizer float",
                format_args!(
                    "has 2 to 8 exponent bits and 1 to 23 mantissa bits, not {} and {}",
                    self.exponent, self.mantissa
                ),
            ));
        }
        Ok(())
    }

    pub(super) fn fit(&self) -> Arc<dyn Quantizer> {
        Arc::new(SmallFloat::new(self))
    }
}

/// The finite values of a small float.
#[derive(Clone, Debug)]
pub struct SmallFloat {
    spec: SmallFloatSpec,
    /// Exponent of the smallest normal value.
    min_exponent: i32,
    /// Largest finite value.
    largest: f64,
}

impl SmallFloat {
    fn new(spec: &SmallFloatSpec) -> Self {
        let bias = (1 << (spec.exponent - 1)) - 1;
        let ulp = f64::powi(2.0, -(spec.mantissa as i32));
        let (exponent, significand) = match spec.special {
            Special::Ieee => (bias, 2.0 - ulp),
            Special::NanOnly => (bias + 1, 2.0 - 2.0 * ulp),
            Special::None => (bias + 1, 2.0 - ulp),
        };
        let largest = significand * f64::powi(2.0, exponent);
        Self { spec: spec.clone(), min_exponent: 1 - bias, largest }
    }

    /// Exponent of the step between the subnormal values.
    fn step_exponent(&self) -> i32 {
        self.min_exponent - self.spec.mantissa as i32
    }

    fn value(&self, value: f64) -> f64 {
        if value == 0.0 {
            return 0.0;
        }
        let exponent = floor_log2(value.abs()).max(self.min_exponent);
        let step = f64::powi(2.0, exponent - self.spec.mantissa as i32);
        // Dividing and multiplying by a power of two is exact.
        ((value / step).round_ties_even() * step).clamp(-self.largest, self.largest)
    }
}

impl Quantizer for SmallFloat {
    fn quantize(&self, values: &mut [f64], _: Layout) {
        values.iter_mut().for_each(|value| *value = self.value(*value));
    }

    fn words(&self) -> WordFormat {
        let largest = self.largest * f64::powi(2.0, -self.step_exponent());
        // Beyond 2^53 the word is far too wide; the saturating conversion keeps it so.
        narrowest(true, largest as u64, -self.step_exponent())
            .map_or(WordFormat::ValuesOnly, WordFormat::Exact)
    }

    fn describe(&self) -> String {
        let SmallFloatSpec { exponent, mantissa, .. } = self.spec;
        format!("float e{exponent}m{mantissa}, at most {}", self.largest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: (u32, u32, Special) = (5, 10, Special::Ieee);
    const BFLOAT16: (u32, u32, Special) = (8, 7, Special::Ieee);
    const E4M3: (u32, u32, Special) = (4, 3, Special::NanOnly);
    const E5M2: (u32, u32, Special) = (5, 2, Special::Ieee);

    fn float((exponent, mantissa, special): (u32, u32, Special)) -> SmallFloat {
        SmallFloat::new(&SmallFloatSpec { exponent, mantissa, special })
    }

    /// Every value at or above zero with its code, by the definition of the formats.
    fn codes((exponent, mantissa, special): (u32, u32, Special)) -> Vec<f64> {
        let bias = (1 << (exponent - 1)) - 1;
        let all = 1u32 << (exponent + mantissa);
        let top = (1 << exponent) - 1;
        (0..all)
            .map(|code| (code >> mantissa, code & ((1 << mantissa) - 1)))
            .filter(|&(e, m)| match special {
                Special::Ieee => e != top,
                Special::NanOnly => e != top || m != (1 << mantissa) - 1,
                Special::None => true,
            })
            .map(|(e, m)| {
                let fraction = f64::from(m) / f64::from(1u32 << mantissa);
                match e {
                    0 => fraction * 2f64.powi(1 - bias),
                    e => (1.0 + fraction) * 2f64.powi(e as i32 - bias),
                }
            })
            .collect()
    }

    #[test]
    fn equals_a_search_over_all_codes() {
        for kind in [E4M3, E5M2, (2, 1, Special::None), (3, 2, Special::None), HALF] {
            let (codes, float) = (codes(kind), float(kind));
            assert_eq!(float.largest, codes[codes.len() - 1]);
            for (code, pair) in codes.windows(2).enumerate() {
                let (low, high) = (pair[0], pair[1]);
                assert_eq!(float.value(low), low);
                let middle = (low + high) / 2.0;
                let even = if code % 2 == 0 { low } else { high };
                assert_eq!(float.value(middle), even);
                assert_eq!(float.value(-middle), -even);
                assert_eq!(float.value(middle.next_down()), low);
                assert_eq!(float.value(middle.next_up()), high);
            }
            assert_eq!(float.value(float.largest * 3.0), float.largest);
        }
    }

    #[test]
    fn equals_the_half_crate() {
        let (half, bfloat16) = (float(HALF), float(BFLOAT16));
        for step in 0..200_000u32 {
            let value = f32::from_bits(step.wrapping_mul(2_654_435_769));
            if !value.is_finite() || value.abs() > 65_000.0 {
                continue;
            }
            let expected = half::f16::from_f32(value).to_f64();
            assert_eq!(half.value(value.into()), expected, "{value}");
            let expected = half::bf16::from_f32(value).to_f64();
            assert_eq!(bfloat16.value(value.into()), expected, "{value}");
        }
    }

    #[test]
    fn exact_words_where_they_fit() {
        // 448 = 1.75 · 2^8 and the step 2^−9: words to 229 376 < 2^18.
        assert_eq!(float(E4M3).words(), WordFormat::Exact("s19f9".parse().unwrap()));
        for kind in [HALF, BFLOAT16, E5M2] {
            assert_eq!(float(kind).words(), WordFormat::ValuesOnly);
        }
        // Fp4 e2m1: 0, ½, 1, 1½, 2, 3, 4, 6.
        assert_eq!(
            float((2, 1, Special::None)).words(),
            WordFormat::Exact("s5f1".parse().unwrap())
        );
    }
}
