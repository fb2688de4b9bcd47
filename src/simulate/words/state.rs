//! Memory for the words of an image.

use crate::kernels::pool::PoolScratch;
use crate::kernels::{MacScratch, SiteEvents};
use crate::quantize::WordMap;
use crate::simulate::words::{BoundLayer, BoundMac};
use crate::tensor::Words;

/// The words of all layers for one image, and what happened to them over all images so far.
/// Reused from image to image.
#[derive(Clone, Debug)]
pub struct ImageState {
    pub(super) layers: Vec<LayerState>,
    /// The real values of the network input.
    pub(super) input: Vec<f32>,
    pub(super) magnitudes: Vec<u64>,
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
