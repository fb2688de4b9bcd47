//! The greedy part of a search: from 8 bits down by measured noise and saving, then gene by gene.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::searcher::Searcher;
use crate::error::Result;
use crate::explore::nsga::Genome;
use crate::explore::probe::Probe;

/// Trades of one step for another that are tried, at most.
const TRADES: usize = 60;

/// By gene and value: the noise of the outputs, relative to their power, and the cost, if that gene
/// alone is not at its dearest.
type Alone = BTreeMap<(usize, u32), (f64, f64)>;

impl Searcher<'_> {
    /// Each gene alone at each value.
    fn alone(&self, probe: &Probe) -> Result<Alone> {
        let ranges = self.choices.ranges();
        let tasks: Vec<(usize, u32)> = (ranges.into_iter().enumerate())
            .flat_map(|(gene, range)| range.map(move |value| (gene, value)))
            .collect();
        let of = |&(gene, value): &(usize, u32)| {
            let mut genome = self.choices.dearest();
            genome[gene] = value;
            let lowered = self.choices.lower(&genome)?;
            // Layers before the one that it changes are those of the base.
            let layers = &lowered.network.layers;
            let layer = self.choices.layer(gene);
            let first = layers.iter().position(|l| l.name == layer).unwrap_or(0);
            let score = probe.score(&self.bind(&lowered)?, first)?;
            let noise = score.sqnr_db.map_or(0.0, |db| 10f64.powf(-db / 10.0));
            Ok(((gene, value), (noise, self.cost(&genome)?)))
        };
        tasks.par_iter().map(of).collect()
    }

    /// Designs from the dearest to the cheapest, each with one gene a step cheaper than the one
    /// before: the step that saves most for the noise that it adds.
    pub fn path(&self, probe: &Probe) -> Result<Vec<Genome>> {
        let alone = self.alone(probe)?;
        let mut genome = self.choices.dearest();
        let mut path = vec![genome.clone()];
        loop {
            let gain = |gene: usize| {
                let (noise_before, cost_before) = alone[&(gene, genome[gene])];
                let (noise, cost) = alone[&(gene, genome[gene] - 1)];
                (cost_before - cost) / (noise - noise_before).max(f64::MIN_POSITIVE)
            };
            let ranges = self.choices.ranges();
            let genes = (0..genome.len()).filter(|&gene| genome[gene] > *ranges[gene].start());
            // Of equal gains the first gene.
            let best = genes
                .map(|gene| (gain(gene), gene))
                .reduce(|best, next| if next.0 > best.0 { next } else { best });
            let Some((_, gene)) = best else { return Ok(path) };
            genome[gene] -= 1;
            path.push(genome.clone());
        }
    }

    /// The last design of the path that is safe, found by bisection, and from there every further
    /// step that can be spared, to the cheapest first.
    pub fn greedy(&self, path: &[Genome], first: &Probe, tuning: &Probe) -> Result<Genome> {
        let (mut good, mut bad) = (0, path.len());
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            let safe = self.is_safe(&path[middle], first, tuning)?;
            *(if safe { &mut good } else { &mut bad }) = middle;
        }
        let mut genome = path[good].clone();
        let relaxed = self.relaxed(&genome)?;
        if relaxed != genome && self.is_safe(&relaxed, first, tuning)? {
            genome = relaxed;
        }
        let mut closed = vec![false; genome.len()];
        loop {
            let cheaper = |gene| Some((gene, self.choices.cheaper(&genome, gene)?));
            let steps: Vec<(usize, Genome)> =
                (0..genome.len()).filter(|&gene| !closed[gene]).filter_map(cheaper).collect();
            let costs = self.costs(steps.iter().map(|step| &step.1))?;
            let cost = self.cost(&genome)?;
            let cheapest = (costs.into_iter().zip(steps))
                .filter(|step| step.0 < cost)
                .reduce(|best, next| if next.0 < best.0 { next } else { best });
            let Some((_, (gene, next))) = cheapest else { return Ok(genome) };
            if self.is_safe(&next, first, tuning)? {
                genome = next;
            } else {
                closed[gene] = true;
            }
        }
    }

    /// A design with every step taken back that saves nothing.
    fn relaxed(&self, genome: &Genome) -> Result<Genome> {
        let mut genome = genome.clone();
        for gene in 0..genome.len() {
            while let Some(next) = self.choices.dearer(&genome, gene) {
                if self.cost(&next)? > self.cost(&genome)? {
                    break;
                }
                genome = next;
            }
        }
        Ok(genome)
    }

    /// Trades steps: one gene cheaper and another dearer where that is cheaper and safe, the greatest
    /// saving first, until no trade is left or [`TRADES`] were tried.
    pub fn trade(&self, mut genome: Genome, first: &Probe, tuning: &Probe) -> Result<Genome> {
        let mut tried = 0;
        loop {
            let cost = self.cost(&genome)?;
            let genes = 0..genome.len();
            let trades: Vec<Genome> = (genes.clone())
                .filter_map(|down| Some((down, self.choices.cheaper(&genome, down)?)))
                .flat_map(|(down, next)| {
                    let others = genes.clone().filter(move |&up| up != down);
                    others.filter_map(move |up| self.choices.dearer(&next, up))
                })
                .collect();
            let costs = self.costs(trades.iter())?;
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
}
