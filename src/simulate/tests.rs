use proptest::prelude::*;

use super::*;
use crate::hardware::*;
use crate::kernels::pool::Average;
use crate::mapping::tests::{BITS, KEEP_ZEROS, any_problem, hardware, problem, square, systolic};
use crate::mapping::{LayerProblem, covered};
use crate::network::FlattenOrder;
use crate::quantize::Operation;
use crate::simulate::arrays::{LanesScratch, fold_cycles};
use crate::tensor::{Bitmap, ConvGeometry, Shape, Window};

const DATAFLOWS: [Dataflow; 3] =
    [Dataflow::WeightStationary, Dataflow::OutputStationary, Dataflow::InputStationary];

/// Cycles of a list of M × K by K × N products in the three dataflows.
fn totals(rows: usize, columns: usize, products: &[[u64; 3]]) -> [u64; 3] {
    DATAFLOWS.map(|dataflow| {
        let array = Systolic { rows, columns, dataflow };
        products.iter().map(|&product| fold_cycles(&array, product)).sum()
    })
}

/// SCALE-Sim's `alexnet`: ifmap size, kernel, input channels, output channels, stride.
fn alexnet() -> Vec<[u64; 3]> {
    [
        [224, 11, 3, 96, 4],
        [27, 5, 96, 256, 1],
        [13, 3, 256, 384, 1],
        [13, 3, 384, 384, 1],
        [13, 3, 384, 256, 1],
    ]
    .map(|[size, kernel, inputs, channels, stride]: [u64; 5]| {
        let outputs = (size - kernel + stride).div_ceil(stride);
        [outputs * outputs, kernel * kernel * inputs, channels]
    })
    .to_vec()
}

#[test]
fn alexnet_takes_the_cycles_that_scale_sim_prints_and_one_per_layer() {
    let alexnet = alexnet();
    let printed = |totals: [u64; 3]| totals.map(|total| total - alexnet.len() as u64);
    assert_eq!(printed(totals(32, 32, &alexnet)), [1_136_239, 850_960, 1_158_205]);
    assert_eq!(printed(totals(16, 16, &alexnet)), [3_823_825, 3_333_583, 3_920_991]);
    assert_eq!(printed(totals(12, 14, &alexnet)), [5_780_416, 5_274_076, 5_678_423]);
    let array = Systolic { rows: 32, columns: 32, dataflow: Dataflow::WeightStationary };
    let layers: Vec<_> = alexnet.iter().map(|&product| fold_cycles(&array, product) - 1).collect();
    assert_eq!(layers, [112_283, 373_799, 185_759, 278_639, 185_759]);
}

#[test]
fn resnet50_takes_the_published_cycles_and_one_per_layer() {
    // Stem, bottlenecks with the stride in the 3×3 (v1.5), fully connected layer.
    let mut products = vec![[112 * 112, 7 * 7 * 3, 64]];
    let mut inputs = 64;
    for (stage, blocks) in [3, 4, 6, 3].into_iter().enumerate() {
        let (width, size) = (64_u64 << stage, 56_u64 >> stage);
        for block in 0..blocks {
            let first = if block == 0 && stage > 0 { 2 * size } else { size };
            products.push([first * first, inputs, width]);
            products.push([size * size, 9 * width, width]);
            products.push([size * size, width, 4 * width]);
            if block == 0 {
                products.push([size * size, inputs, 4 * width]);
            }
            inputs = 4 * width;
        }
    }
    products.push([1, 2048, 1000]);
    let macs: u64 = products.iter().map(|product| product.iter().product::<u64>()).sum();
    assert_eq!(macs, 4_089_184_256);
    // The figures, like those of alexnet, are less one for each of the 54 layers.
    let printed = totals(32, 32, &products).map(|total| total - products.len() as u64);
    assert_eq!(products.len(), 54);
    assert_eq!(printed, [6_349_206, 5_198_850, 6_620_586]);
}

