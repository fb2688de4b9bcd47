//! C × H × W to a vector, in the order channel, row, column.

use super::{Maps, MapsMut};

/// The elements in their order.
pub fn forward(input: Maps, mut output: MapsMut) {
    output.iter_mut().zip(input).for_each(|(y, &x)| *y = x);
}

/// The gradient's elements in their order.
pub fn backward(gradient: Maps, mut input_gradient: MapsMut) {
    input_gradient.iter_mut().zip(gradient).for_each(|(dx, &dy)| *dx += dy);
}
