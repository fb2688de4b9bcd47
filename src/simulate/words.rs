//! The words of a quantized network on a datapath: bound once, then run image by image.
//!
//! Nothing but the network, the datapath and the seed may reach a word.

mod bind;
mod host;
mod input;
mod mac;
mod state;
mod suffix;
#[cfg(test)]
mod tests;

pub use mac::BoundMac;
pub use state::ImageState;
pub use suffix::Snapshot;

use crate::error::{Error, Result};
use std::sync::Arc;

use crate::kernels::elementwise::ScaledSum;
use crate::kernels::pool::{Average, Pool, Sink};
use crate::kernels::softmax::Softmax;
use crate::kernels::{Epilogue, LayerDraws, Mac, Site, elementwise, maps};
use crate::mapping::OperandBits;
use crate::network::{FlattenOrder, NodeId};
use crate::numeric::Format;
use crate::quantize::{Affine, HostModel, Output, WordMap};
use crate::tensor::{Shape, Words};
use state::LayerState;

/// A network whose every site is resolved for a datapath, ready to run; shared by threads, each of
/// which brings its own [`ImageState`].
#[derive(Clone, Debug)]
pub struct BoundNetwork {
    name: String,
    layers: Vec<BoundLayer>,
    host: Option<Arc<HostModel>>,
    takes_words: bool,
    gives_words: bool,
    seed: u64,
    disturbance: Option<Arc<dyn Disturbance>>,
}

/// What changes words on their way: faults.
pub trait Disturbance: std::fmt::Debug + Send + Sync {
    /// Changes the `words` that a multiply-accumulate layer made of its `operands`, before the
    /// quantizers that follow its cast.
    fn results(
        &self,
        layer: usize,
        image: usize,
        mac: &Mac,
        operands: &Words,
        words: &mut Words,
        draws: LayerDraws,
    );

    /// Changes the words that a layer has written.
    fn written(&self, index: usize, image: usize, layer: &BoundLayer, words: &mut Words);
}

/// A layer of a [`BoundNetwork`].
#[derive(Clone, Debug)]
pub struct BoundLayer {
    name: String,
    inputs: Vec<usize>,
    shape: Shape,
    step: Step,
    epilogue: Epilogue,
    maps: Vec<WordMap>,
    format: Format,
    affine: Option<Affine>,
}

/// What a layer does.
#[derive(Clone, Debug)]
enum Step {
    Input,
    Mac(Box<BoundMac>),
    Activation,
    MaxPool(Pool),
    AveragePool(Pool, Average),
    Add(Option<ScaledSum>),
    Mul,
    Concat(Vec<Option<Arc<[i64]>>>),
    /// Of a map of this shape.
    Pad(Shape, [usize; 4]),
    /// From a map of this shape.
    Flatten(Shape, FlattenOrder),
    Constant(Words),
    Softmax(Softmax),
    /// A node of the host's network, and whether its values become words.
    Host(NodeId, bool),
}

impl BoundLayer {
    /// Name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Earlier layers that it reads.
    pub fn inputs(&self) -> &[usize] {
        &self.inputs
    }

    /// Shape of one image's output.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Format of the output words.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Format of the words as they are stored.
    pub fn stored(&self) -> Format {
        self.affine.as_ref().map_or(self.format, |affine| affine.stored)
    }

    /// Smallest and largest word that it writes.
    pub fn range(&self) -> [i64; 2] {
        let [low, high] = [self.format.min(), self.format.max()].map(|end| end as i64);
        let [least, most] = self.affine.as_ref().map_or([low, high], Affine::range);
        [least.max(low), most.min(high)]
    }

    /// Width of the words as they are stored.
    pub fn stored_bits(&self) -> u32 {
        self.stored().bits()
    }

    /// What `word` of channel `channel` stands for. An affine word is `float32(word) · scale`, a
    /// product in float32 as ONNX defines it.
    pub fn value(&self, word: i64, channel: usize) -> f32 {
        match &self.affine {
            Some(affine) => word as f32 * affine.scale(channel),
            None => self.format.value(word.into()) as f32,
        }
    }

