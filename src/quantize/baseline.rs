//! The float network that the integer layers stand for.

use std::collections::BTreeMap;

use super::sites::Fusion;
use super::{Layer, Operation};
use crate::network::{Activation, Encoding, Network, Node, NodeId, Op, Parameters};

/// A float network as it was lowered, its batch normalizations folded as the plan says, and which
/// of its nodes each integer layer stands for.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// The graph.
    pub network: Network,
    /// Its parameters.
    pub parameters: Parameters,
    layers: Vec<Option<usize>>,
}

impl Baseline {
    /// The baseline of `layers`, lowered from `network` with activation functions fused by
    /// `fusion`.
    pub(super) fn new(
        network: Network,
        parameters: Parameters,
        layers: &[Layer],
        fusion: &Fusion,
    ) -> Self {
        let mut by_node = vec![None; network.nodes.len()];
        for (id, node) in network.nodes.iter().enumerate() {
            let of = |layer: &Layer| {
                let words = !matches!(layer.operation, Operation::Host { quantized: false, .. });
                layer.name == node.name && words
            };
            if let Some(layer) = layers.iter().position(of) {
                by_node[fusion.last(id)] = Some(layer);
            }
        }
        Self { network, parameters, layers: by_node }
    }

    /// The same network with every quantized value clipped to the range of its words, as the words
    /// are: saturation is how files of quantized networks state their activation functions.
    pub(super) fn saturated(self, encodings: &BTreeMap<NodeId, Encoding>) -> Self {
        let Self { network, parameters, layers: by_node } = self;
        let (mut nodes, mut layers) = (Vec::new(), Vec::new());
        let mut place: Vec<NodeId> = Vec::new();
        for (id, node) in network.nodes.iter().enumerate() {
            let inputs = node.inputs.iter().map(|&input| place[input]).collect();
            let (shape, own) = (node.shape, nodes.len());
            nodes.push(Node { inputs, ..node.clone() });
            let clips = matches!(
                node.op,
                Op::Input
                    | Op::Conv { .. }
                    | Op::Dense { .. }
                    | Op::BatchNorm { .. }
                    | Op::Activation(_)
                    | Op::Add
                    | Op::Mul
            );
            match encodings.get(&id).filter(|_| clips) {
                Some(encoding) => {
                    let name = format!("{}: saturated", node.name);
                    let op = Op::Activation(range(encoding));
                    nodes.push(Node { name, op, inputs: vec![own], shape });
                    layers.extend([None, by_node[id]]);
                }
                None => layers.push(by_node[id]),
            }
            place.push(nodes.len() - 1);
        }
        Self { network: Network { nodes, ..network }, parameters, layers }
    }

    /// The integer layer whose words stand for the output of node `id`; `None` where an activation
    /// function that follows is executed with the layer, or the host computes the node.
    pub fn layer(&self, id: NodeId) -> Option<usize> {
        self.layers[id]
    }
}

/// The identity clipped to the values that words stand for.
fn range(encoding: &Encoding) -> Activation {
    let end = |word: i128| (word as i64 - encoding.zero_point(0)) as f32 * encoding.scale(0);
    Activation::Clip { low: end(encoding.format.min()), high: end(encoding.format.max()) }
}
