//! Top-k: the values of largest magnitude stay.

use serde::Deserialize;

use super::{Layout, Quantizer, WordFormat};
use crate::error::{Error, Result};
use crate::quantize::WordMap;
use crate::tensor::Shape;

/// Keeps the ⌈fraction · n⌉ of a tensor's n values that are largest in magnitude; the others become
/// zero. Of equal magnitudes the one that comes first stays.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopK {
    /// Fraction kept, above 0 and at most 1.
    pub fraction: f64,
}

impl TopK {
    pub(super) fn check(&self) -> Result<()> {
        let Self { fraction } = self;
        if *fraction > 0.0 && *fraction <= 1.0 {
            return Ok(());
        }
        Err(Error::new(
            "quantizer top_k",
            format_args!("`fraction` is above 0 and at most 1, not {fraction}"),
        ))
    }

    fn keep(&self, len: usize) -> usize {
        (self.fraction * len as f64).ceil() as usize
    }
}

/// The indices of `values` without the `keep` of largest magnitude; of equal ones the first is kept.
pub(super) fn dropped(values: impl Iterator<Item = f64>, keep: usize) -> Vec<usize> {
    let mut ranked: Vec<_> = values.map(f64::abs).enumerate().collect();
    if keep >= ranked.len() {
        return Vec::new();
    }
    ranked.select_nth_unstable_by(keep, |a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    ranked[keep..].iter().map(|r| r.0).collect()
}

impl Quantizer for TopK {
    fn quantize(&self, values: &mut [f64], _: Layout) {
        for index in dropped(values.iter().copied(), self.keep(values.len())) {
            values[index] = 0.0;
        }
    }

    fn words(&self) -> WordFormat {
        WordFormat::Kept
    }

    fn describe(&self) -> String {
        format!("largest {} %", self.fraction * 100.0)
    }

    fn on_map(&self, shape: Shape) -> Option<WordMap> {
        Some(WordMap::TopK { keep: self.keep(shape.len()) })
    }
}
