use fixed::traits::Fixed;
use fixed::types::extra::{U4, U8, U16};
use fixed::{FixedI8, FixedI16, FixedI32, FixedU8, FixedU16};
use num_bigint::BigInt;
use proptest::prelude::*;

use super::*;

fn casts_to(to: Format) -> impl Iterator<Item = Cast> {
    Rounding::ALL.iter().flat_map(move |&rounding| {
        Overflow::ALL.iter().filter_map(move |&overflow| Cast::new(to, rounding, overflow).ok())
    })
}

fn cast(to: &str, rounding: Rounding, overflow: Overflow) -> Cast {
    Cast::new(to.parse().unwrap(), rounding, overflow).unwrap()
}

fn raw_of<T: Fixed<Bits: Into<i128>>>(value: T) -> i128 {
    value.to_bits().into()
}

/// The definitions of `docs/numerics.md` over the integers without bound.
mod definition {
    use super::*;

    fn pow2(exponent: u32) -> BigInt {
        BigInt::from(1) << exponent
    }

    /// Quotient towards minus infinity, and remainder.
    fn div_floor(n: &BigInt, d: &BigInt) -> (BigInt, BigInt) {
        let (q, r) = (n / d, n % d);
        if r < BigInt::ZERO { (q - 1, r + d) } else { (q, r) }
    }

    /// The integer that n/d, d > 0, is rounded to.
    fn round(n: &BigInt, d: &BigInt, rounding: Rounding, random: u64) -> BigInt {
        let half_up = || div_floor(&(n * 2 + d), &(d * 2)).0;
        let half_down = || -div_floor(&(d - n * 2), &(d * 2)).0;
        let negative = *n < BigInt::ZERO;
        match rounding {
            Rounding::Floor => div_floor(n, d).0,
            Rounding::TowardZero => n / d,
            Rounding::HalfUp => half_up(),
            Rounding::HalfDown => half_down(),
            Rounding::HalfAway if negative => half_down(),
            Rounding::HalfAway => half_up(),
            Rounding::HalfTowardZero if negative => half_up(),
            Rounding::HalfTowardZero => half_down(),
            Rounding::HalfEven => {
                let (up, down) = (half_up(), half_down());
                if &up % 2 == BigInt::ZERO { up } else { down }
            }
            Rounding::Stochastic => {
                let (floor, rest) = div_floor(n, d);
                let fraction = (rest << 64) / d;
                if fraction + random >= pow2(64) { floor + 1 } else { floor }
            }
        }
    }

    pub fn apply(cast: Cast, raw: i128, frac: i32, random: u64) -> CastWord {
        let to = cast.to();
        let shift = to.frac() - frac;
        let n = BigInt::from(raw) << shift.max(0);
        let d = pow2((-shift).max(0) as u32);
        let rounded = round(&n, &d, cast.rounding(), random);

        let size = pow2(to.bits());
        let max: BigInt = if to.is_signed() { &size / 2 - 1 } else { &size - 1 };
        let min = match (to.is_signed(), cast.overflow()) {
            (false, _) => BigInt::ZERO,
            (true, Overflow::SaturateSymmetric) => -max.clone(),
            (true, _) => -pow2(to.bits() - 1),
        };
        let signed = |pattern: BigInt| if pattern > max { pattern - &size } else { pattern };
        let overflowed = rounded < min || rounded > max;
        let (deleted, pattern) = div_floor(&rounded, &size);
        let word = match cast.overflow() {
            _ if !overflowed => rounded.clone(),
            Overflow::Wrap => signed(pattern),
            Overflow::Saturate | Overflow::SaturateSymmetric if rounded < min => min,
            Overflow::Saturate | Overflow::SaturateSymmetric => max.clone(),
            Overflow::SaturateZero => BigInt::ZERO,
            Overflow::WrapSignMagnitude => {
                let deleted_bit = div_floor(&deleted, &BigInt::from(2)).1 == BigInt::from(1);
                let sign_bit = pattern > max;
                signed(if deleted_bit == sign_bit { pattern } else { &size - 1 - pattern })
            }
        };
        CastWord {
            raw: word.try_into().unwrap(),
            overflowed,
            underflowed: raw != 0 && rounded == BigInt::ZERO,
        }
    }
}