    /// What the word 1 stands for in a channel.
    pub fn unit(&self, channel: usize) -> f64 {
        match &self.affine {
            Some(affine) => affine.scale(channel).into(),
            None => self.format.value(1),
        }
    }

    /// What a stored word is more than a word here, where the quantization is affine.
    pub fn zero_point(&self) -> Option<i64> {
        self.affine.as_ref().map(|affine| affine.zero_point)
    }

    /// Whether quantizers on words follow its cast.
    pub fn maps_words(&self) -> bool {
        !self.maps.is_empty()
    }

    /// Widths of the words that it reads and writes, those of the array included where it is a
    /// multiply-accumulate layer.
    pub fn operand_bits(&self) -> OperandBits {
        match self.mac() {
            Some(mac) => mac.problem().bits,
            None => {
                let output = self.stored_bits();
                OperandBits { weights: 0, bias: 0, activations: output, accumulator: 0, output }
            }
        }
    }

    /// Whether it writes words; the float values of others are the host's own.
    pub fn writes_words(&self) -> bool {
        !matches!(self.step, Step::Host(_, false))
    }

    /// Whether [`BoundNetwork::run_layer`] computes it: whether it is neither the host's nor the
    /// network's input.
    pub fn runs_alone(&self) -> bool {
        !matches!(self.step, Step::Host(..) | Step::Input)
    }

    /// The sites and kernel, if it is a multiply-accumulate layer.
    pub fn mac(&self) -> Option<&BoundMac> {
        match &self.step {
            Step::Mac(mac) => Some(mac),
            _ => None,
        }
    }
}

impl BoundNetwork {
    /// The same network with words changed on their way.
    pub fn disturbed(self, disturbance: Arc<dyn Disturbance>) -> Self {
        Self { disturbance: Some(disturbance), ..self }
    }

    /// The layers in topological order.
    pub fn layers(&self) -> &[BoundLayer] {
        &self.layers
    }

    /// The draws of stochastic rounding in layer `index` for an image.
    pub fn draws(&self, index: usize, image: usize) -> LayerDraws {
        LayerDraws::new(self.seed, index, image)
    }

    /// The layer of the network input, if there is exactly one.
    fn input(&self) -> Option<usize> {
        let mut inputs =
            (0..self.layers.len()).filter(|&i| matches!(self.layers[i].step, Step::Input));
        inputs.next().filter(|_| inputs.next().is_none())
    }

    /// Quantizes the network input, `values` in the order channel, row, column, by its definition
    /// round(x · 2^F): exactly, as an `f32` is a binary fraction. Refuses values that are not
    /// finite, or not as many as the input has, and networks without exactly one input.
    pub fn quantize_input(
        &self,
        values: &[f32],
        image: usize,
        state: &mut ImageState,
    ) -> Result<()> {
        let input = self.input().ok_or_else(|| {
            Error::new(
                format_args!("network `{}`", self.name),
                "has not exactly one input, so images cannot feed it",
            )
            .remedy("run it on --synthetic operands")
        })?;
        let layer = &self.layers[input];
        let LayerState { stages, events, .. } = &mut state.layers[input];
        let draws = LayerDraws::new(self.seed, input, image);
        input::check(layer, values, self.takes_words)?;
        let values = if self.takes_words {
            state.input.clear();
            state.input.extend_from_slice(values);
            self.real_input(&mut state.input);
            &state.input
        } else {
            values
        };
        input::quantize(layer, values, &mut stages[0], draws, &mut events.output);
        self.written(input, image, &mut state.layers[input], &mut state.magnitudes);
        Ok(())
    }

    /// Runs the quantizers on words of a layer, and what changes its words.
    fn written(
        &self,
        index: usize,
        image: usize,
        state: &mut LayerState,
        magnitudes: &mut Vec<u64>,
    ) {
        let layer = &self.layers[index];
        layer.map_words(state, magnitudes);
        if let (Some(disturbance), Some(words)) = (&self.disturbance, state.stages.last_mut()) {
            disturbance.written(index, image, layer, words);
        }
    }

