//! Folding batch normalizations into the layers before them.

use ndarray::{ArrayD, Axis};

use super::{Network, NodeId, Op, Parameters, check_parameters, parameter_name};
use crate::error::Result;

/// Folds every batch normalization that is the only reader of a convolution or dense layer into
/// that layer's weight and bias, output channel by output channel:
/// `weight' = weight · s`, `bias' = (bias − mean) · s + beta`, `s = gamma / √(variance + epsilon)`,
/// in float64, rounded once. Its readers then read that layer. Others are kept.
///
/// # Errors
///
/// If the parameters are not those of the network.
pub fn fold_batch_norm(
    network: &Network,
    parameters: &Parameters,
) -> Result<(Network, Parameters)> {
    check_parameters(network, parameters)?;
    let mut result = parameters.clone();
    let folded = fold(network, |layer, norm, epsilon| fold_into(layer, norm, epsilon, &mut result));
    Ok((folded, result))
}

/// The network that [`fold_batch_norm`] gives, of a network without parameters.
pub fn fold_batch_norm_nodes(network: &Network) -> Network {
    fold(network, |_, _, _| ())
}

/// Takes out the batch normalizations that can be folded; `folded_into` is told the layer, the batch
/// normalization and its epsilon.
fn fold(network: &Network, mut folded_into: impl FnMut(&str, &str, f32)) -> Network {
    let mut readers = vec![0usize; network.nodes.len()];
    for &input in network.nodes.iter().flat_map(|node| &node.inputs) {
        readers[input] += 1;
    }
    let mut folded = Network { name: network.name.clone(), nodes: Vec::new() };
    let mut renumbered: Vec<NodeId> = Vec::with_capacity(network.nodes.len());
    for node in &network.nodes {
        if let (Op::BatchNorm { epsilon }, &[input]) = (&node.op, &node.inputs[..])
            && readers[input] == 1
            && let producer = &mut folded.nodes[renumbered[input]]
            && let Op::Conv { bias, .. } | Op::Dense { bias } = &mut producer.op
        {
            *bias = true;
            folded_into(&producer.name, &node.name, *epsilon);
            renumbered.push(renumbered[input]);
            continue;
        }
        let mut node = node.clone();
        node.inputs.iter_mut().for_each(|input| *input = renumbered[*input]);
        renumbered.push(folded.nodes.len());
        folded.nodes.push(node);
    }
    folded
}

/// Replaces the parameters of a layer and of the batch normalization after it by those of both.
fn fold_into(layer: &str, norm: &str, epsilon: f32, parameters: &mut Parameters) {
    let [gamma, beta, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
        .map(|name| parameters.remove(&parameter_name(norm, name)).expect("checked"));
    let scale: Vec<f64> = gamma
        .iter()
        .zip(&variance)
        .map(|(&gamma, &variance)| {
            f64::from(gamma) / (f64::from(variance) + f64::from(epsilon)).sqrt()
        })
        .collect();
    let weight = parameters.get_mut(&parameter_name(layer, "weight")).expect("checked");
    for (mut weight, scale) in weight.axis_iter_mut(Axis(0)).zip(&scale) {
        weight.mapv_inplace(|w| (f64::from(w) * scale) as f32);
    }
    let bias = parameters
        .entry(parameter_name(layer, "bias"))
        .or_insert_with(|| ArrayD::zeros(beta.raw_dim()));
    for (channel, bias) in bias.iter_mut().enumerate() {
        let centred = f64::from(*bias) - f64::from(mean[channel]);
        *bias = (centred * scale[channel] + f64::from(beta[channel])) as f32;
    }
}
