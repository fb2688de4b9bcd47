//! The lowering of networks whose files state their words: from encodings to integer layers, by the
//! definitions of the runtime that the file is made for (`docs/runtimes.md`).
//!
//! A node whose operands are words and whose output has an encoding becomes an integer layer. One
//! that multiplies and accumulates words without an encoding for the result gives its accumulators.
//! Whatever else has only a float definition is left to the host.

mod onnx;
mod own;
mod rules;
mod tflite;

use std::sync::Arc;

use self::rules::{Mean, Pooling, Product, Rules};
use crate::error::{Error, Result};
use crate::kernels::pool::Average;
use crate::network::{
    Activation, Arithmetic, Encoding, Network, NodeId, Op, Parameters, PoolKind, Quantization,
    check_parameters, parameter_name,
};
use crate::numeric::{Cast, Format, Overflow, Rounding};
use crate::quantize::sites::{Fusion, Resolution};
use crate::quantize::{
    AccumulatorSite, Affine, Baseline, Bias, Clamp, HostModel, Layer, Lowered, MacLayer, Operation,
    Output, QuantizedNetwork, Site, SiteRow, WordMap,
};
use crate::tensor::{ConvGeometry, Window, Words};

/// Widest stored words that integer layers take; wider ones are accumulators, for the host.
const WIDEST_WORD: u32 = 16;

/// Lowers a network by the quantization that its file states.
///
/// # Errors
/// If parameters or words do not fit the network.
pub fn lower_encoded(
    network: &Network,
    parameters: &Parameters,
    quantization: &Quantization,
) -> Result<Lowered> {
    lower_resolved(network, parameters, quantization, None)
}

/// The same, the accumulators and products as a plan resolved them.
pub(super) fn lower_resolved(
    network: &Network,
    parameters: &Parameters,
    quantization: &Quantization,
    resolution: Option<&Resolution>,
) -> Result<Lowered> {
    check_parameters(network, parameters)?;
    let rules: &dyn Rules = match quantization.arithmetic {
        Arithmetic::Onnx { opset } => &onnx::Onnx { opset },
        Arithmetic::Hardware => &own::Own,
        Arithmetic::TfLite => &tflite::TfLite,
    };
    let encoded = |id: NodeId| quantization.outputs.contains_key(&id);
    let mut lowering = Encoded {
        network,
        quantization,
        resolution,
        rules,
        fusion: Fusion::of(network, |node, activation| !encoded(node) && encoded(activation)),
        layers: Vec::new(),
        layer_of: Vec::new(),
        rows: Vec::new(),
    };
    for id in 0..network.nodes.len() {
        lowering
            .node(id)
            .map_err(|e| e.within(format_args!("node `{}`", network.nodes[id].name)))?;
    }
    let host_nodes = lowering.layers.iter().filter_map(|layer| match layer.operation {
        Operation::Host { node, .. } => Some(network.nodes[node].name.as_str()),
        _ => None,
    });
    let prefixes: Vec<String> = host_nodes.map(|name| parameter_name(name, "")).collect();
    let host = || {
        let own = |name: &String| prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
        let parameters = parameters.iter().filter(|(name, _)| own(name));
        let parameters = parameters.map(|(name, value)| (name.clone(), value.clone())).collect();
        Arc::new(HostModel { network: network.clone(), parameters })
    };
    let host = (!prefixes.is_empty()).then(host);
    let Encoded { layers, fusion, rows, .. } = lowering;
    let mut baseline = Baseline::new(network.clone(), parameters.clone(), &layers, &fusion);
    if quantization.arithmetic != Arithmetic::Hardware {
        baseline = baseline.saturated(&quantization.outputs);
    }
    let network = QuantizedNetwork {
        name: network.name.clone(),
        layers,
        host,
        takes_words: quantization.takes_words,
        gives_words: quantization.gives_words,
    };
    Ok(Lowered { network, sites: rows, baseline: Some(baseline) })
}

/// A lowering under way.
struct Encoded<'a> {
    network: &'a Network,
    quantization: &'a Quantization,
    resolution: Option<&'a Resolution<'a>>,
    rules: &'a dyn Rules,
    fusion: Fusion,
    layers: Vec<Layer>,
    layer_of: Vec<usize>,
    rows: Vec<SiteRow>,
}

