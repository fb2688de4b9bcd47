//! Strategies and small networks for the tests of this room.

use std::ops::RangeInclusive;

use proptest::prelude::*;

use crate::numeric::{Cast, Format, Overflow, Rounding};

pub(crate) const ROUNDINGS: [Rounding; 8] = [
    Rounding::Floor,
    Rounding::TowardZero,
    Rounding::HalfUp,
    Rounding::HalfTowardZero,
    Rounding::HalfAway,
    Rounding::HalfDown,
    Rounding::HalfEven,
    Rounding::Stochastic,
];

pub(crate) const OVERFLOWS: [Overflow; 5] = [
    Overflow::Wrap,
    Overflow::Saturate,
    Overflow::SaturateZero,
    Overflow::SaturateSymmetric,
    Overflow::WrapSignMagnitude,
];

/// Casts into signed or unsigned formats of `bits`.
pub(crate) fn casts(bits: RangeInclusive<u32>) -> impl Strategy<Value = Cast> {
    let modes = (prop::sample::select(&ROUNDINGS), prop::sample::select(&OVERFLOWS));
    (any::<bool>(), bits, -4i32..12, modes).prop_filter_map(
        "a corner that is refused",
        |(signed, bits, frac, (rounding, overflow))| {
            Cast::new(Format::new(signed, bits, frac).ok()?, rounding, overflow).ok()
        },
    )
}

/// Whether a cast never draws a random number.
pub(crate) fn deterministic(cast: &Cast) -> bool {
    cast.rounding() != Rounding::Stochastic
}
