//! N of M: structured sparsity along the channels.
//!
//! Mishra et al., "Accelerating Sparse Deep Neural Networks", 2021: 2 of 4.

use serde::Deserialize;

use super::top_k::dropped;
use super::{Layout, Quantizer, WordFormat};
use crate::error::{Error, Result};
use crate::quantize::WordMap;
use crate::tensor::Shape;

/// Of every `m` consecutive channels (input channels of weights) keeps the `n` values of largest
/// magnitude; the others become zero. A shorter last group keeps `n` too. Of equal magnitudes the
/// first stays.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NOfM {
    /// Values kept of a group.
    pub n: usize,
    /// Length of a group.
    pub m: usize,
}

impl NOfM {
    pub(super) fn check(&self) -> Result<()> {
        let Self { n, m } = self;
        if *n >= 1 && n <= m {
            return Ok(());
        }
        Err(Error::new("quantizer n_of_m", format_args!("needs 1 ≤ n ≤ m, not n = {n}, m = {m}")))
    }
}

impl Quantizer for NOfM {
    fn quantize(&self, values: &mut [f64], layout: Layout) {
        let Layout { channels, inner, .. } = layout;
        for block in values.chunks_mut(channels * inner) {
            for (position, first) in
                (0..inner).flat_map(|i| (0..channels).step_by(self.m).map(move |c| (i, c)))
            {
                let group = first..channels.min(first + self.m);
                let index = |channel: usize| channel * inner + position;
                let members = group.clone().map(|channel| block[index(channel)]);
                for member in dropped(members, self.n) {
                    block[index(first + member)] = 0.0;
                }
            }
        }
    }

    fn words(&self) -> WordFormat {
        WordFormat::Kept
    }

    fn describe(&self) -> String {
        format!("{} of {} channels", self.n, self.m)
    }

    fn on_map(&self, _: Shape) -> Option<WordMap> {
        Some(WordMap::NOfM { n: self.n, m: self.m })
    }
}
