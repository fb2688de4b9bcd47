//! NSGA-II over small integers (K. Deb et al., "A fast and elitist multiobjective genetic algorithm:
//! NSGA-II", IEEE Transactions on Evolutionary Computation 6(2), 2002).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::pareto::dominates;
use crate::error::Result;
use crate::numeric::Draws;

/// A candidate: one small integer for each choice.
pub(super) type Genome = Vec<u32>;

/// What is searched, and how long.
pub(super) struct Nsga {
    /// Values of each gene.
    pub ranges: Vec<RangeInclusive<u32>>,
    /// Candidates of a generation.
    pub population: usize,
    /// Generations.
    pub generations: usize,
    /// Seed.
    pub seed: u64,
}

/// Random numbers in the order in which they are asked for.
struct Random {
    draws: Draws,
    count: u64,
}

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.count += 1;
        ((u128::from(self.draws.at(self.count)) * bound as u128) >> 64) as usize
    }
}

/// A candidate with its objectives, all to be minimised.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub genome: Genome,
    pub objectives: Vec<f64>,
}

impl Nsga {
    /// The candidates found that no other found dominates, from the population `initial` on;
    /// `evaluate` gives the objectives of candidates that were not evaluated before.
    ///
    /// # Errors
    /// Those of `evaluate`.
    pub fn run(
        &self,
        initial: Vec<Genome>,
        mut evaluate: impl FnMut(&[Genome]) -> Result<Vec<Vec<f64>>>,
    ) -> Result<Vec<Candidate>> {
        let mut random = Random { draws: Draws::new(self.seed, 1), count: 0 };
        let mut known: BTreeMap<Genome, Vec<f64>> = BTreeMap::new();
        let mut population = initial;
        for generation in 0..=self.generations {
            let mut new: Vec<Genome> =
                population.iter().filter(|genome| !known.contains_key(*genome)).cloned().collect();
            new.sort();
            new.dedup();
            let objectives = evaluate(&new)?;
            known.extend(new.into_iter().zip(objectives));
            population.sort();
            population.dedup();
            let survivors = survivors(&population, &known, self.population);
            if generation == self.generations {
                break;
            }
            population = survivors.clone();
            for _ in 0..self.population {
                population.push(self.child(&survivors, &mut random));
            }
        }
        let all: Vec<Candidate> = (known.into_iter())
            .map(|(genome, objectives)| Candidate { genome, objectives })
            .collect();
        let beaten = |c: &Candidate| all.iter().any(|o| dominates(&o.objectives, &c.objectives));
        Ok(all.iter().filter(|candidate| !beaten(candidate)).cloned().collect())
    }

    /// Uniform crossover of two tournament winners, and each gene one up or down with the
    /// probability 2 / genes. Survivors are in the order of their rank.
    fn child(&self, survivors: &[Genome], random: &mut Random) -> Genome {
        let mut parent = || random.below(survivors.len()).min(random.below(survivors.len()));
        let [a, b] = [parent(), parent()];
        let genes = survivors[a].iter().zip(&survivors[b]);
        let len = survivors[a].len();
        genes
            .zip(&self.ranges)
            .map(|((&a, &b), range)| {
                let gene = if random.below(2) == 0 { a } else { b };
                let gene = match random.below(len) {
                    0 => gene.saturating_sub(1),
                    1 => gene + 1,
                    _ => gene,
                };
                gene.clamp(*range.start(), *range.end())
            })
            .collect()
    }
}

/// The `count` best candidates, best first: by front, and in a front by crowding distance.
fn survivors(
    population: &[Genome],
    known: &BTreeMap<Genome, Vec<f64>>,
    count: usize,
) -> Vec<Genome> {
    let mut rest: Vec<(&Genome, &Vec<f64>)> =
        population.iter().map(|genome| (genome, &known[genome])).collect();
    let mut kept = Vec::new();
    while !rest.is_empty() && kept.len() < count {
        let beaten: Vec<bool> = (rest.iter())
            .map(|(_, own)| rest.iter().any(|(_, other)| dominates(other, own)))
            .collect();
        let mut front: Vec<_> = rest.iter().zip(&beaten).filter(|p| !p.1).map(|p| *p.0).collect();
        let mut flags = beaten.iter();
        rest.retain(|_| *flags.next().unwrap_or(&false));
        let objectives: Vec<&Vec<f64>> = front.iter().map(|(_, objectives)| *objectives).collect();
        let distances = crowding(&objectives);
        let mut order: Vec<usize> = (0..front.len()).collect();
        order.sort_by(|&a, &b| distances[b].total_cmp(&distances[a]));
        front = order.into_iter().map(|index| front[index]).collect();
        kept.extend(front.into_iter().map(|(genome, _)| genome.clone()));
    }
    kept.truncate(count);
    kept
}

/// The crowding distance of each member of a front: the sum over objectives of the gap between its
/// neighbours, as a fraction of the front's extent; infinite at the ends.
fn crowding(front: &[&Vec<f64>]) -> Vec<f64> {
    let mut distances = vec![0.0; front.len()];
    for objective in 0..front.first().map_or(0, |first| first.len()) {
        let mut order: Vec<usize> = (0..front.len()).collect();
        order.sort_by(|&a, &b| front[a][objective].total_cmp(&front[b][objective]));
        let at = |index: usize| front[order[index]][objective];
        let last = order.len() - 1;
        let extent = at(last) - at(0);
        for (place, &member) in order.iter().enumerate() {
            distances[member] += if place == 0 || place == last {
                f64::INFINITY
            } else if extent > 0.0 {
                (at(place + 1) - at(place - 1)) / extent
            } else {
                0.0
            };
        }
    }
    distances
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sums that pull against each other have the whole range as their front: with a and b the
    /// totals, a + b = 8 · genes is reached by every candidate, so each total appears.
    #[test]
    fn a_known_front_is_found() {
        let ranges = vec![0..=8; 3];
        let search = Nsga { ranges, population: 20, generations: 40, seed: 1 };
        let objectives = |genome: &Genome| {
            // Genes 0 and 1 trade off; gene 2 only hurts.
            let trade = f64::from(genome[0] + genome[1]);
            vec![trade + f64::from(genome[2]), (16.0 - trade) + f64::from(genome[2])]
        };
        let run = || {
            search.run(vec![vec![8, 8, 8], vec![4, 4, 4]], |genomes| {
                Ok(genomes.iter().map(objectives).collect())
            })
        };
        let front = run().unwrap();
        assert!(front.iter().all(|candidate| candidate.genome[2] == 0), "{front:?}");
        let mut totals: Vec<u32> = front.iter().map(|c| c.genome[0] + c.genome[1]).collect();
        totals.sort_unstable();
        totals.dedup();
        assert_eq!(totals, (0..=16).collect::<Vec<_>>());
        let genomes =
            |front: Vec<Candidate>| front.into_iter().map(|c| c.genome).collect::<Vec<_>>();
        assert_eq!(genomes(run().unwrap()), genomes(front), "seeded");
    }

    #[test]
    fn the_ends_of_a_front_are_never_crowded() {
        let front = [vec![0.0, 4.0], vec![1.0, 3.0], vec![4.0, 0.0]];
        let distances = crowding(&front.iter().collect::<Vec<_>>());
        assert_eq!(distances, [f64::INFINITY, 2.0, f64::INFINITY]);
    }
}
