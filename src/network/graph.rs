//! The graph of operators and its parameters.

use std::collections::BTreeMap;

use ndarray::ArrayD;

use crate::tensor::{ConvGeometry, Shape, Window};

/// Index of a node in [`Network::nodes`].
pub type NodeId = usize;

/// A network: nodes in topological order, each with its output shape. Built and checked by
/// the readers; the last node is the output.
#[derive(Clone, PartialEq, Debug)]
pub struct Network {
    /// Name, from the file.
    pub name: String,
    /// Nodes in topological order.
    pub nodes: Vec<Node>,
}

/// An operator applied to earlier nodes.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// Unique name.
    pub name: String,
    /// The operator.
    pub op: Op,
    /// Earlier nodes that it reads.
    pub inputs: Vec<NodeId>,
    /// Output shape of one image.
    pub shape: Shape,
}

/// The operators. Parameters are kept apart, in [`Parameters`].
#[derive(Clone, PartialEq, Debug)]
pub enum Op {
    /// A network input.
    Input,
    /// Grouped convolution. Parameters `weight` `[N, C/groups, kh, kw]` and, if `bias`, `bias` `[N]`.
    Conv {
        /// Kernel, stride, padding, dilation.
        window: Window,
        /// Groups.
        groups: usize,
        /// Whether there is a bias.
        bias: bool,
    },
    /// Fully connected over n × 1 × 1. Parameters `weight` `[N, K]` and, if `bias`, `bias` `[N]`.
    Dense {
        /// Whether there is a bias.
        bias: bool,
    },
    /// `(x − mean) / √(variance + epsilon) · weight + bias` by channel. Parameters `weight`,
    /// `bias`, `running_mean`, `running_var`, each `[C]`.
    BatchNorm {
        /// Added to the variance.
        epsilon: f32,
    },
    /// Element by element.
    Activation(Activation),
    /// Maximum or average over a window.
    Pool {
        /// Maximum or average.
        kind: PoolKind,
        /// Kernel, stride, padding.
        window: Window,
    },
    /// Maximum or average over all pixels of a channel.
    GlobalPool(PoolKind),
    /// Element by element sum of two or more maps of one shape.
    Add,
    /// Element by element product of two maps; one of them may have one pixel, by whose channels
    /// the other is scaled.
    Mul,
    /// Local response normalization across channels.
    Lrn(Lrn),
    /// Zeros around a map: top, left, bottom, right.
    Pad([usize; 4]),
    /// The map itself: a place where a value is quantized.
    Identity,
    /// A map that is the same for every image: parameter `value` `[C, H, W]`.
    Constant,
    /// Concatenation along the channels.
    Concat,
    /// C × H × W to a vector in this order; in the order channels-last also to a map of other sizes,
    /// whose elements have that order too.
    Flatten(FlattenOrder),
    /// Softmax over the channels.
    Softmax,
}

/// The order of a flattened map's elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlattenOrder {
    /// Channel, row, column, as ONNX and PyTorch flatten.
    ChannelsFirst,
    /// Row, column, channel, as TFLite flattens.
    ChannelsLast,
}

/// Local response normalization across `size` channels: with n channels around channel c, from
/// c − ⌊(size − 1)/2⌋ to c + ⌈(size − 1)/2⌉ and inside the map,
/// `y = x / (bias + alpha / size · Σ x²)^beta` (ONNX `LRN`; Krizhevsky et al. 2012, section 3.3).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Lrn {
    /// Channels that are summed.
    pub size: usize,
    /// Factor of the mean square, not yet divided by `size`.
    pub alpha: f32,
    /// Exponent.
    pub beta: f32,
    /// Added to the scaled sum.
    pub bias: f32,
}

impl Op {
    /// The operator's name, as in topology files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Conv { .. } => "conv",
            Self::Dense { .. } => "dense",
            Self::BatchNorm { .. } => "batch_norm",
            Self::Activation(Activation::Relu) => "relu",
            Self::Activation(Activation::Relu6) => "relu6",
            Self::Activation(Activation::Clip { .. }) => "clip",
            Self::Activation(Activation::LeakyRelu { .. }) => "leaky_relu",
            Self::Activation(Activation::Sigmoid) => "sigmoid",
            Self::Activation(Activation::HardSigmoid { .. }) => "hard_sigmoid",
            Self::Activation(Activation::HardSwish) => "hard_swish",
            Self::Pool { kind: PoolKind::Max, .. } => "max_pool",
            Self::Pool { .. } => "average_pool",
            Self::GlobalPool(PoolKind::Max) => "global_max_pool",
            Self::GlobalPool(_) => "global_average_pool",
            Self::Add => "add",
            Self::Mul => "mul",
            Self::Lrn(_) => "lrn",
            Self::Pad(_) => "pad",
            Self::Identity => "identity",
            Self::Constant => "constant",
            Self::Concat => "concat",
            Self::Flatten(_) => "flatten",
            Self::Softmax => "softmax",
        }
    }
}

