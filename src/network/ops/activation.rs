//! Activation functions, element by element.

use ndarray::Zip;

use super::{Maps, MapsMut};
use crate::network::Activation;

/// `y = f(x)`.
pub fn forward(activation: Activation, input: Maps, output: MapsMut) {
    Zip::from(output).and(input).for_each(|y, &x| *y = activation.apply(x));
}

/// `dx = dy · f'(x)`.
pub fn backward(activation: Activation, input: Maps, gradient: Maps, input_gradient: MapsMut) {
    Zip::from(input_gradient).and(input).and(gradient).for_each(|dx, &x, &dy| {
        *dx += dy * activation.derivative(x);
    });
}
