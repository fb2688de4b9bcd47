//! Where the zeros of a network are, and what they are worth.

use std::ops::AddAssign;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::evaluate::Observer;
use super::probe::{Probe, Score};
use super::subject::Data;
use super::takes::Takes;
use crate::error::{Error, Result};
use crate::hardware::Hardware;
use crate::network::{Model, Parameters};
use crate::numeric::Format;
use crate::quantize::{Lowered, Operation, Plan, QuantizedNetwork, WordMap};
use crate::report::Tally;
use crate::simulate::{BoundNetwork, Survey};
use crate::tensor::{Shape, Words};

/// The zeros of a network.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sparsity {
    /// Version of the JSON schema.
    pub schema_version: u32,
    /// Network.
    pub network: String,
    /// Plan.
    pub plan: String,
    /// Dataset, or `synthetic`.
    pub dataset: String,
    /// Hardware model.
    pub hardware: String,
    /// Images.
    pub images: u64,
    /// Multiply-accumulate layers.
    pub layers: Vec<LayerZeros>,
    /// All of them.
    pub total: Zeros,
    /// What the network takes as it is.
    pub takes: Takes,
    /// What it takes pruned, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<Pruned>,
    /// The largest thresholds without loss, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Thresholds>,
}

/// The zeros of one layer's operands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LayerZeros {
    /// Name.
    pub name: String,
    /// Its operands.
    #[serde(flatten)]
    pub zeros: Zeros,
    /// Fraction of zero weights by output channel.
    pub weight_zeros_by_channel: Vec<f64>,
    /// Fraction of zero weights by kernel position, row by row.
    pub weight_zeros_by_position: Vec<f64>,
    /// Fraction of zero activations by channel of the map that it reads.
    pub activation_zeros_by_channel: Vec<f64>,
    /// Fraction of zero activations by pixel of that map, row by row.
    pub activation_zeros_by_position: Vec<f64>,
    /// Rows and columns of that map.
    pub map: [usize; 2],
}

/// The words of the operands.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Zeros {
    /// Weights.
    pub weights: WordCounts,
    /// Biases.
    pub bias: WordCounts,
    /// Activations that multiply-accumulate layers read, over the images.
    pub activations: WordCounts,
}

/// Words by their magnitude, and their bits.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct WordCounts {
    /// All words.
    pub words: u64,
    /// Zero words.
    pub zeros: u64,
    /// Words by the bit length of their magnitude: zeros, ±1, ±2 and ±3, ±4 to ±7, …
    pub histogram: Vec<u64>,
    /// Bits of all words.
    pub bits: u64,
    /// One bits in two's complement.
    pub ones: u64,
    /// One bits of the magnitudes.
    pub magnitude_ones: u64,
}

impl WordCounts {
    fn add(&mut self, raw: i64, format: Format) {
        let magnitude = raw.unsigned_abs();
        let length = (64 - magnitude.leading_zeros()) as usize;
        self.histogram.resize(self.histogram.len().max(length + 1), 0);
        self.histogram[length] += 1;
        self.words += 1;
        self.zeros += u64::from(raw == 0);
        self.bits += u64::from(format.bits());
        self.ones += u64::from(format.pattern(raw.into()).count_ones());
        self.magnitude_ones += u64::from(magnitude.count_ones());
    }

    fn of(words: impl Iterator<Item = i64>, format: Format) -> Self {
        let mut counts = Self::default();
        words.for_each(|word| counts.add(word, format));
        counts
    }

    /// Fraction of zero words.
    pub fn sparsity(&self) -> f64 {
        fraction(self.zeros, self.words)
    }

    /// Fraction of zero bits in two's complement.
    pub fn bit_sparsity(&self) -> f64 {
        1.0 - fraction(self.ones, self.bits)
    }
}

impl AddAssign<&WordCounts> for WordCounts {
    fn add_assign(&mut self, other: &Self) {
        self.histogram.resize(self.histogram.len().max(other.histogram.len()), 0);
        for (sum, count) in self.histogram.iter_mut().zip(&other.histogram) {
            *sum += count;
        }
        self.words += other.words;
        self.zeros += other.zeros;
        self.bits += other.bits;
        self.ones += other.ones;
        self.magnitude_ones += other.magnitude_ones;
    }
}

/// A pruned network.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Pruned {
    /// Fraction of the weights of each layer that was set to zero.
    pub target: f64,
    /// Fraction of zero weights that came of it, those that round to zero included.
    pub weights: f64,
    /// What it takes.
    pub takes: Takes,
}

