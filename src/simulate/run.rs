//! A run over images: words of every layer, and from them cycles and accesses, summed.

use std::sync::{Arc, Mutex, PoisonError};

use ndarray::Array3;
use rayon::prelude::*;

use crate::error::Result;
use crate::hardware::Hardware;
use crate::kernels::{PatchScratch, nonzero};
use crate::mapping::OperandBits;
use crate::numeric::Draws;
use crate::quantize::{Baseline, QuantizedNetwork, synthetic_words};
use crate::simulate::arrays::LanesScratch;
use crate::simulate::noise::compare;
use crate::simulate::{
    BoundNetwork, Disturbance, FeatureMap, ImageState, LayerCounts, LayerModel, Noise, VectorModel,
};
use crate::tensor::{Bitmap, Words};

/// A quantized network on an accelerator, ready to run.
#[derive(Clone, Debug)]
pub struct Simulator {
    words: BoundNetwork,
    models: Vec<Model>,
    seed: u64,
}

#[derive(Clone, Debug)]
enum Model {
    Array(Box<LayerModel>),
    Vector(Box<VectorModel>),
}

/// What a run gave.
#[derive(Clone, PartialEq, Debug)]
pub struct Run {
    /// Images run.
    pub images: u64,
    /// Counts by layer, summed over the images.
    pub layers: Vec<LayerCounts>,
    /// By layer: how far its words lie from the float network, over the images; none where there is
    /// no float network. Zero for layers that stand for none of its nodes.
    pub noise: Vec<Noise>,
}

/// The outputs for one image, in the order channel, row, column.
#[derive(Clone, PartialEq, Debug)]
pub struct Outputs {
    /// Of the words.
    pub quantized: Vec<f32>,
    /// Of the float network, where there is one.
    pub float: Option<Vec<f32>>,
}

/// One thread's memory, with the counts of all images that it has run.
struct Scratch {
    /// How many threads an image may take.
    threads: usize,
    image: ImageState,
    lanes: LanesScratch,
    /// Memory for the nonzero bits of layers.
    layers: Vec<Option<LayerScratch>>,
    /// The layer whose memory a layer uses: the first of its shape, or itself where layers are
    /// counted side by side.
    lenders: Vec<usize>,
    counts: Vec<LayerCounts>,
}

struct LayerScratch {
    patches: PatchScratch,
    bitmaps: Vec<Bitmap>,
}

/// Images that one thread takes at a time, at most.
const PART: usize = 32;
/// Images whose outputs are held, at most, until all of them are done.
const WINDOW: usize = 4096;

impl Simulator {
    /// Binds `network` to the datapath of `hardware` and maps its layers. `seed` is that of
    /// stochastic rounding and synthetic activations.
    ///
    /// # Errors
    /// If the plan does not fit the datapath, or a layer not the buffers.
    pub fn new(network: &QuantizedNetwork, hardware: &Hardware, seed: u64) -> Result<Self> {
        let words = BoundNetwork::bind(network, &hardware.datapath, seed)?;
        let feature_map = |index: usize| {
            let layer = &words.layers()[index];
            FeatureMap { shape: layer.shape(), bits: layer.stored_bits() }
        };
        let model = |(index, layer): (usize, &crate::quantize::Layer)| {
            let bound = &words.layers()[index];
            if let (Some(mac), crate::quantize::Operation::Mac(source)) =
                (bound.mac(), &layer.operation)
            {
                let weights = mac.patches().weight_bitmaps(&source.weights);
                let model = LayerModel::new(bound.name(), mac.problem(), hardware, &weights)?;
                return Ok(Model::Array(Box::new(model)));
            }
            let inputs: Vec<_> = layer.inputs.iter().map(|&input| feature_map(input)).collect();
            let output = feature_map(index);
            let model =
                VectorModel::new(bound.name(), &layer.operation, &inputs, output, hardware)?;
            Ok(Model::Vector(Box::new(model)))
        };
        let models = network.layers.iter().enumerate().map(model).collect::<Result<_>>()?;
        Ok(Self { words, models, seed })
    }

    /// The same with words changed on their way.
    pub fn disturbed(self, disturbance: Arc<dyn Disturbance>) -> Self {
        Self { words: self.words.disturbed(disturbance), ..self }
    }

    /// The network, its sites resolved.
    pub fn words(&self) -> &BoundNetwork {
        &self.words
    }

    /// Word widths of layer `index`, those of the array included where it is a
    /// multiply-accumulate layer.
    pub fn bits(&self, index: usize) -> OperandBits {
        self.words.layers()[index].operand_bits()
    }

