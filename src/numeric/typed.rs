//! Conversions to and from the compile-time types of the `fixed` crate, for the edge of the API.
//! Nothing here rounds or wraps: that is for a cast to do.

use fixed::traits::{Fixed, FixedBits};

use crate::error::{Error, Result};
use crate::numeric::Format;

impl Format {
    /// The format of a `fixed` type; an error for words of more than 64 bits.
    pub fn of<T: Fixed>() -> Result<Self> {
        Self::new(T::Bits::IS_SIGNED, T::Bits::BITS, T::FRAC_NBITS as i32)
    }
}

/// The raw word in `format` of a `fixed` value; an error if `format` does not have that value.
pub fn from_fixed<T: Fixed>(value: T, format: Format) -> Result<i128> {
    let bits = value.to_bits().try_into().ok();
    bits.and_then(|bits| align(bits, T::FRAC_NBITS as i32, format.frac()))
        .filter(|&raw| format.contains(raw))
        .ok_or_else(|| {
            Error::new(value, format_args!("not a value of {format}"))
                .remedy("choose a format that has it, or cast its bits")
        })
}

/// The `fixed` value of a raw word in `format`; an error if the type does not have that value, or
/// `format` not that word.
pub fn to_fixed<T: Fixed>(raw: i128, format: Format) -> Result<T> {
    let subject = format_args!("word {raw} of {format}").to_string();
    if !format.contains(raw) {
        let (min, max) = (format.min(), format.max());
        return Err(Error::new(subject, format_args!("a word lies in {min}..={max}"))
            .remedy("cast it into the format first"));
    }
    let bits = align(raw, format.frac(), T::FRAC_NBITS as i32).and_then(|b| b.try_into().ok());
    bits.map(T::from_bits).ok_or_else(|| {
        let (bits, frac) = (T::Bits::BITS, T::FRAC_NBITS);
        let signed = if T::Bits::IS_SIGNED { "signed" } else { "unsigned" };
        Error::new(
            subject,
            format_args!("not a value of the {signed} {bits}-bit type, {frac} bits fractional"),
        )
        .remedy("choose a type that has it, or cast the word into the type's format first")
    })
}

/// Moves the binary point of `raw` from `from` to `to` fractional bits, if that loses nothing.
fn align(raw: i128, from: i32, to: i32) -> Option<i128> {
    if raw == 0 {
        return Some(0);
    }
    let distance = to.abs_diff(from);
    if to >= from {
        let moved = raw.checked_shl(distance)?;
        (moved >> distance == raw).then_some(moved)
    } else {
        (raw.trailing_zeros() >= distance).then(|| raw >> distance)
    }
}

#[cfg(test)]
mod tests {
    use fixed::types::extra::{U0, U4, U8, U16, U64};
    use fixed::{FixedI8, FixedI16, FixedI128, FixedU8, FixedU32, FixedU64, FixedU128};

    use super::*;

    fn format(text: &str) -> Format {
        text.parse().unwrap()
    }

    #[test]
    fn formats_of_types() {
        assert_eq!(Format::of::<FixedI16<U8>>().unwrap(), format("s16f8"));
        assert_eq!(Format::of::<FixedU8<U0>>().unwrap(), format("u8f0"));
        assert_eq!(Format::of::<FixedU64<U64>>().unwrap(), format("u64f64"));
        assert!(Format::of::<FixedI128<U64>>().is_err());
    }

    #[test]
    fn values_survive_both_ways() {
        for bits in i8::MIN..=i8::MAX {
            let value = FixedI8::<U4>::from_bits(bits);
            for wide in ["s8f4", "s9f5", "s64f40", "s40f4"].map(format) {
                let raw = from_fixed(value, wide).unwrap();
                assert_eq!(wide.value(raw), value.to_num::<f64>());
                assert_eq!(to_fixed::<FixedI8<U4>>(raw, wide).unwrap(), value);
            }
        }
        let top = FixedU64::<U64>::MAX;
        assert_eq!(from_fixed(top, format("u64f64")).unwrap(), i128::from(u64::MAX));
        assert_eq!(to_fixed::<FixedU64<U64>>(i128::from(u64::MAX), format("u64f64")).unwrap(), top);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused =
            |value: f64, text| from_fixed(FixedI16::<U8>::from_num(value), format(text)).is_err();
        assert!(refused(0.5, "s8f0"), "a dropped bit");
        assert!(refused(64.0, "s8f1"), "too large");
        assert!(refused(-1.0, "u8f0"), "a sign");
        assert!(refused(1.0, "s8f512") && refused(1.0, "s8f-512"), "far points");
        assert!(!refused(0.0, "u1f512"));
        assert!(from_fixed(FixedU128::<U0>::MAX, format("u64f0")).is_err());

        assert!(to_fixed::<FixedU8<U0>>(-1, format("s8f0")).is_err());
        assert!(to_fixed::<FixedU8<U0>>(256, format("u9f0")).is_err());
        assert!(to_fixed::<FixedU8<U0>>(1, format("s8f1")).is_err());
        assert!(to_fixed::<FixedU32<U16>>(200, format("s8f0")).is_err(), "not a word");
    }
}
