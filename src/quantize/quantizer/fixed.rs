//! Fixed point: a cast into a format, whose binary point and signedness may be calibrated.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;

use super::exact::cast_value;
use super::{Layout, Quantizer, Seen, WordFormat};
use crate::error::{Error, Result};
use crate::numeric::{Cast, Draws, Format, Overflow, Rounding};
use crate::quantize::{Distribution, Method};

/// Fixed point: `word = overflow(round(value · 2^F))`.
#[derive(Clone, Debug)]
pub struct FixedPoint {
    cast: Cast,
}

impl FixedPoint {
    /// Quantizes by `cast`, whose format has at most 32 bits.
    pub fn new(cast: Cast) -> Self {
        Self { cast }
    }
}

impl Quantizer for FixedPoint {
    fn quantize(&self, values: &mut [f64], layout: Layout) {
        let draws = Draws::new(0, layout.tensor);
        for (element, value) in values.iter_mut().enumerate() {
            let word = cast_value(self.cast, *value, draws.at(element as u64));
            *value = self.cast.to().value(word.raw);
        }
    }

    fn words(&self) -> WordFormat {
        WordFormat::Exact(self.cast.to())
    }

    fn describe(&self) -> String {
        let Self { cast } = self;
        format!("fixed {}, {}, {}", cast.to(), cast.rounding().name(), cast.overflow().name())
    }
}

/// A format of which the binary point, or that and the signedness, may be left to calibration:
/// `s8f6`, `s8`, `8`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct FormatSpec {
    /// Signedness; `None` is calibrated: unsigned where no value is negative.
    pub signed: Option<bool>,
    /// Width in bits.
    pub bits: u32,
    /// Fractional bits; `None` is calibrated.
    pub frac: Option<i32>,
}

impl FromStr for FormatSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (signed, rest) = match text.split_at_checked(1) {
            Some(("s", rest)) => (Some(true), rest),
            Some(("u", rest)) => (Some(false), rest),
            _ => (None, text),
        };
        let (bits, frac) = match rest.split_once('f') {
            Some((bits, frac)) => (bits, Some(frac)),
            None => (rest, None),
        };
        // The full short form has one parser; what is left out is filled in for it.
        let sign = if signed == Some(false) { 'u' } else { 's' };
        let format = format!("{sign}{bits}f{}", frac.unwrap_or("0"));
        let format: Format = format.parse().map_err(|_| {
            Error::new(format_args!("format `{text}`"), "is not a format of 1 to 64 bits")
                .remedy("write s8f6, s8 (calibrated binary point) or 8 (calibrated sign also)")
        })?;
        Ok(Self { signed, bits: format.bits(), frac: frac.map(|_| format.frac()) })
    }
}

impl TryFrom<String> for FormatSpec {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl fmt::Display for FormatSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.signed {
            Some(true) => write!(f, "s")?,
            Some(false) => write!(f, "u")?,
            None => {}
        }
        write!(f, "{}", self.bits)?;
        self.frac.map_or(Ok(()), |frac| write!(f, "f{frac}"))
    }
}

/// Fixed point as a plan writes it.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedSpec {
    /// The format; only an accumulator may do without.
    pub format: Option<FormatSpec>,
    /// Rounding; half to even if not stated.
    pub rounding: Option<Rounding>,
    /// Overflow; saturating if not stated (an accumulator: the hardware's).
    pub overflow: Option<Overflow>,
}

impl FixedSpec {
    /// A format with the default rounding and overflow.
    pub fn new(format: FormatSpec) -> Self {
        Self { format: Some(format), rounding: None, overflow: None }
    }

    /// The rounding, or its default.
    pub fn rounding(&self) -> Rounding {
        self.rounding.unwrap_or(Rounding::HalfEven)
    }

    /// The overflow, or its default.
    pub fn overflow(&self) -> Overflow {
        self.overflow.unwrap_or(Overflow::Saturate)
    }

    fn spec(&self) -> Result<FormatSpec> {
        self.format.ok_or_else(|| {
            Error::new("quantizer fixed", "has no `format`").remedy("add format = \"s8\"")
        })
    }

    /// Refuses what no site can have.
    pub(super) fn check(&self) -> Result<()> {
        let Some(FormatSpec { signed, bits, frac }) = self.format else { return Ok(()) };
        let format = Format::new(signed.unwrap_or(true), bits, frac.unwrap_or(0))?;
        Cast::new(format, self.rounding(), self.overflow()).map(|_| ())
    }

