//! Reads topologies: a network's layers in TOML. `docs/topology.md` describes the format.
//!
//! Parses the text, orders the layers, and hands them to [`Builder`], which checks shapes; errors
//! point at the line.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::fmt;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;

use super::{Builder, Network, NodeId};
use crate::error::{Error, Result};
use crate::files;
use crate::tensor::Shape;

mod expand;
mod formula;
mod layer;
mod value;
mod written;

use expand::{Node, expand};
use value::Keys;
use written::{Block, BlockText, Layer};

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
    #[serde(default, rename = "block")]
    blocks: Vec<BlockText>,
    #[serde(default, rename = "layer")]
    layers: Vec<Spanned<Keys>>,
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
/// If the text is not TOML of the format, names an unknown key, block or layer, has a cycle,
/// expands to too many layers, or describes layers that do not fit each other.
pub fn parse(name: &str, text: &str) -> Result<Topology> {
    let file: File = files::parse_toml(name, text)?;
    let source = Source { name, text };
    let blocks = file.blocks.into_iter().map(|block| Block::read(block, source));
    let blocks: Vec<_> = blocks.collect::<Result<_>>()?;
    let layers = file.layers.into_iter().map(|layer| Layer::read(layer, source));
    let layers: Vec<_> = layers.collect::<Result<_>>()?;
    for layer in &layers {
        layer.check_references(&BTreeMap::new(), source)?;
    }
    let nodes = expand(&layers, &blocks, source)?;

    let mut builder = Builder::new(file.name);
    let [channels, height, width] = *file.input.get_ref();
    let input = builder
        .input(INPUT, Shape::new(channels, height, width))
        .map_err(|e| source.at(e, file.input.span()))?;
    let mut ids: Vec<Option<NodeId>> = vec![None; nodes.len()];
    for index in order(&nodes)? {
        let Node { instance, inputs } = &nodes[index];
        let read: Option<Vec<NodeId>> =
            inputs.iter().map(|i| i.map_or(Some(input), |i| ids[i])).collect();
        let read = read.expect("a layer comes after its inputs");
        ids[index] = Some(layer::build(instance, &mut builder, &read)?);
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
        subject: impl fmt::Display,
        span: Range<usize>,
        problem: impl fmt::Display,
        remedy: impl fmt::Display,
    ) -> Error {
        self.at(Error::new(subject, problem).remedy(remedy), span)
    }
}

/// A topological order of the nodes that keeps the file's order where it can.
fn order(nodes: &[Node]) -> Result<Vec<usize>> {
    let mut readers = vec![Vec::new(); nodes.len()];
    let mut missing = vec![0usize; nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        for &input in node.inputs.iter().flatten() {
            readers[input].push(index);
            missing[index] += 1;
        }
    }
    let mut ready: BinaryHeap<_> =
        (0..nodes.len()).filter(|&index| missing[index] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(nodes.len());
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
        Some(stuck) => Err(cycle(nodes, &missing, stuck)),
    }
}

/// The error that names the cycle reached from `stuck` by walking from layer to input, among the
/// layers that still miss one.
fn cycle(nodes: &[Node], missing: &[usize], stuck: usize) -> Error {
    let mut path = vec![stuck];
    let mut place: HashMap<usize, usize> = HashMap::from([(stuck, 0)]);
    let start = loop {
        let last = *path.last().expect("starts with one layer");
        let waits_for = nodes[last].inputs.iter().flatten().find(|&&input| missing[input] > 0);
        let next = *waits_for.expect("a layer that misses an input waits for a stuck layer");
        if let Some(&start) = place.get(&next) {
            break start;
        }
        place.insert(next, path.len());
        path.push(next);
    };
    let cycle = [path[start]].into_iter().chain(path[start..].iter().rev().copied());
    let names: Vec<_> = cycle.map(|i| format!("`{}`", nodes[i].instance.name())).collect();
    let instance = &nodes[path[start]].instance;
    let problem = format_args!("is in a cycle: {}", names.join(" → ")).to_string();
    instance.error(instance.span(), problem, "let no layer read its own result")
}

#[cfg(test)]
mod tests;