    /// Runs images 0 to `images` − 1, on the float network too if `baseline` is given; `image` gives
    /// the network input of each. `each` gets the outputs in the order of the images, and `done`
    /// hears of images that are done.
    ///
    /// # Errors
    /// If an image cannot be had or is not of the input's shape.
    pub fn run(
        &self,
        images: usize,
        baseline: Option<&Baseline>,
        image: impl Fn(usize) -> Result<Array3<f32>> + Sync,
        mut each: impl FnMut(usize, Outputs),
        done: impl Fn(u64) + Sync,
    ) -> Result<Run> {
        let mut noise = Vec::new();
        let one = |index, scratch: &mut Scratch| {
            let input = image(index)?;
            let input = input.as_standard_layout();
            let values = input.as_slice().expect("standard layout");
            self.words.quantize_input(values, index, &mut scratch.image)?;
            self.run_and_count(index, scratch);
            let compared = baseline
                .map(|baseline| compare(baseline, input.view(), &self.words, &scratch.image));
            Ok((self.words.outputs(&scratch.image), compared.transpose()?))
        };
        let run =
            self.parts(images, baseline.is_some(), done, one, |index, (quantized, compared)| {
                let float = compared.map(|(float, of_image)| {
                    noise.resize(of_image.len(), Noise::default());
                    noise.iter_mut().zip(of_image).for_each(|(sum, noise)| *sum += noise);
                    float
                });
                each(index, Outputs { quantized, float });
            })?;
        Ok(Run { noise, ..run })
    }

    /// Runs `images` images on synthetic activations: each multiply-accumulate layer by itself, on
    /// words of its own of which the fraction `density` is nonzero in expectation. Other layers
    /// read what the layers before them wrote.
    ///
    /// # Errors
    /// If the density is not in [0, 1].
    pub fn run_synthetic(
        &self,
        images: usize,
        density: f64,
        done: impl Fn(u64) + Sync,
    ) -> Result<Run> {
        let one = |index, scratch: &mut Scratch| {
            for (layer, bound) in self.words.layers().iter().enumerate() {
                let stream = (layer * images + index) as u64;
                if let Some(mac) = bound.mac() {
                    let read = &self.words.layers()[bound.inputs()[0]];
                    let len = mac.problem().geometry.input.len();
                    let draws = Draws::new(self.seed, stream);
                    let words = synthetic_words(read.format(), read.range(), len, density, draws)?;
                    self.words.run_layer(layer, &[&words], index, &mut scratch.image);
                    self.count(layer, Some(&words), scratch);
                    continue;
                }
                let inputs: Vec<Words> =
                    bound.inputs().iter().map(|&i| scratch.image.words(i).clone()).collect();
                let inputs: Vec<&Words> = inputs.iter().collect();
                self.words.run_layer(layer, &inputs, index, &mut scratch.image);
                self.count(layer, None, scratch);
            }
            Ok(())
        };
        self.parts(images, false, done, one, |_, ()| ())
    }

    /// Runs `one` for every image, the images spread over the threads, and hands what it gave to
    /// `each` in the order of the images. The words of all layers are there after an image where
    /// `keeps_words`, or where an image takes several threads. Counts are summed in integers, which
    /// depends on no order.
    fn parts<T: Send>(
        &self,
        images: usize,
        keeps_words: bool,
        done: impl Fn(u64) + Sync,
        one: impl Fn(usize, &mut Scratch) -> Result<T> + Sync,
        mut each: impl FnMut(usize, T),
    ) -> Result<Run> {
        let part = images.div_ceil(4 * rayon::current_num_threads()).clamp(1, PART);
        // Where there are more threads than images, an image takes several.
        let threads = (rayon::current_num_threads() / images.max(1)).max(1);
        let idle = Mutex::new(Vec::new());
        let run_part = |start: usize, end: usize| {
            let taken = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut scratch = taken.unwrap_or_else(|| self.scratch(threads, keeps_words));
            let mut given = Vec::with_capacity(part);
            for index in start..end.min(start + part) {
                given.push(one(index, &mut scratch)?);
                done(1);
            }
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
            Ok(given)
        };
        for window in (0..images).step_by(WINDOW) {
            let end = images.min(window + WINDOW);
            let starts: Vec<usize> = (window..end).step_by(part).collect();
            let runs = starts.par_iter().map(|&start| run_part(start, end));
            let runs: Vec<_> = runs.collect::<Result<_>>()?;
            for (given, start) in runs.into_iter().zip(starts) {
                given.into_iter().enumerate().for_each(|(index, t)| each(start + index, t));
            }
        }
        let mut layers = vec![LayerCounts::default(); self.models.len()];
        for scratch in idle.into_inner().unwrap_or_else(PoisonError::into_inner) {
            for (layer, (sum, mut counts)) in layers.iter_mut().zip(scratch.counts).enumerate() {
                counts.sites = *scratch.image.events(layer);
                *sum += &counts;
            }
        }
        Ok(Run { images: images as u64, layers, noise: Vec::new() })
    }

