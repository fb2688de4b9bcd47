//! Builds networks node by node: infers shapes and refuses what cannot be computed. A
//! [`Network`] that exists has consistent shapes and sizes that no later sum or product of
//! element counts overflows.

use std::collections::HashSet;
use std::fmt;

use super::{Activation, FlattenOrder, Lrn, Network, Node, NodeId, Op, PoolKind};
use crate::error::{Error, Result};
use crate::tensor::{Shape, Window};

/// Most elements of one feature map or one weight tensor.
pub const MAX_ELEMENTS: usize = 1 << 31;
/// Largest kernel, stride, padding or dilation.
pub const MAX_WINDOW: usize = 1 << 15;

/// A network under construction. Every method that adds a node returns its id, and an error that
/// names the node if it does not fit the nodes that it reads.
pub struct Builder {
    network: Network,
    names: HashSet<String>,
    macs: u64,
}

impl Builder {
    /// An empty network.
    pub fn new(name: impl Into<String>) -> Self {
        let network = Network { name: name.into(), nodes: Vec::new() };
        Self { network, names: HashSet::new(), macs: 0 }
    }

    /// A node added before.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.network.nodes[id]
    }

    /// The output shape of a node added before.
    pub fn shape(&self, id: NodeId) -> Shape {
        self.network.nodes[id].shape
    }

    /// A network input.
    pub fn input(&mut self, name: &str, shape: Shape) -> Result<NodeId> {
        self.push(name, Op::Input, &[], shape)
    }

    /// A convolution to `channels` output channels in `groups` groups.
    pub fn conv(
        &mut self,
        name: &str,
        input: NodeId,
        channels: usize,
        window: Window,
        groups: usize,
        bias: bool,
    ) -> Result<NodeId> {
        let from = self.shape(input);
        if groups == 0 || !from.channels.is_multiple_of(groups) || !channels.is_multiple_of(groups)
        {
            return Err(error(
                name,
                format_args!(
                    "{groups} groups do not divide {} input and {channels} output channels",
                    from.channels
                ),
                "choose a number of groups that divides both",
            ));
        }
        let [height, width] = slide(name, &window, from)?;
        let weights = [channels, from.channels / groups, window.kernel[0], window.kernel[1]];
        limited(name, "weight", &weights)?;
        let shape = Shape::new(channels, height, width);
        self.push(name, Op::Conv { window, groups, bias }, &[input], shape)
    }

    /// A fully connected layer over a vector.
    pub fn dense(
        &mut self,
        name: &str,
        input: NodeId,
        features: usize,
        bias: bool,
    ) -> Result<NodeId> {
        let from = self.shape(input);
        if from.pixels() != 1 {
            return Err(error(
                name,
                format_args!("reads a feature map of {from}, but a dense layer needs a vector"),
                "put a flatten or global pooling layer before it",
            ));
        }
        limited(name, "weight", &[features, from.channels])?;
        self.push(name, Op::Dense { bias }, &[input], Shape::vector(features))
    }

    /// A batch normalization; `epsilon` is positive.
    pub fn batch_norm(&mut self, name: &str, input: NodeId, epsilon: f32) -> Result<NodeId> {
        if !(epsilon.is_finite() && epsilon > 0.0) {
            return Err(error(
                name,
                format_args!("epsilon is {epsilon}, but must be finite and positive"),
                "use 1e-5, which is common",
            ));
        }
        self.push(name, Op::BatchNorm { epsilon }, &[input], self.shape(input))
    }

    /// An activation function; a clip's bounds are finite and in order.
    pub fn activation(
        &mut self,
        name: &str,
        input: NodeId,
        activation: Activation,
    ) -> Result<NodeId> {
        if let Activation::Clip { low, high } = activation
            && !(low.is_finite() && high.is_finite() && low < high)
        {
            return Err(error(
                name,
                format_args!("clips to [{low}, {high}], but needs finite bounds, low below high"),
                "state low and high in this order",
            ));
        }
        self.push(name, Op::Activation(activation), &[input], self.shape(input))
    }

    /// A pooling layer. Every window covers a part of the map: its padding is smaller than its
    /// kernel, and where it is dilated it does not step over the map.
    pub fn pool(
        &mut self,
        name: &str,
        input: NodeId,
        kind: PoolKind,
        window: Window,
    ) -> Result<NodeId> {
        let from = self.shape(input);
        let [height, width] = slide(name, &window, from)?;
        if !meets(&window, 0, from.height) || !meets(&window, 1, from.width) {
            return Err(error(
                name,
                "its padding is as large as its kernel, so windows lie outside of the map",
                "pad by less than the kernel's size",
            ));
        }
        let shape = Shape::new(from.channels, height, width);
        self.push(name, Op::Pool { kind, window }, &[input], shape)
    }

    /// Pooling over all pixels.
    pub fn global_pool(&mut self, name: &str, input: NodeId, kind: PoolKind) -> Result<NodeId> {
        let shape = Shape::vector(self.shape(input).channels);
        self.push(name, Op::GlobalPool(kind), &[input], shape)
    }

    /// The sum of two or more maps of one shape.
    pub fn add(&mut self, name: &str, inputs: &[NodeId]) -> Result<NodeId> {
        self.several(name, inputs)?;
        let shape = self.shape(inputs[0]);
        match inputs.iter().find(|&&input| self.shape(input) != shape) {
            Some(&other) => Err(error(
                name,
                format_args!(
                    "adds {} and {}, whose shapes differ",
                    self.described(inputs[0]),
                    self.described(other)
                ),
                "give all inputs of an add one shape",
            )),
            None => self.push(name, Op::Add, inputs, shape),
        }
    }

    /// The channels of two or more maps of one height and width.
    pub fn concat(&mut self, name: &str, inputs: &[NodeId]) -> Result<NodeId> {
        self.several(name, inputs)?;
        let first = self.shape(inputs[0]);
        let mut channels = 0usize;
        for &input in inputs {
            let shape = self.shape(input);
            if (shape.height, shape.width) != (first.height, first.width) {
                return Err(error(
                    name,
                    format_args!(
                        "joins {} and {}, whose heights or widths differ",
                        self.described(inputs[0]),
                        self.described(input)
                    ),
                    "give all inputs of a concat one height and width",
                ));
            }
            channels = channels.saturating_add(shape.channels);
        }
        self.push(name, Op::Concat, inputs, Shape { channels, ..first })
    }

    /// The product of two maps of one shape, or of a map and a vector of its channels.
    pub fn mul(&mut self, name: &str, inputs: [NodeId; 2]) -> Result<NodeId> {
        let [a, b] = inputs.map(|input| self.shape(input));
        let fits = |map: Shape, factor: Shape| {
            factor == map || (factor.channels == map.channels && factor.pixels() == 1)
        };
        let shape = if fits(a, b) { a } else { b };
        if !fits(a, b) && !fits(b, a) {
            return Err(error(
                name,
                format_args!(
                    "multiplies {} and {}, whose shapes differ",
                    self.described(inputs[0]),
                    self.described(inputs[1])
                ),
                "give both factors one shape, or one of them a single pixel",
            ));
        }
        self.push(name, Op::Mul, &inputs, shape)
    }

    /// A local response normalization across channels.
    pub fn lrn(&mut self, name: &str, input: NodeId, lrn: Lrn) -> Result<NodeId> {
        let finite = [lrn.alpha, lrn.beta, lrn.bias].iter().all(|value| value.is_finite());
        if lrn.size == 0 || lrn.size > MAX_WINDOW || !finite || lrn.alpha < 0.0 || lrn.bias <= 0.0 {
            return Err(error(
                name,
                format_args!("cannot normalize by {lrn:?}"),
                "use a size of at least 1, alpha of at least 0, a positive bias",
            ));
        }
        self.push(name, Op::Lrn(lrn), &[input], self.shape(input))
    }

    /// Zeros around a map: top, left, bottom, right.
    pub fn pad(&mut self, name: &str, input: NodeId, padding: [usize; 4]) -> Result<NodeId> {
        let from = self.shape(input);
        let [height, width] = slide(name, &Window { padding, ..Window::POINT }, from)?;
        self.push(name, Op::Pad(padding), &[input], Shape::new(from.channels, height, width))
    }

    /// The map itself.
    pub fn identity(&mut self, name: &str, input: NodeId) -> Result<NodeId> {
        self.push(name, Op::Identity, &[input], self.shape(input))
    }

    /// A map that is the same for every image.
    pub fn constant(&mut self, name: &str, shape: Shape) -> Result<NodeId> {
        self.push(name, Op::Constant, &[], shape)
    }

    /// A map as a vector.
    pub fn flatten(&mut self, name: &str, input: NodeId, order: FlattenOrder) -> Result<NodeId> {
        self.push(name, Op::Flatten(order), &[input], Shape::vector(self.shape(input).len()))
    }

    /// A map as one of other sizes, both in the order row, column, channel.
    pub fn reshape(&mut self, name: &str, input: NodeId, shape: Shape) -> Result<NodeId> {
        let from = self.shape(input);
        if from.len() != shape.len() {
            return Err(error(
                name,
                format_args!("makes {shape} of {}", self.described(input)),
                "keep the number of elements",
            ));
        }
        self.push(name, Op::Flatten(FlattenOrder::ChannelsLast), &[input], shape)
    }

    /// Softmax over the channels.
    pub fn softmax(&mut self, name: &str, input: NodeId) -> Result<NodeId> {
        self.push(name, Op::Softmax, &[input], self.shape(input))
    }

    /// The network, whose last node is its only output.
    pub fn finish(self) -> Result<Network> {
        let mut unread = vec![true; self.network.nodes.len()];
        for &input in self.network.nodes.iter().flat_map(|node| &node.inputs) {
            unread[input] = false;
        }
        let names = self.network.nodes.iter().zip(unread).filter(|(_, unread)| *unread);
        let names: Vec<_> = names.map(|(node, _)| format!("`{}`", node.name)).collect();
        if names.len() > 1 {
            return Err(Error::new(
                format_args!("network `{}`", self.network.name),
                format_args!(
                    "has {} outputs ({}), but exactly one is allowed",
                    names.len(),
                    names.join(", ")
                ),
            )
            .remedy("connect or remove the layers that nothing reads, all but the last"));
        }
        self.finish_separate()
    }

    /// The network as it is: layers that need not be connected, for their shapes alone.
    pub fn finish_separate(self) -> Result<Network> {
        if self.network.nodes.iter().all(|node| node.op == Op::Input) {
            return Err(Error::new(
                format_args!("network `{}`", self.network.name),
                "has no layer",
            )
            .remedy("add at least one layer"));
        }
        Ok(self.network)
    }

    fn several(&self, name: &str, inputs: &[NodeId]) -> Result<()> {
        if inputs.len() < 2 {
            return Err(error(
                name,
                format_args!("has {} input, but joins two or more", inputs.len()),
                "list its inputs by name",
            ));
        }
        Ok(())
    }

    fn described(&self, id: NodeId) -> String {
        let node = &self.network.nodes[id];
        format!("`{}` ({})", node.name, node.shape)
    }

    fn push(&mut self, name: &str, op: Op, inputs: &[NodeId], shape: Shape) -> Result<NodeId> {
        if name.is_empty() {
            return Err(error(name, "has an empty name", "name every layer"));
        }
        if !self.names.insert(name.to_owned()) {
            return Err(error(name, "has the name of another layer", "give every layer its own"));
        }
        limited(name, "feature map", &[shape.channels, shape.height, shape.width])?;
        let id = self.network.nodes.len();
        self.network.nodes.push(Node { name: name.to_owned(), op, inputs: inputs.to_vec(), shape });
        let macs = self.network.geometry(id).map_or(0, |geometry| geometry.macs());
        self.macs = self.macs.checked_add(macs).ok_or_else(|| {
            error(name, "takes the network beyond 2^64 multiply-accumulates", "shrink the network")
        })?;
        Ok(id)
    }
}

