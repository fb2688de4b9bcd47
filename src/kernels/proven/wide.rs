//! Sums of 64 bits, each found from two sums of 32.
//!
//! A word is split into high bits, of a byte, and low bits: an activation x = (h + b) · 2^s + l, a
//! weight w = g · 2^t + r. Then
//!
//! x · w = h · g · 2^(s + t) + rest, where rest = b · 2^s · w + h · 2^s · r + l · w.
//!
//! The sum of h · g is a product of bytes. The weights bound the rests from below and above. As long
//! as the bounds of their sum are less than 2^32 apart, that sum follows from its residue modulo
//! 2^32, and the residue from the sum of x · w modulo 2^32, which costs no more than one that fits.

#![allow(clippy::needless_range_loop, reason = "plain loops are inlined for any instruction set")]

use std::ops::Range;

use crate::kernels::Mac;
use crate::kernels::dot::{InstructionSet, LANES, Operand, Simd, Sums, Vector, Work};
use crate::kernels::patches::PaddedMap;
use crate::kernels::proven::tiles::{Block, Place, Tiles};
use crate::kernels::proven::{Activations, Products, offset, with_zero};
use crate::tensor::Words;

/// Products of a layer of words of up to 16 bits, whose high bits are `H` and its weights.
#[derive(Clone, Debug)]
pub(crate) struct Wide<H: Operand> {
    split: Split,
    activations: Activations,
    words: Tiles<i16>,
    high: Tiles<H>,
    /// Steps of `words` for one of `high`.
    ratio: usize,
    /// Block by block.
    segments: Vec<Vec<Segment>>,
}

/// Consecutive steps of the high bits whose rests together lie less than 2^32 apart.
#[derive(Clone, Debug)]
struct Segment {
    steps: Range<usize>,
    /// The least sum of the rests modulo 2^32, by vector.
    least: Vec<Vector>,
}

/// How operands are split into high and low bits.
#[derive(Clone, Copy, Debug)]
struct Split {
    /// s and t.
    shifts: [u32; 2],
    /// b, and the largest h; the smallest is 0.
    base: i64,
    largest: i64,
}

impl Split {
    /// For activations, as they are offset, and weights of these ranges.
    fn new([low, high]: [i64; 2], weights: &[i64]) -> Self {
        let base = |shift: u32| low >> shift;
        let largest = |shift: u32| (high >> shift) - base(shift);
        let first = (0..16).find(|&shift| largest(shift) <= i64::from(u8::MAX)).unwrap_or(16);
        let bits = |word: &i64| 64 - (word ^ (word >> 63)).leading_zeros();
        let widest = weights.iter().map(bits).max().unwrap_or(0);
        let second = widest.saturating_sub(i8::BITS - 1);
        Self { shifts: [first, second], base: base(first), largest: largest(first) }
    }

    /// h of an activation that is offset.
    #[inline(always)]
    fn activation(self, word: i32) -> i32 {
        (word >> (self.shifts[0] & 31)) - self.base as i32
    }

    /// g: the nearest, so that r is small.
    fn weight(self, weight: i64) -> i64 {
        let shift = self.shifts[1];
        ((weight + (1 << shift >> 1)) >> shift).min(i8::MAX.into())
    }

    /// The least and the greatest rest of a weight.
    fn rest(self, weight: i64) -> [i64; 2] {
        let [first, second] = self.shifts;
        let remainder = weight - (self.weight(weight) << second);
        let constant = (self.base << first) * weight;
        let high = (self.largest << first) * remainder;
        let low = ((1 << first) - 1) * weight;
        [constant + high.min(0) + low.min(0), constant + high.max(0) + low.max(0)]
    }
}

