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
            return Err(Error::new(format, format_args!("a word has 1 to 64 bits, not {bits}"))
                .remedy("choose a width in that range"));
        }
        if !(-Self::MAX_FRAC..=Self::MAX_FRAC).contains(&frac) {
            return Err(Error::new(
                format,
                format_args!("a word has -512 to 512 fractional bits, not {frac}"),
            )
            .remedy("choose a binary point in that range"));
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

    /// The two's complement bits of a raw word, in the low W bits.
    pub fn pattern(self, raw: i128) -> u64 {
        raw as u64 & self.mask()
    }

    /// The raw word of two's complement bits; `None` if they are more than W.
    pub fn raw(self, pattern: u64) -> Option<i128> {
        let unused = 64 - self.bits;
        (pattern <= self.mask()).then(|| {
            if self.signed {
                i128::from((pattern << unused) as i64 >> unused)
            } else {
                i128::from(pattern)
            }
        })
    }

    fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_is_read_and_printed() {
        let check = |text: &str, signed, bits, frac| {
            let format: Format = text.parse().unwrap();
            assert_eq!(format, Format::new(signed, bits, frac).unwrap());
            assert_eq!(format.to_string(), text);
        };
        check("s16f8", true, 16, 8);
        check("u8f0", false, 8, 0);
        check("s8f-2", true, 8, -2);
        check("u1f512", false, 1, 512);
        check("s64f-512", true, 64, -512);
    }

    #[test]
    fn what_is_no_format_is_refused() {
        let malformed = [
            "",
            "s",
            "u8",
            "16f8",
            "s16",
            "s16f",
            "sf8",
            "S16f8",
            "s-8f0",
            "s+8f0",
            "s8f+1",
            "s8f0 ",
            " s8f0",
            "s8f1.5",
            "é8f0",
            "s8f99999999999",
            "i8f0",
        ];
        for text in malformed {
            assert!(text.parse::<Format>().is_err(), "{text:?}");
        }
        let error = |text: &str| format!("{:?}", text.parse::<Format>().unwrap_err());
        assert!(error("s0f0").contains("1 to 64 bits, not 0"));
        assert!(error("u65f0").contains("1 to 64 bits, not 65"));
        assert!(error("s8f513").contains("not 513"));
        assert!(error("s8f-2147483648").contains("not -2147483648"));
    }

    #[test]
    fn ranges_and_values() {
        let check = |text: &str, min, max, step| {
            let format: Format = text.parse().unwrap();
            assert_eq!((format.min(), format.max()), (min, max));
            assert!(format.contains(min) && format.contains(max));
            assert!(!format.contains(min - 1) && !format.contains(max + 1));
            assert_eq!(format.value(1), step);
        };
        check("s1f0", -1, 0, 1.0);
        check("u1f1", 0, 1, 0.5);
        check("s8f-2", -128, 127, 4.0);
        check("u8f10", 0, 255, 1.0 / 1024.0);
        check("s64f63", i64::MIN.into(), i64::MAX.into(), f64::powi(2.0, -63));
        check("u64f0", 0, u64::MAX.into(), 1.0);
    }

    #[test]
    fn patterns_are_twos_complement() {
        let check = |text: &str, raw, pattern| {
            let format: Format = text.parse().unwrap();
            assert_eq!(format.pattern(raw), pattern);
            assert_eq!(format.raw(pattern), Some(raw));
        };
        check("s8f4", -1, 0xff);
        check("s1f0", -1, 1);
        check("u8f4", 255, 0xff);
        check("s12f0", -2048, 0x800);
        check("s64f0", i64::MIN.into(), 1 << 63);
        check("u64f0", u64::MAX.into(), u64::MAX);
        assert_eq!("s8f0".parse::<Format>().unwrap().raw(0x100), None);
        assert_eq!("u1f0".parse::<Format>().unwrap().raw(2), None);
    }

    #[test]
    fn serde_uses_the_short_form() {
        let format: Format = serde_json::from_str("\"s12f-3\"").unwrap();
        assert_eq!(serde_json::to_string(&format).unwrap(), "\"s12f-3\"");
        assert!(serde_json::from_str::<Format>("\"s65f0\"").is_err());
    }
}
