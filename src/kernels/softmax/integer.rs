//! Softmax of 8-bit words in integers only: the definition of TFLite's reference kernel, built on
//! gemmlowp's fixed-point exponential and reciprocal.
//!
//! `y = exp((x − max) · scale) / Σ exp((x − max) · scale)` in units of 1/256, saturated at 255.

use std::sync::Arc;

use super::DIFFERENCES;
use crate::error::{Error, Result};
use crate::numeric::{Format, Requantizer, quantize_multiplier};
use crate::tensor::{Word, Words, with_words};

/// Fractional bits of a scaled difference; it has 5 integer bits.
const DIFFERENCE_FRAC: u32 = 26;
/// Integer bits of the sum of exponentials.
const SUM_INTEGER_BITS: u32 = 12;
/// Fractional bits of an output word.
const OUTPUT_FRAC: u32 = 8;

/// The exponentials of one scale.
#[derive(Clone, PartialEq, Debug)]
pub struct IntegerSoftmax {
    /// By max − x: the exponential, 31 fractional bits.
    exponentials: Arc<[i32]>,
}

impl IntegerSoftmax {
    /// For words whose unit is the real value `scale`, which is positive and below 2^25.
    pub fn new(scale: f64) -> Result<Self> {
        let unit = scale * f64::from(1 << DIFFERENCE_FRAC);
        let word32 = Format::new(true, 32, 0)?;
        // Beyond the largest multiplier every difference but 0 is out of reach.
        let unit = unit.min(f64::from(i32::MAX));
        if unit.is_nan() || unit <= 1.0 {
            return Err(Error::new(
                format_args!("scale {scale:e}"),
                "is too small for a softmax of words",
            )
            .remedy("scales from 2^-25 on can be told apart"));
        }
        let (multiplier, left) = quantize_multiplier(unit);
        let rescale = Requantizer::multiplier_shift(multiplier, left.min(30), word32)?;
        // Differences down to −31 are kept, as far as the shift keeps them within 32 bits.
        let reach = (31i64 << DIFFERENCE_FRAC) >> left;
        let exponential = |difference: i64| match difference <= reach {
            true => exponential(rescale.apply(-difference, 0).raw as i32),
            false => 0,
        };
        Ok(Self { exponentials: (0..DIFFERENCES).map(exponential).collect() })
    }

    /// The softmax over each pixel's `channels`. The inputs of a pixel lie less than 256 apart, the
    /// outputs are words from 0 to 255.
    pub fn run(&self, channels: usize, input: &Words, output: &mut Words) {
        with_words!(input.buffer(), words => with_words!(output.buffer_mut(), out => {
            for (words, out) in words.chunks(channels).zip(out.chunks_mut(channels)) {
                let largest = words.iter().map(|word| word.raw()).max().unwrap_or(0);
                let of = |word: i64| {
                    self.exponentials.get((largest - word) as usize).copied().unwrap_or(0)
                };
                let sum = words.iter().map(|word| i64::from(divided(of(word.raw()), SUM_INTEGER_BITS)));
                let (reciprocal, exponent) = reciprocal(sum.sum());
                for (slot, word) in out.iter_mut().zip(words) {
                    let share = divided(product(reciprocal, of(word.raw())), exponent);
                    *slot = Word::from_raw(i64::from(share).min((1 << OUTPUT_FRAC) - 1));
                }
            }
        }));
    }
}

/// exp(x) with 31 fractional bits, x ≤ 0 having [`DIFFERENCE_FRAC`]: a polynomial of degree 4
/// around −1/8 for the rest modulo 1/4, then a factor exp(−2^k) for each bit from 2^−2 to 2^4.
fn exponential(x: i32) -> i32 {
    /// 2^31 · exp(−2^k), k from −2.
    const FACTORS: [i32; 7] = [1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242];
    /// 2^31 · exp(−1/8).
    const MIDDLE: i32 = 1895147668;
    /// 2^31 / 3.
    const THIRD: i32 = 715827883;
    const QUARTER: i32 = 1 << (DIFFERENCE_FRAC - 2);
    if x == 0 {
        return i32::MAX;
    }
    let rest = (x & (QUARTER - 1)) - QUARTER;
    let t = (rest << (31 - DIFFERENCE_FRAC)) + (1 << 28);
    let square = product(t, t);
    let cube = product(square, t);
    let fourth = divided(product(square, square), 2);
    let tail = divided(product(fourth + cube, THIRD) + square, 1);
    let start = MIDDLE + product(MIDDLE, t + tail);
    let whole = rest - x;
    (FACTORS.iter().enumerate())
        .filter(|(bit, _)| whole & (QUARTER << bit) != 0)
        .fold(start, |result, (_, &factor)| product(result, factor))
}

