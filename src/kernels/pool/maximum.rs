//! The maximum of windows, a row of output words at a time: of the windows at every column, tap by
//! tap, from which every stride-th is kept.

#![allow(
    clippy::needless_range_loop,
    clippy::manual_memcpy,
    reason = "plain loops are inlined for any instruction set"
)]

use crate::kernels::dot::{LANES, Simd, Work};
use crate::kernels::pool::Pool;
use crate::tensor::{Shape, Word, Words, with_words};

/// The largest words under the windows of a map, as work to be compiled per instruction set.
pub(super) struct Maximum<'a> {
    pub pool: &'a Pool,
    pub input: &'a Words,
    /// Of the input's format, as many as [`Maximum::windows`] says.
    pub windows: &'a mut Words,
    /// Of the input's format.
    pub output: &'a mut Words,
}

impl Maximum<'_> {
    /// Words of the windows at every column of a row, and some more, so that whole vectors can be
    /// read.
    pub fn windows(pool: &Pool) -> usize {
        columns(pool) * pool.input.channels + LANES
    }
}

/// Columns at which the windows of a row begin, those that the stride passes over included.
fn columns(pool: &Pool) -> usize {
    (pool.output.width - 1) * pool.window.stride[1] + 1
}

impl Work for Maximum<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let (windows, output) = (self.windows.buffer_mut(), self.output.buffer_mut());
        with_words!(self.input.buffer(), words => {
            if let (Some(windows), Some(output)) = (Word::slice_mut(windows), Word::slice_mut(output)) {
                rows(self.pool, words, windows, output);
            }
        });
    }
}

#[inline(always)]
fn rows<T: Word>(pool: &Pool, words: &[T], windows: &mut [T], output: &mut [T]) {
    let Pool { input, output: Shape { height, width: across, .. }, window, .. } = *pool;
    let (channels, width, columns) = (input.channels, input.width, columns(pool));
    let ([top, left, ..], stride) = (window.padding, window.stride[0]);
    for y in 0..height {
        let of_row = &mut windows[..columns * channels];
        if window.padding == [0; 4] && of_row.len() >= VECTOR {
            inside(pool, &words[y * stride * width * channels..], of_row);
            keep(pool, windows, &mut output[y * across * channels..]);
            continue;
        }
        for n in 0..of_row.len() {
            of_row[n] = T::MIN;
        }
        for down in 0..window.kernel[0] {
            let row = y * stride + down;
            if row < top || row - top >= input.height {
                continue;
            }
            for along in 0..window.kernel[1] {
                // Windows of which this tap lies inside the map.
                let first = left.saturating_sub(along);
                let last = columns.min((width + left).saturating_sub(along));
                if last <= first {
                    continue;
                }
                let at = (row - top) * width + first + along - left;
                let len = (last - first) * channels;
                let (words, windows) =
                    (&words[at * channels..][..len], &mut windows[first * channels..][..len]);
                for n in 0..len {
                    windows[n] = windows[n].max(words[n]);
                }
            }
        }
        keep(pool, windows, &mut output[y * across * channels..]);
    }
}

/// Words that are compared together.
const VECTOR: usize = 64;

/// The windows of a row, none of which leaves the map, whose words begin at the first window. The
/// last vector may overlap with the one before.
#[inline(always)]
fn inside<T: Word>(pool: &Pool, words: &[T], windows: &mut [T]) {
    let Pool { input, window, .. } = *pool;
    let mut first = 0;
    while first < windows.len() {
        first = first.min(windows.len() - VECTOR);
        let mut most = [T::MIN; VECTOR];
        for down in 0..window.kernel[0] {
            for along in 0..window.kernel[1] {
                let at = (down * input.width + along) * input.channels + first;
                let words = &words[at..][..VECTOR];
                for n in 0..VECTOR {
                    most[n] = most[n].max(words[n]);
                }
            }
        }
        let windows = &mut windows[first..][..VECTOR];
        for n in 0..VECTOR {
            windows[n] = most[n];
        }
        first += VECTOR;
    }
}

/// Writes every stride-th window of a row, whole vectors at a time; the next window overwrites what
/// is too much.
#[inline(always)]
fn keep<T: Word>(pool: &Pool, windows: &[T], output: &mut [T]) {
    let (channels, step) = (pool.input.channels, pool.window.stride[1]);
    for x in 0..pool.output.width {
        let window = &windows[x * step * channels..];
        let slots = &mut output[x * channels..];
        let mut first = 0;
        while first < channels {
            if slots.len() - first < LANES {
                for n in first..channels {
                    slots[n] = window[n];
                }
                break;
            }
            let (window, slots) = (&window[first..][..LANES], &mut slots[first..][..LANES]);
            for n in 0..LANES {
                slots[n] = window[n];
            }
            first += LANES;
        }
    }
}