/// Activation functions.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
    /// min(max(x, low), high).
    Clip {
        /// Lower bound.
        low: f32,
        /// Upper bound.
        high: f32,
    },
    /// x where x ≥ 0, else slope · x.
    LeakyRelu {
        /// Factor of negative values.
        slope: f32,
    },
    /// 1 / (1 + exp(−x)).
    Sigmoid,
    /// min(max(alpha · x + beta, 0), 1).
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Value at 0.
        beta: f32,
    },
    /// x · min(max(x / 6 + 1/2, 0), 1).
    HardSwish,
}

impl Activation {
    /// The bounds between which the identity is clipped, if that is what the function does.
    pub fn bounds(self) -> Option<(f32, f32)> {
        match self {
            Self::Relu => Some((0.0, f32::INFINITY)),
            Self::Relu6 => Some((0.0, 6.0)),
            Self::Clip { low, high } => Some((low, high)),
            Self::LeakyRelu { .. } | Self::Sigmoid | Self::HardSigmoid { .. } | Self::HardSwish => {
                None
            }
        }
    }

    /// Whether no value of the function is below zero.
    pub fn is_positive(self) -> bool {
        match self {
            Self::Sigmoid | Self::HardSigmoid { .. } => true,
            _ => self.bounds().is_some_and(|(low, _)| low >= 0.0),
        }
    }

    /// The function's value, in float32.
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Self::Relu => x.max(0.0),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::Clip { low, high } => x.max(low).min(high),
            Self::LeakyRelu { slope } => {
                if x >= 0.0 {
                    x
                } else {
                    slope * x
                }
            }
            Self::Sigmoid => 1.0 / (1.0 + libm::expf(-x)),
            Self::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
            Self::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        }
    }

    /// The derivative; at a kink 0 where the function is flat on one side.
    pub fn derivative(self, x: f32) -> f32 {
        let inside = |low: f32, high: f32| low < x && x < high;
        match self {
            Self::Relu | Self::Relu6 | Self::Clip { .. } => {
                self.bounds().map_or(0.0, |(low, high)| f32::from(inside(low, high)))
            }
            Self::LeakyRelu { slope } => {
                if x >= 0.0 {
                    1.0
                } else {
                    slope
                }
            }
            Self::Sigmoid => {
                let y = self.apply(x);
                y * (1.0 - y)
            }
            Self::HardSigmoid { alpha, beta } => {
                let y = alpha * x + beta;
                if 0.0 < y && y < 1.0 { alpha } else { 0.0 }
            }
            Self::HardSwish if x >= 3.0 => 1.0,
            Self::HardSwish => {
                if x > -3.0 {
                    x / 3.0 + 0.5
                } else {
                    0.0
                }
            }
        }
    }
}

/// Kinds of pooling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PoolKind {
    /// Maximum; padding never wins.
    Max,
    /// Average over the window's positions inside the map (padding not counted).
    Average,
    /// Average over all of the window's positions, padding counted as zeros.
    PaddedAverage,
}

/// Parameters by `node.parameter` name, as in a PyTorch state dict.
pub type Parameters = BTreeMap<String, ArrayD<f32>>;

impl Network {
    /// The convolution that a node computes, if it is a multiply-accumulate operator
    /// (convolution, dense, batch normalization).
    pub fn geometry(&self, id: NodeId) -> Option<ConvGeometry> {
        let node = &self.nodes[id];
        let input = self.nodes[*node.inputs.first()?].shape;
        let (window, groups) = match node.op {
            Op::Conv { window, groups, .. } => (window, groups),
            Op::Dense { .. } => (Window::POINT, 1),
            Op::BatchNorm { .. } => (Window::POINT, input.channels),
            _ => return None,
        };
        Some(ConvGeometry { input, output: node.shape, window, groups })
    }
}
