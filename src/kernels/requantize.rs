//! From vectors of accumulators of 32 or 64 bits to output words, counting what happens to them: the
//! three requantizers on lanes, anything else word by word.

#![allow(clippy::needless_range_loop, reason = "lanes of several arrays are indexed in step")]

mod accumulator;

pub(crate) use accumulator::{Accumulator, Shift};

use crate::kernels::dot::{FAR, LANES, Simd, Sums, Vector};
use crate::kernels::events::count;
use crate::kernels::output::{LaneSums, Output};
use crate::kernels::{LayerDraws, Mac, SiteEvents};
use crate::numeric::{Cast, Overflow, Requantizer, Scheme};
use crate::tensor::{Slots, Word, with_slots};

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

/// How lanes are rounded, by vector.
#[derive(Clone, Debug)]
enum Rounding<A> {
    Shift(Vec<Shifts<A>>),
    Multiplier(Vec<Multiplier>),
    Float(Vec<[f32; LANES]>),
    /// Word by word.
    Words,
}

/// A [`Shift`] for each lane.
#[derive(Clone, Copy, Debug)]
struct Shifts<A> {
    left: [A; LANES],
    right: [A; LANES],
    bias: [A; LANES],
    more_below_zero: [A; LANES],
    even: [A; LANES],
}

/// `value · 2^left · multiplier · 2^(−31 − right)`, rounded as [`Scheme::MultiplierShift`].
#[derive(Clone, Copy, Default, Debug)]
struct Multiplier {
    left: Vector,
    multiplier: Vector,
    right: Vector,
    half: Vector,
}

/// What happened to the words of a run, lane by lane.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Tally<A: Accumulator> {
    over: [u32; LANES],
    under: [u32; LANES],
    largest: [A::Magnitude; LANES],
}

impl<A: Accumulator> Tally<A> {
    /// Adds it to `events` of output words under `overflow`.
    pub fn add_to(&self, events: &mut SiteEvents, overflow: Overflow) {
        let [over, under] =
            [self.over, self.under].map(|lanes| lanes.iter().map(|&n| u64::from(n)).sum());
        count(&mut events.output, overflow, over, under);
        let largest = self.largest.iter().copied().max().unwrap_or_default();
        events.largest_accumulator = events.largest_accumulator.max(largest.into());
    }
}

