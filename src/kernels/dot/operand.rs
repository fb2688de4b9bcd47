//! Operands of products that are summed in 32 bits, and the tiles that every instruction set
//! multiplies them by.
//!
//! Sums are modular: right whenever the exact sum fits 32 bits, whatever a partial sum does.

#![allow(clippy::needless_range_loop, reason = "plain loops are inlined for any instruction set")]

use std::fmt::Debug;
use std::ops::Range;

use super::lanes::Lanes;
use crate::tensor::Buffer;

/// Output channels of a vector of sums.
pub(crate) const LANES: usize = 16;
/// Vectors side by side in a tile, at most.
pub(crate) const VECTORS: usize = 3;
/// Pixels of a tile, at most.
pub(crate) const PIXELS: usize = 8;

/// One sum for each channel of a vector.
pub(crate) type Vector = [i32; LANES];

/// 16-bit words of as many lanes.
pub(crate) type Halves = [u16; LANES];

/// Bytes of as many lanes, four each.
pub(crate) type Bytes = [u8; 4 * LANES];

/// The sums of a tile: pixel by pixel, vector by vector.
#[derive(Clone, Copy, Default, Debug)]
#[repr(align(64))]
pub(crate) struct Sums<A = i32>(pub [[[A; LANES]; VECTORS]; PIXELS]);

/// An activation as it is multiplied: `u8` by `i8`, `i16` by `i16`.
pub(crate) trait Operand: Copy + Debug + Send + Sync + 'static {
    /// Smallest and largest activation.
    const RANGE: [i64; 2];

    /// The weights that go with it.
    type Weight: Copy + Debug + Default + Send + Sync + 'static;

    /// Neighbours that one step multiplies and sums: those of four bytes.
    const GROUP: usize = 4 / size_of::<Self>();

    /// The words of a buffer, if they are stored as activations are.
    fn slice(buffer: &Buffer) -> Option<&[Self]>;
    /// The activation `raw`, which fits.
    fn from_raw(raw: i64) -> Self;
    /// The weight `raw`, if it fits.
    fn weight(raw: i64) -> Option<Self::Weight>;
    /// The product.
    fn times(self, weight: Self::Weight) -> i32;
}

macro_rules! operands {
    ($($activation:ident $weight:ident $variant:ident),*) => {
        $(impl Operand for $activation {
            type Weight = $weight;

            const RANGE: [i64; 2] = [$activation::MIN as i64, $activation::MAX as i64];

            fn slice(buffer: &Buffer) -> Option<&[Self]> {
                match buffer {
                    Buffer::$variant(words) => Some(words),
                    _ => None,
                }
            }

            #[inline(always)]
            fn from_raw(raw: i64) -> Self {
                raw as $activation
            }

            fn weight(raw: i64) -> Option<$weight> {
                raw.try_into().ok()
            }

            #[inline(always)]
            fn times(self, weight: $weight) -> i32 {
                i32::from(self) * i32::from(weight)
            }
        })*
    };
}

operands!(u8 i8 U8, i16 i16 I16);

/// Distances of the groups of operands from a pixel's base, step by step.
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    offsets: Vec<u32>,
    last: usize,
}

impl Steps {
    /// Steps with these offsets.
    pub fn new(offsets: Vec<u32>) -> Self {
        let last = offsets.iter().max().map_or(0, |&last| last as usize);
        Self { offsets, last }
    }

    /// Number of steps.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// The largest distance.
    pub fn last(&self) -> usize {
        self.last
    }

    /// All of them.
    pub fn all(&self) -> StepRange<'_> {
        StepRange { offsets: &self.offsets, last: self.last }
    }

    /// Some of them.
    #[inline(always)]
    pub fn range(&self, range: Range<usize>) -> StepRange<'_> {
        StepRange { offsets: &self.offsets[range], last: self.last }
    }
}

/// The weights of a tile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights<'a, W> {
    /// `[step][vector][lane][operand of the group]`.
    pub words: &'a [W],
    /// Vectors of a step.
    pub vectors: usize,
    /// Those needed next, which come closer meanwhile where the processor can be asked to.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only AVX-512 is asked"))]
    pub ahead: &'a [W],
}

/// Consecutive [`Steps`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepRange<'a> {
    offsets: &'a [u32],
    last: usize,
}

