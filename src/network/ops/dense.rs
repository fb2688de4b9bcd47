//! Fully connected layers: inputs [images, K, 1, 1], outputs [images, N, 1, 1], weight [N, K].

use ndarray::{Array1, Array2, ArrayD, ArrayView1, ArrayView2, ArrayViewMut2, Axis, Ix1, Ix2};

use super::{Maps, MapsMut};
use crate::kernels::gemm_f32;

/// `y = bias + Σₖ weight[·, k] · x[k]`, added in the order of k.
pub fn forward(weight: &ArrayD<f32>, bias: Option<&ArrayD<f32>>, input: Maps, output: MapsMut) {
    let mut output = vectors_mut(output);
    match bias {
        Some(bias) => output.assign(&vector(bias)),
        None => output.fill(0.0),
    }
    gemm_f32(vectors(&input), matrix(weight).t(), output);
}

/// `dx = weightᵀ · dy`; returns the gradients of weight and bias, `Σ dy · xᵀ` and `Σ dy` over the
/// images in their order.
pub fn backward(
    weight: &ArrayD<f32>,
    input: Maps,
    gradient: Maps,
    input_gradient: Option<MapsMut>,
) -> (ArrayD<f32>, ArrayD<f32>) {
    let gradient = vectors(&gradient);
    if let Some(to) = input_gradient {
        gemm_f32(gradient, matrix(weight), vectors_mut(to));
    }
    let mut weight_gradient = Array2::zeros(matrix(weight).dim());
    gemm_f32(gradient.t(), vectors(&input), weight_gradient.view_mut());
    let mut bias_gradient = Array1::zeros(gradient.ncols());
    for image in gradient.axis_iter(Axis(0)) {
        bias_gradient += &image;
    }
    (weight_gradient.into_dyn(), bias_gradient.into_dyn())
}

fn vector(bias: &ArrayD<f32>) -> ArrayView1<'_, f32> {
    bias.view().into_dimensionality::<Ix1>().expect("bias [N]")
}

fn matrix(weight: &ArrayD<f32>) -> ArrayView2<'_, f32> {
    weight.view().into_dimensionality::<Ix2>().expect("weight [N, K]")
}

/// The images' vectors [images, features] of maps that are one pixel large.
fn vectors<'a>(maps: &Maps<'a>) -> ArrayView2<'a, f32> {
    maps.index_axis_move(Axis(3), 0).index_axis_move(Axis(2), 0)
}

fn vectors_mut(maps: MapsMut<'_>) -> ArrayViewMut2<'_, f32> {
    maps.index_axis_move(Axis(3), 0).index_axis_move(Axis(2), 0)
}
