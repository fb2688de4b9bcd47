//! Reads ONNX models, opsets 9 to 21: float networks, and quantized ones as QLinear operators or as
//! QuantizeLinear / DequantizeLinear pairs. `docs/models.md` lists what is supported.
//!
//! Constants and shape arithmetic are folded here; an operator that is not supported is named with
//! its node. A dequantized tensor is the tensor that was quantized, seen as real values, so that
//! both forms of a quantized network become the same graph with encodings.

mod attributes;
mod constant;
mod convolution;
mod elementwise;
mod graph;
mod layout;
mod pool;
mod quantized;
mod tensor;
mod wire;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use rten_onnx::onnx::{GraphProto, ModelProto, NodeProto, ValueInfoProto};

use self::graph::{Graph, Value};
use self::tensor::Tensor;
use self::wire::Message;
use super::Model;
use crate::error::{Error, Result};
use crate::files;

/// Opset versions of the default domain that are read.
const OPSETS: std::ops::RangeInclusive<i64> = 9..=21;

/// Reads a model file. External data is looked for in its folder and below.
///
/// # Errors
/// If the file is no ONNX model, or has something that is not supported; the error names it.
pub fn read(path: &Path) -> Result<Model> {
    let name = path.display().to_string();
    let bytes = files::read_bytes(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    parse(&stem, &bytes, folder).map_err(|error| error.within(name))
}

/// Parses a model named `name`, with external data below `folder`.
///
/// # Errors
/// As [`read`].
pub fn parse(name: &str, bytes: &[u8], folder: &Path) -> Result<Model> {
    let model = decode(bytes)?;
    let opset = opset(&model)?;
    let Some(graph) = model.graph else {
        return Err(Error::new("model", "has no graph").remedy("export the model again"));
    };
    build(name, &graph, opset, folder)
}

fn decode(bytes: &[u8]) -> Result<ModelProto> {
    let parsed = Message::Model.check(bytes).map_err(str::to_owned);
    let parsed = parsed.and_then(|()| ModelProto::parse_buf(bytes).map_err(|e| e.to_string()));
    parsed.map_err(|problem| {
        Error::new("file", format_args!("is no ONNX model: {problem}"))
            .remedy("give an ONNX model, as `onnx.save` writes it")
    })
}

/// The version of the default operator set.
fn opset(model: &ModelProto) -> Result<i64> {
    let mut stated = *OPSETS.end();
    for opset in &model.opset_import {
        let (domain, version) = (opset.domain.as_deref().unwrap_or(""), opset.version.unwrap_or(0));
        let known = matches!(domain, "" | "ai.onnx");
        if known && !OPSETS.contains(&version) {
            return Err(Error::new(
                "model",
                format_args!(
                    "is of opset {version}, {} to {} are read",
                    OPSETS.start(),
                    OPSETS.end()
                ),
            )
            .remedy("convert it with `onnx.version_converter`"));
        }
        if known {
            stated = version;
        }
    }
    Ok(stated)
}

fn build(name: &str, graph: &GraphProto, opset: i64, folder: &Path) -> Result<Model> {
    let mut values: HashMap<&str, Value> = HashMap::new();
    for initializer in &graph.initializer {
        let tensor = Tensor::read(initializer, folder)?;
        values.insert(initializer.name.as_deref().unwrap_or(""), Value::constant(tensor));
    }
    let output = only(graph.output.iter(), "outputs")?;
    let output_name = output.name.as_deref().unwrap_or("");
    let inputs = graph.input.iter().filter(|input| !values.contains_key(name_of(input)));
    let input = only(inputs, "inputs")?;
    let needed = needed(graph, output_name)?;
    let mut builder = Graph::new(name, opset);
    values.insert(name_of(input), builder.input(input, graph)?);
    for &index in &needed {
        let node = &graph.node[index];
        let context = Graph::context(node, index);
        let inputs = node.input.iter().map(|input| match input.as_str() {
            "" => Ok(None),
            name => match values.get(name) {
                Some(value) => Ok(Some(value.clone())),
                None => Err(Error::new(
                    &context,
                    format_args!("reads `{name}`, which no node before it writes"),
                )
                .remedy("check the model with `onnx.checker`; nodes must be in order")),
            },
        });
        let inputs: Vec<Option<Value>> = inputs.collect::<Result<_>>()?;
        let value = builder.node(node, index, &inputs, folder).map_err(|e| e.within(&context))?;
        if let Some(output) = node.output.first() {
            values.insert(output, value);
        }
    }
    match values.get(output_name) {
        Some(value) => builder.finish(value),
        None => Err(Error::new(format_args!("output `{output_name}`"), "is written by no node")),
    }
}

fn name_of(value: &ValueInfoProto) -> &str {
    value.name.as_deref().unwrap_or("")
}

fn only<'a>(
    values: impl Iterator<Item = &'a ValueInfoProto>,
    what: &str,
) -> Result<&'a ValueInfoProto> {
    let values: Vec<_> = values.collect();
    match values[..] {
        [value] => Ok(value),
        _ => {
            let names: Vec<_> = values.iter().map(|value| name_of(value)).collect();
            let problem =
                format!("has {} {what} ({}), one is allowed", values.len(), names.join(", "));
            Err(Error::new("model", problem)
                .remedy("cut the part of one input and one output with `onnx.utils.extract_model`"))
        }
    }
}

/// The nodes that the output depends on, in the order of the file.
fn needed(graph: &GraphProto, output: &str) -> Result<Vec<usize>> {
    let mut writers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        for (place, name) in node.output.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            if writers.insert(name, index).is_some() {
                return Err(Error::new(format_args!("tensor `{name}`"), "is written twice"));
            }
            let read = |other: &NodeProto| other.input.contains(name);
            if place > 0 && (name == output || graph.node.iter().any(read)) {
                return Err(Error::new(
                    Graph::context(node, index),
                    format_args!(
                        "output `{name}`, its {}, is used; only first ones are",
                        place + 1
                    ),
                ));
            }
        }
    }
    let mut needed = BTreeSet::new();
    let mut open = vec![output];
    while let Some(name) = open.pop() {
        if let Some(&index) = writers.get(name)
            && needed.insert(index)
        {
            open.extend(graph.node[index].input.iter().map(String::as_str));
        }
    }
    Ok(needed.into_iter().collect())
}
