//! Which parameters a network has: their names, shapes and number.

use std::fmt;

use super::{Network, NodeId, Op, Parameters};
use crate::error::{Error, Result};

/// The name of a node's parameter, as in a PyTorch state dict: `node.parameter`.
pub fn parameter_name(node: &str, parameter: &str) -> String {
    format!("{node}.{parameter}")
}

impl Network {
    /// Names and shapes of all parameters in topological order, running statistics included.
    pub fn parameter_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let mut shapes = Vec::new();
        for (id, node) in self.nodes.iter().enumerate() {
            let mut add = |name, shape| shapes.push((parameter_name(&node.name, name), shape));
            let outputs = node.shape.channels;
            match (&node.op, self.geometry(id)) {
                (Op::Conv { window, bias, .. }, Some(geometry)) => {
                    let [rows, columns] = window.kernel;
                    add("weight", vec![outputs, geometry.group_inputs(), rows, columns]);
                    if *bias {
                        add("bias", vec![outputs]);
                    }
                }
                (Op::Dense { bias }, Some(geometry)) => {
                    add("weight", vec![outputs, geometry.reduction()]);
                    if *bias {
                        add("bias", vec![outputs]);
                    }
                }
                (Op::BatchNorm { .. }, _) => {
                    for name in ["weight", "bias", "running_mean", "running_var"] {
                        add(name, vec![outputs]);
                    }
                }
                (Op::Constant, _) => {
                    let shape = node.shape;
                    add("value", vec![shape.channels, shape.height, shape.width]);
                }
                _ => {}
            }
        }
        shapes
    }

    /// Number of trained parameters: weights and biases, not running statistics.
    pub fn parameter_count(&self) -> u64 {
        let trained =
            |name: &str| !name.ends_with(".running_mean") && !name.ends_with(".running_var");
        self.parameter_shapes()
            .iter()
            .filter(|(name, _)| trained(name))
            .map(|(_, shape)| shape.iter().map(|&size| size as u64).product::<u64>())
            .sum()
    }

    /// Multiply-accumulates of one image in its convolutions and dense layers. Batch
    /// normalizations, most of which fold into them, do not count, as is usual.
    pub fn macs(&self) -> u64 {
        let counts = |id: &NodeId| matches!(self.nodes[*id].op, Op::Conv { .. } | Op::Dense { .. });
        let ids = (0..self.nodes.len()).filter(counts);
        ids.filter_map(|id| self.geometry(id)).map(|geometry| geometry.macs()).sum()
    }
}

/// Checks that `parameters` are exactly those of `network`, by name and shape.
///
/// # Errors
///
/// Names the first parameter that is missing, has another shape, or belongs to no node.
pub fn check_parameters(network: &Network, parameters: &Parameters) -> Result<()> {
    let expected = network.parameter_shapes();
    for (name, shape) in &expected {
        let Some(found) = parameters.get(name) else {
            return Err(mismatch(network, name, "is missing"));
        };
        if found.shape() != shape {
            let problem =
                format_args!("has shape {:?}, expected {shape:?}", found.shape()).to_string();
            return Err(mismatch(network, name, problem));
        }
    }
    if parameters.len() > expected.len() {
        let names: std::collections::BTreeSet<_> = expected.iter().map(|(name, _)| name).collect();
        if let Some(surplus) = parameters.keys().find(|name| !names.contains(name)) {
            return Err(mismatch(network, surplus, "belongs to no layer of the network"));
        }
    }
    Ok(())
}

fn mismatch(network: &Network, tensor: &str, problem: impl fmt::Display) -> Error {
    Error::new(format_args!("tensor `{tensor}`"), problem).remedy(format_args!(
        "use weights made for network `{}`; `bittrue show` prints its layers and shapes",
        network.name
    ))
}
