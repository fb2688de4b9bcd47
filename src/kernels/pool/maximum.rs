//! The maximum of windows, a row of output words at a time: down the columns, then along the row.

#![allow(
    clippy::needless_range_loop,
    clippy::manual_memcpy,
    reason = "plain loops are inlined for any instruction set"
)]

use crate::kernels::blocks::{self, BlockEpilogue};
use crate::kernels::dot::{LANES, Simd, Work};
use crate::kernels::pool::{Pool, PoolScratch};
use crate::tensor::Words;

/// The largest words under the windows of a map, as work to be compiled per instruction set.
pub(super) struct Maximum<'a> {
    pub pool: &'a Pool,
    pub epilogue: &'a BlockEpilogue,
    pub input: &'a Words,
    pub output: &'a mut Words,
    pub scratch: &'a mut PoolScratch,
    /// Overflows and underflows.
    pub events: &'a mut [u64; 2],
}

impl Work for Maximum<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { pool: Pool { input: shape, output: to, window, .. }, input, .. } = self;
        let channels = shape.channels;
        let [top, left, ..] = window.padding;
        let [kernel, columns] = window.kernel;
        let [stride, step] = window.stride;
        let (words, of_output) = (shape.width * channels, to.width * channels);
        // Where the windows of a row begin, and their operands.
        let starts = ((to.width - 1) * step + 1) * channels;
        let operands = starts + (columns - 1) * channels;
        let PoolScratch { columns: down, windows, row, .. } = self.scratch;
        down.clear();
        down.resize(operands.max(left * channels + words), i32::MIN);
        windows.resize(starts + LANES, 0);
        row.resize(of_output + LANES, 0);
        for y in 0..to.height {
            let inside = &mut down[left * channels..][..words];
            inside.fill(i32::MIN);
            for tap in 0..kernel {
                let at = y * stride + tap;
                if at >= top && at - top < shape.height {
                    blocks::load(input, (at - top) * words, inside, |largest, word| {
                        *largest = word.max(*largest);
                    });
                }
            }
            let of_row = &mut windows[..starts];
            of_row.fill(i32::MIN);
            for tap in 0..columns {
                let down = &down[tap * channels..][..starts];
                for n in 0..starts {
                    of_row[n] = of_row[n].max(down[n]);
                }
            }
            // Whole vectors; the next window overwrites what is too much.
            for x in 0..to.width {
                let (window, slots) = (&windows[x * step * channels..], &mut row[x * channels..]);
                let mut first = 0;
                while first < channels {
                    let window = &window[first..][..LANES];
                    let slots = &mut slots[first..][..LANES];
                    for n in 0..LANES {
                        slots[n] = window[n];
                    }
                    first += LANES;
                }
            }
            let row = &mut row[..of_output];
            let [over, under] = self.epilogue.apply(row);
            self.events[0] += u64::from(over);
            self.events[1] += u64::from(under);
            blocks::store(row, self.output, y * of_output);
        }
    }
}
