//! Running the later layers of a network on what earlier ones wrote before.

use crate::kernels::SiteEvents;
use crate::kernels::pool::PoolScratch;
use crate::simulate::words::{BoundNetwork, ImageState, LayerState, Step};
use crate::tensor::Words;

/// What all layers wrote for one image.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Words by layer, and the values of layers that write none.
    layers: Vec<(Words, Vec<f32>)>,
}

impl Snapshot {
    /// Bytes held, about.
    pub fn bytes(&self) -> usize {
        let of = |(words, values): &(Words, Vec<f32>)| {
            words.len() * words.format().bits().next_power_of_two().div_ceil(8) as usize
                + values.len() * 4
        };
        self.layers.iter().map(of).sum()
    }
}

impl ImageState {
    /// Keeps what the layers wrote, of a state that keeps the words of all.
    pub fn snapshot(&self) -> Snapshot {
        let of = |layer: &LayerState| (layer.words().clone(), layer.values.clone());
        Snapshot { layers: self.layers.iter().map(of).collect() }
    }
}

impl BoundNetwork {
    /// Memory for an image of which only layers from `first` on run.
    pub fn state_from(&self, first: usize) -> ImageState {
        let layers = self.layers.iter().enumerate();
        let layers = layers.map(|(index, layer)| {
            if index >= first || self.is_read_from(index, first) {
                return layer.state(1, layer.len());
            }
            LayerState {
                stages: vec![Words::zeros(layer.format, 0)],
                values: Vec::new(),
                operands: None,
                scratch: None,
                pool: PoolScratch::default(),
                events: SiteEvents::default(),
            }
        });
        ImageState::of(layers.collect())
    }

    /// Runs layers from `first` on for an image of which `before` holds what the layers before them
    /// wrote. Layers before `first` have the formats of the network that `before` comes from.
    ///
    /// # Panics
    ///
    /// If `before` is not of a network of as many layers.
    pub fn run_from(&self, first: usize, before: &Snapshot, image: usize, state: &mut ImageState) {
        for index in (0..first).filter(|&index| self.is_read_from(index, first)) {
            let (words, values) = &before.layers[index];
            let layer = &mut state.layers[index];
            if let Some(last) = layer.stages.last_mut() {
                last.clone_from(words);
            }
            layer.values.clone_from(values);
        }
        let computed = |&index: &usize| !matches!(self.layers[index].step, Step::Input);
        (first..self.layers.len()).filter(computed).for_each(|i| self.run_step(i, image, state));
    }

    /// Whether a layer from `first` on reads layer `index`, or it is the output.
    fn is_read_from(&self, index: usize, first: usize) -> bool {
        index + 1 == self.layers.len()
            || self.layers[first..].iter().any(|layer| layer.inputs.contains(&index))
    }
}
