//! Layers whose accumulators are proven to overflow neither their word nor 32 bits: exact sums of
//! tiles of pixels × output channels, requantized while they are at hand.

#![allow(clippy::needless_range_loop, reason = "plain loops are inlined for any instruction set")]

use std::ops::Range;

use crate::kernels::bounds::Interval;
use crate::kernels::dot::{
    InstructionSet, LANES, Operand, PIXELS, Simd, StepRange, Steps, Sums, Work,
};
use crate::kernels::lanes::{Bias, lossless};
use crate::kernels::parts::Part;
use crate::kernels::patches::PaddedMap;
use crate::kernels::requantize::{Place, Requantize, Tally};
use crate::kernels::widened::Widened;
use crate::kernels::{LayerDraws, Mac, SiteEvents};
use crate::tensor::{ConvGeometry, Words};

/// A layer whose activations are `T`.
#[derive(Clone, Debug)]
pub(crate) struct Proven<T: Operand> {
    simd: InstructionSet,
    map: PaddedMap,
    /// What is added to every activation, so that it is a `T`.
    offset: i64,
    /// Whether words that are `T`s are operands where they lie: without padding or offset, and
    /// nothing beyond them is read.
    in_place: bool,
    /// Where the operands of each pixel begin.
    bases: Vec<usize>,
    tiles: Tiles<T>,
    requantize: Requantize,
    /// Bias words that underflowed, of all channels.
    bias_underflows: u64,
    channels: usize,
    macs: u64,
}

/// How sums are made: groups of neighbours times vectors of output channels, or, `depthwise`, one
/// input channel for each output channel.
#[derive(Clone, Debug)]
struct Tiles<T: Operand> {
    depthwise: bool,
    steps: Steps,
    blocks: Vec<Block>,
    weights: Vec<T::Weight>,
}

/// Output channels of one group that share a tile.
#[derive(Clone, Debug)]
struct Block {
    channels: Range<usize>,
    /// Distance of the first input channel.
    inputs: usize,
    /// Number of its first vector in the layer, and how many there are.
    first: usize,
    vectors: usize,
    weights: Range<usize>,
}

/// Whether the layer has such sums: no product loses bits, the accumulator has the binary point of
/// the products, and no partial sum, of which `reach` are the intervals by output channel, leaves
/// its word.
fn is_proven(mac: &Mac<'_>, reach: &[Interval]) -> bool {
    let spec = &mac.spec;
    let accumulator = spec.accumulator.to();
    let heaviest = mac.weights.to_vec().iter().map(|w| i128::from(w.unsigned_abs())).max();
    let product = heaviest.unwrap_or(0) * mac.largest_activation();
    let range = Interval {
        low: accumulator.min().max(i32::MIN.into()),
        high: accumulator.max().min(i32::MAX.into()),
    };
    lossless(spec, product)
        && spec.epilogue.cast.to().bits() <= 32
        && accumulator.frac() == spec.product_frac()
        && reach.iter().all(|reach| range.union(*reach) == range)
}

/// What makes words of `range` fit `T`, if anything does.
fn offset<T: Operand>(range: [i64; 2]) -> Option<i64> {
    let [low, high] = T::RANGE;
    let fits = |offset: &i64| range[0] + offset >= low && range[1] + offset <= high;
    [0, low - range[0]].into_iter().find(fits)
}

impl<T: Operand> Proven<T> {
    /// `None` if the operands do not fit `T`, or nothing is proven.
    pub fn new(
        simd: InstructionSet,
        mac: &Mac<'_>,
        map: &PaddedMap,
        reach: &[Interval],
    ) -> Option<Self> {
        let offset = offset::<T>(mac.range).filter(|_| is_proven(mac, reach))?;
        match Widened::new(mac, reach, T::GROUP) {
            None => Self::of(simd, mac, map, reach, offset),
            Some(wide) => {
                let mac = wide.mac();
                Self::of(simd, &mac, &PaddedMap::new(&mac.geometry).ok()?, &wide.reach, offset)
            }
        }
    }

