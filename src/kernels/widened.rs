//! Layers of few output channels, so restated that they fill vectors.

use crate::kernels::bounds::Interval;
use crate::kernels::dot::LANES;
use crate::kernels::{AccumulationOrder, Mac, MacSpec};
use crate::numeric::{Format, Requantizer};
use crate::tensor::{ConvGeometry, Words};

/// What the epilogue of a vector costs, in steps of its sums.
const EPILOGUE: usize = 16;

/// A layer of which neighbours along a row are the output channels of one pixel: a convolution
/// whose window spans all of theirs and moves by as many, with zeros for weights where one of them
/// has no operand. Words, and their order, are those of the layer that it was made of.
#[derive(Clone, Debug)]
pub(crate) struct Widened {
    spec: MacSpec,
    range: [i64; 2],
    geometry: ConvGeometry,
    order: AccumulationOrder,
    weights: Words,
    bias: Option<(Format, Vec<i64>)>,
    requantizers: Vec<Requantizer>,
    /// Intervals of the output channels.
    pub reach: Vec<Interval>,
}

impl Widened {
    /// Of as many neighbours as are cheapest where a step multiplies `group` operands; `None` if
    /// the layer is best as it is.
    pub fn new(mac: &Mac<'_>, reach: &[Interval], group: usize) -> Option<Self> {
        let ConvGeometry { output, window, groups, .. } = mac.geometry;
        if groups != 1 || window.dilation[1] != 1 || output.channels >= LANES * LANES {
            return None;
        }
        // Compared as fractions: by pixel, cost / neighbours.
        let cost = |neighbours: usize| {
            let columns = columns(&mac.geometry, neighbours);
            let steps = (columns * mac.geometry.input.channels).div_ceil(group);
            (window.kernel[0] * steps + EPILOGUE) * (neighbours * output.channels).div_ceil(LANES)
        };
        let divisors = (1..=output.width.min(LANES)).filter(|n| output.width.is_multiple_of(*n));
        let best = divisors.reduce(|best, n| if cost(n) * best < cost(best) * n { n } else { best });
        best.filter(|&neighbours| neighbours > 1).map(|n| Self::of(mac, reach, n))
    }

    fn of(mac: &Mac<'_>, reach: &[Interval], neighbours: usize) -> Self {
        let mut geometry = mac.geometry;
        let (inputs, outputs) = (geometry.input.channels, geometry.output.channels);
        let [rows, narrow] = geometry.window.kernel;
        let (step, wide) = (geometry.window.stride[1], columns(&geometry, neighbours));
        geometry.output.channels *= neighbours;
        geometry.output.width /= neighbours;
        geometry.window.kernel[1] = wide;
        geometry.window.stride[1] *= neighbours;
        let mut weights = Words::zeros(mac.weights.format(), geometry.weights());
        for neighbour in 0..neighbours {
            for row in 0..outputs * inputs * rows {
                let (channel, of_channel) = (row / (inputs * rows), row % (inputs * rows));
                let to = (neighbour * outputs + channel) * inputs * rows + of_channel;
                for column in 0..narrow {
                    let word = mac.weights.get(row * narrow + column);
                    weights.set(to * wide + neighbour * step + column, word);
                }
            }
        }
        Self {
            spec: mac.spec,
            range: mac.range,
            geometry,
            order: mac.order.clone(),
            weights,
            bias: mac.bias.map(|(format, raw)| (format, raw.repeat(neighbours))),
            requantizers: mac.requantizers.repeat(neighbours),
            reach: reach.repeat(neighbours),
        }
    }

    /// The layer.
    pub fn mac(&self) -> Mac<'_> {
        Mac {
            spec: self.spec,
            range: self.range,
            geometry: self.geometry,
            order: &self.order,
            weights: &self.weights,
            bias: self.bias.as_ref().map(|(format, raw)| (*format, &raw[..])),
            requantizers: &self.requantizers,
        }
    }
}

/// Columns of the window over the windows of so many neighbours.
fn columns(geometry: &ConvGeometry, neighbours: usize) -> usize {
    geometry.window.kernel[1] + (neighbours - 1) * geometry.window.stride[1]
}
