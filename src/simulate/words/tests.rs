use std::sync::Arc;

use super::*;
use crate::error::Error;
use crate::hardware::{Datapath, Widths};
use crate::kernels::{AccumulationOrder, Style};
use crate::numeric::{Cast, Overflow, RequantizerKind, Rounding};
use crate::quantize::{
    AccumulatorSite, Bias, Clamp, HostModel, Layer, MacLayer, Operation, Output, QuantizedNetwork,
};
use crate::tensor::{ConvGeometry, Window};

fn format(text: &str) -> Format {
    text.parse().expect("a format")
}

fn output(to: &str) -> Output {
    let cast = Cast::new(format(to), Rounding::HalfUp, Overflow::Saturate).expect("a cast");
    Output { cast, clamp: None, maps: Vec::new(), affine: None }
}

fn datapath() -> Datapath {
    Datapath {
        style: Style::Fused,
        order: AccumulationOrder::default(),
        adder_tree: 1,
        requantizer: RequantizerKind::Shift,
        accumulator_overflow: Overflow::Saturate,
        bits: Widths { weights: 8, activations: 8, product: 16, accumulator: 32, output: 8 },
    }
}

fn mac(input: Shape, outputs: usize, weights: &[i64]) -> MacLayer {
    let shape = Shape { channels: outputs, ..input };
    let accumulator = AccumulatorSite { format: None, rounding: Rounding::Floor, overflow: None };
    MacLayer {
        geometry: ConvGeometry { input, output: shape, window: Window::POINT, groups: 1 },
        weights: Words::from_raw(format("s8f0"), weights.iter().copied()),
        bias: None,
        activations: None,
        product: None,
        accumulator,
        rescale: None,
    }
}

fn layer(name: &str, inputs: &[usize], shape: Shape, operation: Operation) -> Layer {
    let (name, inputs) = (name.to_owned(), inputs.to_vec());
    Layer { name, inputs, shape, operation, output: output("s8f2") }
}

/// A 1×2×2 input, a 1×1 convolution to two channels with ReLU, max pooling, flattening, a dense
/// layer of two outputs, softmax.
fn network() -> QuantizedNetwork {
    let (input, map) = (Shape::new(1, 2, 2), Shape::new(2, 2, 2));
    let two = Shape::vector(2);
    let window = Window { kernel: [2, 2], stride: [2, 2], ..Window::POINT };
    let mut conv = layer("conv", &[0], map, Operation::Mac(Box::new(mac(input, 2, &[1, -1]))));
    conv.output.clamp = Some(Clamp { low: 0, high: 127 });
    let mut dense = mac(two, 2, &[1, 2, 3, 0]);
    dense.bias = Some(Bias { format: format("s8f1"), raw: vec![1, -1] });
    let (host, softmax) = HostModel::softmax(2);
    let layers = vec![
        layer("input", &[], input, Operation::Input),
        conv,
        layer("pool", &[1], two, Operation::MaxPool(window)),
        layer("flat", &[2], two, Operation::Flatten(FlattenOrder::ChannelsFirst)),
        layer("dense", &[3], two, Operation::Mac(Box::new(dense))),
        layer("softmax", &[4], two, Operation::Host { node: softmax, quantized: false }),
    ];
    QuantizedNetwork {
        name: "small".to_owned(),
        layers,
        host: Some(Arc::new(host)),
        takes_words: false,
        gives_words: false,
    }
}

fn mac_of(network: &mut QuantizedNetwork, index: usize) -> &mut MacLayer {
    match &mut network.layers[index].operation {
        Operation::Mac(mac) => mac,
        other => panic!("{other:?}"),
    }
}

const IMAGE: [f32; 4] = [0.5, 0.25, 1.0, -0.5];

fn bind(network: &QuantizedNetwork, datapath: &Datapath) -> BoundNetwork {
    BoundNetwork::bind(network, datapath, 7).expect("a network that fits")
}

fn run(bound: &BoundNetwork, image: usize) -> ImageState {
    let mut state = bound.state();
    bound.quantize_input(&IMAGE, image, &mut state).expect("finite values");
    bound.run_image(image, &mut state);
    state
}

/// In quarters 2 1 4 −2; channels 2 1 4 0 and 0 0 0 2; pooled 4 and 2; dense 4 + 4 + ½ (2 quarters)
/// = 10 and 12 − 2 = 10.
#[test]
fn a_network_by_hand() {
    let bound = bind(&network(), &datapath());
    let state = run(&bound, 0);
    assert_eq!(state.words(0).to_vec(), [2, 1, 4, -2]);
    assert_eq!(state.words(1).to_vec(), [2, 0, 1, 0, 4, 0, 0, 2]);
    assert_eq!(state.words(2).to_vec(), [4, 2]);
    assert_eq!(state.words(3).to_vec(), [4, 2]);
    assert_eq!(state.words(4).to_vec(), [10, 10]);
    assert_eq!(bound.outputs(&state), [0.5, 0.5]);
    assert_eq!(state.events(4).largest_accumulator, 10);
}

