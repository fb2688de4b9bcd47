//! From vectors of accumulators of 32 or 64 bits to output words, counting what happens to them: the
//! three requantizers on lanes, anything else word by word.

#![allow(clippy::needless_range_loop, reason = "lanes of several arrays are indexed in step")]

mod accumulator;
mod rounding;

pub(crate) use accumulator::{Accumulator, Shift};

use std::ops::Range;

use crate::kernels::dot::{LANES, Lanes, PIXELS, Simd, Sums, VECTORS, Vector, Work};
use crate::kernels::events::count;
use crate::kernels::output::{LaneSums, Output};
use crate::kernels::{LayerDraws, Mac, SiteEvents};
use crate::numeric::{Cast, Overflow, Scheme};
use crate::tensor::{Slots, Word, with_slots};
use rounding::{Round, Rounding};

/// The epilogue of a layer whose accumulators never overflow and fit `A`, and whose words fit 32
/// bits.
#[derive(Clone, Debug)]
pub(crate) struct Requantize<A> {
    rounding: Rounding<A>,
    /// By vector.
    ends: Vec<Ends<A>>,
    /// Smallest accumulator that the activation function does not cut off before the cast.
    floor: A,
    /// Bounds of the activation function, and whether they cut anything off.
    clamp: [i32; 2],
    clamps: bool,
    overflow: Overflow,
    output: Output,
    channels: usize,
}

/// Lane by lane what a sum starts with, and the range of the words.
#[derive(Clone, Copy, Debug)]
struct Ends<A> {
    start: [A; LANES],
    low: Vector,
    high: Vector,
    /// Accumulators between them do not overflow.
    least: [A; LANES],
    most: [A; LANES],
}

impl<A: Accumulator> Ends<A> {
    /// Whether lanes of 32 bits tell what lies outside from what lies inside, and zero lies inside.
    fn are_told(&self) -> bool {
        let [low, high] = A::RANGE.map(|end| end.clamp(i32::MIN.into(), i32::MAX.into()) as i32);
        let wide = i64::from(low) != A::RANGE[0];
        self.low.iter().all(|&end| end <= 0 && !(wide && end == low))
            && self.high.iter().all(|&end| end >= 0 && !(wide && end == high))
    }
}

/// What happened to the words of a run, lane by lane.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Tally<A: Accumulator> {
    over: Vector,
    under: Vector,
    least: [A; LANES],
    most: [A; LANES],
}

impl<A: Accumulator> Tally<A> {
    /// Adds it to `events` of output words under `overflow`.
    pub fn add_to(&self, events: &mut SiteEvents, overflow: Overflow) {
        let [over, under] =
            [self.over, self.under].map(|lanes| lanes.iter().map(|&n| u64::from(n as u32)).sum());
        count(&mut events.output, overflow, over, under);
        for end in self.least.iter().chain(&self.most) {
            events.largest_accumulator = events.largest_accumulator.max(end.raw().unsigned_abs());
        }
    }
}

/// The sums of a tile and where their words go, as work to be compiled per instruction set.
pub(crate) struct Tile<'a, 'b, A: Accumulator> {
    pub layer: &'a Requantize<A>,
    pub sums: &'a Sums<A>,
    /// Number of its first vector in the layer, and how many it has.
    pub vector: usize,
    pub vectors: usize,
    /// Its output channels.
    pub channels: Range<usize>,
    /// Its pixels in the layer.
    pub pixels: Range<usize>,
    /// Words of whole pixels, from that pixel of the layer on.
    pub words: &'a mut Slots<'b>,
    pub start: usize,
    pub draws: LayerDraws,
    pub tally: &'a mut Tally<A>,
    pub events: &'a mut SiteEvents,
}

/// Words of a vector of output channels, by pixel.
type Column = [Vector; PIXELS];