/// Where a vector of words goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Number of the vector in the layer.
    pub vector: usize,
    /// Number of the vector in the tile.
    pub of_tile: usize,
    /// Pixels of the tile.
    pub pixels: usize,
    /// Number of the first word in the layer.
    pub first: usize,
    /// And among the words that are written.
    pub slot: usize,
    /// Words of a vector, at most [`LANES`].
    pub lanes: usize,
}

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
        let ends: Vec<Ends<A>> = vectors
            .iter()
            .map(|channels| Ends {
                start: lanes(channels, A::default(), |channel| A::from_raw(start(channel))),
                low: lanes(channels, 0, |channel| narrow(range(channel)[0])),
                high: lanes(channels, 0, |channel| narrow(range(channel)[1])),
            })
            .collect();
        let clamp = [low, high].map(narrow);
        let clamps = |ends: &Ends<A>| {
            ends.low.iter().any(|&l| l < clamp[0]) || ends.high.iter().any(|&h| h > clamp[1])
        };
        let rounding = if !ends.iter().all(|ends| ends.are_told()) {
            None
        } else {
            Rounding::new(
                epilogue.cast,
                vectors,
                of_channel,
                mac.spec.accumulator.to().frac(),
                largest,
            )
        };
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

    /// The words of a vector of sums.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "what is read, and all that is written")]
    pub fn apply(
        &self,
        simd: impl Simd,
        sums: &Sums<A>,
        words: &mut Sums,
        place: Place,
        draws: LayerDraws,
        tally: &mut Tally<A>,
        events: &mut SiteEvents,
    ) {
        match &self.rounding {
            Rounding::Shift(by_vector) => {
                let Shifts { left, right, bias, more_below_zero, even } = by_vector[place.vector];
                self.lanes(sums, words, place, tally, |value| {
                    let mut rounded = [0; LANES];
                    for n in 0..LANES {
                        let shift = Shift {
                            left: left[n],
                            right: right[n],
                            bias: bias[n],
                            more_below_zero: more_below_zero[n],
                            even: even[n],
                        };
                        rounded[n] = value[n].shifted(shift).saturated();
                    }
                    (rounded, rounded)
                });
            }
            Rounding::Multiplier(by_vector) => {
                let Multiplier { left, multiplier, right, half } = &by_vector[place.vector];
                self.lanes(sums, words, place, tally, |value| {
                    let (mut rounded, mut marked) = ([0; LANES], [0; LANES]);
                    for n in 0..LANES {
                        let held = value[n].saturated();
                        let wide = i64::from(held) << (left[n] & 31);
                        let shifted = wide.max(i32::MIN.into()).min(i32::MAX.into());
                        let inside = wide == shifted && i64::from(held) == value[n].raw();
                        let cut = i32::from(!inside) << 31;
                        let product = i64::from(shifted as i32) * i64::from(multiplier[n]);
                        let high = (product + (1 << 30)) >> 31;
                        let bias =
                            i64::from(half[n]) - (i64::from(high < 0) & i64::from(half[n] != 0));
                        rounded[n] = ((high + bias) >> (right[n] & 31)) as i32;
                        marked[n] = rounded[n] ^ cut;
                    }
                    (rounded, marked)
                });
            }
            Rounding::Float(by_vector) => {
                let scale = &by_vector[place.vector];
                self.lanes(sums, words, place, tally, |value| {
                    let mut scaled = [0.0; LANES];
                    for n in 0..LANES {
                        scaled[n] = value[n].float() * scale[n];
                    }
                    let rounded = simd.nearest(&scaled);
                    (rounded, rounded)
                });
            }
            Rounding::Words => self.word_by_word(sums, words, place, draws, events),
        }
    }

    /// What `round` rounds; it gives the rounded sums twice, the second time with another sign where
    /// they overflowed before.
    #[inline(always)]
    fn lanes(
        &self,
        sums: &Sums<A>,
        words: &mut Sums,
        place: Place,
        tally: &mut Tally<A>,
        round: impl Fn(&[A; LANES]) -> (Vector, Vector),
    ) {
        let Ends { start, low, high } = self.ends[place.vector];
        let Tally { mut over, mut under, mut largest } = *tally;
        for pixel in 0..place.pixels {
            let (mut value, mut before) = (sums.0[pixel][place.of_tile], [0; LANES]);
            for n in 0..LANES {
                value[n] = value[n].plus(start[n]);
                largest[n] = largest[n].max(value[n].magnitude());
                value[n] = value[n].max(self.floor);
                before[n] = value[n].saturated();
            }
            let (rounded, marked) = round(&value);
            let mut held = [0; LANES];
            for n in 0..LANES {
                held[n] = rounded[n].max(low[n]).min(high[n]);
            }
            for n in 0..LANES {
                over[n] += u32::from(held[n] != marked[n]);
                under[n] += u32::from((before[n] != 0) & (marked[n] == 0));
            }
            if self.clamps {
                for n in 0..LANES {
                    held[n] = held[n].max(self.clamp[0]).min(self.clamp[1]);
                }
            }
            words.0[pixel][place.of_tile] = held;
        }
        *tally = Tally { over, under, largest };
    }

    #[inline(never)]
    fn word_by_word(
        &self,
        sums: &Sums<A>,
        words: &mut Sums,
        place: Place,
        draws: LayerDraws,
        events: &mut SiteEvents,
    ) {
        let start = &self.ends[place.vector].start;
        for pixel in 0..place.pixels {
            let mut result = LaneSums::<LANES>::new(&[0; LANES]);
            for n in 0..LANES {
                result.raw[n] = sums.0[pixel][place.of_tile][n].plus(start[n]).raw();
            }
            result.total = result.raw;
            let first = place.first + pixel * self.channels;
            let mut raw = [0; LANES];
            self.output.emit(&result, &mut raw[..place.lanes], first, draws, events);
            words.0[pixel][place.of_tile] = raw.map(|raw| raw as i32);
        }
    }

    /// Writes the words of a vector to their place among others.
    #[inline(always)]
    pub fn write(&self, tile: &Sums, place: Place, words: &mut Slots<'_>) {
        with_slots!(words, words => {
            for pixel in 0..place.pixels {
                let vector = &tile.0[pixel][place.of_tile];
                let slots = &mut words[place.slot + pixel * self.channels..][..place.lanes];
                if place.lanes == LANES {
                    let slots = &mut slots[..LANES];
                    for n in 0..LANES {
                        slots[n] = Word::from_raw(vector[n].into());
                    }
                    continue;
                }
                // Fours are narrowed together.
                let whole = place.lanes & !3;
                let mut first = 0;
                while first < whole {
                    let (slots, lanes) = (&mut slots[first..][..4], &vector[first..][..4]);
                    for n in 0..4 {
                        slots[n] = Word::from_raw(lanes[n].into());
                    }
                    first += 4;
                }
                for n in whole..place.lanes {
                    slots[n] = Word::from_raw(vector[n].into());
                }
            }
        });
    }
}

