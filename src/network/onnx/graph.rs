//! The network under construction, and the values that its tensors have.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::rc::Rc;

use ndarray::ArrayD;
use rten_onnx::onnx::{DataType, GraphProto, NodeProto, ValueInfoProto};

use super::attributes::Attributes;
use super::convolution::real;
use super::layout::{Axis, canonical};
use super::name_of;
use super::tensor::{Tensor, int_format};
use crate::error::{Error, Result};
use crate::network::{
    Arithmetic, Builder, Encoding, Model, NodeId, Op, Parameters, Quantization, parameter_name,
};
use crate::numeric::Format;
use crate::tensor::Shape;

/// What a tensor of the model is.
#[derive(Clone, Debug)]
pub enum Value {
    /// A constant.
    Constant(Rc<Constant>),
    /// A feature map.
    Map(Map),
}

/// A constant, and its words if it was dequantized.
#[derive(Clone, Debug)]
pub struct Constant {
    /// Values.
    pub tensor: Tensor,
    /// Words that stand for them.
    pub words: Option<EncodedConstant>,
}

/// The words of a constant.
#[derive(Clone, Debug)]
pub struct EncodedConstant {
    /// Words, of the same sizes as the values.
    pub words: Tensor,
    /// Meaning of the words.
    pub encoding: Encoding,
    /// The axis of several scales.
    pub axis: usize,
}

/// A feature map: the output of a node, its axes in the order of the ONNX tensor.
#[derive(Clone, PartialEq, Debug)]
pub struct Map {
    pub node: NodeId,
    pub axes: Vec<Axis>,
    /// The integer type of the tensor, if it holds words instead of real values.
    pub words: Option<Format>,
}

impl Value {
    pub fn constant(tensor: Tensor) -> Self {
        Self::Constant(Rc::new(Constant { tensor, words: None }))
    }
}

/// The inputs of a node.
#[derive(Clone, Copy)]
pub struct Inputs<'a>(pub &'a [Option<Value>]);

impl<'a> Inputs<'a> {
    /// Input `index`, which must be a feature map.
    pub fn map(self, index: usize) -> Result<&'a Map> {
        match self.0.get(index) {
            Some(Some(Value::Map(map))) => Ok(map),
            _ => Err(Error::new(
                format_args!("input {}", index + 1),
                "is not computed from the network's input, as it must be",
            )),
        }
    }

    /// Input `index`, which must be a constant.
    pub fn constant(self, index: usize) -> Result<&'a Constant> {
        self.optional(index)?
            .ok_or_else(|| Error::new(format_args!("input {}", index + 1), "is missing"))
    }

    /// Input `index`, which must be a constant if it is there.
    pub fn optional(self, index: usize) -> Result<Option<&'a Constant>> {
        match self.0.get(index) {
            None | Some(None) => Ok(None),
            Some(Some(Value::Constant(constant))) => Ok(Some(constant)),
            Some(Some(Value::Map(_))) => Err(Error::new(
                format_args!("input {}", index + 1),
                "is computed from the network's input, a constant was expected",
            )
            .remedy("export the model with its weights as initializers")),
        }
    }

    pub fn len(self) -> usize {
        self.0.len()
    }
}

/// The network under construction.
pub struct Graph {
    pub builder: Builder,
    pub parameters: Parameters,
    pub quantization: Quantization,
    /// The version of the default operator set.
    pub opset: i64,
    name: String,
    names: HashSet<String>,
    input_words: Option<Format>,
}

impl Graph {
    pub fn new(name: &str, opset: i64) -> Self {
        Self {
            opset,
            builder: Builder::new(name),
            parameters: Parameters::new(),
            quantization: Quantization {
                arithmetic: Arithmetic::Onnx { opset },
                outputs: BTreeMap::new(),
                weights: BTreeMap::new(),
                biases: BTreeMap::new(),
                on_words: BTreeSet::new(),
                takes_words: false,
                gives_words: false,
            },
            name: name.to_owned(),
            names: HashSet::new(),
            input_words: None,
        }
    }

    /// How errors name a node.
    pub fn context(node: &NodeProto, index: usize) -> String {
        let op = node.op_type.as_deref().unwrap_or("");
        match node.name.as_deref().unwrap_or("") {
            "" => format!("node {index} ({op})"),
            name => format!("node `{name}` ({op})"),
        }
    }

