//! Folding batch normalizations into the layers before them.

use ndarray::{ArrayD, Axis};

use super::{Network, Node, NodeId, Op, Parameters, check_parameters, parameter_name};
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

/// Splits every batch normalization into four, each a batch normalization itself: `centre` with the
/// mean alone, `scale` with 1 / √(variance + epsilon), `gamma` with the factor, and one with the
/// offset, which keeps the name, so that its readers and rules find it.
///
/// # Errors
///
/// If the parameters are not those of the network.
pub fn split_batch_norm(
    network: &Network,
    parameters: &Parameters,
) -> Result<(Network, Parameters)> {
    check_parameters(network, parameters)?;
    let mut split = Network { name: network.name.clone(), nodes: Vec::new() };
    let mut result = parameters.clone();
    let mut place: Vec<NodeId> = Vec::with_capacity(network.nodes.len());
    for node in &network.nodes {
        let mut node = node.clone();
        node.inputs.iter_mut().for_each(|input| *input = place[*input]);
        if let Op::BatchNorm { epsilon } = node.op {
            let mut take = |name: &str| {
                let values = result.remove(&parameter_name(&node.name, name)).expect("checked");
                values.into_iter().collect::<Vec<f32>>()
            };
            let (gamma, beta) = (take("weight"), take("bias"));
            let (mean, variance) = (take("running_mean"), take("running_var"));
            let deviation = |v: &f32| (f64::from(*v) + f64::from(epsilon)).sqrt();
            let inverse = variance.iter().map(|v| (1.0 / deviation(v)) as f32).collect();
            let (zeros, ones) = (vec![0.0; mean.len()], vec![1.0; mean.len()]);
            let negated = mean.iter().map(|mean| -mean).collect();
            let steps: [(&str, Vec<f32>, Vec<f32>); 4] = [
                (".centre", ones.clone(), negated),
                (".scale", inverse, zeros.clone()),
                (".gamma", gamma, zeros.clone()),
                ("", ones.clone(), beta),
            ];
            for (suffix, weight, bias) in steps {
                let name = format!("{}{suffix}", node.name);
                let own = [
                    ("weight", weight),
                    ("bias", bias),
                    ("running_mean", zeros.clone()),
                    ("running_var", ones.clone()),
                ];
                for (parameter, values) in own {
                    let values = ndarray::Array1::from_vec(values).into_dyn();
                    result.insert(parameter_name(&name, parameter), values);
                }
                let op = Op::BatchNorm { epsilon: f32::MIN_POSITIVE };
                split.nodes.push(Node { name, op, inputs: node.inputs.clone(), shape: node.shape });
                node.inputs = vec![split.nodes.len() - 1];
            }
        } else {
            split.nodes.push(node);
        }
        place.push(split.nodes.len() - 1);
    }
    Ok((split, result))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array4, arr1, arr2};

    use super::*;
    use crate::network::{Activation, Builder, float};
    use crate::tensor::{Shape, Window};

    fn one(value: f32) -> ArrayD<f32> {
        arr1(&[value]).into_dyn()
    }

    fn with_norm(parameters: &mut Parameters, name: &str, values: [f32; 4]) {
        for (parameter, value) in
            ["weight", "bias", "running_mean", "running_var"].into_iter().zip(values)
        {
            parameters.insert(parameter_name(name, parameter), one(value));
        }
    }

    #[test]
    fn a_dense_layer_takes_both_norms_after_it() {
        let mut builder = Builder::new("net");
        let input = builder.input("input", Shape::vector(2)).unwrap();
        let dense = builder.dense("fc", input, 1, false).unwrap();
        let first = builder.batch_norm("first", dense, 0.75).unwrap();
        let second = builder.batch_norm("second", first, 1.0).unwrap();
        builder.activation("relu", second, Activation::Relu).unwrap();
        let network = builder.finish().unwrap();
        let mut parameters = Parameters::new();
        parameters.insert("fc.weight".into(), arr2(&[[1.0, -2.0]]).into_dyn());
        with_norm(&mut parameters, "first", [3.0, 0.5, 2.0, 0.25]);
        with_norm(&mut parameters, "second", [4.0, -1.0, 1.5, 3.0]);

        let (folded, parameters) = fold_batch_norm(&network, &parameters).unwrap();
        let names: Vec<_> = folded.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["input", "fc", "relu"]);
        assert_eq!(folded.nodes[1].op, Op::Dense { bias: true });
        assert_eq!(folded.nodes[2].inputs, [1]);
        // First: 3 / √(0.25 + 0.75) = 3, so weights 3 and −6, bias (0 − 2) · 3 + 0.5 = −5.5.
        // Second: 4 / √(3 + 1) = 2, so weights 6 and −12, bias (−5.5 − 1.5) · 2 − 1 = −15.
        assert_eq!(parameters.len(), 2);
        assert_eq!(parameters["fc.weight"], arr2(&[[6.0, -12.0]]).into_dyn());
        assert_eq!(parameters["fc.bias"], one(-15.0));
    }

    #[test]
    fn a_norm_is_kept_where_others_read_the_layer_or_none_is_before_it() {
        let mut builder = Builder::new("net");
        let input = builder.input("input", Shape::new(1, 2, 2)).unwrap();
        let early = builder.batch_norm("early", input, 1.0).unwrap();
        let conv = builder.conv("conv", early, 1, Window::POINT, 1, true).unwrap();
        let norm = builder.batch_norm("norm", conv, 1.0).unwrap();
        builder.add("sum", &[conv, norm]).unwrap();
        let network = builder.finish().unwrap();
        let mut parameters = Parameters::new();
        parameters.insert("conv.weight".into(), ArrayD::ones(vec![1, 1, 1, 1]));
        parameters.insert("conv.bias".into(), one(2.0));
        with_norm(&mut parameters, "early", [1.0, 0.0, 0.0, 1.0]);
        with_norm(&mut parameters, "norm", [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(fold_batch_norm(&network, &parameters).unwrap(), (network, parameters));
    }

    #[test]
    fn folding_keeps_the_function() {
        let mut builder = Builder::new("net");
        let window = Window { kernel: [2, 2], ..Window::POINT };
        let input = builder.input("input", Shape::new(2, 4, 4)).unwrap();
        let conv = builder.conv("conv", input, 4, window, 2, true).unwrap();
        builder.batch_norm("norm", conv, 1e-3).unwrap();
        let network = builder.finish().unwrap();
        let wave = |i: usize| (i as f32 * 0.7).sin() + 1.1;
        let parameters: Parameters = network
            .parameter_shapes()
            .into_iter()
            .map(|(name, shape)| {
                let count = shape.iter().product();
                (name, ArrayD::from_shape_vec(shape, (0..count).map(wave).collect()).unwrap())
            })
            .collect();
        let input = Array4::from_shape_fn((2, 2, 4, 4), |(n, c, y, x)| wave(n + 3 * c + y * x));
        let expected = float::infer(&network, &parameters, input.view()).unwrap();
        let (folded, parameters) = fold_batch_norm(&network, &parameters).unwrap();
        let found = float::infer(&folded, &parameters, input.view()).unwrap();
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0));
        }
    }

    /// (x − 2) / √(0.25 + 0.75) · 3 + 0.5 in four steps, the last of which has the name.
    #[test]
    fn a_norm_splits_into_its_steps() {
        let mut builder = Builder::new("net");
        let input = builder.input("input", Shape::vector(1)).unwrap();
        let norm = builder.batch_norm("norm", input, 0.75).unwrap();
        builder.activation("relu", norm, Activation::Relu).unwrap();
        let network = builder.finish().unwrap();
        let mut parameters = Parameters::new();
        with_norm(&mut parameters, "norm", [3.0, 0.5, 2.0, 0.25]);
        let (split, parameters) = split_batch_norm(&network, &parameters).unwrap();
        let names: Vec<_> = split.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["input", "norm.centre", "norm.scale", "norm.gamma", "norm", "relu"]);
        let input = Array4::from_elem((1, 1, 1, 1), 5.0);
        let steps: Vec<f32> = float::forward(&split, &parameters, input.view())
            .unwrap()
            .iter()
            .map(|output| output[[0, 0, 0, 0]])
            .collect();
        assert_eq!(steps, [5.0, 3.0, 3.0, 9.0, 9.5, 9.5]);
    }
}
