//! Calibration: what values a float network has at each node, on training images.

use ndarray::{ArrayView4, Axis};

use super::{Distribution, Histogram};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::network::{Network, Parameters, float};

/// Most images evaluated together. Float results do not depend on it; memory does.
const BATCH: usize = 32;
/// Most elements of a map of all of these images.
const BATCH_ELEMENTS: usize = 1 << 24;

/// What the output of a node is like.
#[derive(Clone, Debug, Default)]
pub(super) struct Statistics {
    /// Its values.
    pub distribution: Distribution,
    /// Its mean by channel.
    pub channel_means: Vec<f64>,
}

/// Runs the float network over the images and returns the statistics of the output of every node.
/// The same for any number of threads.
///
/// # Errors
/// If an image cannot be read or does not fit the network, or a value is not finite.
pub(super) fn statistics(
    network: &Network,
    parameters: &Parameters,
    images: &Dataset,
) -> Result<Vec<Statistics>> {
    let mut histograms = vec![Histogram::default(); network.nodes.len()];
    let mut sums: Vec<Vec<f64>> =
        network.nodes.iter().map(|node| vec![0.0; node.shape.channels]).collect();
    let largest = network.nodes.iter().map(|node| node.shape.len()).max().unwrap_or(1);
    let together = (BATCH_ELEMENTS / largest.max(1)).clamp(1, BATCH);
    for first in (0..images.len()).step_by(together) {
        let batch = images.batch(first..images.len().min(first + together))?;
        float::visit(network, parameters, batch.view(), |id, output| {
            let output = output.as_standard_layout();
            add_channels(&mut sums[id], output.view());
            let values = output.as_slice().expect("standard layout");
            if histograms[id].add(values) {
                return Ok(());
            }
            Err(Error::new(
                format_args!("node `{}`", network.nodes[id].name),
                "its float output overflows on the calibration images",
            )
            .remedy("check the weights and the normalization of the images"))
        })?;
    }
    let of_node = |(id, histogram): (usize, &Histogram)| {
        let elements = (network.nodes[id].shape.pixels() * images.len()).max(1) as f64;
        Statistics {
            distribution: histogram.distribution(),
            channel_means: sums[id].iter().map(|sum| sum / elements).collect(),
        }
    };
    Ok(histograms.iter().enumerate().map(of_node).collect())
}

/// Adds a batch to the sums by channel, image by image.
fn add_channels(sums: &mut [f64], batch: ArrayView4<f32>) {
    for image in batch.axis_iter(Axis(0)) {
        for (sum, channel) in sums.iter_mut().zip(image.axis_iter(Axis(0))) {
            *sum += channel.iter().map(|&value| f64::from(value)).sum::<f64>();
        }
    }
}
