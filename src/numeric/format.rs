//! Fixed-point formats and their short form.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Signedness, word width W and fractional bits F. A raw word `r` stands for `r · 2^−F`.
///
/// Written `s16f8` (signed, 16 bits, 8 of them fractional), `u8f0`, `s8f-2`;
/// `ap_fixed<W,I>` is `s{W}f{W−I}`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Format {
    signed: bool,
    bits: u32,
    frac: i32,
}

impl Format {
    /// Widest word in bits.
    pub const MAX_BITS: u32 = 64;
    /// Largest magnitude of the number of fractional bits.
    pub const MAX_FRAC: i32 = 512;

    /// A format of `bits` (1 to 64) of which `frac` are fractional (−512 to 512).
    pub fn new(signed: bool, bits: u32, frac: i32) -> Result<Self> {
        let format = Self { signed, bits, frac };
        if !(1..=Self::MAX_BITS).contains(&bits) {
            return Err(Error::new(format, format_args!("a word has 1 to 64 bits, not {bits}")));
        }
        if frac.abs() > Self::MAX_FRAC {
            return Err(Error::new(
                format,
                format_args!("a word has -512 to 512 fractional bits, not {frac}"),
            ));
        }
        Ok(format)
    }

    /// Whether the words are two's complement (else unsigned).
    pub fn is_signed(self) -> bool {
        self.signed
    }

    /// Word width W in bits.
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// Fractional bits F: a raw word `r` stands for `r · 2^−F`.
    pub fn frac(self) -> i32 {
        self.frac
    }

    /// The same word with another binary point.
    pub fn with_frac(self, frac: i32) -> Result<Self> {
        Self::new(self.signed, self.bits, frac)
    }

    /// Smallest raw word.
    pub fn min(self) -> i128 {
        if self.signed { -(1 << (self.bits - 1)) } else { 0 }
    }

    /// Largest raw word.
    pub fn max(self) -> i128 {
        if self.signed { (1 << (self.bits - 1)) - 1 } else { (1 << self.bits) - 1 }
    }

    /// Whether `raw` is a word of this format.
    pub fn contains(self, raw: i128) -> bool {
        (self.min()..=self.max()).contains(&raw)
    }

    /// The value of a raw word, rounded to the nearest `f64`.
    pub fn value(self, raw: i128) -> f64 {
        raw as f64 * f64::powi(2.0, -self.frac)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}f{}", if self.signed { 's' } else { 'u' }, self.bits, self.frac)
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = || {
            let (signed, rest) = match text.split_at_checked(1)? {
                ("s", rest) => (true, rest),
                ("u", rest) => (false, rest),
                _ => return None,
            };
            let (bits, frac) = rest.split_once('f')?;
            if !bits.bytes().all(|b| b.is_ascii_digit()) || frac.starts_with('+') {
                return None;
            }
            Some((signed, bits.parse().ok()?, frac.parse().ok()?))
        };
        let (signed, bits, frac) = parts().ok_or_else(|| {
            Error::new(format_args!("format `{text}`"), "not of the form s16f8, u8f0 or s8f-2")
                .remedy("write s or u, the width in bits, f, and the number of fractional bits")
        })?;
        Self::new(signed, bits, frac)
    }
}

impl From<Format> for String {
    fn from(format: Format) -> Self {
        format.to_string()
    }
}

impl TryFrom<String> for Format {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}
