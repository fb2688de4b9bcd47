//! Trying many variants of one network on the same images: what layers before the first difference
//! wrote is kept and not computed again.

use std::ops::Range;

use ndarray::Axis;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::error::Result;
use crate::network::float;
use crate::quantize::Baseline;
use crate::report::{Tally, wilson_interval};
use crate::simulate::{BoundNetwork, Snapshot};

/// Bytes of words that a probe keeps, at most; for further images every layer runs each time.
const KEPT_BYTES: usize = 1 << 30;

/// Images, and what a base network wrote for them.
pub(super) struct Probe<'a> {
    data: &'a Dataset,
    images: Range<usize>,
    float: Vec<Vec<f32>>,
    float_rate: f64,
    kept: Vec<Option<Snapshot>>,
}

/// How a variant did on the images.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Score {
    /// Images.
    pub images: u64,
    /// Images whose label comes first; without labels, those on which the float network has the
    /// same first class.
    pub hits: u64,
    /// `hits / images`.
    pub rate: f64,
    /// 95 % Wilson interval of `rate`.
    pub ci95: [f64; 2],
    /// Fraction of images on which the float network has the same first class.
    pub agreement: f64,
    /// Signal-to-quantization-noise ratio of the outputs against the float network's, in dB; absent
    /// where it is not finite.
    pub sqnr_db: Option<f64>,
}

impl<'a> Probe<'a> {
    /// Runs `base` and the float network on `images` of `data`.
    ///
    /// # Errors
    /// If an image cannot be had or does not fit the network.
    pub fn new(
        base: &BoundNetwork,
        baseline: &Baseline,
        data: &'a Dataset,
        images: Range<usize>,
    ) -> Result<Self> {
        let run = |state: &mut crate::simulate::ImageState, index: usize, keep: bool| {
            let input = data.image(index)?;
            let values = input.as_standard_layout();
            let values = values.as_slice().expect("standard layout");
            let mut batch = input.view().insert_axis(Axis(0)).as_standard_layout().into_owned();
            if let Some(values) = batch.as_slice_mut() {
                base.real_input(values);
            }
            let float = float::infer(&baseline.network, &baseline.parameters, batch.view())?;
            let snapshot = if keep {
                base.quantize_input(values, index, state)?;
                base.run_image(index, state);
                Some(state.snapshot())
            } else {
                None
            };
            Ok((float.into_iter().collect::<Vec<f32>>(), snapshot))
        };
        let (mut float, mut kept) = (Vec::new(), Vec::new());
        let Some(first) = images.clone().next() else {
            return Ok(Self { data, images, float, float_rate: 1.0, kept });
        };
        let (outputs, snapshot) = run(&mut base.state(), first, true)?;
        let most = KEPT_BYTES / snapshot.as_ref().map_or(1, |s: &Snapshot| s.bytes().max(1));
        float.push(outputs);
        kept.push(snapshot);
        let rest: Vec<usize> = images.clone().skip(1).collect();
        let seen: Vec<_> = rest
            .par_iter()
            .with_min_len(8)
            .map_init(|| base.state(), |state, &index| run(state, index, index - first < most))
            .collect::<Result<_>>()?;
        let mut tally = Tally::default();
        for (outputs, snapshot) in seen {
            float.push(outputs);
            kept.push(snapshot);
        }
        for (index, float) in images.clone().zip(&float) {
            tally.add(data.label(index), float, Some(float));
        }
        let float_rate = tally.accuracy().float.map_or(1.0, |score| score.top1);
        Ok(Self { data, images, float, float_rate, kept })
    }

    /// Fraction of the images whose label the float network puts first; 1 without labels.
    pub fn float_rate(&self) -> f64 {
        self.float_rate
    }

    /// Images.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Runs `variant`, whose layers before `first` are those of the base.
    ///
    /// # Errors
    /// If an image cannot be had.
    pub fn score(&self, variant: &BoundNetwork, first: usize) -> Result<Score> {
        let offset = self.images.start;
        let one = |state: &mut crate::simulate::ImageState, at: usize| {
            let index = offset + at;
            match &self.kept[at] {
                Some(snapshot) if first > 0 => variant.run_from(first, snapshot, index, state),
                _ => {
                    let input = self.data.image(index)?;
                    let input = input.as_standard_layout();
                    let values = input.as_slice().expect("standard layout");
                    variant.quantize_input(values, index, state)?;
                    variant.run_image(index, state);
                }
            }
            Ok(variant.outputs(state))
        };
        let whole = self.kept.iter().any(Option::is_none);
        let state = || if whole { variant.state() } else { variant.state_from(first) };
        let outputs: Vec<Vec<f32>> = (0..self.len())
            .into_par_iter()
            .with_min_len(4)
            .map_init(state, |state, at| one(state, at))
            .collect::<Result<_>>()?;
        let mut tally = Tally::default();
        let (mut signal, mut noise) = (0.0, 0.0);
        for (at, (quantized, float)) in outputs.iter().zip(&self.float).enumerate() {
            tally.add(self.data.label(offset + at), quantized, Some(float));
            for (&q, &x) in quantized.iter().zip(float) {
                signal += f64::from(x).powi(2);
                noise += (f64::from(x) - f64::from(q)).powi(2);
            }
        }
        let accuracy = tally.accuracy();
        let agreement = accuracy.agreement.unwrap_or(0.0);
        let rate = accuracy.quantized.map_or(agreement, |score| score.top1);
        let images = self.len() as u64;
        let hits = (rate * images as f64).round() as u64;
        let sqnr_db = Some(10.0 * f64::log10(signal / noise)).filter(|db| db.is_finite());
        let ci95 = wilson_interval(hits, images);
        Ok(Score { images, hits, rate, ci95, agreement, sqnr_db })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset;
    use crate::hardware::Hardware;
    use crate::network;
    use crate::quantize::{Plan, Prepared};

    /// From whichever layer on a variant runs, its outputs are those of all of it.
    #[test]
    fn what_is_kept_is_what_would_be_computed_again() {
        let model = network::open("lenet5").unwrap();
        let source = dataset::open("mnist").unwrap();
        let base = Plan::default();
        let parameters = model.parameters.as_ref().unwrap();
        let prepared =
            Prepared::new(&model.network, parameters, &base, source.calibration.as_ref()).unwrap();
        let datapath = Hardware::open(Hardware::DEFAULT).unwrap().datapath;
        let lowered = prepared.lower(&base).unwrap();
        let bind = |lowered: &crate::quantize::Lowered| {
            BoundNetwork::bind(&lowered.network, &datapath, 0).unwrap()
        };
        let baseline = lowered.baseline.as_ref().unwrap();
        let probe = Probe::new(&bind(&lowered), baseline, &source.test, 5..45).unwrap();
        let mut scores = Vec::new();
        for name in ["conv1", "conv2", "fc1", "fc2", "fc3"] {
            let rule = format!(
                "[[rule]]\nselect = \"{name}.weights\"\nquantizer = {{ kind = \"fixed\", format = \"s3\" }}\n"
            );
            let variant = prepared.lower(&base.extended(&rule).unwrap()).unwrap();
            let first = variant.network.layers.iter().position(|l| l.name == name).unwrap();
            let bound = bind(&variant);
            let score = probe.score(&bound, first).unwrap();
            assert_eq!(score, probe.score(&bound, 0).unwrap(), "{name}");
            assert_eq!(score.images, 40);
            scores.push(score.sqnr_db);
        }
        scores.dedup();
        assert_eq!(scores.len(), 5, "each layer makes a difference of its own");
    }
}
