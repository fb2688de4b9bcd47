//! Ternary: −m, 0 and m.
//!
//! Ternary Weight Networks (Li, Zhang and Liu, 2016, section 2.2): the threshold Δ ≈ 0.7 · mean|w|
//! and the magnitude α = mean of the |w| above Δ.

use std::sync::Arc;

use serde::Deserialize;

use super::binary::{check_magnitude, magnitude, magnitude_words};
use super::{Layout, Quantizer, Seen, WordFormat};
use crate::error::{Error, Result};

/// ±m above the threshold in magnitude, else zero.
#[derive(Clone, Debug)]
pub struct Ternary {
    /// Largest magnitude that becomes zero.
    pub threshold: f64,
    /// The magnitude m ≥ 0; exact in float32.
    pub magnitude: f64,
}

impl Quantizer for Ternary {
    fn quantize(&self, values: &mut [f64], _: Layout) {
        for value in values {
            *value = match *value {
                v if v.abs() <= self.threshold => 0.0,
                v => self.magnitude.copysign(v),
            };
        }
    }

    fn words(&self) -> WordFormat {
        magnitude_words(self.magnitude)
    }

    fn describe(&self) -> String {
        format!("ternary ±{} above {}, 0", self.magnitude, self.threshold)
    }
}

/// Ternary as a plan writes it.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TernarySpec {
    /// The threshold; if not stated, 0.7 times the mean magnitude of the values.
    pub threshold: Option<f32>,
    /// The magnitude; if not stated, the mean of the magnitudes above the threshold.
    pub magnitude: Option<f32>,
    /// Significant bits of an automatic magnitude, 1 to 24; 24 if not stated.
    pub magnitude_bits: Option<u32>,
}

impl TernarySpec {
    pub(super) fn check(&self) -> Result<()> {
        if let Some(t) = self.threshold.filter(|t| !(t.is_finite() && *t >= 0.0)) {
            return Err(Error::new(
                "quantizer ternary",
                format_args!("`threshold` is at least 0 and finite, not {t}"),
            ));
        }
        check_magnitude("ternary", self.magnitude, self.magnitude_bits)
    }

    pub(super) fn fit(&self, seen: &Seen) -> Result<Arc<dyn Quantizer>> {
        let threshold = match self.threshold {
            Some(threshold) => threshold.into(),
            None => 0.7 * seen.distribution()?.mean_magnitude(-1.0),
        };
        let magnitude = magnitude(self.magnitude, self.magnitude_bits, || {
            Ok(seen.distribution()?.mean_magnitude(threshold))
        })?;
        Ok(Arc::new(Ternary { threshold, magnitude }))
    }
}