/// The reciprocal of a sum with [`SUM_INTEGER_BITS`] integer bits, at least 1, scaled to 1/2..1 with
/// 31 fractional bits, and the shift by which a product with it becomes an output word. Three steps
/// of Newton and Raphson from 48/17 − 32/17 · d.
fn reciprocal(sum: i64) -> (i32, u32) {
    /// 2^29 · 48/17 and 2^29 · −32/17.
    const START: (i32, i32) = (1515870810, -1010580540);
    let sum = sum.clamp(1, i32::MAX.into()) as u32;
    let headroom = sum.leading_zeros();
    let exponent = SUM_INTEGER_BITS + 31 - OUTPUT_FRAC - headroom.min(SUM_INTEGER_BITS);
    // Half of the sum scaled to 1..2; adding 1 and halving rounds up.
    let fraction = i64::from(sum << headroom) - (1 << 31);
    let half = ((fraction + i64::from(i32::MAX) + 1) >> 1) as i32;
    let mut x = START.0 + product(half, START.1);
    for _ in 0..3 {
        let error = (1 << 29) - product(half, x);
        x += product(x, error).saturating_mul(4);
    }
    (x.saturating_mul(2), exponent)
}

/// `a · b · 2^−31`, halves up, saturated.
fn product(a: i32, b: i32) -> i32 {
    let product = (i64::from(a) * i64::from(b) + (1 << 30)) >> 31;
    product.min(i32::MAX.into()) as i32
}

/// `a · 2^−shift`, halves away from zero.
fn divided(a: i32, shift: u32) -> i32 {
    let a = i64::from(a);
    let half = (1i64 << shift) >> 1;
    (if a < 0 { -((half - a) >> shift) } else { (a + half) >> shift }) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::s;

    /// Everywhere near 0, and on a grid down to the last kept difference: gemmlowp's tests allow
    /// 3e-7.
    #[test]
    fn exponentials_are_close() {
        let near = -(1 << 16)..=0;
        let far = (-(31 << DIFFERENCE_FRAC)..0).step_by(4099);
        for x in near.chain(far) {
            let exact = (f64::from(x) / f64::from(1 << DIFFERENCE_FRAC)).exp();
            let found = f64::from(exponential(x)) / 2f64.powi(31);
            assert!((found - exact).abs() < 3e-7, "exp of {x}: {found}, {exact}");
        }
    }

    /// Sums from 1 to 512, the largest of which a word can tell.
    #[test]
    fn reciprocals_are_close() {
        for sum in (1i64 << 19..1 << 28).step_by(65_521) {
            let (found, exponent) = reciprocal(sum);
            let found = f64::from(found) / 2f64.powi(exponent as i32 - 23);
            let exact = 2f64.powi(31) / (sum as f64 / 2f64.powi(19));
            assert!((found / exact - 1.0).abs() < 1e-7, "reciprocal of {sum}: {found}, {exact}");
        }
    }

    /// Against the definition in float64: a word at most 1 away.
    #[test]
    fn words_are_those_of_the_definition_or_their_neighbours() {
        for (scale, channels) in [(0.02, 10), (0.1, 7), (1.0, 3), (0.004, 100)] {
            let words: Vec<i64> = (0..channels).map(|c| (c * 37 + 11) % 256 - 128).collect();
            let largest = *words.iter().max().unwrap();
            let exponentials = words.iter().map(|w| ((w - largest) as f64 * scale).exp());
            let sum: f64 = exponentials.clone().sum();
            let input = Words::from_raw(s(8, 0), words.iter().copied());
            let mut output = Words::zeros(Format::new(false, 8, 0).unwrap(), words.len());
            IntegerSoftmax::new(scale).unwrap().run(words.len(), &input, &mut output);
            for (found, exponential) in output.to_vec().into_iter().zip(exponentials) {
                let exact = (256.0 * exponential / sum).min(255.0);
                assert!((found as f64 - exact).abs() <= 1.0, "{found}, {exact}");
            }
        }
    }

    /// Two equal words share 256: 128 each. A word alone has 256, saturated.
    #[test]
    fn equal_words_have_equal_shares() {
        let input = Words::from_raw(s(8, 0), [5, 5].into_iter());
        let mut output = Words::zeros(Format::new(false, 8, 0).unwrap(), 2);
        let softmax = IntegerSoftmax::new(0.5).unwrap();
        softmax.run(2, &input, &mut output);
        assert_eq!(output.to_vec(), [128, 128]);
        softmax.run(1, &input, &mut output);
        assert_eq!(output.to_vec(), [255, 255]);
    }

    /// Differences of 1 are e^20 apart, or further than any multiplier reaches.
    #[test]
    fn large_scales_leave_the_largest_word() {
        for scale in [20.0, 1e6, 1e30] {
            let input = Words::from_raw(s(8, 0), [-3, 7, 6].into_iter());
            let mut output = Words::zeros(Format::new(false, 8, 0).unwrap(), 3);
            IntegerSoftmax::new(scale).unwrap().run(3, &input, &mut output);
            assert_eq!(output.to_vec(), [0, 255, 0]);
        }
        assert!(IntegerSoftmax::new(1e-9).is_err());
    }
}
