use ndarray::{Array1, Array4, ArrayD, IxDyn, array};
use proptest::prelude::*;

use super::*;
use crate::network::{Activation, Builder, FlattenOrder, Lrn, PoolKind};
use crate::tensor::{Shape, Window};

/// Distinct values (k + ½) · 4 / n − 2 in a mixed order, so that neighbours differ by 4 / n and none
/// lies closer than 2 / n to 0, ±½ or ±1, where activation functions have their kinks.
fn spread(shape: &[usize], salt: usize) -> ArrayD<f32> {
    let n: usize = shape.iter().product();
    let stride = (5_usize..)
        .find(|s| (2..=*s).all(|d| !s.is_multiple_of(d) || !n.is_multiple_of(d)))
        .unwrap();
    let value = |i: usize| (((i + salt) * stride % n) as f32 + 0.5) * 4.0 / n as f32 - 2.0;
    ArrayD::from_shape_vec(IxDyn(shape), (0..n).map(value).collect()).unwrap()
}

fn maps(images: usize, shape: Shape, salt: usize) -> Array4<f32> {
    let shape = [images, shape.channels, shape.height, shape.width];
    spread(&shape, salt).into_dimensionality().unwrap()
}

/// A node over inputs of these shapes, the last of its network.
fn node_over(
    shapes: &[Shape],
    add: impl FnOnce(&mut Builder, &[NodeId]) -> crate::Result<NodeId>,
) -> Network {
    let mut builder = Builder::new("net");
    let inputs: Vec<_> = shapes
        .iter()
        .enumerate()
        .map(|(i, &shape)| builder.input(&format!("input{i}"), shape).unwrap())
        .collect();
    add(&mut builder, &inputs).unwrap();
    builder.finish().unwrap()
}

fn run(network: &Network, parameters: &Parameters, inputs: &[Array4<f32>]) -> Array4<f32> {
    let id = network.nodes.len() - 1;
    let Shape { channels, height, width } = network.nodes[id].shape;
    let mut output = Array4::zeros((inputs[0].dim().0, channels, height, width));
    let views: Vec<_> = inputs.iter().map(|input| input.view()).collect();
    forward(network, id, parameters, &views, output.view_mut());
    output
}

/// Holds every gradient of `Σ r · y`, by inputs and by parameters, against central differences.
fn check_gradients(
    shapes: &[Shape],
    add: impl FnOnce(&mut Builder, &[NodeId]) -> crate::Result<NodeId>,
) {
    const STEP: f32 = 0.01;
    let network = node_over(shapes, add);
    let id = network.nodes.len() - 1;
    let mut inputs: Vec<_> = (0..).zip(shapes).map(|(i, &shape)| maps(2, shape, i)).collect();
    let mut parameters: Parameters = network
        .parameter_shapes()
        .into_iter()
        .map(|(name, shape)| {
            let values = spread(&shape, 1);
            let values = if name.ends_with("_var") { values.mapv(|v| v + 2.5) } else { values };
            (name, values)
        })
        .collect();
    let output = run(&network, &parameters, &inputs);
    let weights = maps(2, network.nodes[id].shape, 3);
    let loss = |parameters: &Parameters, inputs: &[Array4<f32>]| -> f64 {
        let output = run(&network, parameters, inputs);
        output.iter().zip(&weights).map(|(&y, &r)| f64::from(y) * f64::from(r)).sum()
    };
    let check = |what: &str, up: f64, down: f64, found: f32| {
        let expected = (up - down) / (2.0 * f64::from(STEP));
        let error = (expected - f64::from(found)).abs();
        assert!(error < 3e-3 * (1.0 + expected.abs()), "{what}: {found}, expected {expected}");
    };

    let views: Vec<_> = inputs.iter().map(|input| input.view()).collect();
    // Starting from 1 shows that a gradient is added.
    let mut by_input: Vec<_> = inputs.iter().map(|input| Some(Array4::ones(input.dim()))).collect();
    let seen = Seen { inputs: &views, output: output.view(), gradient: weights.view() };
    let by_parameter = backward(&network, id, &parameters, seen, &mut by_input);

    for (input, gradient) in by_input.iter().enumerate() {
        for (element, gradient) in gradient.as_ref().unwrap().iter().enumerate() {
            let mut at = |by: f32| {
                let value = &mut inputs[input].as_slice_mut().unwrap()[element];
                let old = std::mem::replace(value, *value + by);
                let loss = loss(&parameters, &inputs);
                inputs[input].as_slice_mut().unwrap()[element] = old;
                loss
            };
            let (up, down) = (at(STEP), at(-STEP));
            check(&format!("input {input}, element {element}"), up, down, gradient - 1.0);
        }
    }
    for (name, gradient) in &by_parameter {
        for (element, &gradient) in gradient.iter().enumerate() {
            let mut at = |by: f32| {
                let values = parameters.get_mut(name).unwrap().as_slice_mut().unwrap();
                let old = values[element];
                values[element] = old + by;
                let loss = loss(&parameters, &inputs);
                parameters.get_mut(name).unwrap().as_slice_mut().unwrap()[element] = old;
                loss
            };
            let (up, down) = (at(STEP), at(-STEP));
            check(&format!("{name}, element {element}"), up, down, gradient);
        }
    }
    let learned = parameters.keys().filter(|name| !name.contains("running_")).count();
    assert_eq!(by_parameter.len(), learned, "every learned parameter has a gradient");
}

