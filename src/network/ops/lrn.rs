//! Local response normalization across channels.

use std::ops::Range;

use ndarray::{ArrayView1, Axis, Zip};

use super::{Maps, MapsMut};
use crate::network::Lrn;

impl Lrn {
    /// The channels that are summed for channel `c` of `channels`.
    pub fn channels(&self, c: usize, channels: usize) -> Range<usize> {
        let before = (self.size - 1) / 2;
        c.saturating_sub(before)..(c + self.size - before).min(channels)
    }

    /// `bias + alpha / size · Σ x²` of channel `c`.
    fn scale(&self, x: &ArrayView1<f32>, c: usize) -> f32 {
        let sum = self.channels(c, x.len()).fold(0.0, |sum, i| sum + x[i] * x[i]);
        self.bias + self.alpha / self.size as f32 * sum
    }
}

/// `y = x · scale^−beta`.
pub fn forward(lrn: &Lrn, input: Maps, mut output: MapsMut) {
    Zip::from(output.lanes_mut(Axis(1))).and(input.lanes(Axis(1))).for_each(|mut y, x| {
        for c in 0..x.len() {
            y[c] = x[c] * libm::powf(lrn.scale(&x, c), -lrn.beta);
        }
    });
}

/// `dxᵢ = dyᵢ · scaleᵢ^−beta − 2 · alpha / size · beta · xᵢ · Σ dyⱼ · yⱼ / scaleⱼ` over the channels
/// j in whose sum i is.
pub fn backward(lrn: &Lrn, input: Maps, output: Maps, gradient: Maps, mut to: MapsMut) {
    Zip::from(to.lanes_mut(Axis(1)))
        .and(input.lanes(Axis(1)))
        .and(output.lanes(Axis(1)))
        .and(gradient.lanes(Axis(1)))
        .for_each(|mut dx, x, y, dy| {
            let factor = 2.0 * lrn.alpha / lrn.size as f32 * lrn.beta;
            for j in 0..x.len() {
                let scale = lrn.scale(&x, j);
                dx[j] += dy[j] * libm::powf(scale, -lrn.beta);
                for i in lrn.channels(j, x.len()) {
                    dx[i] -= factor * x[i] * dy[j] * y[j] / scale;
                }
            }
        });
}
