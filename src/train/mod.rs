//! Training in float32: stochastic gradient descent on the softmax cross-entropy.
//!
//! The bytes of the result depend on the network, the data, the settings and the seed, never on
//! the number of threads: a mini-batch is cut into parts of fixed size, and their gradients are
//! summed in the order of the parts.

mod initialise;
mod loss;
mod optimizer;
mod random;
#[cfg(test)]
mod tests;

use std::ops::AddAssign;

use ndarray::{ArrayViewMut3, s};
use rayon::prelude::*;

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::network::{Network, NodeId, Op, Parameters, float};

use random::{Purpose, Random};

pub use initialise::initialise;
pub use loss::{Loss, cross_entropy};
pub use optimizer::{Schedule, Sgd};

/// Images that one thread differentiates at a time.
const PART: usize = 16;
/// Images evaluated at a time.
const EVALUATED: usize = 500;

/// How to train.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// Passes over the data.
    pub epochs: usize,
    /// Images per step.
    pub batch_size: usize,
    /// Step rule.
    pub sgd: Sgd,
    /// Learning rate over time.
    pub schedule: Schedule,
    /// Each image is shifted by up to this many pixels, both ways, anew in every epoch; zeros
    /// come in at the edge.
    pub shift: usize,
    /// Seed of the initial weights, the order of the images and their shifts.
    pub seed: u64,
}

/// Where training stands.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Progress {
    /// Current epoch, from 0.
    pub epoch: usize,
    /// Images of it that were used.
    pub images: usize,
    /// Mean loss over these images, each when it was used.
    pub loss: f64,
    /// Fraction of these images that was classified correctly when it was used.
    pub accuracy: f64,
}

/// Trains `network` from freshly initialised weights on `data` and calls `progress` after every
/// step.
///
/// # Errors
///
/// If the images are not of the network's input shape, there are more classes than outputs, a
/// setting makes no sense, or the loss ceases to be a finite number.
pub fn train(
    network: &Network,
    data: &Dataset,
    settings: &Settings,
    mut progress: impl FnMut(&Progress),
) -> Result<Parameters> {
    let logits = check(network, data, settings)?;
    let mut parameters = initialise(network, settings.seed);
    let mut velocity = Parameters::new();
    let mut order: Vec<usize> = (0..data.len()).collect();
    let steps = order.len().div_ceil(settings.batch_size);
    for epoch in 0..settings.epochs {
        Random::new(settings.seed, Purpose::Order(epoch as u64), 0).shuffle(&mut order);
        let mut sum = Loss::default();
        for (step, batch) in order.chunks(settings.batch_size).enumerate() {
            let (loss, gradient) =
                gradient(network, logits, &parameters, data, batch, settings, epoch)?;
            sum += loss;
            if !loss.total.is_finite() {
                return Err(Error::new(
                    format_args!("training of `{}`", network.name),
                    format_args!("diverged in epoch {}: the loss is {}", epoch + 1, loss.total),
                )
                .remedy("use a lower learning rate"));
            }
            let time = epoch as f64 + step as f64 / steps as f64;
            let rate = settings.schedule.factor(time, settings.epochs) * settings.sgd.learning_rate;
            settings.sgd.step(rate, &mut parameters, &gradient, &mut velocity);
            progress(&Progress {
                epoch,
                images: sum.images,
                loss: sum.total / sum.images as f64,
                accuracy: sum.correct as f64 / sum.images as f64,
            });
        }
    }
    Ok(parameters)
}

/// The fraction of `data` whose label is the largest output (the first of equal ones).
///
/// # Errors
///
/// If parameters or images do not fit the network.
pub fn accuracy(network: &Network, parameters: &Parameters, data: &Dataset) -> Result<f64> {
    let mut correct = 0;
    for first in (0..data.len()).step_by(EVALUATED) {
        let images = first..(first + EVALUATED).min(data.len());
        let outputs = float::infer(network, parameters, data.batch(images.clone())?.view())?;
        let labels = labels(data, images)?;
        correct += cross_entropy(outputs.view(), &labels).0.correct;
    }
    Ok(correct as f64 / data.len() as f64)
}

