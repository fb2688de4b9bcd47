//! The cheapest word widths of each site for a stated loss of accuracy.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::evaluate::{activation_bits, weight_bits};
use super::formats::{Formats, Rule};
use super::nsga::{Genome, Nsga};
use super::probe::{Probe, Score};
use super::subject::Data;
use crate::cost::energy;
use crate::error::{Error, Result};
use crate::hardware::Hardware;
use crate::mapping::map;
use crate::network::Model;
use crate::quantize::Lowered;
use crate::report::Totals;
use crate::simulate::{BoundNetwork, Survey};

/// The 8-bit design, from which the search departs.
const WIDEST: u32 = 8;
/// Images on which a candidate is first tried, at most.
const FIRST: usize = 1000;
/// Images whose mean energy stands for a candidate's, at most.
const COSTED: usize = 16;

/// How to search.
#[derive(Clone, PartialEq, Debug)]
pub struct SearchSettings {
    /// Fraction of the images that may be lost against the float network.
    pub loss: f64,
    /// What is to be least.
    pub cost: Cost,
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
}

impl std::str::FromStr for Cost {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "bits" => Ok(Self::Bits),
            "energy" => Ok(Self::Energy),
            _ => Err(Error::new(format_args!("cost `{text}`"), "is not known")
                .remedy("use bits or energy")),
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
    /// Bits of all weights.
    pub weight_bits: u64,
    /// Bits of the feature maps of an image.
    pub activation_bits: u64,
    /// Energy of an image in pJ.
    pub energy_pj: f64,
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
    /// Fraction of images lost against the float network.
    pub loss: f64,
    /// Cost in bits or pJ.
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
    /// The narrowest accumulator of the layer that is proven safe, in bits; of weights.
    pub accumulator_bits: Option<u32>,
}

/// A site whose width is chosen.
type Site = (String, &'static str);

struct Searcher<'a> {
    formats: Formats,
    sites: Vec<Site>,
    data: &'a Data,
    hardware: &'a Hardware,
    settings: &'a SearchSettings,
}

/// Searches; `progress` hears what is being done.
///
/// # Errors
/// If the network has no weights or too few images, or a design does not fit the hardware.
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
    progress("calibrating");
    let widths: Vec<u32> = (settings.narrowest..=WIDEST).collect();
    let formats = Formats::new(model, &widths, source.calibration.as_ref(), settings.calibration)?;
    let sites = formats.sites(WIDEST);
    let searcher = Searcher { formats, sites, data, hardware, settings };
    let eight = vec![WIDEST; searcher.sites.len()];
    let lowered = searcher.lower(&eight)?;
    let base = searcher.bind(&lowered)?;
    let baseline = (lowered.baseline.as_ref())
        .ok_or_else(|| Error::new(&model.network.name, "has no float network"))?;
    let half = images / 2;
    let tuning = Probe::new(&base, baseline, &source.test, 0..half)?;
    let first = Probe::new(&base, baseline, &source.test, 0..half.min(FIRST))?;
    progress("greedy search");
    let path = searcher.greedy(&first, &tuning)?;
    let mut tried = path.clone();
    progress("NSGA-II");
    let float_first = first.float_rate();
    let front = if settings.generations > 0 {
        let nsga = Nsga {
            range: settings.narrowest..=WIDEST,
            population: settings.population,
            generations: settings.generations,
            seed: settings.seed,
        };
        let step = path.len().div_ceil(settings.population.max(1));
        let initial: Vec<Genome> = path.iter().rev().step_by(step.max(1)).cloned().collect();
        nsga.run(initial, |genomes| {
            genomes
                .par_iter()
                .map(|genome| {
                    let lowered = searcher.lower(genome)?;
                    let score = first.score(&searcher.bind(&lowered)?, 0)?;
                    Ok(vec![(float_first - score.rate).max(0.0), searcher.cost(&lowered)?])
                })
                .collect()
        })?
    } else {
        Vec::new()
    };
    tried.extend(front.iter().map(|candidate| candidate.genome.clone()));
    progress("choosing");
    let chosen = searcher.choose(tried, &tuning)?;
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
        eight_bits: candidate(&eight)?,
        chosen: candidate(&chosen)?,
        front: front
            .iter()
            .map(|candidate| FrontPoint {
                widths: candidate.genome.clone(),
                loss: candidate.objectives[0],
                cost: candidate.objectives[1],
            })
            .collect(),
        sites,
        plan,
    })
}

