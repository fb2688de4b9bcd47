//! Reads topologies: a network's layers in TOML. `docs/topology.md` describes the format.
//!
//! Parses the text, orders the layers, and hands them to [`Builder`], which checks shapes; errors
//! point at the line.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fmt;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;

use super::{Builder, Network, NodeId};
use crate::error::{Error, Result};
use crate::files;
use crate::tensor::Shape;

mod layer;

use layer::Layer;

/// The name of the network input, which the first layer reads unless it states its inputs.
const INPUT: &str = "input";

/// What a topology file says.
#[derive(Clone, PartialEq, Debug)]
pub struct Topology {
    /// The network.
    pub network: Network,
    /// File of the trained weights, as written: relative to the topology file.
    pub weights: Option<String>,
    /// Name or path of the data set that the network is made for.
    pub dataset: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    input: Spanned<[usize; 3]>,
    weights: Option<String>,
    dataset: Option<String>,
    #[serde(default, rename = "layer")]
    layers: Vec<Layer>,
}

/// Reads a topology file.
///
/// # Errors
///
/// If the file cannot be read or is refused by [`parse`].
pub fn read(path: &Path) -> Result<Topology> {
    parse(&path.display().to_string(), &files::read_text(path)?)
}

/// Parses the text of the topology file `name`.
///
/// # Errors
///
/// If the text is not TOML of the format, names an unknown key or layer, has a cycle, or describes
/// layers that do not fit each other.
pub fn parse(name: &str, text: &str) -> Result<Topology> {
    let file: File = files::parse_toml(name, text)?;
    let source = Source { name, text };
    let inputs = resolve_inputs(&file.layers, source)?;
    let mut builder = Builder::new(file.name);
    let [channels, height, width] = *file.input.get_ref();
    let input = builder
        .input(INPUT, Shape::new(channels, height, width))
        .map_err(|e| source.at(e, file.input.span()))?;
    let mut ids: Vec<Option<NodeId>> = vec![None; file.layers.len()];
    for index in order(&file.layers, &inputs, source)? {
        let layer = &file.layers[index];
        let read: Option<Vec<NodeId>> =
            inputs[index].iter().map(|i| i.map_or(Some(input), |i| ids[i])).collect();
        let read = read.expect("a layer comes after its inputs");
        let id = layer
            .build(&mut builder, &read, source)
            .map_err(|e| source.at(e, layer.name.span()))?;
        ids[index] = Some(id);
    }
    let network = builder.finish().map_err(|e| source.at(e, 0..0))?;
    Ok(Topology { network, weights: file.weights, dataset: file.dataset })
}

/// The text that errors point into.
#[derive(Clone, Copy)]
struct Source<'a> {
    name: &'a str,
    text: &'a str,
}

impl Source<'_> {
    /// Points an error at a span unless it already points at one.
    fn at(self, error: Error, span: Range<usize>) -> Error {
        if error.has_span() { error } else { error.at(self.name, self.text, span) }
    }

    fn error(
        self,
        layer: &Layer,
        span: Range<usize>,
        problem: impl fmt::Display,
        remedy: impl fmt::Display,
    ) -> Error {
        let subject = format_args!("layer `{}`", layer.name.get_ref()).to_string();
        self.at(Error::new(subject, problem).remedy(remedy), span)
    }
}

/// By layer the indices of the layers that it reads, `None` for the network input: those it
/// lists, else the layer before it.
fn resolve_inputs(layers: &[Layer], source: Source) -> Result<Vec<Vec<Option<usize>>>> {
    let mut names: HashMap<&str, Option<usize>> = HashMap::from([(INPUT, None)]);
    for (index, layer) in layers.iter().enumerate() {
        if names.insert(layer.name.get_ref(), Some(index)).is_some() {
            let problem = "has the name of another layer or of the network input";
            let remedy = "give every layer its own name";
            return Err(source.error(layer, layer.name.span(), problem, remedy));
        }
    }
    let resolve = |(index, layer): (usize, &Layer)| match &layer.inputs {
        None => Ok(vec![index.checked_sub(1)]),
        Some(listed) => listed
            .iter()
            .map(|input| {
                names.get(input.get_ref().as_str()).copied().ok_or_else(|| {
                    let problem = format_args!("reads `{}`, which is no layer", input.get_ref());
                    let remedy = "name a layer of the file, or `input`";
                    source.error(layer, input.span(), problem.to_string(), remedy)
                })
            })
            .collect(),
    };
    layers.iter().enumerate().map(resolve).collect()
}

/// A topological order of the layers that keeps the file's order where it can.
fn order(layers: &[Layer], inputs: &[Vec<Option<usize>>], source: Source) -> Result<Vec<usize>> {
    let mut readers = vec![Vec::new(); layers.len()];
    let mut missing = vec![0usize; layers.len()];
    for (index, inputs) in inputs.iter().enumerate() {
        for &input in inputs.iter().flatten() {
            readers[input].push(index);
            missing[index] += 1;
        }
    }
    let mut ready: BinaryHeap<_> =
        (0..layers.len()).filter(|&index| missing[index] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(layers.len());
    while let Some(Reverse(index)) = ready.pop() {
        order.push(index);
        for &reader in &readers[index] {
            missing[reader] -= 1;
            if missing[reader] == 0 {
                ready.push(Reverse(reader));
            }
        }
    }
    match missing.iter().position(|&missing| missing > 0) {
        None => Ok(order),
        Some(stuck) => Err(cycle(layers, inputs, &missing, stuck, source)),
    }
}

/// The error that names the cycle reached from `stuck` by walking from layer to input, among the
/// layers that still miss one.
fn cycle(
    layers: &[Layer],
    inputs: &[Vec<Option<usize>>],
    missing: &[usize],
    stuck: usize,
    source: Source,
) -> Error {
    let mut path = vec![stuck];
    let mut place: HashMap<usize, usize> = HashMap::from([(stuck, 0)]);
    let start = loop {
        let last = *path.last().expect("starts with one layer");
        let waits_for = inputs[last].iter().flatten().find(|&&input| missing[input] > 0);
        let next = *waits_for.expect("a layer that misses an input waits for a stuck layer");
        if let Some(&start) = place.get(&next) {
            break start;
        }
        place.insert(next, path.len());
        path.push(next);
    };
    let cycle = [path[start]].into_iter().chain(path[start..].iter().rev().copied());
    let names: Vec<_> = cycle.map(|i| format!("`{}`", layers[i].name.get_ref())).collect();
    let layer = &layers[path[start]];
    let problem = format_args!("is in a cycle: {}", names.join(" → ")).to_string();
    source.error(layer, layer.name.span(), problem, "let no layer read its own result")
}

#[cfg(test)]
mod tests;
