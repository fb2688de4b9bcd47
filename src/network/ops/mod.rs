//! The float meaning of each operator, its backward pass beside its forward one, a file each.
//!
//! Feature maps are batches [images, channels, height, width]. Everything here runs on one thread;
//! callers split a batch by images. `forward` fills its output; `backward` *adds* to the gradient
//! of an input, so that a map with several readers gathers all of them.

use ndarray::{Array4, ArrayD, ArrayView4, ArrayViewMut4};

use super::{Network, NodeId, Op, Parameters, parameter_name};

pub mod activation;
pub mod add;
pub mod batch_norm;
pub mod concat;
pub mod conv;
pub mod dense;
pub mod flatten;
pub mod lrn;
pub mod mul;
pub mod pad;
pub mod pool;
pub mod softmax;
mod sweep;
#[cfg(test)]
mod tests;

/// A borrowed batch of feature maps [images, channels, height, width].
pub type Maps<'a> = ArrayView4<'a, f32>;
/// A batch of feature maps to be written.
pub type MapsMut<'a> = ArrayViewMut4<'a, f32>;

/// The parameters of one node.
struct NodeParameters<'a> {
    node: &'a str,
    parameters: &'a Parameters,
}

impl NodeParameters<'_> {
    fn get(&self, parameter: &str) -> &ArrayD<f32> {
        self.find(parameter).expect("parameters were checked against the network")
    }

    fn find(&self, parameter: &str) -> Option<&ArrayD<f32>> {
        self.parameters.get(&parameter_name(self.node, parameter))
    }

    fn batch_norm(&self, epsilon: f32) -> batch_norm::Statistics<'_> {
        batch_norm::Statistics {
            weight: self.get("weight"),
            bias: self.get("bias"),
            mean: self.get("running_mean"),
            variance: self.get("running_var"),
            epsilon,
        }
    }
}

/// Computes a node other than an input over a batch. `parameters` hold those of the node, of the
/// shapes that `network` gives them.
pub fn forward(
    network: &Network,
    id: NodeId,
    parameters: &Parameters,
    inputs: &[Maps],
    mut output: MapsMut,
) {
    let node = &network.nodes[id];
    let own = NodeParameters { node: &node.name, parameters };
    match &node.op {
        Op::Input => unreachable!("an input is given, not computed"),
        Op::Conv { .. } => {
            let geometry = network.geometry(id).expect("a convolution has a geometry");
            conv::forward(&geometry, own.get("weight"), own.find("bias"), inputs[0], output);
        }
        Op::Dense { .. } => {
            dense::forward(own.get("weight"), own.find("bias"), inputs[0], output);
        }
        Op::BatchNorm { epsilon } => {
            batch_norm::forward(&own.batch_norm(*epsilon), inputs[0], output);
        }
        Op::Activation(activation) => activation::forward(*activation, inputs[0], output),
        Op::Pool { kind, window } => pool::forward(*kind, window, inputs[0], output),
        Op::GlobalPool(kind) => {
            let window = pool::global_window(network.nodes[node.inputs[0]].shape);
            pool::forward(*kind, &window, inputs[0], output);
        }
        Op::Add => add::forward(inputs, output),
        Op::Concat => concat::forward(inputs, output),
        Op::Mul => mul::forward(inputs, output),
        Op::Lrn(lrn) => lrn::forward(lrn, inputs[0], output),
        Op::Pad(padding) => pad::forward(*padding, inputs[0], output),
        Op::Identity => output.assign(&inputs[0]),
        Op::Constant => constant(own.get("value"), output),
        Op::Flatten(order) => flatten::forward(*order, inputs[0], output),
        Op::Softmax => softmax::forward(inputs[0], output),
    }
}

/// The same value for every image.
fn constant(value: &ArrayD<f32>, mut output: MapsMut) {
    for mut image in output.outer_iter_mut() {
        image.iter_mut().zip(value).for_each(|(y, &x)| *y = x);
    }
}

/// What a node's backward pass starts from.
pub(super) struct Seen<'a> {
    /// Its inputs.
    pub inputs: &'a [Maps<'a>],
    /// Its output.
    pub output: Maps<'a>,
    /// The gradient of the loss by its output.
    pub gradient: Maps<'a>,
}

/// Adds to the gradient of each input that is given, and returns the gradients of the node's
/// parameters by name. Running statistics have none.
pub(super) fn backward(
    network: &Network,
    id: NodeId,
    parameters: &Parameters,
    seen: Seen,
    input_gradients: &mut [Option<Array4<f32>>],
) -> Vec<(String, ArrayD<f32>)> {
    let node = &network.nodes[id];
    let own = NodeParameters { node: &node.name, parameters };
    let Seen { inputs, output, gradient } = seen;
    let named = |parameter: &str, gradient| (parameter_name(&node.name, parameter), gradient);
    if let Op::Conv { .. } | Op::Dense { .. } | Op::BatchNorm { .. } = node.op {
        let to = input_gradients[0].as_mut().map(|g| g.view_mut());
        let weight = own.get("weight");
        let (weight, bias) = match node.op {
            Op::Conv { .. } => {
                let geometry = network.geometry(id).expect("a convolution has a geometry");
                conv::backward(&geometry, weight, inputs[0], gradient, to)
            }
            Op::BatchNorm { epsilon } => {
                batch_norm::backward(&own.batch_norm(epsilon), inputs[0], gradient, to)
            }
            _ => dense::backward(weight, inputs[0], gradient, to),
        };
        let mut gradients = vec![named("weight", weight)];
        if own.find("bias").is_some() {
            gradients.push(named("bias", bias));
        }
        return gradients;
    }
    let mut first_channel = 0;
    for (index, (input, to)) in inputs.iter().zip(input_gradients).enumerate() {
        let channels = input.dim().1;
        if let Some(to) = to.as_mut().map(|g| g.view_mut()) {
            match &node.op {
                Op::Activation(activation) => {
                    activation::backward(*activation, *input, gradient, to)
                }
                Op::Pool { kind, window } => pool::backward(*kind, window, *input, gradient, to),
                Op::GlobalPool(kind) => {
                    let window = pool::global_window(network.nodes[node.inputs[0]].shape);
                    pool::backward(*kind, &window, *input, gradient, to);
                }
                Op::Add => add::backward(gradient, to),
                Op::Concat => concat::backward(first_channel, gradient, to),
                Op::Mul => mul::backward(inputs[1 - index], gradient, to),
                Op::Lrn(lrn) => lrn::backward(lrn, *input, output, gradient, to),
                Op::Pad(padding) => pad::backward(*padding, gradient, to),
                Op::Identity => add::backward(gradient, to),
                Op::Flatten(order) => flatten::backward(*order, gradient, to),
                Op::Softmax => softmax::backward(output, gradient, to),
                Op::Input
                | Op::Constant
                | Op::Conv { .. }
                | Op::Dense { .. }
                | Op::BatchNorm { .. } => {
                    unreachable!("handled above, or without inputs")
                }
            }
        }
        first_channel += channels;
    }
    Vec::new()
}
