//! How vectors of accumulators are rounded, before they are brought into the range of the words.

#![allow(clippy::needless_range_loop, reason = "lanes of several arrays are indexed in step")]

use crate::kernels::dot::{FAR, LANES, Lanes, Simd, Vector};
use crate::kernels::requantize::{Accumulator, Shift, lanes};
use crate::numeric::{Cast, Requantizer, Scheme};

/// How lanes are rounded, by vector.
#[derive(Clone, Debug)]
pub(super) enum Rounding<A> {
    Shift(Vec<Shifts<A>>),
    Multiplier(Vec<Multiplier>),
    Float(Vec<Scales>),
    /// Word by word.
    Words,
}

/// Registers of a [`Round`].
type Constants<A, S> = [<A as Accumulator>::Lanes<S>; 6];

/// How the lanes of a vector are rounded.
pub(super) trait Round<A: Accumulator> {
    /// What is the same for every pixel, in registers, if anything is.
    #[inline(always)]
    fn constants<S: Simd>(&self, simd: S) -> Constants<A, S> {
        [A::Lanes::<S>::load(simd, &[A::default(); LANES]); 6]
    }

    /// The sums rounded, where the word does not overflow; anything where it does.
    fn rounded<S: Simd>(&self, simd: S, constants: &Constants<A, S>, sums: A::Lanes<S>)
    -> S::Words;
    /// Any sums rounded, and again with another sign where they overflow on the way.
    fn marked(&self, simd: impl Simd, sums: &[A; LANES]) -> [Vector; 2];
}

/// A [`Shift`] for each lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shifts<A> {
    left: [A; LANES],
    right: [A; LANES],
    bias: [A; LANES],
    more_below_zero: [A; LANES],
    even: [A; LANES],
}

/// `value · 2^left · multiplier · 2^(−31 − right)`, rounded as [`Scheme::MultiplierShift`].
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Multiplier {
    left: Vector,
    multiplier: Vector,
    right: Vector,
    half: Vector,
}

/// `value · scale` in float32, the nearest integer, halves to even.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Scales([f32; LANES]);

impl<A: Accumulator> Round<A> for Shifts<A> {
    #[inline(always)]
    fn constants<S: Simd>(&self, simd: S) -> Constants<A, S> {
        [
            A::Lanes::<S>::load(simd, &self.left),
            A::Lanes::<S>::load(simd, &self.right),
            A::Lanes::<S>::load(simd, &self.bias),
            A::Lanes::<S>::load(simd, &self.more_below_zero),
            A::Lanes::<S>::load(simd, &self.even),
            A::Lanes::<S>::load(simd, &[A::from_raw(A::BITS - 1); LANES]),
        ]
    }

    #[inline(always)]
    fn rounded<S: Simd>(
        &self,
        simd: S,
        &[left, right, bias, more_below_zero, even, top]: &Constants<A, S>,
        sums: A::Lanes<S>,
    ) -> S::Words {
        let bias = bias.plus(sums.shifted_right(top).and(more_below_zero));
        let odd = sums.shifted_right(right).and(even);
        sums.shifted_left(left).plus(bias.plus(odd)).shifted_right(right).saturated(simd)
    }

    #[inline(always)]
    fn marked(&self, _: impl Simd, sums: &[A; LANES]) -> [Vector; 2] {
        let Self { left, right, bias, more_below_zero, even } = self;
        let mut rounded = [0; LANES];
        for n in 0..LANES {
            let shift = Shift {
                left: left[n],
                right: right[n],
                bias: bias[n],
                more_below_zero: more_below_zero[n],
                even: even[n],
            };
            rounded[n] = sums[n].shifted(shift).saturated();
        }
        [rounded; 2]
    }
}

impl Multiplier {
    /// Sums shifted to the left and multiplied, then rounded.
    #[inline(always)]
    fn products(&self, shifted: &Vector) -> Vector {
        let Self { multiplier, right, half, .. } = self;
        let mut rounded = [0; LANES];
        for n in 0..LANES {
            let product = i64::from(shifted[n]) * i64::from(multiplier[n]);
            let high = (product + (1 << 30)) >> 31;
            let bias = i64::from(half[n]) - (i64::from(high < 0) & i64::from(half[n] != 0));
            rounded[n] = ((high + bias) >> (right[n] & 31)) as i32;
        }
        rounded
    }
}

impl<A: Accumulator> Round<A> for Multiplier {
    #[inline(always)]
    fn rounded<S: Simd>(&self, simd: S, _: &Constants<A, S>, sums: A::Lanes<S>) -> S::Words {
        let words = sums.saturated(simd).shifted_left(S::Words::load(simd, &self.left));
        S::Words::load(simd, &self.products(&words.array()))
    }

    #[inline(always)]
    fn marked(&self, _: impl Simd, sums: &[A; LANES]) -> [Vector; 2] {
        let (mut shifted, mut cut) = ([0; LANES], [0; LANES]);
        for n in 0..LANES {
            let held = sums[n].saturated();
            let wide = i64::from(held) << (self.left[n] & 31);
            let inside = wide.max(i32::MIN.into()).min(i32::MAX.into());
            cut[n] = i32::from(wide != inside || i64::from(held) != sums[n].raw()) << 31;
            shifted[n] = inside as i32;
        }
        let rounded = self.products(&shifted);
        let mut marked = rounded;
        for n in 0..LANES {
            marked[n] ^= cut[n];
        }
        [rounded, marked]
    }
}

impl<A: Accumulator> Round<A> for Scales {
    #[inline(always)]
    fn rounded<S: Simd>(&self, simd: S, _: &Constants<A, S>, sums: A::Lanes<S>) -> S::Words {
        sums.scaled(simd, &self.0)
    }

    #[inline(always)]
    fn marked(&self, simd: impl Simd, sums: &[A; LANES]) -> [Vector; 2] {
        let mut scaled = [0.0; LANES];
        for n in 0..LANES {
            let value = sums[n].float() * self.0[n];
            scaled[n] = value.max(-FAR as f32).min(FAR as f32);
        }
        [simd.nearest(&scaled); 2]
    }
}

impl<A: Accumulator> Rounding<A> {
    /// `None` if lanes do not hold what happens inside.
    pub fn new(
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
                vectors.iter().map(|channels| Scales(lanes(channels, 0.0, scale))).collect(),
            ));
        }
        None
    }
}
