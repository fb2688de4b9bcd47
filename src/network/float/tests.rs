use ndarray::{ArrayD, IxDyn};

use super::*;
use crate::network::{Activation, Builder, PoolKind};
use crate::tensor::Window;

/// A residual block with two paths, pooled and classified: maps that have several readers.
fn network() -> Network {
    let mut builder = Builder::new("net");
    let window = Window { kernel: [3, 3], padding: [1; 4], ..Window::POINT };
    let input = builder.input("input", Shape::new(2, 5, 5)).unwrap();
    let a = builder.conv("a", input, 3, window, 1, true).unwrap();
    let r = builder.activation("r", a, Activation::Relu).unwrap();
    let b = builder.conv("b", r, 3, window, 3, false).unwrap();
    let sum = builder.add("sum", &[a, b, r]).unwrap();
    let joined = builder.concat("joined", &[sum, input]).unwrap();
    let pool = builder.global_pool("pool", joined, PoolKind::Average).unwrap();
    builder.dense("fc", pool, 4, true).unwrap();
    builder.finish().unwrap()
}

fn values(shape: &[usize], salt: usize) -> ArrayD<f32> {
    let mut state = salt as u32 + 1;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    })
}

fn parameters(network: &Network) -> Parameters {
    let shapes = network.parameter_shapes().into_iter().enumerate();
    shapes.map(|(salt, (name, shape))| (name, values(&shape, salt))).collect()
}

fn images(count: usize) -> Array4<f32> {
    values(&[count, 2, 5, 5], 100).into_dimensionality().unwrap()
}

fn with_threads<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}

#[test]
fn outputs_do_not_depend_on_threads_or_batch() {
    let network = network();
    let parameters = parameters(&network);
    let input = images(7);
    let whole = forward(&network, &parameters, input.view()).unwrap();
    for threads in [1, 3] {
        let last = with_threads(threads, || {
            visit(&network, &parameters, input.view(), |id, output| {
                assert_eq!(output, whole[id]);
                Ok(())
            })
        });
        assert_eq!(last.unwrap(), *whole.last().unwrap());
    }
    for image in 0..7 {
        let one =
            infer(&network, &parameters, input.slice(s![image..image + 1, .., .., ..])).unwrap();
        assert_eq!(one, whole.last().unwrap().slice(s![image..image + 1, .., .., ..]));
    }
    assert_eq!(infer(&network, &parameters, images(0).view()).unwrap().dim(), (0, 4, 1, 1));
}

#[test]
fn gradients_gather_all_readers() {
    let network = network();
    let mut parameters = parameters(&network);
    let input = images(3);
    let loss = |parameters: &Parameters| -> f64 {
        let output = infer(&network, parameters, input.view()).unwrap();
        output.iter().enumerate().map(|(i, &y)| f64::from(y) * (i + 1) as f64).sum()
    };
    let outputs = forward(&network, &parameters, input.view()).unwrap();
    let last = network.nodes.len() - 1;
    let mut weights = Array4::zeros(outputs[last].dim());
    weights.iter_mut().enumerate().for_each(|(i, w)| *w = (i + 1) as f32);
    let gradients = backward(&network, &parameters, &outputs, last, weights);
    assert!(gradients.keys().eq(parameters.keys()));
    for (name, gradient) in &gradients {
        for (element, &found) in gradient.iter().enumerate() {
            let mut at = |by: f32| {
                let value = &mut parameters.get_mut(name).unwrap().as_slice_mut().unwrap()[element];
                let old = std::mem::replace(value, *value + by);
                let loss = loss(&parameters);
                parameters.get_mut(name).unwrap().as_slice_mut().unwrap()[element] = old;
                loss
            };
            const STEP: f32 = 1e-3;
            let expected = (at(STEP) - at(-STEP)) / (2.0 * f64::from(STEP));
            let error = (expected - f64::from(found)).abs();
            assert!(error < 0.02 * (1.0 + expected.abs()), "{name} {element}: {found}, {expected}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let network = network();
    let mut parameters = parameters(&network);
    let refused = |parameters: &Parameters, input: Array4<f32>, word: &str| {
        let message = infer(&network, parameters, input.view()).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    };
    refused(&parameters, Array4::zeros((1, 2, 5, 4)), "2×5×4");
    let weight = parameters.remove("b.weight").unwrap();
    refused(&parameters, images(1), "`b.weight`");
    parameters.insert("b.weight".into(), weight.clone());
    parameters.insert("c.weight".into(), weight);
    refused(&parameters, images(1), "`c.weight`");

    let mut builder = Builder::new("two");
    let a = builder.input("a", Shape::vector(1)).unwrap();
    let b = builder.input("b", Shape::vector(1)).unwrap();
    builder.add("sum", &[a, b]).unwrap();
    let two = builder.finish().unwrap();
    let error = infer(&two, &Parameters::new(), Array4::zeros((1, 1, 1, 1)).view()).unwrap_err();
    assert!(error.to_string().contains("2 inputs"));
}
