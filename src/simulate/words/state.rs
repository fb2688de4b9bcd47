//! Memory for the words of an image.

use std::mem;

use crate::kernels::pool::PoolScratch;
use crate::kernels::{MacScratch, SiteEvents};
use crate::quantize::WordMap;
use crate::simulate::words::{BoundLayer, BoundMac, BoundNetwork};
use crate::tensor::Words;

/// The words of all layers for one image, and what happened to them over all images so far.
/// Reused from image to image.
#[derive(Clone, Default, Debug)]
pub struct ImageState {
    pub(super) layers: Vec<LayerState>,
    /// The real values of the network input.
    pub(super) input: Vec<f32>,
    pub(super) magnitudes: Vec<u64>,
    /// Where layers share memory.
    pub(super) shared: Shared,
}

/// Memory for words that several layers have one after the other.
#[derive(Clone, Default, Debug)]
pub(super) struct Shared {
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
    /// The words that layer `index` wrote, channels-last.
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
    /// Memory for an image whose words are not kept: those of a layer are there until all layers that
    /// read them have run, those of the last until the next image.
    pub fn passing_state(&self, threads: usize) -> ImageState {
        let mut state = self.state_on(threads);
        let count = self.layers.len();
        let last_read = |index: usize| {
            let reads = |layer: &BoundLayer| layer.inputs.contains(&index);
            self.layers.iter().rposition(reads).unwrap_or(index)
        };
        let (mut by_layer, mut free) = (vec![None; count], Vec::new());
        let mut held_by = Vec::<usize>::new();
        for index in 0..count {
            let layer = &state.layers[index];
            if index + 1 < count && layer.stages.len() == 1 && self.layers[index].writes_words() {
                let fits = |&memory: &usize| {
                    state.layers[held_by[memory]].words().is_stored_like(layer.words())
                };
                match free.iter().rposition(fits) {
                    Some(found) => {
                        by_layer[index] = Some(free.remove(found));
                        let format = layer.words().format();
                        state.layers[index].stages[0] = Words::zeros(format, 0);
                    }
                    None => {
                        by_layer[index] = Some(held_by.len());
                        held_by.push(index);
                    }
                }
            }
            let read = (0..=index).filter(|&other| last_read(other) == index);
            free.extend(read.filter_map(|other| by_layer[other]));
        }
        ImageState { shared: Shared { by_layer, held_by }, ..state }
    }
}

impl BoundLayer {
    /// Memory for it, which may take up to `threads` threads.
    pub(super) fn state(&self, threads: usize) -> LayerState {
        let tables = self.maps.iter().filter_map(|map| match map {
            WordMap::Table { format, .. } => Some(*format),
            WordMap::TopK { .. } | WordMap::NOfM { .. } => None,
        });
        let formats = std::iter::once(self.epilogue.cast.to()).chain(tables);
        let mac = self.mac();
        let len = if self.writes_words() { self.shape.len() } else { 0 };
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