/// The loss over a mini-batch, and its mean's gradient by the parameters.
fn gradient(
    network: &Network,
    logits: NodeId,
    parameters: &Parameters,
    data: &Dataset,
    batch: &[usize],
    settings: &Settings,
    epoch: usize,
) -> Result<(Loss, Parameters)> {
    let part = |images: &[usize]| {
        let mut input = data.batch(images.iter().copied())?;
        if settings.shift > 0 {
            let purpose = Purpose::Shifts(epoch as u64);
            for (mut image, &index) in input.outer_iter_mut().zip(images) {
                let mut random = Random::new(settings.seed, purpose, 2 * index as u64);
                shift(&mut image, settings.shift, &mut random);
            }
        }
        let labels = labels(data, images.iter().copied())?;
        let outputs = float::forward(network, parameters, input.view())?;
        let (loss, mut by_logits) = cross_entropy(outputs[logits].view(), &labels);
        by_logits /= batch.len() as f32;
        Ok((loss, float::backward(network, parameters, &outputs, logits, by_logits)))
    };
    let parts = batch.par_chunks(PART).map(part).collect::<Result<Vec<_>>>()?;
    let mut parts = parts.into_iter();
    let (mut loss, mut sum) = parts.next().unwrap_or_default();
    for (part, gradient) in parts {
        loss += part;
        for (sum, part) in sum.values_mut().zip(gradient.values()) {
            *sum += part;
        }
    }
    Ok((loss, sum))
}

/// The labels of images; refuses a dataset without.
fn labels(data: &Dataset, images: impl Iterator<Item = usize>) -> Result<Vec<usize>> {
    let labels = images.map(|image| data.label(image)).collect::<Option<_>>();
    labels.ok_or_else(|| {
        Error::new(data.name(), "its images have no labels")
            .remedy("name a label file with `labels`")
    })
}

/// Moves an image [channels, height, width] by a random number of pixels, at most `most` in each
/// direction.
fn shift(image: &mut ArrayViewMut3<f32>, most: usize, random: &mut Random) {
    let (_, height, width) = image.dim();
    let mut offset = |size: usize| {
        let most = most.min(size - 1);
        random.below(2 * most + 1) as isize - most as isize
    };
    let (down, right) = (offset(height), offset(width));
    let original = image.to_owned();
    let overlap = |by: isize, size: usize| {
        let size = size as isize;
        (by.max(0)..size + by.min(0), (-by).max(0)..size - by.max(0))
    };
    let (rows, columns) = (overlap(down, height), overlap(right, width));
    image.fill(0.0);
    image.slice_mut(s![.., rows.0, columns.0]).assign(&original.slice(s![.., rows.1, columns.1]));
}

/// The node whose outputs are the classes' logits: the last one, or what the softmax reads.
fn check(network: &Network, data: &Dataset, settings: &Settings) -> Result<NodeId> {
    let refused = |problem: String, remedy: &str| {
        Err(Error::new(format_args!("training of `{}`", network.name), problem).remedy(remedy))
    };
    let last = network.nodes.len() - 1;
    let logits = match network.nodes[last].op {
        Op::Softmax => network.nodes[last].inputs[0],
        _ => last,
    };
    let outputs = network.nodes[logits].shape;
    if outputs.pixels() != 1 || outputs.channels < data.classes() {
        return refused(
            format!("its output is {outputs}, but the data has {} classes", data.classes()),
            "let the last layer give a vector with one element per class",
        );
    }
    if settings.batch_size == 0 || data.is_empty() {
        return refused(
            format!("{} images in batches of {}", data.len(), settings.batch_size),
            "give at least one of each",
        );
    }
    settings.sgd.check()?;
    Ok(logits)
}

impl AddAssign for Loss {
    fn add_assign(&mut self, other: Self) {
        self.total += other.total;
        self.correct += other.correct;
        self.images += other.images;
    }
}
