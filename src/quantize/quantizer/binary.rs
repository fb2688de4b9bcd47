//! Binary: ±m.
//!
//! BinaryConnect (Courbariaux, Bengio and David, 2015, section 2.3): the sign, 0 counting as
//! positive. XNOR-Net (Rastegari, Ordonez, Redmon and Farhadi, 2016, section 3.1): the magnitude
//! with the least squared error is the mean of the magnitudes.

use std::sync::Arc;

use serde::Deserialize;

use super::exact::{dyadic, narrowest, significant};
use super::{Layout, Quantizer, Seen, WordFormat};
use crate::error::{Error, Result};

/// −m below zero, m from zero on.
#[derive(Clone, Debug)]
pub struct Binary {
    /// The magnitude m ≥ 0; exact in float32.
    pub magnitude: f64,
}

impl Quantizer for Binary {
    fn quantize(&self, values: &mut [f64], _: Layout) {
        for value in values {
            *value = if *value < 0.0 { -self.magnitude } else { self.magnitude };
        }
    }

    fn words(&self) -> WordFormat {
        magnitude_words(self.magnitude)
    }

    fn describe(&self) -> String {
        format!("binary ±{}", self.magnitude)
    }
}

/// The format of 0 and ±m: m = odd · 2^e has the word `odd` at −e fractional bits.
pub(super) fn magnitude_words(magnitude: f64) -> WordFormat {
    let (odd, exponent) = dyadic(magnitude);
    narrowest(true, odd.unsigned_abs(), -exponent).map_or(WordFormat::ValuesOnly, WordFormat::Exact)
}

/// A stated magnitude in float32, or an automatic one rounded to float32 and to
/// `magnitude_bits` significant bits.
pub(super) fn magnitude(
    stated: Option<f32>,
    bits: Option<u32>,
    automatic: impl FnOnce() -> Result<f64>,
) -> Result<f64> {
    match stated {
        Some(magnitude) => Ok(magnitude.into()),
        None => Ok(significant((automatic()? as f32).into(), bits.unwrap_or(24))),
    }
}

/// Refuses magnitudes and thresholds that are none. `kind` is the quantizer's name.
pub(super) fn check_magnitude(kind: &str, magnitude: Option<f32>, bits: Option<u32>) -> Result<()> {
    let subject = format!("quantizer {kind}");
    if let Some(m) = magnitude.filter(|m| !(m.is_finite() && *m > 0.0)) {
        return Err(Error::new(
            subject,
            format_args!("`magnitude` is above 0 and finite, not {m}"),
        ));
    }
    match bits {
        Some(bits) if !(1..=24).contains(&bits) => {
            Err(Error::new(subject, format_args!("`magnitude_bits` is 1 to 24, not {bits}")))
        }
        Some(_) if magnitude.is_some() => {
            Err(Error::new(subject, "`magnitude_bits` is for automatic magnitudes")
                .remedy("leave out one of `magnitude` and `magnitude_bits`"))
        }
        _ => Ok(()),
    }
}

/// Binary as a plan writes it.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BinarySpec {
    /// The magnitude; if not stated, the mean magnitude of the values.
    pub magnitude: Option<f32>,
    /// Significant bits of an automatic magnitude, 1 to 24; 24 if not stated.
    pub magnitude_bits: Option<u32>,
}

impl BinarySpec {
    pub(super) fn check(&self) -> Result<()> {
        check_magnitude("binary", self.magnitude, self.magnitude_bits)
    }

    pub(super) fn fit(&self, seen: &Seen) -> Result<Arc<dyn Quantizer>> {
        let magnitude = magnitude(self.magnitude, self.magnitude_bits, || {
            Ok(seen.distribution()?.mean_magnitude(-1.0))
        })?;
        Ok(Arc::new(Binary { magnitude }))
    }
}
