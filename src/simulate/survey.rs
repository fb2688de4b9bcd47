//! One run of the words for many arrays: what each array takes for the same words, before memory.
//!
//! Cycles, multiply-accumulates and accesses of an array depend on the words, the array and its
//! zero handling; the buffers, bandwidths, clock and energy table come in afterwards, through
//! [`Survey::counts`], which gives exactly what [`Simulator::run`](crate::simulate::Simulator::run)
//! counts on the whole accelerator.

use std::collections::BTreeMap;

use ndarray::{Array3, Axis};
use rayon::prelude::*;

use crate::error::Result;
use crate::hardware::{Hardware, Operand, ZeroHandling};
use crate::kernels::{PatchScratch, SiteEvents, nonzero};
use crate::mapping::{Accesses, Buffers, LayerProblem, Mapping, OperandBits};
use crate::network::float;
use crate::numeric::Draws;
use crate::quantize::{Baseline, Operation, QuantizedNetwork, synthetic_words};
use crate::simulate::arrays::{ArrayCounts, ArrayModel, LanesScratch};
use crate::simulate::vector::memory;
use crate::simulate::{
    BoundNetwork, Cycles, Density, FeatureMap, ImageState, LayerCounts, Outputs, VectorModel,
};
use crate::tensor::{Bitmap, Words};

/// Bits of bitmaps that are held at a time.
const HELD_BITS: u64 = 1 << 31;
/// Images that a part of the work on one array takes, at most.
const PART: usize = 64;
/// Images whose words are held by one window, at most.
const WINDOW: usize = 2048;

/// A quantized network and the arrays to run it on, all of one datapath.
#[derive(Clone, Debug)]
pub struct Survey<'a> {
    network: &'a QuantizedNetwork,
    words: BoundNetwork,
    arrays: Vec<&'a Hardware>,
    weights: Vec<Option<Weights>>,
    seed: u64,
}

/// The weights of a layer.
#[derive(Clone, Debug)]
struct Weights {
    /// Nonzero bitmaps by group.
    bitmaps: Vec<Bitmap>,
    /// Nonzero weights.
    nonzero: u64,
}

/// What a survey saw.
#[derive(Clone, Debug)]
pub struct Surveyed {
    images: u64,
    /// By layer.
    layers: Vec<Seen>,
    /// By array and layer; the error of an array that cannot take a layer.
    arrays: Vec<Vec<Result<Tally, String>>>,
}

/// What does not depend on an array.
#[derive(Clone, Default, Debug)]
struct Seen {
    /// Nonzero words that the layer read.
    nonzero: u64,
    sites: SiteEvents,
}

/// One layer on one array over the images.
#[derive(Clone, Default, Debug)]
struct Tally {
    /// Sums, with a reduction that is not cut.
    sum: ArrayCounts,
    dense_cycles: u64,
    /// How many images took these cycles.
    cycles: BTreeMap<u64, u64>,
}

/// What the arrays need of one image: the bitmaps of each layer, and its nonzero words.
struct ImageMaps {
    layers: Vec<(Vec<Bitmap>, u64)>,
}

/// One thread's memory.
struct Scratch {
    state: ImageState,
    patches: Vec<Option<PatchScratch>>,
}

impl<'a> Survey<'a> {
    /// Binds `network` to the datapath that all `arrays` have. `seed` is that of stochastic rounding
    /// and synthetic activations.
    ///
    /// # Errors
    /// If the plan does not fit the datapath.
    ///
    /// # Panics
    /// If there is no array.
    pub fn new(
        network: &'a QuantizedNetwork,
        arrays: Vec<&'a Hardware>,
        seed: u64,
    ) -> Result<Self> {
        let words = BoundNetwork::bind(network, &arrays[0].datapath, seed)?;
        let weights = |(index, layer): (usize, &crate::quantize::Layer)| {
            let mac = words.layers()[index].mac()?;
            let Operation::Mac(source) = &layer.operation else { return None };
            let bitmaps = mac.patches().weight_bitmaps(&source.weights);
            Some(Weights { nonzero: bitmaps.iter().map(Bitmap::ones).sum(), bitmaps })
        };
        let weights = network.layers.iter().enumerate().map(weights).collect();
        Ok(Self { network, words, arrays, weights, seed })
    }

    /// The network, its sites resolved.
    pub fn words(&self) -> &BoundNetwork {
        &self.words
    }

    /// Shape and widths of layer `index`, if it is a multiply-accumulate layer.
    pub fn problem(&self, index: usize) -> Option<&LayerProblem> {
        self.words.layers()[index].mac().map(|mac| mac.problem())
    }

