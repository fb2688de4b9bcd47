//! From operators to nodes.

use super::flatbuffer::Table;
use super::schema::{Kind, Tensor};
use super::weights::Layout;
use super::{Map, Reader, Site, at, feature_map};
use crate::error::{Error, Result};
use crate::network::{Activation, FlattenOrder, NodeId, PoolKind};
use crate::tensor::{Shape, Window};

/// The options of an operator: the fields of a table of the schema, or their defaults.
pub(super) struct Options<'a>(Option<Table<'a>>);

impl Options<'_> {
    /// A size that is not negative.
    pub(super) fn size(&self, slot: usize, default: i32) -> Result<usize> {
        let size = self.0.map_or(Ok(default), |table| table.number(slot, default))?;
        usize::try_from(size).map_err(|_| Error::new("options", format_args!("a size of {size}")))
    }

    fn code(&self, slot: usize) -> Result<i8> {
        self.0.map_or(Ok(0), |table| table.number(slot, 0))
    }

    fn real(&self, slot: usize) -> Result<f32> {
        self.0.map_or(Ok(0.0), |table| table.number(slot, 0.0))
    }
}

/// Numbers of the tables in the union `BuiltinOptions`.
pub(super) mod table {
    pub const CONV: u8 = 1;
    pub const DEPTHWISE: u8 = 2;
    pub const POOL: u8 = 5;
    pub const FULLY_CONNECTED: u8 = 8;
    pub const SOFTMAX: u8 = 9;
    pub const CONCATENATION: u8 = 10;
    pub const ADD: u8 = 11;
    pub const MUL: u8 = 21;
    pub const LEAKY_RELU: u8 = 75;
    pub const STRIDED_SLICE: u8 = 32;
    pub const PACK: u8 = 59;
}

impl<'a> Reader<'a> {
    /// Adds the nodes of an operator.
    pub(super) fn operator(&mut self, op: &Site) -> Result<()> {
        match op.operator.name.as_str() {
            "CONV_2D" => self.conv(op),
            "DEPTHWISE_CONV_2D" => self.depthwise_conv(op),
            "FULLY_CONNECTED" => self.fully_connected(op),
            "AVERAGE_POOL_2D" => self.pool(op, PoolKind::Average),
            "MAX_POOL_2D" => self.pool(op, PoolKind::Max),
            "MEAN" => self.mean(op),
            "ADD" => self.add(op),
            "MUL" => self.mul(op),
            "CONCATENATION" => self.concatenation(op),
            "SHAPE" => self.shape_of(op),
            "STRIDED_SLICE" => self.strided_slice(op),
            "PACK" => self.pack(op),
            "RESHAPE" | "SQUEEZE" | "EXPAND_DIMS" => self.reshape(op),
            "PAD" => self.pad(op),
            "SOFTMAX" => self.softmax(op),
            "LOGISTIC" => self.function(op, Activation::Sigmoid),
            "HARD_SWISH" => self.function(op, Activation::HardSwish),
            "RELU" => self.function(op, Activation::Relu),
            "RELU6" => self.function(op, Activation::Relu6),
            "RELU_N1_TO_1" => self.function(op, Activation::Clip { low: -1.0, high: 1.0 }),
            "LEAKY_RELU" => {
                let slope = options(op, table::LEAKY_RELU)?.real(0)?;
                if !slope.is_finite() {
                    return Err(Error::new("alpha", format_args!("is {slope}")));
                }
                self.function(op, Activation::LeakyRelu { slope })
            }
            "QUANTIZE" => self.quantize(op),
            "DEQUANTIZE" => self.dequantize(op),
            _ => Err(Error::new("operator", "is not supported")
                .remedy("docs/models.md lists the operators that are")),
        }
    }

    fn conv(&mut self, op: &Site) -> Result<()> {
        let options = options(op, table::CONV)?;
        let input = self.words(op)?;
        let weights = self.weight_tensor(op, &input)?;
        let [outputs, height, width, inputs] = dimensions(&weights)?;
        let window = Sliding {
            kernel: [height, width],
            stride: [options.size(2, 0)?, options.size(1, 0)?],
            dilation: [options.size(5, 1)?, options.size(4, 1)?],
            padding: options.code(0)?,
        }
        .over(input.shape)?;
        if !input.shape.channels.is_multiple_of(inputs) {
            return Err(Error::new(
                "weights",
                format_args!("take {inputs} channels, the input has {}", input.shape.channels),
            ));
        }
        let groups = input.shape.channels / inputs;
        let bias = has_bias(op);
        let node = self.builder.conv(&op.name, input.node, outputs, window, groups, bias)?;
        let layout = Layout::conv([outputs, inputs, height, width]);
        self.multiply(op, node, &input, &weights, layout)?;
        self.fused(op, node, options.code(3)?)
    }

