use ndarray::{Array3, ArrayD, arr1, array};

use super::*;
use crate::dataset;
use crate::network::{Activation, Builder, FlattenOrder};
use crate::tensor::{Shape, Window};

/// Digits, and a network small enough to train in a blink.
fn digits(count: usize) -> Dataset {
    dataset::open("mnist").unwrap().calibration.unwrap().first(count)
}

fn tiny(classes: usize) -> Network {
    let mut builder = Builder::new("tiny");
    let window = Window { kernel: [6, 6], stride: [4, 4], padding: [1; 4], dilation: [1, 1] };
    let input = builder.input("input", Shape::new(1, 28, 28)).unwrap();
    let conv = builder.conv("conv", input, 4, window, 1, true).unwrap();
    let relu = builder.activation("relu", conv, Activation::Relu).unwrap();
    let flat = builder.flatten("flat", relu, FlattenOrder::ChannelsFirst).unwrap();
    let dense = builder.dense("fc", flat, classes, true).unwrap();
    builder.softmax("softmax", dense).unwrap();
    builder.finish().unwrap()
}

fn settings() -> Settings {
    Settings {
        epochs: 2,
        batch_size: 50,
        sgd: Sgd { learning_rate: 0.05, momentum: 0.9, weight_decay: 1e-4 },
        schedule: Schedule::Cosine,
        shift: 1,
        seed: 7,
    }
}

fn with_threads<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}

#[test]
fn the_bytes_do_not_depend_on_the_threads() {
    let (network, data) = (tiny(10), digits(130));
    let trained = |threads, seed| {
        let settings = Settings { seed, ..settings() };
        with_threads(threads, || train(&network, &data, &settings, |_| {}).unwrap())
    };
    let once = trained(1, 7);
    assert_eq!(trained(3, 7), once);
    assert_ne!(trained(1, 8), once);
}

#[test]
fn training_learns() {
    let (network, data) = (tiny(10), digits(500));
    let settings = Settings { epochs: 8, shift: 0, ..settings() };
    let mut losses = Vec::new();
    let parameters = train(&network, &data, &settings, |at| {
        if at.images == data.len() {
            losses.push(at.loss);
        }
    })
    .unwrap();
    assert_eq!(losses.len(), 8);
    assert!(losses[7] < losses[0] / 3.0, "{losses:?}");
    // A tenth would be chance.
    assert!(accuracy(&network, &parameters, &data).unwrap() > 0.8);
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let data = digits(50);
    let refused = |network: &Network, settings: Settings, word: &str| {
        let message = train(network, &data, &settings, |_| {}).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    };
    let sgd = settings().sgd;
    refused(&tiny(9), settings(), "10 classes");
    refused(&tiny(10), Settings { batch_size: 0, ..settings() }, "batches of 0");
    let rate = |learning_rate| Settings { sgd: Sgd { learning_rate, ..sgd }, ..settings() };
    refused(&tiny(10), rate(0.0), "learning rate");
    refused(&tiny(10), rate(f64::NAN), "learning rate");
    refused(&tiny(10), rate(1e30), "diverged");
    refused(&tiny(10), Settings { sgd: Sgd { momentum: 1.0, ..sgd }, ..settings() }, "momentum");
    let decay = Sgd { weight_decay: -1.0, ..sgd };
    refused(&tiny(10), Settings { sgd: decay, ..settings() }, "weight decay");
}

#[test]
fn cross_entropy_by_hand() {
    // softmax(0, ln 3) = (¼, ¾); the loss of label 0 is ln 4, its gradient (¼ − 1, ¾).
    let outputs = array![[[[0.0]], [[3f32.ln()]]], [[[0.0]], [[3f32.ln()]]]];
    let (loss, gradient) = cross_entropy(outputs.view(), &[0, 1]);
    assert!((loss.total - (4f64.ln() + (4f64 / 3.0).ln())).abs() < 1e-6);
    assert_eq!((loss.correct, loss.images), (1, 2));
    let expected = array![[[[-0.75]], [[0.75]]], [[[0.25]], [[-0.25]]]];
    assert!(gradient.iter().zip(&expected).all(|(a, b): (&f32, &f32)| (a - b).abs() < 1e-6));
}

