//! Zeros around a map.

use ndarray::{ArrayViewMut4, s};

use super::{Maps, MapsMut};

/// The map inside zeros.
pub fn forward(padding: [usize; 4], input: Maps, mut output: MapsMut) {
    output.fill(0.0);
    inside(padding, output.view_mut(), input.dim()).assign(&input);
}

/// The gradient of the part inside.
pub fn backward(padding: [usize; 4], gradient: Maps, mut input_gradient: MapsMut) {
    let [top, left, ..] = padding;
    let (_, _, height, width) = input_gradient.dim();
    input_gradient += &gradient.slice(s![.., .., top..top + height, left..left + width]);
}

fn inside(
    [top, left, ..]: [usize; 4],
    output: ArrayViewMut4<f32>,
    (_, _, height, width): (usize, usize, usize, usize),
) -> ArrayViewMut4<f32> {
    output.slice_move(s![.., .., top..top + height, left..left + width])
}
