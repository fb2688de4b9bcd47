//! Calibration: what values a float network has at each node, on training images.

use super::{Distribution, Histogram};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::network::{Network, Parameters, float};

/// Images evaluated together. Float results do not depend on it; memory does.
const BATCH: usize = 32;

/// Runs the float network over the first `images` images and returns the distribution of the
/// output of every node. The same for any number of threads.
///
/// # Errors
/// If an image cannot be read or does not fit the network, or a value is not finite.
pub(super) fn distributions(
    network: &Network,
    parameters: &Parameters,
    images: &Dataset,
) -> Result<Vec<Distribution>> {
    let mut histograms = vec![Histogram::default(); network.nodes.len()];
    for first in (0..images.len()).step_by(BATCH) {
        let batch = images.batch(first..images.len().min(first + BATCH))?;
        float::visit(network, parameters, batch.view(), |id, output| {
            let output = output.as_standard_layout();
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
    Ok(histograms.iter().map(Histogram::distribution).collect())
}
