//! The quantized operators as LiteRT's reference kernels compute them: integer multipliers and
//! shifts with two roundings, tables for functions, floats where its kernels have them. Formulas:
//! `docs/runtimes.md`.

use super::{Mean, Pooling, Product, Rules};
use crate::error::{Error, Result};
use crate::kernels::elementwise::ScaledSum;
use crate::kernels::pool::Average;
use crate::kernels::softmax::{IntegerSoftmax, Softmax};
use crate::network::Activation;
use crate::numeric::{Format, Requantizer, Rounding, quantize_multiplier};
use crate::quantize::{Affine, Rescale};

/// Bits by which the words of a sum are shifted to the left before they are requantized.
const SUM_SHIFT: u32 = 20;

pub struct TfLite;

impl Rules for TfLite {
    fn rounding(&self) -> Rounding {
        Rounding::HalfAway
    }

    fn rescale(&self, product: Product, a: &Affine, b: &[f32], output: &Affine) -> Result<Rescale> {
        let (a_scale, to, format) = (a.scale(0), output.scale(0), output.centred());
        let exact = |b: f32| f64::from(a_scale) * f64::from(b) / f64::from(to);
        let of = |&b: &f32| match product {
            Product::Dense => Requantizer::float64(exact(b), format),
            Product::Conv if a.stored.is_signed() => Requantizer::scaled(exact(b), format),
            Product::Conv => Requantizer::scaled(f64::from(a_scale * b) / f64::from(to), format),
            Product::Map => Requantizer::scaled((a_scale * b / to).into(), format),
        };
        Ok(Rescale::Requantizers(b.iter().map(of).collect::<Result<_>>()?))
    }

    fn word(&self, value: f32, to: &Affine) -> i64 {
        (value / to.scale(0)).round() as i64
    }

    fn function(&self, function: Activation, word: i64, from: &Affine, to: &Affine) -> Result<i64> {
        let unit = f64::from(from.scale(0) / to.scale(0));
        match (function, function.bounds()) {
            (Activation::LeakyRelu { slope }, _) if word < 0 => {
                let scale = f64::from(from.scale(0) * slope / to.scale(0));
                Ok(if scale < 0.0 { -rescaled(word, -scale)? } else { rescaled(word, scale)? })
            }
            (Activation::LeakyRelu { .. }, _) => rescaled(word, unit),
            (Activation::Sigmoid, _) => {
                let x = from.scale(0) * word as f32;
                let y = 1.0 / (1.0 + libm::exp(f64::from(-x)) as f32);
                Ok((y * (1.0 / to.scale(0))).round() as i64)
            }
            (Activation::HardSwish, _) => hard_swish(word, from.scale(0), to.scale(0)),
            (_, Some((low, high))) => {
                let [low, high] = [low, high].map(|bound| match bound.is_finite() {
                    true => self.word(bound, to),
                    false => i64::MAX,
                });
                Ok(rescaled(word, unit)?.max(low).min(high))
            }
            _ => Err(Error::new("function", format_args!("{function:?} has no TFLite kernel"))),
        }
    }

    fn recode(&self, word: i64, from: &Affine, to: &Affine) -> Result<i64> {
        rescaled(word, f64::from(from.scale(0)) / f64::from(to.scale(0)))
    }

    fn joined(&self, word: i64, from: &Affine, to: &Affine) -> Result<i64> {
        let scale = from.scale(0) * (1.0 / to.scale(0));
        let bias = -from.zero_point as f32 * scale;
        Ok(((word + from.zero_point) as f32 * scale + bias).round() as i64)
    }

    fn sum(&self, inputs: &[&Affine], output: &Affine) -> Result<ScaledSum> {
        let largest = inputs.iter().map(|input| input.scale(0)).fold(0.0, f32::max);
        let unit = 2.0 * f64::from(largest);
        let word32 = word32()?;
        let input = |input: &&Affine| Requantizer::scaled(f64::from(input.scale(0)) / unit, word32);
        let scale = unit / (f64::from(1 << SUM_SHIFT) * f64::from(output.scale(0)));
        Ok(ScaledSum::Shifted {
            left: SUM_SHIFT,
            inputs: inputs.iter().map(input).collect::<Result<_>>()?,
            output: Requantizer::scaled(scale, word32)?,
        })
    }

