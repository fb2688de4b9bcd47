//! Operands laid out for the micro-kernels.

#![allow(clippy::needless_range_loop, reason = "lanes of several arrays are indexed in step")]

use std::ops::Range;

use super::{Element, Simd, Steps};
use crate::kernels::patches::PaddedMap;
use crate::tensor::ConvGeometry;

/// The reduction as pairs of neighbours in the padded map.
#[derive(Clone, Debug)]
pub(crate) struct Gather {
    /// Distance of each pair's first operand from the pixel's base.
    offsets: Vec<u32>,
    /// Canonical reduction index of both operands; `None` for a second one that does not count.
    canonical: Vec<[Option<u32>; 2]>,
}

impl Gather {
    /// Pairs up the operands of every run of neighbours.
    pub fn new(geometry: &ConvGeometry, map: &PaddedMap) -> Self {
        let [kh, kw] = geometry.window.kernel;
        let channels = geometry.group_inputs();
        let taps = (0..kh).flat_map(|row| (0..kw).map(move |column| (row, column)));
        let operands: Vec<(u32, u32)> = taps
            .flat_map(|(row, column)| {
                (0..channels).map(move |channel| {
                    let canonical = (channel * kh + row) * kw + column;
                    ((map.tap(row, column) + channel) as u32, canonical as u32)
                })
            })
            .collect();
        let (mut offsets, mut canonical) = (Vec::new(), Vec::new());
        let mut rest = &operands[..];
        while let [(offset, first), tail @ ..] = rest {
            let second = tail.first().filter(|(next, _)| *next == offset + 1).map(|&(_, k)| k);
            offsets.push(*offset);
            canonical.push([Some(*first), second]);
            rest = &tail[usize::from(second.is_some())..];
        }
        Self { offsets, canonical }
    }
}

/// Weights as `[block of output channels][pair][lane][2]`. A block has `lanes` output channels
/// of one group; what a group's last block lacks is zero.
#[derive(Clone, Debug)]
pub(crate) struct Packed<E> {
    pairs: Steps,
    /// Pairs whose sums fit in [`Element::Sum`] together.
    splits: Vec<Range<usize>>,
    words: Vec<E>,
}

impl<E: Element> Packed<E> {
    /// Packs `weight(channel, canonical index)` for activations of a magnitude up to `largest`.
    /// `None` if the sum of a single pair might not fit.
    pub fn new(
        gather: &Gather,
        blocks: &Blocks,
        weight: impl Fn(usize, usize) -> i64,
        largest: i64,
    ) -> Option<Self> {
        let pairs = gather.offsets.len();
        let mut words = vec![E::default(); blocks.count() * pairs * blocks.lanes * 2];
        let mut bounds = vec![0u128; pairs];
        for block in 0..blocks.count() {
            for (lane, channel) in blocks.channels(block).enumerate() {
                for (pair, canonical) in gather.canonical.iter().enumerate() {
                    let at = ((block * pairs + pair) * blocks.lanes + lane) * 2;
                    let pair_words =
                        canonical.map(|k| k.map_or(0, |k| weight(channel, k as usize)));
                    words[at..at + 2].copy_from_slice(&pair_words.map(E::from_raw));
                    let bound =
                        pair_words.map(|w| u128::from(w.unsigned_abs())).iter().sum::<u128>()
                            * u128::from(largest.unsigned_abs());
                    bounds[pair] = bounds[pair].max(bound);
                }
            }
        }
        let splits = split(&bounds, E::LARGEST_SUM)?;
        Some(Self { pairs: Steps::new(gather.offsets.clone()), splits, words })
    }

    /// The sums of products of `P` pixels with the `N` channels of a block; `bases` include the
    /// offset of the block's group.
    #[inline(always)]
    pub fn sums<S: Simd, const P: usize, const N: usize>(
        &self,
        simd: S,
        input: &[E],
        bases: &[usize; P],
        block: usize,
    ) -> [[i64; N]; P] {
        let stride = self.pairs.len() * N * 2;
        let weights = &self.words[block * stride..][..stride];
        let mut sums = [[0; N]; P];
        for range in &self.splits {
            let pairs = self.pairs.range(range.clone());
            let weights = &weights[range.start * N * 2..range.end * N * 2];
            let tile = E::tile::<S, P, N>(simd, input, bases, pairs, weights);
            for p in 0..P {
                for n in 0..N {
                    sums[p][n] += E::widen(tile[p][n]);
                }
            }
        }
        sums
    }
}

/// Ranges of consecutive pairs whose bounds sum up to `largest` at most.
fn split(bounds: &[u128], largest: u128) -> Option<Vec<Range<usize>>> {
    let mut splits = Vec::new();
    let (mut start, mut sum) = (0, 0);
    for (pair, &bound) in bounds.iter().enumerate() {
        if bound > largest {
            return None;
        }
        if sum + bound > largest {
            splits.push(start..pair);
            (start, sum) = (pair, 0);
        }
        sum += bound;
    }
    splits.push(start..bounds.len());
    Some(splits)
}

/// How the output channels are cut into blocks of lanes: no block spans two groups.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocks {
    /// Output channels of a block: 8 or 16.
    pub lanes: usize,
    /// Output channels of a group.
    outputs: usize,
    groups: usize,
}

impl Blocks {
    /// The blocks of a layer.
    pub fn new(geometry: &ConvGeometry) -> Self {
        let outputs = geometry.group_outputs();
        Self { lanes: if outputs <= 8 { 8 } else { 16 }, outputs, groups: geometry.groups }
    }

    /// Blocks of one group.
    pub fn per_group(&self) -> usize {
        self.outputs.div_ceil(self.lanes)
    }

    /// All blocks.
    pub fn count(&self) -> usize {
        self.groups * self.per_group()
    }

    /// The group of a block.
    pub fn group(&self, block: usize) -> usize {
        block / self.per_group()
    }

    /// A value for every lane of every block: `value(channel)`, or `rest` beyond a group's end.
    pub fn pad<T: Clone>(&self, value: impl Fn(usize) -> T, rest: T) -> Vec<T> {
        let mut values = vec![rest; self.count() * self.lanes];
        for block in 0..self.count() {
            for (lane, channel) in self.channels(block).enumerate() {
                values[block * self.lanes + lane] = value(channel);
            }
        }
        values
    }

    /// The output channels of a block, at most `lanes`.
    pub fn channels(&self, block: usize) -> Range<usize> {
        let group = self.group(block);
        let start = group * self.outputs + block % self.per_group() * self.lanes;
        start..((group + 1) * self.outputs).min(start + self.lanes)
    }
}