    /// The layer as it is, which is proven.
    fn of(
        simd: InstructionSet,
        mac: &Mac<'_>,
        map: &PaddedMap,
        reach: &[Interval],
        offset: i64,
    ) -> Option<Self> {
        let geometry = &mac.geometry;
        let bias = Bias::by_channel(&mac.spec, geometry.output.channels, mac.bias)?;
        if bias.over.contains(&1) {
            return None;
        }
        let weights: Option<Vec<T::Weight>> =
            mac.weights.to_vec().into_iter().map(T::weight).collect();
        let (weights, reduction) = (weights?, geometry.reduction());
        let (tiles, vectors) = if geometry.group_inputs() == 1 && geometry.group_outputs() == 1 {
            Tiles::depthwise(geometry, map, &weights)
        } else {
            Tiles::dense(simd.vectors(), geometry, map, &weights)
        };
        let start = |channel: usize| {
            let row = channel * reduction..(channel + 1) * reduction;
            let sum: i64 = row.map(|index| mac.weights.get(index)).sum();
            (bias.exact[channel] - offset * sum) as i32
        };
        let largest = reach.iter().map(|r| r.low.unsigned_abs().max(r.high.unsigned_abs()));
        let bases: Vec<_> = (0..geometry.pixels()).map(|pixel| map.base(pixel)).collect();
        let end = bases.last().map_or(0, |base| base + tiles.reach());
        let whole = !map.is_padded() && end <= geometry.input.len();
        Some(Self {
            simd,
            map: map.clone(),
            offset,
            in_place: offset == 0 && whole,
            bases,
            tiles,
            requantize: Requantize::new(mac, &vectors, start, largest.max().unwrap_or(0)),
            bias_underflows: bias.under.iter().sum::<i64>() as u64,
            channels: geometry.output.channels,
            macs: geometry.macs(),
        })
    }

    /// Memory for a run: the padded map.
    pub fn buffer(&self) -> Vec<T> {
        vec![T::from_raw(self.offset); self.map.len()]
    }

    /// Runs the layer for one image on up to `threads` threads.
    pub fn run(
        &self,
        input: &Words,
        output: &mut Words,
        map: &mut [T],
        (threads, draws): (usize, LayerDraws),
        events: &mut SiteEvents,
    ) {
        let operands = match T::slice(input.buffer()) {
            Some(words) if self.in_place => words,
            _ => {
                self.simd.run(Fill { layer: self, input, map: &mut *map });
                &*map
            }
        };
        let part =
            Part { pixels: 0..self.bases.len(), words: output.slots(), memory: &mut [(); 0] };
        *events += part.run([self.channels, PIXELS], self.macs, threads, &|part| {
            let mut events = SiteEvents::default();
            self.simd.run(Tiling { layer: self, operands, part, draws, events: &mut events });
            events
        });
        events.accumulator.underflowed += self.bias_underflows * self.bases.len() as u64;
    }
}

/// The padded map of an image, as work to be compiled per instruction set.
struct Fill<'a, T: Operand> {
    layer: &'a Proven<T>,
    input: &'a Words,
    map: &'a mut [T],
}

impl<T: Operand> Work for Fill<'_, T> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let offset = self.layer.offset;
        self.layer.map.fill(self.input, self.map, |word| T::from_raw(word + offset));
    }
}

/// Some pixels of an image, as work to be compiled per instruction set.
struct Tiling<'a, T: Operand> {
    layer: &'a Proven<T>,
    operands: &'a [T],
    part: Part<'a, ()>,
    draws: LayerDraws,
    events: &'a mut SiteEvents,
}

impl<T: Operand> Work for Tiling<'_, T> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { layer, operands, part: Part { pixels, mut words, .. }, draws, events } = self;
        let Proven { bases, tiles, requantize, channels, .. } = layer;
        let (mut sums, mut tally) = (Sums::default(), Tally::default());
        let count = pixels.len().div_ceil(S::PIXELS);
        for block in &tiles.blocks {
            let operands = &operands[block.inputs..];
            let weights = &tiles.weights[block.weights.clone()];
            let steps = tiles.steps.all();
            let mut first = pixels.start;
            // Tiles as equal as can be.
            for left in (1..=count).rev() {
                let len = (pixels.end - first).div_ceil(left);
                let bases = &bases[first..][..len];
                if tiles.depthwise {
                    depthwise(operands, bases, steps, weights, &mut sums);
                } else {
                    simd.tile(operands, bases, steps, weights, block.vectors, &mut sums);
                }
                for of_tile in 0..block.vectors {
                    let start = block.channels.start + of_tile * LANES;
                    let place = Place {
                        vector: block.first + of_tile,
                        of_tile,
                        pixels: len,
                        first: first * channels + start,
                        slot: (first - pixels.start) * channels + start,
                        lanes: (block.channels.end - start).min(LANES),
                    };
                    requantize.apply(simd, &mut sums, place, draws, &mut tally, events);
                    requantize.write(&sums, place, &mut words);
                }
                first += len;
            }
        }
        tally.add_to(events, requantize.overflow());
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