    fn average(&self, pool: Pooling, input: &Affine, output: &Affine) -> Result<Mean> {
        let rounding = self.rounding();
        if !pool.global {
            let average = Average::Stored { zero_point: input.zero_point };
            return Ok(Mean { average, rescale: None, rounding });
        }
        // The multiplier of the sum, divided by the number of pixels after as many doublings as
        // keep it within 31 bits.
        let pixels = pool.window.taps() as i64;
        let scale = f64::from(input.scale(0)) / f64::from(output.scale(0));
        let (multiplier, shift) = quantize_multiplier(scale);
        let doublings = (pixels.ilog2() as i32).min(32).min(31 + shift);
        let multiplier = (i64::from(multiplier) << doublings) / pixels;
        let requantizer =
            Requantizer::multiplier_shift(multiplier as i32, shift - doublings, output.centred())?;
        let rescale = Some(Rescale::Requantizers(vec![requantizer]));
        Ok(Mean { average: Average::Sum, rescale, rounding })
    }

    fn softmax(&self, input: &Affine, output: &Affine, _: usize) -> Result<Softmax> {
        let lowest = output.stored.min() as i64;
        let unit = (output.scale(0) * 256.0 - 1.0).abs() <= 1e-3;
        if input.stored.bits() > 8 || !unit || output.zero_point != lowest {
            return Err(Error::new(
                "output",
                format_args!(
                    "a softmax gives words of scale 1/256 and zero point {lowest}, {:e} and {} \
                     found",
                    output.scale(0),
                    output.zero_point
                ),
            ));
        }
        IntegerSoftmax::new(input.scale(0).into()).map(Softmax::Integer)
    }
}

/// `MultiplyByQuantizedMultiplier` of a word.
fn rescaled(word: i64, scale: f64) -> Result<i64> {
    if scale == 0.0 {
        return Ok(0);
    }
    Ok(Requantizer::scaled(scale, word32()?)?.apply(word, 0).raw as i64)
}

fn word32() -> Result<Format> {
    Format::new(true, 32, 0)
}

/// x · relu6(x + 3) / 6 in 16-bit arithmetic, both factors rounded on their own.
fn hard_swish(word: i64, from: f32, to: f32) -> Result<i64> {
    // The input with 7 more bits, of at most 16.
    let x = word << 7;
    let fine = 1.0 / 128.0 * from;
    let (output, output_shift) = multiplier16(fine / to);
    let (factor, factor_shift) = multiplier16(fine / (3.0 / 32768.0));
    if output_shift > 0 {
        return Err(Error::new("output", format_args!("scale {to:e} is too small for HARD_SWISH"))
            .remedy("the output's scale is at least 1/128 of the input's"));
    }
    let x_scaled = product16(x, output);
    // x / 3 in −1..1, then (x / 3 + 1) / 2, with 15 fractional bits; the last doubling saturates.
    let factor = product16(saturated16(x << (factor_shift - 1).clamp(0, 31)), factor);
    let factor = match factor_shift {
        1.. => saturated16(2 * factor),
        _ => divided(factor, factor_shift.unsigned_abs()),
    };
    let factor = (factor + (1 << 15)) >> 1;
    Ok(divided(factor * x_scaled / (1 << 15), output_shift.unsigned_abs()))
}

/// Multiplier with 15 fractional bits, and shift, of a scale.
fn multiplier16(scale: f32) -> (i64, i32) {
    let (multiplier, shift) = quantize_multiplier(scale.into());
    (((i64::from(multiplier) + (1 << 15)) >> 16).min(i16::MAX.into()), shift)
}

/// `a · b · 2^−15`, halves up; b is not negative.
fn product16(a: i64, b: i64) -> i64 {
    (a * b + (1 << 14)) >> 15
}

fn saturated16(a: i64) -> i64 {
    a.clamp(i16::MIN.into(), i16::MAX.into())
}

/// `a · 2^−shift`, halves away from zero.
fn divided(a: i64, shift: u32) -> i64 {
    let half = (1i64 << shift) >> 1;
    if a < 0 { -((half - a) >> shift) } else { (a + half) >> shift }
}