impl Encoded<'_> {
    fn node(&mut self, id: NodeId) -> Result<()> {
        let node = &self.network.nodes[id];
        let inputs: Vec<usize> = node.inputs.iter().map(|&input| self.layer_of[input]).collect();
        if self.fusion.absorbed[id] {
            self.layer_of.push(inputs[0]);
            return Ok(());
        }
        let last = self.fusion.last(id);
        let to = self.quantization.outputs.get(&last).map(affine).transpose()?;
        let words: Option<Vec<Affine>> = inputs.iter().map(|&input| self.words(input)).collect();
        let (operation, output) = match self.integer(id, words.as_deref(), to.as_ref())? {
            Some(layer) => layer,
            None => self.host(id, to.as_ref())?,
        };
        if let Some(affine) = &output.affine {
            self.row(id, Site::Output, describe(affine), Some(affine.stored));
        }
        self.layer_of.push(self.layers.len());
        let (name, shape) = (node.name.clone(), node.shape);
        self.layers.push(Layer { name, inputs, shape, operation, output });
        Ok(())
    }

    /// The meaning of the words that a layer writes, if integer layers can take them.
    fn words(&self, layer: usize) -> Option<Affine> {
        let affine = self.layers[layer].output.affine.clone()?;
        (affine.stored.bits() <= WIDEST_WORD && affine.scales.len() == 1).then_some(affine)
    }

    /// The integer layer of a node whose inputs are `words`; `None` if it has none.
    fn integer(
        &mut self,
        id: NodeId,
        words: Option<&[Affine]>,
        to: Option<&Affine>,
    ) -> Result<Option<(Operation, Output)>> {
        let node = &self.network.nodes[id];
        match (&node.op, to) {
            (Op::Input, Some(to)) => {
                let output = rounded(plain(to)?, self.rules.rounding())?;
                return Ok(Some((Operation::Input, output)));
            }
            (Op::Constant, Some(to)) => return self.constant(id, to).map(Some),
            (Op::Input | Op::Constant, None) => return Ok(None),
            _ => {}
        }
        let Some(words @ [first, ..]) = words else { return Ok(None) };
        if let (Some(geometry), true) =
            (self.network.geometry(id), self.quantization.weights.contains_key(&id))
        {
            return self.mac(id, geometry, first, to).map(Some);
        }
        let view = |operation| Ok(Some((operation, self.recoded(first, to)?)));
        match node.op {
            Op::Identity | Op::Activation(_) if to.is_none() => return Ok(None),
            Op::Identity => return view(Operation::Activation),
            Op::Pad(padding) => return view(Operation::Pad(padding)),
            Op::Flatten(order) => return view(Operation::Flatten(order)),
            Op::Pool { kind: PoolKind::Max, window } => return view(Operation::MaxPool(window)),
            Op::GlobalPool(PoolKind::Max) => return view(Operation::MaxPool(self.whole(id))),
            Op::GlobalPool(_) if to.is_none() => return self.sum_over_map(id, first).map(Some),
            _ => {}
        }
        let Some(to) = to else { return Ok(None) };
        let output = self.clamped(id, to)?;
        let (operation, rounding) = match node.op {
            Op::Activation(function) => {
                return self.function(function, first, to).map(Some);
            }
            Op::Add => {
                let inputs: Vec<&Affine> = words.iter().collect();
                (Operation::Add(Some(self.rules.sum(&inputs, to)?)), None)
            }
            Op::Mul if words.len() == 2 => {
                let factor = words[1].scale(0);
                let rescale = self.rules.rescale(Product::Map, first, &[factor], to)?;
                (Operation::Mul(Some(rescale)), None)
            }
            Op::Concat => {
                let joined =
                    |from: &Affine| table(from, to, |word| self.rules.joined(word, from, to));
                let part = |from: &Affine| (from != to).then(|| joined(from)).transpose();
                (Operation::Concat(words.iter().map(part).collect::<Result<_>>()?), None)
            }
            Op::Pool { kind, window } => self.average(id, kind, window, false, first, to)?,
            Op::GlobalPool(kind) => self.average(id, kind, self.whole(id), true, first, to)?,
            Op::Softmax if self.quantization.on_words.contains(&id) => {
                let softmax = self.rules.softmax(first, to, node.shape.channels)?;
                (Operation::Softmax(softmax), None)
            }
            _ => return Ok(None),
        };
        let rounding = rounding.unwrap_or(Rounding::HalfEven);
        Ok(Some((operation, rounded(output, rounding)?)))
    }

    /// A multiply-accumulate layer, which gives its accumulators where its output has no encoding.
    fn mac(
        &mut self,
        id: NodeId,
        geometry: ConvGeometry,
        from: &Affine,
        to: Option<&Affine>,
    ) -> Result<(Operation, Output)> {
        let tensor = &self.quantization.weights[&id];
        let per_channel = geometry.reduction();
        let centred =
            |(index, &word): (usize, &i64)| word - tensor.encoding.zero_point(index / per_channel);
        let centred: Vec<i64> = tensor.words.iter().enumerate().map(centred).collect();
        if centred.len() != geometry.weights() {
            return Err(Error::new("weights", format_args!("{} words", centred.len())));
        }
        let weights = Words::from_raw(smallest(&centred)?, centred.into_iter());
        let (text, stored) = (describe_weights(&tensor.encoding), tensor.encoding.format);
        self.row(id, Site::Weights, text, Some(stored));
        let bias = self.quantization.biases.get(&id);
        let format = Format::new(true, 32, 0)?;
        let bias = match bias {
            Some(raw) if raw.len() != geometry.output.channels => {
                return Err(Error::new("bias", format_args!("{} words", raw.len())));
            }
            Some(raw) => {
                if let Some(word) = raw.iter().find(|&&word| !format.contains(word.into())) {
                    return Err(Error::new("bias", format_args!("{word} has more than 32 bits")));
                }
                self.row(id, Site::Bias, "words of the accumulator".into(), Some(format));
                Some(Bias { format, raw: raw.clone() })
            }
            None => None,
        };
        let scales = &tensor.encoding.scales;
        let product = match self.network.nodes[id].op {
            Op::Dense { .. } => Product::Dense,
            _ => Product::Conv,
        };
        let (rescale, output) = match to {
            Some(to) => {
                let rescale = self.rules.rescale(product, from, scales, to)?;
                (Some(rescale), self.clamped(id, to)?)
            }
            None => {
                let scales = scales.iter().map(|scale| from.scale(0) * scale).collect();
                (None, plain(&Affine { scales, zero_point: 0, stored: format })?)
            }
        };
        // Words have no fractional bits, and neither have their products.
        let (product, accumulator) = match self.resolution {
            Some(resolution) => (resolution.product(id, 0)?, resolution.accumulator(id, 0)?),
            None => (None, AccumulatorSite::WIDEST),
        };
        self.row(id, Site::Accumulator, accumulator.to_string(), accumulator.format);
        let layer =
            MacLayer { geometry, weights, bias, activations: None, product, accumulator, rescale };
        Ok((Operation::Mac(Box::new(layer)), output))
    }

    fn constant(&self, id: NodeId, to: &Affine) -> Result<(Operation, Output)> {
        let shape = self.network.nodes[id].shape;
        let Some(tensor) = self.quantization.weights.get(&id) else {
            return Err(Error::new("value", "a quantized constant has no words"));
        };
        if tensor.words.len() != shape.len() {
            return Err(Error::new("value", format_args!("{} words", tensor.words.len())));
        }
        let word = |at: usize| {
            let (pixel, channel) = (at / shape.channels, at % shape.channels);
            tensor.words[channel * shape.pixels() + pixel] - to.zero_point
        };
        let words: Vec<i64> = (0..shape.len()).map(word).collect();
        let words = Words::from_raw(to.centred(), words.into_iter());
        Ok((Operation::Constant(words), plain(to)?))
    }

    /// The sum over a map, whose scale makes it the average.
    fn sum_over_map(&self, id: NodeId, from: &Affine) -> Result<(Operation, Output)> {
        let window = self.whole(id);
        let scale = from.scale(0) / window.taps() as f32;
        let stored = Format::new(true, 32, 0)?;
        let output = plain(&Affine { scales: vec![scale], zero_point: 0, stored })?;
        let average = Average::Sum;
        Ok((Operation::AveragePool { window, average, rescale: None }, output))
    }

    fn average(
        &self,
        id: NodeId,
        kind: PoolKind,
        window: Window,
        global: bool,
        from: &Affine,
        to: &Affine,
    ) -> Result<(Operation, Option<Rounding>)> {
        let on_words = self.quantization.on_words.contains(&id);
        let map = self.whole(id).kernel;
        let Mean { average, rescale, rounding } =
            self.rules.average(Pooling { kind, window, map, global, on_words }, from, to)?;
        Ok((Operation::AveragePool { window, average, rescale }, Some(rounding)))
    }

    /// A window over all of a node's input.
    fn whole(&self, id: NodeId) -> Window {
        let input = self.network.nodes[self.network.nodes[id].inputs[0]].shape;
        Window { kernel: [input.height, input.width], ..Window::POINT }
    }

    /// An activation function as a table.
    fn function(
        &self,
        function: Activation,
        from: &Affine,
        to: &Affine,
    ) -> Result<(Operation, Output)> {
        let table = table(from, to, |word| self.rules.function(function, word, from, to))?;
        Ok((Operation::Activation, mapped(from, to, table)?))
    }

    /// The output of a layer that passes words on, in another encoding if it has one.
    fn recoded(&self, from: &Affine, to: Option<&Affine>) -> Result<Output> {
        match to {
            Some(to) if to != from => {
                mapped(from, to, table(from, to, |word| self.rules.recode(word, from, to))?)
            }
            _ => plain(from),
        }
    }

    /// The output of a node with the activation function that is fused into it.
    fn clamped(&self, id: NodeId, to: &Affine) -> Result<Output> {
        let mut output = plain(to)?;
        let fused = self.fusion.activation[id].map(|id| &self.network.nodes[id].op);
        if let (Some(Op::Activation(function)), Some(clamp)) = (fused, &mut output.clamp)
            && let Some((low, high)) = function.bounds()
        {
            let bound = |value: f32, beyond: i64| match value.is_finite() {
                true => self.rules.word(value, to).clamp(clamp.low, clamp.high),
                false => beyond,
            };
            *clamp = Clamp { low: bound(low, clamp.low), high: bound(high, clamp.high) };
        }
        Ok(output)
    }

    /// The host's layer of a node.
    fn host(&self, id: NodeId, to: Option<&Affine>) -> Result<(Operation, Output)> {
        let operation = Operation::Host { node: id, quantized: to.is_some() };
        if let Op::Input = self.network.nodes[id].op {
            return Err(Error::new("input", "has float values that nothing quantizes")
                .remedy("quantize the whole network, its input included, or none of it"));
        }
        // The fused activation function is the clamp of the output's words.
        match to {
            Some(to) => Ok((operation, self.clamped(id, to)?)),
            None => {
                let words = Format::new(true, 32, 0)?;
                let cast = Cast::new(words, Rounding::HalfEven, Overflow::Saturate)?;
                Ok((operation, Output { cast, clamp: None, maps: Vec::new(), affine: None }))
            }
        }
    }

    fn row(&mut self, id: NodeId, site: Site, quantizer: String, format: Option<Format>) {
        let source = self.resolution.map_or("the file".into(), |r| r.source(id, site));
        let row = SiteRow::of(self.network, &self.fusion, (id, site), quantizer, format, source);
        self.rows.push(row);
    }
}