/// The output channels of a vector, the first of `range`.
fn channels(range: Range<usize>) -> [Option<usize>; LANES] {
    std::array::from_fn(|lane| Some(range.start + lane).filter(|channel| range.contains(channel)))
}

impl<T: Operand> Tiles<T> {
    /// Operands from the base of a pixel to the last that are read.
    fn reach(&self) -> usize {
        let inputs = self.blocks.last().map_or(0, |block| block.inputs);
        inputs + self.steps.last() + if self.depthwise { LANES } else { T::GROUP }
    }

    /// Tiles of up to `widest` vectors, and the output channels of each vector.
    fn dense(
        widest: usize,
        geometry: &ConvGeometry,
        map: &PaddedMap,
        weights: &[T::Weight],
    ) -> (Self, Vec<[Option<usize>; LANES]>) {
        let (steps, canonical) = steps::<T>(geometry, map);
        let (mut blocks, mut packed, mut vectors) = (Vec::new(), Vec::new(), Vec::new());
        for group in 0..geometry.groups {
            let outputs = geometry.group_outputs();
            let all = group * outputs..(group + 1) * outputs;
            let tiles = outputs.div_ceil(widest * LANES);
            let mut first = all.start;
            for left in (1..=tiles).rev() {
                let count = (all.end - first).div_ceil(LANES).div_ceil(left);
                let end = all.end.min(first + count * LANES);
                let of_block: Vec<_> =
                    (first..end).step_by(LANES).map(|first| channels(first..end)).collect();
                let start = packed.len();
                for canonical in canonical.chunks_exact(T::GROUP) {
                    for channel in of_block.iter().flatten() {
                        packed.extend(canonical.iter().map(|k| match (channel, k) {
                            (Some(channel), Some(k)) => weights[channel * geometry.reduction() + k],
                            _ => T::Weight::default(),
                        }));
                    }
                }
                blocks.push(Block {
                    channels: first..end,
                    inputs: group * geometry.group_inputs(),
                    first: vectors.len(),
                    vectors: count,
                    weights: start..packed.len(),
                });
                vectors.extend(of_block);
                first = end;
            }
        }
        (Self { depthwise: false, steps, blocks, weights: packed }, vectors)
    }

    /// Tiles of one vector each, and the output channels of each vector.
    fn depthwise(
        geometry: &ConvGeometry,
        map: &PaddedMap,
        weights: &[T::Weight],
    ) -> (Self, Vec<[Option<usize>; LANES]>) {
        let [_, kw] = geometry.window.kernel;
        let taps = geometry.window.taps();
        let all = 0..geometry.output.channels;
        let vectors: Vec<_> =
            all.clone().step_by(LANES).map(|first| channels(first..all.end)).collect();
        let mut packed = Vec::with_capacity(vectors.len() * taps * LANES);
        let mut blocks = Vec::with_capacity(vectors.len());
        for (index, of_vector) in vectors.iter().enumerate() {
            let start = packed.len();
            for tap in 0..taps {
                let weight = |channel: usize| weights[channel * taps + tap];
                packed.extend(of_vector.map(|c| c.map_or_else(Default::default, weight)));
            }
            let first = index * LANES;
            blocks.push(Block {
                channels: first..all.end.min(first + LANES),
                inputs: first,
                first: index,
                vectors: 1,
                weights: start..packed.len(),
            });
        }
        let steps = (0..taps).map(|tap| map.tap(tap / kw, tap % kw) as u32).collect();
        (Self { depthwise: true, steps: Steps::new(steps), blocks, weights: packed }, vectors)
    }
}

/// The reduction as groups of neighbours in the padded map, with the canonical index of each
/// operand; `None` for those that do not count.
fn steps<T: Operand>(geometry: &ConvGeometry, map: &PaddedMap) -> (Steps, Vec<Option<usize>>) {
    let [kh, kw] = geometry.window.kernel;
    let inputs = geometry.group_inputs();
    // Whole pixels that lie side by side are one run.
    let side_by_side = geometry.groups == 1 && geometry.window.dilation[1] == 1;
    let taps = if side_by_side { kw } else { 1 };
    let (mut offsets, mut canonical) = (Vec::new(), Vec::new());
    for (row, column) in (0..kh).flat_map(|row| (0..kw).step_by(taps).map(move |c| (row, c))) {
        for first in (0..taps * inputs).step_by(T::GROUP) {
            offsets.push((map.tap(row, column) + first) as u32);
            canonical.extend((first..first + T::GROUP).map(|at| {
                let (column, channel) = (column + at / inputs, at % inputs);
                (at < taps * inputs).then_some((channel * kh + row) * kw + column)
            }));
        }
    }
    (Steps::new(offsets), canonical)
}