impl<'a> StepRange<'a> {
    /// The offsets.
    #[inline(always)]
    pub fn offsets(self) -> &'a [u32] {
        self.offsets
    }

    /// The offsets of steps whose groups, from any of `bases`, lie inside of `input`, with weights
    /// for all vectors.
    ///
    /// Panics if any does not.
    #[inline(always)]
    pub fn checked<T: Operand>(
        self,
        input: &[T],
        bases: &[usize],
        Weights { words, vectors, .. }: Weights<'_, T::Weight>,
    ) -> &'a [u32] {
        let base = bases.iter().fold(0, |last, &base| last.max(base));
        assert!(base + self.last + T::GROUP <= input.len(), "operands inside of the map");
        assert!(words.len() >= self.offsets.len() * vectors * LANES * T::GROUP, "all weights");
        self.offsets
    }
}

/// An instruction set.
pub(crate) trait Simd: Copy {
    /// Pixels of its tiles, at most [`PIXELS`].
    const PIXELS: usize;
    /// Vectors of its tiles, at most [`VECTORS`].
    const VECTORS: usize;

    /// Sixteen words in its registers.
    type Words: Lanes<i32, Self>;

    /// Sixteen words of 64 bits in its registers.
    type Longs: Lanes<i64, Self>;

    /// Runs `work` compiled for it, by itself.
    fn run(self, work: impl Work);

    /// For each base the sums, over the steps, of the products of the operands of `input` at
    /// base + offset with the weights.
    ///
    /// Panics if an operand lies outside of `input`, or there are too few weights, or no bases or
    /// vectors, or too many.
    fn tile<T: Operand>(
        self,
        input: &[T],
        bases: &[usize],
        steps: StepRange<'_>,
        weights: Weights<'_, T::Weight>,
        sums: &mut Sums,
    );

    /// Number of ones of each word.
    #[inline(always)]
    fn ones(self, mut words: Halves) -> Halves {
        for n in 0..LANES {
            let word = words[n];
            let pairs = word - (word >> 1 & 0x5555);
            let nibbles = (pairs & 0x3333) + (pairs >> 2 & 0x3333);
            let bytes = (nibbles + (nibbles >> 4)) & 0x0f0f;
            words[n] = (bytes + (bytes >> 8)) & 0x1f;
        }
        words
    }

    /// Number of ones that each byte of each of `words` has in common with that of `word`.
    #[inline(always)]
    fn common(self, word: u32, words: &[u32; LANES]) -> Bytes {
        let mut bytes = [0; 4 * LANES];
        for n in 0..LANES {
            let bits = word & words[n];
            let pairs = bits - (bits >> 1 & 0x5555_5555);
            let nibbles = (pairs & 0x3333_3333) + (pairs >> 2 & 0x3333_3333);
            let ones = ((nibbles + (nibbles >> 4)) & 0x0f0f_0f0f).to_le_bytes();
            for byte in 0..4 {
                bytes[4 * n + byte] = ones[byte];
            }
        }
        bytes
    }

    /// The largest.
    #[inline(always)]
    fn largest(self, bytes: &Bytes) -> u8 {
        let (mut quarter, mut largest) = ([0; LANES], 0);
        for n in 0..LANES {
            let halves = [bytes[n].max(bytes[n + 16]), bytes[n + 32].max(bytes[n + 48])];
            quarter[n] = halves[0].max(halves[1]);
        }
        for n in 0..LANES {
            largest = quarter[n].max(largest);
        }
        largest
    }

    /// Each of `words` shifted left by up to 63 bits, which come from the top of that of `before`.
    #[inline(always)]
    fn shifted(self, before: &[u64; 8], words: &[u64; 8], shift: u32) -> [u64; 8] {
        let mut bits = [0; 8];
        for n in 0..8 {
            bits[n] = shifted(before[n], words[n], shift);
        }
        bits
    }

    /// Bit n is one where byte n, 0 or 1, is.
    #[inline(always)]
    fn nonzero(self, bytes: &Bytes) -> u64 {
        /// Brings bit 0 of byte i to bit i of the last byte.
        const GATHER: u64 = 0x0102_0408_1020_4080;
        let mut bits = 0;
        for byte in 0..8 {
            let b = &bytes[8 * byte..][..8];
            let flags = u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
            bits |= (flags.wrapping_mul(GATHER) >> 56) << (8 * byte);
        }
        bits
    }

    /// The nearest integers, halves to even, of numbers up to ±[`FAR`]; beyond, anything.
    #[inline(always)]
    fn nearest(self, values: &[f32; LANES]) -> Vector {
        let mut rounded = [0; LANES];
        for n in 0..LANES {
            rounded[n] = nearest(values[n]);
        }
        rounded
    }

