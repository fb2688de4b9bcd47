//! What a design of a search is worth: its cost, and whether its loss is safe.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::choices::Choices;
use super::{CHECKED, Candidate, Cost, SearchSettings, SiteChoice};
use crate::dataset::Dataset;
use crate::error::Result;
use crate::explore::evaluate::{activation_bits, weight_bits};
use crate::explore::formats::Rule;
use crate::explore::nsga::{self, Genome};
use crate::explore::probe::{Probe, Score};
use crate::explore::takes::Takes;
use crate::hardware::Hardware;
use crate::numeric::Format;
use crate::quantize::Lowered;
use crate::simulate::{BoundNetwork, Survey};

/// Images whose mean stands for what a design takes, at most.
const COSTED: usize = 16;

pub(super) struct Searcher<'a> {
    pub choices: Choices,
    pub images: &'a Dataset,
    /// Images that the search sees, from the first.
    pub tuning: usize,
    pub hardware: &'a Hardware,
    pub settings: &'a SearchSettings,
    /// Costs that are known.
    pub known: Mutex<HashMap<Genome, f64>>,
}

impl Searcher<'_> {
    pub fn bind(&self, lowered: &Lowered) -> Result<BoundNetwork> {
        BoundNetwork::bind(&lowered.network, &self.hardware.datapath, self.settings.seed)
    }

    /// The cost of a design.
    pub fn cost(&self, genome: &Genome) -> Result<f64> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&cost) = known().get(genome) {
            return Ok(cost);
        }
        let lowered = self.choices.lower(genome)?;
        let cost = match self.settings.cost {
            Cost::Bits => {
                let words = self.bind(&lowered)?;
                (weight_bits(&words) + activation_bits(&words, &lowered.network.layers)) as f64
            }
            Cost::Energy => self.takes(&lowered)?.energy_pj,
            Cost::Cycles => self.takes(&lowered)?.cycles,
        };
        known().insert(genome.clone(), cost);
        Ok(cost)
    }

    /// The costs of several designs.
    pub fn costs<'g>(&self, genomes: impl Iterator<Item = &'g Genome>) -> Result<Vec<f64>> {
        let genomes: Vec<&Genome> = genomes.collect();
        genomes.par_iter().map(|genome| self.cost(genome)).collect()
    }

    /// What an image takes: the mean over a few, with the zeros of their words.
    fn takes(&self, lowered: &Lowered) -> Result<Takes> {
        let survey = Survey::new(&lowered.network, vec![self.hardware], self.settings.seed)?;
        let image = |index| self.images.image(index);
        let surveyed = survey.run(self.tuning.min(COSTED), None, image, |_, _| (), |_| ())?;
        Takes::new(&survey, &surveyed, self.hardware, None)
    }

    /// Whether a score is safely within the loss: with d images lost against the float network,
    /// d + 1.645 · √d of them, the upper end of a one-sided 95 % interval of a Poisson count, are.
    fn safe(&self, score: &Score, float: f64) -> bool {
        let lost = ((float - score.rate) * score.images as f64).max(0.0);
        lost + 1.645 * lost.sqrt() <= self.settings.loss * score.images as f64 + 1e-9
    }

    /// Whether a design is safe on the tuning images; not, if it loses far too many of the first.
    pub fn is_safe(&self, genome: &Genome, first: &Probe, tuning: &Probe) -> Result<bool> {
        let words = self.bind(&self.choices.lower(genome)?)?;
        let glance = first.score(&words, 0)?;
        let allowed = self.settings.loss * glance.images as f64;
        let lost = (first.float_rate() - glance.rate) * glance.images as f64;
        if lost > allowed + 2.0 * allowed.sqrt() + 1.0 {
            return Ok(false);
        }
        Ok(self.safe(&tuning.score(&words, 0)?, tuning.float_rate()))
    }

    /// The cheapest of the design `found` and the few cheapest of the front that is safe.
    pub fn choose(
        &self,
        found: Genome,
        front: &[nsga::Candidate],
        first: &Probe,
        tuning: &Probe,
    ) -> Result<Genome> {
        let cost = self.cost(&found)?;
        let promising = |candidate: &&nsga::Candidate| {
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

    /// Fractions of the largest word below which words of a site become zero, by site; none where
    /// thresholds are not chosen.
    pub fn thresholds(&self, genome: &Genome) -> Vec<f64> {
        if !self.choices.has_thresholds() {
            return Vec::new();
        }
        let of = |site| self.choices.threshold(genome, site).map_or(0.0, |t| t.fraction);
        (0..self.choices.sites().len()).map(of).collect()
    }

    /// The widths by site.
    pub fn widths(&self, genome: &Genome) -> Vec<u32> {
        genome[..self.choices.sites().len()].to_vec()
    }

    /// A design as it is reported.
    pub fn candidate(
        &self,
        genome: &Genome,
        tuning: &Probe,
        held_out: &Probe,
    ) -> Result<Candidate> {
        let lowered = self.choices.lower(genome)?;
        let words = self.bind(&lowered)?;
        let takes = self.takes(&lowered)?;
        Ok(Candidate {
            widths: self.widths(genome),
            thresholds: self.thresholds(genome),
            weight_bits: weight_bits(&words),
            activation_bits: activation_bits(&words, &lowered.network.layers),
            energy_pj: takes.energy_pj,
            cycles: takes.cycles,
            tuning: tuning.score(&words, 0)?,
            held_out: held_out.score(&words, 0)?,
        })
    }

    /// The words of a design by site, and its plan, in which every accumulator is as narrow as is
    /// proven never to overflow.
    pub fn describe(&self, genome: &Genome) -> Result<(Vec<SiteChoice>, String)> {
        let words = self.bind(&self.choices.lower(genome)?)?;
        let mut rules = self.choices.rules(genome);
        let mut sites = Vec::new();
        for (index, (layer, site)) in self.choices.sites().iter().enumerate() {
            let mac = words.layers().iter().find(|l| l.name() == layer).and_then(|l| l.mac());
            let mac = mac.filter(|_| *site == "weights");
            let accumulator = match mac {
                Some(mac) => {
                    let needed = mac.accumulator_bits_needed();
                    let point = mac.spec().accumulator.to().frac();
                    let format = Format::new(true, needed, point)?;
                    let site = "accumulator";
                    Rule { layer, site, format, rounding: None, threshold: None }.write(&mut rules);
                    Some(needed)
                }
                None => None,
            };
            let format = self.choices.format(genome, index);
            sites.push(SiteChoice {
                layer: layer.clone(),
                site: (*site).to_owned(),
                format: format.map_or(String::new(), |format| format.to_string()),
                threshold: self.choices.threshold(genome, index).map(|t| t.value),
                accumulator_bits: accumulator,
            });
        }
        let plan = format!("# Found by `bittrue search`.\nname = \"searched\"\n\n{rules}");
        Ok((sites, plan))
    }
}