    /// Runs all layers for the image whose input words
    /// [`quantize_input`](Self::quantize_input) wrote. `image` numbers the draws of stochastic
    /// rounding.
    pub fn run_image(&self, image: usize, state: &mut ImageState) {
        self.run_layers(image, state, |_, _| ());
    }

    /// The same; `done` hears of each layer, the input among them, while its words are at hand.
    pub fn run_layers(
        &self,
        image: usize,
        state: &mut ImageState,
        mut done: impl FnMut(usize, &ImageState),
    ) {
        for (index, layer) in self.layers.iter().enumerate() {
            if !matches!(layer.step, Step::Input) {
                self.run_step(index, image, state);
            }
            done(index, state);
        }
    }

    /// Runs layer `index` on what the layers before it wrote.
    fn run_step(&self, index: usize, image: usize, state: &mut ImageState) {
        if let Step::Host(node, quantized) = self.layers[index].step {
            self.run_host(index, node, quantized, image, state);
            return;
        }
        state.claim(index);
        let (done, rest) = state.layers.split_at_mut(index);
        let inputs = self.layers[index].inputs.iter().map(|&input| done[input].words());
        let slot = &mut rest[0];
        self.run(index, inputs, image, slot, &mut state.magnitudes);
    }

    /// Runs layer `index` alone on `inputs`, which may be of one's own making; what it wrote is in
    /// the state.
    ///
    /// # Panics
    ///
    /// If the inputs are not of the layer's number and sizes.
    pub fn run_layer(&self, index: usize, inputs: &[&Words], image: usize, state: &mut ImageState) {
        assert_eq!(inputs.len(), self.layers[index].inputs.len(), "as many inputs as layers read");
        state.claim(index);
        let ImageState { layers, magnitudes, .. } = state;
        let inputs = inputs.iter().copied();
        self.run(index, inputs, image, &mut layers[index], magnitudes);
    }

