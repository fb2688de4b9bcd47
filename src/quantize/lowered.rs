//! The quantized network: what an accelerator is given to execute.

use std::sync::Arc;

use crate::numeric::{Cast, Format, Overflow, Rounding};
use crate::tensor::{ConvGeometry, Shape, Window, Words};

/// A network of integer layers in topological order.
#[derive(Clone, Debug)]
pub struct QuantizedNetwork {
    /// Name of the network.
    pub name: String,
    /// Layers in topological order; the last is the output.
    pub layers: Vec<Layer>,
}

/// An integer layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Name of the node it comes from.
    pub name: String,
    /// Earlier layers that it reads.
    pub inputs: Vec<usize>,
    /// Output shape of one image.
    pub shape: Shape,
    /// What it computes.
    pub operation: Operation,
    /// How its results become words.
    pub output: Output,
}

/// The `output` site of a layer, the extrinsic quantization: `word = maps(clamp(cast(result)))`.
#[derive(Clone, Debug)]
pub struct Output {
    /// Format, rounding and overflow of the cast.
    pub cast: Cast,
    /// Fused activation function, on words of the cast's format.
    pub clamp: Option<Clamp>,
    /// Further quantizers, on words, in this order.
    pub maps: Vec<WordMap>,
}

impl Output {
    /// The format of the words that the layer writes.
    pub fn format(&self) -> Format {
        self.maps
            .iter()
            .rev()
            .find_map(|map| match map {
                WordMap::Table { format, .. } => Some(*format),
                WordMap::TopK { .. } | WordMap::NOfM { .. } => None,
            })
            .unwrap_or(self.cast.to())
    }
}

/// A quantizer that runs on words.
#[derive(Clone, PartialEq, Debug)]
pub enum WordMap {
    /// Element by element: `word ← words[word − base.min()]`, where `base` is the format of the
    /// incoming words; the result is a word of `format`.
    Table {
        /// Result by incoming word, in increasing order.
        words: Arc<[i64]>,
        /// Format of the result.
        format: Format,
    },
    /// Keeps the `keep` words of largest magnitude of one image's map; the others become zero.
    /// Of equal magnitudes the one that comes first (channels-last order) is kept.
    TopK {
        /// Words kept.
        keep: usize,
    },
    /// Of every `m` consecutive channels of a pixel keeps the `n` words of largest magnitude.
    NOfM {
        /// Words kept of a group.
        n: usize,
        /// Length of a group.
        m: usize,
    },
}

/// An activation function on words: `min(max(word, low), high)`, in raw words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clamp {
    /// Lower bound, a raw word of the format.
    pub low: i64,
    /// Upper bound, a raw word of the format.
    pub high: i64,
}

/// What a layer computes.
#[derive(Clone, Debug)]
pub enum Operation {
    /// A network input: its words come from the input quantizer, `round(x · 2^F)` and overflow.
    Input,
    /// Convolution, dense or kept batch normalization.
    Mac(Box<MacLayer>),
    /// An activation function on its own: the cast, then the clamp.
    Activation,
    /// Maximum over a window; padding never wins.
    MaxPool(Window),
    /// Average over a window, its positions inside the map: the exact quotient, cast.
    AveragePool(Window),
    /// Sum of inputs, aligned exactly, cast once.
    Add,
    /// Concatenation along channels, each part cast.
    Concat,
    /// C × H × W to a vector in the order channel, row, column.
    Flatten,
    /// Softmax over the dequantized words, on the host, in float; the last layer only. Its words
    /// are its input's.
    Softmax,
}

impl Operation {
    /// The operator's name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Mac(layer) => layer.name(),
            Self::Activation => "activation",
            Self::MaxPool(_) => "max_pool",
            Self::AveragePool(_) => "average_pool",
            Self::Add => "add",
            Self::Concat => "concat",
            Self::Flatten => "flatten",
            Self::Softmax => "softmax",
        }
    }
}

/// A multiply-accumulate layer: operands and the sites inside the loop (intrinsic quantization).
#[derive(Clone, Debug)]
pub struct MacLayer {
    /// Shapes.
    pub geometry: ConvGeometry,
    /// Weight words, `[output channel][input channel of the group][kernel row][kernel column]`.
    pub weights: Words,
    /// Bias words by output channel.
    pub bias: Option<Bias>,
    /// Cast of the incoming words before the multipliers; `None` takes them as they are.
    pub activations: Option<Cast>,
    /// Product format of the `product_cast` style; `None` is the accumulator's format.
    pub product: Option<Cast>,
    /// The accumulator.
    pub accumulator: AccumulatorSite,
}

impl MacLayer {
    /// What its shapes make of it.
    fn name(&self) -> &'static str {
        let ConvGeometry { input, window, groups, .. } = self.geometry;
        let depthwise = groups > 1 && groups == input.channels;
        match window.kernel {
            [1, 1] if depthwise => "scale",
            _ if depthwise => "depthwise_conv",
            [1, 1] if input.pixels() == 1 => "dense",
            _ => "conv",
        }
    }
}

/// Bias words and their format.
#[derive(Clone, PartialEq, Debug)]
pub struct Bias {
    /// Common format.
    pub format: Format,
    /// Raw words by output channel.
    pub raw: Vec<i64>,
}

/// What the plan says of an accumulator; the hardware model completes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccumulatorSite {
    /// Format; `None` is the hardware's widest signed word at the exact product's binary point.
    pub format: Option<Format>,
    /// Rounding of casts into the accumulator.
    pub rounding: Rounding,
    /// Overflow; `None` is the hardware's. One that differs from the hardware's is refused.
    pub overflow: Option<Overflow>,
}
