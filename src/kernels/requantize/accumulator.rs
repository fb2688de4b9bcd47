//! Accumulators as lanes hold them, of 32 and of 64 bits.

use std::fmt::Debug;

use crate::kernels::dot::{Lanes, Simd};
use crate::kernels::narrow::NarrowCast;
use crate::numeric::{Cast, Overflow};

/// What a lane accumulates in.
pub(crate) trait Accumulator: Copy + Debug + Default + Ord + Send + Sync + 'static {
    /// Sixteen of them in the registers of an instruction set.
    type Lanes<S: Simd>: Lanes<Self, S>;

    /// Bits.
    const BITS: i64;
    /// Smallest and largest.
    const RANGE: [i64; 2];

    /// The low bits of `raw`.
    fn from_raw(raw: i64) -> Self;
    /// The nearest to `raw`.
    fn nearest(raw: i64) -> Self {
        let [least, greatest] = Self::RANGE;
        Self::from_raw(raw.clamp(least, greatest))
    }
    /// As 64 bits.
    fn raw(self) -> i64;
    /// The low bits of the sum.
    fn plus(self, other: Self) -> Self;
    /// The nearest of 32 bits.
    fn saturated(self) -> i32;
    /// The nearest float.
    fn float(self) -> f32;
    /// See [`Shift::new`].
    fn shift(cast: Cast, frac: i32, largest: u128) -> Option<Shift<Self>>;
    /// See [`Shift::round`].
    fn shifted(self, shift: Shift<Self>) -> Self;
}

/// A saturating [`NarrowCast`] on lanes, before it saturates:
/// `(value · 2^left + bias) >> right`.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Shift<A> {
    pub left: A,
    pub right: A,
    pub bias: A,
    /// Added to the bias of negative values.
    pub more_below_zero: A,
    /// 1 if ties go to even words.
    pub even: A,
}

macro_rules! accumulators {
    ($($native:ident $lanes:ty),*) => {$(
        impl Accumulator for $native {
            type Lanes<S: Simd> = $lanes;

            const BITS: i64 = $native::BITS as i64;
            const RANGE: [i64; 2] = [$native::MIN as i64, $native::MAX as i64];

            #[inline(always)]
            fn from_raw(raw: i64) -> Self {
                raw as $native
            }

            #[inline(always)]
            fn raw(self) -> i64 {
                i64::from(self)
            }

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            #[inline(always)]
            fn saturated(self) -> i32 {
                self.max(i32::MIN as $native).min(i32::MAX as $native) as i32
            }

            #[inline(always)]
            fn float(self) -> f32 {
                self as f32
            }

            fn shift(cast: Cast, frac: i32, largest: u128) -> Option<Shift<Self>> {
                Shift::<$native>::new(cast, frac, largest)
            }

            #[inline(always)]
            fn shifted(self, shift: Shift<Self>) -> Self {
                shift.round(self)
            }
        }

        impl Shift<$native> {
            /// For values with `frac` fractional bits and a magnitude of at most `largest`, if the
            /// accumulator holds what happens inside.
            pub fn new(cast: Cast, frac: i32, largest: u128) -> Option<Self> {
                const MOST: u32 = $native::BITS - 2;
                if !matches!(cast.overflow(), Overflow::Saturate | Overflow::SaturateSymmetric) {
                    return None;
                }
                let narrow = NarrowCast::new(cast, frac, largest)?;
                let room = largest.checked_shl(narrow.left)?;
                if narrow.left > MOST || narrow.right > MOST || room > 1 << MOST {
                    return None;
                }
                Some(Self {
                    left: narrow.left as $native,
                    right: narrow.right as $native,
                    bias: narrow.positive as $native,
                    more_below_zero: (narrow.negative - narrow.positive) as $native,
                    even: narrow.even as $native,
                })
            }

            /// The value at the binary point of the word, rounded.
            #[inline(always)]
            pub fn round(self, value: $native) -> $native {
                const MASK: $native = $native::BITS as $native - 1;
                let bias = self.bias + ((value >> MASK) & self.more_below_zero);
                let odd = (value >> (self.right & MASK)) & self.even;
                (value << (self.left & MASK)).wrapping_add(bias + odd) >> (self.right & MASK)
            }
        }
    )*};
}

accumulators!(i32 S::Words, i64 S::Longs);

impl Shift<i32> {
    /// Whether values have the binary point of the words.
    pub fn is_identity(&self) -> bool {
        self.left == 0 && self.right == 0
    }
}