    /// Runs images 0 to `images` − 1, on the float network too if `baseline` is given; `each` gets
    /// the outputs in the order of the images.
    ///
    /// # Errors
    /// If an image cannot be had or is not of the input's shape.
    pub fn run(
        &self,
        images: usize,
        baseline: Option<&Baseline>,
        image: impl Fn(usize) -> Result<Array3<f32>> + Sync,
        each: impl FnMut(usize, Outputs),
        done: impl Fn(u64) + Sync,
    ) -> Result<Surveyed> {
        let one = |index: usize, scratch: &mut Scratch| {
            let input = image(index)?;
            let input = input.as_standard_layout();
            let values = input.as_slice().expect("standard layout");
            self.words.quantize_input(values, index, &mut scratch.state)?;
            self.words.run_image(index, &mut scratch.state);
            let maps = (0..self.network.layers.len()).map(|layer| self.maps(layer, None, scratch));
            let maps = ImageMaps { layers: maps.collect() };
            let float = baseline.map(|baseline| {
                let mut batch = input.view().insert_axis(Axis(0)).into_owned();
                if let Some(values) = batch.as_slice_mut() {
                    self.words.real_input(values);
                }
                float::infer(&baseline.network, &baseline.parameters, batch.view())
            });
            let float = float.transpose()?.map(|output| output.into_iter().collect());
            done(1);
            Ok((maps, Outputs { quantized: self.words.outputs(&scratch.state), float }))
        };
        self.windows(images, one, each)
    }

    /// Runs `images` images on synthetic activations, as
    /// [`Simulator::run_synthetic`](crate::simulate::Simulator::run_synthetic) does.
    ///
    /// # Errors
    /// If the density is not in [0, 1].
    pub fn run_synthetic(
        &self,
        images: usize,
        density: f64,
        done: impl Fn(u64) + Sync,
    ) -> Result<Surveyed> {
        let one = |index: usize, scratch: &mut Scratch| {
            let layers = self.words.layers().iter().enumerate();
            let layers = layers.map(|(layer, bound)| {
                let stream = (layer * images + index) as u64;
                if let Some(mac) = bound.mac() {
                    let read = &self.words.layers()[bound.inputs()[0]];
                    let len = mac.problem().geometry.input.len();
                    let draws = Draws::new(self.seed, stream);
                    let words = synthetic_words(read.format(), read.range(), len, density, draws)?;
                    self.words.run_layer(layer, &[&words], index, &mut scratch.state);
                    return Ok(self.maps(layer, Some(&words), scratch));
                }
                let state = &mut scratch.state;
                let read: Vec<Words> =
                    bound.inputs().iter().map(|&i| state.words(i).clone()).collect();
                let read: Vec<&Words> = read.iter().collect();
                self.words.run_layer(layer, &read, index, state);
                Ok(self.maps(layer, None, scratch))
            });
            let maps = ImageMaps { layers: layers.collect::<Result<_>>()? };
            done(1);
            Ok((maps, ()))
        };
        self.windows(images, one, |_, ()| ())
    }

    /// Window by window: the words of the images, then every array on them. Sums are of integers and
    /// depend on no order.
    fn windows<T: Send>(
        &self,
        images: usize,
        one: impl Fn(usize, &mut Scratch) -> Result<(ImageMaps, T)> + Sync,
        mut each: impl FnMut(usize, T),
    ) -> Result<Surveyed> {
        let layers = self.network.layers.len();
        let mut surveyed = Surveyed {
            images: images as u64,
            layers: vec![Seen::default(); layers],
            arrays: self.arrays.iter().map(|_| vec![Ok(Tally::default()); layers]).collect(),
        };
        let window = self.window();
        for first in (0..images).step_by(window) {
            let indices: Vec<usize> = (first..images.min(first + window)).collect();
            let part = indices.len().div_ceil(4 * rayon::current_num_threads()).max(1);
            let run = |part: &[usize]| {
                let mut scratch = self.scratch();
                let given: Vec<_> =
                    part.iter().map(|&i| one(i, &mut scratch)).collect::<Result<_>>()?;
                let sites = (0..layers).map(|layer| *scratch.state.events(layer));
                Ok((sites.collect::<Vec<_>>(), given))
            };
            let runs: Vec<_> = indices.par_chunks(part).map(run).collect::<Result<_>>()?;
            let (mut maps, mut index) = (Vec::new(), first);
            for (sites, given) in runs {
                for (seen, sites) in surveyed.layers.iter_mut().zip(sites) {
                    seen.sites += sites;
                }
                for (image, outputs) in given {
                    for (seen, (_, nonzero)) in surveyed.layers.iter_mut().zip(&image.layers) {
                        seen.nonzero += nonzero;
                    }
                    maps.push(image);
                    each(index, outputs);
                    index += 1;
                }
            }
            self.run_arrays(&maps, &mut surveyed);
        }
        Ok(surveyed)
    }

