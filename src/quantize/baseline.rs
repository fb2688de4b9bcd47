//! The float network that the integer layers stand for.

use super::sites::Fusion;
use super::{Layer, Operation};
use crate::network::{Network, NodeId, Parameters};

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

    /// The integer layer whose words stand for the output of node `id`; `None` where an activation
    /// function that follows is executed with the layer, or the host computes the node.
    pub fn layer(&self, id: NodeId) -> Option<usize> {
        self.layers[id]
    }
}
