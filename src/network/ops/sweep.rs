//! A window that slides over a plane, all output positions of a tap at a time.
//!
//! The padded plane is split by the phases of the stride, so that along each tap the operands of
//! consecutive output positions lie side by side, whatever the stride and dilation, and the sums of
//! a block of positions stay in registers.

use ndarray::{ArrayView2, ArrayViewMut2};

use crate::tensor::{Shape, Window};

/// Output positions of a block.
const BLOCK: usize = 32;
/// Most taps of a window that is swept.
const MAX_TAPS: usize = 1 << 10;
/// Most elements of a padded plane that is swept.
const MAX_PLANE: usize = 1 << 24;

/// A sweep and its memory.
pub struct Sweep {
    window: Window,
    /// Rows and columns of one phase's plane.
    phase: [usize; 2],
    /// By tap, in the order of kernel rows and columns: where its operand of the first output
    /// position lies.
    offsets: Vec<usize>,
    padded: Vec<f32>,
    results: Vec<f32>,
}

impl Sweep {
    /// A sweep over planes of the height and width of `input` with `padding` around them; `None`
    /// for windows and paddings so large that it does not pay.
    pub fn new(window: &Window, input: Shape, output: Shape, padding: f32) -> Option<Self> {
        let ([rows, columns], [down, right]) = (window.kernel, window.stride);
        let [dilated_down, dilated_right] = window.dilation;
        let span = |outputs: usize, stride: usize, taps: usize, dilation: usize| {
            ((outputs - 1) * stride + (taps - 1) * dilation + 1).div_ceil(stride)
        };
        let phase = [
            span(output.height, down, rows, dilated_down),
            span(output.width, right, columns, dilated_right),
        ];
        let plane = phase[0].checked_mul(phase[1])?.checked_mul(down * right)?;
        if window.taps() > MAX_TAPS || plane > MAX_PLANE || input.is_empty() {
            return None;
        }
        let mut sweep = Self {
            window: *window,
            phase,
            offsets: Vec::new(),
            padded: Vec::new(),
            results: Vec::new(),
        };
        for row in 0..rows {
            for column in 0..columns {
                sweep.offsets.push(sweep.place(row * dilated_down, column * dilated_right));
            }
        }
        let positions = (output.height - 1) * phase[1] + output.width;
        sweep.results = vec![0.0; positions.next_multiple_of(BLOCK)];
        sweep.padded = vec![padding; plane + BLOCK];
        Some(sweep)
    }

    /// Where a padded plane's element lies.
    fn place(&self, row: usize, column: usize) -> usize {
        let ([down, right], [rows, columns]) = (self.window.stride, self.phase);
        let phase = row % down * right + column % right;
        (phase * rows + row / down) * columns + column / right
    }

    /// Folds each output position from `start` over `taps`, one by one in the order of kernel rows
    /// and columns, with the element of `input` (or the padding) that it meets.
    pub fn run<T>(
        &mut self,
        input: ArrayView2<f32>,
        taps: &[T],
        start: f32,
        fold: impl Fn(f32, &T, f32) -> f32,
        mut output: ArrayViewMut2<f32>,
    ) {
        self.pad(input);
        let padded = &self.padded[..];
        for (block, results) in self.results.chunks_exact_mut(BLOCK).enumerate() {
            let mut local = [start; BLOCK];
            for (tap, offset) in taps.iter().zip(&self.offsets) {
                let operands = padded[block * BLOCK + offset..].first_chunk::<BLOCK>();
                let operands = operands.expect("a plane with a block after it");
                for (local, &operand) in local.iter_mut().zip(operands) {
                    *local = fold(*local, tap, operand);
                }
            }
            results.copy_from_slice(&local);
        }
        for (mut row, results) in output.outer_iter_mut().zip(self.results.chunks(self.phase[1])) {
            row.iter_mut().zip(results).for_each(|(y, &result)| *y = result);
        }
    }

    fn pad(&mut self, input: ArrayView2<f32>) {
        let [top, left, ..] = self.window.padding;
        let [down, right] = self.window.stride;
        let [rows, columns] = self.phase;
        for (row, values) in
            input.outer_iter().enumerate().take_while(|(row, _)| row + top < rows * down)
        {
            for first in 0..right.min(values.len()) {
                let at = self.place(row + top, first + left);
                let end = at - (first + left) / right + columns;
                let to = &mut self.padded[at.min(end)..end];
                to.iter_mut()
                    .zip(values.iter().skip(first).step_by(right))
                    .for_each(|(to, &x)| *to = x);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the definition, position by position; folds that do not commute.
        #[test]
        fn every_position_folds_its_taps_in_order(
            (height, width) in (1usize..14, 1usize..40),
            kernel in [1usize..5, 1usize..5],
            stride in [1usize..4, 1usize..4],
            padding in [0usize..4, 0usize..4, 0usize..4, 0usize..4],
            dilation in [1usize..3, 1usize..3],
        ) {
            let window = Window { kernel, stride, padding, dilation };
            let input = Shape::new(1, height, width);
            let Some([rows, columns]) = window.output(input) else { return Ok(()) };
            let output = Shape::new(1, rows, columns);
            let x = Array2::from_shape_fn((height, width), |(r, c)| (r * 37 + c * 11) as f32 / 64.0 - 3.0);
            let taps: Vec<f32> = (0..window.taps()).map(|tap| tap as f32 - 1.5).collect();
            let fold = |sum: f32, tap: &f32, x: f32| 0.5 * sum + tap * x;
            let mut found = Array2::zeros((rows, columns));
            let mut sweep = Sweep::new(&window, input, output, 7.0).unwrap();
            for _ in 0..2 {
                sweep.run(x.view(), &taps, 1.0, fold, found.view_mut());
            }
            let expected = Array2::from_shape_fn((rows, columns), |(row, column)| {
                (0..kernel[0] * kernel[1]).fold(1.0, |sum, tap| {
                    let at = |output: usize, axis: usize, tap: usize| {
                        (output * stride[axis] + tap * dilation[axis]).checked_sub(padding[axis])
                    };
                    let (r, c) = (at(row, 0, tap / kernel[1]), at(column, 1, tap % kernel[1]));
                    let inside = r.zip(c).and_then(|at| x.get(at));
                    fold(sum, &taps[tap], inside.copied().unwrap_or(7.0))
                })
            });
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn huge_windows_are_left_to_others() {
        let window = Window { kernel: [30_000; 2], padding: [29_999; 4], ..Window::POINT };
        let one = Shape::new(1, 1, 1);
        let output = Shape::new(1, 30_000, 30_000);
        assert!(Sweep::new(&window, one, output, 0.0).is_none());
    }
}