    /// Images whose bitmaps are held together.
    fn window(&self) -> usize {
        let bits = |problem: &LayerProblem| {
            let geometry = &problem.geometry;
            geometry.groups as u64 * geometry.pixels() as u64 * geometry.reduction() as u64
        };
        let problems = (0..self.network.layers.len()).filter_map(|layer| self.problem(layer));
        let image: u64 = problems.map(bits).sum();
        (HELD_BITS / image.max(1)).clamp(1, WINDOW as u64) as usize
    }

    fn scratch(&self) -> Scratch {
        let layers = self.words.layers().iter();
        Scratch {
            state: self.words.state(),
            patches: layers.map(|layer| Some(layer.mac()?.patches().scratch())).collect(),
        }
    }

    /// The bitmaps of layer `index` for the image in `scratch`, and the nonzero words that it read;
    /// `read` stands in for those of the layers before.
    fn maps(
        &self,
        index: usize,
        read: Option<&Words>,
        scratch: &mut Scratch,
    ) -> (Vec<Bitmap>, u64) {
        let layer = &self.words.layers()[index];
        let Scratch { state, patches } = scratch;
        let (Some(mac), Some(patches)) = (layer.mac(), &mut patches[index]) else {
            let of_input = |&input: &usize| nonzero(state.words(input));
            return (Vec::new(), layer.inputs().iter().map(of_input).sum());
        };
        let operands = self.words.operands(index, state);
        let Some(words) = read.filter(|_| !mac.recasts()).or(operands) else {
            return (Vec::new(), 0);
        };
        let matter = |hardware: &&Hardware| hardware.zeros.activations != ZeroHandling::None;
        let bitmaps = if self.arrays.iter().any(matter) {
            let mut bitmaps = mac.patches().empty_bitmaps();
            mac.patches().activation_bitmaps(words, patches, &mut bitmaps);
            bitmaps
        } else {
            Vec::new()
        };
        (bitmaps, nonzero(words))
    }

    fn run_arrays(&self, images: &[ImageMaps], surveyed: &mut Surveyed) {
        let layers = (0..self.network.layers.len()).filter(|&layer| self.weights[layer].is_some());
        let jobs: Vec<(usize, usize, &[ImageMaps])> = layers
            .flat_map(|layer| (0..self.arrays.len()).map(move |array| (layer, array)))
            .flat_map(|(layer, array)| images.chunks(PART).map(move |part| (layer, array, part)))
            .collect();
        let work = |scratch: &mut LanesScratch, &(layer, array, images): &(usize, usize, &[_])| {
            (layer, array, self.tally(layer, array, images, scratch).map_err(|e| e.to_string()))
        };
        let tallies: Vec<_> = jobs.par_iter().map_init(LanesScratch::default, work).collect();
        for (layer, array, tally) in tallies {
            let slot = &mut surveyed.arrays[array][layer];
            match (slot.as_mut(), tally) {
                (Ok(sum), Ok(tally)) => sum.add(&tally),
                (_, Err(error)) => *slot = Err(error),
                (Err(_), Ok(_)) => {}
            }
        }
    }

    fn tally(
        &self,
        layer: usize,
        array: usize,
        images: &[ImageMaps],
        scratch: &mut LanesScratch,
    ) -> Result<Tally> {
        let (Some(problem), Some(weights)) = (self.problem(layer), &self.weights[layer]) else {
            return Ok(Tally::default());
        };
        let model = ArrayModel::new(problem, self.arrays[array], &weights.bitmaps, 1)?;
        let mut tally = Tally { dense_cycles: model.dense_cycles(), ..Tally::default() };
        for image in images {
            let counts = model.count(&image.layers[layer].0, scratch);
            *tally.cycles.entry(counts.cycles).or_default() += 1;
            add(&mut tally.sum, &counts);
        }
        Ok(tally)
    }