/// Thresholds below which outputs become zero.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Thresholds {
    /// Images on which they were chosen.
    pub tuning: Score,
    /// Fraction that each layer alone may lose on them.
    pub loss: f64,
    /// By layer.
    pub layers: Vec<Threshold>,
    /// How all of them together did on the tuning images.
    pub together: Score,
    /// What the network takes with all of them, on all images.
    pub takes: Takes,
}

/// The largest threshold of a layer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Threshold {
    /// Layer.
    pub layer: String,
    /// Smallest magnitude that stays, as a word.
    pub word: i64,
    /// The same as a value.
    pub value: f64,
    /// How the layer alone did on the tuning images.
    pub score: Score,
}

/// What is asked for beside the zeros.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Options {
    /// Fraction of each layer's weights to prune.
    pub prune: Option<f64>,
    /// Whether to search for thresholds, and the fraction of images that each layer may lose.
    pub thresholds: Option<f64>,
    /// Seed.
    pub seed: u64,
}

/// Counts the zeros of `model` under `plan` on `data`, and what they are worth on `hardware`.
///
/// # Errors
/// If the plan does not fit the network or the hardware, or an image cannot be had.
pub fn sparsity(
    model: &Model,
    data: &Data,
    plan: &Plan,
    hardware: &Hardware,
    options: &Options,
    observer: &dyn Observer,
) -> Result<Sparsity> {
    let lowered = data.lower(model, plan, options.seed)?;
    let words = BoundNetwork::bind(&lowered.network, &hardware.datapath, options.seed)?;
    let run = Runner { data, hardware, seed: options.seed, observer };
    let layers = layers(&lowered.network, &words, data)?;
    let mut total = Zeros::default();
    for LayerZeros { zeros, .. } in &layers {
        total.weights += &zeros.weights;
        total.bias += &zeros.bias;
        total.activations += &zeros.activations;
    }
    let takes = run.takes(&lowered)?;
    let pruned = options.prune.map(|target| run.pruned(model, plan, target)).transpose()?;
    let thresholds = match (options.thresholds, data) {
        (Some(loss), Data::Images { .. }) => Some(run.thresholds(&lowered, &words, loss)?),
        (Some(_), _) => {
            return Err(Error::new("--thresholds", "needs images to lose accuracy on")
                .remedy("use a network with weights and a dataset"));
        }
        (None, _) => None,
    };
    Ok(Sparsity {
        schema_version: 1,
        network: model.network.name.clone(),
        plan: plan.name.clone(),
        dataset: data.name().to_owned(),
        hardware: hardware.name.clone(),
        images: data.images() as u64,
        layers,
        total,
        takes,
        pruned,
        thresholds,
    })
}

/// Sets the fraction `target` of the weights of each layer with the least magnitudes to zero; of
/// equal magnitudes the first.
pub fn prune(parameters: &Parameters, target: f64) -> Parameters {
    let mut pruned = parameters.clone();
    for (name, values) in &mut pruned {
        // Weights of convolutions and dense layers; those of batch normalizations are vectors.
        if !name.ends_with(".weight") || values.ndim() < 2 {
            continue;
        }
        let mut order: Vec<(usize, f32)> =
            values.iter().map(|value| value.abs()).enumerate().collect();
        order.sort_by(|a, b| a.1.total_cmp(&b.1));
        let count = (target * order.len() as f64).round() as usize;
        let mut zero = vec![false; order.len()];
        order[..count.min(order.len())].iter().for_each(|&(index, _)| zero[index] = true);
        values.iter_mut().zip(zero).filter(|(_, zero)| *zero).for_each(|(value, _)| *value = 0.0);
    }
    pruned
}

/// Zeros by channel and pixel of a map, and the words.
#[derive(Clone, Default)]
struct MapCounts {
    words: WordCounts,
    channels: Vec<u64>,
    pixels: Vec<u64>,
}

