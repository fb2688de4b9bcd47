//! What a search chooses, as a genome: a small number a choice, of which less is cheaper and loses
//! more.

use std::ops::RangeInclusive;

use super::WIDEST;
use crate::error::Result;
use crate::explore::formats::{Formats, Rule};
use crate::explore::nsga::Genome;
use crate::numeric::Format;
use crate::quantize::{Layer, Lowered, Operation};

/// Thresholds that are tried, as fractions of the largest word, by gene; no threshold is the gene beyond
/// them.
const THRESHOLDS: [f64; 5] = [1.0 / 4.0, 1.0 / 8.0, 1.0 / 16.0, 1.0 / 32.0, 1.0 / 64.0];
const NO_THRESHOLD: u32 = THRESHOLDS.len() as u32;

/// A layer and `weights` or `output`.
pub(super) type Site = (String, &'static str);

/// A width for each site, then a threshold for some.
pub(super) struct Choices {
    formats: Formats,
    sites: Vec<Site>,
    narrowest: u32,
    /// Sites whose threshold is chosen.
    sparse: Vec<usize>,
}

/// Output words below it in magnitude become zero.
pub(super) struct Threshold {
    /// The fraction of the largest word that it is rounded up from.
    pub fraction: f64,
    /// As a value.
    pub value: f64,
}

impl Choices {
    /// The widths from `narrowest` to [`WIDEST`] bits of every site.
    pub fn widths(formats: Formats, narrowest: u32) -> Self {
        let sites = formats.sites(WIDEST);
        Self { formats, sites, narrowest, sparse: Vec::new() }
    }

    /// Also a threshold for each output that a multiply-accumulate layer of `lowered` may read.
    pub fn add_thresholds(&mut self, lowered: &Lowered) {
        let layers = &lowered.network.layers;
        let is_mac = |layer: &Layer| matches!(layer.operation, Operation::Mac(_));
        let last = layers.iter().rposition(is_mac).unwrap_or(0);
        let read = |(layer, site): &Site| {
            *site == "output" && layers[..last].iter().any(|before| before.name == *layer)
        };
        self.sparse = (0..self.sites.len()).filter(|&site| read(&self.sites[site])).collect();
    }

    /// The sites.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// Whether thresholds are chosen.
    pub fn has_thresholds(&self) -> bool {
        !self.sparse.is_empty()
    }

    /// The values of each gene.
    pub fn ranges(&self) -> Vec<RangeInclusive<u32>> {
        let widths = self.sites.iter().map(|_| self.narrowest..=WIDEST);
        widths.chain(self.sparse.iter().map(|_| 0..=NO_THRESHOLD)).collect()
    }

    /// All words of [`WIDEST`] bits, without a threshold.
    pub fn dearest(&self) -> Genome {
        self.ranges().iter().map(|range| *range.end()).collect()
    }

    /// The site that gene `gene` is about.
    fn site(&self, gene: usize) -> usize {
        gene.checked_sub(self.sites.len()).map_or(gene, |index| self.sparse[index])
    }

    /// The layer that gene `gene` is about.
    pub fn layer(&self, gene: usize) -> &str {
        &self.sites[self.site(gene)].0
    }

    /// The design with gene `gene` at its next lower value that makes a difference.
    pub fn cheaper(&self, genome: &Genome, gene: usize) -> Option<Genome> {
        let least = *self.ranges()[gene].start();
        self.changed(genome, gene, (least..genome[gene]).rev())
    }

    /// The design with gene `gene` at its next higher value that makes a difference.
    pub fn dearer(&self, genome: &Genome, gene: usize) -> Option<Genome> {
        let most = *self.ranges()[gene].end();
        self.changed(genome, gene, genome[gene] + 1..=most)
    }

    /// The design with the first of some values that changes a format or a threshold.
    fn changed(
        &self,
        genome: &Genome,
        gene: usize,
        values: impl Iterator<Item = u32>,
    ) -> Option<Genome> {
        let site = self.site(gene);
        let words = |genome: &Genome| {
            (self.format(genome, site), self.threshold(genome, site).map(|t| t.value))
        };
        let with = |value| {
            let mut next = genome.clone();
            next[gene] = value;
            next
        };
        values.map(with).find(|next| words(next) != words(genome))
    }

    /// The format of site `site`.
    pub fn format(&self, genome: &Genome, site: usize) -> Option<Format> {
        let (layer, name) = &self.sites[site];
        self.formats.at(layer, name, genome[site])
    }

    /// The threshold of site `site`, if it changes a word.
    pub fn threshold(&self, genome: &Genome, site: usize) -> Option<Threshold> {
        let index = self.sparse.iter().position(|&sparse| sparse == site)?;
        let &fraction = THRESHOLDS.get(genome[self.sites.len() + index] as usize)?;
        let format = self.format(genome, site)?;
        let word = (fraction * format.max() as f64).ceil();
        (word > 1.0).then(|| Threshold { fraction, value: word * format.value(1) })
    }

    /// The rules of a plan.
    pub fn rules(&self, genome: &Genome) -> String {
        let mut text = String::new();
        for (index, (layer, site)) in self.sites.iter().enumerate() {
            if let Some(format) = self.format(genome, index) {
                let threshold = self.threshold(genome, index).map(|threshold| threshold.value);
                Rule { layer, site, format, rounding: None, threshold }.write(&mut text);
            }
        }
        text
    }

    /// The network under these rules.
    pub fn lower(&self, genome: &Genome) -> Result<Lowered> {
        self.formats.lower(&self.rules(genome))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dataset, network};

    /// Of words from 0 to 7 a quarter of the largest, 1.75, is the only threshold above the word 1; of
    /// words from 0 to 255 every one is.
    #[test]
    fn thresholds_that_change_no_word_are_stepped_over() {
        let model = network::open("lenet5").unwrap();
        let source = dataset::open("mnist").unwrap();
        let widths: Vec<u32> = (3..=WIDEST).collect();
        let formats = Formats::new(&model, &widths, source.calibration.as_ref(), 8).unwrap();
        let mut choices = Choices::widths(formats, 3);
        let dearest = choices.dearest();
        choices.add_thresholds(&choices.lower(&dearest).unwrap());

        let genes = dearest.len()..choices.ranges().len();
        let layers: Vec<&str> = genes.clone().map(|gene| choices.layer(gene)).collect();
        assert_eq!(layers, ["conv1", "conv2", "fc1", "fc2", "input"], "nothing reads fc3");
        let conv1 = choices.sites().iter().position(|site| site == &("conv1".into(), "output"));
        let (conv1, gene) = (conv1.unwrap(), genes.start);
        let mut genome = choices.dearest();
        let fraction = |genome: &Genome| choices.threshold(genome, conv1).map(|t| t.fraction);
        let next = choices.cheaper(&genome, gene).unwrap();
        assert_eq!(fraction(&next), Some(1.0 / 64.0));
        assert_eq!(choices.dearer(&genome, gene), None);
        genome[conv1] = 3;
        let next = choices.cheaper(&genome, gene).unwrap();
        assert_eq!(fraction(&next), Some(1.0 / 4.0));
        let threshold = choices.threshold(&next, conv1).unwrap();
        assert_eq!(threshold.value, choices.format(&next, conv1).unwrap().value(2));
        assert_eq!(choices.cheaper(&next, gene), None);
        assert_eq!(fraction(&choices.dearer(&next, gene).unwrap()), None);
    }
}
