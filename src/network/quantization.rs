//! The affine quantization that a model file states: `real = scale · (q − zero point)`.
//!
//! Readers fill it in; `quantize` lowers it. Words here are those of the file.

use std::collections::BTreeMap;

use super::NodeId;
use crate::numeric::Format;

/// How the words of a tensor stand for real values.
#[derive(Clone, PartialEq, Debug)]
pub struct Encoding {
    /// Signedness and width of the words; no fractional bits.
    pub format: Format,
    /// Positive scales: one, or one by output channel.
    pub scales: Vec<f32>,
    /// Zero points, words of the format: one, or one by output channel.
    pub zero_points: Vec<i64>,
}

impl Encoding {
    /// The scale of channel `channel`.
    pub fn scale(&self, channel: usize) -> f32 {
        *self.scales.get(channel).unwrap_or(&self.scales[0])
    }

    /// The zero point of channel `channel`.
    pub fn zero_point(&self, channel: usize) -> i64 {
        *self.zero_points.get(channel).unwrap_or(&self.zero_points[0])
    }
}

/// A quantized parameter.
#[derive(Clone, PartialEq, Debug)]
pub struct EncodedTensor {
    /// Meaning of the words.
    pub encoding: Encoding,
    /// Words in the layout of the node's float parameter.
    pub words: Vec<i64>,
}

/// Whose definitions of the quantized operators the file follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arithmetic {
    /// ONNX and ONNX Runtime: float32 scales, halves to even.
    Onnx,
    /// TFLite's reference kernels: integer multipliers and shifts.
    TfLite,
}

/// What a file says of the words of its network.
#[derive(Clone, PartialEq, Debug)]
pub struct Quantization {
    /// Definitions of the operators.
    pub arithmetic: Arithmetic,
    /// By node: the encoding of its output. A node without one has float values, or, if it is a
    /// multiply-accumulate layer of quantized operands, its accumulators.
    pub outputs: BTreeMap<NodeId, Encoding>,
    /// By node: its weights, or the value of a constant.
    pub weights: BTreeMap<NodeId, EncodedTensor>,
    /// By node: bias words in units of the input's scale times the weights'.
    pub biases: BTreeMap<NodeId, Vec<i64>>,
    /// Whether the network's input is given as words of its encoding instead of real values.
    pub takes_words: bool,
    /// Whether the network's output is given as words of its encoding instead of real values.
    pub gives_words: bool,
}
