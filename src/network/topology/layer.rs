//! The node that a layer describes: the keys that its operator takes, and what they say.

use super::expand::Instance;
use super::value::{FromValue, Pair, Padding, Value};
use crate::error::{Error, Result};
use crate::network::{Activation, Builder, NodeId, PoolKind};
use crate::tensor::{Shape, Window};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Conv,
    DepthwiseConv,
    Dense,
    BatchNorm,
    Relu,
    Relu6,
    Clip,
    MaxPool,
    AveragePool,
    GlobalMaxPool,
    GlobalAveragePool,
    Add,
    Concat,
    Flatten,
    Softmax,
}

impl FromValue for Operator {
    const EXPECTED: &'static str = "an operator: conv, depthwise_conv, dense, batch_norm, relu, \
        relu6, clip, max_pool, average_pool, global_max_pool, global_average_pool, add, concat, \
        flatten or softmax";

    fn from_value(value: &Value) -> Option<Self> {
        let Value::Text(name) = value else { return None };
        Some(match &name[..] {
            "conv" => Self::Conv,
            "depthwise_conv" => Self::DepthwiseConv,
            "dense" => Self::Dense,
            "batch_norm" => Self::BatchNorm,
            "relu" => Self::Relu,
            "relu6" => Self::Relu6,
            "clip" => Self::Clip,
            "max_pool" => Self::MaxPool,
            "average_pool" => Self::AveragePool,
            "global_max_pool" => Self::GlobalMaxPool,
            "global_average_pool" => Self::GlobalAveragePool,
            "add" => Self::Add,
            "concat" => Self::Concat,
            "flatten" => Self::Flatten,
            "softmax" => Self::Softmax,
            _ => return None,
        })
    }
}

/// Adds the node to the network under construction.
pub fn build(layer: &Instance, builder: &mut Builder, inputs: &[NodeId]) -> Result<NodeId> {
    let operator: Operator = layer.read("op", layer.operator())?;
    check_keys(layer, operator)?;
    add(layer, operator, builder, inputs).map_err(|e| layer.locate(e, layer.span()))
}

fn add(
    layer: &Instance,
    operator: Operator,
    builder: &mut Builder,
    inputs: &[NodeId],
) -> Result<NodeId> {
    let name = layer.name();
    let one = || match inputs {
        [input] => Ok(*input),
        _ => Err(layer.error(
            layer.operator().span(),
            format_args!("lists {} inputs, but reads one", inputs.len()),
            "list one layer, or leave `inputs` out to read the layer before",
        )),
    };
    let bias = || Ok(layer.get("bias")?.unwrap_or(true));
    match operator {
        Operator::Conv | Operator::DepthwiseConv => {
            let from = builder.shape(one()?);
            let depthwise = operator == Operator::DepthwiseConv;
            let channels = match depthwise {
                true => multiple(from, layer.get("multiplier")?.unwrap_or(1)),
                false => channels(layer, from)?,
            };
            let groups = match depthwise {
                true => from.channels,
                false => layer.get("groups")?.unwrap_or(1),
            };
            let window = window(layer, operator, from)?;
            builder.conv(name, one()?, channels, window, groups, bias()?)
        }
        Operator::Dense => builder.dense(name, one()?, required(layer, "channels")?, bias()?),
        Operator::BatchNorm => {
            builder.batch_norm(name, one()?, layer.get("epsilon")?.unwrap_or(1e-5))
        }
        Operator::Relu => builder.activation(name, one()?, Activation::Relu),
        Operator::Relu6 => builder.activation(name, one()?, Activation::Relu6),
        Operator::Clip => {
            let (low, high) = (required(layer, "low")?, required(layer, "high")?);
            builder.activation(name, one()?, Activation::Clip { low, high })
        }
        Operator::MaxPool | Operator::AveragePool => {
            let window = window(layer, operator, builder.shape(one()?))?;
            builder.pool(name, one()?, operator.pool_kind(), window)
        }
        Operator::GlobalMaxPool | Operator::GlobalAveragePool => {
            builder.global_pool(name, one()?, operator.pool_kind())
        }
        Operator::Add => builder.add(name, inputs),
        Operator::Concat => builder.concat(name, inputs),
        Operator::Flatten => builder.flatten(name, one()?),
        Operator::Softmax => builder.softmax(name, one()?),
    }
}

