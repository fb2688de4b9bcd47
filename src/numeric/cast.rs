//! The cast: rounding first, then overflow.

use std::cmp::Ordering;

use crate::error::{Error, Result};
use crate::numeric::{Format, Overflow, Rounding};

/// A cast into a format, with its rounding and overflow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cast {
    to: Format,
    rounding: Rounding,
    overflow: Overflow,
}

/// The word that a cast gives, and what happened on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CastWord {
    /// The raw word in the target format.
    pub raw: i128,
    /// Whether the value was out of range after rounding.
    pub overflowed: bool,
    /// Whether a nonzero value became zero by rounding.
    pub underflowed: bool,
}

impl Cast {
    /// A cast into `to`. Two corners on which the known implementations disagree are refused:
    /// `saturate_symmetric` on a signed one-bit word, and `wrap_sign_magnitude` with any rounding
    /// but `floor`. So is `wrap_sign_magnitude` on unsigned words, which `ap_fixed` and SystemC
    /// refuse too.
    pub fn new(to: Format, rounding: Rounding, overflow: Overflow) -> Result<Self> {
        if overflow == Overflow::SaturateSymmetric && to.is_signed() && to.bits() == 1 {
            return Err(Error::new(
                to,
                "saturate_symmetric is not defined on a signed one-bit word",
            )
            .remedy("use saturate, or a word of two bits"));
        }
        if overflow == Overflow::WrapSignMagnitude && !to.is_signed() {
            return Err(Error::new(to, "wrap_sign_magnitude is defined on signed words only")
                .remedy("use overflow wrap, or a signed word"));
        }
        if overflow == Overflow::WrapSignMagnitude && rounding != Rounding::Floor {
            return Err(Error::new(
                to,
                format_args!("wrap_sign_magnitude is defined with floor rounding, not {rounding}"),
            )
            .remedy("use floor, or overflow wrap"));
        }
        Ok(Self { to, rounding, overflow })
    }

    /// The target format.
    pub fn to(self) -> Format {
        self.to
    }

    /// The rounding of dropped bits.
    pub fn rounding(self) -> Rounding {
        self.rounding
    }

    /// The handling of words out of range.
    pub fn overflow(self) -> Overflow {
        self.overflow
    }

    /// Casts the exact value `raw · 2^−frac`. `random` decides stochastic rounding (uniform over
    /// all 64-bit words) and is ignored by the other modes.
    #[inline]
    pub fn apply(self, raw: i128, frac: i32, random: u64) -> CastWord {
        self.apply_narrow(raw, frac, random).unwrap_or_else(|| self.apply_wide(raw, frac, random))
    }

    /// The definition, for any word and any distance between the binary points.
    fn apply_wide(self, raw: i128, frac: i32, random: u64) -> CastWord {
        let shift = self.to.frac().saturating_sub(frac);
        if shift >= 0 {
            // Beyond i128, only the sign and the low bits matter.
            let shift = shift.unsigned_abs();
            let fits = raw == 0 || shift < raw.unsigned_abs().leading_zeros();
            let low = if shift < 128 { raw << shift } else { 0 };
            return self.fit(low, fits, raw < 0, false);
        }
        let rounded = round(raw, shift.unsigned_abs(), self.rounding, random);
        self.fit(rounded, true, rounded < 0, raw != 0 && rounded == 0)
    }

    /// The same in 64-bit arithmetic, for words below 2^62 in magnitude that move to the right by
    /// at most 61 bits into a word below 2^63: rounding is one addition before the shift.
    #[inline]
    fn apply_narrow(self, raw: i128, frac: i32, random: u64) -> Option<CastWord> {
        let shift = frac.wrapping_sub(self.to.frac()) as u32;
        let value_bits = self.to.bits() - u32::from(self.to.is_signed());
        let word = raw as i64;
        let narrow = i128::from(word) == raw && word.unsigned_abs() < 1 << 62;
        if !narrow || shift > 61 || value_bits > 63 {
            return None;
        }
        let rounded = round_narrow(word, shift, self.rounding, random);
        let underflowed = rounded == 0 && word != 0;
        let max = i64::MAX >> (63 - value_bits);
        let min = match (self.to.is_signed(), self.overflow) {
            (false, _) => 0,
            (true, Overflow::SaturateSymmetric) => -max,
            (true, _) => -max - 1,
        };
        let nearest = rounded.clamp(min, max);
        let overflowed = nearest != rounded;
        let saturates = matches!(self.overflow, Overflow::Saturate | Overflow::SaturateSymmetric);
        if overflowed && !saturates {
            return Some(self.fit(i128::from(rounded), true, rounded < 0, underflowed));
        }
        Some(CastWord { raw: i128::from(nearest), overflowed, underflowed })
    }