#[test]
fn systolic_accesses_follow_scale_sim() {
    // LeNet's second convolution: M = 100, K = 150, N = 16 on 16×16: ten reduction folds.
    let problem = problem(Shape::new(6, 14, 14), square(5, 1, 0), 16, 1);
    let counts = |dataflow| {
        let hardware = hardware(systolic(dataflow), KEEP_ZEROS, [1 << 20; 3]);
        let model =
            LayerModel::new("conv2", &problem, &hardware, &bitmaps(&problem).1).expect("fits");
        model.count(&[], 0, &mut LanesScratch::default())
    };
    let (compulsory_ifmap, weights) = (6 * 14 * 14 * 8, 16 * (150 * 8 + 32));
    let ws = counts(Dataflow::WeightStationary);
    assert_eq!(ws.cycles.compute, 10 * (2 * 16 + 16 + 100 - 2));
    assert_eq!(ws.memory[1].read_bits[0], 100 * 150 * 8);
    assert_eq!(ws.memory[2].read_bits[1], weights);
    // Nine rounds of partial sums are written and read back; then the words, which DRAM takes.
    assert_eq!(ws.memory[3].write_bits[2], 1600 * (9 * 32 + 8));
    assert_eq!(ws.memory[3].read_bits[2], 1600 * (9 * 32 + 8));
    let os = counts(Dataflow::OutputStationary);
    assert_eq!(os.cycles.compute, 7 * (16 + 16 + 150 - 2));
    assert_eq!(os.memory[2].read_bits[1], 7 * weights);
    assert_eq!(os.memory[3].write_bits[2], 1600 * 8);
    let is = counts(Dataflow::InputStationary);
    assert_eq!(is.cycles.compute, 10 * 7 * (2 * 16 + 16 + 16 - 2));
    for counts in [ws, os, is] {
        assert_eq!(counts.memory[0].read_bits, [compulsory_ifmap, weights, 0]);
        assert_eq!(counts.memory[0].write_bits, [0, 0, 1600 * 8]);
        assert_eq!(counts.memory[1].write_bits[0], compulsory_ifmap);
        assert_eq!(counts.macs.effectual, 240_000);
        assert_eq!(counts.vector_operations, 1600);
    }
}

/// Reproducible activations and weights, about half of them nonzero.
fn bitmaps(problem: &LayerProblem) -> (Vec<Bitmap>, Vec<Bitmap>) {
    let geometry = &problem.geometry;
    let map = |rows: usize, salt: usize| {
        let mut map = Bitmap::zeros(rows, geometry.reduction());
        for index in 0..rows * geometry.reduction() {
            if (index * 2_654_435_761 + salt) >> 7 & 3 < 2 {
                map.set(index / geometry.reduction(), index % geometry.reduction());
            }
        }
        map
    };
    let groups = 0..geometry.groups;
    (
        groups.clone().map(|group| map(geometry.pixels(), group)).collect(),
        groups.map(|group| map(geometry.group_outputs(), 77 + group)).collect(),
    )
}

fn handling() -> impl Strategy<Value = ZeroHandling> {
    prop_oneof![Just(ZeroHandling::None), Just(ZeroHandling::Gate), Just(ZeroHandling::Skip)]
}

/// The classes of the multiply-accumulates one by one.
fn classes(geometry: &ConvGeometry, zeros: Zeros, a: &[Bitmap], w: &[Bitmap]) -> Macs {
    let mut macs = Macs::default();
    for group in 0..geometry.groups {
        for pixel in 0..geometry.pixels() {
            for channel in 0..geometry.group_outputs() {
                for k in 0..geometry.reduction() {
                    let zero = [
                        (!a[group].get(pixel, k), zeros.activations),
                        (!w[group].get(channel, k), zeros.weights),
                    ];
                    let has = |handling| zero.contains(&(true, handling));
                    macs.total += 1;
                    *if has(ZeroHandling::Skip) {
                        &mut macs.skipped
                    } else if has(ZeroHandling::Gate) {
                        &mut macs.gated
                    } else {
                        &mut macs.effectual
                    } += 1;
                }
            }
        }
    }
    macs
}

fn lanes() -> Array {
    Array::Lanes(Lanes {
        rows: 4,
        columns: 4,
        chunk: 8,
        macs_per_cycle: 1,
        empty_chunk_cycles: 1,
        broadcast_interval: 1,
        lookahead: 2,
        sync: SyncGroup::Array,
        drain: 2,
    })
}