impl<A: Accumulator> Requantize<A> {
    /// The epilogue of `mac`, whose accumulators have a magnitude of at most `largest`. The lanes
    /// of each vector are output channels, or of none; `start` is added to their sums.
    pub fn new(
        mac: &Mac<'_>,
        vectors: &[[Option<usize>; LANES]],
        start: impl Fn(usize) -> i64,
        largest: u128,
    ) -> Self {
        let epilogue = &mac.spec.epilogue;
        let (low, high) = epilogue.clamp.unwrap_or((i64::MIN, i64::MAX));
        let of_channel = |channel| epilogue.of_channel(mac.requantizers, channel).requantizer;
        let range = |channel| match of_channel(channel).map(|r| (r.range(), r.scheme())) {
            Some(([low, high], Scheme::Shift { output, .. })) => [low.max(range(output)[0]), high],
            Some((range, _)) => range,
            None => range(epilogue.cast),
        };
        let mut ends: Vec<Ends<A>> = vectors
            .iter()
            .map(|channels| Ends {
                start: lanes(channels, A::default(), |channel| A::from_raw(start(channel))),
                low: lanes(channels, 0, |channel| narrow(range(channel)[0])),
                high: lanes(channels, 0, |channel| narrow(range(channel)[1])),
                least: [A::default(); LANES],
                most: [A::default(); LANES],
            })
            .collect();
        let frac = mac.spec.accumulator.to().frac();
        let clamp = [low, high].map(narrow);
        let clamps = |ends: &Ends<A>| {
            ends.low.iter().any(|&l| l < clamp[0]) || ends.high.iter().any(|&h| h > clamp[1])
        };
        let rounding = if !ends.iter().all(|ends| ends.are_told()) {
            None
        } else {
            Rounding::new(epilogue.cast, vectors, of_channel, frac, largest)
        };
        if rounding.is_some() {
            for (ends, channels) in ends.iter_mut().zip(vectors) {
                let inside = |channel: usize| {
                    let epilogue = epilogue.of_channel(mac.requantizers, channel);
                    inside(largest, |value| !epilogue.apply(value.into(), frac, 0).overflowed)
                };
                ends.least =
                    lanes(channels, A::from_raw(A::RANGE[0]), |c| A::nearest(inside(c)[0]));
                ends.most = lanes(channels, A::from_raw(A::RANGE[1]), |c| A::nearest(inside(c)[1]));
            }
        }
        Self {
            rounding: rounding.unwrap_or(Rounding::Words),
            floor: A::from_raw(if epilogue.rectifies() { 0 } else { A::RANGE[0] }),
            clamp,
            clamps: ends.iter().any(clamps),
            ends,
            overflow: epilogue.cast.overflow(),
            output: Output::new(mac),
            channels: mac.geometry.output.channels,
        }
    }

    /// How words overflow.
    pub fn overflow(&self) -> Overflow {
        self.overflow
    }
}

impl<A: Accumulator> Work for Tile<'_, '_, A> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        match &self.layer.rounding {
            Rounding::Shift(by_vector) => self.vectors(simd, by_vector),
            Rounding::Multiplier(by_vector) => self.vectors(simd, by_vector),
            Rounding::Float(by_vector) => self.vectors(simd, by_vector),
            Rounding::Words => self.word_by_word(),
        }
    }
}

impl<A: Accumulator> Tile<'_, '_, A> {
    #[inline(always)]
    fn vectors(&mut self, simd: impl Simd, by_vector: &[impl Round<A>]) {
        let mut words = [[0; LANES]; PIXELS];
        for vector in 0..self.vectors.min(VECTORS) {
            let round = &by_vector[self.vector + vector];
            if !self.column(simd, round, vector, &mut words) {
                self.overflowing(simd, round, vector, &mut words);
            }
            self.write(vector, &words);
        }
    }

    /// The words of a vector if none overflows.
    #[inline(always)]
    fn column<S: Simd>(
        &mut self,
        simd: S,
        round: &impl Round<A>,
        vector: usize,
        words: &mut Column,
    ) -> bool {
        let layer = self.layer;
        let ends = &layer.ends[self.vector + vector];
        let constants = round.constants(simd);
        let start = A::Lanes::<S>::load(simd, &ends.start);
        let floor = A::Lanes::<S>::load(simd, &[layer.floor; LANES]);
        let low = S::Words::load(simd, &[layer.clamp[0]; LANES]);
        let high = S::Words::load(simd, &[layer.clamp[1]; LANES]);
        let mut least = A::Lanes::<S>::load(simd, &[A::default(); LANES]);
        let (mut most, mut under) = (least, S::Words::load(simd, &[0; LANES]));
        let pixels = self.pixels.len();
        let (sums, words) = (&self.sums.0[..pixels], &mut words[..pixels]);
        for pixel in 0..pixels {
            let sum = A::Lanes::<S>::load(simd, &sums[pixel][vector]).plus(start);
            (least, most) = (least.lesser(sum), most.greater(sum));
            let sum = sum.greater(floor);
            let rounded = round.rounded(simd, &constants, sum);
            under = sum.vanished(simd, rounded, under);
            let word = if layer.clamps { rounded.greater(low).lesser(high) } else { rounded };
            words[pixel] = word.array();
        }
        let tally = &mut *self.tally;
        tally.least = least.lesser(A::Lanes::<S>::load(simd, &tally.least)).array();
        tally.most = most.greater(A::Lanes::<S>::load(simd, &tally.most)).array();
        let below = A::Lanes::<S>::load(simd, &ends.least).exceeds(least);
        if below || most.exceeds(A::Lanes::<S>::load(simd, &ends.most)) {
            return false;
        }
        tally.under = under.plus(S::Words::load(simd, &tally.under)).array();
        true
    }

