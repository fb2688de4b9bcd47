//! One `[[layer]]` of a topology file: its keys, which of them its operator takes, and the node
//! that they describe.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::Source;
use crate::error::Result;
use crate::network::{Activation, Builder, FlattenOrder, NodeId, PoolKind};
use crate::tensor::{Shape, Window};

/// A `[[layer]]` as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Layer {
    pub name: Spanned<String>,
    op: Spanned<Operator>,
    pub inputs: Option<Vec<Spanned<String>>>,
    channels: Option<Spanned<usize>>,
    kernel: Option<Spanned<Pair>>,
    stride: Option<Spanned<Pair>>,
    padding: Option<Spanned<Padding>>,
    dilation: Option<Spanned<Pair>>,
    groups: Option<Spanned<usize>>,
    bias: Option<Spanned<bool>>,
    epsilon: Option<Spanned<f32>>,
    low: Option<Spanned<f32>>,
    high: Option<Spanned<f32>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operator {
    Conv,
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

/// One size for both axes, or height and width.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "expected a size or [height, width]")]
enum Pair {
    Both(usize),
    Each([usize; 2]),
}

/// Padding on all sides, `[vertical, horizontal]`, `[top, left, bottom, right]`, or `"same"`.
#[derive(Clone, Copy, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a size, [vertical, horizontal], [top, left, bottom, right] or \"same\""
)]
enum Padding {
    All(usize),
    Axes([usize; 2]),
    Sides([usize; 4]),
    Word(Same),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Same {
    Same,
}

impl Layer {
    /// Adds the node to the network under construction.
    pub fn build(
        &self,
        builder: &mut Builder,
        inputs: &[NodeId],
        source: Source,
    ) -> Result<NodeId> {
        let operator = *self.op.get_ref();
        self.check_keys(operator, source)?;
        let name = self.name.get_ref();
        let one = || match inputs {
            [input] => Ok(*input),
            _ => Err(source.error(
                self,
                self.op.span(),
                format!("lists {} inputs, but reads one", inputs.len()),
                "list one layer, or leave `inputs` out to read the layer before",
            )),
        };
        match operator {
            Operator::Conv => {
                let channels = *self.required(&self.channels, "channels", source)?;
                let window = self.window(builder.shape(one()?), source)?;
                let groups = self.groups.as_ref().map_or(1, |groups| *groups.get_ref());
                builder.conv(name, one()?, channels, window, groups, self.has_bias())
            }
            Operator::Dense => {
                let channels = *self.required(&self.channels, "channels", source)?;
                builder.dense(name, one()?, channels, self.has_bias())
            }
            Operator::BatchNorm => {
                let epsilon = self.epsilon.as_ref().map_or(1e-5, |epsilon| *epsilon.get_ref());
                builder.batch_norm(name, one()?, epsilon)
            }
            Operator::Relu => builder.activation(name, one()?, Activation::Relu),
            Operator::Relu6 => builder.activation(name, one()?, Activation::Relu6),
            Operator::Clip => {
                let low = *self.required(&self.low, "low", source)?;
                let high = *self.required(&self.high, "high", source)?;
                builder.activation(name, one()?, Activation::Clip { low, high })
            }
            Operator::MaxPool | Operator::AveragePool => {
                let window = self.window(builder.shape(one()?), source)?;
                builder.pool(name, one()?, operator.pool_kind(), window)
            }
            Operator::GlobalMaxPool | Operator::GlobalAveragePool => {
                builder.global_pool(name, one()?, operator.pool_kind())
            }
            Operator::Add => builder.add(name, inputs),
            Operator::Concat => builder.concat(name, inputs),
            Operator::Flatten => builder.flatten(name, one()?, FlattenOrder::ChannelsFirst),
            Operator::Softmax => builder.softmax(name, one()?),
        }
    }

    fn has_bias(&self) -> bool {
        self.bias.as_ref().is_none_or(|bias| *bias.get_ref())
    }

    /// The window over `input`. Pooling strides by its kernel unless it says otherwise.
    fn window(&self, input: Shape, source: Source) -> Result<Window> {
        let pair = |key: &Option<Spanned<Pair>>| key.as_ref().map(|key| key.get_ref().sizes());
        let kernel = self.required(&self.kernel, "kernel", source)?.sizes();
        let default = match self.op.get_ref() {
            Operator::Conv => [1, 1],
            _ => kernel,
        };
        let mut window = Window {
            kernel,
            stride: pair(&self.stride).unwrap_or(default),
            padding: [0; 4],
            dilation: pair(&self.dilation).unwrap_or([1, 1]),
        };
        window.padding = match self.padding.as_ref().map(|padding| *padding.get_ref()) {
            None => [0; 4],
            Some(Padding::All(size)) => [size; 4],
            Some(Padding::Axes([vertical, horizontal])) => {
                [vertical, horizontal, vertical, horizontal]
            }
            Some(Padding::Sides(sides)) => sides,
            Some(Padding::Word(Same::Same)) => same(&window, input),
        };
        Ok(window)
    }

    fn required<'a, T>(
        &self,
        key: &'a Option<Spanned<T>>,
        name: &str,
        source: Source,
    ) -> Result<&'a T> {
        key.as_ref().map(Spanned::get_ref).ok_or_else(|| {
            let problem = format!("has no `{name}`, which its operator needs");
            source.error(self, self.op.span(), problem, format!("add `{name} = …`"))
        })
    }

    /// Refuses keys that the operator does not take.
    fn check_keys(&self, operator: Operator, source: Source) -> Result<()> {
        let taken = operator.keys();
        match self.given().into_iter().find(|(key, _)| !taken.contains(key)) {
            None => Ok(()),
            Some((key, span)) => {
                let remedy = match taken {
                    [] => {
                        "remove it; this operator takes none but `name`, `op` and `inputs`".into()
                    }
                    _ => format!("remove it; this operator takes {}", taken.join(", ")),
                };
                let problem = format!("has the key `{key}`, which its operator does not take");
                Err(source.error(self, span, problem, remedy))
            }
        }
    }

    /// The keys that are given, apart from those that every operator takes.
    fn given(&self) -> Vec<(&'static str, Range<usize>)> {
        fn span<T>(key: &Option<Spanned<T>>) -> Option<Range<usize>> {
            key.as_ref().map(Spanned::span)
        }
        let keys = [
            ("channels", span(&self.channels)),
            ("kernel", span(&self.kernel)),
            ("stride", span(&self.stride)),
            ("padding", span(&self.padding)),
            ("dilation", span(&self.dilation)),
            ("groups", span(&self.groups)),
            ("bias", span(&self.bias)),
            ("epsilon", span(&self.epsilon)),
            ("low", span(&self.low)),
            ("high", span(&self.high)),
        ];
        keys.into_iter().filter_map(|(key, span)| Some((key, span?))).collect()
    }
}

impl Operator {
    /// The keys that the operator takes beside `name`, `op` and `inputs`.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Conv => {
                &["channels", "kernel", "stride", "padding", "dilation", "groups", "bias"]
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

impl Pair {
    fn sizes(self) -> [usize; 2] {
        match self {
            Self::Both(size) => [size; 2],
            Self::Each(sizes) => sizes,
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
