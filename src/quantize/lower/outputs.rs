//! The output site: the extrinsic cast, the fused activation function, further quantizers.

use super::{DEFAULT_OUTPUT, Lowering, operand};
use crate::error::{Error, Result};
use crate::network::{Activation, NodeId, Op, PoolKind};
use crate::numeric::{Cast, Format, Overflow, Rounding};
use crate::quantize::quantizer::cast_value;
use crate::quantize::{
    Chain, Clamp, FixedPoint, FixedSpec, Layout, Output, Quantizer, QuantizerSpec, Seen, Site,
};

impl Lowering<'_> {
    pub(super) fn output(&mut self, id: NodeId, inputs: &[usize]) -> Result<Output> {
        let formats: Vec<_> = inputs.iter().map(|&i| self.layers[i].output.format()).collect();
        let node = &self.network.nodes[id];
        if let Op::Pool { kind: PoolKind::Max, .. }
        | Op::GlobalPool(PoolKind::Max)
        | Op::Flatten
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
        Ok(output)
    }

    fn stated_output(
        &mut self,
        id: NodeId,
        quantizers: &[QuantizerSpec],
        formats: &[Format],
    ) -> Result<Output> {
        let site = self.site_name(id, Site::Output);
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
        let output = Output { cast, clamp, maps };
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
        if self.activation(id).is_some_and(|activation| activation.bounds().0 >= 0.0) {
            return Some(false);
        }
        match self.network.nodes[id].op {
            Op::Input => None,
            Op::Conv { .. } | Op::Dense { .. } | Op::BatchNorm { .. } => Some(true),
            _ => Some(formats.iter().any(|format| format.is_signed())),
        }
    }
}

/// Words that keep their format.
fn plain(format: Format) -> Result<Output> {
    let cast = Cast::new(format, Rounding::HalfEven, Overflow::Saturate)?;
    Ok(Output { cast, clamp: None, maps: Vec::new() })
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
        bound => cast_value(nearest, bound.into(), 0).raw as i64,
    };
    let (low, high) = activation.bounds();
    Ok(Clamp { low: word(low), high: word(high) })
}