#[test]
fn two_steps_by_hand() {
    let one = |value: f32| Parameters::from([("w".to_owned(), arr1(&[value]).into_dyn())]);
    let sgd = Sgd { learning_rate: 0.5, momentum: 0.5, weight_decay: 0.25 };
    let (mut weights, mut velocity) = (one(4.0), Parameters::new());
    // v = 1 + ¼ · 4 = 2, w = 4 − ½ · 2 = 3.
    sgd.step(0.5, &mut weights, &one(1.0), &mut velocity);
    assert_eq!(weights, one(3.0));
    // v = ½ · 2 + 1 + ¼ · 3 = 2.75, w = 3 − ½ · 2.75 = 1.625.
    sgd.step(0.5, &mut weights, &one(1.0), &mut velocity);
    assert_eq!(weights, one(1.625));
}

#[test]
fn schedules_by_hand() {
    let factors = |schedule: &str, times: [f64; 3]| {
        let schedule: Schedule = schedule.parse().unwrap();
        assert_eq!(schedule.to_string().parse::<Schedule>().unwrap(), schedule);
        times.map(|time| (schedule.factor(time, 8) * 1e9).round() / 1e9)
    };
    assert_eq!(factors("constant", [0.0, 4.0, 7.9]), [1.0, 1.0, 1.0]);
    assert_eq!(factors("cosine", [0.0, 4.0, 8.0]), [1.0, 0.5, 0.0]);
    assert_eq!(factors("step:3:0.5", [2.9, 3.0, 6.5]), [1.0, 0.5, 0.25]);
    for text in ["", "linear", "step", "step:3", "step:0:0.5", "step:3:2", "step:3:nan"] {
        assert!(text.parse::<Schedule>().is_err(), "{text}");
    }
}

#[test]
fn shifts_bring_in_zeros_and_reach_every_offset() {
    let mut seen = std::collections::BTreeSet::new();
    for first in 0..200 {
        let mut image = Array3::zeros((1, 5, 5));
        image[[0, 2, 2]] = 1.0;
        image[[0, 0, 0]] = 2.0;
        shift(&mut image.view_mut(), 1, &mut Random::new(1, Purpose::Shifts(0), 2 * first));
        let (at, _) = image.indexed_iter().find(|(_, x)| **x == 1.0).unwrap();
        let corner = [at.1.checked_sub(2), at.2.checked_sub(2)];
        let kept = matches!(corner, [Some(row), Some(column)] if image[[0, row, column]] == 2.0);
        let others = image.iter().filter(|x| **x != 0.0).count();
        assert_eq!(others, 1 + usize::from(kept));
        seen.insert((at.1, at.2));
    }
    assert!(seen.iter().eq(&[1, 2, 3].map(|y| [1, 2, 3].map(|x| (y, x))).concat()));
    let mut point = Array3::ones((1, 1, 1));
    shift(&mut point.view_mut(), 3, &mut Random::new(1, Purpose::Shifts(0), 0));
    assert_eq!(point, Array3::<f32>::ones((1, 1, 1)));
}

#[test]
fn initial_weights_have_the_variance_of_he() {
    let mut builder = Builder::new("net");
    let input = builder.input("input", Shape::vector(50)).unwrap();
    let dense = builder.dense("fc", input, 400, true).unwrap();
    builder.batch_norm("norm", dense, 1e-5).unwrap();
    let parameters = initialise(&builder.finish().unwrap(), 3);
    let weight = &parameters["fc.weight"];
    let variance = weight.iter().map(|w| w * w).sum::<f32>() / weight.len() as f32;
    // 20 000 uniform numbers: the standard error of the variance is 0.63 %.
    assert!((variance / (2.0 / 50.0) - 1.0).abs() < 0.03, "{variance}");
    let constant = |value: f32| ArrayD::from_elem(vec![400], value);
    assert_eq!(parameters["fc.bias"], constant(0.0));
    assert_eq!(parameters["norm.weight"], constant(1.0));
    assert_eq!(parameters["norm.bias"], constant(0.0));
    assert_eq!(parameters["norm.running_mean"], constant(0.0));
    assert_eq!(parameters["norm.running_var"], constant(1.0));
}