impl Searcher<'_> {
    fn rules(&self, genome: &Genome) -> String {
        let mut text = String::new();
        for ((layer, site), &bits) in self.sites.iter().zip(genome) {
            if let Some(format) = self.formats.at(layer, site, bits) {
                Rule { layer, site, format, rounding: None, threshold: None }.write(&mut text);
            }
        }
        text
    }

    fn lower(&self, genome: &Genome) -> Result<Lowered> {
        self.formats.lower(&self.rules(genome))
    }

    fn bind(&self, lowered: &Lowered) -> Result<BoundNetwork> {
        BoundNetwork::bind(&lowered.network, &self.hardware.datapath, self.settings.seed)
    }

    /// The cost of a design.
    fn cost(&self, lowered: &Lowered) -> Result<f64> {
        match self.settings.cost {
            Cost::Bits => {
                let words = self.bind(lowered)?;
                let bits = weight_bits(&words) + activation_bits(&words, &lowered.network.layers);
                Ok(bits as f64)
            }
            Cost::Energy => self.energy_pj(lowered),
        }
    }

    /// Mean energy of an image, over a few.
    fn energy_pj(&self, lowered: &Lowered) -> Result<f64> {
        let Data::Images { source, images } = self.data else { return Ok(0.0) };
        let hardware = self.hardware;
        let survey = Survey::new(&lowered.network, vec![hardware], self.settings.seed)?;
        let image = |index| source.test.image(index);
        let surveyed = survey.run((*images).min(COSTED), None, image, |_, _| (), |_| ())?;
        let counts = survey
            .counts(&surveyed, 0, hardware, |layer, problem, _| map(layer, problem, hardware))?;
        let mut totals = Totals::default();
        for (index, counts) in counts.iter().enumerate() {
            let spent = energy(counts, &survey.bits(index), hardware);
            totals.add(counts, &spent, survey.problem(index).is_some());
        }
        Ok(totals.energy.total_pj() / surveyed.images() as f64)
    }

    /// Whether a score is safely within the loss: with d images lost against the float network,
    /// d + 1.645 · √d of them, the upper end of a one-sided 95 % interval of a Poisson count, are.
    fn safe(&self, score: &Score, float: f64) -> bool {
        let lost = ((float - score.rate) * score.images as f64).max(0.0);
        lost + 1.645 * lost.sqrt() <= self.settings.loss * score.images as f64 + 1e-9
    }

    /// Narrows site by site, from 8 bits down, always the step that saves most for the images that it
    /// is expected to lose, as long as the tuning images allow. Returns the designs on the way.
    fn greedy(&self, first: &Probe, tuning: &Probe) -> Result<Vec<Genome>> {
        let narrowest = self.settings.narrowest;
        let eight = vec![WIDEST; self.sites.len()];
        let sensitivity: BTreeMap<(usize, u32), (f64, f64)> = (0..self.sites.len())
            .flat_map(|site| (narrowest..=WIDEST).map(move |bits| (site, bits)))
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|(site, bits)| {
                let mut genome = eight.clone();
                genome[site] = bits;
                let lowered = self.lower(&genome)?;
                let begin = self.first_layer(&lowered, site);
                let score = first.score(&self.bind(&lowered)?, begin)?;
                Ok(((site, bits), (1.0 - score.rate, self.cost(&lowered)?)))
            })
            .collect::<Result<_>>()?;
        let mut genome = eight;
        let mut open: Vec<bool> = vec![true; self.sites.len()];
        let mut path = vec![genome.clone()];
        let unit = 1.0 / first.len().max(1) as f64;
        loop {
            let steps = (0..self.sites.len()).filter(|&s| open[s] && genome[s] > narrowest);
            let gain = |site: usize| {
                let (lost_before, cost_before) = sensitivity[&(site, genome[site])];
                let (lost, cost) = sensitivity[&(site, genome[site] - 1)];
                (cost_before - cost) / ((lost - lost_before).max(0.0) + unit)
            };
            // Of equal gains the first site.
            let best = steps
                .map(|site| (gain(site), site))
                .reduce(|best, next| if next.0 > best.0 { next } else { best });
            let Some((_, site)) = best else { return Ok(path) };
            genome[site] -= 1;
            let score = tuning.score(&self.bind(&self.lower(&genome)?)?, 0)?;
            if self.safe(&score, tuning.float_rate()) {
                path.push(genome.clone());
            } else {
                genome[site] += 1;
                open[site] = false;
            }
        }
    }

    /// The first layer that the width of a site changes.
    fn first_layer(&self, lowered: &Lowered, site: usize) -> usize {
        let (layer, _) = &self.sites[site];
        lowered.network.layers.iter().position(|l| l.name == *layer).unwrap_or(0)
    }

    /// The cheapest design that is safe on the tuning images; all of 8 bits if none is.
    fn choose(&self, mut tried: Vec<Genome>, tuning: &Probe) -> Result<Genome> {
        tried.sort();
        tried.dedup();
        let costs: Vec<f64> = tried
            .par_iter()
            .map(|genome| self.cost(&self.lower(genome)?))
            .collect::<Result<_>>()?;
        let mut order: Vec<usize> = (0..tried.len()).collect();
        order.sort_by(|&a, &b| costs[a].total_cmp(&costs[b]));
        for index in order {
            let score = tuning.score(&self.bind(&self.lower(&tried[index])?)?, 0)?;
            if self.safe(&score, tuning.float_rate()) {
                return Ok(tried.swap_remove(index));
            }
        }
        Ok(vec![WIDEST; self.sites.len()])
    }

    fn candidate(&self, genome: &Genome, tuning: &Probe, held_out: &Probe) -> Result<Candidate> {
        let lowered = self.lower(genome)?;
        let words = self.bind(&lowered)?;
        Ok(Candidate {
            widths: genome.clone(),
            weight_bits: weight_bits(&words),
            activation_bits: activation_bits(&words, &lowered.network.layers),
            energy_pj: self.energy_pj(&lowered)?,
            tuning: tuning.score(&words, 0)?,
            held_out: held_out.score(&words, 0)?,
        })
    }

    /// The formats of a design, and its plan, in which every accumulator is as narrow as is proven
    /// never to overflow.
    fn describe(&self, genome: &Genome) -> Result<(Vec<SiteChoice>, String)> {
        let words = self.bind(&self.lower(genome)?)?;
        let mut rules = self.rules(genome);
        let mut choices = Vec::new();
        for ((layer, site), &bits) in self.sites.iter().zip(genome) {
            let mac = words.layers().iter().find(|l| l.name() == layer).and_then(|l| l.mac());
            let mac = mac.filter(|_| *site == "weights");
            let accumulator = match mac {
                Some(mac) => {
                    let needed = mac.accumulator_bits_needed();
                    let point = mac.spec().accumulator.to().frac();
                    let format = crate::numeric::Format::new(true, needed, point)?;
                    let site = "accumulator";
                    Rule { layer, site, format, rounding: None, threshold: None }.write(&mut rules);
                    Some(needed)
                }
                None => None,
            };
            choices.push(SiteChoice {
                layer: layer.clone(),
                site: (*site).to_owned(),
                format: self.formats.at(layer, site, bits).map_or("".into(), |f| f.to_string()),
                accumulator_bits: accumulator,
            });
        }
        let head = format!("# Found by `bittrue search`.\nname = \"searched\"\n\n{rules}");
        Ok((choices, head))
    }
}