/// 8-bit activations in −128..=127 times weights 1, 2 and bias ½ (2 quarters): up to 3 · 128 − 2.
#[test]
fn sites_are_completed_from_the_datapath() {
    let bound = bind(&network(), &datapath());
    let dense = bound.layers()[4].mac().expect("a MAC layer");
    assert_eq!(dense.spec().accumulator.to(), format("s32f2"));
    assert_eq!(dense.accumulator_bits_needed(), 10);
    let bits = dense.problem().bits;
    assert_eq!(
        [bits.weights, bits.bias, bits.activations, bits.accumulator, bits.output],
        [8, 8, 8, 32, 8]
    );
    assert!(bound.layers()[2].mac().is_none());
}

#[test]
fn a_layer_runs_alone_on_words_of_ones_own() {
    let bound = bind(&network(), &datapath());
    let mut state = bound.state();
    let words = Words::from_raw(format("s8f2"), [1, -1].into_iter());
    bound.run_layer(4, &[&words], 0, &mut state);
    assert_eq!(state.words(4).to_vec(), [1 - 2 + 2, 3 - 2]);
}

#[test]
fn activations_are_cast_before_the_multipliers() {
    let mut network = network();
    let cast = Cast::new(format("s4f1"), Rounding::HalfUp, Overflow::Saturate).expect("a cast");
    mac_of(&mut network, 1).activations = Some(cast);
    let bound = bind(&network, &datapath());
    let state = run(&bound, 0);
    let operands = bound.operands(1, &state).expect("a MAC layer");
    assert_eq!(operands.to_vec(), [1, 1, 2, -1]);
    assert_eq!(state.words(1).to_vec(), [2, 0, 2, 0, 4, 0, 0, 2]);
    assert_eq!(bound.layers()[1].mac().expect("a MAC layer").problem().bits.activations, 8);
}

/// The largest of the four words survives, then doubles into another format.
#[test]
fn quantizers_follow_the_cast_in_their_order() {
    let mut network = network();
    let doubled: Arc<[i64]> = (-128..128).map(|word| 2 * word).collect();
    network.layers[0].output.maps =
        vec![WordMap::TopK { keep: 1 }, WordMap::Table { words: doubled, format: format("s9f3") }];
    let mut datapath = datapath();
    datapath.bits.activations = 9;
    let bound = bind(&network, &datapath);
    let state = run(&bound, 0);
    assert_eq!(state.words(0).to_vec(), [0, 0, 8, 0]);
    assert_eq!(bound.layers()[0].format(), format("s9f3"));
    assert_eq!(state.words(1).to_vec(), [0, 0, 0, 0, 4, 0, 0, 0]);
}

/// What an image's words are depends on its number, not on what ran before it.
#[test]
fn stochastic_rounding_is_a_function_of_the_image() {
    let mut network = network();
    let to = format("s8f-3");
    let cast = Cast::new(to, Rounding::Stochastic, Overflow::Saturate).expect("a cast");
    network.layers[4].output.cast = cast;
    let bound = bind(&network, &datapath());
    let words = |image| run(&bound, image).words(4).to_vec();
    let all: Vec<_> = (0..64).map(words).collect();
    assert!(all.iter().flatten().any(|&word| word == 1), "10/32 rounds up at times");
    assert!(all.iter().flatten().any(|&word| word == 0), "and down");
    let mut state = run(&bound, 5);
    bound.quantize_input(&IMAGE, 9, &mut state).expect("finite values");
    bound.run_image(9, &mut state);
    assert_eq!(state.words(4).to_vec(), all[9]);
}

