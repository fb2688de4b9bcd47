//! What accuracy loses when one layer, or all, have narrower words.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::formats::{Formats, Rule, WIDE, signed};
use super::probe::{Probe, Score};
use super::subject::Data;
use crate::error::{Error, Result};
use crate::hardware::Hardware;
use crate::kernels::Style;
use crate::network::Model;
use crate::numeric::Rounding;
use crate::simulate::BoundNetwork;

/// What is varied.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// Word widths in bits.
    pub widths: RangeInclusive<u32>,
    /// Binary points of the narrowed sites, as fractional bits more than calibrated.
    pub points: RangeInclusive<i32>,
    /// What is narrowed.
    pub kinds: Vec<Kind>,
    /// Roundings of the narrowed sites.
    pub roundings: Vec<Rounding>,
    /// Thresholds below which outputs become zero, as fractions of the largest calibrated value.
    pub thresholds: Vec<f64>,
    /// Calibration images.
    pub calibration: usize,
    /// Seed of stochastic rounding.
    pub seed: u64,
}

/// What of a layer is narrowed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Weights and output words.
    Extrinsic,
    /// Weights.
    Weights,
    /// Output words.
    Output,
    /// Accumulator, and products where the datapath casts them: casts inside the loop.
    Intrinsic,
}

impl std::str::FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "extrinsic" => Ok(Self::Extrinsic),
            "weights" => Ok(Self::Weights),
            "output" => Ok(Self::Output),
            "intrinsic" => Ok(Self::Intrinsic),
            _ => Err(Error::new(format_args!("`{text}`"), "is nothing to narrow")
                .remedy("use extrinsic, weights, output or intrinsic")),
        }
    }
}

/// The results.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sensitivity {
    /// Version of the JSON schema.
    pub schema_version: u32,
    /// Network.
    pub network: String,
    /// Hardware model, whose datapath the words follow.
    pub hardware: String,
    /// Dataset.
    pub dataset: String,
    /// Layers in order.
    pub layers: Vec<String>,
    /// All sites at 12 bits, from which every experiment departs.
    pub base: Score,
    /// The experiments.
    pub experiments: Vec<Experiment>,
}

/// One variation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Experiment {
    /// The layer; none for all of them.
    pub layer: Option<String>,
    /// What was varied; none where only a threshold was.
    pub kind: Option<Kind>,
    /// Width in bits.
    pub bits: Option<u32>,
    /// Fractional bits more than calibrated at that width; negative for fewer.
    pub point: Option<i32>,
    /// Rounding.
    pub rounding: Option<Rounding>,
    /// Threshold, as a fraction of the largest calibrated value.
    pub threshold: Option<f64>,
    /// Fraction of the images lost against the base; negative where some are won.
    pub loss: f64,
    /// How it did.
    pub score: Score,
}

/// An experiment to do.
struct Task {
    layer: Option<usize>,
    kind: Option<Kind>,
    bits: Option<u32>,
    point: Option<i32>,
    rounding: Option<Rounding>,
    threshold: Option<f64>,
}

/// Fractional bits more or fewer than calibrated, at most: words of 8 bits are all clipped or zero there.
const FARTHEST: i32 = 8;

/// Runs the experiments on `data`; `done` hears of each.
///
/// # Errors
/// If the network has no weights or labels, a width is refused, or an image cannot be had.
pub fn sensitivity(
    model: &Model,
    data: &Data,
    hardware: &Hardware,
    settings: &Settings,
    start: impl FnOnce(usize),
    done: impl Fn() + Sync,
) -> Result<Sensitivity> {
    let Data::Images { source, images } = data else {
        return Err(Error::new(&model.network.name, "has no images to be sensitive on")
            .remedy("use a network with weights and a dataset"));
    };
    if *settings.widths.start() < 1 || *settings.widths.end() > WIDE {
        return Err(Error::new("--widths", format_args!("1 to {WIDE} bits are expected"))
            .remedy("write 2..8"));
    }
    if *settings.points.start() < -FARTHEST || *settings.points.end() > FARTHEST {
        let problem = format_args!("-{FARTHEST} to {FARTHEST} fractional bits are expected");
        return Err(Error::new("--points", problem).remedy("write -2..2"));
    }
    let widths: Vec<u32> = settings.widths.clone().collect();
    let calibration = source.calibration.as_ref();
    let formats = Formats::new(model, &widths, calibration, settings.calibration)?;
    let base_rules = formats.uniform(WIDE, 0, None)?;
    let lowered = formats.lower(&base_rules)?;
    let base = BoundNetwork::bind(&lowered.network, &hardware.datapath, settings.seed)?;
    let Some(baseline) = &lowered.baseline else {
        return Err(Error::new(&model.network.name, "has no float network to compare with"));
    };
    let probe = Probe::new(&base, baseline, &source.test, 0..*images)?;
    let base_score = probe.score(&base, lowered.network.layers.len())?;
    let tasks = tasks(settings, formats.layers().len());
    start(tasks.len());
    let score = |task: &Task| {
        let rules = rules(&formats, task, hardware)?;
        let variant = formats.lower(&format!("{base_rules}{rules}"))?;
        let bound = BoundNetwork::bind(&variant.network, &hardware.datapath, settings.seed)?;
        let first = task.layer.map_or(0, |layer| {
            let name = &formats.layers()[layer];
            variant.network.layers.iter().position(|l| l.name == *name).unwrap_or(0)
        });
        let score = probe.score(&bound, first)?;
        done();
        Ok(Experiment {
            layer: task.layer.map(|layer| formats.layers()[layer].clone()),
            kind: task.kind,
            bits: task.bits,
            point: task.point,
            rounding: task.rounding,
            threshold: task.threshold,
            loss: (base_score.hits as f64 - score.hits as f64) / score.images.max(1) as f64,
            score,
        })
    };
    // Few images leave threads idle; experiments side by side do not.
    let experiments = tasks.par_iter().map(score).collect::<Result<_>>()?;
    Ok(Sensitivity {
        schema_version: 1,
        network: model.network.name.clone(),
        hardware: hardware.name.clone(),
        dataset: data.name().to_owned(),
        layers: formats.layers().to_vec(),
        base: base_score,
        experiments,
    })
}

