//! The operands of a trained network.

use ndarray::ArrayD;

use super::Operands;
use crate::error::{Error, Result};
use crate::network::{Network, NodeId, Op, Parameters, parameter_name};
use crate::quantize::calibrate::Statistics;
use crate::quantize::{Chain, Distribution, Layout, QuantizerSpec, Seen};
use crate::tensor::Words;

/// Parameters, and the distributions of the calibration images.
pub(in crate::quantize) struct Trained<'a> {
    network: &'a Network,
    parameters: &'a Parameters,
    statistics: Option<&'a [Statistics]>,
}

impl<'a> Trained<'a> {
    pub fn new(
        network: &'a Network,
        parameters: &'a Parameters,
        statistics: Option<&'a [Statistics]>,
    ) -> Self {
        Self { network, parameters, statistics }
    }

    fn parameter(&self, id: NodeId, name: &str) -> Option<&'a ArrayD<f32>> {
        self.parameters.get(&parameter_name(&self.network.nodes[id].name, name))
    }

    /// A kept batch normalization as `scale · x + offset` by channel, each rounded once.
    fn affine(&self, id: NodeId) -> Option<Vec<(f64, f64)>> {
        let Op::BatchNorm { epsilon } = self.network.nodes[id].op else { return None };
        let [weight, bias, mean, variance] =
            ["weight", "bias", "running_mean", "running_var"].map(|name| self.parameter(id, name));
        let (weight, bias, mean, variance) = (weight?, bias?, mean?, variance?);
        let channel = |c: usize| {
            let [weight, bias, mean, variance] =
                [weight, bias, mean, variance].map(|parameter| f64::from(parameter[c]));
            let scale = weight / (variance + f64::from(epsilon)).sqrt();
            let rounded = |value: f64| f64::from(value as f32);
            (rounded(scale), rounded(bias - mean * scale))
        };
        Some((0..weight.len()).map(channel).collect())
    }
}

impl Operands for Trained<'_> {
    fn weights(
        &self,
        id: NodeId,
        quantizers: &[QuantizerSpec],
        seen: Seen,
    ) -> Result<(Chain, Words)> {
        let values: Vec<f32> = match self.affine(id) {
            Some(affine) => affine.iter().map(|&(scale, _)| scale as f32).collect(),
            None => self
                .parameter(id, "weight")
                .ok_or_else(|| Error::new(seen.site, "has no weights"))?
                .iter()
                .copied()
                .collect(),
        };
        let distribution = Distribution::of(seen.site, &values)?;
        let chain = Chain::fit(quantizers, &Seen { distribution: Some(&distribution), ..seen })?;
        let layout = self.network.geometry(id).map_or(layout(id, 1, 1), |geometry| {
            layout(id, geometry.group_inputs(), geometry.window.taps())
        });
        let words = chain.words(values.into_iter().map(f64::from).collect(), layout)?;
        Ok((chain, words))
    }

    fn bias(&self, id: NodeId) -> Option<Vec<f64>> {
        match self.affine(id) {
            Some(affine) => Some(affine.into_iter().map(|(_, offset)| offset).collect()),
            None => self.parameter(id, "bias").map(|b| b.iter().map(|&b| b.into()).collect()),
        }
    }

    fn distribution(&self, id: NodeId, _: Option<bool>) -> Option<&Distribution> {
        self.statistics.map(|all| &all[id].distribution)
    }
}

/// The layout of a parameter of node `id`.
pub fn layout(id: NodeId, channels: usize, inner: usize) -> Layout {
    Layout { channels, inner, tensor: id as u64 }
}
