//! Memory for the words of an image.

use std::mem;

use crate::kernels::pool::PoolScratch;
use crate::kernels::{MacScratch, SiteEvents};
use crate::numeric::Format;
use crate::quantize::WordMap;
use crate::simulate::words::{BoundLayer, BoundMac, BoundNetwork};
use crate::tensor::Words;

/// The words of layers for one image, and what happened to them over all images so far. Reused from
/// image to image. Those of all layers are kept, but for [`BoundNetwork::passing_state`].
#[derive(Clone, Debug)]
pub struct ImageState {
    pub(super) layers: Vec<LayerState>,
    /// The real values of the network input, where the network takes words.
    pub(super) input: Vec<f32>,
    pub(super) magnitudes: Vec<u64>,
    /// Where layers share memory.
    shared: Shared,
}

/// Memory for words that several layers have one after the other.
#[derive(Clone, Default, Debug)]
struct Shared {
    /// Number of the memory by layer, if it has no memory of its own; none at all if all have.
    by_layer: Vec<Option<usize>>,
    /// The layer that has it, by memory.
    held_by: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct LayerState {
    /// The words of the cast, then those of each table; the last are the layer's.
    pub stages: Vec<Words>,
    /// The values of a host's layer that writes no words.
    pub values: Vec<f32>,
    /// Incoming words after the cast before the multipliers, if there is one.
    pub operands: Option<Words>,
    pub scratch: Option<MacScratch>,
    pub pool: PoolScratch,
    pub events: SiteEvents,
}

impl LayerState {
    pub fn words(&self) -> &Words {
        &self.stages[self.stages.len() - 1]
    }
}

impl ImageState {
    /// Of layers that share nothing.
    pub(super) fn of(layers: Vec<LayerState>) -> Self {
        Self { layers, input: Vec::new(), magnitudes: Vec::new(), shared: Shared::default() }
    }

    /// The words that layer `index` wrote, channels-last, if they are kept.
    pub fn words(&self, index: usize) -> &Words {
        self.layers[index].words()
    }

    /// What happened in layer `index` since the state was made.
    pub fn events(&self, index: usize) -> &SiteEvents {
        &self.layers[index].events
    }

    /// Gives layer `index` memory for its words, if it shares one.
    pub(super) fn claim(&mut self, index: usize) {
        let Some(memory) = self.shared.by_layer.get(index).copied().flatten() else { return };
        let before = mem::replace(&mut self.shared.held_by[memory], index);
        if let Ok([layer, before]) = self.layers.get_disjoint_mut([index, before]) {
            mem::swap(layer.stages[0].buffer_mut(), before.stages[0].buffer_mut());
        }
    }
}

impl BoundNetwork {
    /// Memory for an image.
    pub fn state(&self) -> ImageState {
        self.state_on(1)
    }

    /// The same for layers that may take up to `threads` threads of the pool each.
    pub fn state_on(&self, threads: usize) -> ImageState {
        let layers = self.layers.iter().map(|layer| layer.state(threads, layer.len()));
        ImageState::of(layers.collect())
    }

    /// Memory for an image whose words are not kept: those of a layer are there until all layers that read
    /// them have run, those of the last until the next image. Layers whose words nobody reads any
    /// more pass their memory on.
    pub fn passing_state(&self) -> ImageState {
        let shared = self.shared();
        let len = |index: usize, layer: &BoundLayer| match shared.by_layer[index] {
            Some(memory) if shared.held_by[memory] != index => 0,
            _ => layer.len(),
        };
        let layers = self.layers.iter().enumerate();
        let layers = layers.map(|(index, layer)| layer.state(1, len(index, layer)));
        let state = ImageState::of(layers.collect());
        ImageState { shared, ..state }
    }

    /// Which layers can share memory: it is of one type and size, and what one wrote is read no more
    /// when the next runs.
    fn shared(&self) -> Shared {
        let count = self.layers.len();
        let mut last_read: Vec<usize> = (0..count).collect();
        for (index, layer) in self.layers.iter().enumerate() {
            layer.inputs.iter().for_each(|&input| last_read[input] = index);
        }
        let mut read_last_by = vec![Vec::new(); count];
        last_read.iter().enumerate().for_each(|(index, &by)| read_last_by[by].push(index));
        let kind = |index: usize| {
            let layer = &self.layers[index];
            (mem::discriminant(Words::zeros(layer.epilogue.cast.to(), 0).buffer()), layer.len())
        };
        let (mut by_layer, mut held_by) = (vec![None; count], Vec::new());
        let mut free: Vec<usize> = Vec::new();
        for index in 0..count {
            let layer = &self.layers[index];
            // An input's words are there before the others', and the host's layers do not write
            // theirs where layers run one by one.
            let shares = layer.runs_alone() && layer.tables().next().is_none();
            if index + 1 < count && shares {
                let fits = |&memory: &usize| kind(held_by[memory]) == kind(index);
                let memory = match free.iter().rposition(fits) {
                    Some(found) => free.remove(found),
                    None => {
                        held_by.push(index);
                        held_by.len() - 1
                    }
                };
                by_layer[index] = Some(memory);
            }
            free.extend(read_last_by[index].iter().filter_map(|&read| by_layer[read]));
        }
        Shared { by_layer, held_by }
    }
}

impl BoundLayer {
    /// Number of words that it writes.
    pub(super) fn len(&self) -> usize {
        if self.writes_words() { self.shape.len() } else { 0 }
    }

    /// Formats of the words of its tables.
    fn tables(&self) -> impl Iterator<Item = Format> {
        self.maps.iter().filter_map(|map| match map {
            WordMap::Table { format, .. } => Some(*format),
            WordMap::TopK { .. } | WordMap::NOfM { .. } => None,
        })
    }

    /// Memory for it, for `len` words, which may take up to `threads` threads.
    pub(super) fn state(&self, threads: usize, len: usize) -> LayerState {
        let formats = std::iter::once(self.epilogue.cast.to()).chain(self.tables());
        let mac = self.mac();
        LayerState {
            stages: formats.map(|format| Words::zeros(format, len)).collect(),
            values: Vec::new(),
            operands: mac.and_then(BoundMac::operands),
            scratch: mac.map(|mac| mac.kernel().scratch().on(threads)),
            pool: PoolScratch::default(),
            events: SiteEvents::default(),
        }
    }
}
