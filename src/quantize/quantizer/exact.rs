//! Floats as the exact dyadic numbers that they are.

use crate::numeric::{Cast, CastWord, Format};

/// The integer m and the exponent e with `value = m · 2^e`, exactly; m is odd or zero. `value` is
/// finite.
pub(super) fn dyadic(value: f64) -> (i64, i32) {
    let bits = value.to_bits();
    let (biased, fraction) = ((bits >> 52 & 0x7ff) as i32, (bits & ((1 << 52) - 1)) as i64);
    let (magnitude, exponent) = match biased {
        0 => (fraction, -1074),
        _ => (fraction | 1 << 52, biased - 1075),
    };
    if magnitude == 0 {
        return (0, 0);
    }
    let zeros = magnitude.trailing_zeros();
    let odd = magnitude >> zeros;
    (if value < 0.0 { -odd } else { odd }, exponent + zeros as i32)
}

/// Casts a finite value: exact until the cast's own rounding.
pub fn cast_value(cast: Cast, value: f64, random: u64) -> CastWord {
    let (mantissa, exponent) = dyadic(value);
    cast.apply(mantissa.into(), -exponent, random)
}

/// The raw word of `value` in `format`, if it is exactly one.
pub(super) fn word_of(format: Format, value: f64) -> Option<i64> {
    let (mantissa, exponent) = dyadic(value);
    if mantissa == 0 {
        return Some(0);
    }
    let shift = exponent + format.frac();
    let fits = (0..64).contains(&shift);
    let raw = fits.then(|| i128::from(mantissa) << shift)?;
    format.contains(raw).then(|| i64::try_from(raw).ok())?
}

/// The narrowest format, of at most 32 bits, that holds the multiples of 2^−`frac` from −`largest`
/// (0 if not `signed`) to `largest` · 2^−`frac`.
pub(super) fn narrowest(signed: bool, largest: u64, frac: i32) -> Option<Format> {
    let bits = 64 - largest.leading_zeros() + u32::from(signed);
    if bits > 32 {
        return None;
    }
    Format::new(signed, bits.max(1 + u32::from(signed)), frac).ok()
}

/// Rounds a magnitude to `bits` significant bits, ties to even.
pub(super) fn significant(value: f64, bits: u32) -> f64 {
    let (mantissa, exponent) = dyadic(value);
    let drop = (64 - mantissa.unsigned_abs().leading_zeros()).saturating_sub(bits);
    let unit = f64::powi(2.0, exponent + drop as i32);
    (value / unit).round_ties_even() * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_dyadic() {
        assert_eq!(dyadic(0.0), (0, 0));
        assert_eq!(dyadic(6.0), (3, 1));
        assert_eq!(dyadic(-0.625), (-5, -3));
        assert_eq!(dyadic(f64::from_bits(1)), (1, -1074));
        for value in [1.1, -3.7e-9, 1e300, f64::MIN_POSITIVE] {
            let (mantissa, exponent) = dyadic(value);
            let (half, rest) = (exponent / 2, exponent - exponent / 2);
            assert_eq!(mantissa as f64 * 2f64.powi(half) * 2f64.powi(rest), value);
        }
    }

    #[test]
    fn words_are_exact_or_none() {
        let format = Format::new(true, 8, 2).unwrap();
        assert_eq!(word_of(format, -32.0), Some(-128));
        assert_eq!(word_of(format, 31.75), Some(127));
        assert_eq!(word_of(format, 32.0), None);
        assert_eq!(word_of(format, 0.125), None);
        assert_eq!(word_of(format, 1e300), None);
    }

    #[test]
    fn narrowest_formats() {
        let text = |signed, largest| narrowest(signed, largest, 3).map(|f| f.to_string());
        assert_eq!(text(true, 1).unwrap(), "s2f3");
        assert_eq!(text(true, 127).unwrap(), "s8f3");
        assert_eq!(text(true, 128).unwrap(), "s9f3");
        assert_eq!(text(false, 255).unwrap(), "u8f3");
        assert_eq!(text(true, 0).unwrap(), "s2f3");
        assert_eq!(text(true, 1 << 31), None);
        assert_eq!(text(false, u64::from(u32::MAX)).unwrap(), "u32f3");
    }

    #[test]
    fn significant_bits() {
        assert_eq!(significant(11.0, 3), 12.0); // 1011 between 1010 and 1100, tie to even
        assert_eq!(significant(9.0, 3), 8.0);
        assert_eq!(significant(0.3, 1), 0.25);
        assert_eq!(significant(5.0, 24), 5.0);
        assert_eq!(significant(0.0, 2), 0.0);
    }
}
