use proptest::prelude::*;

use super::*;

fn format(text: &str) -> Format {
    text.parse().unwrap()
}

fn saturating(text: &str) -> Cast {
    Cast::new(format(text), Rounding::HalfEven, Overflow::Saturate).unwrap()
}

/// gemmlowp's definitions, in its own steps, on 32-bit words.
mod gemmlowp {
    pub fn saturating_rounding_doubling_high_mul(a: i32, b: i32) -> i32 {
        if a == b && a == i32::MIN {
            return i32::MAX;
        }
        let product = i64::from(a) * i64::from(b);
        let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
        ((product + nudge) / (1 << 31)) as i32
    }

    pub fn rounding_divide_by_pot(x: i32, exponent: u32) -> i32 {
        let mask = ((1_i64 << exponent) - 1) as i32;
        let remainder = x & mask;
        let threshold = (mask >> 1) + i32::from(x < 0);
        (x >> exponent) + i32::from(remainder > threshold)
    }

    pub fn multiply(x: i32, multiplier: i32, shift: i32) -> i32 {
        let left = shift.max(0) as u32;
        let high = saturating_rounding_doubling_high_mul(x * (1 << left), multiplier);
        rounding_divide_by_pot(high, (-shift).max(0) as u32)
    }
}

proptest! {
    #[test]
    fn multiplier_shift_is_gemmlowp(acc: i32, multiplier in 0..=i32::MAX, shift in -31..=0) {
        let requantizer = Requantizer::multiplier_shift(multiplier, shift, format("s32f0")).unwrap();
        let expected = gemmlowp::multiply(acc, multiplier, shift);
        prop_assert_eq!(requantizer.apply(acc.into(), 0).raw, i128::from(expected));
        let byte = Requantizer::multiplier_shift(multiplier, shift, format("u8f3")).unwrap();
        let word = byte.apply(acc.into(), 0);
        prop_assert_eq!(word.raw, i128::from(expected.clamp(0, 255)));
        prop_assert_eq!(word.overflowed, !(0..=255).contains(&expected));
    }

    #[test]
    fn left_shifts_are_gemmlowp_within_32_bits(
        acc in -(1 << 20)..1 << 20, multiplier in 0..=i32::MAX, shift in 0..=10,
    ) {
        let requantizer = Requantizer::multiplier_shift(multiplier, shift, format("s32f0")).unwrap();
        let expected = gemmlowp::multiply(acc, multiplier, shift);
        prop_assert_eq!(requantizer.apply(acc.into(), 0).raw, i128::from(expected));
    }

    #[test]
    fn ties_of_a_small_shift_are_gemmlowp(acc in -4096..4096_i32, shift in -12..=0) {
        let requantizer = Requantizer::multiplier_shift(1 << 30, shift, format("s32f0")).unwrap();
        let expected = gemmlowp::multiply(acc, 1 << 30, shift);
        prop_assert_eq!(requantizer.apply(acc.into(), 0).raw, i128::from(expected));
    }

    /// frexp: the scale is fraction · 2^exponent; the fraction as 31 bits, rounded.
    #[test]
    fn scales_are_quantized_as_tflite_does(fraction in 0.5..1.0_f64, exponent in -31..=29) {
        let scale = fraction * f64::powi(2.0, exponent);
        let fixed = (fraction * 2_147_483_648.0).round() as i64;
        let expected = if fixed == 1 << 31 { (1 << 30, exponent + 1) } else { (fixed as i32, exponent) };
        prop_assert_eq!(quantize_multiplier(scale), expected);
    }

    /// float32(acc) and its product have 24 bits each; below that everything is exact.
    #[test]
    fn float32_on_powers_of_two_rounds_half_to_even(acc in -(1_i64 << 24)..1 << 24, frac in 0..30) {
        let requantizer = Requantizer::new(RequantizerKind::Float32, frac, saturating("s8f0")).unwrap();
        prop_assert_eq!(requantizer.apply(acc, 0), saturating("s8f0").apply(acc.into(), frac, 0));
    }

    #[test]
    fn shift_is_the_cast(acc: i64, random: u64, acc_frac in -80..80) {
        let output = Cast::new(format("s16f8"), Rounding::Stochastic, Overflow::Wrap).unwrap();
        let requantizer = Requantizer::new(RequantizerKind::Shift, acc_frac, output).unwrap();
        prop_assert_eq!(requantizer.apply(acc, random), output.apply(acc.into(), acc_frac, random));
    }

    #[test]
    fn any_accumulator_gives_a_word_in_range(acc: i64, scale in 1e-30..1e8_f64, bits in 1..=64_u32) {
        for signed in [false, true] {
            let output = Format::new(signed, bits, 0).unwrap();
            let requantizers =
                [Requantizer::scaled(scale, output), Requantizer::float32(scale as f32, output)];
            for requantizer in requantizers {
                prop_assert!(output.contains(requantizer.unwrap().apply(acc, 0).raw));
            }
        }
    }
}

/// The two roundings at work: 5/2 · 1/2 is 1.25, but 5/2 rounds to 3 and 3/2 to 2.
#[test]
fn double_rounding() {
    let check = |acc, expected| {
        let requantizer = Requantizer::multiplier_shift(1 << 30, -1, format("s8f0")).unwrap();
        assert_eq!(requantizer.apply(acc, 0).raw, expected);
    };
    check(5, 2);
    check(4, 1);
    check(3, 1);
    check(1, 1);
    check(-1, 0);
    check(-2, -1);
    check(-3, -1);
}