fn error(name: &str, problem: impl fmt::Display, remedy: impl fmt::Display) -> Error {
    Error::new(format_args!("layer `{name}`"), problem).remedy(remedy)
}

/// Refuses sizes of 0 and more than [`MAX_ELEMENTS`] elements.
fn limited(name: &str, what: &str, sizes: &[usize]) -> Result<()> {
    let elements = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    match elements {
        Some(0) => Err(error(
            name,
            format_args!("its {what} has shape {sizes:?}, which has no element"),
            "make every size at least 1",
        )),
        Some(..=MAX_ELEMENTS) => Ok(()),
        _ => Err(error(
            name,
            format_args!("its {what} has shape {sizes:?}, more than {MAX_ELEMENTS} elements"),
            "make it smaller",
        )),
    }
}

/// Whether the window has a position inside a map of `size` wherever it stands along `axis`.
fn meets(window: &Window, axis: usize, size: usize) -> bool {
    let [before, after] = [window.padding[axis], window.padding[axis + 2]];
    let (kernel, stride) = (window.kernel[axis], window.stride[axis]);
    let dilation = window.dilation[axis];
    let inside = |outside: usize| {
        let tap = outside.div_ceil(dilation);
        tap < kernel && tap * dilation - outside < size
    };
    after <= (kernel - 1) * dilation
        && (0..=before / stride).all(|output| inside(before - output * stride))
}

/// Output height and width of a window over `input`.
fn slide(name: &str, window: &Window, input: Shape) -> Result<[usize; 2]> {
    let positive = [window.kernel, window.stride, window.dilation];
    if positive.as_flattened().contains(&0) {
        return Err(error(name, "has a kernel, stride or dilation of 0", "make them at least 1"));
    }
    let sizes = positive.as_flattened().iter().chain(&window.padding);
    if let Some(size) = sizes.copied().find(|&size| size > MAX_WINDOW) {
        return Err(error(
            name,
            format_args!("has a kernel, stride, padding or dilation of {size}"),
            format_args!("make them at most {MAX_WINDOW}"),
        ));
    }
    window.output(input).ok_or_else(|| {
        let [top, left, bottom, right] = window.padding;
        let span = |axis: usize| window.dilation[axis] * (window.kernel[axis] - 1) + 1;
        error(
            name,
            format_args!(
                "its kernel covers {}×{} pixels, but its padded input has {}×{}",
                span(0),
                span(1),
                input.height + top + bottom,
                input.width + left + right
            ),
            "use a smaller kernel or more padding",
        )
    })
}
