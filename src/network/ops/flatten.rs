//! C × H × W to a vector, or to a map of other sizes.

use ndarray::{ArrayView4, ArrayViewMut4};

use super::{Maps, MapsMut};
use crate::network::FlattenOrder;

/// The elements in the order.
pub fn forward(order: FlattenOrder, input: Maps, output: MapsMut) {
    let output = ordered_mut(order, output);
    output.into_iter().zip(&ordered(order, input)).for_each(|(y, &x)| *y = x);
}

/// The gradient's elements in their places.
pub fn backward(order: FlattenOrder, gradient: Maps, input_gradient: MapsMut) {
    let input_gradient = ordered_mut(order, input_gradient);
    input_gradient.into_iter().zip(&ordered(order, gradient)).for_each(|(dx, &dy)| *dx += dy);
}

fn ordered(order: FlattenOrder, maps: Maps) -> ArrayView4<f32> {
    match order {
        FlattenOrder::ChannelsFirst => maps,
        FlattenOrder::ChannelsLast => maps.permuted_axes([0, 2, 3, 1]),
    }
}

fn ordered_mut(order: FlattenOrder, maps: MapsMut) -> ArrayViewMut4<f32> {
    match order {
        FlattenOrder::ChannelsFirst => maps,
        FlattenOrder::ChannelsLast => maps.permuted_axes([0, 2, 3, 1]),
    }
}
