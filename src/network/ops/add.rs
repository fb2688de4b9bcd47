//! Element by element sum of maps of one shape, from the first input to the last.

use super::{Maps, MapsMut};

/// `y = x₀ + x₁ + …`.
pub fn forward(inputs: &[Maps], mut output: MapsMut) {
    let (first, rest) = inputs.split_first().expect("a sum has inputs");
    output.assign(first);
    for input in rest {
        output += input;
    }
}

/// `dxᵢ = dy`.
pub fn backward(gradient: Maps, mut input_gradient: MapsMut) {
    input_gradient += &gradient;
}