/// Output channels of a convolution: stated, or so many times those of its input.
fn channels(layer: &Instance, from: Shape) -> Result<usize> {
    match (layer.get("channels")?, layer.get("multiplier")?) {
        (Some(channels), None) => Ok(channels),
        (None, Some(multiplier)) => Ok(multiple(from, multiplier)),
        (Some(_), Some(_)) => Err(layer.error(
            layer.operator().span(),
            "has both `channels` and `multiplier`",
            "keep one of them",
        )),
        (None, None) => required(layer, "channels"),
    }
}

/// Too many channels saturate and are refused later.
fn multiple(from: Shape, multiplier: usize) -> usize {
    from.channels.saturating_mul(multiplier)
}

/// The window over `input`. Pooling strides by its kernel unless it says otherwise.
fn window(layer: &Instance, operator: Operator, input: Shape) -> Result<Window> {
    let Pair(kernel) = required(layer, "kernel")?;
    let default = match operator {
        Operator::MaxPool | Operator::AveragePool => kernel,
        _ => [1, 1],
    };
    let pair = |key, default| Ok(layer.get(key)?.map_or(default, |Pair(sizes)| sizes));
    let mut window = Window {
        kernel,
        stride: pair("stride", default)?,
        padding: [0; 4],
        dilation: pair("dilation", [1, 1])?,
    };
    match layer.get("padding")? {
        None => {}
        Some(Padding::Sides(sides)) => window.padding = sides,
        Some(Padding::Same) => window.padding = same(&window, input),
    }
    Ok(window)
}

fn required<T: FromValue>(layer: &Instance, key: &str) -> Result<T> {
    layer.get(key)?.ok_or_else(|| missing(layer, key))
}

fn missing(layer: &Instance, key: &str) -> Error {
    let problem = format_args!("has no `{key}`, which its operator needs").to_string();
    layer.error(layer.operator().span(), problem, format_args!("add `{key} = …`"))
}

/// Refuses keys that the operator does not take.
fn check_keys(layer: &Instance, operator: Operator) -> Result<()> {
    let taken = operator.keys();
    match layer.keys().find(|(key, _)| !taken.contains(key)) {
        None => Ok(()),
        Some((key, span)) => {
            let remedy = match taken {
                [] => "remove it; this operator takes none but `name`, `op` and `inputs`".into(),
                _ => format!("remove it; this operator takes {}", taken.join(", ")),
            };
            let problem = format!("has the key `{key}`, which its operator does not take");
            Err(layer.error(span, problem, remedy))
        }
    }
}

impl Operator {
    /// The keys that the operator takes beside those of every layer.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Conv => &[
                "channels", "multiplier", "kernel", "stride", "padding", "dilation", "groups",
                "bias",
            ],
            Self::DepthwiseConv => {
                &["multiplier", "kernel", "stride", "padding", "dilation", "bias"]
            }
            Self::Dense => &["channels", "bias"],
            Self::BatchNorm => &["epsilon"],
            Self::Clip => &["low", "high"],
            Self::MaxPool | Self::AveragePool => &["kernel", "stride", "padding"],
            Self::Relu
            | Self::Relu6
            | Self::GlobalMaxPool
            | Self::GlobalAveragePool
            | Self::Add
            | Self::Concat
            | Self::Flatten
            | Self::Softmax => &[],
        }
    }

    fn pool_kind(self) -> PoolKind {
        match self {
            Self::MaxPool | Self::GlobalMaxPool => PoolKind::Max,
            _ => PoolKind::Average,
        }
    }
}

/// The padding with which the output has ⌈size / stride⌉ pixels; an odd pixel goes to the bottom
/// and right (as TensorFlow defines `SAME`). Sizes that make no window pad nothing and are refused
/// later.
fn same(window: &Window, input: Shape) -> [usize; 4] {
    let along = |size: usize, axis: usize| {
        let (kernel, stride) = (window.kernel[axis], window.stride[axis]);
        if kernel == 0 || stride == 0 {
            return (0, 0);
        }
        let span = (kernel - 1).saturating_mul(window.dilation[axis]).saturating_add(1);
        let steps = (size.div_ceil(stride) - 1).saturating_mul(stride);
        let total = steps.saturating_add(span).saturating_sub(size);
        (total / 2, total - total / 2)
    };
    let ((top, bottom), (left, right)) = (along(input.height, 0), along(input.width, 1));
    [top, left, bottom, right]
}
