//! What a network runs on: images of a dataset, or synthetic operands.

use crate::dataset::{self, DatasetSource};
use crate::error::{Error, Result};
use crate::network::Model;
use crate::quantize::{Lowered, Plan, lower, lower_encoded, synthetic};

/// The operands of a run.
#[derive(Clone, Debug)]
pub enum Data {
    /// The first `images` test images of a dataset.
    Images {
        /// The dataset.
        source: DatasetSource,
        /// Images.
        images: usize,
    },
    /// Synthetic operands.
    Synthetic {
        /// Fraction of nonzero weights.
        weights: f64,
        /// Fraction of nonzero activations.
        activations: f64,
        /// Images.
        images: usize,
    },
}

impl Data {
    /// The dataset `name`, or else the model's own, of which `images` run or all; or synthetic
    /// operands of the fractions `densities`, or of all nonzeros where the model has no weights.
    ///
    /// # Errors
    /// If there is no dataset, it does not fit the network, or has fewer images.
    pub fn open(
        model: &Model,
        name: Option<&str>,
        images: Option<usize>,
        densities: Option<[f64; 2]>,
    ) -> Result<Self> {
        if densities.is_some() || model.parameters.is_none() {
            let [weights, activations] = densities.unwrap_or([1.0; 2]);
            return Ok(Self::Synthetic { weights, activations, images: images.unwrap_or(1) });
        }
        let network = &model.network;
        let name = name.or(model.dataset.as_deref()).ok_or_else(|| {
            Error::new(format_args!("network `{}`", network.name), "names no dataset to run on")
                .remedy("name one, or run on synthetic operands")
        })?;
        let source = dataset::open(name)?;
        source.test.check(network)?;
        let available = source.test.len();
        match images {
            Some(n) if n > available => Err(Error::new(
                "images",
                format_args!("{n} images were asked for, the dataset has {available}"),
            )
            .remedy("ask for fewer, or leave it out to run all")),
            _ => Ok(Self::Images { source, images: images.unwrap_or(available) }),
        }
    }

    /// Images that run.
    pub fn images(&self) -> usize {
        match self {
            Self::Images { images, .. } | Self::Synthetic { images, .. } => *images,
        }
    }

    /// The name for reports.
    pub fn name(&self) -> &str {
        match self {
            Self::Images { source, .. } => source.test.name(),
            Self::Synthetic { .. } => "synthetic",
        }
    }

    /// Lowers the model for these operands by `plan`, or by the quantization of its file.
    ///
    /// # Errors
    /// If the plan does not fit the network, or the network brings its own quantization.
    pub fn lower(&self, model: &Model, plan: &Plan, seed: u64) -> Result<Lowered> {
        match (self, &model.parameters, &model.quantization) {
            (Self::Synthetic { weights, .. }, ..) => {
                synthetic(&model.network, plan, *weights, seed)
            }
            (_, Some(parameters), Some(quantization)) => {
                lower_encoded(&model.network, parameters, quantization)
            }
            (Self::Images { source, .. }, Some(parameters), None) => {
                lower(&model.network, parameters, plan, source.calibration.as_ref())
            }
            (Self::Images { .. }, None, _) => {
                Err(Error::new(&model.network.name, "has no weights to run images with")
                    .remedy("run it on synthetic operands"))
            }
        }
    }
}
