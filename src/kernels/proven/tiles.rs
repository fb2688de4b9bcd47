//! Weights packed for tiles, and the sums of tiles in 32 bits.

#![allow(clippy::needless_range_loop, reason = "plain loops are inlined for any instruction set")]

use std::ops::Range;

use crate::kernels::dot::{LANES, Operand, Simd, StepRange, Steps, Sums, Weights};
use crate::kernels::patches::PaddedMap;
use crate::tensor::ConvGeometry;

/// How sums are made: groups of neighbours times vectors of output channels, or, `depthwise`, one
/// input channel for each output channel.
#[derive(Clone, Debug)]
pub(crate) struct Tiles<T: Operand> {
    depthwise: bool,
    steps: Steps,
    blocks: Vec<Block>,
    weights: Lines<T::Weight>,
}

/// Output channels of one group that share a tile.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub channels: Range<usize>,
    /// Distance of the first input channel.
    inputs: usize,
    /// Number of its first vector in the layer, and how many there are.
    pub first: usize,
    pub vectors: usize,
    /// Its weights.
    weights: Range<usize>,
}

/// A tile of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub block: usize,
    /// Its number and how many there are, where each brings its part of the weights of the next
    /// block closer; those of depthwise layers are few and are not.
    pub ahead: Option<[usize; 2]>,
}

/// Words from the start of a cache line on, where the allocator's place allows it: a vector of them
/// is then one line.
#[derive(Clone, Debug)]
struct Lines<W> {
    buffer: Vec<W>,
    start: usize,
}

impl<W: Copy + Default> Lines<W> {
    fn new(words: &[W]) -> Self {
        const LINE: usize = 64;
        let mut buffer = Vec::<W>::with_capacity(words.len() + LINE / size_of::<W>());
        let start = buffer.as_ptr().align_offset(LINE).min(LINE / size_of::<W>());
        buffer.resize(start, W::default());
        buffer.extend_from_slice(words);
        Self { buffer, start }
    }

    #[inline(always)]
    fn words(&self) -> &[W] {
        &self.buffer[self.start..]
    }
}

impl Block {
    /// The output channels of each vector.
    pub fn lanes(&self) -> impl Iterator<Item = [Option<usize>; LANES]> {
        let all = self.channels.clone();
        all.clone().step_by(LANES).map(move |first| {
            std::array::from_fn(|lane| Some(first + lane).filter(|channel| all.contains(channel)))
        })
    }
}