    /// The low bits of `bits`, one by one, where `mask` has ones; zeros elsewhere.
    #[inline(always)]
    fn deposit(self, bits: u64, mask: u64) -> u64 {
        let (mut bits, mut left, mut deposited) = (bits, mask, 0);
        while left != 0 {
            deposited |= (left & left.wrapping_neg()) * (bits & 1);
            bits >>= 1;
            left &= left - 1;
        }
        deposited
    }
}

/// `word` shifted left by up to 63 bits, which come from the top of `before`.
#[inline(always)]
pub(crate) fn shifted(before: u64, word: u64, shift: u32) -> u64 {
    let shift = shift & 63;
    word << shift | before >> 1 >> (63 - shift)
}

/// Beyond any word that a float requantizer's lanes give.
pub(crate) const FAR: i32 = 1 << 22;

/// The nearest integer, halves to even, of a number, which is held to ±[`FAR`].
///
/// Added to 1.5 · 2^23, whose unit in the last place is 1, a number up to 2^22 is rounded to an
/// integer by the sum itself, whose low bits it is.
#[inline(always)]
pub(crate) fn nearest(value: f32) -> i32 {
    let far = FAR as f32;
    let value = if value > far { far } else { value };
    nearby(if value < -far { -far } else { value })
}

/// The same of a number up to ±[`FAR`].
#[inline(always)]
pub(crate) fn nearby(value: f32) -> i32 {
    const MAGIC: f32 = (3 << 22) as f32;
    (value + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits()) as i32
}

/// Work that is compiled once per instruction set.
pub(crate) trait Work {
    /// Does it; must be `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dot::InstructionSet;

    const NUMBERS: [f32; 16] = [
        0.5,
        -0.5,
        1.5,
        2.5,
        -2.5,
        2_097_151.5,
        4_194_303.5,
        -4_194_303.5,
        4_194_304.0,
        -4_194_304.0,
        5e6,
        -5e6,
        3e9,
        -3e9,
        0.0,
        7.25,
    ];

    #[test]
    fn the_nearest_integer_is_that_of_the_standard_library() {
        for value in (-4000..4000).map(|n| n as f32 / 2.0).chain(NUMBERS) {
            let held = value.clamp(-(FAR as f32), FAR as f32);
            assert_eq!(nearest(value), held.round_ties_even() as i32, "{value}");
        }
    }

    /// What the lanes give, by every instruction set.
    #[test]
    fn lanes_do_what_one_does() {
        struct Lanes;
        impl Work for Lanes {
            fn run<S: Simd>(self, simd: S) {
                let numbers = NUMBERS.map(|n| n.clamp(-FAR as f32, FAR as f32));
                assert_eq!(simd.nearest(&numbers), NUMBERS.map(nearest));
                // Bytes 0x01, 0x03, 0x07 and 0xff of all ones, and of every other bit.
                let ones =
                    simd.common(0xff07_0301, &std::array::from_fn(|n| [!0, 0x5555_5555][n % 2]));
                assert_eq!(ones, std::array::from_fn(|n| [1, 2, 3, 8, 1, 1, 2, 4][n % 8]));
                let set = |n: usize| n.is_multiple_of(3) || n > 60;
                let bits = simd.nonzero(&std::array::from_fn(|n| set(n).into()));
                for most in 0..64 {
                    let bytes = std::array::from_fn(|n| if n == most { 200 } else { n as u8 });
                    assert_eq!(simd.largest(&bytes), 200);
                }
                assert!((0..64).all(|n| (bits >> n & 1 == 1) == set(n)), "{bits:x}");
                // A byte more and a byte less for each word.
                let words = std::array::from_fn(|n| 0x0123_4567_89ab_cdef + n as u64);
                let before = [0xf0e1_0000_0000_0000; 8];
                assert_eq!(simd.shifted(&before, &words, 0), words);
                let expected = std::array::from_fn(|n| 0x2345_6789_abcd_eff0 + ((n as u64) << 8));
                assert_eq!(simd.shifted(&before, &words, 8), expected);
                let expected =
                    std::array::from_fn(|n| 0x7870_8000_0000_0000 | (n as u64 + 1) << 63);
                assert_eq!(simd.shifted(&before, &words, 63), expected);
            }
        }
        InstructionSet::available().into_iter().for_each(|set| set.run(Lanes));
    }
}