/// Every refusal names the layer and the site.
#[test]
fn a_plan_that_does_not_fit_is_refused() {
    let subject = |change: &dyn Fn(&mut QuantizedNetwork, &mut Datapath)| -> String {
        let (mut network, mut datapath) = (network(), datapath());
        change(&mut network, &mut datapath);
        let error: Option<Error> = BoundNetwork::bind(&network, &datapath, 0).err();
        error.map_or("accepted".to_owned(), |error| error.subject().to_owned())
    };
    let site = |bits: &str| AccumulatorSite {
        format: Some(format(bits)),
        rounding: Rounding::Floor,
        overflow: None,
    };
    let cast = |to| Cast::new(format(to), Rounding::Floor, Overflow::Saturate).expect("a cast");
    assert_eq!(subject(&|_, _| {}), "accepted");
    assert_eq!(subject(&|_, d| d.bits.weights = 7), "layer `conv`, weights");
    assert_eq!(subject(&|_, d| d.bits.activations = 7), "layer `conv`, activations");
    assert_eq!(subject(&|_, d| d.bits.output = 7), "layer `conv`, output");
    assert_eq!(
        subject(&|n, _| mac_of(n, 4).accumulator = site("s33f2")),
        "layer `dense`, accumulator"
    );
    assert_eq!(
        subject(&|n, _| mac_of(n, 4).accumulator.overflow = Some(Overflow::Wrap)),
        "layer `dense`, accumulator"
    );
    assert_eq!(
        subject(&|n, _| mac_of(n, 4).product = Some(cast("s8f2"))),
        "layer `dense`, product",
        "the fused style casts no product"
    );
    let product_cast = |d: &mut Datapath| d.style = Style::ProductCast;
    assert_eq!(
        subject(&|n, d| {
            product_cast(d);
            mac_of(n, 1).product = Some(cast("s17f2"));
        }),
        "layer `conv`, product"
    );
    assert_eq!(
        subject(&|n, d| {
            product_cast(d);
            mac_of(n, 1).product = Some(cast("s8f3"));
        }),
        "layer `conv`, product s8f3",
        "more fractional bits than the accumulator"
    );
    assert_eq!(
        subject(&|_, d| d.requantizer = RequantizerKind::Float32),
        "accepted",
        "the outputs saturate"
    );
    assert_eq!(subject(&|n, _| n.layers[3].shape = Shape::vector(3)), "layer `flat`, shape");
    assert_eq!(subject(&|n, _| n.layers[3].inputs = vec![3]), "layer `flat`, inputs");
    assert_eq!(subject(&|n, _| n.layers[3].inputs.clear()), "layer `flat`, inputs");
    assert_eq!(subject(&|n, _| n.layers.clear()), "network `small`");
}

#[test]
fn inputs_that_are_no_numbers_are_refused() {
    let bound = bind(&network(), &datapath());
    let mut state = bound.state();
    let refused = |values: &[f32], state: &mut ImageState| {
        bound.quantize_input(values, 0, state).expect_err("refused").to_string()
    };
    assert!(refused(&[0.0; 3], &mut state).contains("3 values"));
    assert!(refused(&[0.0, f32::NAN, 0.0, 0.0], &mut state).contains("value 1 is NaN"));
}

/// Where the words of all layers are not kept, each is right when its layer has run, and the memory
/// of those that are read no more is used again.
#[test]
fn words_that_are_not_kept_are_those_that_are() {
    let model = crate::network::open("resnet_v1_14").expect("it ships");
    let plan = crate::quantize::Plan::open("int8").expect("it ships");
    let lowered = crate::quantize::synthetic(&model.network, &plan, 0.5, 3).expect("it fits");
    let bound = bind(&lowered.network, &datapath());
    let (mut kept, mut passing) = (bound.state(), bound.passing_state());
    let held = |state: &ImageState| -> usize {
        (0..bound.layers().len()).map(|index| state.words(index).len()).sum()
    };
    for image in 0..2 {
        let values: Vec<f32> = (0..3 * 32 * 32).map(|i| ((i + image) % 17) as f32 / 9.0).collect();
        for state in [&mut kept, &mut passing] {
            bound.quantize_input(&values, image, state).expect("an image");
        }
        bound.run_image(image, &mut kept);
        let mut layers = 0;
        bound.run_layers(image, &mut passing, |index, state| {
            assert_eq!(state.words(index), kept.words(index), "layer {index}");
            layers += 1;
        });
        assert_eq!(layers, bound.layers().len());
        assert_eq!(bound.outputs(&passing), bound.outputs(&kept));
    }
    assert!(2 * held(&passing) < held(&kept), "{} of {}", held(&passing), held(&kept));
}

/// A constant and its activation before the input, all of one size, and layers that run one by one:
/// neither may another layer's words lie where the input's are.
#[test]
fn inputs_share_no_memory() {
    let map = Shape::new(1, 2, 2);
    let constant = Words::from_raw(format("s8f2"), [1, 2, 3, 4].into_iter());
    let layers = vec![
        layer("constant", &[], map, Operation::Constant(constant)),
        layer("relu", &[0], map, Operation::Activation),
        layer("input", &[], map, Operation::Input),
        layer("add", &[1, 2], map, Operation::Add(None)),
        layer("copy", &[3], map, Operation::Activation),
        layer("output", &[4], map, Operation::Activation),
    ];
    let bound = bind(&QuantizedNetwork { layers, host: None, ..network() }, &datapath());
    let mut passing = bound.passing_state();
    for image in 0..2 {
        bound.quantize_input(&IMAGE, image, &mut passing).expect("finite values");
        bound.run_image(image, &mut passing);
        assert_eq!(passing.words(5).to_vec(), [2 + 1, 1 + 2, 4 + 3, -2 + 4]);
    }
    let mut passing = bound.passing_state();
    for image in 0..2 {
        for index in 0..6 {
            let read = bound.layers()[index].inputs();
            let inputs: Vec<Words> = read.iter().map(|&i| passing.words(i).clone()).collect();
            let inputs: Vec<&Words> = inputs.iter().collect();
            bound.run_layer(index, &inputs, image, &mut passing);
        }
        assert_eq!(passing.words(5).to_vec(), [1, 2, 3, 4]);
    }
}