/// The meaning of the words of a feature map.
fn affine(encoding: &Encoding) -> Result<Affine> {
    let ([_], [zero_point]) = (&encoding.scales[..], &encoding.zero_points[..]) else {
        return Err(Error::new("output", "a feature map has scales by channel, one was expected"));
    };
    let (scales, stored) = (encoding.scales.clone(), encoding.format);
    Ok(Affine { scales, zero_point: *zero_point, stored })
}

/// Words cast to the encoding and saturated to the range of its stored words.
fn plain(to: &Affine) -> Result<Output> {
    let cast = Cast::new(to.centred(), Rounding::HalfEven, Overflow::Saturate)?;
    let [low, high] = to.range();
    let clamp = Some(Clamp { low, high });
    Ok(Output { cast, clamp, maps: Vec::new(), affine: Some(to.clone()) })
}

/// The output with another rounding of its cast.
fn rounded(output: Output, rounding: Rounding) -> Result<Output> {
    let cast = Cast::new(output.cast.to(), rounding, Overflow::Saturate)?;
    Ok(Output { cast, ..output })
}

/// Words of one encoding made words of another by a table.
fn mapped(from: &Affine, to: &Affine, words: Arc<[i64]>) -> Result<Output> {
    let map = WordMap::Table { words, format: to.centred() };
    Ok(Output { maps: vec![map], affine: Some(to.clone()), ..plain(from)? })
}