    /// What the layers count on `hardware`, whose array and zero handling are those of the survey's
    /// array `array`; `map` gives the tiling of a multiply-accumulate layer.
    ///
    /// # Errors
    /// If a layer does not fit the buffers, or the array could not take it.
    pub fn counts(
        &self,
        surveyed: &Surveyed,
        array: usize,
        hardware: &Hardware,
        map: impl Fn(&str, &LayerProblem, &Buffers) -> Result<Mapping>,
    ) -> Result<Vec<LayerCounts>> {
        let buffers = Buffers::new(hardware)?;
        let of_layer = |index: usize| {
            let bound = &self.words.layers()[index];
            let seen = &surveyed.layers[index];
            let counts = match (self.problem(index), &self.weights[index]) {
                (Some(problem), Some(weights)) => {
                    let tally = surveyed.arrays[array][index].as_ref();
                    let tally = tally.map_err(|problem| {
                        crate::error::Error::new(format_args!("layer {}", bound.name()), problem)
                    })?;
                    let mapping = map(bound.name(), problem, &buffers)?;
                    let images = surveyed.images;
                    LayerCounts {
                        activations: Density {
                            elements: problem.geometry.input.len() as u64 * images,
                            nonzero: seen.nonzero,
                        },
                        weights: Density {
                            elements: problem.geometry.weights() as u64 * images,
                            nonzero: weights.nonzero * images,
                        },
                        vector_operations: problem.geometry.output.len() as u64 * images,
                        ..tally.counts(problem, &mapping, &buffers, images)
                    }
                }
                _ => self.vector(index, hardware)?.count_images(seen.nonzero, surveyed.images),
            };
            Ok(LayerCounts { sites: seen.sites, ..counts })
        };
        (0..self.network.layers.len()).map(of_layer).collect()
    }

    fn vector(&self, index: usize, hardware: &Hardware) -> Result<VectorModel> {
        let map = |index: usize| {
            let layer = &self.words.layers()[index];
            FeatureMap { shape: layer.shape(), bits: layer.stored_bits() }
        };
        let layer = &self.network.layers[index];
        let inputs: Vec<_> = layer.inputs.iter().map(|&input| map(input)).collect();
        VectorModel::new(&layer.name, &layer.operation, &inputs, map(index), hardware)
    }

    /// Word widths of layer `index`, as the energy model takes them.
    pub fn bits(&self, index: usize) -> OperandBits {
        self.words.layers()[index].operand_bits()
    }
}

impl Surveyed {
    /// Images run.
    pub fn images(&self) -> u64 {
        self.images
    }
}

impl Tally {
    fn add(&mut self, other: &Self) {
        add(&mut self.sum, &other.sum);
        self.dense_cycles = other.dense_cycles;
        for (&cycles, images) in &other.cycles {
            *self.cycles.entry(cycles).or_default() += images;
        }
    }

    /// Everything but operands, vector operations and sites.
    fn counts(
        &self,
        problem: &LayerProblem,
        mapping: &Mapping,
        buffers: &Buffers,
        images: u64,
    ) -> LayerCounts {
        let stall = |cycles: u64| mapping.schedule.stall(cycles);
        let unit = self.cut(problem, mapping.reduction_tiles, images);
        LayerCounts {
            cycles: Cycles {
                compute: self.sum.cycles,
                stall: self.cycles.iter().map(|(&cycles, images)| images * stall(cycles)).sum(),
                dense_compute: self.dense_cycles * images,
                dense_stall: stall(self.dense_cycles) * images,
            },
            macs: self.sum.macs,
            memory: memory(&mapping.traffic.times(images), &unit, buffers),
            register_bits: self.sum.register_bits,
            metadata_bits: self.sum.metadata_bits,
            ..LayerCounts::default()
        }
    }

    /// Buffer accesses where the reduction is cut into `tiles`: every cut sends the partial sums
    /// through the ofmap buffer, unless the array's own folds do so as often.
    fn cut(&self, problem: &LayerProblem, tiles: u64, images: u64) -> Accesses {
        let ofmap = Operand::Ofmap.index();
        let partial_sums = problem.geometry.output.len() as u64 * images;
        let needed = partial_sums * (tiles - 1) * u64::from(problem.bits.accumulator);
        let mut accesses = self.sum.buffers;
        let more = needed.saturating_sub(accesses.read_bits[ofmap]);
        accesses.read_bits[ofmap] += more;
        accesses.write_bits[ofmap] += more;
        accesses
    }
}

fn add(sum: &mut ArrayCounts, counts: &ArrayCounts) {
    sum.cycles += counts.cycles;
    sum.macs += counts.macs;
    sum.buffers += counts.buffers;
    sum.register_bits += counts.register_bits;
    sum.metadata_bits += counts.metadata_bits;
}
