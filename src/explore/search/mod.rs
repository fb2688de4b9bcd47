//! The cheapest word widths, and thresholds, of each site for a stated loss of accuracy.

mod choices;
mod greedy;
mod searcher;

use std::collections::HashMap;
use std::sync::Mutex;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::choices::Choices;
use self::searcher::Searcher;
use super::formats::Formats;
use super::nsga::{Genome, Nsga};
use super::probe::{Probe, Score};
use super::subject::Data;
use crate::error::{Error, Result};
use crate::hardware::{Hardware, ZeroHandling};
use crate::network::Model;

/// The 8-bit design, from which the search departs.
const WIDEST: u32 = 8;
/// Images on which a candidate is first tried, at most.
const FIRST: usize = 1000;
/// Images on which the noise of a site is measured, at most.
const NOISE: usize = 200;
/// Designs of the front that are tried on all tuning images, at most.
const CHECKED: usize = 10;

/// How to search.
#[derive(Clone, PartialEq, Debug)]
pub struct SearchSettings {
    /// Fraction of the images that may be lost against the float network.
    pub loss: f64,
    /// What is to be least.
    pub cost: Cost,
    /// Whether to choose thresholds below which output words become zero.
    pub thresholds: bool,
    /// Narrowest words in bits.
    pub narrowest: u32,
    /// Candidates of an NSGA-II generation.
    pub population: usize,
    /// Generations; 0 for the greedy search alone.
    pub generations: usize,
    /// Calibration images.
    pub calibration: usize,
    /// Seed.
    pub seed: u64,
}

/// What is to be least.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cost {
    /// Bits of all weights and of the feature maps of an image.
    Bits,
    /// Energy of an image on the hardware.
    Energy,
    /// Cycles of an image on the hardware.
    Cycles,
}

impl std::str::FromStr for Cost {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "bits" => Ok(Self::Bits),
            "energy" => Ok(Self::Energy),
            "cycles" => Ok(Self::Cycles),
            _ => Err(Error::new(format_args!("cost `{text}`"), "is not known")
                .remedy("use bits, energy or cycles")),
        }
    }
}

/// The results.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Search {
    /// Version of the JSON schema.
    pub schema_version: u32,
    /// Network.
    pub network: String,
    /// Hardware model.
    pub hardware: String,
    /// Dataset.
    pub dataset: String,
    /// Fraction of the images that may be lost.
    pub loss: f64,
    /// What was to be least.
    pub cost: Cost,
    /// Fraction that the float network has right: tuning images, held-out images.
    pub float: [f64; 2],
    /// All words of 8 bits.
    pub eight_bits: Candidate,
    /// The cheapest design found whose loss on the tuning images is safely below what is allowed.
    pub chosen: Candidate,
    /// The designs on the Pareto front of loss and cost, on the tuning images first tried.
    pub front: Vec<FrontPoint>,
    /// The chosen formats by site.
    pub sites: Vec<SiteChoice>,
    /// The chosen design as a plan file, with accumulators that are proven safe.
    pub plan: String,
}

/// A design.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Candidate {
    /// Widths by site, in the order of `sites`.
    pub widths: Vec<u32>,
    /// Fractions of the largest word below which output words become zero, by site; none unless
    /// thresholds were searched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<f64>,
    /// Bits of all weights.
    pub weight_bits: u64,
    /// Bits of the feature maps of an image.
    pub activation_bits: u64,
    /// Energy of an image in pJ.
    pub energy_pj: f64,
    /// Cycles of an image.
    pub cycles: f64,
    /// On the images that the search saw.
    pub tuning: Score,
    /// On the images that it did not see.
    pub held_out: Score,
}

/// A design that was tried.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FrontPoint {
    /// Widths by site.
    pub widths: Vec<u32>,
    /// Thresholds by site, as of a candidate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<f64>,
    /// Fraction of images lost against the float network.
    pub loss: f64,
    /// Cost in bits, pJ or cycles.
    pub cost: f64,
}

/// The words of a site.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SiteChoice {
    /// Layer.
    pub layer: String,
    /// `weights` or `output`.
    pub site: String,
    /// Format.
    pub format: String,
    /// Value below which its words become zero, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// The narrowest accumulator of the layer that is proven safe, in bits; of weights.
    pub accumulator_bits: Option<u32>,
}

