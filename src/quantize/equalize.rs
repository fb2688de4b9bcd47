//! Cross-layer equalization: channels of a layer and of the next brought to one range of weights.
//!
//! After M. Nagel et al., "Data-free quantization through weight equalization and bias correction",
//! ICCV 2019, section 4.1: ReLU scales with its argument, so channel i of a layer may be divided by
//! sᵢ = √(r¹ᵢ · r²ᵢ) / r²ᵢ and channel i of the next layer's weights multiplied by it, with r the
//! largest magnitudes of the two layers' weights of that channel.

use crate::network::{Activation, Network, NodeId, Op, Parameters, parameter_name};

/// Sweeps over all pairs; the scales converge in a few.
const SWEEPS: usize = 10;

/// Equalizes the weights of every pair of layers that follow each other with nothing or a ReLU
/// between them and no other reader. The float network computes the same but for rounding.
pub(super) fn equalize(network: &Network, parameters: &mut Parameters) {
    let pairs = pairs(network);
    for _ in 0..SWEEPS {
        for &(first, second) in &pairs {
            equalize_pair(network, parameters, first, second);
        }
    }
}

/// Layers that follow each other.
fn pairs(network: &Network) -> Vec<(NodeId, NodeId)> {
    let nodes = &network.nodes;
    let mut readers = vec![0; nodes.len()];
    nodes.iter().flat_map(|node| &node.inputs).for_each(|&input| readers[input] += 1);
    let is_layer = |id: NodeId| matches!(nodes[id].op, Op::Conv { .. } | Op::Dense { .. });
    let before = |id: NodeId| {
        let input = *nodes[id].inputs.first()?;
        if readers[input] != 1 {
            return None;
        }
        match nodes[input].op {
            Op::Activation(Activation::Relu) => {
                let layer = *nodes[input].inputs.first()?;
                (readers[layer] == 1).then_some(layer)
            }
            _ => Some(input),
        }
    };
    let layers = (0..nodes.len()).filter(|&id| is_layer(id));
    layers.filter_map(|id| Some((before(id).filter(|&first| is_layer(first))?, id))).collect()
}

fn equalize_pair(network: &Network, parameters: &mut Parameters, first: NodeId, second: NodeId) {
    let name = |id: NodeId, parameter| parameter_name(&network.nodes[id].name, parameter);
    let (Some(geometry), Some(weights)) =
        (network.geometry(second), parameters.get(&name(second, "weight")))
    else {
        return;
    };
    let (channels, taps) = (network.nodes[first].shape.channels, geometry.window.taps());
    let [inputs, outputs] = [geometry.group_inputs(), geometry.group_outputs()];
    // The weights of the second layer by which its input channel is multiplied.
    let reads = move |channel: usize| {
        let (group, within) = (channel / inputs, channel % inputs);
        (group * outputs..(group + 1) * outputs).flat_map(move |output| {
            (output * inputs + within) * taps..(output * inputs + within + 1) * taps
        })
    };
    let largest =
        |values: &mut dyn Iterator<Item = f32>| values.fold(0.0f32, |m, v| m.max(v.abs()));
    let second_weights: Vec<f32> = weights.iter().copied().collect();
    let Some(own) = parameters.get(&name(first, "weight")) else { return };
    let ranges = own.outer_iter().map(|channel| largest(&mut channel.iter().copied()));
    let scales: Vec<f32> = ranges
        .enumerate()
        .map(|(channel, r1)| {
            let r2 = largest(&mut reads(channel).map(|at| second_weights[at]));
            let scale = (r1 * r2).sqrt() / r2;
            if scale.is_normal() { scale } else { 1.0 }
        })
        .collect();
    debug_assert_eq!(scales.len(), channels);
    if let Some(own) = parameters.get_mut(&name(first, "weight")) {
        for (mut channel, scale) in own.outer_iter_mut().zip(&scales) {
            channel.mapv_inplace(|weight| weight / scale);
        }
    }
    if let Some(bias) = parameters.get_mut(&name(first, "bias")) {
        bias.iter_mut().zip(&scales).for_each(|(bias, scale)| *bias /= scale);
    }
    if let Some(weights) = parameters.get_mut(&name(second, "weight"))
        && let Some(weights) = weights.as_slice_mut()
    {
        for (channel, scale) in scales.iter().enumerate() {
            reads(channel).for_each(|at| weights[at] *= scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array4, ArrayD, Dimension, IxDyn};

    use super::*;
    use crate::network::{Builder, float};
    use crate::tensor::{Shape, Window};

    /// A convolution, ReLU, a depthwise convolution, a dense layer: the function stays, and the
    /// ranges of each pair become alike.
    #[test]
    fn equalizing_keeps_the_function() {
        let mut builder = Builder::new("net");
        let window = Window { kernel: [2, 2], ..Window::POINT };
        let input = builder.input("input", Shape::new(2, 3, 3)).unwrap();
        let first = builder.conv("first", input, 4, window, 1, true).unwrap();
        let relu = builder.activation("relu", first, Activation::Relu).unwrap();
        builder.conv("second", relu, 4, window, 4, true).unwrap();
        let network = builder.finish().unwrap();
        let mut parameters: Parameters = (network.parameter_shapes().into_iter())
            .map(|(name, shape)| {
                let value = |at: &IxDyn| {
                    let place: usize = (0..at.ndim()).map(|axis| (axis + 3) * at[axis]).sum();
                    (place as f32 * 1.7 + name.len() as f32).sin() * 4f32.powi(at[0] as i32)
                };
                let values = ArrayD::from_shape_fn(IxDyn(&shape), |at| value(&at));
                (name, values)
            })
            .collect();
        let image = Array4::from_shape_fn((1, 2, 3, 3), |(_, c, y, x)| (c + y * x) as f32 - 1.5);
        let before = float::infer(&network, &parameters, image.view()).unwrap();
        equalize(&network, &mut parameters);
        let after = float::infer(&network, &parameters, image.view()).unwrap();
        for (after, before) in after.iter().zip(&before) {
            assert!((after - before).abs() < 1e-4 * before.abs().max(1.0), "{after} {before}");
        }
        let range = |name: &str, channel: usize| {
            let weights = &parameters[name];
            let channel = weights.index_axis(ndarray::Axis(0), channel);
            channel.iter().fold(0.0f32, |max, w| max.max(w.abs()))
        };
        for channel in 0..4 {
            let ratio = range("first.weight", channel) / range("second.weight", channel);
            assert!((ratio - 1.0).abs() < 1e-3, "{ratio}");
        }
    }
}