/// A function of words, by word of the centred format, saturated.
fn table(from: &Affine, to: &Affine, function: impl Fn(i64) -> Result<i64>) -> Result<Arc<[i64]>> {
    let (format, [low, high], [least, most]) = (from.centred(), to.range(), from.range());
    let words = format.min() as i64..=format.max() as i64;
    words.map(|word| Ok(function(word.clamp(least, most))?.clamp(low, high))).collect()
}

/// The narrowest format that holds all of `words`.
fn smallest(words: &[i64]) -> Result<Format> {
    let low = words.iter().copied().min().unwrap_or(0);
    let high = words.iter().copied().max().unwrap_or(0);
    for bits in 1..=32 {
        let format = Format::new(true, bits, 0)?;
        if format.contains(low.into()) && format.contains(high.into()) {
            // Not below 8 bits: the file's words have at least as many.
            return Format::new(true, bits.max(8), 0);
        }
    }
    Err(Error::new("weights", format_args!("words {low} to {high} have more than 32 bits")))
}

fn describe(affine: &Affine) -> String {
    let scale = match affine.scales[..] {
        [scale] => format!("scale {scale:e}"),
        _ => format!("{} scales by channel", affine.scales.len()),
    };
    format!("affine {scale}, zero point {}", affine.zero_point)
}

fn describe_weights(encoding: &Encoding) -> String {
    match encoding.scales[..] {
        [scale] => format!("affine scale {scale:e}, zero point {}", encoding.zero_point(0)),
        _ => format!("affine {} scales by output channel", encoding.scales.len()),
    }
}
