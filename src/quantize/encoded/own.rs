//! The definitions of networks that are quantized here: integer arithmetic of the hardware's
//! requantizer; sums of different scales by multipliers and shifts.

use super::{Mean, Pooling, Product, Rules};
use crate::error::{Error, Result};
use crate::kernels::elementwise::ScaledSum;
use crate::kernels::pool::Average;
use crate::kernels::softmax::Softmax;
use crate::network::{Activation, PoolKind};
use crate::numeric::{Format, Requantizer, Rounding};
use crate::quantize::{Affine, Rescale};

pub struct Own;

impl Rules for Own {
    fn rounding(&self) -> Rounding {
        Rounding::HalfEven
    }

    fn rescale(&self, _: Product, a: &Affine, b: &[f32], output: &Affine) -> Result<Rescale> {
        let to = f64::from(output.scale(0));
        let scale = |&b: &f32| f64::from(a.scale(0)) * f64::from(b) / to;
        Ok(Rescale::Scales(b.iter().map(scale).collect()))
    }

    fn word(&self, value: f32, to: &Affine) -> i64 {
        (value / to.scale(0)).round_ties_even() as i64
    }

    fn function(&self, function: Activation, word: i64, from: &Affine, to: &Affine) -> Result<i64> {
        Ok(self.word(function.apply(word as f32 * from.scale(0)), to))
    }

    fn recode(&self, word: i64, from: &Affine, to: &Affine) -> Result<i64> {
        Ok(self.word(word as f32 * from.scale(0), to))
    }

    /// Words are shifted to the left by as much as 32 bits hold, requantized to the largest of the
    /// scales twice over, added, and requantized to the output's scale.
    fn sum(&self, inputs: &[&Affine], output: &Affine) -> Result<ScaledSum> {
        let word32 = Format::new(true, 32, 0)?;
        let widest = inputs.iter().map(|input| input.centred().bits()).max().unwrap_or(8);
        let left = 29 - widest;
        let scale = |affine: &Affine| f64::from(affine.scale(0));
        let common = inputs.len() as f64 * inputs.iter().map(|&i| scale(i)).fold(0.0, f64::max);
        let requantizer = |input: &&Affine| Requantizer::scaled(scale(input) / common, word32);
        Ok(ScaledSum::Shifted {
            left,
            inputs: inputs.iter().map(requantizer).collect::<Result<_>>()?,
            output: Requantizer::scaled(common / (scale(output) * 2f64.powi(left as i32)), word32)?,
        })
    }

    /// The exact quotient: an average keeps the encoding of its input.
    fn average(&self, pool: Pooling, _: &Affine, _: &Affine) -> Result<Mean> {
        let average = match pool.kind {
            PoolKind::PaddedAverage => Average::Padded,
            _ => Average::Inside,
        };
        Ok(Mean { average, rescale: None, rounding: self.rounding() })
    }

    fn softmax(&self, _: &Affine, _: &Affine, _: usize) -> Result<Softmax> {
        Err(Error::new("softmax", "has no definition in words here; the host computes it"))
    }
}