    /// The cast where the binary point is `frac` and the sign `signed` unless the plan states them.
    pub(crate) fn cast_at(&self, signed: bool, frac: i32) -> Result<Cast> {
        let spec = self.spec()?;
        let signed = spec.signed.unwrap_or(signed);
        let format = Format::new(signed, spec.bits, spec.frac.unwrap_or(frac))?;
        Cast::new(format, self.rounding(), self.overflow())
    }

    /// The cast, with sign and binary point from the values seen unless the plan states them.
    pub(crate) fn cast(&self, seen: &Seen) -> Result<Cast> {
        let spec = self.spec()?;
        let signed = match spec.signed {
            Some(signed) => signed,
            None => !seen.nonnegative()?,
        };
        match spec.frac {
            Some(frac) => self.cast_at(signed, frac),
            None => self.calibrated(signed, seen.distribution()?, seen.method),
        }
    }

    pub(super) fn fit(&self, seen: &Seen) -> Result<Arc<dyn Quantizer>> {
        let cast = self.cast(seen)?;
        if cast.to().bits() > 32 {
            return Err(Error::new(
                seen.site,
                format_args!("format {} is too wide: operands have at most 32 bits", cast.to()),
            ));
        }
        Ok(Arc::new(FixedPoint::new(cast)))
    }

    /// Chooses the binary point; see [`Method`].
    fn calibrated(&self, signed: bool, seen: &Distribution, method: Method) -> Result<Cast> {
        let reach = match method {
            Method::Max | Method::Mse => f64::INFINITY,
            Method::Percentile(percent) => seen.percentile(percent),
            Method::Entropy => seen.entropy_threshold(self.spec()?.bits),
        };
        let lowest = if signed { -reach } else { 0.0 };
        let ends = [seen.min(), seen.max()].map(|end| end.clamp(lowest, reach));
        let largest = self.largest_fitting(signed, ends)?;
        if method != Method::Mse {
            return self.cast_at(signed, largest);
        }
        let mut best = (f64::INFINITY, self.cast_at(signed, largest)?);
        for frac in largest..=largest + self.spec()?.bits as i32 {
            let cast = self.cast_at(signed, frac)?;
            let error = squared_error(cast, seen);
            if error < best.0 {
                best = (error, cast);
            }
        }
        Ok(best.1)
    }

    /// The largest number of fractional bits at which neither end overflows after rounding; that
    /// of a word in [−1, 1] if both are zero.
    fn largest_fitting(&self, signed: bool, ends: [f64; 2]) -> Result<i32> {
        let magnitude_bits = self.spec()?.bits as i32 - i32::from(signed);
        let largest = ends[1].abs().max(ends[0].abs());
        if largest == 0.0 {
            return Ok(magnitude_bits);
        }
        // 2^(binade) ≤ largest < 2^(binade + 1), so that one more bit overflows for certain.
        let binade = super::power_of_two::floor_log2(largest);
        let mut frac = magnitude_bits - binade;
        loop {
            let cast = self.cast_at(signed, frac)?;
            // The upper end decides stochastic rounding.
            if ends.iter().all(|&end| {
                let random = if end > 0.0 { u64::MAX } else { 0 };
                !cast_value(cast, end, random).overflowed
            }) {
                return Ok(frac);
            }
            frac -= 1;
        }
    }
}

