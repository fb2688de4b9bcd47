//! Concatenation along the channels.

use ndarray::s;

use super::{Maps, MapsMut};

/// The inputs' channels, one input after the other.
pub fn forward(inputs: &[Maps], mut output: MapsMut) {
    let mut first = 0;
    for input in inputs {
        let next = first + input.dim().1;
        output.slice_mut(s![.., first..next, .., ..]).assign(input);
        first = next;
    }
}

/// The gradient of the input whose channels begin at `first_channel` of the output.
pub fn backward(first_channel: usize, gradient: Maps, mut input_gradient: MapsMut) {
    let channels = input_gradient.dim().1;
    input_gradient += &gradient.slice(s![.., first_channel..first_channel + channels, .., ..]);
}
