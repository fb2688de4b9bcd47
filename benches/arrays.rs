//! Speed of the array families and of the mapper.
//!
//! `lenet5/*` counts one image of LeNet-5's five multiply-accumulate layers, half of all operands
//! zero; `map/*` maps one layer of ResNet-50.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use bittrue::hardware::{
    Array, Dataflow, Hardware, Lanes, SyncGroup, Systolic, ZeroHandling, Zeros,
};
use bittrue::mapping::{LayerProblem, OperandBits, map};
use bittrue::simulate::LayerModel;
use bittrue::simulate::arrays::LanesScratch;
use bittrue::tensor::{Bitmap, ConvGeometry, Shape, Window};

/// The default memories around another array.
fn hardware(array: Array, activations: ZeroHandling, weights: ZeroHandling) -> Hardware {
    let shipped = Hardware::open(Hardware::DEFAULT).expect("it ships");
    Hardware { array, zeros: Zeros { activations, weights }, ..shipped }
}

fn lanes(sync: SyncGroup) -> Array {
    Array::Lanes(Lanes {
        rows: 16,
        columns: 16,
        chunk: 16,
        macs_per_cycle: 1,
        empty_chunk_cycles: 1,
        broadcast_interval: 1,
        lookahead: 2,
        sync,
        drain: 2,
    })
}

fn problem(input: Shape, window: Window, channels: usize) -> LayerProblem {
    let [height, width] = window.output(input).expect("the kernel fits");
    let output = Shape::new(channels, height, width);
    LayerProblem {
        geometry: ConvGeometry { input, output, window, groups: 1 },
        bits: OperandBits { weights: 8, bias: 32, activations: 8, accumulator: 32, output: 8 },
    }
}

fn square(kernel: usize, stride: usize, padding: usize) -> Window {
    Window { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 4], dilation: [1; 2] }
}

fn lenet5() -> [LayerProblem; 5] {
    [
        problem(Shape::new(1, 28, 28), square(5, 1, 2), 6),
        problem(Shape::new(6, 14, 14), square(5, 1, 0), 16),
        problem(Shape::vector(400), Window::POINT, 120),
        problem(Shape::vector(120), Window::POINT, 84),
        problem(Shape::vector(84), Window::POINT, 10),
    ]
}

/// A bitmap of which about half the bits are one (SplitMix64).
fn bitmap(rows: usize, columns: usize, seed: &mut u64) -> Bitmap {
    let mut map = Bitmap::zeros(rows, columns);
    for row in 0..rows {
        for column in 0..columns {
            *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (*seed ^ *seed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            if z >> 63 == 1 {
                map.set(row, column);
            }
        }
    }
    map
}

fn count_image(criterion: &mut Criterion) {
    use ZeroHandling::{Gate, None, Skip};
    let mut group = criterion.benchmark_group("lenet5");
    group.throughput(Throughput::Elements(1));
    let weight_stationary =
        Array::Systolic(Systolic { rows: 16, columns: 16, dataflow: Dataflow::WeightStationary });
    for (name, array, activations, weights) in [
        ("systolic_gate_both", weight_stationary, Gate, Gate),
        ("lanes_skip_activations", lanes(SyncGroup::Array), Skip, None),
        ("lanes_skip_both_array", lanes(SyncGroup::Array), Skip, Skip),
        ("lanes_skip_both_row", lanes(SyncGroup::Row), Skip, Skip),
        ("lanes_skip_both_element", lanes(SyncGroup::Element), Skip, Skip),
    ] {
        let hardware = hardware(array, activations, weights);
        let mut seed = 1;
        let layers = lenet5().map(|problem| {
            let geometry = &problem.geometry;
            let mut map = |rows| vec![bitmap(rows, geometry.reduction(), &mut seed)];
            let (activations, weights) = (map(geometry.pixels()), map(geometry.group_outputs()));
            let model = LayerModel::new(name, &problem, &hardware, &weights).expect("it fits");
            (model, activations)
        });
        let mut scratch = LanesScratch::default();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for (model, activations) in &layers {
                    black_box(model.count(activations, 0, &mut scratch));
                }
            });
        });
    }
}

fn map_layer(criterion: &mut Criterion) {
    let hardware = hardware(lanes(SyncGroup::Array), ZeroHandling::Skip, ZeroHandling::None);
    let mut group = criterion.benchmark_group("map");
    for (name, problem) in [
        ("resnet50_stem", problem(Shape::new(3, 224, 224), square(7, 2, 3), 64)),
        ("resnet50_3x3", problem(Shape::new(128, 28, 28), square(3, 1, 1), 128)),
        ("resnet50_1x1", problem(Shape::new(1024, 14, 14), Window::POINT, 2048)),
        ("resnet50_dense", problem(Shape::vector(2048), Window::POINT, 1000)),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| map(name, black_box(&problem), &hardware).expect("it fits"));
        });
    }
}

criterion_group!(benches, count_image, map_layer);
criterion_main!(benches);
