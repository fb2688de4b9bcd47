//! Grouped convolution as a matrix product: weight [N, K] by the unfolded map [K, pixels], a band
//! of output rows at a time so that the unfolded band stays in the cache. A depthwise one, and a 1×1
//! one of stride 1, need no unfolding.

use std::ops::Range;

use ndarray::{
    Array1, Array2, ArrayD, ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3, Axis, CowArray,
    Ix2, s,
};

use super::sweep::Sweep;
use super::{Maps, MapsMut};
use crate::kernels::gemm_f32;
use crate::tensor::{ConvGeometry, Window};

/// Elements of an unfolded band: 1 MiB.
const BAND: usize = 1 << 18;

/// `y = bias + Σ weight · x`, added in the order input channel, kernel row, kernel column. Weight
/// [N, C/groups, kernel rows, kernel columns], bias `[N]`.
pub fn forward(
    geometry: &ConvGeometry,
    weight: &ArrayD<f32>,
    bias: Option<&ArrayD<f32>>,
    input: Maps,
    mut output: MapsMut,
) {
    let weight = matrix(geometry, weight);
    let bias = |channel: usize| bias.map_or(0.0, |bias| bias[channel]);
    if geometry.group_inputs() == 1
        && let Some(mut sweep) = Sweep::new(&geometry.window, geometry.input, geometry.output, 0.0)
    {
        for (input, mut output) in input.outer_iter().zip(output.outer_iter_mut()) {
            for (channel, y) in output.outer_iter_mut().enumerate() {
                let x = input.index_axis(Axis(0), channel / geometry.group_outputs());
                let taps = weight.row(channel).to_vec();
                sweep.run(x, &taps, bias(channel), |sum, w, x| sum + w * x, y);
            }
        }
        return;
    }
    let mut unfolded = Vec::new();
    for (input, mut output) in input.outer_iter().zip(output.outer_iter_mut()) {
        for (channel, mut y) in output.outer_iter_mut().enumerate() {
            y.fill(bias(channel));
        }
        let mut output = pixels_mut(output);
        for part in parts(geometry) {
            let to = output.slice_mut(s![part.outputs.clone(), part.pixels.clone()]);
            let weight = weight.slice(s![part.outputs.clone(), ..]);
            if geometry.window == Window::POINT {
                gemm_f32(weight, pixels(input).slice_move(s![part.inputs, part.pixels]), to);
            } else {
                gemm_f32(weight, unfold(geometry, &part, input, &mut unfolded), to);
            }
        }
    }
}

/// `dx`: the transposed convolution of `dy`; returns the gradients of weight and bias,
/// `Σ dy · x` and `Σ dy` over images and pixels in their order.
pub fn backward(
    geometry: &ConvGeometry,
    weight: &ArrayD<f32>,
    input: Maps,
    gradient: Maps,
    mut input_gradient: Option<MapsMut>,
) -> (ArrayD<f32>, ArrayD<f32>) {
    let shape = weight.raw_dim();
    let weight = matrix(geometry, weight);
    let mut weight_gradient = Array2::zeros(weight.dim());
    let mut bias_gradient = Array1::zeros(weight.nrows());
    let mut unfolded = Vec::new();
    for (image, (input, gradient)) in input.outer_iter().zip(gradient.outer_iter()).enumerate() {
        for (sum, dy) in bias_gradient.iter_mut().zip(gradient.outer_iter()) {
            *sum = dy.iter().fold(*sum, |sum, dy| sum + dy);
        }
        let gradient = pixels(gradient);
        for part in parts(geometry) {
            let dy = gradient.slice(s![part.outputs.clone(), part.pixels.clone()]);
            let columns = unfold(geometry, &part, input, &mut unfolded);
            gemm_f32(dy, columns.t(), weight_gradient.slice_mut(s![part.outputs.clone(), ..]));
            if let Some(to) = &mut input_gradient {
                let mut columns = Array2::zeros(columns.dim());
                gemm_f32(weight.slice(s![part.outputs.clone(), ..]).t(), dy, columns.view_mut());
                fold(geometry, &part, columns.view(), to.index_axis_mut(Axis(0), image));
            }
        }
    }
    let weight_gradient = weight_gradient.into_shape_with_order(shape).expect("same elements");
    (weight_gradient, bias_gradient.into_dyn())
}

/// One matrix product: a group's output channels over a band of output rows.
struct Part {
    inputs: Range<usize>,
    outputs: Range<usize>,
    rows: Range<usize>,
    pixels: Range<usize>,
}

fn parts(geometry: &ConvGeometry) -> impl Iterator<Item = Part> {
    let geometry = *geometry;
    let width = geometry.output.width;
    let band = (BAND / (geometry.reduction() * width)).max(1);
    let (inputs, outputs) = (geometry.group_inputs(), geometry.group_outputs());
    (0..geometry.groups).flat_map(move |group| {
        (0..geometry.output.height).step_by(band).map(move |first| {
            let rows = first..(first + band).min(geometry.output.height);
            let pixels = rows.start * width..rows.end * width;
            let of_group = |channels: usize| group * channels..(group + 1) * channels;
            Part { inputs: of_group(inputs), outputs: of_group(outputs), rows, pixels }
        })
    })
}

