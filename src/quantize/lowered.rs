//! The quantized network: what an accelerator is given to execute.

use std::fmt;
use std::sync::Arc;

use crate::kernels::elementwise::ScaledSum;
use crate::kernels::pool::Average;
use crate::kernels::softmax::Softmax;
use crate::network::{FlattenOrder, Network, NodeId, Parameters};
use crate::numeric::{Cast, Format, Overflow, Requantizer, Rounding};
use crate::tensor::{ConvGeometry, Shape, Window, Words};

/// A network of integer layers in topological order.
#[derive(Clone, Debug)]
pub struct QuantizedNetwork {
    /// Name of the network.
    pub name: String,
    /// Layers in topological order; the last is the output.
    pub layers: Vec<Layer>,
    /// What [`Operation::Host`] computes, if there is one.
    pub host: Option<Arc<HostModel>>,
    /// Whether the input is given as stored words instead of real values.
    pub takes_words: bool,
    /// Whether the output is given as stored words instead of real values.
    pub gives_words: bool,
}

/// The float operators that the host computes.
#[derive(Clone, PartialEq, Debug)]
pub struct HostModel {
    /// The float network; [`Operation::Host`] names nodes of it.
    pub network: Network,
    /// Parameters of those nodes.
    pub parameters: Parameters,
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
    /// What the words stand for, where it is not given by their format alone.
    pub affine: Option<Affine>,
}

/// The meaning of affine words. Words are held centred, `c = q − zero point`, so that 0 is 0; what
/// an accelerator stores is q.
#[derive(Clone, PartialEq, Debug)]
pub struct Affine {
    /// `real = scale · c`: one, or one by channel.
    pub scales: Vec<f32>,
    /// Zero point.
    pub zero_point: i64,
    /// Format of the stored words.
    pub stored: Format,
}

impl Affine {
    /// The scale of channel `channel`.
    pub fn scale(&self, channel: usize) -> f32 {
        *self.scales.get(channel).unwrap_or(&self.scales[0])
    }

    /// The smallest format of the centred words: unsigned where the zero point is the smallest
    /// word, a bit wider than the stored one where it is neither that nor in the middle.
    pub fn centred(&self) -> Format {
        let [low, high] = self.range().map(i128::from);
        let bits = self.stored.bits();
        [(false, bits), (true, bits), (true, bits + 1)]
            .into_iter()
            .filter_map(|(signed, bits)| Format::new(signed, bits, 0).ok())
            .find(|format| format.contains(low) && format.contains(high))
            .unwrap_or(self.stored)
    }

    /// Smallest and largest centred word.
    pub fn range(&self) -> [i64; 2] {
        [self.stored.min(), self.stored.max()].map(|word| word as i64 - self.zero_point)
    }
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
    /// An activation function on its own, or a change of format: the cast, the clamp, the maps.
    Activation,
    /// Maximum over a window; padding never wins.
    MaxPool(Window),
    /// Average over a window.
    AveragePool {
        /// The window.
        window: Window,
        /// What becomes of the sum.
        average: Average,
        /// Scale of the sum, where that makes it the average.
        rescale: Option<Rescale>,
    },
    /// Sum of inputs: aligned exactly and cast once, or scaled.
    Add(Option<ScaledSum>),
    /// Product of two inputs, cast once or rescaled.
    Mul(Option<Rescale>),
    /// Concatenation along channels, each part cast, after its table if there is one.
    Concat(Vec<Option<Arc<[i64]>>>),
    /// Zeros around a map: top, left, bottom, right.
    Pad([usize; 4]),
    /// C × H × W to a vector in this order.
    Flatten(FlattenOrder),
    /// Words that are the same for every image, channels-last.
    Constant(Words),
    /// Softmax over the channels of each pixel, in words.
    Softmax(Softmax),
    /// A node of the [`HostModel`]: its float definition on the values of the inputs' words, in
    /// float32. Where `quantized`, its output site makes words of the result; else only other host
    /// layers read it.
    Host {
        /// Node of the host's network.
        node: NodeId,
        /// Whether it writes words.
        quantized: bool,
    },
}

impl HostModel {
    /// A model of one operator over inputs of the given shapes, for tests.
    #[cfg(test)]
    pub fn softmax(features: usize) -> (Self, NodeId) {
        let mut builder = crate::network::Builder::new("host");
        let input = builder.input("input", Shape::vector(features)).expect("a vector");
        let node = builder.softmax("softmax", input).expect("a softmax");
        let network = builder.finish().expect("a network");
        (Self { network, parameters: Parameters::new() }, node)
    }
}

/// How the results of a layer with affine words become words.
#[derive(Clone, PartialEq, Debug)]
pub enum Rescale {
    /// The hardware's requantizer, by output words for each unit of the result: one scale, or one by
    /// output channel.
    Scales(Vec<f64>),
    /// Those of the runtime that the file is made for: one, or one by output channel.
    Requantizers(Vec<Requantizer>),
}

impl Operation {
    /// The operator's name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Mac(layer) => layer.name(),
            Self::Activation => "activation",
            Self::MaxPool(_) => "max_pool",
            Self::AveragePool { .. } => "average_pool",
            Self::Add(_) => "add",
            Self::Mul(_) => "mul",
            Self::Concat(_) => "concat",
            Self::Pad(_) => "pad",
            Self::Flatten(_) => "flatten",
            Self::Constant(_) => "constant",
            Self::Softmax(_) => "softmax",
            Self::Host { .. } => "host",
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
    /// From the accumulator to affine words; `None` where binary points say it all, or the
    /// accumulators themselves are the output.
    pub rescale: Option<Rescale>,
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

impl AccumulatorSite {
    /// The hardware's widest accumulator, of which no plan speaks.
    pub const WIDEST: Self = Self { format: None, rounding: Rounding::HalfEven, overflow: None };
}

impl fmt::Display for AccumulatorSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let overflow = self.overflow.map_or("the hardware's overflow", Overflow::name);
        match self.format {
            Some(format) => write!(f, "fixed {format}, {}, {overflow}", self.rounding),
            None => write!(f, "the hardware's widest, {overflow}"),
        }
    }
}