const MAP: Shape = Shape::new(4, 3, 4);

#[test]
fn conv_gradients() {
    let window = Window { kernel: [2, 3], stride: [2, 1], padding: [1, 0, 2, 1], dilation: [1, 2] };
    check_gradients(&[Shape::new(4, 3, 5)], |b, i| b.conv("conv", i[0], 6, window, 2, true));
    check_gradients(&[MAP], |b, i| b.conv("conv", i[0], 3, Window::POINT, 1, false));
}

#[test]
fn dense_gradients() {
    check_gradients(&[Shape::vector(7)], |b, i| b.dense("fc", i[0], 5, true));
    check_gradients(&[Shape::vector(7)], |b, i| b.dense("fc", i[0], 5, false));
}

#[test]
fn batch_norm_gradients() {
    check_gradients(&[MAP], |b, i| b.batch_norm("norm", i[0], 0.1));
}

#[test]
fn activation_gradients() {
    let clip = Activation::Clip { low: -0.5, high: 1.0 };
    for activation in [Activation::Relu, Activation::Relu6, clip] {
        check_gradients(&[MAP], |b, i| b.activation("act", i[0], activation));
    }
}

#[test]
fn pool_gradients() {
    let window = Window { kernel: [2, 3], stride: [1, 2], padding: [1, 1, 0, 2], dilation: [1, 1] };
    for kind in [PoolKind::Max, PoolKind::Average] {
        check_gradients(&[MAP], |b, i| b.pool("pool", i[0], kind, window));
        check_gradients(&[MAP], |b, i| b.global_pool("pool", i[0], kind));
    }
}

#[test]
fn joining_gradients() {
    check_gradients(&[MAP; 3], |b, i| b.add("add", i));
    check_gradients(&[MAP; 2], |b, i| b.mul("mul", [i[0], i[1]]));
    check_gradients(&[MAP, Shape::vector(4)], |b, i| b.mul("scale", [i[0], i[1]]));
    check_gradients(&[MAP, Shape::new(2, 3, 4)], |b, i| b.concat("concat", i));
}

#[test]
fn flatten_and_softmax_gradients() {
    check_gradients(&[MAP], |b, i| b.flatten("flatten", i[0], FlattenOrder::ChannelsFirst));
    check_gradients(&[MAP], |b, i| b.flatten("flatten", i[0], FlattenOrder::ChannelsLast));
    let turned = Shape::new(MAP.width, MAP.channels, MAP.height);
    check_gradients(&[MAP], |b, i| b.reshape("reshape", i[0], turned));
    check_gradients(&[Shape::new(5, 2, 1)], |b, i| b.softmax("softmax", i[0]));
}

#[test]
fn padding_and_normalization_gradients() {
    check_gradients(&[MAP], |b, i| b.pad("pad", i[0], [1, 0, 2, 3]));
    let lrn = Lrn { size: 4, alpha: 0.5, beta: 0.75, bias: 1.0 };
    check_gradients(&[Shape::new(5, 2, 1)], |b, i| b.lrn("lrn", i[0], lrn));
}

#[test]
fn smooth_activation_gradients() {
    let functions = [
        Activation::LeakyRelu { slope: 0.25 },
        Activation::Sigmoid,
        Activation::HardSigmoid { alpha: 0.2, beta: 0.5 },
        Activation::HardSwish,
    ];
    for function in functions {
        check_gradients(&[MAP], |b, i| b.activation("activation", i[0], function));
    }
}

