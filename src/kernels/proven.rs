//! Layers whose accumulators are proven never to overflow: exact sums of tiles of pixels × output
//! channels, requantized while they are at hand.

mod direct;
mod tiles;
mod wide;

pub(crate) use direct::Direct;
pub(crate) use wide::Wide;

use std::fmt::Debug;

use crate::kernels::bounds::Interval;
use crate::kernels::dot::{InstructionSet, Operand, PIXELS, Simd, Sums, Work};
use crate::kernels::lanes::{Bias, lossless};
use crate::kernels::parts::Part;
use crate::kernels::patches::PaddedMap;
use crate::kernels::requantize::{Accumulator, Requantize, Tally, Tile};
use crate::kernels::widened::Widened;
use crate::kernels::{LayerDraws, Mac, SiteEvents};
use crate::tensor::Words;
use tiles::{Block, Place};

/// A layer whose sums `P` makes.
#[derive(Clone, Debug)]
pub(crate) struct Proven<P: Products> {
    simd: InstructionSet,
    /// Where the operands of each pixel begin.
    bases: Vec<usize>,
    products: P,
    requantize: Requantize<P::Sum>,
    /// Bias words that underflowed, of all channels.
    bias_underflows: u64,
    channels: usize,
    macs: u64,
}

/// Tiles of a block, at least, over which the weights of the next one are prefetched.
const PREFETCHED: usize = 4;

/// The products of a layer and how they are summed.
pub(crate) trait Products: Clone + Debug + Send + Sync + Sized {
    /// What holds a sum.
    type Sum: Accumulator;
    /// Memory for the operands of an image, taken when the first needs it.
    type Buffer: Clone + Debug + Default + Send;
    /// The operands of an image.
    type Operands<'a>: Copy + Send + Sync;

    /// Neighbours of one step.
    const GROUP: usize;

    /// What is added to activations of `range` to make operands of them, if anything does.
    fn offset(range: [i64; 2]) -> Option<i64>;

    /// Packs the weights, if they fit.
    fn new(simd: InstructionSet, mac: &Mac<'_>, map: &PaddedMap, offset: i64) -> Option<Self>;

    /// What a sum of products by these weights lacks.
    fn start(&self, weights: impl Iterator<Item = i64>) -> i64;

    /// The blocks of output channels.
    fn blocks(&self) -> &[Block];

    /// The operands of `input`.
    fn operands<'a>(
        &self,
        simd: InstructionSet,
        input: &'a Words,
        buffer: &'a mut Self::Buffer,
    ) -> Self::Operands<'a>;

    /// The sums of a tile for the pixels at `bases`, but for what they lack. `tiles` is memory.
    fn sums(
        &self,
        simd: impl Simd,
        operands: Self::Operands<'_>,
        bases: &[usize],
        place: Place,
        tiles: &mut [Sums; 2],
        sums: &mut Sums<Self::Sum>,
    );
}

/// Whether the layer has such sums: no product loses bits, the accumulator has the binary point of
/// the products, and no partial sum, of which `reach` are the intervals by output channel, leaves
/// its word or the `range` of lanes.
fn is_proven(mac: &Mac<'_>, reach: &[Interval], range: [i64; 2]) -> bool {
    let spec = &mac.spec;
    let accumulator = spec.accumulator.to();
    let heaviest = mac.weights.to_vec().iter().map(|w| i128::from(w.unsigned_abs())).max();
    let product = heaviest.unwrap_or(0) * mac.largest_activation();
    let range = Interval {
        low: accumulator.min().max(range[0].into()),
        high: accumulator.max().min(range[1].into()),
    };
    lossless(spec, product)
        && spec.epilogue.cast.to().bits() <= 32
        && accumulator.frac() == spec.product_frac()
        && reach.iter().all(|reach| range.union(*reach) == range)
}

/// What makes words of `range`, and the zeros of padding, fit `T`, if anything does.
fn offset<T: Operand>(range: [i64; 2]) -> Option<i64> {
    let ([low, high], range) = (T::RANGE, with_zero(range));
    let fits = |offset: &i64| range[0] + offset >= low && range[1] + offset <= high;
    [0, low - range[0]].into_iter().find(fits)
}

/// The smallest range that contains `range` and zero.
fn with_zero([low, high]: [i64; 2]) -> [i64; 2] {
    [low.min(0), high.max(0)]
}