impl<T: Operand> Tiles<T> {
    /// Tiles of up to `widest` vectors. A run of neighbours is a multiple of `group` operands, which
    /// is one of a step's.
    pub fn new(
        widest: usize,
        geometry: &ConvGeometry,
        map: &PaddedMap,
        weights: &[T::Weight],
        group: usize,
    ) -> Self {
        if geometry.group_inputs() == 1 && geometry.group_outputs() == 1 {
            Self::depthwise(geometry, map, weights)
        } else {
            Self::dense(widest, geometry, map, weights, group)
        }
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// The blocks of output channels.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Operands from the base of a pixel to the last that are read.
    pub fn reach(&self) -> usize {
        let inputs = self.blocks.last().map_or(0, |block| block.inputs);
        inputs + self.steps.last() + if self.depthwise { LANES } else { T::GROUP }
    }

    /// Operands of a channel in a step.
    fn group(&self) -> usize {
        if self.depthwise { 1 } else { T::GROUP }
    }

    /// The weights of some steps of a block: number of the lane among those of the block, and weight.
    pub fn weights(
        &self,
        block: usize,
        steps: Range<usize>,
    ) -> impl Iterator<Item = (usize, T::Weight)> {
        let (block, group) = (&self.blocks[block], self.group());
        let (lanes, weights) = (block.vectors * LANES, self.words(block, &steps));
        weights.iter().enumerate().map(move |(at, &weight)| (at / group % lanes, weight))
    }

    /// The sums of a block over some steps, modulo 2^32, for the pixels at `bases`.
    #[inline(always)]
    pub fn sums(
        &self,
        simd: impl Simd,
        operands: &[T],
        bases: &[usize],
        place: Place,
        steps: Range<usize>,
        sums: &mut Sums,
    ) {
        let block = &self.blocks[place.block];
        let operands = &operands[block.inputs..];
        let words = self.words(block, &steps);
        let range = self.steps.range(steps.clone());
        if self.depthwise {
            depthwise(operands, bases, range, words, sums);
        } else {
            let ahead = match (place.ahead, self.blocks.get(place.block + 1)) {
                (Some([number, of]), Some(next)) => {
                    let words = self.words(next, &steps);
                    &words[words.len() * number / of..words.len() * (number + 1) / of]
                }
                _ => &[],
            };
            let weights = Weights { words, vectors: block.vectors, ahead };
            simd.tile(operands, bases, range, weights, sums);
        }
    }

    /// The weights of some steps of a block.
    #[inline(always)]
    fn words(&self, block: &Block, steps: &Range<usize>) -> &[T::Weight] {
        let of_step = block.vectors * LANES * self.group();
        let words = &self.weights.words()[block.weights.clone()];
        &words[steps.start * of_step..steps.end * of_step]
    }

    fn dense(
        widest: usize,
        geometry: &ConvGeometry,
        map: &PaddedMap,
        weights: &[T::Weight],
        group: usize,
    ) -> Self {
        let (steps, canonical) = steps::<T>(geometry, map, group);
        let (mut blocks, mut packed, mut vectors) = (Vec::new(), Vec::new(), 0);
        for group in 0..geometry.groups {
            let outputs = geometry.group_outputs();
            let end = (group + 1) * outputs;
            let tiles = outputs.div_ceil(widest * LANES);
            let mut first = group * outputs;
            for left in (1..=tiles).rev() {
                let count = (end - first).div_ceil(LANES).div_ceil(left);
                let mut block = Block {
                    channels: first..end.min(first + count * LANES),
                    inputs: group * geometry.group_inputs(),
                    first: vectors,
                    vectors: count,
                    weights: packed.len()..packed.len(),
                };
                let of_block: Vec<_> = block.lanes().collect();
                for canonical in canonical.chunks_exact(T::GROUP) {
                    for channel in of_block.iter().flatten() {
                        packed.extend(canonical.iter().map(|k| match (channel, k) {
                            (Some(channel), Some(k)) => weights[channel * geometry.reduction() + k],
                            _ => T::Weight::default(),
                        }));
                    }
                }
                block.weights.end = packed.len();
                first = block.channels.end;
                vectors += count;
                blocks.push(block);
            }
        }
        Self { depthwise: false, steps, blocks, weights: Lines::new(&packed) }
    }

    /// Tiles of one vector each.
    fn depthwise(geometry: &ConvGeometry, map: &PaddedMap, weights: &[T::Weight]) -> Self {
        let [_, kw] = geometry.window.kernel;
        let taps = geometry.window.taps();
        let channels = geometry.output.channels;
        let count = channels.div_ceil(LANES);
        let mut packed = Vec::with_capacity(count * taps * LANES);
        let mut blocks = Vec::with_capacity(count);
        for first in (0..channels).step_by(LANES) {
            let of_block = first..channels.min(first + LANES);
            let start = packed.len();
            for tap in 0..taps {
                let weight = |channel: usize| weights[channel * taps + tap];
                packed.extend(of_block.clone().map(weight));
                packed.resize(start + (tap + 1) * LANES, T::Weight::default());
            }
            blocks.push(Block {
                channels: of_block,
                inputs: first,
                first: first / LANES,
                vectors: 1,
                weights: start..packed.len(),
            });
        }
        let steps = (0..taps).map(|tap| map.tap(tap / kw, tap % kw) as u32).collect();
        let weights = Lines::new(&packed);
        Self { depthwise: true, steps: Steps::new(steps), blocks, weights }
    }
}

/// The sums of a vector of channels, each of which has an input channel of its own: operands side
/// by side at each base + offset of `input`, weights `[step][lane]`.
#[inline(always)]
fn depthwise<T: Operand>(
    input: &[T],
    bases: &[usize],
    taps: StepRange<'_>,
    weights: &[T::Weight],
    sums: &mut Sums,
) {
    let taps = taps.offsets();
    for p in 0..bases.len() {
        let mut vector = [0i32; LANES];
        for tap in 0..taps.len() {
            let operands = &input[bases[p] + taps[tap] as usize..][..LANES];
            let weights = &weights[tap * LANES..][..LANES];
            for n in 0..LANES {
                vector[n] = vector[n].wrapping_add(operands[n].times(weights[n]));
            }
        }
        sums.0[p][0] = vector;
    }
}

/// The reduction as groups of neighbours in the padded map, with the canonical index of each
/// operand; `None` for those that do not count. Runs are filled up to multiples of `group`.
fn steps<T: Operand>(
    geometry: &ConvGeometry,
    map: &PaddedMap,
    group: usize,
) -> (Steps, Vec<Option<usize>>) {
    let [kh, kw] = geometry.window.kernel;
    let inputs = geometry.group_inputs();
    // Whole pixels that lie side by side are one run.
    let side_by_side = geometry.groups == 1 && geometry.window.dilation[1] == 1;
    let taps = if side_by_side { kw } else { 1 };
    let (mut offsets, mut canonical) = (Vec::new(), Vec::new());
    for (row, column) in (0..kh).flat_map(|row| (0..kw).step_by(taps).map(move |c| (row, c))) {
        for first in (0..(taps * inputs).next_multiple_of(group)).step_by(T::GROUP) {
            offsets.push((map.tap(row, column) + first) as u32);
            canonical.extend((first..first + T::GROUP).map(|at| {
                let (column, channel) = (column + at / inputs, at % inputs);
                (at < taps * inputs).then_some((channel * kh + row) * kw + column)
            }));
        }
    }
    (Steps::new(offsets), canonical)
}