/// Three channels 1, 2, 3 with size 2, of which the channel itself and the next are summed:
/// 1 + 4, 4 + 9 and 9, halved, plus 1, to the power −1.
#[test]
fn normalization_by_hand() {
    let lrn = Lrn { size: 2, alpha: 1.0, beta: 1.0, bias: 1.0 };
    let network = node_over(&[Shape::vector(3)], |b, i| b.lrn("lrn", i[0], lrn));
    let input = array![[[[1.0]], [[2.0]], [[3.0]]]];
    let found = run(&network, &Parameters::new(), &[input]);
    for (found, expected) in found.iter().zip([1.0 / 3.5, 2.0 / 7.5, 3.0 / 5.5]) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
}

/// Bit by bit: bias, then the products in the order channel, row, column, padding zeros included.
fn plain_conv(
    window: &Window,
    groups: usize,
    weight: &ArrayD<f32>,
    bias: &ArrayD<f32>,
    input: &Array4<f32>,
    output: (usize, usize, usize, usize),
) -> Array4<f32> {
    let (_, channels, height, width) = input.dim();
    let (inputs, outputs) = (channels / groups, output.1 / groups);
    Array4::from_shape_fn(output, |(image, n, row, column)| {
        let mut sum = bias[n];
        for c in 0..inputs {
            for i in 0..window.kernel[0] {
                for j in 0..window.kernel[1] {
                    let y = row * window.stride[0] + i * window.dilation[0];
                    let x = column * window.stride[1] + j * window.dilation[1];
                    let (y, x) =
                        (y.wrapping_sub(window.padding[0]), x.wrapping_sub(window.padding[1]));
                    let channel = n / outputs * inputs + c;
                    let inside = y < height && x < width;
                    let value = if inside { input[[image, channel, y, x]] } else { 0.0 };
                    sum += weight[[n, c, i, j]] * value;
                }
            }
        }
        sum
    })
}

fn check_conv(images: usize, input: Shape, outputs: usize, window: Window, groups: usize) {
    let network = node_over(&[input], |b, i| b.conv("conv", i[0], outputs, window, groups, true));
    let parameters: Parameters = network
        .parameter_shapes()
        .into_iter()
        .map(|(name, shape)| (name, spread(&shape, 1)))
        .collect();
    let input = maps(images, input, 2);
    let found = run(&network, &parameters, std::slice::from_ref(&input));
    let (weight, bias) = (&parameters["conv.weight"], &parameters["conv.bias"]);
    let expected = plain_conv(&window, groups, weight, bias, &input, found.dim());
    let bits = |maps: &Array4<f32>| maps.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&found), bits(&expected));
}

proptest! {
    #[test]
    fn conv_has_the_bits_of_the_plain_loop(
        size in [1usize..9, 1usize..9],
        kernel in [1usize..4, 1usize..4],
        stride in [1usize..4, 1usize..4],
        padding in [0usize..3, 0usize..3, 0usize..3, 0usize..3],
        dilation in [1usize..3, 1usize..3],
        groups in 1usize..4,
        per_group in [1usize..3, 1usize..8],
    ) {
        let window = Window { kernel, stride, padding, dilation };
        let input = Shape::new(groups * per_group[0], size[0], size[1]);
        if window.output(input).is_some() {
            check_conv(2, input, groups * per_group[1], window, groups);
        }
    }
}

#[test]
fn a_map_of_several_bands_has_the_bits_of_the_plain_loop() {
    // 150 · 80 unfolded elements a row: 21 rows a band, of 60.
    let window = Window { kernel: [5, 5], padding: [2; 4], ..Window::POINT };
    check_conv(1, Shape::new(6, 60, 80), 3, window, 1);
}

/// The output of a node over one image of `shape` whose elements are 1, 2, 3, …
fn of_counting(
    shape: Shape,
    parameters: &[(&str, &[f32])],
    add: impl FnOnce(&mut Builder, &[NodeId]) -> crate::Result<NodeId>,
) -> Vec<f32> {
    let counting = Array1::from_iter((1..=shape.len()).map(|i| i as f32));
    let counting =
        counting.into_shape_with_order((1, shape.channels, shape.height, shape.width)).unwrap();
    let network = node_over(&[shape], add);
    let shapes: std::collections::BTreeMap<_, _> = network.parameter_shapes().into_iter().collect();
    let parameters = parameters
        .iter()
        .map(|(name, values)| {
            let values = ArrayD::from_shape_vec(IxDyn(&shapes[*name]), values.to_vec()).unwrap();
            (name.to_string(), values)
        })
        .collect();
    run(&network, &parameters, &[counting]).into_iter().collect()
}