impl<A: Accumulator> Rounding<A> {
    /// `None` if lanes do not hold what happens inside.
    fn new(
        cast: Cast,
        vectors: &[[Option<usize>; LANES]],
        requantizer: impl Fn(usize) -> Option<Requantizer>,
        frac: i32,
        largest: u128,
    ) -> Option<Self> {
        let channels = || vectors.iter().flatten().flatten().copied();
        let scheme = |channel| requantizer(channel).map(|requantizer| requantizer.scheme());
        let shift = |channel| match scheme(channel) {
            None => A::shift(cast, frac, largest),
            Some(Scheme::Shift { acc_frac, output }) => A::shift(output, acc_frac, largest),
            Some(_) => None,
        };
        let multiplier = |channel| match scheme(channel) {
            Some(Scheme::MultiplierShift(scheme)) => Some(scheme).filter(|s| s.multiplier != 0),
            _ => None,
        };
        let float = |channel| match scheme(channel) {
            Some(Scheme::Float32 { scale, zero_point: 0.0 }) => Some(scale),
            _ => None,
        };
        let near = |channel| {
            let range = requantizer(channel).map(|requantizer| requantizer.range());
            range.is_some_and(|range| range.iter().all(|end| end.abs() < i64::from(FAR)))
        };
        if channels().all(|channel| shift(channel).is_some()) {
            let shift = |channel: usize| shift(channel).unwrap_or_default();
            return Some(Self::Shift(
                vectors
                    .iter()
                    .map(|channels| {
                        let part = |part: fn(Shift<A>) -> A| {
                            lanes(channels, A::default(), |channel| part(shift(channel)))
                        };
                        Shifts {
                            left: part(|shift| shift.left),
                            right: part(|shift| shift.right),
                            bias: part(|shift| shift.bias),
                            more_below_zero: part(|shift| shift.more_below_zero),
                            even: part(|shift| shift.even),
                        }
                    })
                    .collect(),
            ));
        }
        if channels().all(|channel| multiplier(channel).is_some()) {
            let part = |channel: usize, part: fn(u32, u32, i32) -> i32| {
                multiplier(channel).map_or(0, |s| part(s.left, s.right, s.multiplier))
            };
            return Some(Self::Multiplier(
                vectors
                    .iter()
                    .map(|channels| Multiplier {
                        left: lanes(channels, 0, |c| part(c, |left, _, _| left as i32)),
                        multiplier: lanes(channels, 0, |c| part(c, |_, _, multiplier| multiplier)),
                        right: lanes(channels, 0, |c| part(c, |_, right, _| right as i32)),
                        half: lanes(channels, 0, |c| {
                            part(c, |_, right, _| ((1_i64 << right) >> 1) as i32)
                        }),
                    })
                    .collect(),
            ));
        }
        if channels().all(|channel| float(channel).is_some() && near(channel)) {
            let scale = |channel: usize| float(channel).unwrap_or(0.0);
            return Some(Self::Float(
                vectors.iter().map(|channels| lanes(channels, 0.0, scale)).collect(),
            ));
        }
        None
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

fn lanes<T: Copy>(
    channels: &[Option<usize>; LANES],
    rest: T,
    value: impl Fn(usize) -> T,
) -> [T; LANES] {
    channels.map(|channel| channel.map_or(rest, &value))
}
