//! The node that a layer describes: the keys that its operator takes, and what they say.

use super::expand::Instance;
use super::value::{FromValue, Padding, Pair, Value};
use crate::error::{Error, Result};
use crate::network::{Activation, Builder, FlattenOrder, Lrn, NodeId, PoolKind};
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
    LeakyRelu,
    Sigmoid,
    HardSigmoid,
    HardSwish,
    MaxPool,
    AveragePool,
    GlobalMaxPool,
    GlobalAveragePool,
    Add,
    Mul,
    Lrn,
    Pad,
    Concat,
    Flatten,
    Softmax,
}

/// The operators by name, and the keys that each takes beside those of every layer.
const OPERATORS: &[(&str, Operator, &[&str])] = &[
    ("conv", Operator::Conv, &CONV_KEYS),
    ("depthwise_conv", Operator::DepthwiseConv, &DEPTHWISE_KEYS),
    ("dense", Operator::Dense, &["channels", "bias"]),
    ("batch_norm", Operator::BatchNorm, &["epsilon"]),
    ("relu", Operator::Relu, &[]),
    ("relu6", Operator::Relu6, &[]),
    ("clip", Operator::Clip, &["low", "high"]),
    ("leaky_relu", Operator::LeakyRelu, &["slope"]),
    ("sigmoid", Operator::Sigmoid, &[]),
    ("hard_sigmoid", Operator::HardSigmoid, &["alpha", "beta"]),
    ("hard_swish", Operator::HardSwish, &[]),
    ("max_pool", Operator::MaxPool, &["kernel", "stride", "padding"]),
    ("average_pool", Operator::AveragePool, &["kernel", "stride", "padding", "count_padding"]),
    ("global_max_pool", Operator::GlobalMaxPool, &[]),
    ("global_average_pool", Operator::GlobalAveragePool, &[]),
    ("add", Operator::Add, &[]),
    ("mul", Operator::Mul, &[]),
    ("lrn", Operator::Lrn, &["size", "alpha", "beta", "bias"]),
    ("pad", Operator::Pad, &["padding"]),
    ("concat", Operator::Concat, &[]),
    ("flatten", Operator::Flatten, &[]),
    ("softmax", Operator::Softmax, &[]),
];

const CONV_KEYS: [&str; 8] =
    ["channels", "multiplier", "kernel", "stride", "padding", "dilation", "groups", "bias"];
const DEPTHWISE_KEYS: [&str; 6] = ["multiplier", "kernel", "stride", "padding", "dilation", "bias"];

impl FromValue for Operator {
    const EXPECTED: &'static str = "the name of an operator";

    fn from_value(value: &Value) -> Option<Self> {
        let Value::Text(name) = value else { return None };
        OPERATORS.iter().find(|(known, ..)| known == name).map(|&(_, operator, _)| operator)
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
        Operator::LeakyRelu => {
            let slope = required(layer, "slope")?;
            builder.activation(name, one()?, Activation::LeakyRelu { slope })
        }
        Operator::Sigmoid => builder.activation(name, one()?, Activation::Sigmoid),
        Operator::HardSigmoid => {
            let (alpha, beta) = (required(layer, "alpha")?, required(layer, "beta")?);
            builder.activation(name, one()?, Activation::HardSigmoid { alpha, beta })
        }
        Operator::HardSwish => builder.activation(name, one()?, Activation::HardSwish),
        Operator::MaxPool => {
            let window = window(layer, operator, builder.shape(one()?))?;
            builder.pool(name, one()?, PoolKind::Max, window)
        }
        Operator::AveragePool => {
            let window = window(layer, operator, builder.shape(one()?))?;
            let kind = match layer.get("count_padding")?.unwrap_or(false) {
                true => PoolKind::PaddedAverage,
                false => PoolKind::Average,
            };
            builder.pool(name, one()?, kind, window)
        }
        Operator::GlobalMaxPool => builder.global_pool(name, one()?, PoolKind::Max),
        Operator::GlobalAveragePool => builder.global_pool(name, one()?, PoolKind::Average),
        Operator::Add => builder.add(name, inputs),
        Operator::Mul => match inputs {
            &[left, right] => builder.mul(name, [left, right]),
            _ => Err(layer.error(
                layer.operator().span(),
                format_args!("lists {} inputs, but multiplies two", inputs.len()),
                "list two layers",
            )),
        },
        Operator::Lrn => {
            let (size, alpha) = (required(layer, "size")?, required(layer, "alpha")?);
            let (beta, bias) = (required(layer, "beta")?, layer.get("bias")?.unwrap_or(1.0));
            builder.lrn(name, one()?, Lrn { size, alpha, beta, bias })
        }
        Operator::Pad => match required(layer, "padding")? {
            Padding::Sides(sides) => builder.pad(name, one()?, sides),
            Padding::Same => Err(layer.error(
                layer.operator().span(),
                "has no window, so `padding` cannot be \"same\"",
                "state how many pixels to pad",
            )),
        },
        Operator::Concat => builder.concat(name, inputs),
        Operator::Flatten => builder.flatten(name, one()?, FlattenOrder::ChannelsFirst),
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
    let problem = format!("has no `{key}`, which its operator needs");
    layer.error(layer.operator().span(), problem, format_args!("add `{key} = …`"))
}

/// Refuses keys that the operator does not take.
fn check_keys(layer: &Instance, operator: Operator) -> Result<()> {
    let keys = OPERATORS.iter().filter(|entry| entry.1 == operator).flat_map(|entry| entry.2);
    let taken: Vec<&str> = keys.copied().collect();
    match layer.keys().find(|(key, _)| !taken.contains(key)) {
        None => Ok(()),
        Some((key, span)) => {
            let remedy = match &taken[..] {
                [] => "remove it; this operator takes none but `name`, `op` and `inputs`".into(),
                _ => format!("remove it; this operator takes {}", taken.join(", ")),
            };
            let problem = format!("has the key `{key}`, which its operator does not take");
            Err(layer.error(span, problem, remedy))
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
