//! The float baseline: evaluates a network over a batch of images, and differentiates it.
//!
//! A batch is [images, channels, height, width]. The bits of a result depend neither on the
//! number of threads nor on which images share a batch. [`visit`] and [`infer`] spread the images
//! over the threads; [`forward`] and [`backward`] run on one, and gradients are summed over the
//! images in their order.

use ndarray::parallel::prelude::*;
use ndarray::{Array4, ArrayView4, Axis, s};

use super::ops::{self, Maps, Seen};
use super::{Network, NodeId, Op, Parameters, check_parameters};
use crate::error::{Error, Result};
use crate::tensor::Shape;

#[cfg(test)]
mod tests;

/// Every node's output over the batch `input`, by node.
///
/// # Errors
///
/// If the parameters or the input do not fit the network, or it has not exactly one input.
pub fn forward(
    network: &Network,
    parameters: &Parameters,
    input: ArrayView4<f32>,
) -> Result<Vec<Array4<f32>>> {
    check(network, parameters, &input)?;
    let mut outputs: Vec<Array4<f32>> = Vec::with_capacity(network.nodes.len());
    for (id, node) in network.nodes.iter().enumerate() {
        let output = match node.op {
            Op::Input => input.as_standard_layout().into_owned(),
            _ => {
                let inputs: Vec<_> = node.inputs.iter().map(|&i| outputs[i].view()).collect();
                let mut output = zeros(network, id, input.dim().0);
                ops::forward(network, id, parameters, &inputs, output.view_mut());
                output
            }
        };
        outputs.push(output);
    }
    Ok(outputs)
}

/// Shows every node's output over the batch `input` to `visit`, in topological order, and returns
/// the last one. An output is dropped once its last reader is done, so a deep network needs memory
/// for few of them.
///
/// # Errors
///
/// If the parameters or the input do not fit the network, it has not exactly one input, or `visit`
/// fails.
pub fn visit(
    network: &Network,
    parameters: &Parameters,
    input: ArrayView4<f32>,
    mut visit: impl FnMut(NodeId, ArrayView4<f32>) -> Result<()>,
) -> Result<Array4<f32>> {
    check(network, parameters, &input)?;
    let last_reader = last_readers(network);
    let mut outputs: Vec<Option<Array4<f32>>> = vec![None; network.nodes.len()];
    for (id, node) in network.nodes.iter().enumerate() {
        let output = match node.op {
            Op::Input => input.as_standard_layout().into_owned(),
            _ => {
                let views = node.inputs.iter().map(|&i| outputs[i].as_ref().map(|o| o.view()));
                let inputs: Option<Vec<_>> = views.collect();
                let inputs = inputs.expect("an output is kept until its last reader");
                compute(network, id, parameters, &inputs, input.dim().0)
            }
        };
        visit(id, output.view())?;
        outputs[id] = Some(output);
        for &read in &node.inputs {
            if last_reader[read] == id {
                outputs[read] = None;
            }
        }
    }
    Ok(outputs.pop().flatten().expect("the last node is the output"))
}

/// The last node's output over the batch `input`. Errors as [`forward`].
pub fn infer(
    network: &Network,
    parameters: &Parameters,
    input: ArrayView4<f32>,
) -> Result<Array4<f32>> {
    visit(network, parameters, input, |_, _| Ok(()))
}

/// Gradients of a loss by the parameters, given every node's output (of [`forward`] with the same
/// arguments) and the loss's gradient by the output of node `of`. Running statistics of batch
/// normalizations are constants and have none.
///
/// # Panics
///
/// If `outputs` or `gradient` are not of this network and one batch.
pub fn backward(
    network: &Network,
    parameters: &Parameters,
    outputs: &[Array4<f32>],
    of: NodeId,
    gradient: Array4<f32>,
) -> Parameters {
    let mut gradients: Vec<Option<Array4<f32>>> = vec![None; of + 1];
    gradients[of] = Some(gradient);
    let mut result = Parameters::new();
    let learns = learns(network);
    for (id, node) in network.nodes.iter().enumerate().take(of + 1).rev() {
        let Some(gradient) = gradients[id].take().filter(|_| learns[id]) else { continue };
        let inputs: Vec<Maps> = node.inputs.iter().map(|&i| outputs[i].view()).collect();
        let mut to: Vec<_> = inputs
            .iter()
            .zip(&node.inputs)
            .map(|(input, &i)| learns[i].then(|| Array4::zeros(input.dim())))
            .collect();
        let seen = Seen { inputs: &inputs, output: outputs[id].view(), gradient: gradient.view() };
        result.extend(ops::backward(network, id, parameters, seen, &mut to));
        for (&input, part) in node.inputs.iter().zip(to) {
            gradients[input] = match (gradients[input].take(), part) {
                (Some(sum), Some(part)) => Some(sum + part),
                (sum, part) => sum.or(part),
            };
        }
    }
    result
}

/// By node: whether it or a node before it has parameters.
fn learns(network: &Network) -> Vec<bool> {
    let mut learns = vec![false; network.nodes.len()];
    for (id, node) in network.nodes.iter().enumerate() {
        let own = matches!(node.op, Op::Conv { .. } | Op::Dense { .. } | Op::BatchNorm { .. });
        learns[id] = own || node.inputs.iter().any(|&input| learns[input]);
    }
    learns
}

/// By node: the last node that reads it (itself if none does).
fn last_readers(network: &Network) -> Vec<NodeId> {
    let mut last: Vec<_> = (0..network.nodes.len()).collect();
    for (id, node) in network.nodes.iter().enumerate() {
        for &input in &node.inputs {
            last[input] = id;
        }
    }
    last
}

/// One node over a batch, the images spread over the threads.
fn compute(
    network: &Network,
    id: NodeId,
    parameters: &Parameters,
    inputs: &[Maps],
    images: usize,
) -> Array4<f32> {
    let mut output = zeros(network, id, images);
    let part = output.dim().0.div_ceil(rayon::current_num_threads()).max(1);
    output.axis_chunks_iter_mut(Axis(0), part).into_par_iter().enumerate().for_each(
        |(index, output)| {
            let first = index * part;
            let images = first..first + output.dim().0;
            let inputs: Vec<_> =
                inputs.iter().map(|input| input.slice(s![images.clone(), .., .., ..])).collect();
            ops::forward(network, id, parameters, &inputs, output);
        },
    );
    output
}

/// Space for a node's output over a batch of `images`.
fn zeros(network: &Network, id: NodeId, images: usize) -> Array4<f32> {
    let Shape { channels, height, width } = network.nodes[id].shape;
    Array4::zeros((images, channels, height, width))
}

fn check(network: &Network, parameters: &Parameters, input: &ArrayView4<f32>) -> Result<()> {
    check_parameters(network, parameters)?;
    let inputs: Vec<_> = network.nodes.iter().filter(|node| node.op == Op::Input).collect();
    let [node] = inputs[..] else {
        return Err(Error::new(
            format_args!("network `{}`", network.name),
            format_args!("has {} inputs, but one is needed to compute it", inputs.len()),
        )
        .remedy("give a connected topology; a list of separate layers has shapes only"));
    };
    let (_, channels, height, width) = input.dim();
    let found = Shape::new(channels, height, width);
    if found != node.shape {
        return Err(Error::new(
            format_args!("network `{}`, input `{}`", network.name, node.name),
            format_args!("is given images of {found}, but has {}", node.shape),
        )
        .remedy("use a data set with images of the network's input shape"));
    }
    Ok(())
}