    fn depthwise_conv(&mut self, op: &Site) -> Result<()> {
        let options = options(op, table::DEPTHWISE)?;
        let input = self.words(op)?;
        let weights = self.weight_tensor(op, &input)?;
        let [one, height, width, outputs] = dimensions(&weights)?;
        if one != 1 {
            return Err(Error::new("weights", format_args!("have {one} filters, 1 was expected")));
        }
        let window = Sliding {
            kernel: [height, width],
            stride: [options.size(2, 0)?, options.size(1, 0)?],
            dilation: [options.size(6, 1)?, options.size(5, 1)?],
            padding: options.code(0)?,
        }
        .over(input.shape)?;
        let (groups, bias) = (input.shape.channels, has_bias(op));
        let node = self.builder.conv(&op.name, input.node, outputs, window, groups, bias)?;
        let layout = Layout::depthwise([outputs, height, width]);
        self.multiply(op, node, &input, &weights, layout)?;
        self.fused(op, node, options.code(4)?)
    }

    fn fully_connected(&mut self, op: &Site) -> Result<()> {
        let options = options(op, table::FULLY_CONNECTED)?;
        let input = self.words(op)?;
        let weights = self.weight_tensor(op, &input)?;
        let &[outputs, inputs] = &weights.shape[..] else {
            return Err(Error::new("weights", format_args!("have shape {:?}", weights.shape))
                .remedy("two dimensions were expected: outputs and inputs"));
        };
        if options.code(1)? != 0 {
            return Err(Error::new("weights", "are shuffled, which is not supported"));
        }
        if inputs != input.shape.len() {
            return Err(Error::new(
                "weights",
                format_args!("take {inputs} values, the input has {}", input.shape.len()),
            )
            .remedy("use CONV_2D for a layer over every pixel"));
        }
        let vector = self.flattened(op, &input)?;
        let node = self.builder.dense(&op.name, vector, outputs, has_bias(op))?;
        self.multiply(op, node, &input, &weights, Layout::dense([outputs, inputs]))?;
        self.fused(op, node, options.code(0)?)
    }

