//! The output site: the extrinsic cast, the fused activation function, further quantizers.

use super::{DEFAULT_OUTPUT, Lowering, operand};
use crate::error::{Error, Result};
use crate::network::{Activation, NodeId, Op, PoolKind};
use crate::numeric::{Cast, Format, Overflow, Rounding};
use crate::quantize::quantizer::cast_value;
use crate::quantize::{
    Chain, Clamp, FixedPoint, FixedSpec, Layout, Output, Quantizer, QuantizerSpec, Seen, Site,
    WordMap,
};

/// Widest words of a table.
const TABLE_BITS: u32 = 16;

impl Lowering<'_> {
    pub(super) fn output(&mut self, id: NodeId, inputs: &[usize]) -> Result<Output> {
        let formats: Vec<_> = inputs.iter().map(|&i| self.layers[i].output.format()).collect();
        let node = &self.network.nodes[id];
        if let Op::Pool { kind: PoolKind::Max, .. }
        | Op::GlobalPool(PoolKind::Max)
        | Op::Pad(_)
        | Op::Flatten(_)
        | Op::Softmax = node.op
        {
            return plain(formats[0]);
        }
        let stated = self.resolution.stated(id, Site::Output);
        let averages = matches!(node.op, Op::Pool { .. } | Op::GlobalPool(_) | Op::Concat);
        if stated.is_none() && averages {
            let format = common(&formats)?;
            self.row(id, Site::Output, format!("fixed {format}, as its input"), Some(format));
            return plain(format);
        }
        let default = [QuantizerSpec::Fixed(FixedSpec::new(DEFAULT_OUTPUT))];
        let output = self.stated_output(id, stated.unwrap_or(&default), &formats)?;
        match node.op {
            Op::Activation(function) if function.bounds().is_none() => {
                self.table(id, function, output, formats[0])
            }
            _ => Ok(output),
        }
    }

    /// The output of an activation function on words of `from`: its results as a table, made with
    /// the cast of `output`.
    fn table(
        &self,
        id: NodeId,
        function: Activation,
        output: Output,
        from: Format,
    ) -> Result<Output> {
        if from.bits() > TABLE_BITS {
            return Err(Error::new(
                self.resolution.name(id, Site::Output),
                format_args!("a table over words {from} is too large"),
            )
            .remedy(format_args!("give its input at most {TABLE_BITS} bits")));
        }
        let result = |raw: i128| {
            let value = function.apply(from.value(raw) as f32);
            cast_value(output.cast, value.into(), 0).raw as i64
        };
        let words = (from.min()..=from.max()).map(result).collect();
        let table = WordMap::Table { words, format: output.cast.to() };
        let maps = [table].into_iter().chain(output.maps).collect();
        Ok(Output { maps, ..plain(from)? })
    }

    fn stated_output(
        &mut self,
        id: NodeId,
        quantizers: &[QuantizerSpec],
        formats: &[Format],
    ) -> Result<Output> {
        let site = self.resolution.name(id, Site::Output);
        let [QuantizerSpec::Fixed(first), rest @ ..] = quantizers else {
            return Err(Error::new(&site, "must begin with a fixed-point quantizer").remedy(
                "write quantizer = [{ kind = \"fixed\", format = \"16\" }, …] with the others after it",
            ));
        };
        let signed = self.signed(id, formats);
        let distribution = self.operands.distribution(self.fusion.last(id), signed);
        let seen = Seen { distribution, signed, method: self.plan.method, ..Seen::nothing(&site) };
        let cast = operand(&site, first.cast(&seen)?)?;
        let quantizer = FixedPoint::new(cast);
        let words = distribution.map(|d| d.map(|v| quantizer.quantize(v, Layout::vector(1))));
        let rest = Chain::fit(rest, &Seen { distribution: words.as_ref(), ..seen })?;
        let maps = rest.maps(cast.to(), self.network.nodes[id].shape)?;
        let clamp =
            self.activation(id).map(|activation| clamp(activation, cast.to())).transpose()?;
        let output = Output { cast, clamp, maps, affine: None };
        let parts = [quantizer.describe(), rest.describe()];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        self.row(id, Site::Output, parts.join(" → "), Some(output.format()));
        Ok(output)
    }

    /// The activation function that a layer computes at its output.
    fn activation(&self, id: NodeId) -> Option<Activation> {
        match self.network.nodes[self.fusion.last(id)].op {
            Op::Activation(activation) => Some(activation),
            _ => None,
        }
    }

    /// Whether a layer's values can be below zero; `None` where only the values tell.
    fn signed(&self, id: NodeId, formats: &[Format]) -> Option<bool> {
        if self.activation(id).is_some_and(|activation| activation.is_positive()) {
            return Some(false);
        }
        match self.network.nodes[id].op {
            Op::Input | Op::Constant => None,
            Op::Conv { .. } | Op::Dense { .. } | Op::BatchNorm { .. } => Some(true),
            Op::Activation(function) if function.bounds().is_none() => Some(true),
            _ => Some(formats.iter().any(|format| format.is_signed())),
        }
    }
}

/// Words that keep their format.
fn plain(format: Format) -> Result<Output> {
    let cast = Cast::new(format, Rounding::HalfEven, Overflow::Saturate)?;
    Ok(Output { cast, clamp: None, maps: Vec::new(), affine: None })
}

/// The format that parts of several formats are cast to: theirs, if it is one; else the widest word
/// and the coarsest binary point of them, signed if one of them is.
fn common(formats: &[Format]) -> Result<Format> {
    let signed = formats.iter().any(|f| f.is_signed());
    let bits = formats.iter().map(|f| f.bits()).max().unwrap_or(1);
    let frac = formats.iter().map(|f| f.frac()).min().unwrap_or(0);
    Format::new(signed, bits, frac)
}

/// The bounds of an activation function as the nearest words.
fn clamp(activation: Activation, format: Format) -> Result<Clamp> {
    let nearest = Cast::new(format, Rounding::HalfEven, Overflow::Saturate)?;
    let word = |bound: f32| match bound {
        f32::INFINITY => format.max() as i64,
        f32::NEG_INFINITY => format.min() as i64,
        bound => cast_value(nearest, bound.into(), 0).raw as i64,
    };
    let (low, high) = activation.bounds().unwrap_or((f32::NEG_INFINITY, f32::INFINITY));
    Ok(Clamp { low: word(low), high: word(high) })
}