    /// The network's input. Its first axis is the batch. A map of four axes that only transposes
    /// to channels-first read is channels-last.
    pub fn input(&mut self, input: &ValueInfoProto, graph: &GraphProto) -> Result<Value> {
        let name = name_of(input);
        let named = |problem: String| Error::new(format_args!("input `{name}`"), problem);
        let tensor = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
        let kind = tensor.and_then(|tensor| tensor.elem_type).unwrap_or(DataType::FLOAT);
        let words = int_format(kind).filter(|format| format.bits() <= 16);
        let is_float = matches!(kind, DataType::FLOAT | DataType::FLOAT16 | DataType::DOUBLE);
        if words.is_none() && !is_float {
            return Err(named("is neither of floats nor of words of at most 16 bits".into()));
        }
        let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
        let dims: Vec<Option<i64>> = shape.map_or(Vec::new(), |shape| {
            shape.dim.iter().map(|dim| dim.dim_value.filter(|&size| size > 0)).collect()
        });
        let readers = graph.node.iter().filter(|node| node.input.iter().any(|i| i == name));
        let to_channels_first = |node: &NodeProto| {
            node.op_type.as_deref() == Some("Transpose")
                && Attributes::new(node).ints("perm") == Some(&[0, 3, 1, 2])
        };
        let readers: Vec<bool> = readers.map(to_channels_first).collect();
        let last = !readers.is_empty() && readers.iter().all(|&transposes| transposes);
        let axes = match canonical(dims.len()) {
            Some(_) if dims.len() == 4 && last => vec![Axis::N, Axis::H, Axis::W, Axis::C],
            Some(axes) => axes,
            None => {
                return Err(named(format!("has {} axes, 2 to 4 are supported", dims.len()))
                    .remedy(
                        "state the input's shape in the model: batch, channels, height, width",
                    ));
            }
        };
        let size = |axis: Axis| match axes.iter().position(|&a| a == axis) {
            None => Ok(1),
            Some(place) => match dims[place] {
                Some(size) => Ok(size as usize),
                None => Err(named(format!("has an axis {} of unknown size", place + 1)).remedy(
                    "fix the sizes of all axes but the batch, as \
                             `onnxruntime.tools.make_dynamic_shape_fixed` does",
                )),
            },
        };
        let shape = Shape::new(size(Axis::C)?, size(Axis::H)?, size(Axis::W)?);
        let unique = self.unique(name);
        let node = self.builder.input(&unique, shape)?;
        self.input_words = words;
        Ok(Value::Map(Map { node, axes, words }))
    }

    /// A name for a node of the network that no other has.
    pub fn unique(&mut self, name: &str) -> String {
        let name = if name.is_empty() { "node" } else { name };
        let numbered = (1..).map(|n| if n == 1 { name.to_owned() } else { format!("{name}_{n}") });
        let mut free = numbered.filter(|name| !self.names.contains(name));
        let name = free.next().expect("some number is free");
        self.names.insert(name.clone());
        name
    }

    /// Adds what a node of the model computes.
    pub fn node(
        &mut self,
        node: &NodeProto,
        index: usize,
        inputs: &[Option<Value>],
        folder: &Path,
    ) -> Result<Value> {
        let op = node.op_type.as_deref().unwrap_or("");
        let attributes = Attributes::new(node);
        let inputs = Inputs(inputs);
        let name = match node.name.as_deref().unwrap_or("") {
            "" => format!("{}_{index}", op.to_lowercase()),
            name => name.to_owned(),
        };
        let given = node.name.is_some();
        let constant = inputs.0.iter().flatten().all(|v| matches!(v, Value::Constant(_)));
        let value = if constant {
            super::constant::fold(op, &attributes, inputs, folder)?
        } else {
            let name = if given { name } else { format!("{op}_{index}") };
            match node.domain.as_deref().unwrap_or("") {
                "" | "ai.onnx" => self.standard(op, &name, &attributes, inputs)?,
                "com.microsoft" => self.microsoft(op, &name, &attributes, inputs)?,
                domain => return Err(unsupported(&format!("{domain}.{op}"))),
            }
        };
        attributes.finish()?;
        Ok(value)
    }

    fn standard(
        &mut self,
        op: &str,
        name: &str,
        attributes: &Attributes,
        inputs: Inputs,
    ) -> Result<Value> {
        match op {
            "Conv" => self.conv(name, attributes, inputs),
            "Gemm" => self.gemm(name, attributes, inputs),
            "MatMul" => self.matmul(name, inputs),
            "BatchNormalization" => self.batch_normalization(name, attributes, inputs),
            "MaxPool" | "AveragePool" => self.pool(op, name, attributes, inputs),
            "GlobalAveragePool" | "GlobalMaxPool" => self.global_pool(op, name, inputs),
            "ReduceMean" => self.reduce_mean(name, attributes, inputs),
            "Relu" | "Clip" | "LeakyRelu" | "Sigmoid" | "HardSigmoid" | "HardSwish" => {
                self.activation(op, name, attributes, inputs)
            }
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(op, name, inputs),
            "Sum" => self.sum(name, inputs),
            "LRN" => self.lrn(name, attributes, inputs),
            "Softmax" => {
                let map = real(inputs.map(0)?)?;
                let node = self.softmax(name, attributes, map, self.opset)?;
                Ok(self.real(node, map.axes.clone()))
            }
            "Concat" => self.concat(name, attributes, inputs),
            "Pad" => self.pad(name, attributes, inputs),
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => {
                self.reshape(op, name, attributes, inputs)
            }
            "Transpose" => self.transpose(attributes, inputs),
            "Shape" => self.shape_of(attributes, inputs),
            "Identity" => Ok(Value::Map(inputs.map(0)?.clone())),
            "Dropout" => self.dropout(attributes, inputs),
            "Cast" => self.cast(attributes, inputs),
            "QuantizeLinear" => self.quantize_linear(name, attributes, inputs),
            "DequantizeLinear" => self.dequantize_linear(attributes, inputs),
            "QLinearConv" => self.qlinear_conv(name, attributes, inputs),
            "QLinearMatMul" => self.qlinear_matmul(name, inputs),
            "ConvInteger" => self.conv_integer(name, attributes, inputs),
            "MatMulInteger" => self.matmul_integer(name, inputs),
            _ => Err(unsupported(op)),
        }
    }