proptest! {
    #[test]
    fn multiply_accumulates_and_accesses_are_conserved(
        problem in any_problem(), on_activations in handling(), on_weights in handling(),
        array in prop_oneof![Just(lanes()), Just(systolic(Dataflow::WeightStationary)), Just(systolic(Dataflow::OutputStationary))],
    ) {
        let can_skip = matches!(array, Array::Lanes(_));
        let allowed = |handling| if can_skip || handling != ZeroHandling::Skip { handling } else { ZeroHandling::Gate };
        let zeros = Zeros { activations: allowed(on_activations), weights: allowed(on_weights) };
        let hardware = hardware(array, zeros, [4 << 10; 3]);
        let (activations, weights) = bitmaps(&problem);
        let model = LayerModel::new("layer", &problem, &hardware, &weights)?;
        let counts = model.count(&activations, 0, &mut LanesScratch::default());
        let geometry = &problem.geometry;
        prop_assert_eq!(counts.macs.total, geometry.macs());
        prop_assert_eq!(counts.macs, classes(geometry, zeros, &activations, &weights));
        prop_assert!(counts.cycles.compute <= counts.cycles.dense_compute);
        // Compulsory at every level: each word used once; of a skipped operand the nonzero ones.
        let covered = covered(geometry.input, &geometry.window, [geometry.output.height, geometry.output.width]);
        let ifmap = covered * geometry.input.channels as u64 * 8;
        let outputs = geometry.output.len() as u64 * 8;
        let nonzero = |maps: &[Bitmap]| maps.iter().map(Bitmap::ones).sum::<u64>() * 8;
        let dense_weights = geometry.weights() as u64 * 8 + geometry.output.channels as u64 * 32;
        let read = |handling: ZeroHandling, nonzero, all| if handling == ZeroHandling::Skip { nonzero } else { all };
        prop_assert!(counts.memory[0].read_bits[0] >= ifmap);
        prop_assert!(counts.memory[0].read_bits[1] >= dense_weights);
        prop_assert!(counts.memory[0].write_bits[2] >= outputs);
        prop_assert!(counts.memory[1].write_bits[0] >= ifmap);
        prop_assert!(counts.memory[1].read_bits[0] >= read(zeros.activations, nonzero(&activations), ifmap));
        prop_assert!(counts.memory[2].write_bits[1] >= dense_weights);
        prop_assert!(counts.memory[2].read_bits[1] >= read(zeros.weights, nonzero(&weights), dense_weights));
        prop_assert!(counts.memory[3].write_bits[2] >= outputs);
        prop_assert!(counts.memory[3].read_bits[2] >= outputs);
        if !model.needs_activations() {
            prop_assert_eq!(model.count(&[], 0, &mut LanesScratch::default()), counts);
        }
    }
}

#[test]
fn lanes_read_nonzero_words_and_bitmaps() {
    // One group of 8 pixels, 8 channels and a reduction of 20 in chunks of 8 on 4×4 elements.
    let problem = problem(Shape::new(20, 8, 1), Window::POINT, 8, 1);
    let (activations, weights) = bitmaps(&problem);
    let zeros = Zeros { activations: ZeroHandling::Skip, weights: ZeroHandling::None };
    let hardware = hardware(lanes(), zeros, [1 << 20; 3]);
    let model = LayerModel::new("layer", &problem, &hardware, &weights).expect("fits");
    let counts = model.count(&activations, 0, &mut LanesScratch::default());
    // Two tiles of channels read the activations, two of pixels the weights and their biases.
    assert_eq!(counts.memory[1].read_bits[0], activations[0].ones() * 2 * 8);
    assert_eq!(counts.memory[2].read_bits[1], (8 * 20 * 8 + 8 * 32) * 2);
    // Three chunks of eight bits a pixel, twice.
    assert_eq!(counts.metadata_bits, 8 * 24 * 2);
}

