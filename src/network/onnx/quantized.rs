//! The quantized operators: words with scale and zero point.

use std::collections::btree_map::Entry;

use super::attributes::Attributes;
use super::convolution::{Bias, batch_first, matrix, real, weights_of_rank};
use super::elementwise::broadcast;
use super::graph::{Constant, EncodedConstant, Graph, Inputs, Map, Value};
use super::layout::{Axis, place};
use super::tensor::{Data, Tensor, int, int_format};
use crate::error::{Error, Result};
use crate::network::{Activation, EncodedTensor, Encoding, NodeId, PoolKind};
use crate::numeric::Format;

/// Scales and zero points as an encoding of words of `format`.
fn encoding(scale: &Constant, zero_point: Option<&Constant>, format: Format) -> Result<Encoding> {
    let scales = scale.tensor.floats();
    if let Some(scale) = scales.iter().find(|scale| !(scale.is_normal() && **scale > 0.0)) {
        return Err(Error::new("scale", format_args!("{scale} is not a positive number")));
    }
    let zero_points = match zero_point {
        Some(zero_point) => zero_point.tensor.ints()?.to_vec(),
        None => vec![0],
    };
    if scales.is_empty() || (zero_points.len() != scales.len() && zero_points.len() != 1) {
        return Err(Error::new(
            "zero point",
            format_args!("has {} values for {} scales", zero_points.len(), scales.len()),
        ));
    }
    if let Some(word) = zero_points.iter().find(|&&word| !format.contains(word.into())) {
        return Err(Error::new("zero point", format_args!("{word} is no word of {format}")));
    }
    Ok(Encoding { format, scales, zero_points })
}

/// The format of a constant of words.
fn words_format(tensor: &Tensor) -> Result<Format> {
    match tensor.data {
        Data::Int(format, _) => Ok(format),
        Data::Float(_) => Err(Error::new("constant", "is of floats, words were expected")),
    }
}

/// A constant of words, dequantized.
fn dequantized(tensor: &Tensor, encoding: Encoding, axis: usize) -> Result<Constant> {
    let inner: usize = tensor.dims.iter().skip(axis + 1).product();
    let channels = tensor.dims.get(axis).copied().unwrap_or(1);
    if encoding.scales.len() > 1 && encoding.scales.len() != channels {
        return Err(Error::new(
            "scale",
            format_args!("{} scales for {channels} slices", encoding.scales.len()),
        ));
    }
    let value = |(index, &word): (usize, &i64)| {
        let channel = index / inner.max(1) % channels.max(1);
        (word - encoding.zero_point(channel)) as f32 * encoding.scale(channel)
    };
    let values = tensor.ints()?.iter().enumerate().map(value).collect();
    Ok(Constant {
        tensor: Tensor { dims: tensor.dims.clone(), data: Data::Float(values) },
        words: Some(EncodedConstant { words: tensor.clone(), encoding, axis }),
    })
}

/// `DequantizeLinear` of a constant.
pub fn dequantize_constant(attributes: &Attributes, inputs: Inputs) -> Result<Value> {
    let tensor = &inputs.constant(0)?.tensor;
    attributes.only("block_size", 0)?;
    let _ = attributes.int("output_dtype", 1);
    let encoding = encoding(inputs.constant(1)?, inputs.optional(2)?, words_format(tensor)?)?;
    let axis = attributes.int("axis", 1);
    let axis = if encoding.scales.len() == 1 { 0 } else { place(axis, tensor.dims.len())? };
    Ok(Value::Constant(dequantized(tensor, encoding, axis)?.into()))
}

/// `QuantizeLinear` of a constant: `saturate(rint(x / scale) + zero point)`.
pub fn quantize_constant(attributes: &Attributes, inputs: Inputs) -> Result<Value> {
    let tensor = &inputs.constant(0)?.tensor;
    let encoding =
        encoding(inputs.constant(1)?, inputs.optional(2)?, output_format(attributes, inputs)?)?;
    let axis = attributes.int("axis", 1);
    let axis = if encoding.scales.len() == 1 { 0 } else { place(axis, tensor.dims.len())? };
    let inner: usize = tensor.dims.iter().skip(axis + 1).product();
    let channels = tensor.dims.get(axis).copied().unwrap_or(1);
    let format = encoding.format;
    let word = |(index, value): (usize, &f32)| {
        let channel = index / inner.max(1) % channels.max(1);
        let word = (value / encoding.scale(channel)).round_ties_even() as i64;
        let word = word.saturating_add(encoding.zero_point(channel));
        word.clamp(format.min() as i64, format.max() as i64)
    };
    let words = tensor.floats().iter().enumerate().map(word).collect();
    Ok(Value::constant(Tensor { dims: tensor.dims.clone(), data: Data::Int(format, words) }))
}

