//! The quantized operators as ONNX defines them and ONNX Runtime computes them: float32 scales,
//! halves to even, then saturation.

use super::{Mean, Pooling, Product, Rules};
use crate::error::{Error, Result};
use crate::kernels::elementwise::ScaledSum;
use crate::kernels::pool::{Average, SumOrder};
use crate::kernels::softmax::{Softmax, TableSoftmax};
use crate::network::{Activation, PoolKind};
use crate::numeric::{Requantizer, Rounding};
use crate::quantize::{Affine, Rescale};
use crate::tensor::Window;

/// The opset from which the runtime's float average pooling sums by rows alone.
const BY_ROWS: i64 = 19;
/// The runtime's float average pooling sums by columns under windows of at most this side,
const WIDEST_BY_COLUMNS: usize = 32;
/// and of at most this stride along the rows.
const LONGEST_BY_COLUMNS: usize = 2;

pub struct Onnx {
    pub opset: i64,
}

impl Onnx {
    /// The order in which an average pooling sums.
    fn order(&self, pool: &Pooling) -> SumOrder {
        let Window { kernel, stride, padding, .. } = pool.window;
        if pool.on_words || self.opset >= BY_ROWS {
            SumOrder::Rows
        } else if kernel == pool.map && stride == [1, 1] && padding == [0; 4] {
            SumOrder::Quarters
        } else if kernel.iter().all(|&side| side <= WIDEST_BY_COLUMNS)
            && stride[1] <= LONGEST_BY_COLUMNS
        {
            SumOrder::Columns
        } else {
            SumOrder::Rows
        }
    }
}

impl Rules for Onnx {
    fn rounding(&self) -> Rounding {
        Rounding::HalfEven
    }

    fn rescale(&self, of: Product, a: &Affine, b: &[f32], output: &Affine) -> Result<Rescale> {
        let zero_point = if of == Product::Map { output.zero_point } else { 0 };
        let of = |b: &f32| {
            let scale = a.scale(0) * b / output.scale(0);
            Requantizer::float32_stored(scale, zero_point, output.centred())
        };
        Ok(Rescale::Requantizers(b.iter().map(of).collect::<Result<_>>()?))
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

    fn sum(&self, inputs: &[&Affine], output: &Affine) -> Result<ScaledSum> {
        let &[a, b] = inputs else {
            return Err(Error::new("sum", format_args!("of {} inputs, not two", inputs.len())));
        };
        Ok(ScaledSum::Float32 {
            ratios: [a, b].map(|input| input.scale(0) / output.scale(0)),
            zero_points: [a, b].map(|input| input.zero_point),
            zero_point: output.zero_point,
        })
    }

    fn average(&self, pool: Pooling, input: &Affine, output: &Affine) -> Result<Mean> {
        let rounding = self.rounding();
        if pool.global {
            let scale = input.scale(0) / (output.scale(0) * pool.window.taps() as f32);
            let rescale = Requantizer::float32(scale, output.centred())?;
            let rescale = Rescale::Requantizers(vec![rescale]);
            return Ok(Mean { average: Average::Sum, rescale: Some(rescale), rounding });
        }
        let average = Average::Float32 {
            input_scale: input.scale(0),
            output_scale: output.scale(0),
            // A float average has its zero point added once it is rounded.
            zero_point: if pool.on_words { output.zero_point } else { 0 },
            padded: pool.kind == PoolKind::PaddedAverage,
            order: self.order(&pool),
        };
        Ok(Mean { average, rescale: None, rounding })
    }

    fn softmax(&self, input: &Affine, output: &Affine, channels: usize) -> Result<Softmax> {
        let signed = output.stored.is_signed();
        if [input, output].iter().any(|a| a.stored.bits() != 8 || a.stored.is_signed() != signed) {
            return Err(Error::new(
                "softmax",
                format_args!("of words {} to {}", input.stored, output.stored),
            )
            .remedy("words of 8 bits and one signedness are supported"));
        }
        let (scale, to) = (input.scale(0), output.scale(0));
        Ok(Softmax::Table(TableSoftmax::new(scale, channels, to, output.zero_point, signed)))
    }
}
