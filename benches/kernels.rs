//! Words alone: a convolution by each path and instruction set, in MAC/s, and a network of
//! LeNet-5's shapes, in images/s.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use bittrue::hardware::{Datapath, Widths};
use bittrue::kernels::{
    AccumulationOrder, Epilogue, InstructionSet, LayerDraws, Mac, MacKernel, MacSpec, SiteEvents,
    Style,
};
use bittrue::network::FlattenOrder;
use bittrue::numeric::{Cast, Draws, Format, Overflow, RequantizerKind, Rounding};
use bittrue::quantize::{
    AccumulatorSite, Clamp, Layer, MacLayer, Operation, Output, QuantizedNetwork,
};
use bittrue::simulate::BoundNetwork;
use bittrue::tensor::{ConvGeometry, Shape, Window, Words};

fn format(text: &str) -> Format {
    text.parse().expect("a format")
}

fn cast(to: &str, overflow: Overflow) -> Cast {
    Cast::new(format(to), Rounding::HalfUp, overflow).expect("a cast")
}

/// Uniform words of `format`, a half of them zero.
fn words(format: Format, len: usize, site: u64) -> Words {
    let draws = Draws::new(1, site);
    let span = (format.max() - format.min() + 1) as u64;
    let word = |element: usize| match draws.at(element as u64) {
        draw if draw >> 63 == 0 => 0,
        draw => (draw % span) as i64 + format.min() as i64,
    };
    Words::from_raw(format, (0..len).map(word))
}

fn window(kernel: usize, padding: usize) -> Window {
    let kernel = [kernel, kernel];
    Window { kernel, stride: [1, 1], padding: [padding; 4], dilation: [1, 1] }
}

/// 64 to 64 channels of 14×14, 3×3: 7.2 million multiply-accumulates.
fn convolution(c: &mut Criterion) {
    let input = Shape::new(64, 14, 14);
    let geometry = ConvGeometry { input, output: input, window: window(3, 1), groups: 1 };
    let spec = |operands: [&str; 2], accumulator: &str, style| {
        let accumulator = cast(accumulator, Overflow::Saturate);
        MacSpec {
            style,
            adder_tree: 1,
            weights: format(operands[0]),
            activations: format(operands[1]),
            product: cast("s24f10", Overflow::Saturate),
            accumulator,
            epilogue: Epilogue::cast(cast("u8f4", Overflow::Saturate)),
        }
    };
    let paths = [
        ("8 bit, proven", spec(["s8f7", "u8f8"], "s32f15", Style::Fused)),
        ("8 bit, checked", spec(["s8f7", "u8f8"], "s23f15", Style::Fused)),
        ("8 bit, ordered", spec(["s8f7", "u8f8"], "s16f15", Style::Fused)),
        ("8 bit, product_cast", spec(["s8f7", "u8f8"], "s32f15", Style::ProductCast)),
        ("16 bit, exact", spec(["s16f15", "s16f8"], "s48f23", Style::Exact)),
        ("24 bit, exact", spec(["s24f20", "s24f8"], "s60f28", Style::Exact)),
    ];
    let mut group = c.benchmark_group("convolution");
    group.throughput(Throughput::Elements(geometry.macs())).sample_size(10);
    for (name, spec) in paths {
        let weights = words(spec.weights, geometry.weights(), 1);
        let image = words(spec.activations, input.len(), 2);
        for set in InstructionSet::available() {
            let order = AccumulationOrder::default();
            let mac = Mac {
                spec,
                range: spec.all_activations(),
                geometry,
                order: &order,
                weights: &weights,
                bias: None,
                requantizers: &[],
            };
            let kernel = MacKernel::with(set, mac).expect("a valid layer");
            let (mut scratch, mut events) = (kernel.scratch(), SiteEvents::default());
            let mut output = Words::zeros(spec.epilogue.cast.to(), geometry.output.len());
            let draws = LayerDraws::new(0, 0, 0);
            group.bench_function(format!("{name}/{}", set.name()), |b| {
                b.iter(|| kernel.run(&image, &mut output, &mut scratch, draws, &mut events));
            });
        }
    }
    group.finish();
}

