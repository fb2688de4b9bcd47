//! The cheapest word widths of each site for a stated loss of accuracy.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::evaluate::{activation_bits, weight_bits};
use super::formats::{Formats, Rule};
use super::nsga::{Genome, Nsga};
use super::probe::{Probe, Score};
use super::subject::Data;
use super::takes::Takes;
use crate::error::{Error, Result};
use crate::hardware::Hardware;
use crate::network::Model;
use crate::quantize::Lowered;
use crate::simulate::{BoundNetwork, Survey};

/// The 8-bit design, from which the search departs.
const WIDEST: u32 = 8;
/// Images on which a candidate is first tried, at most.
const FIRST: usize = 1000;
/// Images on which the noise of a site is measured, at most.
const NOISE: usize = 200;
/// Designs of the front that are tried on all tuning images, at most.
const CHECKED: usize = 10;
/// Trades of one bit for another that are tried, at most.
const TRADES: usize = 60;
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
    let few = Probe::new(&base, baseline, &source.test, 0..half.min(NOISE))?;
    let path = searcher.path(&searcher.sensitivity(&few)?);
    let found = searcher.greedy(&path, &first, &tuning)?;
    let found = searcher.trade(found, &first, &tuning)?;
    progress("NSGA-II");
    let float_first = first.float_rate();
    let front = if settings.generations > 0 {
        let nsga = Nsga {
            range: settings.narrowest..=WIDEST,
            population: settings.population,
            generations: settings.generations,
            seed: settings.seed,
        };
        let step = path.len().div_ceil(settings.population.max(1)).max(1);
        let initial = path.iter().step_by(step).chain([&found]).cloned().collect();
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
        Ok(Takes::new(&survey, &surveyed, hardware, None)?.energy_pj)
    }

    /// Whether a score is safely within the loss: with d images lost against the float network,
    /// d + 1.645 · √d of them, the upper end of a one-sided 95 % interval of a Poisson count, are.
    fn safe(&self, score: &Score, float: f64) -> bool {
        let lost = ((float - score.rate) * score.images as f64).max(0.0);
        lost + 1.645 * lost.sqrt() <= self.settings.loss * score.images as f64 + 1e-9
    }

    /// By site and width: the noise of the outputs, relative to their power, and the cost, if that
    /// site alone is not of 8 bits.
    fn sensitivity(&self, probe: &Probe) -> Result<BTreeMap<(usize, u32), (f64, f64)>> {
        let sites = 0..self.sites.len();
        let tasks: Vec<(usize, u32)> = sites
            .flat_map(|site| (self.settings.narrowest..=WIDEST).map(move |bits| (site, bits)))
            .collect();
        let of = |&(site, bits): &(usize, u32)| {
            let mut genome = vec![WIDEST; self.sites.len()];
            genome[site] = bits;
            let lowered = self.lower(&genome)?;
            let score = probe.score(&self.bind(&lowered)?, self.first_layer(&lowered, site))?;
            let noise = score.sqnr_db.map_or(0.0, |db| 10f64.powf(-db / 10.0));
            Ok(((site, bits), (noise, self.cost(&lowered)?)))
        };
        tasks.par_iter().map(of).collect()
    }

    /// Designs from all of 8 bits to all of the narrowest, each with one site a bit narrower than the
    /// one before: the step that saves most for the noise that it adds.
    fn path(&self, sensitivity: &BTreeMap<(usize, u32), (f64, f64)>) -> Vec<Genome> {
        let mut genome = vec![WIDEST; self.sites.len()];
        let mut path = vec![genome.clone()];
        loop {
            let gain = |site: usize| {
                let (noise_before, cost_before) = sensitivity[&(site, genome[site])];
                let (noise, cost) = sensitivity[&(site, genome[site] - 1)];
                (cost_before - cost) / (noise - noise_before).max(f64::MIN_POSITIVE)
            };
            let steps = (0..self.sites.len()).filter(|&s| genome[s] > self.settings.narrowest);
            // Of equal gains the first site.
            let best = steps
                .map(|site| (gain(site), site))
                .reduce(|best, next| if next.0 > best.0 { next } else { best });
            let Some((_, site)) = best else { return path };
            genome[site] -= 1;
            path.push(genome.clone());
        }
    }

    /// The last design of the path that is safe, found by bisection, and from there every further bit
    /// that can be spared, the costliest site first.
    fn greedy(&self, path: &[Genome], first: &Probe, tuning: &Probe) -> Result<Genome> {
        let (mut good, mut bad) = (0, path.len());
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            let safe = self.is_safe(&path[middle], first, tuning)?;
            *(if safe { &mut good } else { &mut bad }) = middle;
        }
        let mut genome = path[good].clone();
        let cost = |genome: &Genome| self.cost(&self.lower(genome)?);
        let mut open: Vec<bool> = genome.iter().map(|&b| b > self.settings.narrowest).collect();
        loop {
            let mut cheapest: Option<(f64, usize)> = None;
            for site in (0..open.len()).filter(|&site| open[site]) {
                let mut next = genome.clone();
                next[site] -= 1;
                let cost = cost(&next)?;
                if cheapest.is_none_or(|best| cost < best.0) {
                    cheapest = Some((cost, site));
                }
            }
            let Some((_, site)) = cheapest else { return Ok(genome) };
            genome[site] -= 1;
            if !self.is_safe(&genome, first, tuning)? {
                genome[site] += 1;
                open[site] = false;
            }
            open[site] &= genome[site] > self.settings.narrowest;
        }
    }

    /// Trades bits: one site narrower and another wider where that is cheaper and safe, the greatest
    /// saving first, until no trade is left or [`TRADES`] were tried.
    fn trade(&self, mut genome: Genome, first: &Probe, tuning: &Probe) -> Result<Genome> {
        let sites = 0..genome.len();
        let mut tried = 0;
        loop {
            let cost = self.cost(&self.lower(&genome)?)?;
            let trades: Vec<Genome> = sites
                .clone()
                .flat_map(|down| sites.clone().map(move |up| (down, up)))
                .filter(|&(down, up)| {
                    down != up && genome[down] > self.settings.narrowest && genome[up] < WIDEST
                })
                .map(|(down, up)| {
                    let mut next = genome.clone();
                    next[down] -= 1;
                    next[up] += 1;
                    next
                })
                .collect();
            let costs: Vec<f64> = trades
                .par_iter()
                .map(|next| self.cost(&self.lower(next)?))
                .collect::<Result<_>>()?;
            let mut order: Vec<usize> = (0..trades.len()).filter(|&t| costs[t] < cost).collect();
            order.sort_by(|&a, &b| costs[a].total_cmp(&costs[b]));
            let mut better = None;
            for trade in order {
                if tried == TRADES {
                    return Ok(genome);
                }
                tried += 1;
                if self.is_safe(&trades[trade], first, tuning)? {
                    better = Some(trade);
                    break;
                }
            }
            match better {
                Some(trade) => genome.clone_from(&trades[trade]),
                None => return Ok(genome),
            }
        }
    }

    /// Whether a design is safe on the tuning images; not, if it loses far too many of the first.
    fn is_safe(&self, genome: &Genome, first: &Probe, tuning: &Probe) -> Result<bool> {
        let words = self.bind(&self.lower(genome)?)?;
        let glance = first.score(&words, 0)?;
        let allowed = self.settings.loss * glance.images as f64;
        let lost = (first.float_rate() - glance.rate) * glance.images as f64;
        if lost > allowed + 2.0 * allowed.sqrt() + 1.0 {
            return Ok(false);
        }
        Ok(self.safe(&tuning.score(&words, 0)?, tuning.float_rate()))
    }

    /// The first layer that the width of a site changes.
    fn first_layer(&self, lowered: &Lowered, site: usize) -> usize {
        let (layer, _) = &self.sites[site];
        lowered.network.layers.iter().position(|l| l.name == *layer).unwrap_or(0)
    }

    /// The cheapest of the design `found` and the few cheapest of the front that is safe.
    fn choose(
        &self,
        found: Genome,
        front: &[super::nsga::Candidate],
        first: &Probe,
        tuning: &Probe,
    ) -> Result<Genome> {
        let cost = self.cost(&self.lower(&found)?)?;
        let promising = |candidate: &&super::nsga::Candidate| {
            candidate.objectives[0] <= self.settings.loss && candidate.objectives[1] < cost
        };
        let mut cheaper: Vec<_> = front.iter().filter(promising).collect();
        cheaper.sort_by(|a, b| a.objectives[1].total_cmp(&b.objectives[1]));
        for candidate in cheaper.into_iter().take(CHECKED) {
            if self.is_safe(&candidate.genome, first, tuning)? {
                return Ok(candidate.genome.clone());
            }
        }
        Ok(found)
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
