//! Which input positions the windows of some outputs cover, along one axis.

use std::ops::Range;

use crate::tensor::{Shape, Window};

/// A window along one axis of a feature map: 0 is vertical, 1 horizontal.
#[derive(Clone, Copy, Debug)]
pub(super) struct AxisWindow {
    /// Input positions.
    size: usize,
    stride: usize,
    dilation: usize,
    padding: usize,
    /// Kernel positions.
    pub(super) taps: usize,
}

/// What the tiles along one axis read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Coverage {
    /// Positions read, summed over the tiles: what two tiles share counts twice.
    pub(super) total: u64,
    /// Positions that the largest tile reads.
    pub(super) largest: u64,
}

impl AxisWindow {
    pub(super) fn new(input: Shape, window: &Window, axis: usize) -> Self {
        Self {
            size: [input.height, input.width][axis],
            stride: window.stride[axis],
            dilation: window.dilation[axis],
            padding: window.padding[axis],
            taps: window.kernel[axis],
        }
    }

    /// Input position under tap `tap` of output `output`; `None` in the padding.
    fn position(&self, output: usize, tap: usize) -> Option<usize> {
        let position = (output * self.stride + tap * self.dilation).checked_sub(self.padding)?;
        (position < self.size).then_some(position)
    }

    /// What tiles of `tile` of the `outputs` and of `tap_tile` of the taps read.
    pub(super) fn coverage(&self, outputs: usize, tile: usize, tap_tile: usize) -> Coverage {
        let mut seen = vec![0; self.size];
        let mut stamp = 0;
        let mut coverage = Coverage { total: 0, largest: 0 };
        for first in (0..outputs).step_by(tile) {
            for first_tap in (0..self.taps).step_by(tap_tile) {
                stamp += 1;
                let mut count = 0;
                let taps = first_tap..(first_tap + tap_tile).min(self.taps);
                self.visit(first..(first + tile).min(outputs), taps, |position| {
                    count += u64::from(seen[position] != stamp);
                    seen[position] = stamp;
                });
                coverage.total += count;
                coverage.largest = coverage.largest.max(count);
            }
        }
        coverage
    }

    fn visit(&self, outputs: Range<usize>, taps: Range<usize>, mut visitor: impl FnMut(usize)) {
        for output in outputs {
            taps.clone().filter_map(|tap| self.position(output, tap)).for_each(&mut visitor);
        }
    }
}

/// Elements of one channel of `input` that some window of `outputs` (rows, columns) covers: those
/// that a layer cannot do without. With a stride beyond the kernel this is less than all.
pub fn covered(input: Shape, window: &Window, outputs: [usize; 2]) -> u64 {
    let along = |axis: usize| {
        let axis_window = AxisWindow::new(input, window, axis);
        axis_window.coverage(outputs[axis], outputs[axis].max(1), axis_window.taps.max(1)).total
    };
    along(0) * along(1)
}

/// Window positions of one channel that lie inside `input`, summed over `outputs`.
pub fn window_positions(input: Shape, window: &Window, outputs: [usize; 2]) -> u64 {
    let along = |axis: usize| {
        let axis_window = AxisWindow::new(input, window, axis);
        let mut count = 0;
        axis_window.visit(0..outputs[axis], 0..axis_window.taps, |_| count += 1);
        count
    };
    let rows: u64 = along(0);
    rows * along(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(kernel: usize, stride: usize, padding: usize, dilation: usize) -> Window {
        Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [padding; 4],
            dilation: [dilation; 2],
        }
    }

    #[test]
    fn a_stride_beyond_the_kernel_leaves_elements_out() {
        // Outputs at 0, 3, 6 with a kernel of 2: positions 0 1, 3 4, 6 7 of 8.
        assert_eq!(covered(Shape::new(1, 8, 8), &window(2, 3, 0, 1), [3, 3]), 36);
    }

    #[test]
    fn halos_count_in_every_tile_and_padding_in_none() {
        // 28 outputs of a 5-tap kernel padded by 2, in tiles of 14: rows 0..16 and 12..28.
        let axis = AxisWindow::new(Shape::new(1, 28, 28), &window(5, 1, 2, 1), 0);
        assert_eq!(axis.coverage(28, 14, 5), Coverage { total: 32, largest: 16 });
        assert_eq!(axis.coverage(28, 28, 5), Coverage { total: 28, largest: 28 });
    }

    #[test]
    fn window_positions_are_those_inside_the_map() {
        // Per axis 3 outputs of 3 taps over 5 positions with stride 2 and padding 1: 2 + 3 + 2.
        let outputs = window(3, 2, 1, 1).output(Shape::new(1, 5, 5)).expect("fits");
        assert_eq!(window_positions(Shape::new(1, 5, 5), &window(3, 2, 1, 1), outputs), 49);
    }
}
