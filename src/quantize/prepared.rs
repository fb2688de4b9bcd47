//! A trained network made ready for plans: batch normalizations folded, images seen once.

use super::calibrate::{Statistics, statistics};
use super::equalize::equalize;
use super::lower::{Lowered, Lowering, Trained};
use super::post_training::{is_affine, lower_affine};
use super::sites::Fusion;
use super::{Baseline, BatchNorm, Distribution, Plan};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::network::{Network, Parameters, check_parameters, fold_batch_norm, split_batch_norm};

/// A trained network with what calibration saw, to be lowered by plans that treat batch
/// normalizations, equalization and calibration images alike.
#[derive(Clone, Debug)]
pub struct Prepared {
    network: Network,
    parameters: Parameters,
    statistics: Option<Vec<Statistics>>,
}

/// Lowers a trained network by `plan`. Binary points that the plan leaves open are calibrated on
/// the first images of `calibration`, which must be training images.
///
/// # Errors
/// If the parameters do not fit the network, the plan selects a site that there is not, something
/// must be calibrated and there are no images, or an operand has no exact words.
pub fn lower(
    network: &Network,
    parameters: &Parameters,
    plan: &Plan,
    calibration: Option<&Dataset>,
) -> Result<Lowered> {
    Prepared::new(network, parameters, plan, calibration)?.lower(plan)
}

impl Prepared {
    /// Prepares a network as `plan` says, and runs its float form on the calibration images.
    ///
    /// # Errors
    /// If the parameters do not fit the network, or a value of it is not finite.
    pub fn new(
        network: &Network,
        parameters: &Parameters,
        plan: &Plan,
        calibration: Option<&Dataset>,
    ) -> Result<Self> {
        let (network, mut parameters) = match plan.batch_norm {
            BatchNorm::Fold => fold_batch_norm(network, parameters)?,
            BatchNorm::Keep => (network.clone(), parameters.clone()),
            BatchNorm::Intrinsic => split_batch_norm(network, parameters)?,
        };
        check_parameters(&network, &parameters)?;
        if plan.equalize {
            equalize(&network, &mut parameters);
        }
        let images = calibration.map(|images| images.first(plan.images));
        let seen = images.map(|images| statistics(&network, &parameters, &images)).transpose()?;
        Ok(Self { network, parameters, statistics: seen })
    }

    /// Lowers the network by `plan`.
    ///
    /// # Errors
    /// If the plan selects a site that there is not, something must be calibrated and there were no
    /// images, or an operand has no exact words.
    pub fn lower(&self, plan: &Plan) -> Result<Lowered> {
        let Self { network, parameters, statistics } = self;
        let statistics = statistics.as_deref();
        if is_affine(plan) {
            return lower_affine(network, parameters, plan, statistics);
        }
        if plan.bias_correction {
            return Err(Error::new(
                format_args!("plan `{}`", plan.name),
                "corrects biases, for which its \
                 quantizers have no scales",
            )
            .remedy("use affine quantizers, or remove `bias_correction`"));
        }
        let operands = Trained::new(network, parameters, statistics);
        let mut lowered = Lowering::run(network, plan, &operands)?;
        let fusion = Fusion::of(network, |_, _| true);
        let layers = &lowered.network.layers;
        let baseline = Baseline::new(network.clone(), parameters.clone(), layers, &fusion);
        lowered.baseline = Some(baseline);
        Ok(lowered)
    }

    /// The values that node `name` had on the calibration images.
    pub fn distribution(&self, name: &str) -> Option<&Distribution> {
        let id = self.network.nodes.iter().position(|node| node.name == name)?;
        Some(&self.statistics.as_ref()?[id].distribution)
    }
}