    /// The weights of an operator whose words are of the type of its input's.
    fn weight_tensor(&self, op: &Site, input: &Map) -> Result<Tensor<'a>> {
        let weights = self.tensor(op, 1)?;
        if weights.kind == input.kind {
            return Ok(weights);
        }
        Err(Error::new("weights", format_args!("{:?} for {:?}", weights.kind, input.kind))
            .remedy("convert the whole model to int8, or to uint8"))
    }

    /// Keeps the weights and biases of a node.
    fn multiply(
        &mut self,
        op: &Site,
        node: NodeId,
        input: &Map,
        weights: &Tensor,
        layout: Layout,
    ) -> Result<()> {
        let dense = layout.shape.len() == 2;
        self.weights(node, &op.name, weights, layout).map_err(|e| e.within("weights"))?;
        let encoding = &self.weights[&node].encoding;
        let symmetric = encoding.zero_points.iter().all(|&zero| zero == 0);
        let shifted = weights.kind == Kind::Uint8 || dense;
        if encoding.scales.len() > 1 && weights.kind == Kind::Uint8 {
            return Err(Error::new("weights", "uint8 with scales by channel")
                .remedy("only int8 weights may have several scales"));
        }
        if !symmetric && (!shifted || encoding.scales.len() > 1) {
            return Err(Error::new("weights", "have zero points that are not 0")
                .remedy("quantize int8 weights symmetrically"));
        }
        if has_bias(op) {
            let bias = self.tensor(op, 2)?;
            self.biases(node, &op.name, &bias, input.scale()).map_err(|e| e.within("bias"))?;
        }
        Ok(())
    }

    /// A feature map as a vector in the order row, column, channel.
    fn flattened(&mut self, op: &Site, input: &Map) -> Result<NodeId> {
        if input.shape.pixels() == 1 {
            return Ok(input.node);
        }
        let name = format!("{}/flatten", op.name);
        let vector = self.builder.flatten(&name, input.node, FlattenOrder::ChannelsLast)?;
        if let Some(encoding) = &input.encoding {
            self.outputs.insert(vector, encoding.clone());
        }
        Ok(vector)
    }

    fn pool(&mut self, op: &Site, kind: PoolKind) -> Result<()> {
        let options = options(op, table::POOL)?;
        let input = self.words(op)?;
        self.same_encoding(op, &input)?;
        let window = Sliding {
            kernel: [options.size(4, 0)?, options.size(3, 0)?],
            stride: [options.size(2, 0)?, options.size(1, 0)?],
            dilation: [1, 1],
            padding: options.code(0)?,
        }
        .over(input.shape)?;
        let node = self.builder.pool(&op.name, input.node, kind, window)?;
        // Input and output have one encoding, so that the function is one of whole words.
        self.outputs.extend(input.encoding.map(|encoding| (node, encoding)));
        self.fused(op, node, options.code(5)?)
    }

    fn mean(&mut self, op: &Site) -> Result<()> {
        let input = self.words(op)?;
        let rank = input.rank as i64;
        let mut axes: Vec<i64> = (self.integers(op, 1)?.into_iter())
            .map(|axis| if axis < 0 { axis + rank } else { axis })
            .collect();
        axes.sort_unstable();
        axes.dedup();
        if rank != 4 || axes != [1, 2] {
            return Err(Error::new("axes", format_args!("{axes:?} of {rank} dimensions")).remedy(
                "a mean over height and width of 4 dimensions, axes 1 and 2, is supported",
            ));
        }
        let node = self.builder.global_pool(&op.name, input.node, PoolKind::Average)?;
        self.done(op, node)
    }

    fn add(&mut self, op: &Site) -> Result<()> {
        let (a, b) = self.two(op, |shape| shape)?;
        let node = self.builder.add(&op.name, &[a.node, b.node])?;
        self.fused(op, node, options(op, table::ADD)?.code(0)?)
    }

    fn mul(&mut self, op: &Site) -> Result<()> {
        let (a, b) = self.two(op, |shape| Shape::vector(shape.channels))?;
        let node = self.builder.mul(&op.name, [a.node, b.node])?;
        self.fused(op, node, options(op, table::MUL)?.code(0)?)
    }

    /// The two feature maps that an operator combines; a constant of few elements is repeated to the
    /// shape that `of` makes of the other's.
    fn two(&mut self, op: &Site, of: impl Fn(Shape) -> Shape) -> Result<(Map, Map)> {
        let (a, b) = match (self.is_constant(op, 0)?, self.is_constant(op, 1)?) {
            (false, true) => {
                let a = self.map(op, 0)?;
                let b = self.repeated(op, 1, of(a.shape))?;
                (a, b)
            }
            (true, false) => {
                let b = self.map(op, 1)?;
                (self.repeated(op, 0, of(b.shape))?, b)
            }
            _ => (self.map(op, 0)?, self.map(op, 1)?),
        };
        self.check_kinds(op, &[&a, &b])?;
        Ok((a, b))
    }

    fn concatenation(&mut self, op: &Site) -> Result<()> {
        let options = options(op, table::CONCATENATION)?;
        let count = op.operator.inputs.len();
        let maps: Vec<Map> =
            (0..count).map(|position| self.map(op, position)).collect::<Result<_>>()?;
        self.check_kinds(op, &maps.iter().collect::<Vec<_>>())?;
        let axis = options.0.map_or(Ok(0), |table| table.number(0, 0i32))?;
        let last = |map: &Map| axis == -1 || i64::from(axis) + 1 == map.rank as i64;
        if !maps.iter().all(last) || options.code(1)? != 0 {
            return Err(Error::new("axis", format_args!("{axis}"))
                .remedy("channels, the last dimension, can be joined, without an activation"));
        }
        for map in maps.iter().filter(|map| map.kind == Kind::Int8) {
            self.same_encoding(op, map)?;
        }
        let nodes: Vec<NodeId> = maps.iter().map(|map| map.node).collect();
        let node = self.builder.concat(&op.name, &nodes)?;
        self.done(op, node)
    }

    fn reshape(&mut self, op: &Site) -> Result<()> {
        let input = self.map(op, 0)?;
        self.same_encoding(op, &input)?;
        let stated = self.output(op)?.shape;
        if op.operator.name == "RESHAPE" && op.operator.inputs.len() > 1 {
            let sizes = self.integers(op, 1)?;
            let fits = |(&size, &stated): (&i64, &usize)| size == -1 || size == stated as i64;
            if sizes.len() != stated.len() || !sizes.iter().zip(&stated).all(fits) {
                return Err(Error::new("shape", format_args!("{sizes:?}, {stated:?} is stated"))
                    .remedy("convert the model with a batch of 1"));
            }
        }
        let to = feature_map(&stated).map_err(|e| e.within("output"))?;
        if to == input.shape {
            return self.is(op, input.node);
        }
        let node = self.builder.reshape(&op.name, input.node, to)?;
        self.done(op, node)
    }

    fn pad(&mut self, op: &Site) -> Result<()> {
        let input = self.words(op)?;
        self.same_encoding(op, &input)?;
        let sizes = self.integers(op, 1)?;
        let &[0, 0, top, bottom, left, right, 0, 0] = &sizes[..] else {
            return Err(Error::new("paddings", format_args!("{sizes:?}"))
                .remedy("pad rows and columns of 4 dimensions"));
        };
        let sizes = [top, left, bottom, right].map(usize::try_from);
        let [Ok(top), Ok(left), Ok(bottom), Ok(right)] = sizes else {
            return Err(Error::new("paddings", "are negative"));
        };
        let node = self.builder.pad(&op.name, input.node, [top, left, bottom, right])?;
        self.done(op, node)
    }

    fn softmax(&mut self, op: &Site) -> Result<()> {
        let input = self.words(op)?;
        let beta = options(op, table::SOFTMAX)?.real(0)?;
        if beta != 1.0 {
            return Err(Error::new("beta", format_args!("is {beta}"))
                .remedy("a softmax with beta 1 is supported"));
        }
        let node = self.builder.softmax(&op.name, input.node)?;
        self.done(op, node)
    }

    fn function(&mut self, op: &Site, function: Activation) -> Result<()> {
        let input = self.words(op)?;
        let node = self.builder.activation(&op.name, input.node, function)?;
        self.done(op, node)
    }

    /// Real values become words at the input; words become words of another encoding elsewhere.
    fn quantize(&mut self, op: &Site) -> Result<()> {
        let input = self.map(op, 0)?;
        if input.kind != Kind::Float32 {
            let node = self.builder.identity(&op.name, input.node)?;
            return self.done(op, node);
        }
        let encoding = super::words(&self.output(op)?).map_err(|e| e.within("output"))?;
        let given = self.values.get(&self.graph.input) == Some(&input.node);
        let same = self.outputs.get(&input.node).is_none_or(|stated| *stated == encoding);
        if !given || !same {
            return Err(Error::new("input", "holds computed floats, or is quantized twice")
                .remedy("QUANTIZE is supported at the input, and from words to words"));
        }
        self.done(op, input.node)
    }

    /// The words are the output, as real values.
    fn dequantize(&mut self, op: &Site) -> Result<()> {
        let input = self.map(op, 0)?;
        let to = self.output(op)?.kind;
        if input.encoding.is_none() || to != Kind::Float32 {
            return Err(Error::new("types", format_args!("{:?} to {to:?}", input.kind))
                .remedy("DEQUANTIZE is supported from words to floats"));
        }
        self.is(op, input.node)
    }
}