    fn microsoft(
        &mut self,
        op: &str,
        name: &str,
        attributes: &Attributes,
        inputs: Inputs,
    ) -> Result<Value> {
        match op {
            "QLinearAdd" | "QLinearMul" => self.qlinear_binary(op, name, inputs),
            "QLinearConcat" => self.qlinear_concat(name, attributes, inputs),
            "QLinearGlobalAveragePool" => {
                self.qlinear_global_average_pool(name, attributes, inputs)
            }
            "QLinearAveragePool" => self.qlinear_average_pool(name, attributes, inputs),
            "QGemm" => self.qgemm(name, attributes, inputs),
            "QLinearLeakyRelu" | "QLinearSigmoid" => {
                self.qlinear_activation(op, name, attributes, inputs)
            }
            "QLinearSoftmax" => self.qlinear_softmax(name, attributes, inputs),
            "QuantizeLinear" => self.quantize_linear(name, attributes, inputs),
            "DequantizeLinear" => self.dequantize_linear(attributes, inputs),
            _ => Err(unsupported(&format!("com.microsoft.{op}"))),
        }
    }

    /// Whether a node's output has an encoding.
    pub fn encoding(&self, map: &Map) -> Option<&Encoding> {
        self.quantization.outputs.get(&map.node)
    }

    pub fn shape(&self, map: &Map) -> Shape {
        self.builder.shape(map.node)
    }

    /// A node's output with the axes that its number of axes has in ONNX.
    pub fn real(&self, node: NodeId, axes: Vec<Axis>) -> Value {
        Value::Map(Map { node, axes, words: None })
    }

    /// Stores a parameter of a node.
    pub fn parameter(
        &mut self,
        node: &str,
        name: &str,
        shape: &[usize],
        values: Vec<f32>,
    ) -> Result<()> {
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(Error::new(name, format_args!("holds {value}, which is not finite")));
        }
        let array = ArrayD::from_shape_vec(shape, values).map_err(|e| Error::new(name, e))?;
        self.parameters.insert(parameter_name(node, name), array);
        Ok(())
    }

    /// The finished model. Nodes that only quantize are merged into the nodes before them.
    pub fn finish(mut self, output: &Value) -> Result<Model> {
        let Value::Map(output) = output else {
            return Err(Error::new("model", "has a constant output"));
        };
        let mut output = self.in_order(output)?;
        if let Op::Input = self.builder.node(output.node).op {
            let name = self.unique("output");
            let node = self.builder.identity(&name, output.node)?;
            output = self.passed_on(node, &output, output.axes.clone());
        }
        let network = self.builder.finish()?;
        let input = network.nodes.iter().position(|node| node.op == Op::Input);
        let encodes =
            !self.quantization.outputs.is_empty() || !self.quantization.weights.is_empty();
        if let (Some(id), Some(format)) = (input, self.input_words)
            && !self.quantization.outputs.contains_key(&id)
        {
            // Words that are only cast to floats are floats from the start.
            if encodes || output.words.is_some() {
                let plain = Encoding { format, scales: vec![1.0], zero_points: vec![0] };
                self.quantization.outputs.insert(id, plain);
            }
        }
        self.quantization.takes_words = input
            .is_some_and(|id| self.quantization.outputs.contains_key(&id))
            && self.input_words.is_some();
        self.quantization.gives_words =
            output.words.is_some() && self.quantization.outputs.contains_key(&output.node);
        let quantized = encodes || self.quantization.takes_words;
        let (mut network, mut quantization) = (network, self.quantization);
        if quantized {
            quantization.merge_identities(&mut network);
        }
        network.name = self.name;
        Ok(Model {
            network,
            parameters: Some(self.parameters),
            dataset: None,
            quantization: quantized.then_some(quantization),
        })
    }
}

pub fn unsupported(op: &str) -> Error {
    Error::new(format_args!("operator {op}"), "is not supported")
        .remedy("docs/models.md lists the operators that are; cut the model before this node")
}