    /// The words that enter the multipliers of layer `index`, of those that its input wrote and that
    /// are kept; `None` if it is no multiply-accumulate layer.
    pub fn operands<'a>(&self, index: usize, state: &'a ImageState) -> Option<&'a Words> {
        self.layers[index].mac()?;
        let read = *self.layers[index].inputs.first()?;
        Some(state.layers[index].operands.as_ref().unwrap_or(state.layers[read].words()))
    }

    /// The network's outputs for the image, in the order channel, row, column: the values of the
    /// last layer, or its stored words where the network gives those.
    pub fn outputs(&self, state: &ImageState) -> Vec<f32> {
        let (Some(layer), Some(last)) = (self.layers.last(), state.layers.last()) else {
            return Vec::new();
        };
        match &layer.affine {
            Some(affine) if self.gives_words => {
                let stored = |word: i64| (word + affine.zero_point) as f32;
                by_channel(layer.shape, |at, _| stored(last.words().get(at)))
            }
            _ => self.values(self.layers.len() - 1, state),
        }
    }

    /// The values that layer `index` wrote, in the order channel, row, column, if its words are kept.
    pub fn values(&self, index: usize, state: &ImageState) -> Vec<f32> {
        let (layer, state) = (&self.layers[index], &state.layers[index]);
        if !layer.writes_words() {
            return state.values.clone();
        }
        let words = state.words();
        by_channel(layer.shape, |at, channel| layer.value(words.get(at), channel))
    }

    /// The real values of an image that the dataset gives: those of the words of the input where
    /// the network takes words.
    pub fn real_input(&self, values: &mut [f32]) {
        let input = self.input().map(|index| &self.layers[index]);
        if let Some(affine) = input.and_then(|layer| layer.affine.as_ref())
            && self.takes_words
        {
            let real = |word: f32| (word - affine.zero_point as f32) * affine.scale(0);
            values.iter_mut().for_each(|value| *value = real(*value));
        }
    }

    fn run<'a>(
        &'a self,
        index: usize,
        mut inputs: impl Iterator<Item = &'a Words> + Clone,
        image: usize,
        state: &mut LayerState,
        magnitudes: &mut Vec<u64>,
    ) {
        let layer = &self.layers[index];
        let draws = LayerDraws::new(self.seed, index, image);
        let LayerState { stages, operands, scratch, pool: memory, events, .. } = state;
        let words = &mut stages[0];
        let output = &mut events.output;
        let e = &layer.epilogue;
        match (&layer.step, inputs.clone().next()) {
            (Step::Constant(constant), _) => words.clone_from(constant),
            (Step::Input | Step::Host(..), _) | (_, None) => {}
            (Step::Mac(mac), Some(input)) => {
                if let Some(scratch) = scratch {
                    mac.run(input, words, operands.as_mut(), scratch, draws, events);
                }
                if let Some(disturbance) = &self.disturbance {
                    let operands = operands.as_ref().unwrap_or(input);
                    let mac = mac.kernel().mac();
                    disturbance.results(index, image, &mac, operands, words, draws);
                }
            }
            (Step::Activation, Some(input)) => {
                elementwise::cast(e, Site::Output, input, words, draws, output);
            }
            (Step::MaxPool(pool), Some(input)) => {
                pool.maximum(input, draws, Sink { words, events: output, scratch: memory });
            }
            (Step::AveragePool(pool, average), Some(input)) => {
                let sink = Sink { words, events: output, scratch: memory };
                pool.average(*average, input, draws, sink);
            }
            (Step::Add(None), _) => elementwise::add(e, inputs, words, draws, output),
            (Step::Add(Some(sum)), _) => elementwise::scaled_add(e, sum, inputs, words, output),
            (Step::Mul, Some(a)) => {
                let b = inputs.nth(1).unwrap_or(a);
                let channels = layer.shape.channels;
                elementwise::mul(e, [a, b], channels, words, draws, output);
            }
            (Step::Concat(tables), _) => {
                let pixels = layer.shape.pixels();
                let tables = tables.iter().map(Option::as_deref).chain(std::iter::repeat(None));
                elementwise::concat(e, pixels, inputs.zip(tables), words, draws, output);
            }
            (Step::Pad(shape, padding), Some(input)) => {
                elementwise::pad(*shape, *padding, input, words);
            }
            (Step::Flatten(shape, FlattenOrder::ChannelsFirst), Some(input)) => {
                elementwise::flatten(*shape, input, words);
            }
            (Step::Flatten(_, FlattenOrder::ChannelsLast), Some(input)) => words.clone_from(input),
            (Step::Softmax(softmax), Some(input)) => {
                softmax.run(layer.shape.channels, input, words);
            }
        }
        self.written(index, image, state, magnitudes);
    }
}

impl BoundLayer {
    /// Runs the quantizers on words that follow the cast.
    fn map_words(&self, state: &mut LayerState, magnitudes: &mut Vec<u64>) {
        let mut stage = 0;
        for map in &self.maps {
            let (done, next) = state.stages.split_at_mut(stage + 1);
            let words = &mut done[stage];
            match map {
                WordMap::Table { words: table, .. } => {
                    maps::table(words, table, &mut next[0]);
                    stage += 1;
                }
                WordMap::TopK { keep } => maps::top_k(words, *keep, magnitudes),
                WordMap::NOfM { n, m } => {
                    maps::n_of_m(words, self.shape.channels, *n, *m, magnitudes);
                }
            }
        }
    }
}

/// What `value` makes of the places in a channels-last map and their channels, in the order channel,
/// row, column.
fn by_channel(shape: Shape, value: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    let mut values = Vec::with_capacity(shape.len());
    for channel in 0..shape.channels {
        let places = (channel..shape.len()).step_by(shape.channels);
        values.extend(places.map(|place| value(place, channel)));
    }
    values
}

/// The epilogue of an `output` site.
fn epilogue(output: &Output) -> Epilogue {
    let clamp = output.clamp.map(|clamp| (clamp.low, clamp.high));
    Epilogue { clamp, ..Epilogue::cast(output.cast) }
}
