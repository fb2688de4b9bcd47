//! Activation functions: the identity clipped to bounds.

use ndarray::Zip;

use super::{Maps, MapsMut};
use crate::network::Activation;

/// `y = min(max(x, low), high)`.
pub fn forward(activation: Activation, input: Maps, output: MapsMut) {
    let (low, high) = activation.bounds();
    Zip::from(output).and(input).for_each(|y, &x| *y = x.max(low).min(high));
}

/// `dx = dy` strictly between the bounds, else 0.
pub fn backward(activation: Activation, input: Maps, gradient: Maps, input_gradient: MapsMut) {
    let (low, high) = activation.bounds();
    Zip::from(input_gradient).and(input).and(gradient).for_each(|dx, &x, &dy| {
        if low < x && x < high {
            *dx += dy;
        }
    });
}
