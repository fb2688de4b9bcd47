//! Convolutions, matrix products and batch normalization, float or of words.

use super::attributes::Attributes;
use super::graph::{Constant, Graph, Inputs, Map, Value};
use super::layout::Axis;
use super::tensor::{Data, Tensor};
use crate::error::{Error, Result};
use crate::network::{EncodedTensor, NodeId};
use crate::tensor::{Shape, Window};

/// Weights as [output channels, …], and the words that they stand for.
pub struct Weights {
    /// Values, output channels first.
    pub values: Tensor,
    /// Words, if the tensor was quantized.
    pub words: Option<EncodedTensor>,
}

impl Weights {
    /// `constant` with its axes in another order, of which the first are output channels.
    pub fn of(constant: &Constant, order: &[usize]) -> Result<Self> {
        let words = match &constant.words {
            None => None,
            Some(encoded) => {
                let scales = encoded.encoding.scales.len();
                if scales > 1 && order.first() != Some(&encoded.axis) {
                    return Err(Error::new("weights", "have scales by another axis than outputs")
                        .remedy("quantize per tensor or per output channel"));
                }
                let words = encoded.words.transposed(order).ints()?.to_vec();
                Some(EncodedTensor { encoding: encoded.encoding.clone(), words })
            }
        };
        Ok(Self { values: constant.tensor.transposed(order), words })
    }
}