/// The words that `QuantizeLinear` writes: those of the zero point, else u8.
fn output_format(attributes: &Attributes, inputs: Inputs) -> Result<Format> {
    attributes.only("block_size", 0)?;
    let _ = (attributes.int("saturate", 1), attributes.int("precision", 0));
    match inputs.optional(2)? {
        Some(zero_point) => words_format(&zero_point.tensor),
        None => {
            let kind = rten_onnx::onnx::DataType(attributes.int("output_dtype", 2) as i32);
            Ok(int_format(kind).unwrap_or(int(false, 8)))
        }
    }
}

impl Graph {
    pub fn quantize_linear(
        &mut self,
        name: &str,
        attributes: &Attributes,
        inputs: Inputs,
    ) -> Result<Value> {
        let map = real(inputs.map(0)?)?;
        let _ = attributes.int("axis", 1);
        let encoding =
            encoding(inputs.constant(1)?, inputs.optional(2)?, output_format(attributes, inputs)?)?;
        one_scale(&encoding)?;
        if encoding.format.bits() > 16 {
            return Err(Error::new(
                "words",
                format_args!("{} are too wide, at most 16 bits", encoding.format),
            ));
        }
        let name = self.unique(name);
        let node = self.builder.identity(&name, map.node)?;
        Ok(self.words(node, map.axes.clone(), encoding))
    }

    pub fn dequantize_linear(&mut self, attributes: &Attributes, inputs: Inputs) -> Result<Value> {
        attributes.only("block_size", 0)?;
        let _ = (attributes.int("axis", 1), attributes.int("output_dtype", 1));
        let map = self.operand(inputs, 0, 1)?;
        Ok(Value::Map(Map { words: None, ..map }))
    }

    /// The words of a node's output.
    fn words(&mut self, node: usize, axes: Vec<Axis>, encoding: Encoding) -> Value {
        let words = Some(encoding.format);
        self.quantization.outputs.insert(node, encoding);
        Value::Map(Map { node, axes, words })
    }

    /// Input `index`, a map of words whose scale and zero point are inputs `scale` and the next;
    /// they must be those that the words were written with. The network's input takes them.
    fn operand(&mut self, inputs: Inputs, index: usize, scale: usize) -> Result<Map> {
        let map = inputs.map(index)?.clone();
        let Some(format) = map.words else {
            return Err(Error::new(
                format_args!("input {}", index + 1),
                "is of real values, not words",
            ));
        };
        let stated = encoding(inputs.constant(scale)?, inputs.optional(scale + 1)?, format)?;
        self.stated(map.node, &stated)?;
        Ok(map)
    }