/// Σ count · (value − quantized value)².
fn squared_error(cast: Cast, seen: &Distribution) -> f64 {
    let error = |value| cast.to().value(cast_value(cast, value, 1 << 63).raw) - value;
    seen.points().iter().map(|&(value, n)| error(value).powi(2) * n as f64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> FixedSpec {
        FixedSpec::new(text.parse().unwrap())
    }

    fn calibrated(format: &str, method: Method, values: &[f32]) -> Format {
        let seen = Distribution::of("x", values).unwrap();
        let seen = Seen { distribution: Some(&seen), method, ..Seen::nothing("x") };
        spec(format).cast(&seen).unwrap().to()
    }

    /// Of all words the one whose value is nearest, the even one of two.
    #[test]
    fn rounds_to_the_nearest_of_all_words() {
        for format in ["s4f2", "u4f4", "s5f-1", "u3f6"] {
            let format: Format = format.parse().unwrap();
            let cast = Cast::new(format, Rounding::HalfEven, Overflow::Saturate).unwrap();
            let step = f64::powi(2.0, -format.frac() - 3);
            let mut values: Vec<f64> = (-200..200).map(|i| f64::from(i) * step).collect();
            let before = values.clone();
            FixedPoint::new(cast).quantize(&mut values, Layout::vector(400));
            for (value, quantized) in before.into_iter().zip(values) {
                let distance = |raw: i128| (format.value(raw) - value).abs();
                let best = (format.min()..=format.max())
                    .min_by(|&a, &b| {
                        let tie = (a % 2 != 0).cmp(&(b % 2 != 0));
                        distance(a).total_cmp(&distance(b)).then(tie)
                    })
                    .unwrap();
                assert_eq!(quantized, format.value(best), "{format} {value}");
            }
        }
    }

    /// The largest F for which the words of all values, rounded half to even, are in range.
    #[test]
    fn max_leaves_no_value_out_of_range() {
        let cases: [&[f32]; 7] = [
            &[0.9, -0.3],
            &[127.4, -3.0],
            &[127.5],
            &[-128.0, 5.0],
            &[1e-20, 3e-21],
            &[7e20],
            &[0.49999, -0.5],
        ];
        for values in cases {
            let found = calibrated("s8", Method::Max, values).frac();
            let fits = |frac: i32| {
                values.iter().all(|&v| {
                    let word = (f64::from(v) * 2f64.powi(frac)).round_ties_even();
                    (-128.0..=127.0).contains(&word)
                })
            };
            let expected = (-200..200).rev().find(|&frac| fits(frac)).unwrap();
            assert_eq!(found, expected, "{values:?}");
        }
        assert_eq!(calibrated("s8", Method::Max, &[0.0, 0.0]).to_string(), "s8f7");
        assert_eq!(calibrated("u8", Method::Max, &[1.0, -9.0]).to_string(), "u8f7");
    }

    #[test]
    fn the_sign_is_calibrated_too() {
        assert_eq!(calibrated("8", Method::Max, &[0.0, 3.0]).to_string(), "u8f6");
        assert_eq!(calibrated("8", Method::Max, &[-0.1, 3.0]).to_string(), "s8f5");
        assert_eq!(calibrated("8f2", Method::Max, &[-0.1, 3.0]).to_string(), "s8f2");
    }

    #[test]
    fn percentile_and_mse_give_up_outliers() {
        let mut values: Vec<f32> = (0..1000).map(|i| (i as f32 - 500.0) / 500.0).collect();
        values.push(8.0);
        assert_eq!(calibrated("s4", Method::Max, &values).frac(), -1); // 8·2^0 > 7
        assert_eq!(calibrated("s4", Method::Percentile(99.0), &values).frac(), 2);
        // Of all F the one with the least squared error, computed anew.
        let error = |frac: i32| -> f64 {
            let step = 2f64.powi(-frac);
            let word = |v: f64| (v / step).round_ties_even().clamp(-8.0, 7.0) * step;
            values.iter().map(|&v| (word(v.into()) - f64::from(v)).powi(2)).sum()
        };
        let best = (-1..6).min_by(|&a, &b| error(a).total_cmp(&error(b))).unwrap();
        assert_eq!(calibrated("s4", Method::Mse, &values).frac(), best);
    }

    #[test]
    fn formats_in_plans() {
        for text in ["s8f6", "u16", "8", "s4f-3", "12f4"] {
            assert_eq!(text.parse::<FormatSpec>().unwrap().to_string(), text);
        }
        for text in ["", "s", "x8", "s0", "s65", "s8f", "8f999", "-8", "s8f+1", "s8 "] {
            assert!(text.parse::<FormatSpec>().is_err(), "{text}");
        }
    }

    #[test]
    fn stochastic_rounding_is_unbiased_and_repeats() {
        let cast = Cast::new("s8f0".parse().unwrap(), Rounding::Stochastic, Overflow::Saturate);
        let quantizer = FixedPoint::new(cast.unwrap());
        let run = |tensor| {
            let mut values = vec![0.25; 10_000];
            quantizer.quantize(&mut values, Layout { tensor, ..Layout::vector(10_000) });
            values
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
        let mean = run(3).iter().sum::<f64>() / 10_000.0;
        assert!((mean - 0.25).abs() < 5.0 * (0.25f64 * 0.75 / 10_000.0).sqrt(), "{mean}");
    }
}
