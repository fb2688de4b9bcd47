//! The cast: rounding first, then overflow.

use std::cmp::Ordering;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::numeric::Format;

/// What happens to bits that are dropped on the right.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Towards minus infinity (`AP_TRN`).
    Floor,
    /// Towards zero (`AP_TRN_ZERO`).
    TowardZero,
    /// To nearest, ties towards plus infinity (`AP_RND`).
    HalfUp,
    /// To nearest, ties towards zero (`AP_RND_ZERO`).
    HalfTowardZero,
    /// To nearest, ties away from zero (`AP_RND_INF`).
    HalfAway,
    /// To nearest, ties towards minus infinity (`AP_RND_MIN_INF`).
    HalfDown,
    /// To nearest, ties to the even word (`AP_RND_CONV`).
    HalfEven,
    /// Up with a probability equal to the dropped fraction.
    Stochastic,
}

/// What happens to a word that is out of range after rounding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// Keep the low bits (`AP_WRAP`).
    Wrap,
    /// The nearest word in range (`AP_SAT`).
    Saturate,
    /// Zero (`AP_SAT_ZERO`).
    SaturateZero,
    /// The nearest word of a range symmetric about zero (`AP_SAT_SYM`).
    SaturateSymmetric,
    /// Wrap that keeps the sign of the lowest deleted bit (`AP_WRAP_SM`).
    WrapSignMagnitude,
}

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

impl AddAssign for Events {
    fn add_assign(&mut self, other: Self) {
        self.wrapped += other.wrapped;
        self.saturated += other.saturated;
        self.underflowed += other.underflowed;
    }
}

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
    /// but `floor`.
    pub fn new(to: Format, rounding: Rounding, overflow: Overflow) -> Result<Self> {
        if overflow == Overflow::SaturateSymmetric && to.is_signed() && to.bits() == 1 {
            return Err(Error::new(
                to,
                "saturate_symmetric is not defined on a signed one-bit word",
            )
            .remedy("use saturate, or a word of two bits"));
        }
        if overflow == Overflow::WrapSignMagnitude && rounding != Rounding::Floor {
            return Err(Error::new(to, "wrap_sign_magnitude is defined with floor rounding only")
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
    pub fn apply(self, raw: i128, frac: i32, random: u64) -> CastWord {
        let shift = self.to.frac() - frac;
        if shift >= 0 {
            // An exact left shift; beyond i128 only the sign and the low bits matter.
            let shift = shift as u32;
            let fits = raw == 0 || shift < raw.unsigned_abs().leading_zeros();
            let low = if shift < 128 { raw << shift } else { 0 };
            return self.fit(low, fits, raw < 0, false);
        }
        let rounded = round(raw, shift.unsigned_abs(), self.rounding, random);
        self.fit(rounded, true, rounded < 0, raw != 0 && rounded == 0)
    }

    /// Brings a rounded integer into range. `low` holds its low bits, and all of it if `exact`.
    fn fit(self, low: i128, exact: bool, negative: bool, underflowed: bool) -> CastWord {
        let (min, max) = (self.lowest(), self.to.max());
        if exact && (min..=max).contains(&low) {
            return CastWord { raw: low, overflowed: false, underflowed };
        }
        let raw = match self.overflow {
            Overflow::Wrap => self.wrap(low),
            Overflow::Saturate | Overflow::SaturateSymmetric => {
                if negative {
                    min
                } else {
                    max
                }
            }
            Overflow::SaturateZero => 0,
            Overflow::WrapSignMagnitude => {
                let bits = self.to.bits();
                let flip = self.to.is_signed() && (low >> bits ^ low >> (bits - 1)) & 1 == 1;
                self.wrap(if flip { !low } else { low })
            }
        };
        CastWord { raw, overflowed: true, underflowed }
    }

    /// Smallest word that this cast can give by saturation.
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

/// Drops `bits` ≥ 1 bits of `raw`.
fn round(raw: i128, bits: u32, rounding: Rounding, random: u64) -> i128 {
    let floor = raw >> bits.min(127);
    let dropped = if bits < 128 { raw as u128 & ((1 << bits) - 1) } else { raw as u128 };
    if dropped == 0 {
        return floor;
    }
    let negative = raw < 0;
    let versus_half = || match bits {
        1..=128 => dropped.cmp(&(1 << (bits - 1))),
        _ if negative => Ordering::Greater,
        _ => Ordering::Less,
    };
    let up = match rounding {
        Rounding::Floor => false,
        Rounding::TowardZero => negative,
        Rounding::HalfUp => versus_half().is_ge(),
        Rounding::HalfTowardZero => match versus_half() {
            Ordering::Equal => negative,
            other => other.is_gt(),
        },
        Rounding::HalfAway => match versus_half() {
            Ordering::Equal => !negative,
            other => other.is_gt(),
        },
        Rounding::HalfDown => versus_half().is_gt(),
        Rounding::HalfEven => match versus_half() {
            Ordering::Equal => floor & 1 == 1,
            other => other.is_gt(),
        },
        Rounding::Stochastic => {
            let fraction = match bits {
                1..=64 => (dropped << (64 - bits)) as u64,
                65..=128 => (dropped >> (bits - 64)) as u64,
                _ if negative => u64::MAX,
                _ => 0,
            };
            fraction.checked_add(random).is_none()
        }
    };
    floor + i128::from(up)
}