/// A network of LeNet-5's shapes with random words: 416 520 multiply-accumulates.
fn lenet() -> QuantizedNetwork {
    let mut layers = Vec::new();
    let mut push = |name: &str, shape: Shape, operation: Operation| {
        let relu = matches!(operation, Operation::Mac(_));
        let inputs = if layers.is_empty() { Vec::new() } else { vec![layers.len() - 1] };
        let cast = cast("u8f4", Overflow::Saturate);
        let clamp = relu.then_some(Clamp { low: 0, high: 255 });
        let output = Output { cast, clamp, maps: Vec::new(), affine: None };
        layers.push(Layer { name: name.to_owned(), inputs, shape, operation, output });
    };
    let mac = |input, output, window| {
        let geometry = ConvGeometry { input, output, window, groups: 1 };
        let accumulator =
            AccumulatorSite { format: None, rounding: Rounding::Floor, overflow: None };
        Operation::Mac(Box::new(MacLayer {
            geometry,
            weights: words(format("s8f8"), geometry.weights(), 3),
            bias: None,
            activations: None,
            product: None,
            accumulator,
            rescale: None,
        }))
    };
    let pool = Operation::MaxPool(Window { stride: [2, 2], ..window(2, 0) });
    let maps = [(1, 28), (6, 28), (6, 14), (16, 10), (16, 5)].map(|(c, n)| Shape::new(c, n, n));
    push("input", maps[0], Operation::Input);
    push("conv1", maps[1], mac(maps[0], maps[1], window(5, 2)));
    push("pool1", maps[2], pool.clone());
    push("conv2", maps[3], mac(maps[2], maps[3], window(5, 0)));
    push("pool2", maps[4], pool);
    let features = [400, 120, 84, 10].map(Shape::vector);
    push("flatten", features[0], Operation::Flatten(FlattenOrder::ChannelsFirst));
    for (index, pair) in features.windows(2).enumerate() {
        push(&format!("fc{index}"), pair[1], mac(pair[0], pair[1], Window::POINT));
    }
    QuantizedNetwork {
        name: "lenet5".to_owned(),
        layers,
        host: None,
        takes_words: false,
        gives_words: false,
    }
}

fn datapath(accumulator: u32) -> Datapath {
    Datapath {
        style: Style::Fused,
        order: AccumulationOrder::default(),
        adder_tree: 1,
        requantizer: RequantizerKind::Shift,
        accumulator_overflow: Overflow::Saturate,
        bits: Widths { weights: 8, activations: 8, product: 16, accumulator, output: 8 },
    }
}

fn network(c: &mut Criterion) {
    let image: Vec<f32> =
        words(format("u8f8"), 784, 4).to_vec().iter().map(|&w| w as f32 / 256.0).collect();
    let mut group = c.benchmark_group("lenet5");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    for bits in [32, 16] {
        let network =
            BoundNetwork::bind(&lenet(), &datapath(bits), 0).expect("a network that fits");
        let mut state = network.state();
        group.bench_function(format!("words, {bits}-bit accumulator"), |b| {
            b.iter(|| {
                network.quantize_input(&image, 0, &mut state).expect("finite values");
                network.run_image(0, &mut state);
            });
        });
        let macs: Vec<_> = (0..network.layers().len())
            .filter_map(|index| Some((index, network.layers()[index].mac()?.patches())))
            .collect();
        let mut memory: Vec<_> =
            macs.iter().map(|(_, patches)| (patches.scratch(), patches.empty_bitmaps())).collect();
        group.bench_function(format!("bitmaps after {bits} bits"), |b| {
            b.iter(|| {
                for ((index, patches), (scratch, bitmaps)) in macs.iter().zip(&mut memory) {
                    let operands = network.operands(*index, &state).expect("a MAC layer");
                    patches.activation_bitmaps(operands, scratch, bitmaps);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, convolution, network);
criterion_main!(benches);