#[test]
fn pooling_streams_once_and_counts_its_window_positions() {
    let hardware = hardware(lanes(), KEEP_ZEROS, [1 << 20; 3]);
    let [input, output] =
        [Shape::new(6, 28, 28), Shape::new(6, 14, 14)].map(|shape| FeatureMap { shape, bits: 8 });
    let window = square(2, 2, 0);
    let model = |operation: Operation| {
        VectorModel::new("pool", &operation, &[input], output, &hardware).expect("fits").count(5)
    };
    let counts = model(Operation::MaxPool(window));
    assert_eq!(counts.vector_operations, 6 * 14 * 14 * 4);
    assert_eq!(counts.cycles.compute, 6 * 14 * 14 * 4 / 16);
    assert_eq!(counts.memory[0].read_bits, [6 * 28 * 28 * 8, 0, 0]);
    assert_eq!(counts.memory[0].write_bits, [0, 0, 6 * 14 * 14 * 8]);
    assert_eq!(counts.memory[1].read_bits[0], 6 * 28 * 28 * 8);
    assert_eq!(counts.activations, Density { elements: 6 * 28 * 28, nonzero: 5 });
    // One tile: 4704 bytes in, 1176 out, 8 bytes a cycle.
    assert_eq!(counts.cycles.stall, 588 + 147);
    let average = model(Operation::AveragePool { window, average: Average::Inside, rescale: None });
    assert_eq!(average.vector_operations, 6 * 14 * 14 * 5);
}

#[test]
fn views_cost_nothing_and_sums_read_every_input() {
    let hardware = hardware(lanes(), KEEP_ZEROS, [1 << 20; 3]);
    let map = FeatureMap { shape: Shape::new(4, 3, 3), bits: BITS.output };
    let model = |operation: Operation, inputs: &[FeatureMap]| {
        VectorModel::new("layer", &operation, inputs, map, &hardware).expect("fits").count(0)
    };
    let flatten = model(Operation::Flatten(FlattenOrder::ChannelsFirst), &[map]);
    assert_eq!((flatten.cycles, flatten.vector_operations), (Cycles::default(), 0));
    assert_eq!(flatten.memory[..], [Accesses::default(); 4]);
    let add = model(Operation::Add(None), &[map; 3]);
    assert_eq!(add.vector_operations, 3 * 36);
    assert_eq!(add.memory[0].read_bits[0], 3 * 36 * 8);
    assert_eq!(add.memory[0].write_bits[2], 36 * 8);
}

/// Arrays surveyed together count what each counts on its own, on buffers that cut reductions too.
#[test]
fn a_survey_counts_what_runs_count() {
    let model = crate::network::open("lenet5").expect("ships");
    let plan = crate::quantize::Plan::default();
    let lowered = crate::quantize::synthetic(&model.network, &plan, 0.5, 3).expect("fits");
    let names = ["lanes_act_16x16", "lanes_both_16x16", "systolic_ws_16x16", "systolic_os_16x16"];
    let mut accelerators: Vec<Hardware> =
        names.iter().map(|name| Hardware::open(name).expect("ships")).collect();
    let datapath = accelerators[0].datapath.clone();
    accelerators.iter_mut().for_each(|hardware| hardware.datapath = datapath.clone());
    let survey = Survey::new(&lowered.network, accelerators.iter().collect(), 3).expect("fits");
    let surveyed = survey.run_synthetic(3, 0.6, |_| ()).expect("runs");
    let cut = std::cell::Cell::new(0);
    for (array, hardware) in accelerators.iter().enumerate() {
        for capacity in [1 << 17, 1 << 9] {
            let mut hardware = hardware.clone();
            for level in &mut hardware.memory[1..] {
                level.capacity_bytes = Some(capacity);
                level.bandwidth_bits_per_cycle /= 2.0;
            }
            let simulator = Simulator::new(&lowered.network, &hardware, 3).expect("fits");
            let run = simulator.run_synthetic(3, 0.6, |_| ()).expect("runs");
            let counts = survey.counts(&surveyed, array, &hardware, |layer, problem, _| {
                let mapping = crate::mapping::map(layer, problem, &hardware);
                let tiles = mapping.as_ref().map_or(1, |mapping| mapping.reduction_tiles);
                cut.set(cut.get() + u64::from(tiles > 1));
                mapping
            });
            assert_eq!(counts.expect("fits"), run.layers, "{} {capacity}", hardware.name);
        }
    }
    assert!(cut.get() > 0, "no reduction was cut");
}