fn tasks(settings: &Settings, layers: usize) -> Vec<Task> {
    let mut tasks = Vec::new();
    let kinds: BTreeSet<Kind> = settings.kinds.iter().copied().collect();
    for layer in (0..layers).map(Some).chain([None]) {
        for &kind in &kinds {
            for bits in settings.widths.clone() {
                for point in settings.points.clone() {
                    for &rounding in &settings.roundings {
                        let (kind, bits, point) = (Some(kind), Some(bits), Some(point));
                        let rounding = Some(rounding);
                        tasks.push(Task { layer, kind, bits, point, rounding, threshold: None });
                    }
                }
            }
        }
        for &threshold in &settings.thresholds {
            let threshold = Some(threshold);
            let (kind, bits, point, rounding) = (None, None, None, None);
            tasks.push(Task { layer, kind, bits, point, rounding, threshold });
        }
    }
    tasks
}

/// What the rules of an experiment add to those of the base.
fn rules(formats: &Formats, task: &Task, hardware: &Hardware) -> Result<String> {
    let mut text = String::new();
    let rounding = task.rounding;
    let offset = task.point.unwrap_or(0);
    if let (None, Some(Kind::Extrinsic), Some(bits)) = (task.layer, task.kind, task.bits) {
        return formats.uniform(bits, offset, rounding);
    }
    let layers = match task.layer {
        Some(layer) => &formats.layers()[layer..=layer],
        None => formats.layers(),
    };
    for layer in layers {
        let mut narrow = |site: &'static str, bits: u32, threshold: Option<f64>| -> Result<()> {
            if let Some(format) = formats.at(layer, site, bits) {
                let format = format.with_frac(format.frac() + offset)?;
                let threshold = threshold.map(|t| t * format.value(format.max()));
                Rule { layer, site, format, rounding, threshold }.write(&mut text);
            }
            Ok(())
        };
        match (task.kind, task.bits) {
            (Some(Kind::Extrinsic), Some(bits)) => {
                narrow("weights", bits, None)?;
                narrow("output", bits, None)?;
            }
            (Some(Kind::Weights), Some(bits)) => narrow("weights", bits, None)?,
            (Some(Kind::Output), Some(bits)) => narrow("output", bits, None)?,
            (Some(Kind::Intrinsic), Some(bits)) => {
                let seen = formats.prepared().distribution(layer);
                let largest = seen.map_or(0.0, |seen| seen.max_magnitude());
                let format = signed(bits, largest)?;
                let format = format.with_frac(format.frac() + offset)?;
                let product = (hardware.datapath.style == Style::ProductCast).then_some("product");
                for site in ["accumulator"].into_iter().chain(product) {
                    Rule { layer, site, format, rounding, threshold: None }.write(&mut text);
                }
            }
            _ => narrow("output", WIDE, task.threshold)?,
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::Format;
    use crate::{dataset, network};

    #[test]
    fn a_point_moves_every_narrowed_format() {
        let model = network::open("lenet5").unwrap();
        let source = dataset::open("mnist").unwrap();
        let formats = Formats::new(&model, &[4], source.calibration.as_ref(), 8).unwrap();
        let hardware = Hardware::open(Hardware::DEFAULT).unwrap();
        let written = |layer, kind, point| {
            let (bits, threshold) = (Some(4), None);
            let rounding = Some(Rounding::Floor);
            let task = Task { layer, kind: Some(kind), bits, point, rounding, threshold };
            let plan = rules(&formats, &task, &hardware).unwrap();
            let formats = plan.split("format = \"").skip(1);
            let format = |rest: &str| rest.split('"').next().unwrap().parse::<Format>().unwrap();
            formats.map(format).collect::<Vec<_>>()
        };
        for (layer, kind, sites) in [
            (Some(1), Kind::Extrinsic, 2),
            (Some(1), Kind::Intrinsic, 1),
            (None, Kind::Weights, 5),
            (None, Kind::Extrinsic, 11),
        ] {
            let (calibrated, moved) =
                (written(layer, kind, Some(0)), written(layer, kind, Some(-3)));
            assert_eq!(calibrated.len(), sites, "{kind:?}");
            for (format, moved) in calibrated.iter().zip(moved) {
                assert_eq!(moved, format.with_frac(format.frac() - 3).unwrap());
            }
        }
    }
}