impl<P: Products> Proven<P> {
    /// `None` if the operands do not fit, or nothing is proven.
    pub fn new(
        simd: InstructionSet,
        mac: &Mac<'_>,
        map: &PaddedMap,
        reach: &[Interval],
    ) -> Option<Self> {
        let offset = P::offset(mac.range).filter(|_| is_proven(mac, reach, P::Sum::RANGE))?;
        match Widened::new(mac, reach, P::GROUP, simd.vectors()) {
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
        let (products, reduction) = (P::new(simd, mac, map, offset)?, geometry.reduction());
        let start = |channel: usize| {
            let row = channel * reduction..(channel + 1) * reduction;
            bias.exact[channel] + products.start(row.map(|index| mac.weights.get(index)))
        };
        let largest = reach.iter().map(|r| r.low.unsigned_abs().max(r.high.unsigned_abs()));
        let vectors: Vec<_> = products.blocks().iter().flat_map(Block::lanes).collect();
        Some(Self {
            simd,
            bases: (0..geometry.pixels()).map(|pixel| map.base(pixel)).collect(),
            requantize: Requantize::new(mac, &vectors, start, largest.max().unwrap_or(0)),
            products,
            bias_underflows: bias.under.iter().sum::<i64>() as u64,
            channels: geometry.output.channels,
            macs: geometry.macs(),
        })
    }

    /// Runs the layer for one image on up to `threads` threads.
    pub fn run(
        &self,
        input: &Words,
        output: &mut Words,
        buffer: &mut P::Buffer,
        (threads, draws): (usize, LayerDraws),
        events: &mut SiteEvents,
    ) {
        let operands = self.products.operands(self.simd, input, buffer);
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

/// Some pixels of an image, as work to be compiled per instruction set.
struct Tiling<'a, 'b, P: Products> {
    layer: &'a Proven<P>,
    operands: P::Operands<'b>,
    part: Part<'a, ()>,
    draws: LayerDraws,
    events: &'a mut SiteEvents,
}

impl<P: Products> Work for Tiling<'_, '_, P> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { layer, operands, part: Part { pixels, mut words, .. }, draws, events } = self;
        let Proven { bases, products, requantize, .. } = layer;
        let (mut tiles, mut sums) = ([Sums::default(); 2], Sums::default());
        let mut tally = Tally::default();
        let count = pixels.len().div_ceil(S::PIXELS);
        for (number, block) in products.blocks().iter().enumerate() {
            let mut first = pixels.start;
            // Tiles as equal as can be.
            for left in (1..=count).rev() {
                let end = first + (pixels.end - first).div_ceil(left);
                let ahead = (count >= PREFETCHED).then_some([count - left, count]);
                let (bases, place) = (&bases[first..end], Place { block: number, ahead });
                products.sums(simd, operands, bases, place, &mut tiles, &mut sums);
                simd.run(Tile {
                    layer: requantize,
                    sums: &sums,
                    vector: block.first,
                    vectors: block.vectors,
                    channels: block.channels.clone(),
                    pixels: first..end,
                    words: &mut words,
                    start: pixels.start,
                    draws,
                    tally: &mut tally,
                    events: &mut *events,
                });
                first = end;
            }
        }
        tally.add_to(events, requantize.overflow());
    }
}

/// The padded map of an image, as work to be compiled per instruction set.
struct Fill<'a, T, F> {
    map: &'a PaddedMap,
    input: &'a Words,
    buffer: &'a mut [T],
    convert: F,
}

impl<T: Copy, F: Fn(i64) -> T + Copy> Work for Fill<'_, T, F> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        self.map.fill(self.input, self.buffer, self.convert);
    }
}

/// Activations as operands `T`: the word and an offset.
#[derive(Clone, Debug)]
struct Activations {
    map: PaddedMap,
    offset: i64,
    /// Whether words that are stored as operands are ones where they lie: without padding or
    /// offset, and nothing beyond them is read.
    in_place: bool,
}

impl Activations {
    /// Of which so many are read from the base of a pixel.
    fn new(mac: &Mac<'_>, map: &PaddedMap, offset: i64, reach: usize) -> Self {
        let end = map.base(mac.geometry.pixels() - 1) + reach;
        let whole = !map.is_padded() && end <= mac.geometry.input.len();
        Self { map: map.clone(), offset, in_place: offset == 0 && whole }
    }

    /// The operands where they lie, if they are words.
    fn read_in_place<'a, T: Operand>(&self, input: &'a Words) -> Option<&'a [T]> {
        T::slice(input.buffer()).filter(|_| self.in_place)
    }

    fn operands<'a, T: Operand>(
        &self,
        simd: InstructionSet,
        input: &'a Words,
        buffer: &'a mut Vec<T>,
    ) -> &'a [T] {
        match self.read_in_place(input) {
            Some(words) => words,
            None => {
                let offset = self.offset;
                buffer.resize(self.map.len(), T::from_raw(offset));
                let convert = move |word: i64| T::from_raw(word + offset);
                simd.run(Fill { map: &self.map, input, buffer: &mut *buffer, convert });
                buffer
            }
        }
    }
}