    fn scratch(&self, threads: usize, keeps_words: bool) -> Scratch {
        let geometry = |index: usize| {
            let mac = self.words.layers()[index].mac().filter(|_| self.needs_bits(index));
            mac.map(|mac| mac.problem().geometry)
        };
        let lender = |index: usize| {
            let like = |&other: &usize| geometry(other) == geometry(index);
            (0..index).filter(|_| threads == 1).find(like).unwrap_or(index)
        };
        let lenders: Vec<usize> = (0..self.models.len()).map(lender).collect();
        let of_layer =
            |(index, &lender)| if lender == index { self.layer_scratch(index) } else { None };
        let layers = lenders.iter().enumerate().map(of_layer).collect();
        Scratch {
            threads,
            image: if keeps_words || threads > 1 {
                self.words.state_on(threads)
            } else {
                self.words.passing_state()
            },
            lanes: LanesScratch::default(),
            layers,
            lenders,
            counts: vec![LayerCounts::default(); self.models.len()],
        }
    }

    /// Whether layer `index` is counted from the nonzero bits of its activations.
    fn needs_bits(&self, index: usize) -> bool {
        matches!(&self.models[index], Model::Array(model) if model.needs_activations())
    }

    fn layer_scratch(&self, index: usize) -> Option<LayerScratch> {
        let patches = self.words.layers()[index].mac()?.patches();
        let memory =
            || LayerScratch { patches: patches.scratch(), bitmaps: patches.empty_bitmaps() };
        self.needs_bits(index).then(memory)
    }

    /// The cost of layer `index` for the image in `state`; `read` stands in for the words that it
    /// read, where they are not those of the layers before. Everything but the sites.
    pub fn count_layer(
        &self,
        index: usize,
        read: Option<&Words>,
        state: &ImageState,
    ) -> LayerCounts {
        let mut scratch = self.layer_scratch(index);
        let mut counts = LayerCounts::default();
        let lanes = &mut LanesScratch::default();
        self.add_counts(index, read, state, lanes, scratch.as_mut(), &mut counts);
        counts
    }

    /// Runs all layers for the image whose input words are in `scratch`, and adds their cost: of each
    /// while its words are at hand, or of all side by side where there are several threads.
    fn run_and_count(&self, image: usize, scratch: &mut Scratch) {
        let Scratch { threads, image: state, lanes, layers, lenders, counts } = scratch;
        if *threads == 1 {
            return self.words.run_layers(image, state, |index, state| {
                let (layer, sum) = (layers[lenders[index]].as_mut(), &mut counts[index]);
                self.add_counts(index, None, state, lanes, layer, sum);
            });
        }
        self.words.run_image(image, state);
        let layers = layers.par_iter_mut().zip(counts).enumerate();
        layers.for_each_init(LanesScratch::default, |lanes, (index, (layer, counts))| {
            self.add_counts(index, None, state, lanes, layer.as_mut(), counts);
        });
    }

    /// Adds the cost of layer `index` for the image in `scratch`.
    fn count(&self, index: usize, read: Option<&Words>, scratch: &mut Scratch) {
        let Scratch { image, lanes, layers, lenders, counts, .. } = scratch;
        let layer = layers[lenders[index]].as_mut();
        self.add_counts(index, read, image, lanes, layer, &mut counts[index]);
    }

    fn add_counts(
        &self,
        index: usize,
        read: Option<&Words>,
        image: &ImageState,
        lanes: &mut LanesScratch,
        scratch: Option<&mut LayerScratch>,
        sum: &mut LayerCounts,
    ) {
        let layer = &self.words.layers()[index];
        let operands = self.words.operands(index, image);
        let recast = layer.mac().is_some_and(|mac| mac.recasts());
        let words = match (read, operands) {
            (Some(read), Some(_)) if !recast => Some(read),
            (_, operands) => operands,
        };
        match (&self.models[index], words, layer.mac()) {
            (Model::Array(model), Some(words), Some(mac)) => {
                let bitmaps = match scratch {
                    Some(LayerScratch { patches, bitmaps }) => {
                        mac.patches().activation_bitmaps(words, patches, bitmaps);
                        &bitmaps[..]
                    }
                    None => &[],
                };
                *sum += &model.count(bitmaps, nonzero(words), lanes);
            }
            (Model::Vector(model), _, _) => {
                let of_input = |&input: &usize| nonzero(image.words(input));
                model.add(layer.inputs().iter().map(of_input).sum(), sum);
            }
            (Model::Array(_), _, _) => unreachable!("an array's layer has operands"),
        }
    }
}
