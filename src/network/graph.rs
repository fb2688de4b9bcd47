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
    /// Concatenation along the channels.
    Concat,
    /// C × H × W to a vector, in the order channel, row, column.
    Flatten,
    /// Softmax over the channels; last node only.
    Softmax,
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
            Self::Pool { kind: PoolKind::Max, .. } => "max_pool",
            Self::Pool { kind: PoolKind::Average, .. } => "average_pool",
            Self::GlobalPool(PoolKind::Max) => "global_max_pool",
            Self::GlobalPool(PoolKind::Average) => "global_average_pool",
            Self::Add => "add",
            Self::Concat => "concat",
            Self::Flatten => "flatten",
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
}

impl Activation {
    /// The bounds between which the identity is clipped.
    pub fn bounds(self) -> (f32, f32) {
        match self {
            Self::Relu => (0.0, f32::INFINITY),
            Self::Relu6 => (0.0, 6.0),
            Self::Clip { low, high } => (low, high),
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
