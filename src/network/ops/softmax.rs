//! Softmax over the channels of each pixel.

use ndarray::{Axis, Zip};

use super::{Maps, MapsMut};

/// `yᵢ = exp(xᵢ − max x) / Σⱼ exp(xⱼ − max x)`, the sum in the order of the channels.
pub fn forward(input: Maps, mut output: MapsMut) {
    Zip::from(output.lanes_mut(Axis(1))).and(input.lanes(Axis(1))).for_each(|mut y, x| {
        let max = x.fold(f32::NEG_INFINITY, |max, &x| max.max(x));
        let mut sum = 0.0;
        for (y, x) in y.iter_mut().zip(x) {
            *y = libm::expf(x - max);
            sum += *y;
        }
        y.mapv_inplace(|y| y / sum);
    });
}

/// `dxᵢ = yᵢ · (dyᵢ − Σⱼ dyⱼ · yⱼ)`.
pub fn backward(output: Maps, gradient: Maps, mut input_gradient: MapsMut) {
    Zip::from(input_gradient.lanes_mut(Axis(1)))
        .and(output.lanes(Axis(1)))
        .and(gradient.lanes(Axis(1)))
        .for_each(|mut dx, y, dy| {
            let mean = y.iter().zip(dy).fold(0.0, |sum, (y, dy)| sum + y * dy);
            Zip::from(&mut dx).and(y).and(dy).for_each(|dx, y, dy| *dx += y * (dy - mean));
        });
}
