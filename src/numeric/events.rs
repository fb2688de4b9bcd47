//! Counters of what casts did to words.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::numeric::{CastWord, Overflow};

/// How often words wrapped, saturated, or underflowed (a nonzero value became zero by rounding).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Events {
    /// Words out of range that wrapped.
    pub wrapped: u64,
    /// Words out of range that saturated.
    pub saturated: u64,
    /// Nonzero values that rounding made zero.
    pub underflowed: u64,
}

impl Events {
    /// Records a word from a cast with this overflow mode.
    #[inline]
    pub fn count(&mut self, word: CastWord, overflow: Overflow) {
        let overflowed = u64::from(word.overflowed);
        match overflow {
            Overflow::Wrap | Overflow::WrapSignMagnitude => self.wrapped += overflowed,
            Overflow::Saturate | Overflow::SaturateZero | Overflow::SaturateSymmetric => {
                self.saturated += overflowed;
            }
        }
        self.underflowed += u64::from(word.underflowed);
    }
}

impl AddAssign for Events {
    fn add_assign(&mut self, other: Self) {
        self.wrapped += other.wrapped;
        self.saturated += other.saturated;
        self.underflowed += other.underflowed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::{Cast, Rounding};

    #[test]
    fn counts_by_mode() {
        let mut events = Events::default();
        for &overflow in Overflow::ALL {
            let cast = Cast::new("s4f0".parse().unwrap(), Rounding::Floor, overflow).unwrap();
            events.count(cast.apply(7, 0, 0), overflow);
            events.count(cast.apply(8, 0, 0), overflow);
            events.count(cast.apply(1, 1, 0), overflow);
        }
        assert_eq!(events, Events { wrapped: 2, saturated: 3, underflowed: 5 });
        events += events;
        assert_eq!(events, Events { wrapped: 4, saturated: 6, underflowed: 10 });
    }

    #[test]
    fn rounding_down_to_minus_one_is_no_underflow() {
        let cast = Cast::new("s4f0".parse().unwrap(), Rounding::Floor, Overflow::Wrap).unwrap();
        assert!(!cast.apply(-1, 9, 0).underflowed);
        let cast = Cast::new("s4f0".parse().unwrap(), Rounding::HalfUp, Overflow::Wrap).unwrap();
        assert!(cast.apply(-1, 9, 0).underflowed);
    }
}