/// The unfolded band [K, pixels]: row (channel, kernel row, kernel column) holds the operand that
/// this tap multiplies at each output pixel, zero in the padding.
fn unfold<'a>(
    geometry: &ConvGeometry,
    part: &Part,
    input: ArrayView3<f32>,
    buffer: &'a mut Vec<f32>,
) -> ArrayView2<'a, f32> {
    buffer.clear();
    buffer.resize(geometry.reduction() * part.pixels.len(), 0.0);
    for_each_run(geometry, part, |channel, row, run, at| {
        let values = input.slice(s![channel, row, run.start..run.end;run.step]);
        let to = &mut buffer[at..at + values.len()];
        match values.to_slice() {
            Some(values) => to.copy_from_slice(values),
            None => to.iter_mut().zip(values).for_each(|(to, from)| *to = *from),
        }
    });
    ArrayView2::from_shape((geometry.reduction(), part.pixels.len()), buffer).expect("its length")
}

/// Adds an unfolded band back to the map's elements that it was taken from.
fn fold(
    geometry: &ConvGeometry,
    part: &Part,
    columns: ArrayView2<f32>,
    mut to: ArrayViewMut3<f32>,
) {
    let columns = columns.to_slice().expect("standard layout");
    for_each_run(geometry, part, |channel, row, run, at| {
        let mut to = to.slice_mut(s![channel, row, run.start..run.end;run.step]);
        to.iter_mut().zip(&columns[at..]).for_each(|(to, from)| *to += from);
    });
}

/// Elements `start, start + step, …` before `end` of a map's row.
struct Run {
    start: usize,
    end: usize,
    step: usize,
}

/// Calls `visit(channel, row, run, at)` for each run of a map's row that one tap multiplies along
/// one output row; `at` is where the run's first element lies in the unfolded band.
fn for_each_run(
    geometry: &ConvGeometry,
    part: &Part,
    mut visit: impl FnMut(usize, usize, Run, usize),
) {
    let [kernel_rows, kernel_columns] = geometry.window.kernel;
    let [_, step] = geometry.window.stride;
    let width = geometry.output.width;
    let mut at = 0;
    for channel in part.inputs.clone() {
        for kernel_row in 0..kernel_rows {
            for kernel_column in 0..kernel_columns {
                let columns = inside(geometry, 1, kernel_column, 0..width);
                for output_row in part.rows.clone() {
                    let row = position(geometry, 0, kernel_row, output_row);
                    if let (Some(row), false) = (row, columns.is_empty()) {
                        let start = position(geometry, 1, kernel_column, columns.start);
                        let start = start.expect("a column inside the map");
                        let end = start + (columns.len() - 1) * step + 1;
                        visit(channel, row, Run { start, end, step }, at + columns.start);
                    }
                    at += width;
                }
            }
        }
    }
}

/// The map's row (axis 0) or column (axis 1) that a tap reads at an output position; `None` in the
/// padding.
fn position(geometry: &ConvGeometry, axis: usize, tap: usize, output: usize) -> Option<usize> {
    let window = &geometry.window;
    let padded = output * window.stride[axis] + tap * window.dilation[axis];
    let size = [geometry.input.height, geometry.input.width][axis];
    padded.checked_sub(window.padding[axis]).filter(|&at| at < size)
}

/// The output positions at which a tap lies inside the map.
fn inside(geometry: &ConvGeometry, axis: usize, tap: usize, outputs: Range<usize>) -> Range<usize> {
    let mut inside = outputs.filter(|&output| position(geometry, axis, tap, output).is_some());
    match (inside.next(), inside.next_back()) {
        (Some(first), Some(last)) => first..last + 1,
        (Some(only), None) => only..only + 1,
        _ => 0..0,
    }
}

fn matrix<'a>(geometry: &ConvGeometry, weight: &'a ArrayD<f32>) -> CowArray<'a, f32, Ix2> {
    let shape = (geometry.output.channels, geometry.reduction());
    weight.to_shape(shape).expect("weight [N, C/groups, kh, kw]")
}

/// Channels × pixels.
fn pixels(maps: ArrayView3<'_, f32>) -> ArrayView2<'_, f32> {
    let (channels, height, width) = maps.dim();
    maps.into_shape_with_order((channels, height * width)).expect("standard layout")
}

fn pixels_mut(maps: ArrayViewMut3<'_, f32>) -> ArrayViewMut2<'_, f32> {
    let (channels, height, width) = maps.dim();
    maps.into_shape_with_order((channels, height * width)).expect("standard layout")
}