/// Searches; `progress` hears what is being done.
///
/// # Errors
/// If the network has no weights or too few images, thresholds cannot save what is to be least, or a
/// design does not fit the hardware.
pub fn search(
    model: &Model,
    data: &Data,
    hardware: &Hardware,
    settings: &SearchSettings,
    progress: impl Fn(&str) + Sync,
) -> Result<Search> {
    let Data::Images { source, images } = data else {
        return Err(Error::new(&model.network.name, "has no images to lose accuracy on")
            .remedy("use a network with weights and a dataset"));
    };
    if *images < 2 {
        return Err(Error::new(
            "images",
            "one image cannot be split into tuning and held-out ones",
        )
        .remedy("give at least 2"));
    }
    if !(1..=WIDEST).contains(&settings.narrowest) {
        return Err(Error::new("--narrowest", format_args!("1 to {WIDEST} bits are expected")));
    }
    if settings.thresholds {
        check_thresholds(settings.cost, hardware)?;
    }
    progress("calibrating");
    let widths: Vec<u32> = (settings.narrowest..=WIDEST).collect();
    let formats = Formats::new(model, &widths, source.calibration.as_ref(), settings.calibration)?;
    let mut choices = Choices::widths(formats, settings.narrowest);
    let lowered = choices.lower(&choices.dearest())?;
    if settings.thresholds {
        choices.add_thresholds(&lowered);
    }
    let half = images / 2;
    let searcher = Searcher {
        choices,
        images: &source.test,
        tuning: half,
        hardware,
        settings,
        known: Mutex::new(HashMap::new()),
    };
    let base = searcher.bind(&lowered)?;
    let baseline = (lowered.baseline.as_ref())
        .ok_or_else(|| Error::new(&model.network.name, "has no float network"))?;
    let tuning = Probe::new(&base, baseline, &source.test, 0..half)?;
    let first = Probe::new(&base, baseline, &source.test, 0..half.min(FIRST))?;
    progress("greedy search");
    let few = Probe::new(&base, baseline, &source.test, 0..half.min(NOISE))?;
    let path = searcher.path(&few)?;
    let found = searcher.greedy(&path, &first, &tuning)?;
    let found = searcher.trade(found, &first, &tuning)?;
    progress("NSGA-II");
    let float_first = first.float_rate();
    let front = if settings.generations > 0 {
        let nsga = Nsga {
            ranges: searcher.choices.ranges(),
            population: settings.population,
            generations: settings.generations,
            seed: settings.seed,
        };
        let step = path.len().div_ceil(settings.population.max(1)).max(1);
        let initial = path.iter().step_by(step).chain([&found]).cloned().collect();
        let objectives = |genome: &Genome| {
            let words = searcher.bind(&searcher.choices.lower(genome)?)?;
            let score = first.score(&words, 0)?;
            Ok(vec![(float_first - score.rate).max(0.0), searcher.cost(genome)?])
        };
        nsga.run(initial, |genomes| genomes.par_iter().map(objectives).collect())?
    } else {
        Vec::new()
    };
    progress("choosing");
    let chosen = searcher.choose(found, &front, &first, &tuning)?;
    let held_out = Probe::new(&base, baseline, &source.test, half..*images)?;
    let candidate = |genome: &Genome| searcher.candidate(genome, &tuning, &held_out);
    let (sites, plan) = searcher.describe(&chosen)?;
    Ok(Search {
        schema_version: 1,
        network: model.network.name.clone(),
        hardware: hardware.name.clone(),
        dataset: data.name().to_owned(),
        loss: settings.loss,
        cost: settings.cost,
        float: [tuning.float_rate(), held_out.float_rate()],
        eight_bits: candidate(&searcher.choices.dearest())?,
        chosen: candidate(&chosen)?,
        front: front
            .iter()
            .map(|candidate| FrontPoint {
                widths: searcher.widths(&candidate.genome),
                thresholds: searcher.thresholds(&candidate.genome),
                loss: candidate.objectives[0],
                cost: candidate.objectives[1],
            })
            .collect(),
        sites,
        plan,
    })
}

/// Refuses thresholds where more zeros are worth nothing.
fn check_thresholds(cost: Cost, hardware: &Hardware) -> Result<()> {
    let refuse =
        |problem: &str, remedy: &str| Err(Error::new("--thresholds", problem).remedy(remedy));
    let zeros = hardware.zeros.activations;
    match (cost, zeros) {
        (Cost::Bits, _) => refuse(
            "save no bits: a zero takes as many as any word",
            "add --cost energy or --cost cycles",
        ),
        (_, ZeroHandling::None) => refuse(
            &format!("save nothing on {}, which multiplies zero activations", hardware.name),
            "use hardware that skips or gates them, such as lanes_act_16x16",
        ),
        (Cost::Cycles, ZeroHandling::Gate) => refuse(
            &format!("save no cycles on {}, which gates zero activations", hardware.name),
            "use --cost energy, or hardware that skips them, such as lanes_act_16x16",
        ),
        _ => Ok(()),
    }
}
