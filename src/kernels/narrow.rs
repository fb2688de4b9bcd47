//! Casts of values that are known to be small enough for 64-bit arithmetic: the same words as
//! [`Cast::apply`], one value or a vector of lanes at a time.

#![allow(clippy::needless_range_loop, reason = "lanes of several arrays are indexed in step")]

use crate::kernels::events::wraps;
#[cfg(test)]
use crate::numeric::CastWord;
use crate::numeric::{Cast, Format, Overflow, Rounding};

/// Lanes that are processed together.
pub(crate) type Lanes<const N: usize> = [i64; N];

/// A deterministic cast from a known binary point of values of bounded magnitude.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct NarrowCast {
    cast: Cast,
    /// Bits that a value is shifted to the left, and then to the right.
    pub left: u32,
    pub right: u32,
    /// Added before the right shift, to values that are not negative and to negative ones; and 1
    /// if a tie goes up from an odd word.
    pub positive: i64,
    pub negative: i64,
    pub even: i64,
    low: i64,
    high: i64,
}

impl NarrowCast {
    /// The cast of values with `frac` fractional bits and a magnitude of at most `largest`;
    /// `None` if 64 bits do not hold what happens inside, or if the rounding is stochastic.
    pub fn new(cast: Cast, frac: i32, largest: u128) -> Option<Self> {
        let shift = cast.to().frac() - frac;
        let (left, right) = (shift.max(0) as u32, (-shift).max(0) as u32);
        let room = largest.checked_shl(left).filter(|r| r >> left == largest)?;
        if left > 61 || right > 61 || room >= 1 << 62 {
            return None;
        }
        let (half, ones) = if right == 0 { (0, 0) } else { (1 << (right - 1), (1 << right) - 1) };
        let below = (half - 1).max(0);
        let (positive, negative, even) = match cast.rounding() {
            Rounding::Floor => (0, 0, 0),
            Rounding::TowardZero => (0, ones, 0),
            Rounding::HalfUp => (half, half, 0),
            Rounding::HalfDown => (below, below, 0),
            Rounding::HalfTowardZero => (below, half, 0),
            Rounding::HalfAway => (half, below, 0),
            Rounding::HalfEven => (below, below, i64::from(right > 0)),
            Rounding::Stochastic if right == 0 => (0, 0, 0),
            Rounding::Stochastic => return None,
        };
        let lowest = match cast.overflow() {
            Overflow::SaturateSymmetric if cast.to().is_signed() => -cast.to().max(),
            _ => cast.to().min(),
        };
        Some(Self {
            cast,
            left,
            right,
            positive,
            negative,
            even,
            low: i64::try_from(lowest).ok()?,
            high: i64::try_from(cast.to().max()).ok()?,
        })
    }

    #[inline(always)]
    fn round(&self, value: i64) -> i64 {
        let bias = if value < 0 { self.negative } else { self.positive };
        let odd = (value >> self.right) & self.even;
        ((value << self.left) + bias + odd) >> self.right
    }

    /// Casts one value.
    #[inline(always)]
    #[cfg(test)]
    pub fn apply(&self, value: i64) -> CastWord {
        let (mut values, mut over, mut under) = ([value], [0], [0]);
        self.lanes(&mut values, &mut over, &mut under);
        CastWord { raw: values[0].into(), overflowed: over[0] != 0, underflowed: under[0] != 0 }
    }

    /// Casts all lanes; sets `over` and `under` to 1 where a word overflowed or underflowed.
    #[inline(always)]
    pub fn lanes<const N: usize>(
        &self,
        values: &mut Lanes<N>,
        over: &mut Lanes<N>,
        under: &mut Lanes<N>,
    ) {
        let mut rounded = [0; N];
        let mut outside = 0;
        for n in 0..N {
            let r = self.round(values[n]);
            let out = i64::from(r < self.low) | i64::from(r > self.high);
            over[n] |= out;
            under[n] |= i64::from(values[n] != 0) & i64::from(r == 0);
            outside |= out;
            rounded[n] = r;
        }
        if outside == 0 {
            *values = rounded;
        } else {
            self.fit(values, &rounded);
        }
    }

    #[inline(always)]
    fn fit<const N: usize>(&self, values: &mut Lanes<N>, rounded: &Lanes<N>) {
        match self.cast.overflow() {
            Overflow::Saturate | Overflow::SaturateSymmetric => {
                for n in 0..N {
                    values[n] = rounded[n].max(self.low).min(self.high);
                }
            }
            Overflow::SaturateZero => {
                for n in 0..N {
                    let inside = (self.low..=self.high).contains(&rounded[n]);
                    values[n] = if inside { rounded[n] } else { 0 };
                }
            }
            Overflow::Wrap => {
                let unused = 64 - self.cast.to().bits();
                let signed = self.cast.to().is_signed();
                for n in 0..N {
                    let top = rounded[n] << unused;
                    values[n] = if signed { top >> unused } else { (top as u64 >> unused) as i64 };
                }
            }
            Overflow::WrapSignMagnitude => {
                let frac = self.cast.to().frac();
                for n in 0..N {
                    values[n] = self.cast.apply(rounded[n].into(), frac, 0).raw as i64;
                }
            }
        }
    }

    /// Whether words out of range keep their low bits.
    pub fn wraps(&self) -> bool {
        wraps(self.cast.overflow())
    }

    /// Smallest and largest word.
    pub fn range(&self) -> (i64, i64) {
        (self.low, self.high)
    }
}

/// Largest magnitude of a word of `format`.
pub(crate) fn magnitude(format: Format) -> u128 {
    format.max().max(-format.min()).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::testing::{casts, deterministic};

    proptest! {
        #[test]
        fn equal_to_the_cast(
            cast in casts(1..=63).prop_filter("deterministic", deterministic),
            shift in -40i32..20,
            value in any::<i64>(),
            narrower in 2u32..63,
        ) {
            let value = value >> narrower;
            let frac = cast.to().frac() + shift;
            let largest = u128::from(value.unsigned_abs());
            let Some(narrow) = NarrowCast::new(cast, frac, largest) else {
                return Ok(());
            };
            prop_assert_eq!(narrow.apply(value), cast.apply(value.into(), frac, 0));
        }
    }
}
