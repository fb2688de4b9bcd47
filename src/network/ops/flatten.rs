//! C × H × W to a vector.

use ndarray::ArrayView4;

use super::{Maps, MapsMut};
use crate::network::FlattenOrder;

/// The elements in the order.
pub fn forward(order: FlattenOrder, input: Maps, mut output: MapsMut) {
    output.iter_mut().zip(&ordered(order, input)).for_each(|(y, &x)| *y = x);
}

/// The gradient's elements in their places.
pub fn backward(order: FlattenOrder, gradient: Maps, mut input_gradient: MapsMut) {
    if order == FlattenOrder::ChannelsLast {
        input_gradient = input_gradient.permuted_axes([0, 2, 3, 1]);
    }
    input_gradient.iter_mut().zip(gradient).for_each(|(dx, &dy)| *dx += dy);
}

fn ordered(order: FlattenOrder, maps: Maps) -> ArrayView4<f32> {
    match order {
        FlattenOrder::ChannelsFirst => maps,
        FlattenOrder::ChannelsLast => maps.permuted_axes([0, 2, 3, 1]),
    }
}