    /// Gives a node that passes words on from the network's input, and those before it, their
    /// encoding; others must have it.
    fn stated(&mut self, node: NodeId, stated: &Encoding) -> Result<()> {
        one_scale(stated)?;
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            match self.quantization.outputs.entry(node) {
                Entry::Occupied(written) => written_as(written.get(), stated)?,
                Entry::Vacant(place) => {
                    place.insert(stated.clone());
                    open.extend(&self.builder.node(node).inputs);
                }
            }
        }
        Ok(())
    }

    /// The encoding that inputs `scale` and the next state for an output; words are those of the
    /// zero point, or of `like`.
    fn result(&self, inputs: Inputs, scale: usize, like: &Map) -> Result<Encoding> {
        let zero_point = inputs.optional(scale + 1)?;
        let format = match zero_point {
            Some(zero_point) => words_format(&zero_point.tensor)?,
            None => like.words.unwrap_or(int(false, 8)),
        };
        let encoding = encoding(inputs.constant(scale)?, zero_point, format)?;
        one_scale(&encoding)?;
        Ok(encoding)
    }

    /// A constant of words as weights whose output channels are axis `axis`.
    fn encoded(inputs: Inputs, index: usize, axis: usize) -> Result<Constant> {
        let tensor = &inputs.constant(index)?.tensor;
        let encoding = encoding(
            inputs.constant(index + 1)?,
            inputs.optional(index + 2)?,
            words_format(tensor)?,
        )?;
        dequantized(tensor, encoding, axis)
    }

    pub fn qlinear_conv(
        &mut self,
        name: &str,
        attributes: &Attributes,
        inputs: Inputs,
    ) -> Result<Value> {
        let map = self.operand(inputs, 0, 1)?;
        let weights = weights_of_rank(&Self::encoded(inputs, 3, 0)?)?;
        let bias = inputs.optional(8)?.map_or(Bias::None, |bias| Bias::Words(&bias.tensor));
        let to = self.result(inputs, 6, &map)?;
        let value = self.convolution(name, attributes, &map, weights, bias)?;
        self.settled(value, to)
    }

    /// A node's output as words of `to`.
    fn settled(&mut self, value: Value, to: Encoding) -> Result<Value> {
        match value {
            Value::Map(map) => Ok(self.words(map.node, map.axes, to)),
            Value::Constant(_) => Err(Error::new("output", "is constant")),
        }
    }

    pub fn qlinear_matmul(&mut self, name: &str, inputs: Inputs) -> Result<Value> {
        let map = self.operand(inputs, 0, 1)?;
        let weights = matrix(&Self::encoded(inputs, 3, 1)?, [1, 0])?;
        let to = self.result(inputs, 6, &map)?;
        let value = self.dense(name, &map, weights, Bias::None)?;
        self.settled(value, to)
    }

    pub fn qgemm(&mut self, name: &str, attributes: &Attributes, inputs: Inputs) -> Result<Value> {
        batch_first(attributes)?;
        if attributes.float("alpha", 1.0) != 1.0 {
            return Err(Error::new("attribute `alpha`", "only 1 is supported"));
        }
        let map = self.operand(inputs, 0, 1)?;
        let transposed = attributes.int("transB", 0) != 0;
        let (axis, order) = if transposed { (0, [0, 1]) } else { (1, [1, 0]) };
        let weights = matrix(&Self::encoded(inputs, 3, axis)?, order)?;
        let bias = inputs.optional(6)?.map_or(Bias::None, |bias| Bias::Words(&bias.tensor));
        let to = match inputs.optional(7)? {
            Some(_) => Some(self.result(inputs, 7, &map)?),
            None => None,
        };
        let value = self.dense(name, &map, weights, bias)?;
        match to {
            Some(to) => self.settled(value, to),
            None => Ok(value),
        }
    }

    /// Words less their zero points, with a scale of 1.
    fn integer_operand(&mut self, inputs: Inputs, zero_point: usize) -> Result<Map> {
        let map = inputs.map(0)?.clone();
        let Some(format) = map.words else {
            return Err(Error::new("input 1", "is of real values, not words"));
        };
        let one = Constant { tensor: scalar(1.0), words: None };
        let stated = encoding(&one, inputs.optional(zero_point)?, format)?;
        self.stated(map.node, &stated)?;
        Ok(map)
    }

    fn integer_weights(inputs: Inputs, zero_point: usize, axis: usize) -> Result<Constant> {
        let tensor = &inputs.constant(1)?.tensor;
        let zero_point = inputs.optional(zero_point)?;
        let count = zero_point.map_or(1, |zero_point| zero_point.tensor.len().max(1));
        let ones = Tensor { dims: vec![count], data: Data::Float(vec![1.0; count]) };
        let one = Constant { tensor: ones, words: None };
        dequantized(tensor, encoding(&one, zero_point, words_format(tensor)?)?, axis)
    }

    pub fn conv_integer(
        &mut self,
        name: &str,
        attributes: &Attributes,
        inputs: Inputs,
    ) -> Result<Value> {
        let map = self.integer_operand(inputs, 2)?;
        let weights = weights_of_rank(&Self::integer_weights(inputs, 3, 0)?)?;
        self.convolution(name, attributes, &map, weights, Bias::None)
    }

    pub fn matmul_integer(&mut self, name: &str, inputs: Inputs) -> Result<Value> {
        let map = self.integer_operand(inputs, 2)?;
        let weights = matrix(&Self::integer_weights(inputs, 3, 1)?, [1, 0])?;
        self.dense(name, &map, weights, Bias::None)
    }

    /// `QLinearAdd` and `QLinearMul`, of two maps or of a map and a constant.
    pub fn qlinear_binary(&mut self, op: &str, name: &str, inputs: Inputs) -> Result<Value> {
        let is_map = |index: usize| matches!(inputs.0.get(index), Some(Some(Value::Map(_))));
        let maps = match [is_map(0), is_map(3)] {
            [true, true] => [self.operand(inputs, 0, 1)?, self.operand(inputs, 3, 4)?],
            [true, false] => {
                let map = self.operand(inputs, 0, 1)?;
                let constant = self.encoded_map(name, &map, &Self::encoded(inputs, 3, 0)?)?;
                [map, constant]
            }
            [false, true] => {
                let map = self.operand(inputs, 3, 4)?;
                let constant = self.encoded_map(name, &map, &Self::encoded(inputs, 0, 0)?)?;
                [constant, map]
            }
            [false, false] => return Err(Error::new("inputs", "are both constant")),
        };
        let to = self.result(inputs, 6, &maps[0])?;
        let op = if op == "QLinearMul" { "Mul" } else { "Add" };
        let value = self.joined(op, name, &maps)?;
        self.settled(value, to)
    }

    /// A constant of words as a node of the map's shape.
    fn encoded_map(&mut self, name: &str, map: &Map, constant: &Constant) -> Result<Map> {
        let Some(encoded) = &constant.words else {
            return Err(Error::new("constant", "is not of words"));
        };
        let node = self.constant_map(name, map, &constant.tensor)?;
        let words = broadcast(&self.dims(map), &encoded.words)?.ints()?.to_vec();
        let encoding = encoded.encoding.clone();
        self.quantization.outputs.insert(node.node, encoding.clone());
        self.quantization.weights.insert(node.node, EncodedTensor { encoding, words });
        Ok(Map { words: map.words, ..node })
    }

    pub fn qlinear_concat(
        &mut self,
        name: &str,
        attributes: &Attributes,
        inputs: Inputs,
    ) -> Result<Value> {
        let parts = inputs.len().saturating_sub(2) / 3;
        let maps: Vec<Map> = (0..parts)
            .map(|part| self.operand(inputs, 2 + 3 * part, 3 + 3 * part))
            .collect::<Result<_>>()?;
        let Some(first) = maps.first() else {
            return Err(Error::new("inputs", "are too few"));
        };
        let axis = place(attributes.int("axis", 1), first.axes.len())?;
        if first.axes[axis] != Axis::C || maps.iter().any(|map| map.axes != first.axes) {
            return Err(Error::new("inputs", "are not joined along their channels"));
        }
        let to = self.result(inputs, 0, first)?;
        let nodes: Vec<usize> = maps.iter().map(|map| map.node).collect();
        let name = self.unique(name);
        let node = match nodes[..] {
            [node] => self.builder.identity(&name, node)?,
            _ => self.builder.concat(&name, &nodes)?,
        };
        Ok(self.words(node, first.axes.clone(), to))
    }

    /// A node of a map of words; inputs 3 and 4 are the scale and zero point of what it writes.
    fn on_words(
        &mut self,
        inputs: Inputs,
        node: impl FnOnce(&mut Self, &Map) -> Result<NodeId>,
    ) -> Result<Value> {
        let map = self.operand(inputs, 0, 1)?;
        let to = self.result(inputs, 3, &map)?;
        let node = node(self, &map)?;
        self.quantization.on_words.insert(node);
        Ok(self.words(node, map.axes, to))
    }

    pub fn qlinear_global_average_pool(
        &mut self,
        name: &str,
        attributes: &Attributes,
        inputs: Inputs,
    ) -> Result<Value> {
        attributes.only("channels_last", 0)?;
        self.on_words(inputs, |graph, map| {
            map.channels_first()?;
            let name = graph.unique(name);
            graph.builder.global_pool(&name, map.node, PoolKind::Average)
        })
    }

    pub fn qlinear_average_pool(
        &mut self,
        name: &str,
        attributes: &Attributes,
        inputs: Inputs,
    ) -> Result<Value> {
        attributes.only("channels_last", 0)?;
        self.on_words(inputs, |graph, map| graph.average_pool(name, attributes, map))
    }

    pub fn qlinear_softmax(
        &mut self,
        name: &str,
        attributes: &Attributes,
        inputs: Inputs,
    ) -> Result<Value> {
        let opset = attributes.int("opset", self.opset);
        self.on_words(inputs, |graph, map| graph.softmax(name, attributes, map, opset))
    }

    pub fn qlinear_activation(
        &mut self,
        op: &str,
        name: &str,
        attributes: &Attributes,
        inputs: Inputs,
    ) -> Result<Value> {
        let function = match op {
            "QLinearSigmoid" => Activation::Sigmoid,
            _ => Activation::LeakyRelu { slope: attributes.float("alpha", 0.01) },
        };
        self.on_words(inputs, |graph, map| {
            let name = graph.unique(name);
            graph.builder.activation(&name, map.node, function)
        })
    }
}

/// Refuses words that were written with another encoding than they are read with.
fn written_as(written: &Encoding, stated: &Encoding) -> Result<()> {
    if written.scale(0) == stated.scale(0) && written.zero_point(0) == stated.zero_point(0) {
        return Ok(());
    }
    Err(Error::new(
        "scale",
        format_args!(
            "words of scale {} and zero point {} are read with {:?} and {:?}",
            written.scale(0),
            written.zero_point(0),
            stated.scales,
            stated.zero_points
        ),
    )
    .remedy("requantize them between the two nodes"))
}

fn one_scale(encoding: &Encoding) -> Result<()> {
    match encoding.scales.len() {
        1 => Ok(()),
        _ => Err(Error::new("scale", "by channel is not supported for feature maps")
            .remedy("quantize feature maps per tensor; weights may have a scale by channel")),
    }
}

fn scalar(value: f32) -> Tensor {
    Tensor { dims: Vec::new(), data: Data::Float(vec![value]) }
}