impl<H: Operand> Wide<H> {
    /// The segments of a block, each as long as can be.
    fn segments(&self, block: usize) -> Vec<Segment> {
        let lanes = self.high.blocks()[block].vectors * LANES;
        let least = |rests: &[Bounds]| {
            let least = |lane: usize| rests[lane].rest[0] as i32;
            (0..lanes)
                .step_by(LANES)
                .map(|first| std::array::from_fn(|n| least(first + n)))
                .collect()
        };
        let (mut segments, mut start) = (Vec::new(), 0);
        let mut sum = vec![Bounds::default(); lanes];
        for step in 0..self.high.steps() {
            let mut of_step = vec![Bounds::default(); lanes];
            for (lane, weight) in self.words.weights(block, self.steps_of_words(step..step + 1)) {
                let weight = weight.into();
                let high = self.split.largest * self.split.weight(weight).abs();
                of_step[lane] = of_step[lane].plus(Bounds { rest: self.split.rest(weight), high });
            }
            if !(0..lanes).all(|lane| sum[lane].plus(of_step[lane]).hold()) {
                segments.push(Segment { steps: start..step, least: least(&sum) });
                (start, sum) = (step, vec![Bounds::default(); lanes]);
            }
            for lane in 0..lanes {
                sum[lane] = sum[lane].plus(of_step[lane]);
            }
        }
        segments.push(Segment { steps: start..self.high.steps(), least: least(&sum) });
        segments
    }

    #[inline(always)]
    fn steps_of_words(&self, steps: Range<usize>) -> Range<usize> {
        steps.start * self.ratio..steps.end * self.ratio
    }
}

/// Bounds of sums over some steps.
#[derive(Clone, Copy, Default, Debug)]
struct Bounds {
    /// The least and the greatest of the rests.
    rest: [i64; 2],
    /// The magnitude of that of the high bits.
    high: i64,
}

impl Bounds {
    fn plus(self, other: Self) -> Self {
        let rest = [self.rest[0] + other.rest[0], self.rest[1] + other.rest[1]];
        Self { rest, high: self.high + other.high }
    }

    /// Whether 32 bits hold the high bits, and tell the rests from each other.
    fn hold(self) -> bool {
        self.rest[1] - self.rest[0] <= i64::from(u32::MAX) && self.high <= i64::from(i32::MAX)
    }
}

impl<H: Operand> Products for Wide<H> {
    type Sum = i64;
    type Buffer = (Vec<i16>, Vec<H>);
    type Operands<'a> = (&'a [i16], &'a [H]);

    const GROUP: usize = H::GROUP;

    fn offset(range: [i64; 2]) -> Option<i64> {
        offset::<i16>(range)
    }

    fn new(simd: InstructionSet, mac: &Mac<'_>, map: &PaddedMap, offset: i64) -> Option<Self> {
        let (weights, geometry) = (mac.weights.to_vec(), &mac.geometry);
        let split = Split::new(with_zero(mac.range).map(|end| end + offset), &weights);
        let words: Option<Vec<_>> = weights.iter().map(|&weight| i16::weight(weight)).collect();
        let high: Option<Vec<_>> =
            weights.iter().map(|&weight| H::weight(split.weight(weight))).collect();
        let words = Tiles::new(simd.vectors(), geometry, map, &words?, H::GROUP);
        let high = Tiles::new(simd.vectors(), geometry, map, &high?, H::GROUP);
        let ratio = words.steps() / high.steps();
        let activations = Activations::new(mac, map, offset, words.reach());
        let mut wide = Self { split, activations, words, high, ratio, segments: Vec::new() };
        wide.segments = (0..wide.blocks().len()).map(|block| wide.segments(block)).collect();
        Some(wide)
    }

    /// The least rests, and what the offset adds.
    fn start(&self, weights: impl Iterator<Item = i64>) -> i64 {
        weights.map(|weight| self.split.rest(weight)[0] - self.activations.offset * weight).sum()
    }

    fn blocks(&self) -> &[Block] {
        self.words.blocks()
    }