#[test]
fn values_by_hand() {
    let square = Shape::new(1, 2, 2);
    let padded = Window { kernel: [2, 2], padding: [1, 1, 0, 0], ..Window::POINT };
    let pool = |kind| of_counting(square, &[], |b, i| b.pool("pool", i[0], kind, padded));
    assert_eq!(pool(PoolKind::Max), [1.0, 2.0, 3.0, 4.0]);
    // Averages of {1}, {1, 2}, {1, 3} and {1, 2, 3, 4}: padding is not counted.
    assert_eq!(pool(PoolKind::Average), [1.0, 1.5, 2.0, 2.5]);
    // A tap on either side of each position: {2}, {1, 3}, {2, 4}, {3, 5}, {4}.
    let sides = Window { kernel: [1, 2], padding: [0, 1, 0, 1], dilation: [1, 2], ..Window::POINT };
    let row = Shape::new(1, 1, 5);
    let pool = |kind| of_counting(row, &[], |b, i| b.pool("pool", i[0], kind, sides));
    assert_eq!(pool(PoolKind::Max), [2.0, 3.0, 4.0, 5.0, 4.0]);
    assert_eq!(pool(PoolKind::Average), [2.0, 2.0, 3.0, 4.0, 4.0]);
    assert_eq!(pool(PoolKind::PaddedAverage), [1.0, 2.0, 3.0, 4.0, 2.0]);
    let global = of_counting(Shape::new(2, 1, 3), &[], |b, i| {
        b.global_pool("pool", i[0], PoolKind::Average)
    });
    assert_eq!(global, [2.0, 5.0]);

    let dense = [("fc.weight", &[1.0, 0.0, 2.0, -1.0][..]), ("fc.bias", &[0.5, 0.0])];
    let dense = of_counting(Shape::vector(2), &dense, |b, i| b.dense("fc", i[0], 2, true));
    assert_eq!(dense, [1.0 + 0.5, 2.0 - 2.0]);

    // (x − 2) / √(3 + 1) · 3 + 1.
    let norm = [
        ("norm.weight", &[3.0][..]),
        ("norm.bias", &[1.0]),
        ("norm.running_mean", &[2.0]),
        ("norm.running_var", &[3.0]),
    ];
    let norm = of_counting(square, &norm, |b, i| b.batch_norm("norm", i[0], 1.0));
    assert_eq!(norm, [-0.5, 1.0, 2.5, 4.0]);

    let clip = Activation::Clip { low: 1.5, high: 3.25 };
    let clipped = of_counting(square, &[], |b, i| b.activation("clip", i[0], clip));
    assert_eq!(clipped, [1.5, 2.0, 3.0, 3.25]);
}

#[test]
fn softmax_by_hand() {
    // e^0 : e^(ln 3) = 1 : 3, however large the common offset.
    for offset in [0.0, 100.0] {
        let input = array![[[[offset]], [[offset + 3f32.ln()]]]];
        let network = node_over(&[Shape::vector(2)], |b, i| b.softmax("softmax", i[0]));
        let output = run(&network, &Parameters::new(), &[input]);
        assert!((output[[0, 0, 0, 0]] - 0.25).abs() < 1e-5);
        assert!((output[[0, 1, 0, 0]] - 0.75).abs() < 1e-5);
    }
}

#[test]
fn joins_keep_their_order() {
    let (a, b) = (array![[[[1.0, 2.0]]]], array![[[[10.0, 20.0]], [[30.0, 40.0]]]]);
    let shapes = [Shape::new(1, 1, 2), Shape::new(2, 1, 2)];
    let network = node_over(&shapes, |b, i| b.concat("concat", i));
    let joined = run(&network, &Parameters::new(), &[a.clone(), b.clone()]);
    assert_eq!(joined, array![[[[1.0, 2.0]], [[10.0, 20.0]], [[30.0, 40.0]]]]);
    let network = node_over(&[shapes[0]; 2], |b, i| b.add("add", i));
    assert_eq!(run(&network, &Parameters::new(), &[a.clone(), a]), array![[[[2.0, 4.0]]]]);
    let network =
        node_over(&shapes[1..], |b, i| b.flatten("flatten", i[0], FlattenOrder::ChannelsFirst));
    let flat = run(&network, &Parameters::new(), &[b]);
    assert_eq!(flat, array![[[[10.0]], [[20.0]], [[30.0]], [[40.0]]]]);
}