    /// The words of a vector of which any may overflow.
    #[inline(always)]
    fn overflowing(
        &mut self,
        simd: impl Simd,
        round: &impl Round<A>,
        vector: usize,
        words: &mut Column,
    ) {
        let layer = self.layer;
        let Ends { start, low, high, .. } = layer.ends[self.vector + vector];
        let Tally { mut over, mut under, .. } = *self.tally;
        let pixels = self.pixels.len();
        let (sums, words) = (&self.sums.0[..pixels], &mut words[..pixels]);
        for pixel in 0..pixels {
            let mut value = sums[pixel][vector];
            for n in 0..LANES {
                value[n] = value[n].plus(start[n]).max(layer.floor);
            }
            let [rounded, marked] = round.marked(simd, &value);
            let mut held = [0; LANES];
            for n in 0..LANES {
                held[n] = rounded[n].max(low[n]).min(high[n]);
            }
            for n in 0..LANES {
                over[n] += i32::from(held[n] != marked[n]);
                under[n] += i32::from((value[n] != A::default()) & (marked[n] == 0));
            }
            if layer.clamps {
                for n in 0..LANES {
                    held[n] = held[n].max(layer.clamp[0]).min(layer.clamp[1]);
                }
            }
            words[pixel] = held;
        }
        (self.tally.over, self.tally.under) = (over, under);
    }

    #[inline(never)]
    fn word_by_word(&mut self) {
        let mut words = [[0; LANES]; PIXELS];
        for vector in 0..self.vectors {
            let layer = self.layer;
            let start = &layer.ends[self.vector + vector].start;
            let channel = self.channels.start + vector * LANES;
            let lanes = (self.channels.end - channel).min(LANES);
            for (of_tile, pixel) in self.pixels.clone().enumerate() {
                let mut result = LaneSums::<LANES>::new(&[0; LANES]);
                for n in 0..LANES {
                    result.raw[n] = self.sums.0[of_tile][vector][n].plus(start[n]).raw();
                }
                result.total = result.raw;
                let (mut raw, first) = ([0; LANES], pixel * layer.channels + channel);
                layer.output.emit(&result, &mut raw[..lanes], first, self.draws, self.events);
                words[of_tile] = raw.map(|raw| raw as i32);
            }
            self.write(vector, &words);
        }
    }

    /// Writes the words of a vector to their place among others.
    #[inline(always)]
    fn write(&mut self, vector: usize, column: &Column) {
        let layer = self.layer;
        let (channels, pixels) = (layer.channels, self.pixels.len());
        let channel = self.channels.start + vector * LANES;
        let lanes = (self.channels.end - channel).min(LANES);
        let first = (self.pixels.start - self.start) * channels + channel;
        let column = &column[..pixels];
        with_slots!(self.words, words => {
            let words = &mut words[first..][..(pixels - 1) * channels + lanes];
            if lanes == LANES {
                for pixel in 0..pixels {
                    let slots = &mut words[pixel * channels..][..LANES];
                    for n in 0..LANES {
                        slots[n] = Word::from_raw(column[pixel][n].into());
                    }
                }
            } else {
                // Fours are narrowed together.
                let whole = lanes & !3;
                for pixel in 0..pixels {
                    let vector = &column[pixel];
                    let slots = &mut words[pixel * channels..][..lanes];
                    let mut first = 0;
                    while first < whole {
                        let (slots, lanes) = (&mut slots[first..][..4], &vector[first..][..4]);
                        for n in 0..4 {
                            slots[n] = Word::from_raw(lanes[n].into());
                        }
                        first += 4;
                    }
                    for n in whole..lanes {
                        slots[n] = Word::from_raw(vector[n].into());
                    }
                }
            }
        });
    }
}

/// Smallest and largest word of a saturating cast.
pub(crate) fn range(cast: Cast) -> [i64; 2] {
    let (min, max) = (cast.to().min(), cast.to().max());
    let symmetric = cast.overflow() == Overflow::SaturateSymmetric && cast.to().is_signed();
    let low = if symmetric { -max } else { min };
    [low, max].map(|end| end.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}

/// The nearest 32-bit word.
pub(crate) fn narrow(end: i64) -> i32 {
    end.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// The least and the greatest value up to ±`largest`, from zero on, for which `holds` does.
fn inside(largest: u128, holds: impl Fn(i64) -> bool) -> [i64; 2] {
    let largest = i64::try_from(largest).unwrap_or(i64::MAX);
    [-1, 1].map(|sign| {
        let (mut inside, mut outside) = (0, largest);
        if holds(sign * largest) {
            return sign * largest;
        }
        while outside - inside > 1 {
            let middle = inside + (outside - inside) / 2;
            *if holds(sign * middle) { &mut inside } else { &mut outside } = middle;
        }
        sign * inside
    })
}

fn lanes<T: Copy>(
    channels: &[Option<usize>; LANES],
    rest: T,
    value: impl Fn(usize) -> T,
) -> [T; LANES] {
    channels.map(|channel| channel.map_or(rest, &value))
}