    fn operands<'a>(
        &self,
        simd: InstructionSet,
        input: &'a Words,
        (words, high): &'a mut (Vec<i16>, Vec<H>),
    ) -> (&'a [i16], &'a [H]) {
        let in_place = self.activations.read_in_place(input);
        let Activations { map, offset, .. } = &self.activations;
        let (split, offset) = (self.split, *offset as i32);
        high.resize(map.len(), H::from_raw(split.activation(offset).into()));
        let into = if in_place.is_some() {
            None
        } else {
            words.resize(map.len(), offset as i16);
            Some(&mut words[..])
        };
        simd.run(FillBoth { map, split, offset, input, words: into, high: &mut *high });
        (in_place.unwrap_or(words), &high[..])
    }

    #[inline(always)]
    fn sums(
        &self,
        simd: impl Simd,
        (words, high): (&[i16], &[H]),
        bases: &[usize],
        place: Place,
        [residues, highs]: &mut [Sums; 2],
        sums: &mut Sums<i64>,
    ) {
        let vectors = self.words.blocks()[place.block].vectors;
        let shift = (self.split.shifts[0] + self.split.shifts[1]) & 31;
        for Segment { steps, least } in &self.segments[place.block] {
            let of_words = self.steps_of_words(steps.clone());
            self.words.sums(simd, words, bases, place, of_words, residues);
            self.high.sums(simd, high, bases, place, steps.clone(), highs);
            for v in 0..vectors {
                let least = least[v];
                for p in 0..bases.len() {
                    let (residues, highs) = (&residues.0[p][v], &highs.0[p][v]);
                    let (sums, mut sum) = (&mut sums.0[p][v], [0; LANES]);
                    for n in 0..LANES {
                        let rest = residues[n].wrapping_sub(highs[n] << shift);
                        let rest = rest.wrapping_sub(least[n]) as u32;
                        sum[n] = (i64::from(highs[n]) << shift) + i64::from(rest);
                    }
                    if steps.start > 0 {
                        for n in 0..LANES {
                            sum[n] += sums[n];
                        }
                    }
                    *sums = sum;
                }
            }
        }
    }
}

/// The padded maps of an image's words, where they are not read in place, and of their high bits:
/// row by row, so that a row is fetched once. Work to be compiled per instruction set.
struct FillBoth<'a, H> {
    map: &'a PaddedMap,
    split: Split,
    offset: i32,
    input: &'a Words,
    words: Option<&'a mut [i16]>,
    high: &'a mut [H],
}

impl<H: Operand> Work for FillBoth<'_, H> {
    #[inline(always)]
    fn run<S: Simd>(mut self, _: S) {
        let (split, offset) = (self.split, self.offset);
        let word = |word: i64| (word as i32 + offset) as i16;
        let high = |word: i64| H::from_raw(split.activation(word as i32 + offset).into());
        for y in 0..self.map.rows() {
            if let Some(words) = &mut self.words {
                self.map.fill_row(y, self.input, words, word);
            }
            self.map.fill_row(y, self.input, self.high, high);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// High bits are bytes, and what they leave out of a product lies within the bounds.
        #[test]
        fn rests_lie_within_their_bounds(
            ends in any::<[i16; 2]>(),
            inside in any::<i16>(),
            weights in prop::collection::vec(any::<i16>(), 1..9),
            narrower in 0u32..15,
        ) {
            let [a, b] = ends.map(i64::from);
            let range = [a.min(b), a.max(b)];
            let weights: Vec<i64> = weights.iter().map(|&w| i64::from(w >> narrower)).collect();
            let split = Split::new(range, &weights);
            for x in [a, b, i64::from(inside).clamp(range[0], range[1])] {
                for &w in &weights {
                    let (h, g) = (i64::from(split.activation(x as i32)), split.weight(w));
                    prop_assert!(u8::try_from(h).is_ok() && i8::try_from(g).is_ok());
                    let rest = x * w - ((h * g) << split.shifts.iter().sum::<u32>());
                    let [least, greatest] = split.rest(w);
                    prop_assert!((least..=greatest).contains(&rest));
                }
            }
        }
    }

    /// Words of 16 bits: x = (h − 128) · 256 + l, and 300 = 1 · 256 + 44. The rest is
    /// −128 · 256 · 300 + h · 256 · 44 + l · 300, the second up to 255 · 256 · 44 = 2 872 320, the
    /// third up to 255 · 300 = 76 500.
    #[test]
    fn bounds_follow_by_hand() {
        let split = Split::new([-32_768, 32_767], &[-32_768, 300]);
        assert_eq!((split.shifts, split.base, split.largest), ([8, 8], -128, 255));
        assert_eq!([300, 32_767, -32_768, -1].map(|w| split.weight(w)), [1, 127, -128, 0]);
        assert_eq!(split.rest(300), [-9_830_400, -9_830_400 + 2_872_320 + 76_500]);
    }
}
