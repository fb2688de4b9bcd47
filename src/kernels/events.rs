//! What happened to output words on their way, by site.

use std::ops::AddAssign;

use crate::numeric::{Events, Overflow};

/// Overflow and underflow of output words, by site.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SiteEvents {
    /// Casts of incoming words before the multipliers.
    pub activations: Events,
    /// Output words of which any product overflowed or underflowed.
    pub product: Events,
    /// Output words whose accumulator overflowed (saturating: any step saturated, the bias's cast
    /// included; wrapping: the exact total lies outside the range) or underflowed in any step.
    pub accumulator: Events,
    /// Output casts.
    pub output: Events,
    /// Largest magnitude of the exact total of an output word seen, in raw words of the
    /// accumulator, rounded down: what the accumulator would have had to hold.
    pub largest_accumulator: u64,
}

impl AddAssign for SiteEvents {
    fn add_assign(&mut self, other: Self) {
        self.activations += other.activations;
        self.product += other.product;
        self.accumulator += other.accumulator;
        self.output += other.output;
        self.largest_accumulator = self.largest_accumulator.max(other.largest_accumulator);
    }
}

/// Whether words out of range keep their low bits under `overflow`, rather than saturate.
pub(crate) fn wraps(overflow: Overflow) -> bool {
    matches!(overflow, Overflow::Wrap | Overflow::WrapSignMagnitude)
}

/// Adds `overflowed` words out of range under `overflow`, and `underflowed` words.
pub(crate) fn count(events: &mut Events, overflow: Overflow, overflowed: u64, underflowed: u64) {
    if wraps(overflow) {
        events.wrapped += overflowed;
    } else {
        events.saturated += overflowed;
    }
    events.underflowed += underflowed;
}
