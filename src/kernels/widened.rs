//! Layers of few output channels, so restated that they fill vectors.

use crate::kernels::bounds::Interval;
use crate::kernels::dot::LANES;
use crate::kernels::{AccumulationOrder, Mac, MacSpec};
use crate::numeric::{Format, Requantizer};
use crate::tensor::{ConvGeometry, Words};

/// What the epilogue of a vector costs, in steps of its sums.
const EPILOGUE: usize = 16;

/// And what is set up for a tile.
const TILE: usize = 24;

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
    /// Of as many neighbours as are cheapest where a step multiplies `group` operands and a tile has
    /// up to `widest` vectors; `None` if the layer is best as it is.
    pub fn new(mac: &Mac<'_>, reach: &[Interval], group: usize, widest: usize) -> Option<Self> {
        let ConvGeometry { output, window, groups, .. } = mac.geometry;
        if groups != 1 || window.dilation[1] != 1 || output.channels >= LANES * LANES {
            return None;
        }
        // Compared as fractions: by pixel, cost / neighbours.
        let cost = |neighbours: usize| {
            let columns = columns(&mac.geometry, neighbours);
            let steps = (columns * mac.geometry.input.channels).div_ceil(group);
            let vectors = (neighbours * output.channels).div_ceil(LANES);
            (window.kernel[0] * steps + EPILOGUE) * vectors + TILE * vectors.div_ceil(widest)
        };
        let divisors = (1..=output.width.min(LANES)).filter(|n| output.width.is_multiple_of(*n));
        let best =
            divisors.reduce(|best, n| if cost(n) * best < cost(best) * n { n } else { best });
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::testing::{Case, proven_cases, s};
    use crate::kernels::{Epilogue, LayerDraws, SiteEvents, Style, reference};
    use crate::numeric::{Cast, Overflow, Rounding};
    use crate::tensor::{Shape, Window};

    proptest! {
        /// By the plain loops, any number of neighbours that divides a row.
        #[test]
        fn words_and_events_stay(case in proven_cases()) {
            let mac = case.mac();
            let ConvGeometry { output, window, groups, .. } = mac.geometry;
            let reach = vec![Interval { low: 0, high: 0 }; output.channels];
            let run = |mac: &Mac<'_>| {
                let mut words = Words::zeros(mac.spec.epilogue.cast.to(), output.len());
                let mut events = SiteEvents::default();
                reference::mac_layer(mac, &case.input, &mut words, case.draws, &mut events);
                (words, events)
            };
            let applies = groups == 1 && window.dilation[1] == 1;
            let divisors = (1..=output.width).filter(|n| applies && output.width % n == 0);
            for neighbours in divisors {
                let wide = Widened::of(&mac, &reach, neighbours);
                prop_assert_eq!(run(&wide.mac()), run(&mac), "{}", neighbours);
            }
        }
    }

    /// The first layer of LeNet-5, in steps by pixel: 2 neighbours, 5 rows of 2 groups and one vector,
    /// cost (10 + 16 + 24) / 2 = 25; 4, of two vectors, (2 · 26 + 24) / 4 = 19; 7, 5 rows of 3 groups
    /// and three vectors, (3 · 31 + 24) / 7 = 16.7; 14, of six vectors in two tiles,
    /// (6 · 41 + 48) / 14 = 21. 48 channels are a tile: 3 · 26 + 24 = 102, as by two,
    /// (6 · 26 + 48) / 2.
    #[test]
    fn few_channels_are_widened() {
        let cast = Cast::new(s(32, 0), Rounding::Floor, Overflow::Saturate).expect("a cast");
        let spec = MacSpec {
            style: Style::Fused,
            adder_tree: 1,
            weights: s(8, 0),
            activations: s(8, 0),
            product: cast,
            accumulator: cast,
            epilogue: Epilogue::cast(cast),
        };
        let widened = |channels: usize| {
            let (input, output) = (Shape::new(1, 28, 28), Shape::new(channels, 28, 28));
            let window =
                Window { kernel: [5; 2], stride: [1; 2], padding: [2; 4], dilation: [1; 2] };
            let geometry = ConvGeometry { input, output, window, groups: 1 };
            let case = Case {
                spec,
                geometry,
                order: AccumulationOrder::default(),
                weights: Words::zeros(spec.weights, geometry.weights()),
                bias: None,
                input: Words::zeros(spec.activations, input.len()),
                requantizers: Vec::new(),
                draws: LayerDraws::new(0, 0, 0),
            };
            let reach = vec![Interval { low: 0, high: 0 }; channels];
            Widened::new(&case.mac(), &reach, 4, 3).map(|wide| wide.geometry)
        };
        let geometry = widened(6).expect("few channels");
        assert_eq!(geometry.output, Shape::new(42, 28, 4));
        assert_eq!((geometry.window.kernel, geometry.window.stride), ([5, 11], [1, 7]));
        assert_eq!(widened(48), None);
    }
}