impl MapCounts {
    fn add(&mut self, words: &Words, shape: Shape) {
        self.channels.resize(shape.channels, 0);
        self.pixels.resize(shape.pixels(), 0);
        let format = words.format();
        for (index, raw) in words.to_vec().into_iter().enumerate() {
            self.words.add(raw, format);
            if raw == 0 {
                self.channels[index % shape.channels] += 1;
                self.pixels[index / shape.channels] += 1;
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        self.words += &other.words;
        for (sum, other) in
            [(&mut self.channels, &other.channels), (&mut self.pixels, &other.pixels)]
        {
            sum.resize(sum.len().max(other.len()), 0);
            sum.iter_mut().zip(other).for_each(|(sum, count)| *sum += count);
        }
    }
}

/// The zeros by layer.
fn layers(
    network: &QuantizedNetwork,
    words: &BoundNetwork,
    data: &Data,
) -> Result<Vec<LayerZeros>> {
    let macs: Vec<usize> =
        (0..network.layers.len()).filter(|&layer| words.layers()[layer].mac().is_some()).collect();
    let mut maps = vec![MapCounts::default(); macs.len()];
    if let Data::Images { source, images } = data {
        let part = images.div_ceil(4 * rayon::current_num_threads()).max(1);
        let indices: Vec<usize> = (0..*images).collect();
        let count = |part: &[usize]| {
            let (mut state, mut maps) = (words.state(), vec![MapCounts::default(); macs.len()]);
            for &index in part {
                let input = source.test.image(index)?;
                let input = input.as_standard_layout();
                words.quantize_input(
                    input.as_slice().expect("standard layout"),
                    index,
                    &mut state,
                )?;
                words.run_image(index, &mut state);
                for (map, &layer) in maps.iter_mut().zip(&macs) {
                    let shape = words.layers()[words.layers()[layer].inputs()[0]].shape();
                    if let Some(operands) = words.operands(layer, &state) {
                        map.add(operands, shape);
                    }
                }
            }
            Ok(maps)
        };
        let parts: Vec<_> = indices.par_chunks(part).map(count).collect::<Result<_>>()?;
        for part in &parts {
            maps.iter_mut().zip(part).for_each(|(sum, map)| sum.merge(map));
        }
    }
    let images = data.images() as u64;
    let of = |(&index, map): (&usize, &MapCounts)| {
        let layer = &network.layers[index];
        let Operation::Mac(mac) = &layer.operation else {
            return Err(Error::new(&layer.name, "is no multiply-accumulate layer"));
        };
        let geometry = &mac.geometry;
        let (taps, reduction) = (geometry.window.taps(), geometry.reduction());
        let mut channels = vec![0; geometry.output.channels];
        let mut positions = vec![0; taps];
        let raw = mac.weights.to_vec();
        for at in (0..raw.len()).filter(|&at| raw[at] == 0) {
            channels[at / reduction.max(1)] += 1;
            positions[at % taps] += 1;
        }
        let shares = |counts: &[u64], of: u64| counts.iter().map(|&n| fraction(n, of)).collect();
        let bias = mac.bias.as_ref();
        let shape = geometry.input;
        Ok(LayerZeros {
            name: layer.name.clone(),
            zeros: Zeros {
                weights: WordCounts::of(raw.iter().copied(), mac.weights.format()),
                bias: bias.map_or_else(WordCounts::default, |bias| {
                    WordCounts::of(bias.raw.iter().copied(), bias.format)
                }),
                activations: map.words.clone(),
            },
            weight_zeros_by_channel: shares(&channels, reduction as u64),
            weight_zeros_by_position: shares(&positions, (raw.len() / taps.max(1)) as u64),
            activation_zeros_by_channel: shares(&map.channels, shape.pixels() as u64 * images),
            activation_zeros_by_position: shares(&map.pixels, shape.channels as u64 * images),
            map: [shape.height, shape.width],
        })
    };
    macs.iter().zip(&maps).map(of).collect()
}

fn fraction(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// What every run of a network shares.
struct Runner<'a> {
    data: &'a Data,
    hardware: &'a Hardware,
    seed: u64,
    observer: &'a dyn Observer,
}

impl Runner<'_> {
    /// What a network takes, per image.
    fn takes(&self, lowered: &Lowered) -> Result<Takes> {
        let Self { hardware, observer, .. } = *self;
        let survey = Survey::new(&lowered.network, vec![hardware], self.seed)?;
        let done = |images| observer.images(images);
        let mut tally = Tally::default();
        let surveyed = match self.data {
            Data::Synthetic { activations, images, .. } => {
                survey.run_synthetic(*images, *activations, done)?
            }
            Data::Images { source, images } => survey.run(
                *images,
                None,
                |index| source.test.image(index),
                |index, outputs| tally.add(source.test.label(index), &outputs.quantized, None),
                done,
            )?,
        };
        let accuracy = tally.accuracy().quantized.map(|score| score.top1);
        Takes::new(&survey, &surveyed, hardware, accuracy)
    }

    fn pruned(&self, model: &Model, plan: &Plan, target: f64) -> Result<Pruned> {
        let (Some(parameters), None) = (&model.parameters, &model.quantization) else {
            return Err(Error::new("--prune", "needs a float network with weights")
                .remedy("use such a network, or leave the option out"));
        };
        let pruned = Model { parameters: Some(prune(parameters, target)), ..model.clone() };
        let lowered = self.data.lower(&pruned, plan, self.seed)?;
        let mut weights = WordCounts::default();
        for layer in &lowered.network.layers {
            if let Operation::Mac(mac) = &layer.operation {
                weights += &WordCounts::of(mac.weights.to_vec().into_iter(), mac.weights.format());
            }
        }
        Ok(Pruned { target, weights: weights.sparsity(), takes: self.takes(&lowered)? })
    }

    /// For each layer the largest threshold on its output words with which it alone loses no more
    /// than `loss` of the tuning images, the first half: doubled until it loses more, then bisected.
    fn thresholds(&self, lowered: &Lowered, words: &BoundNetwork, loss: f64) -> Result<Thresholds> {
        let (Data::Images { source, images }, Some(baseline)) = (self.data, &lowered.baseline)
        else {
            return Err(Error::new("--thresholds", "needs images and a float network"));
        };
        let network = &lowered.network;
        let probe = Probe::new(words, baseline, &source.test, 0..images.div_ceil(2))?;
        let tuning = probe.score(words, network.layers.len())?;
        let least = tuning.hits - (tuning.hits).min((loss * tuning.images as f64).floor() as u64);
        let score = |thresholds: &[(usize, i64)]| {
            let network = thresholded(network, thresholds);
            let bound = BoundNetwork::bind(&network, &self.hardware.datapath, self.seed)?;
            let first = thresholds.iter().map(|t| t.0).min().unwrap_or(0);
            probe.score(&bound, first)
        };
        let last = network.layers.len() - 1;
        let candidates: Vec<usize> = (0..last)
            .filter(|&layer| words.layers()[layer].mac().is_some() && takes_table(network, layer))
            .collect();
        let search = |&layer: &usize| {
            let top = words.layers()[layer].format().max() as i64 + 1;
            let (mut good, mut bad) = ((1, tuning), None);
            while bad.is_none_or(|bad| bad - good.0 > 1) && good.0 < top {
                let word = match bad {
                    None => (good.0 * 2).min(top),
                    Some(bad) => good.0 + (bad - good.0) / 2,
                };
                let found = score(&[(layer, word)])?;
                if found.hits >= least { good = (word, found) } else { bad = Some(word) }
            }
            self.observer.points(1);
            Ok((layer, good.0, good.1))
        };
        let found: Vec<(usize, i64, Score)> =
            candidates.par_iter().map(search).collect::<Result<_>>()?;
        let all: Vec<(usize, i64)> = found.iter().map(|&(layer, word, _)| (layer, word)).collect();
        let together = Lowered { network: thresholded(network, &all), ..lowered.clone() };
        let layer = |&(layer, word, score): &(usize, i64, Score)| Threshold {
            layer: network.layers[layer].name.clone(),
            word,
            value: word as f64 * words.layers()[layer].unit(0),
            score,
        };
        Ok(Thresholds {
            tuning,
            loss,
            layers: found.iter().map(layer).collect(),
            together: score(&all)?,
            takes: self.takes(&together)?,
        })
    }
}

/// Widest words of a table.
const TABLE_BITS: u32 = 16;

fn takes_table(network: &QuantizedNetwork, layer: usize) -> bool {
    network.layers[layer].output.format().bits() <= TABLE_BITS
}

/// The network with output words below a threshold in magnitude set to zero, by layer.
fn thresholded(network: &QuantizedNetwork, thresholds: &[(usize, i64)]) -> QuantizedNetwork {
    let mut network = network.clone();
    for &(layer, threshold) in thresholds {
        let output = &mut network.layers[layer].output;
        let format = output.format();
        let words = (format.min() as i64..=format.max() as i64)
            .map(|word| if word.abs() < threshold { 0 } else { word })
            .collect();
        output.maps.push(WordMap::Table { words, format });
    }
    network
}