/// A bias: values, or words of the accumulator.
pub enum Bias<'a> {
    None,
    Values(&'a Constant),
    Words(&'a Tensor),
}

impl Graph {
    pub fn conv(&mut self, name: &str, attributes: &Attributes, inputs: Inputs) -> Result<Value> {
        let weights = weights_of_rank(inputs.constant(1)?)?;
        let bias = inputs.optional(2)?.map_or(Bias::None, Bias::Values);
        self.convolution(name, attributes, real(inputs.map(0)?)?, weights, bias)
    }

    /// A convolution of a map by weights [N, C / groups, kernel…] of one or two spatial axes.
    pub fn convolution(
        &mut self,
        name: &str,
        attributes: &Attributes,
        map: &Map,
        mut weights: Weights,
        bias: Bias,
    ) -> Result<Value> {
        map.channels_first()?;
        let dims = weights.values.dims.clone();
        let spatial = map.axes.len().saturating_sub(2);
        if spatial == 0 || dims.len() != map.axes.len() {
            return Err(Error::new(
                "weights",
                format_args!("of sizes {dims:?} for {} axes", map.axes.len()),
            ));
        }
        let kernel = &dims[2..];
        if attributes.sizes("kernel_shape", kernel, 1)? != kernel {
            return Err(Error::new("attribute `kernel_shape`", "differs from the weights'"));
        }
        let window = window(attributes, kernel, self.shape(map))?;
        let groups = usize::try_from(attributes.int("group", 1))
            .map_err(|_| Error::new("attribute `group`", "is negative"))?;
        let (channels, taps) = (dims[0], kernel.iter().product::<usize>());
        if dims[1].checked_mul(groups) != Some(self.shape(map).channels) {
            return Err(Error::new(
                "weights",
                format_args!("{} channels in {groups} groups for {}", dims[1], self.shape(map)),
            ));
        }
        weights.values = weights.values.reshaped(vec![channels, dims[1] * taps])?;
        let name = self.unique(name);
        let has_bias = !matches!(bias, Bias::None);
        let node = self.builder.conv(&name, map.node, channels, window, groups, has_bias)?;
        let shape = [channels, dims[1], window.kernel[0], window.kernel[1]];
        self.operands(&name, node, map, weights, &shape, bias)?;
        Ok(self.real(node, map.axes.clone()))
    }

    pub fn gemm(&mut self, name: &str, attributes: &Attributes, inputs: Inputs) -> Result<Value> {
        batch_first(attributes)?;
        let order = if attributes.int("transB", 0) == 0 { [1, 0] } else { [0, 1] };
        let (alpha, beta) = (attributes.float("alpha", 1.0), attributes.float("beta", 1.0));
        let mut weights = matrix(inputs.constant(1)?, order)?;
        if alpha != 1.0 {
            weights = scaled(&weights, alpha);
        }
        let map = real(inputs.map(0)?)?;
        match inputs.optional(2)? {
            None => self.dense(name, map, weights, Bias::None),
            Some(bias) if beta == 1.0 => self.dense(name, map, weights, Bias::Values(bias)),
            Some(bias) => {
                let values = bias.tensor.floats().iter().map(|value| beta * value).collect();
                let tensor = Tensor { dims: bias.tensor.dims.clone(), data: Data::Float(values) };
                self.dense(name, map, weights, Bias::Values(&Constant { tensor, words: None }))
            }
        }
    }

    pub fn matmul(&mut self, name: &str, inputs: Inputs) -> Result<Value> {
        let weights = matrix(inputs.constant(1)?, [1, 0])?;
        self.dense(name, real(inputs.map(0)?)?, weights, Bias::None)
    }

    /// A vector by weights [N, K].
    pub fn dense(&mut self, name: &str, map: &Map, weights: Weights, bias: Bias) -> Result<Value> {
        if map.axes != [Axis::N, Axis::C] {
            return Err(Error::new(
                "input",
                format_args!("has the axes {:?}, a batch of vectors was expected", map.axes),
            )
            .remedy("flatten it before the matrix product"));
        }
        let [features, reduction] = weights.values.dims[..] else {
            return Err(Error::new("weights", "are no matrix"));
        };
        if self.shape(map) != Shape::vector(reduction) {
            return Err(Error::new(
                "weights",
                format_args!("{features}×{reduction} for an input of {}", self.shape(map)),
            ));
        }
        let name = self.unique(name);
        let has_bias = !matches!(bias, Bias::None);
        let node = self.builder.dense(&name, map.node, features, has_bias)?;
        self.operands(&name, node, map, weights, &[features, reduction], bias)?;
        Ok(self.real(node, map.axes.clone()))
    }

    /// Stores weights and bias of a multiply-accumulate node: values, and words where the operands
    /// are words.
    fn operands(
        &mut self,
        name: &str,
        node: NodeId,
        map: &Map,
        weights: Weights,
        shape: &[usize],
        bias: Bias,
    ) -> Result<()> {
        let channels = shape[0];
        self.parameter(name, "weight", shape, weights.values.floats())?;
        let input_scale = self.encoding(map).map(|encoding| encoding.scale(0));
        let units = match (&weights.words, input_scale) {
            (Some(words), Some(scale)) => {
                Some((0..channels).map(|c| scale * words.encoding.scale(c)).collect::<Vec<f32>>())
            }
            _ => None,
        };
        let per_channel = |len: usize| -> Result<()> {
            if len == channels || len == 1 {
                return Ok(());
            }
            Err(Error::new("bias", format_args!("{len} values for {channels} output channels"))
                .remedy("a bias has one value, or one by output channel, for all images"))
        };
        match bias {
            Bias::None => {}
            Bias::Values(constant) => {
                let values = constant.tensor.floats();
                per_channel(values.len())?;
                let value = |c: usize| values[c.min(values.len() - 1)];
                let all: Vec<f32> = (0..channels).map(value).collect();
                if let Some(units) = &units {
                    let words = match &constant.words {
                        Some(encoded) if exact_units(&encoded.encoding.scales, units) => {
                            let words = encoded.words.ints()?;
                            (0..channels).map(|c| words[c.min(words.len() - 1)]).collect()
                        }
                        _ => all.iter().zip(units).map(|(v, u)| rounded(*v, *u)).collect(),
                    };
                    self.quantization.biases.insert(node, words);
                }
                self.parameter(name, "bias", &[channels], all)?;
            }
            Bias::Words(tensor) => {
                let words = tensor.ints()?;
                per_channel(words.len())?;
                let words: Vec<i64> =
                    (0..channels).map(|c| words[c.min(words.len() - 1)]).collect();
                let units = units.as_ref().ok_or_else(|| Error::new("bias", "is of words"))?;
                let values = words.iter().zip(units).map(|(&w, unit)| w as f32 * unit).collect();
                self.parameter(name, "bias", &[channels], values)?;
                self.quantization.biases.insert(node, words);
            }
        }
        if let (Some(words), Some(_)) = (weights.words, units) {
            self.quantization.weights.insert(node, words);
        }
        Ok(())
    }

    pub fn batch_normalization(
        &mut self,
        name: &str,
        attributes: &Attributes,
        inputs: Inputs,
    ) -> Result<Value> {
        attributes.only("training_mode", 0)?;
        attributes.only("spatial", 1)?;
        let _ = attributes.float("momentum", 0.9);
        let epsilon = attributes.float("epsilon", 1e-5);
        let map = real(inputs.map(0)?)?;
        map.channels_first()?;
        let name = self.unique(name);
        let node = self.builder.batch_norm(&name, map.node, epsilon)?;
        for (index, parameter) in
            ["weight", "bias", "running_mean", "running_var"].iter().enumerate()
        {
            let values = inputs.constant(index + 1)?.tensor.floats();
            self.parameter(&name, parameter, &[self.shape(map).channels], values)?;
        }
        Ok(self.real(node, map.axes.clone()))
    }

    /// `y = factor · x + offset` by channel, as a batch normalization of mean 0 and variance 1.
    pub fn affine(
        &mut self,
        name: &str,
        map: &Map,
        factor: Vec<f32>,
        offset: Vec<f32>,
    ) -> Result<Value> {
        // The smallest positive ε is lost against the variance.
        const EPSILON: f32 = f32::MIN_POSITIVE;
        let channels = self.shape(map).channels;
        let name = self.unique(name);
        let node = self.builder.batch_norm(&name, map.node, EPSILON)?;
        let parameters = [
            ("weight", factor),
            ("bias", offset),
            ("running_mean", vec![0.0; channels]),
            ("running_var", vec![1.0; channels]),
        ];
        for (parameter, values) in parameters {
            self.parameter(&name, parameter, &[channels], values)?;
        }
        Ok(self.real(node, map.axes.clone()))
    }
}

/// Refuses a `Gemm` whose first operand is transposed: its first axis is the batch.
pub fn batch_first(attributes: &Attributes) -> Result<()> {
    match attributes.int("transA", 0) {
        0 => Ok(()),
        _ => Err(Error::new("attribute `transA`", "moves the batch, which is the first axis")
            .remedy("only 0 is supported")),
    }
}

/// Refuses words where real values are read.
pub fn real(map: &Map) -> Result<&Map> {
    match map.words {
        None => Ok(map),
        Some(format) => Err(Error::new("input", format_args!("is of words {format}"))
            .remedy("dequantize it first, or use the quantized operator")),
    }
}

/// Convolution weights: output channels are their first axis.
pub fn weights_of_rank(constant: &Constant) -> Result<Weights> {
    let rank = constant.tensor.dims.len();
    if !(3..=4).contains(&rank) {
        return Err(Error::new(
            "weights",
            format_args!("have {rank} axes; convolutions over one or two axes are supported"),
        ));
    }
    Weights::of(constant, &(0..rank).collect::<Vec<_>>())
}

/// A weight matrix as [N, K].
pub fn matrix(constant: &Constant, order: [usize; 2]) -> Result<Weights> {
    if constant.tensor.dims.len() != 2 {
        return Err(Error::new(
            "weights",
            format_args!("have {} axes, a matrix was expected", constant.tensor.dims.len()),
        ));
    }
    Weights::of(constant, &order)
}

fn scaled(weights: &Weights, factor: f32) -> Weights {
    let values = weights.values.floats().iter().map(|value| factor * value).collect();
    let values = Tensor { dims: weights.values.dims.clone(), data: Data::Float(values) };
    Weights { values, words: None }
}

/// Whether a bias has the units of the accumulator.
fn exact_units(scales: &[f32], units: &[f32]) -> bool {
    units.iter().enumerate().all(|(c, unit)| scales[c.min(scales.len() - 1)] == *unit)
}

/// The word nearest to a value, in units of the accumulator.
fn rounded(value: f32, unit: f32) -> i64 {
    (f64::from(value) / f64::from(unit)).round_ties_even() as i64
}

/// The window of a convolution or pooling operator with `kernel` sizes of one or two axes.
pub fn window(attributes: &Attributes, kernel: &[usize], input: Shape) -> Result<Window> {
    let ones = vec![1; kernel.len()];
    let strides = attributes.sizes("strides", &ones, 1)?;
    let dilations = attributes.sizes("dilations", &ones, 1)?;
    let pads = attributes.sizes("pads", &vec![0; 2 * kernel.len()], 0)?;
    let auto = attributes.string("auto_pad", "NOTSET");
    let pair = |sizes: &[usize]| match *sizes {
        [width] => [1, width],
        _ => [sizes[0], sizes[1]],
    };
    let mut window = Window {
        kernel: pair(kernel),
        stride: pair(&strides),
        padding: match pads[..] {
            [left, right] => [0, left, 0, right],
            _ => [pads[0], pads[1], pads[2], pads[3]],
        },
        dilation: pair(&dilations),
    };
    match auto {
        "NOTSET" | "" => {}
        "VALID" => window.padding = [0; 4],
        "SAME_UPPER" | "SAME_LOWER" => {
            let sizes = [input.height, input.width];
            for (axis, &size) in sizes.iter().enumerate() {
                let span = (window.kernel[axis] - 1).saturating_mul(window.dilation[axis]) + 1;
                let steps = (size.div_ceil(window.stride[axis]) - 1) * window.stride[axis];
                let total = (steps + span).saturating_sub(size);
                let (small, large) = (total / 2, total - total / 2);
                let upper = auto == "SAME_UPPER";
                window.padding[axis] = if upper { small } else { large };
                window.padding[axis + 2] = if upper { large } else { small };
            }
        }
        other => {
            return Err(Error::new(
                "attribute `auto_pad`",
                format_args!("{other} is not supported"),
            ));
        }
    }
    Ok(window)
}