    /// Brings a rounded integer into range. `low` holds its low bits, and all of it if `exact`.
    fn fit(self, low: i128, exact: bool, negative: bool, underflowed: bool) -> CastWord {
        let (min, max) = (self.lowest(), self.to.max());
        if exact && (min..=max).contains(&low) {
            return CastWord { raw: low, overflowed: false, underflowed };
        }
        let raw = match self.overflow {
            Overflow::Wrap => self.wrap(low),
            Overflow::Saturate | Overflow::SaturateSymmetric if negative => min,
            Overflow::Saturate | Overflow::SaturateSymmetric => max,
            Overflow::SaturateZero => 0,
            Overflow::WrapSignMagnitude => {
                let bits = self.to.bits();
                let flip = (low >> bits ^ low >> (bits - 1)) & 1 == 1;
                self.wrap(if flip { !low } else { low })
            }
        };
        CastWord { raw, overflowed: true, underflowed }
    }

    /// Smallest word that is in range for this cast.
    fn lowest(self) -> i128 {
        match self.overflow {
            Overflow::SaturateSymmetric if self.to.is_signed() => -self.to.max(),
            _ => self.to.min(),
        }
    }

    fn wrap(self, raw: i128) -> i128 {
        let unused = 128 - self.to.bits();
        if self.to.is_signed() {
            raw << unused >> unused
        } else {
            ((raw as u128) << unused >> unused) as i128
        }
    }
}

/// Drops `bits` ≥ 1 bits of `raw`: the floor, or the next integer if the dropped fraction says so.
fn round(raw: i128, bits: u32, rounding: Rounding, random: u64) -> i128 {
    let floor = raw >> bits.min(127);
    let dropped = if bits < 128 { raw as u128 & ((1 << bits) - 1) } else { raw as u128 };
    if dropped == 0 {
        return floor;
    }
    let negative = raw < 0;
    let versus_half = match bits {
        1..=128 => dropped.cmp(&(1 << (bits - 1))),
        _ if negative => Ordering::Greater,
        _ => Ordering::Less,
    };
    let nearest = |tie_goes_up: bool| match versus_half {
        Ordering::Less => false,
        Ordering::Equal => tie_goes_up,
        Ordering::Greater => true,
    };
    let up = match rounding {
        Rounding::Floor => false,
        Rounding::TowardZero => negative,
        Rounding::HalfUp => nearest(true),
        Rounding::HalfTowardZero => nearest(negative),
        Rounding::HalfAway => nearest(!negative),
        Rounding::HalfDown => nearest(false),
        Rounding::HalfEven => nearest(floor & 1 == 1),
        Rounding::Stochastic => {
            // The fraction in units of 2^−64, rounded down.
            let fraction = match bits {
                1..=64 => (dropped << (64 - bits)) as u64,
                _ => (raw >> (bits - 64).min(127)) as u64,
            };
            fraction.checked_add(random).is_none()
        }
    };
    floor + i128::from(up)
}

/// [`round`] for |`raw`| < 2^62 and `bits` ≤ 61.
#[inline]
fn round_narrow(raw: i64, bits: u32, rounding: Rounding, random: u64) -> i64 {
    if bits == 0 {
        return raw;
    }
    let half = 1_i64 << (bits - 1);
    let negative = i64::from(raw < 0);
    let carry = match rounding {
        Rounding::Floor => 0,
        Rounding::TowardZero => negative * (2 * half - 1),
        Rounding::HalfUp => half,
        Rounding::HalfTowardZero => half - 1 + negative,
        Rounding::HalfAway => half - negative,
        Rounding::HalfDown => half - 1,
        Rounding::HalfEven => half - 1 + (raw >> bits & 1),
        Rounding::Stochastic => (random >> (64 - bits)) as i64,
    };
    (raw + carry) >> bits
}

#[cfg(test)]
mod tests;