/// All words of all formats of 1 to 6 bits into each other, the binary points up to 7 apart to
/// the right and 4 to the left, in every mode.
#[test]
fn small_formats_exhaustively() {
    let small =
        || [false, true].into_iter().flat_map(|signed| (1..=6).map(move |bits| (signed, bits)));
    let mut random = 0x0123_4567_89ab_cdef_u64;
    for (to_signed, to_bits) in small() {
        for cast in casts_to(Format::new(to_signed, to_bits, -2).unwrap()) {
            for frac in -6..=5 {
                // Words of the narrower formats are words of these.
                for raw in -32..64 {
                    random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                    let expected = definition::apply(cast, raw, frac, random);
                    assert_eq!(cast.apply(raw, frac, random), expected, "{raw} f{frac} {cast:?}");
                    assert_eq!(
                        cast.apply_wide(raw, frac, random),
                        expected,
                        "{raw} f{frac} {cast:?}"
                    );
                }
            }
        }
    }
}

fn any_format() -> impl Strategy<Value = Format> {
    (any::<bool>(), 1..=64_u32, -512..=512_i32)
        .prop_map(|(signed, bits, frac)| Format::new(signed, bits, frac).unwrap())
}

/// Words of every magnitude, ties among them.
fn any_raw() -> impl Strategy<Value = i128> {
    prop_oneof![
        (any::<i128>(), 0..128_u32).prop_map(|(raw, drop)| raw >> drop),
        (any::<i64>(), 0..64_u32, 0..64_u32)
            .prop_map(|(raw, drop, up)| i128::from(raw >> drop) << up),
        Just(i128::MIN),
        Just(i128::MAX),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_format_and_distance(
        to in any_format(),
        raw in any_raw(),
        distance in prop_oneof![-70..70, -300..300, -1200..1200_i32],
        random: u64,
    ) {
        let frac = to.frac() + distance;
        for cast in casts_to(to) {
            let expected = definition::apply(cast, raw, frac, random);
            prop_assert_eq!(cast.apply(raw, frac, random), expected, "{:?}", cast);
            prop_assert_eq!(cast.apply_wide(raw, frac, random), expected, "{:?}", cast);
            prop_assert!(to.contains(expected.raw));
        }
    }

    #[test]
    fn the_narrow_path_is_the_definition(
        to in any_format(), raw: i64, drop in 0..64_u32, distance in 0..=61_i32, random: u64,
    ) {
        let (raw, frac) = (i128::from(raw >> drop), to.frac() + distance);
        for cast in casts_to(to) {
            if let Some(word) = cast.apply_narrow(raw, frac, random) {
                prop_assert_eq!(word, cast.apply_wide(raw, frac, random), "{:?}", cast);
            }
        }
    }

    #[test]
    fn distances_beyond_i32_are_just_far(to in any_format(), raw in any_raw(), random: u64) {
        for cast in casts_to(to) {
            for (frac, far) in [(i32::MAX, to.frac() + 400), (i32::MIN, to.frac() - 400)] {
                prop_assert_eq!(cast.apply(raw, frac, random), cast.apply(raw, far, random));
            }
        }
    }

    #[test]
    fn thirty_two_bits_as_the_fixed_crate(bits: i32) {
        let value = FixedI32::<U16>::from_bits(bits);
        let word = |to, overflow| cast(to, Rounding::Floor, overflow).apply(bits.into(), 16, 0);
        let (wrapped, overflowed) = FixedI16::<U8>::overflowing_from_num(value);
        let found = word("s16f8", Overflow::Wrap);
        prop_assert_eq!((found.raw, found.overflowed), (raw_of(wrapped), overflowed));
        let signed = word("s16f8", Overflow::Saturate).raw;
        prop_assert_eq!(signed, raw_of(FixedI16::<U8>::saturating_from_num(value)));
        let unsigned = word("u16f8", Overflow::Saturate).raw;
        prop_assert_eq!(unsigned, raw_of(FixedU16::<U8>::saturating_from_num(value)));
    }
}

/// `fixed` rounds to integers within a type; its ties go away from zero or to even.
#[test]
fn sixteen_bits_as_the_fixed_crate() {
    for bits in i16::MIN..=i16::MAX {
        let raw = i128::from(bits);
        let value = FixedI16::<U8>::from_bits(bits);
        let wide = FixedI32::<U8>::from(value);
        let integer =
            |rounding| cast("s16f0", rounding, Overflow::Wrap).apply(raw, 8, 0).raw as i32;
        assert_eq!(integer(Rounding::Floor), wide.floor().to_num::<i32>());
        assert_eq!(integer(Rounding::TowardZero), wide.round_to_zero().to_num::<i32>());
        assert_eq!(integer(Rounding::HalfAway), wide.round().to_num::<i32>());
        assert_eq!(integer(Rounding::HalfEven), wide.round_ties_even().to_num::<i32>());

        let word = |to, overflow| cast(to, Rounding::Floor, overflow).apply(raw, 8, 0).raw;
        let (wrap, saturate) = (Overflow::Wrap, Overflow::Saturate);
        assert_eq!(word("s8f4", wrap), raw_of(FixedI8::<U4>::wrapping_from_num(value)));
        assert_eq!(word("s8f4", saturate), raw_of(FixedI8::<U4>::saturating_from_num(value)));
        assert_eq!(word("u8f4", wrap), raw_of(FixedU8::<U4>::wrapping_from_num(value)));
        assert_eq!(word("u8f4", saturate), raw_of(FixedU8::<U4>::saturating_from_num(value)));
    }
}

/// The examples of `docs/numerics.md`: −2.75 to 2.75 into integers.
#[test]
fn documented_roundings() {
    let check = |rounding, expected: [i128; 9]| {
        let cast = cast("s8f0", rounding, Overflow::Wrap);
        let found = [-11, -10, -6, -5, -2, 2, 5, 6, 10].map(|raw| cast.apply(raw, 2, 0).raw);
        assert_eq!(found, expected, "{rounding}");
    };
    //                              -2.75 -2.5 -1.5 -1.25 -0.5 0.5 1.25 1.5 2.5
    check(Rounding::Floor, [-3, -3, -2, -2, -1, 0, 1, 1, 2]);
    check(Rounding::TowardZero, [-2, -2, -1, -1, 0, 0, 1, 1, 2]);
    check(Rounding::HalfUp, [-3, -2, -1, -1, 0, 1, 1, 2, 3]);
    check(Rounding::HalfDown, [-3, -3, -2, -1, -1, 0, 1, 1, 2]);
    check(Rounding::HalfTowardZero, [-3, -2, -1, -1, 0, 0, 1, 1, 2]);
    check(Rounding::HalfAway, [-3, -3, -2, -1, -1, 1, 1, 2, 3]);
    check(Rounding::HalfEven, [-3, -2, -2, -1, 0, 0, 1, 2, 2]);
}

/// The examples of `docs/numerics.md`: integers into four bits.
#[test]
fn documented_overflows() {
    let check = |to, overflow, expected: [i128; 6]| {
        let cast = cast(to, Rounding::Floor, overflow);
        let found = [-19, -9, -8, 7, 8, 19].map(|raw| cast.apply(raw, 0, 0).raw);
        assert_eq!(found, expected, "{overflow}");
    };
    check("s4f0", Overflow::Wrap, [-3, 7, -8, 7, -8, 3]);
    check("s4f0", Overflow::Saturate, [-8, -8, -8, 7, 7, 7]);
    check("s4f0", Overflow::SaturateZero, [0, 0, -8, 7, 0, 0]);
    check("s4f0", Overflow::SaturateSymmetric, [-7, -7, -7, 7, 7, 7]);
    check("s4f0", Overflow::WrapSignMagnitude, [2, -8, -8, 7, 7, -4]);
    check("u4f0", Overflow::Wrap, [13, 7, 8, 7, 8, 3]);
    check("u4f0", Overflow::Saturate, [0, 0, 0, 7, 8, 15]);
    check("u4f0", Overflow::SaturateZero, [0, 0, 0, 7, 8, 0]);
    check("u4f0", Overflow::SaturateSymmetric, [0, 0, 0, 7, 8, 15]);
}

#[test]
fn disputed_corners_are_refused() {
    let refused =
        |to: &str, rounding, overflow| Cast::new(to.parse().unwrap(), rounding, overflow).is_err();
    assert!(refused("s1f0", Rounding::Floor, Overflow::SaturateSymmetric));
    assert!(!refused("u1f0", Rounding::Floor, Overflow::SaturateSymmetric));
    for &rounding in Rounding::ALL {
        let expected = rounding != Rounding::Floor;
        assert_eq!(refused("s8f0", rounding, Overflow::WrapSignMagnitude), expected);
        assert!(refused("u8f0", rounding, Overflow::WrapSignMagnitude));
    }
}
