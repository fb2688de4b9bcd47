//! Batch normalization with given statistics: an affine map by channel. Training leaves the
//! statistics as they are and learns weight and bias.

use ndarray::{Array1, ArrayD, Axis, Zip};

use super::{Maps, MapsMut};

/// Parameters of a batch normalization, each `[C]`.
pub struct Statistics<'a> {
    /// Factor.
    pub weight: &'a ArrayD<f32>,
    /// Offset.
    pub bias: &'a ArrayD<f32>,
    /// Running mean.
    pub mean: &'a ArrayD<f32>,
    /// Running variance.
    pub variance: &'a ArrayD<f32>,
    /// Added to the variance.
    pub epsilon: f32,
}

impl Statistics<'_> {
    /// 1 / √(variance + epsilon) of a channel.
    fn inverse_deviation(&self, channel: usize) -> f32 {
        1.0 / (self.variance[channel] + self.epsilon).sqrt()
    }
}

/// `y = (x − mean) · (weight / √(variance + epsilon)) + bias`.
pub fn forward(statistics: &Statistics, input: Maps, mut output: MapsMut) {
    let channels = output.axis_iter_mut(Axis(1)).zip(input.axis_iter(Axis(1)));
    for (channel, (output, input)) in channels.enumerate() {
        let scale = statistics.weight[channel] * statistics.inverse_deviation(channel);
        let (mean, bias) = (statistics.mean[channel], statistics.bias[channel]);
        Zip::from(output).and(input).for_each(|y, &x| *y = (x - mean) * scale + bias);
    }
}

/// `dx = dy · weight / √(variance + epsilon)`; returns the gradients of weight and bias,
/// `Σ dy · (x − mean) / √(variance + epsilon)` and `Σ dy`.
pub fn backward(
    statistics: &Statistics,
    input: Maps,
    gradient: Maps,
    mut input_gradient: Option<MapsMut>,
) -> (ArrayD<f32>, ArrayD<f32>) {
    let channels = input.dim().1;
    let (mut weight, mut bias) = (Array1::zeros(channels), Array1::zeros(channels));
    for channel in 0..channels {
        let input = input.index_axis(Axis(1), channel);
        let gradient = gradient.index_axis(Axis(1), channel);
        let inverse = statistics.inverse_deviation(channel);
        let mean = statistics.mean[channel];
        for (x, dy) in input.iter().zip(gradient) {
            weight[channel] += dy * ((x - mean) * inverse);
            bias[channel] += dy;
        }
        if let Some(input_gradient) = &mut input_gradient {
            let scale = statistics.weight[channel] * inverse;
            let to = input_gradient.index_axis_mut(Axis(1), channel);
            Zip::from(to).and(gradient).for_each(|dx, &dy| *dx += dy * scale);
        }
    }
    (weight.into_dyn(), bias.into_dyn())
}
