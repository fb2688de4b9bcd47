//! Sixteen lanes as an instruction set holds them.
//!
//! Loops over arrays do for most work; where several arrays are carried from step to step, the
//! compiler does not always keep them whole.

#![allow(clippy::needless_range_loop, reason = "plain loops are inlined for any instruction set")]

use super::operand::{LANES, Simd};

/// Lanes of integers `A` of 32 or 64 bits; arithmetic is modular.
pub(crate) trait Lanes<A, S: Simd>: Copy {
    /// The lanes of an array.
    fn load(simd: S, lanes: &[A; LANES]) -> Self;
    /// As an array.
    fn array(self) -> [A; LANES];
    /// The sums.
    fn plus(self, other: Self) -> Self;
    /// The common bits.
    fn and(self, other: Self) -> Self;
    /// The smaller of two.
    fn lesser(self, other: Self) -> Self;
    /// The larger of two.
    fn greater(self, other: Self) -> Self;
    /// Shifted to the left by fewer bits than a lane has.
    fn shifted_left(self, bits: Self) -> Self;
    /// Shifted to the right by fewer bits than a lane has, the sign repeated.
    fn shifted_right(self, bits: Self) -> Self;
    /// Whether any lane exceeds that of `other`.
    fn exceeds(self, other: Self) -> bool;
    /// The nearest of 32 bits.
    fn saturated(self, simd: S) -> S::Words;
    /// Each number in float32 times its scale, the nearest integer, halves to even, up to
    /// ±[`FAR`](super::FAR); beyond, anything.
    fn scaled(self, simd: S, scales: &[f32; LANES]) -> S::Words;
    /// `count`, and one more in each lane that is not zero here and is in `after`.
    fn vanished(self, simd: S, after: S::Words, count: S::Words) -> S::Words;
}

/// Lanes in an array.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain<A>([A; LANES]);

macro_rules! plain {
    ($($native:ident),*) => {$(
        impl Plain<$native> {
            #[inline(always)]
            fn with(mut self, other: Self, of: impl Fn($native, $native) -> $native) -> Self {
                for n in 0..LANES {
                    self.0[n] = of(self.0[n], other.0[n]);
                }
                self
            }
        }

        impl<S: Simd> Lanes<$native, S> for Plain<$native> {
            #[inline(always)]
            fn load(_: S, lanes: &[$native; LANES]) -> Self {
                Self(*lanes)
            }

            #[inline(always)]
            fn array(self) -> [$native; LANES] {
                self.0
            }

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.with(other, $native::wrapping_add)
            }

            #[inline(always)]
            fn and(self, other: Self) -> Self {
                self.with(other, |a, b| a & b)
            }

            #[inline(always)]
            fn lesser(self, other: Self) -> Self {
                self.with(other, $native::min)
            }

            #[inline(always)]
            fn greater(self, other: Self) -> Self {
                self.with(other, $native::max)
            }

            #[inline(always)]
            fn shifted_left(self, bits: Self) -> Self {
                self.with(bits, |a, bits| a << (bits & ($native::BITS as $native - 1)))
            }

            #[inline(always)]
            fn shifted_right(self, bits: Self) -> Self {
                self.with(bits, |a, bits| a >> (bits & ($native::BITS as $native - 1)))
            }

            #[inline(always)]
            fn exceeds(self, other: Self) -> bool {
                let mut exceeds = false;
                for n in 0..LANES {
                    exceeds |= self.0[n] > other.0[n];
                }
                exceeds
            }

            #[inline(always)]
            fn saturated(self, simd: S) -> S::Words {
                let mut words = [0; LANES];
                for n in 0..LANES {
                    words[n] = self.0[n].max(i32::MIN.into()).min(i32::MAX.into()) as i32;
                }
                S::Words::load(simd, &words)
            }

            #[inline(always)]
            fn scaled(self, simd: S, scales: &[f32; LANES]) -> S::Words {
                let mut products = [0.0; LANES];
                for n in 0..LANES {
                    products[n] = self.0[n] as f32 * scales[n];
                }
                S::Words::load(simd, &simd.nearest(&products))
            }

            #[inline(always)]
            fn vanished(self, simd: S, after: S::Words, count: S::Words) -> S::Words {
                let (after, mut count) = (after.array(), count.array());
                for n in 0..LANES {
                    count[n] += i32::from((self.0[n] != 0) & (after[n] == 0));
                }
                S::Words::load(simd, &count)
            }
        }
    )*};
}

plain!(i32, i64);
