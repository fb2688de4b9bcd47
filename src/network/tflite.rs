//! Reads TFLite models whose words are int8 or uint8: one subgraph, one input, one output, batch 1.
//!
//! Feature maps of TFLite are batch × height × width × channels; here they are channels × height ×
//! width. Words stay as the file has them; what the kernels do with them is `quantize`'s business.
//!
//! Memory: a few times the file's size. Weights that several operators share are kept for each of
//! them; copies that add up to more than [`MAX_COPIES`] times the file are refused.

mod flatbuffer;
mod names;
mod operators;
mod schema;
mod sizes;
#[cfg(test)]
mod tests;
mod weights;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use self::schema::{Graph, Kind, Operator, Tensor};
use super::{Activation, Arithmetic, Builder, Encoding, Model, NodeId, Parameters, Quantization};
use crate::error::{Error, Result};
use crate::files;
use crate::tensor::Shape;

/// Most words of weights, biases and constants that a model may have for each byte of its file.
pub const MAX_COPIES: usize = 4;

/// Reads a TFLite model; the network is named after the file.
///
/// # Errors
///
/// If the file cannot be read or is refused by [`parse`].
pub fn read(path: &Path) -> Result<Model> {
    let bytes = files::read_bytes(path)?;
    let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into());
    parse(&path.display().to_string(), &name, &bytes)
}

/// Parses the bytes of the file `file` as the network `name`. Nodes are named after the operator
/// and its index, as `conv_2d_0`.
///
/// # Errors
///
/// If the file is damaged, or has an operator, a type or a use of one that is not supported; the
/// error names the file and the operator with its index.
pub fn parse(file: &str, name: &str, bytes: &[u8]) -> Result<Model> {
    read_graph(name, bytes).map_err(|e| e.within(file))
}

fn read_graph(name: &str, bytes: &[u8]) -> Result<Model> {
    let graph = Graph::parse(bytes)?;
    let mut reader = Reader {
        graph: &graph,
        builder: Builder::new(name),
        parameters: Parameters::new(),
        outputs: BTreeMap::new(),
        weights: BTreeMap::new(),
        biases: BTreeMap::new(),
        values: HashMap::new(),
        sizes: HashMap::new(),
        copies: bytes.len().saturating_mul(MAX_COPIES),
    };
    let takes_words = reader.input()?;
    for index in 0..graph.operators() {
        let operator = graph.operator(index)?;
        let subject = format!("operator {index} ({})", operator.name);
        let node = format!("{}_{index}", operator.name.to_lowercase());
        let op = Site { name: node, operator: &operator };
        reader.operator(&op).map_err(|e| e.within(subject))?;
    }
    reader.finish(takes_words)
}

/// An operator and the name of its node.
struct Site<'a> {
    name: String,
    operator: &'a Operator<'a>,
}

/// A network under construction.
struct Reader<'a> {
    graph: &'a Graph<'a>,
    builder: Builder,
    parameters: Parameters,
    outputs: BTreeMap<NodeId, Encoding>,
    weights: BTreeMap<NodeId, super::EncodedTensor>,
    biases: BTreeMap<NodeId, Vec<i64>>,
    /// By tensor: the node whose output it is.
    values: HashMap<i32, NodeId>,
    /// By tensor: the sizes that it holds, where they are computed from shapes.
    sizes: HashMap<i32, Vec<i64>>,
    /// Words that may still be kept.
    copies: usize,
}

/// A feature map that an operator reads.
struct Map {
    node: NodeId,
    shape: Shape,
    kind: Kind,
    /// Its encoding, if it has words.
    encoding: Option<Encoding>,
    /// Number of dimensions in the file.
    rank: usize,
}

impl Map {
    /// The scale of the words.
    fn scale(&self) -> f32 {
        self.encoding.as_ref().map_or(1.0, |encoding| encoding.scale(0))
    }
}

impl<'a> Reader<'a> {
    /// Adds the network's input; whether it is given as words.
    fn input(&mut self) -> Result<bool> {
        let tensor = self.graph.tensor(self.graph.input).map_err(|e| e.within("input"))?;
        let shape = feature_map(&tensor.shape).map_err(|e| e.within("input"))?;
        let node = self.builder.input("input", shape)?;
        self.values.insert(self.graph.input, node);
        if tensor.data.is_some() {
            return Err(Error::new("input", "is a constant"));
        }
        if tensor.kind == Kind::Float32 {
            return Ok(false);
        }
        let encoding = words(&tensor).map_err(|e| e.within("input"))?;
        self.outputs.insert(node, encoding);
        Ok(true)
    }

