//! How far the words of a layer lie from the float network's values.

use std::ops::AddAssign;

use ndarray::ArrayView3;

use crate::error::Result;
use crate::network::float;
use crate::quantize::Baseline;
use crate::simulate::{BoundLayer, BoundNetwork, ImageState};
use crate::tensor::{Word, Words, with_words};

/// Sums over elements of a layer's output: x of the float network, x̂ of the words.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Noise {
    /// Σ x².
    pub signal: f64,
    /// Σ (x − x̂)².
    pub noise: f64,
}

impl Noise {
    /// The signal-to-quantization-noise ratio, 10 · log₁₀(Σ x² / Σ (x − x̂)²), in dB; `None` where
    /// it is not finite.
    pub fn sqnr_db(&self) -> Option<f64> {
        let db = 10.0 * (self.signal / self.noise).log10();
        db.is_finite().then_some(db)
    }

    /// The sums over one image: `values` in the order channel, row, column.
    fn of(layer: &BoundLayer, values: &[f32], words: &Words) -> Self {
        with_words!(words.buffer(), words => sums(layer, values, words))
    }
}

impl AddAssign for Noise {
    fn add_assign(&mut self, other: Self) {
        self.signal += other.signal;
        self.noise += other.noise;
    }
}

/// Walks pixels in blocks, so that a block of the channels-last words stays in the cache.
fn sums<W: Word>(layer: &BoundLayer, values: &[f32], words: &[W]) -> Noise {
    const BLOCK: usize = 64;
    const LANES: usize = 8;
    let (channels, pixels) = (layer.shape().channels, layer.shape().pixels());
    let mut lanes = [Noise::default(); LANES];
    for first in (0..pixels).step_by(BLOCK) {
        let block = first..pixels.min(first + BLOCK);
        for (channel, plane) in values.chunks_exact(pixels).enumerate() {
            let unit = layer.unit(channel);
            let words = words[first * channels + channel..].iter().step_by(channels);
            for (index, (&value, word)) in plane[block.clone()].iter().zip(words).enumerate() {
                let value = f64::from(value);
                let error = value - word.raw() as f64 * unit;
                let lane = &mut lanes[index % LANES];
                *lane += Noise { signal: value * value, noise: error * error };
            }
        }
    }
    let mut sum = Noise::default();
    lanes.into_iter().for_each(|lane| sum += lane);
    sum
}

/// Runs the float network on the image whose words are in `state`: its outputs in the order
/// channel, row, column, and by layer how far the words lie from it.
pub(super) fn compare(
    baseline: &Baseline,
    image: ArrayView3<f32>,
    words: &BoundNetwork,
    state: &ImageState,
) -> Result<(Vec<f32>, Vec<Noise>)> {
    let mut noise = vec![Noise::default(); words.layers().len()];
    let mut input = image.insert_axis(ndarray::Axis(0)).as_standard_layout().into_owned();
    if let Some(values) = input.as_slice_mut() {
        words.real_input(values);
    }
    let input = input.view();
    let outputs = float::visit(&baseline.network, &baseline.parameters, input, |id, values| {
        if let (Some(layer), Some(values)) = (baseline.layer(id), values.as_slice()) {
            noise[layer] = Noise::of(&words.layers()[layer], values, state.words(layer));
        }
        Ok(())
    })?;
    Ok((outputs.into_iter().collect(), noise))
}