/// float32(2^24 + 1) is 2^24, a tie that goes to the even mantissa.
#[test]
fn float32_rounds_the_accumulator_first() {
    let requantizer = Requantizer::float32(1.0, format("s32f0")).unwrap();
    assert_eq!(requantizer.apply((1 << 24) + 1, 0).raw, 1 << 24);
    assert_eq!(requantizer.apply((1 << 24) + 3, 0).raw, (1 << 24) + 4);
    let requantizer = Requantizer::float32(0.5, format("s8f0")).unwrap();
    let words: Vec<i128> =
        [1, 3, 5, -1, -3, 255, -300].map(|acc| requantizer.apply(acc, 0).raw).into();
    assert_eq!(words, [0, 2, 2, 0, -2, 127, -128]);
    // 12 582 909 · float32(0.1) = 1258290.9187..., to 1258290.875 in float32, to 1258291.
    let requantizer = Requantizer::float32(0.1, format("s32f0")).unwrap();
    assert_eq!(requantizer.apply(12_582_909, 0).raw, 1_258_291);
}

#[test]
fn an_accumulator_beyond_32_bits_saturates_first() {
    let requantizer = Requantizer::multiplier_shift(1 << 30, -31, format("s8f0")).unwrap();
    let word = requantizer.apply(1 << 40, 0);
    assert_eq!((word.raw, word.overflowed), (1, true));
    let requantizer = Requantizer::multiplier_shift(1 << 30, 30, format("s32f0")).unwrap();
    assert_eq!(requantizer.apply(4, 0).raw, 1 << 30);
    assert!(requantizer.apply(4, 0).overflowed);
    assert_eq!(requantizer.apply(i64::MIN, 0).raw, -(1 << 30));
}

/// From 11 to 8 fractional bits the scale is 2^−3 = 0.5 · 2^−2.
#[test]
fn binary_points_become_scales() {
    let output = saturating("s8f8");
    let new = |kind| Requantizer::new(kind, 11, output).unwrap();
    let multiplier = Requantizer::multiplier_shift(1 << 30, -2, output.to());
    assert_eq!(new(RequantizerKind::MultiplierShift), multiplier.unwrap());
    assert_eq!(new(RequantizerKind::Float32), Requantizer::float32(0.125, output.to()).unwrap());
    for acc in -2000..2000 {
        let expected = output.apply(acc.into(), 11, 0);
        assert_eq!(new(RequantizerKind::Shift).apply(acc, 0), expected);
        assert_eq!(new(RequantizerKind::Float32).apply(acc, 0), expected);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let wrap = Cast::new(format("s8f4"), Rounding::Floor, Overflow::Wrap).unwrap();
    for kind in [RequantizerKind::MultiplierShift, RequantizerKind::Float32] {
        let error = format!("{:?}", Requantizer::new(kind, 8, wrap).unwrap_err());
        assert!(error.contains("wrap") && error.contains("saturate"), "{error}");
        assert!(Requantizer::new(kind, -1000, saturating("s8f512")).is_err());
        assert!(Requantizer::new(kind, i32::MAX, saturating("s8f0")).is_err());
        assert!(Requantizer::new(kind, i32::MIN, saturating("s8f0")).is_err());
    }
    assert!(Requantizer::multiplier_shift(-1, 0, format("s8f0")).is_err());
    assert!(Requantizer::multiplier_shift(1, 31, format("s8f0")).is_err());
    assert!(Requantizer::multiplier_shift(1, -32, format("s8f0")).is_err());
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY, 1.1e9] {
        assert!(Requantizer::scaled(scale, format("s8f0")).is_err(), "{scale}");
    }
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(Requantizer::float32(scale, format("s8f0")).is_err(), "{scale}");
    }
    let zero = Requantizer::scaled(1e-12, format("s8f0")).unwrap();
    assert_eq!(zero.apply(i64::MAX, 0).raw, 0);
}

/// 3 · 1/2 and −3 · 1/2 lie halfway, as 5 · 0.1 does in float64; a scale that is no power of two
/// rounds where the exact product would not: 15 · 0.7 is 10.5 in float64, and the float64 nearest to
/// 0.7 lies below it.
#[test]
fn float64_rounds_half_away() {
    let half = Requantizer::float64(0.5, saturating("s8f0").to()).unwrap();
    assert_eq!([3, -3, 2].map(|acc| half.apply(acc, 0).raw), [2, -2, 1]);
    let fine = Requantizer::float64(0.7, saturating("s8f0").to()).unwrap();
    assert_eq!([15, -15, 1000].map(|acc| fine.apply(acc, 0).raw), [11, -11, 127]);
    assert!(Requantizer::float64(0.0, saturating("s8f0").to()).is_err());
}

/// Products of ONNX Runtime 1.32's `QLinearMul` (u8) of scales 1/4, 1/2 and 1/4 whose halves go to the
/// even stored word: zero points of a, b and y, then a, b and y.
#[test]
fn a_stored_word_is_rounded_with_its_zero_point() {
    let cases = [([95, 115, 253], [212, 114, 194]), ([174, 115, 31], [177, 114, 30])];
    for ([za, zb, zero_point], [a, b, expected]) in cases {
        let output = "s9f0".parse().unwrap();
        let requantizer =
            Requantizer::float32_stored(0.25 * 0.5 / 0.25, zero_point, output).unwrap();
        let word = requantizer.apply((a - za) * (b - zb), 0).raw;
        assert_eq!(word as i64 + zero_point, expected);
    }
}
