//! How far the words of a layer lie from the float network's values.

use std::ops::AddAssign;

use ndarray::{ArrayView3, Axis};

use crate::error::Result;
use crate::network::float;
use crate::quantize::Baseline;
use crate::simulate::{BoundNetwork, ImageState};
use crate::tensor::{Shape, Word, Words, with_words};

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

    /// The sums over one image: `values` in the order channel, row, column, `words` channels-last;
    /// `unit` is what the word 1 stands for in a channel.
    fn of(shape: Shape, unit: impl Fn(usize) -> f64, values: &[f32], words: &Words) -> Self {
        with_words!(words.buffer(), words => sums(shape, unit, values, words))
    }
}

impl AddAssign for Noise {
    fn add_assign(&mut self, other: Self) {
        self.signal += other.signal;
        self.noise += other.noise;
    }
}

/// Walks pixels in blocks, so that a block of the channels-last words stays in the cache.
fn sums<W: Word>(shape: Shape, unit: impl Fn(usize) -> f64, values: &[f32], words: &[W]) -> Noise {
    const BLOCK: usize = 64;
    const LANES: usize = 8;
    let (channels, pixels) = (shape.channels, shape.pixels());
    let mut lanes = [Noise::default(); LANES];
    for first in (0..pixels).step_by(BLOCK) {
        let block = first..pixels.min(first + BLOCK);
        for (channel, plane) in values.chunks_exact(pixels).enumerate() {
            let unit = unit(channel);
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
    let mut input = image.insert_axis(Axis(0)).as_standard_layout().into_owned();
    if let Some(values) = input.as_slice_mut() {
        words.real_input(values);
    }
    let input = input.view();
    let outputs = float::visit(&baseline.network, &baseline.parameters, input, |id, values| {
        if let (Some(index), Some(values)) = (baseline.layer(id), values.as_slice()) {
            let layer = &words.layers()[index];
            let unit = |channel| layer.unit(channel);
            noise[index] = Noise::of(layer.shape(), unit, values, state.words(index));
        }
        Ok(())
    })?;
    Ok((outputs.into_iter().collect(), noise))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::Format;

    #[test]
    fn sums_follow_the_definition() {
        // 2 channels of 1×100 pixels: x = ±(p + ½), words that are off by ½ and exact.
        let shape = Shape::new(2, 1, 100);
        let values: Vec<f32> =
            (0..100).map(|p| p as f32 + 0.5).chain((0..100).map(|p| -(p as f32) - 0.5)).collect();
        let format: Format = "s16f0".parse().unwrap();
        let word = |i: i64| if i % 2 == 0 { i / 2 } else { -2 * (i / 2) - 1 };
        let words = Words::from_raw(format, (0..200u8).map(|i| word(i.into())));
        let unit = |channel: usize| [1.0, 0.5][channel];
        let found = Noise::of(shape, unit, &values, &words);
        // Σ (p + ½)² over p < n is n³/3 − n/12; channel 1's words are exact.
        let signal = 2.0 * (1e6 / 3.0 - 100.0 / 12.0);
        assert!((found.signal - signal).abs() < 1e-6, "{found:?}");
        assert_eq!(found.noise, 100.0 * 0.25);
        let db = 10.0 * (signal / 25.0).log10();
        assert!((found.sqnr_db().unwrap() - db).abs() < 1e-9);
    }

    #[test]
    fn a_ratio_that_is_not_finite_is_none() {
        assert_eq!(Noise { signal: 1.0, noise: 0.0 }.sqnr_db(), None);
        assert_eq!(Noise { signal: 0.0, noise: 1.0 }.sqnr_db(), None);
        assert_eq!(Noise::default().sqnr_db(), None);
        assert_eq!(Noise { signal: f64::NAN, noise: 1.0 }.sqnr_db(), None);
        assert_eq!(Noise { signal: 100.0, noise: 1.0 }.sqnr_db(), Some(20.0));
    }
}