    fn finish(self, takes_words: bool) -> Result<Model> {
        let output = self.graph.tensor(self.graph.output).map_err(|e| e.within("output"))?;
        let Some(&node) = self.values.get(&self.graph.output) else {
            return Err(Error::new("output", "is computed by no operator"));
        };
        let input = &self.values[&self.graph.input];
        if !takes_words && !self.outputs.contains_key(input) {
            return Err(Error::new("input", "holds floats that nothing quantizes")
                .remedy("convert the model to int8 or uint8"));
        }
        let network = self.builder.finish()?;
        if node + 1 != network.nodes.len() {
            return Err(Error::new(
                format_args!("network `{}`", network.name),
                "its output is not what its last operator computes",
            )
            .remedy("remove the operators that do not contribute to the output"));
        }
        let quantization = Quantization {
            arithmetic: Arithmetic::TfLite,
            outputs: self.outputs,
            weights: self.weights,
            biases: self.biases,
            on_words: (0..network.nodes.len()).collect(),
            takes_words,
            gives_words: output.kind.is_word(),
        };
        Ok(Model {
            network,
            parameters: Some(self.parameters),
            dataset: None,
            quantization: Some(quantization),
        })
    }

    /// The tensor that input `position` of an operator is.
    fn tensor(&self, op: &Site, position: usize) -> Result<Tensor<'a>> {
        match op.operator.inputs.iter().nth(position) {
            Some(index) => self.graph.tensor(index).map_err(|e| e.within(at("input", position))),
            None => Err(Error::new(at("input", position), "is missing")),
        }
    }

    /// The feature map that input `position` of an operator is; a constant becomes a node.
    fn map(&mut self, op: &Site, position: usize) -> Result<Map> {
        let subject = at("input", position);
        let tensor = self.tensor(op, position)?;
        let index = op.operator.inputs.iter().nth(position).unwrap_or(-1);
        let shape = feature_map(&tensor.shape).map_err(|e| e.within(&subject))?;
        let node = match self.values.get(&index) {
            Some(&node) => node,
            None if tensor.data.is_some() => return self.repeated(op, position, shape),
            None => {
                return Err(Error::new(subject, "is computed by no operator before")
                    .remedy("the file is damaged: convert the model again"));
            }
        };
        let encoding = match tensor.kind {
            Kind::Float32 => None,
            _ => Some(words(&tensor).map_err(|e| e.within(&subject))?),
        };
        let rank = tensor.shape.len();
        Ok(Map { node, shape: self.builder.shape(node), kind: tensor.kind, encoding, rank })
    }

    /// Whether input `position` of an operator is a constant.
    fn is_constant(&self, op: &Site, position: usize) -> Result<bool> {
        Ok(self.tensor(op, position)?.data.is_some())
    }

    /// The constant that input `position` of an operator is, as a map of `shape` if it has one
    /// element, or one by channel.
    fn repeated(&mut self, op: &Site, position: usize, shape: Shape) -> Result<Map> {
        let tensor = self.tensor(op, position)?;
        let stated = feature_map(&tensor.shape).map_err(|e| e.within(at("input", position)))?;
        let few = [Shape::vector(1), Shape::vector(shape.channels)];
        let shape = if few.contains(&stated) { shape } else { stated };
        let name = format!("{}/constant_{position}", op.name);
        let node = self.constant(&name, shape, &tensor);
        let node = node.map_err(|e| e.within(at("input", position)))?;
        let (kind, encoding) = (tensor.kind, self.outputs.get(&node).cloned());
        Ok(Map { node, shape, kind, encoding, rank: tensor.shape.len() })
    }

    /// The only feature map that an operator reads as its first input, of words.
    fn words(&mut self, op: &Site) -> Result<Map> {
        let map = self.map(op, 0)?;
        self.check_kinds(op, &[&map])?;
        Ok(map)
    }

    /// Checks that an operator reads and writes words of one type.
    fn check_kinds(&self, op: &Site, maps: &[&Map]) -> Result<()> {
        let output = self.output(op)?;
        let kinds = maps.iter().map(|map| map.kind).chain([output.kind]);
        if kinds.clone().all(|kind| kind.is_word() && kind == output.kind) {
            return Ok(());
        }
        let kinds: Vec<Kind> = kinds.collect();
        Err(Error::new("types", format_args!("{kinds:?} cannot be combined"))
            .remedy("convert the whole model to int8, or to uint8"))
    }

    /// The tensor that an operator writes.
    fn output(&self, op: &Site) -> Result<Tensor<'a>> {
        match (op.operator.outputs.len(), op.operator.outputs.iter().next()) {
            (1, Some(index)) => self.graph.tensor(index).map_err(|e| e.within("output")),
            (length, _) => Err(Error::new("outputs", format_args!("{length}, not 1"))),
        }
    }

    /// Makes `node`, with the activation function fused into it, the operator's output.
    fn fused(&mut self, op: &Site, node: NodeId, fused: i8) -> Result<()> {
        let (suffix, function) = match fused {
            0 => return self.done(op, node),
            1 => ("relu", Activation::Relu),
            2 => ("relu_n1_to_1", Activation::Clip { low: -1.0, high: 1.0 }),
            3 => ("relu6", Activation::Relu6),
            _ => {
                return Err(Error::new("fused activation", format_args!("code {fused}"))
                    .remedy("NONE, RELU, RELU6 and RELU_N1_TO_1 are supported"));
            }
        };
        let name = format!("{}/{suffix}", op.name);
        let activation = self.builder.activation(&name, node, function)?;
        self.done(op, activation)
    }

    /// Makes `node` the operator's output, with the encoding that the file gives it.
    fn done(&mut self, op: &Site, node: NodeId) -> Result<()> {
        let tensor = self.output(op)?;
        if tensor.kind != Kind::Float32 {
            let encoding = words(&tensor).map_err(|e| e.within("output"))?;
            self.outputs.insert(node, encoding);
        }
        self.is(op, node)
    }

    /// Makes `node` the operator's output as it is.
    fn is(&mut self, op: &Site, node: NodeId) -> Result<()> {
        let tensor = self.output(op)?;
        let (stated, shape) = (feature_map(&tensor.shape)?, self.builder.shape(node));
        if stated != shape {
            return Err(Error::new(
                "output",
                format_args!("has shape {:?}, that of {shape} was expected", tensor.shape),
            )
            .remedy("channels are the last dimension"));
        }
        let index = op.operator.outputs.iter().next().unwrap_or(-1);
        if tensor.data.is_some() || self.values.insert(index, node).is_some() {
            return Err(Error::new("output", "is a constant or computed twice")
                .remedy("the file is damaged: convert the model again"));
        }
        Ok(())
    }

    /// Checks that an operator that passes words on does not give them another meaning.
    fn same_encoding(&self, op: &Site, map: &Map) -> Result<()> {
        let output = self.output(op)?;
        let to = (output.kind != Kind::Float32).then(|| words(&output)).transpose()?;
        if to == map.encoding {
            return Ok(());
        }
        Err(Error::new("output", "has another scale or zero point than the input")
            .remedy("this operator passes words on as they are: put a QUANTIZE before it"))
    }
}

/// The encoding of a feature map.
fn words(tensor: &Tensor) -> Result<Encoding> {
    if !tensor.kind.is_word() {
        return Err(Error::new("tensor", format_args!("has elements of type {:?}", tensor.kind))
            .remedy("convert the model to int8 or uint8"));
    }
    // No dimension is this one, so that one scale is all there can be.
    let encoding = tensor.encoding(usize::MAX)?;
    Ok(encoding)
}

/// Channels, height and width of a tensor [batch, height, width, channels] or its last dimensions.
fn feature_map(sizes: &[usize]) -> Result<Shape> {
    match *sizes {
        [] => Ok(Shape::vector(1)),
        [channels] | [1, channels] => Ok(Shape::vector(channels)),
        [1, width, channels] => Ok(Shape::new(channels, 1, width)),
        [1, height, width, channels] => Ok(Shape::new(channels, height, width)),
        _ => Err(Error::new("shape", format_args!("{sizes:?} is no feature map of one image"))
            .remedy("give the model a batch of 1, at most 4 dimensions")),
    }
}

fn at(what: &str, position: impl fmt::Display) -> String {
    format!("{what} {position}")
}
