//! Threshold: small values become zero.

use serde::Deserialize;

use super::{Layout, Quantizer, WordFormat};
use crate::error::{Error, Result};

/// Values below `threshold` in magnitude become zero; the others stay.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Smallest magnitude that stays.
    pub threshold: f32,
}

impl Threshold {
    pub(super) fn check(&self) -> Result<()> {
        let Self { threshold } = self;
        if threshold.is_finite() && *threshold >= 0.0 {
            return Ok(());
        }
        Err(Error::new(
            "quantizer threshold",
            format_args!("`threshold` is at least 0 and finite, not {threshold}"),
        ))
    }
}

impl Quantizer for Threshold {
    fn quantize(&self, values: &mut [f64], _: Layout) {
        let threshold = f64::from(self.threshold);
        values.iter_mut().filter(|v| v.abs() < threshold).for_each(|v| *v = 0.0);
    }

    fn words(&self) -> WordFormat {
        WordFormat::Kept
    }

    fn describe(&self) -> String {
        format!("zero below {}", self.threshold)
    }
}
