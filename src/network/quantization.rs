//! The affine quantization that a model file states: `real = scale · (q − zero point)`.
//!
//! Readers fill it in; `quantize` lowers it. Words here are those of the file.

use std::collections::{BTreeMap, BTreeSet};

use super::{Network, Node, NodeId, Op};
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
    Onnx {
        /// Version of the default operator set.
        opset: i64,
    },
    /// TFLite's reference kernels: integer multipliers and shifts.
    TfLite,
    /// The hardware's requantizer: networks that are quantized here.
    Hardware,
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
    /// Nodes that the file states as operators on words, where that tells: softmax and average
    /// pooling are otherwise float operators between tensors that are quantized.
    pub on_words: BTreeSet<NodeId>,
    /// Whether the network's input is given as words of its encoding instead of real values.
    pub takes_words: bool,
    /// Whether the network's output is given as words of its encoding instead of real values.
    pub gives_words: bool,
}

impl Quantization {
    /// Merges nodes that only quantize into the node before them where that has no encoding and no
    /// other reader.
    pub fn merge_identities(&mut self, network: &mut Network) {
        let nodes = &network.nodes;
        let mut readers = vec![0; nodes.len()];
        nodes.iter().flat_map(|node| &node.inputs).for_each(|&input| readers[input] += 1);
        // By node: the node that takes its place.
        let mut place: Vec<NodeId> = Vec::with_capacity(nodes.len());
        let mut kept: Vec<Node> = Vec::with_capacity(nodes.len());
        let mut outputs = BTreeMap::new();
        for (id, node) in nodes.iter().enumerate() {
            let encoding = self.outputs.get(&id);
            if let (Op::Identity, &[input], Some(encoding)) = (&node.op, &node.inputs[..], encoding)
                && readers[input] == 1
                && !self.outputs.contains_key(&input)
            {
                outputs.insert(place[input], encoding.clone());
                place.push(place[input]);
                continue;
            }
            if let Some(encoding) = encoding {
                outputs.insert(kept.len(), encoding.clone());
            }
            place.push(kept.len());
            let inputs = node.inputs.iter().map(|&input| place[input]).collect();
            kept.push(Node { inputs, ..node.clone() });
        }
        let moved = |id: &NodeId| place[*id];
        self.outputs = outputs;
        self.weights = self.weights.iter().map(|(id, w)| (moved(id), w.clone())).collect();
        self.biases = self.biases.iter().map(|(id, b)| (moved(id), b.clone())).collect();
        self.on_words = self.on_words.iter().map(moved).collect();
        network.nodes = kept;
    }
}
