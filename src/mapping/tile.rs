//! Tiles and the sizes that the mapper tries.

use crate::kernels::{AccumulationOrder, Axis};
use crate::tensor::ConvGeometry;

/// One tile of a layer: what the buffers hold at a time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tile {
    /// Groups; more than one only if a whole group fits.
    pub groups: usize,
    /// Output rows.
    pub rows: usize,
    /// Output columns.
    pub columns: usize,
    /// Output channels of a group.
    pub channels: usize,
    /// Length along the axis of the reduction that is cut.
    pub reduction: usize,
}

/// An outer loop, over the tiles of a group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TileLoop {
    /// Output pixels: rows of tiles, then columns.
    Pixels,
    /// Output channels.
    Channels,
    /// The reduction.
    Reduction,
}

/// How the reduction may be cut without leaving the accumulation order: along its outermost loop
/// of more than one iteration, between iterations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ReductionCut {
    pub(super) axis: Axis,
    /// Length of the axis.
    pub(super) extent: usize,
    /// Tiles are multiples of it.
    unit: usize,
}

impl ReductionCut {
    pub(super) fn new(order: &AccumulationOrder, geometry: &ConvGeometry) -> Self {
        let cut = order.loops().iter().map(|order_loop| Self {
            axis: order_loop.axis,
            extent: match order_loop.axis {
                Axis::InputChannel => geometry.group_inputs(),
                Axis::KernelRow => geometry.window.kernel[0],
                Axis::KernelColumn => geometry.window.kernel[1],
            },
            unit: order_loop.tile.unwrap_or(1),
        });
        cut.clone().find(|cut| cut.extent > cut.unit).unwrap_or(Self {
            axis: Axis::InputChannel,
            extent: geometry.group_inputs(),
            unit: geometry.group_inputs().max(1),
        })
    }

    /// Lengths to try, the whole axis first.
    pub(super) fn candidates(&self) -> Vec<usize> {
        let blocks = halves(self.extent.div_ceil(self.unit));
        blocks.into_iter().map(|blocks| (blocks * self.unit).min(self.extent)).collect()
    }

    /// Kernel rows and columns of a tile of `length` along the axis.
    pub(super) fn taps(&self, length: usize, kernel: [usize; 2]) -> [usize; 2] {
        match self.axis {
            Axis::InputChannel => kernel,
            Axis::KernelRow => [length, kernel[1]],
            Axis::KernelColumn => [kernel[0], length],
        }
    }
}

/// `⌈size / parts⌉` for 1, 2, 4, 8, … parts: decreasing, down to 1.
pub(super) fn halves(size: usize) -> Vec<usize> {
    quotients(size, |parts| parts * 2)
}

/// `⌈size / parts⌉` for 1, 2, 3, 4, 6, 8, 12, … parts: decreasing, down to 1.
pub(super) fn ladder(size: usize) -> Vec<usize> {
    quotients(size, |parts| match parts {
        1 => 2,
        _ if parts % 3 == 0 => parts / 3 * 4,
        _ => parts / 2 * 3,
    })
}

fn quotients(size: usize, next: impl Fn(usize) -> usize) -> Vec<usize> {
    let mut sizes: Vec<_> = std::iter::successors(Some(1), |&parts| Some(next(parts)))
        .take_while(|&parts| parts < size)
        .map(|parts| size.div_ceil(parts))
        .chain([1])
        .collect();
    sizes.dedup();
    sizes
}

/// The [`ladder`] with sizes beyond half of `unit` rounded up to multiples of it, so that tiles
/// fill the array.
pub(super) fn aligned_ladder(size: usize, unit: usize) -> Vec<usize> {
    let align = |s: usize| if 2 * s > unit { s.next_multiple_of(unit).min(size) } else { s };
    let mut sizes: Vec<_> = ladder(size).into_iter().map(align).collect();
    sizes.dedup();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Shape, Window};

    #[test]
    fn ladders_fall_from_the_whole_to_one() {
        assert_eq!(halves(112), [112, 56, 28, 14, 7, 4, 2, 1]);
        assert_eq!(ladder(24), [24, 12, 8, 6, 4, 3, 2, 1]);
        assert_eq!(aligned_ladder(40, 16), [40, 32, 16, 7, 5, 4, 3, 2, 1]);
        assert_eq!(ladder(1), [1]);
    }

    #[test]
    fn the_reduction_is_cut_along_its_outermost_loop_only() {
        let geometry = ConvGeometry {
            input: Shape::new(48, 9, 9),
            output: Shape::new(8, 7, 7),
            window: Window { kernel: [3, 3], ..Window::POINT },
            groups: 1,
        };
        let cut = |order: &[&str]| {
            let order: Vec<_> = order.iter().map(|l| l.to_string()).collect();
            ReductionCut::new(&order.try_into().expect("an order"), &geometry)
        };
        let channels = cut(&["input_channel", "kernel_row", "kernel_column"]);
        assert_eq!((channels.axis, channels.candidates()[1]), (Axis::InputChannel, 24));
        let rows = cut(&["kernel_row", "input_channel", "kernel_column"]);
        assert_eq!((rows.axis, rows.candidates()), (Axis::KernelRow, vec![3, 2, 1]));
        let blocks = cut(&["input_channel/16", "kernel_row", "kernel_column", "input_channel"]);
        assert_eq!((blocks.axis, blocks.candidates()), (Axis::InputChannel, vec![48, 32, 16]));
        // A block as long as the axis is no loop at all.
        let whole = cut(&["input_channel/64", "kernel_row", "kernel_column", "input_channel"]);
        assert_eq!(whole.axis, Axis::KernelRow);
    }
}