/// The options of an operator, which are those of table `number`.
pub(super) fn options<'a>(op: &Site<'a>, number: u8) -> Result<Options<'a>> {
    match op.operator.options {
        Some((found, _)) if found != number => {
            Err(Error::new("options", format_args!("are of table {found}, {number} was expected"))
                .remedy("the file is damaged: convert the model again"))
        }
        options => Ok(Options(options.map(|(_, table)| table))),
    }
}

/// Whether an operator has a third input, its bias.
fn has_bias(op: &Site) -> bool {
    op.operator.inputs.iter().nth(2).is_some_and(|index| index >= 0)
}

fn dimensions(weights: &Tensor) -> Result<[usize; 4]> {
    weights.shape[..].try_into().map_err(|_| {
        Error::new("weights", format_args!("have shape {:?}, not 4 dimensions", weights.shape))
    })
}

/// A window that slides over a feature map as TFLite describes it.
struct Sliding {
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    /// SAME or VALID.
    padding: i8,
}

impl Sliding {
    /// The window with its padding. SAME gives ⌈size / stride⌉ positions; an odd rest of the padding
    /// goes to the bottom and right.
    fn over(&self, input: Shape) -> Result<Window> {
        let Self { kernel, stride, dilation, padding: scheme } = *self;
        let mut padding = [0; 4];
        match scheme {
            0 if !stride.contains(&0) => {
                for (axis, size) in [input.height, input.width].into_iter().enumerate() {
                    let span = (kernel[axis].saturating_sub(1)).saturating_mul(dilation[axis]);
                    let outputs = size.div_ceil(stride[axis]);
                    let needed = ((outputs - 1) * stride[axis]).saturating_add(span + 1);
                    let total = needed.saturating_sub(size);
                    padding[axis] = total / 2;
                    padding[axis + 2] = total - total / 2;
                }
            }
            0 | 1 => {}
            code => return Err(Error::new(at("padding", code), "neither SAME nor VALID")),
        }
        Ok(Window { kernel, stride, padding, dilation })
    }
}
