//! Maximum and average pooling over the positions of the window that lie inside the map.
//! An average that counts its padding divides by the whole window.

use ndarray::{ArrayView2, ArrayViewMut2, Axis, Slice};

use super::sweep::Sweep;
use super::{Maps, MapsMut};
use crate::network::PoolKind;
use crate::tensor::{Shape, Window};

/// The window that covers the whole of a map.
pub fn global_window(input: Shape) -> Window {
    Window { kernel: [input.height, input.width], ..Window::POINT }
}

/// The maximum, or the mean: the sum by rows, divided once.
pub fn forward(kind: PoolKind, window: &Window, input: Maps, mut output: MapsMut) {
    let shape = |(_, channels, height, width)| Shape::new(channels, height, width);
    let (from, to) = (shape(input.dim()), shape(output.dim()));
    let outside = if kind == PoolKind::Max { f32::NEG_INFINITY } else { 0.0 };
    // Sweeping pays from the second position on.
    let several = to.pixels() > 1;
    let mut sweep = several.then(|| Sweep::new(window, from, to, outside)).flatten();
    let taps = vec![(); if sweep.is_some() { window.taps() } else { 0 }];
    for (input, mut output) in input.outer_iter().zip(output.outer_iter_mut()) {
        for (x, mut y) in input.outer_iter().zip(output.outer_iter_mut()) {
            match (&mut sweep, kind) {
                (Some(sweep), PoolKind::Max) => {
                    sweep.run(x, &taps, outside, |max, (), x| max.max(x), y.view_mut());
                }
                (Some(sweep), _) => sweep.run(x, &taps, 0.0, |sum, (), x| sum + x, y.view_mut()),
                (None, _) => fold_each(kind, window, x, y.view_mut()),
            }
            if kind != PoolKind::Max {
                for ((row, column), y) in y.indexed_iter_mut() {
                    let inside = positions(window, x, [row, column]).len();
                    *y /= divisor(kind, window, inside) as f32;
                }
            }
        }
    }
}

/// The maximum or the sum, position by position.
fn fold_each(kind: PoolKind, window: &Window, x: ArrayView2<f32>, mut y: ArrayViewMut2<f32>) {
    for ((row, column), y) in y.indexed_iter_mut() {
        let seen = positions(window, x, [row, column]);
        *y = match kind {
            PoolKind::Max => seen.iter().fold(f32::NEG_INFINITY, |max, &x| max.max(x)),
            PoolKind::Average | PoolKind::PaddedAverage => seen.iter().fold(0.0, |sum, x| sum + x),
        };
    }
}

/// The maximum's gradient goes to the first position that attains it, the mean's to all alike.
pub fn backward(
    kind: PoolKind,
    window: &Window,
    input: Maps,
    gradient: Maps,
    mut input_gradient: MapsMut,
) {
    for ((x, dy), mut dx) in
        input.outer_iter().zip(gradient.outer_iter()).zip(input_gradient.outer_iter_mut())
    {
        for channel in 0..x.len_of(Axis(0)) {
            let x = x.index_axis(Axis(0), channel);
            let mut dx = dx.index_axis_mut(Axis(0), channel);
            for ((row, column), &dy) in dy.index_axis(Axis(0), channel).indexed_iter() {
                let seen = positions(window, x, [row, column]);
                let under = |axis: Axis| along(window, axis.0, [row, column], x.len_of(axis));
                let to = dx.slice_each_axis_mut(|axis| under(axis.axis));
                let divisor = divisor(kind, window, seen.len());
                spread(kind, seen, dy, divisor, to);
            }
        }
    }
}

/// What a sum over `inside` positions is divided by.
fn divisor(kind: PoolKind, window: &Window, inside: usize) -> usize {
    if kind == PoolKind::PaddedAverage { window.taps() } else { inside }
}

fn spread(
    kind: PoolKind,
    seen: ArrayView2<f32>,
    dy: f32,
    divisor: usize,
    mut to: ArrayViewMut2<f32>,
) {
    match kind {
        PoolKind::Max => {
            let mut best = ([0, 0], seen[[0, 0]]);
            for ((row, column), &x) in seen.indexed_iter() {
                if x > best.1 {
                    best = ([row, column], x);
                }
            }
            to[best.0] += dy;
        }
        PoolKind::Average | PoolKind::PaddedAverage => {
            let share = dy / divisor as f32;
            to.mapv_inplace(|dx| dx + share);
        }
    }
}

/// The elements of a map under the window at an output position.
fn positions<'a>(
    window: &Window,
    x: ArrayView2<'a, f32>,
    output: [usize; 2],
) -> ArrayView2<'a, f32> {
    let (height, width) = x.dim();
    let mut seen = x;
    for (axis, size) in [height, width].into_iter().enumerate() {
        seen.slice_axis_inplace(Axis(axis), along(window, axis, output, size));
    }
    seen
}

/// The positions along `axis` of a map of `size` under the window at an output position.
fn along(window: &Window, axis: usize, output: [usize; 2], size: usize) -> Slice {
    let (before, dilation) = (window.padding[axis], window.dilation[axis]);
    let first = output[axis] * window.stride[axis];
    let end = (first + (window.kernel[axis] - 1) * dilation + 1).saturating_sub(before).min(size);
    let outside = before.saturating_sub(first).div_ceil(dilation);
    let start = (first + outside * dilation).saturating_sub(before).min(end);
    Slice::new(start as isize, Some(end as isize), dilation as isize)
}
