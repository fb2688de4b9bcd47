use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::hardware::*;
use crate::kernels::{AccumulationOrder, Axis};
use crate::tensor::{ConvGeometry, Shape, Window};

/// An accelerator with a DRAM and one buffer per operand, double-buffered, of `capacity` bytes.
pub(crate) fn hardware(array: Array, zeros: Zeros, capacity: [u64; 3]) -> Hardware {
    let level = |name: &str, capacity_bytes, holds: &[Operand]| MemoryLevel {
        name: name.to_owned(),
        capacity_bytes,
        word_bits: 64,
        banks: 1,
        bandwidth_bits_per_cycle: 64.0,
        double_buffered: capacity_bytes.is_some(),
        holds: holds.to_vec(),
    };
    let [ifmap, weights, ofmap] = Operand::ALL;
    let mut hardware = Hardware::open("systolic_os_16x16").expect("a shipped model");
    hardware.datapath.order = AccumulationOrder::default();
    hardware.vector = VectorUnit { lanes: 16 };
    hardware.memory = vec![
        level("dram", None, &Operand::ALL),
        level("ifmap", Some(capacity[0]), &[ifmap]),
        level("weights", Some(capacity[1]), &[weights]),
        level("ofmap", Some(capacity[2]), &[ofmap]),
    ];
    Hardware { array, zeros, ..hardware }
}

pub(crate) const KEEP_ZEROS: Zeros =
    Zeros { activations: ZeroHandling::None, weights: ZeroHandling::None };

pub(crate) fn systolic(dataflow: Dataflow) -> Array {
    Array::Systolic(Systolic { rows: 16, columns: 16, dataflow })
}

/// 8-bit operands, 32-bit biases and accumulators.
pub(crate) const BITS: OperandBits =
    OperandBits { weights: 8, bias: 32, activations: 8, accumulator: 32, output: 8 };

pub(crate) fn problem(
    input: Shape,
    window: Window,
    channels: usize,
    groups: usize,
) -> LayerProblem {
    let [height, width] = window.output(input).expect("the kernel fits");
    let output = Shape::new(channels, height, width);
    LayerProblem { geometry: ConvGeometry { input, output, window, groups }, bits: BITS }
}

pub(crate) fn square(kernel: usize, stride: usize, padding: usize) -> Window {
    Window { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 4], dilation: [1; 2] }
}

prop_compose! {
    /// Small grouped convolutions of any stride, padding and dilation.
    pub(crate) fn any_problem()(
        kernel in [1_usize..4, 1_usize..4], stride in [1_usize..4, 1_usize..4],
        dilation in [1_usize..3, 1_usize..3], padding in [0_usize..3, 0_usize..3, 0_usize..3, 0_usize..3],
        extra in [0_usize..9, 0_usize..9],
        groups in 1_usize..4, inputs in 1_usize..7, channels in 1_usize..20,
    ) -> LayerProblem {
        let size = |axis: usize| dilation[axis] * (kernel[axis] - 1) + 1 + extra[axis];
        let input = Shape::new(groups * inputs, size(0), size(1));
        problem(input, Window { kernel, stride, padding, dilation }, groups * channels, groups)
    }
}

pub(crate) fn any_order() -> impl Strategy<Value = AccumulationOrder> {
    let orders: [&[&str]; 4] = [
        &["input_channel", "kernel_row", "kernel_column"],
        &["kernel_row", "kernel_column", "input_channel"],
        &["kernel_column", "input_channel", "kernel_row"],
        &["input_channel/2", "kernel_row", "kernel_column", "input_channel"],
    ];
    (0..orders.len()).prop_map(move |index| {
        let order: Vec<_> = orders[index].iter().map(|name| name.to_string()).collect();
        order.try_into().expect("an order")
    })
}

/// Input rows and columns that a tile's windows cover, one by one.
fn patch(geometry: &ConvGeometry, pixels: &[(usize, usize)], taps: &[(usize, usize)]) -> u64 {
    let Window { stride, padding, dilation, .. } = geometry.window;
    let inside = |output: usize, tap: usize, axis: usize, size: usize| {
        let at = (output * stride[axis] + tap * dilation[axis]).checked_sub(padding[axis])?;
        (at < size).then_some(at)
    };
    let mut seen = HashSet::new();
    for &(row, column) in pixels {
        for &(kernel_row, kernel_column) in taps {
            let row = inside(row, kernel_row, 0, geometry.input.height);
            let column = inside(column, kernel_column, 1, geometry.input.width);
            seen.extend(row.zip(column));
        }
    }
    seen.len() as u64
}

fn product(rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) -> Vec<(usize, usize)> {
    rows.flat_map(|row| columns.clone().map(move |column| (row, column))).collect()
}

/// Bits that a layer cannot do without.
fn compulsory(problem: &LayerProblem) -> Accesses {
    let geometry = &problem.geometry;
    let [kernel_rows, kernel_columns] = geometry.window.kernel;
    let pixels = product(0..geometry.output.height, 0..geometry.output.width);
    let covered = patch(geometry, &pixels, &product(0..kernel_rows, 0..kernel_columns));
    let weights = geometry.weights() as u64 * 8 + geometry.output.channels as u64 * 32;
    Accesses {
        read_bits: [geometry.input.channels as u64 * covered * 8, weights, 0],
        write_bits: [0, 0, geometry.output.len() as u64 * 8],
    }
}

/// The blocks of `tile` of `0..size`.
fn blocks(size: usize, tile: usize) -> Vec<std::ops::Range<usize>> {
    (0..size).step_by(tile).map(|first| first..(first + tile).min(size)).collect()
}

/// The tiles of a reduction: input channels and kernel positions.
fn reductions(problem: &LayerProblem, mapping: &Mapping) -> Vec<(u64, Vec<(usize, usize)>)> {
    let geometry = &problem.geometry;
    let [kernel_rows, kernel_columns] = geometry.window.kernel;
    let inputs = geometry.group_inputs();
    let cut = |extent| blocks(extent, mapping.tile.reduction).into_iter();
    let whole = inputs as u64;
    match mapping.reduction_axis {
        Axis::InputChannel => cut(inputs)
            .map(|inputs| (inputs.len() as u64, product(0..kernel_rows, 0..kernel_columns)))
            .collect(),
        Axis::KernelRow => {
            cut(kernel_rows).map(|rows| (whole, product(rows, 0..kernel_columns))).collect()
        }
        Axis::KernelColumn => {
            cut(kernel_columns).map(|columns| (whole, product(0..kernel_rows, columns))).collect()
        }
    }
}

/// Walks the tiles of a mapping, keeping one tile of each operand, and counts what moves.
fn walk(problem: &LayerProblem, mapping: &Mapping) -> (Accesses, u64) {
    let (geometry, tile) = (&problem.geometry, &mapping.tile);
    let pixels: Vec<_> = blocks(geometry.output.height, tile.rows)
        .into_iter()
        .flat_map(|rows| {
            let columns = blocks(geometry.output.width, tile.columns);
            columns.into_iter().map(move |columns| product(rows.clone(), columns))
        })
        .collect();
    let channels = blocks(geometry.group_outputs(), tile.channels);
    let reductions = reductions(problem, mapping);
    let count = |tile_loop: TileLoop| match tile_loop {
        TileLoop::Pixels => pixels.len(),
        TileLoop::Channels => channels.len(),
        TileLoop::Reduction => reductions.len(),
    };
    let mut moved = Accesses::default();
    let (mut held, mut visited, mut steps) = ([None; 3], HashSet::new(), 0);
    for groups in blocks(geometry.groups, tile.groups) {
        for outer in 0..count(mapping.order[0]) {
            for middle in 0..count(mapping.order[1]) {
                for inner in 0..count(mapping.order[2]) {
                    steps += 1;
                    let index = |wanted: TileLoop| {
                        let position = mapping.order.iter().position(|&l| l == wanted);
                        [outer, middle, inner][position.expect("each loop once")]
                    };
                    let (p, n, k) = (
                        index(TileLoop::Pixels),
                        index(TileLoop::Channels),
                        index(TileLoop::Reduction),
                    );
                    let group_count = groups.len() as u64;
                    let tiles = [(groups.start, p, k), (groups.start, n, k), (groups.start, p, n)];
                    let outputs = group_count * (pixels[p].len() * channels[n].len()) as u64;
                    let (inputs, taps) = &reductions[k];
                    let inputs = group_count * inputs;
                    if held[0] != Some(tiles[0]) {
                        moved.read_bits[0] += inputs * patch(geometry, &pixels[p], taps) * 8;
                    }
                    if held[1] != Some(tiles[1]) {
                        let weights = inputs * (channels[n].len() * taps.len()) as u64;
                        moved.read_bits[1] += weights * 8;
                        // Biases come with the first part of the reduction.
                        if k == 0 {
                            moved.read_bits[1] += group_count * channels[n].len() as u64 * 32;
                        }
                    }
                    if held[2] != Some(tiles[2]) {
                        if visited.insert(tiles[2]) {
                            moved.write_bits[2] += outputs * 8;
                        } else {
                            moved.read_bits[2] += outputs * 32;
                            moved.write_bits[2] += outputs * 32;
                        }
                    }
                    held = tiles.map(Some);
                }
            }
        }
    }
    (moved, steps)
}

proptest! {
    #[test]
    fn traffic_is_what_a_walk_over_the_tiles_moves(
        problem in any_problem(), capacity in [20_u64..400, 20_u64..400, 20_u64..400],
        order in any_order(),
    ) {
        let mut hardware = hardware(systolic(Dataflow::OutputStationary), KEEP_ZEROS, capacity);
        hardware.datapath.order = order;
        if let Ok(mapping) = map("layer", &problem, &hardware) {
            let (moved, steps) = walk(&problem, &mapping);
            prop_assert_eq!(mapping.traffic, moved);
            prop_assert_eq!(mapping.schedule.steps(), steps);
        }
    }

    #[test]
    fn traffic_is_at_least_compulsory_and_exactly_so_if_all_fits(
        problem in any_problem(), capacity in [20_u64..2000, 20_u64..2000, 20_u64..2000],
        dataflow in prop_oneof![
            Just(Dataflow::WeightStationary), Just(Dataflow::OutputStationary), Just(Dataflow::InputStationary)
        ],
    ) {
        let least = compulsory(&problem);
        if let Ok(mapping) = map("layer", &problem, &hardware(systolic(dataflow), KEEP_ZEROS, capacity)) {
            for operand in 0..3 {
                prop_assert!(mapping.traffic.read_bits[operand] >= least.read_bits[operand]);
                prop_assert!(mapping.traffic.write_bits[operand] >= least.write_bits[operand]);
            }
        }
        let roomy = hardware(systolic(dataflow), KEEP_ZEROS, [1 << 20; 3]);
        prop_assert_eq!(map("layer", &problem, &roomy)?.traffic, least);
    }

    #[test]
    fn a_tile_fits_half_of_a_double_buffer(
        problem in any_problem(), capacity in [20_u64..400, 20_u64..400, 20_u64..400],
        order in any_order(),
    ) {
        let mut hardware = hardware(systolic(Dataflow::OutputStationary), KEEP_ZEROS, capacity);
        hardware.datapath.order = order;
        if let Ok(mapping) = map("layer", &problem, &hardware) {
            let (geometry, tile) = (&problem.geometry, &mapping.tile);
            let width = if mapping.reduction_tiles > 1 { 4 } else { 1 };
            for (inputs, taps) in reductions(&problem, &mapping) {
                let inputs = tile.groups as u64 * inputs;
                for rows in blocks(geometry.output.height, tile.rows) {
                    for columns in blocks(geometry.output.width, tile.columns) {
                        let pixels = product(rows.clone(), columns);
                        let outputs = (tile.groups * tile.channels * pixels.len()) as u64;
                        prop_assert!(2 * inputs * patch(geometry, &pixels, &taps) <= capacity[0]);
                        prop_assert!(2 * outputs * width <= capacity[2]);
                    }
                }
                let channels = tile.channels as u64;
                let weights = channels * (inputs * taps.len() as u64 + 4 * tile.groups as u64);
                prop_assert!(2 * weights <= capacity[1]);
            }
        }
    }
}

#[test]
fn the_cheaper_operand_is_read_again() {
    // 64 → 64 channels over 16×16 pixels: an ifmap of 16 KiB and weights of 4 KiB + 256 bytes.
    let problem = problem(Shape::new(64, 16, 16), square(1, 1, 0), 64, 1);
    let os = systolic(Dataflow::OutputStationary);
    // Both halves hold a quarter of their operand. Output channels outside: the ifmap is read four
    // times, 64 KiB. Pixels outside: the weights are read four times, 17 KiB.
    let small = hardware(os, KEEP_ZEROS, [8 << 10, 2176, 32 << 10]);
    let Mapping { traffic, tile, .. } = map("layer", &problem, &small).expect("fits");
    assert_eq!(traffic.read_bits[0], 8 * (16 << 10));
    assert_eq!(traffic.read_bits[1], 8 * 4 * (4352));
    assert_eq!((tile.rows * tile.columns, tile.channels), (64, 16));
}

#[test]
fn a_reduction_is_cut_only_where_the_order_allows() {
    // One output of 64 × 3 × 3 products; the weight buffer holds a 3-row slice at most.
    let problem = problem(Shape::new(64, 3, 3), square(3, 1, 0), 1, 1);
    let mut hardware =
        hardware(systolic(Dataflow::OutputStationary), KEEP_ZEROS, [1 << 20, 900, 1 << 20]);
    let cut = map("layer", &problem, &hardware).expect("fits");
    assert_eq!(cut.reduction_axis, Axis::InputChannel);
    assert_eq!(cut.tile.reduction, 32);
    // Accumulating row after row needs all channels of a kernel row: 3 · 64 words and a bias.
    let order = ["kernel_row", "kernel_column", "input_channel"].map(String::from).to_vec();
    hardware.datapath.order = order.try_into().expect("an order");
    let cut = map("layer", &problem, &hardware).expect("fits");
    assert_eq!(cut.reduction_axis, Axis::KernelRow);
    assert_eq!(cut.tile.reduction, 2);
    hardware.memory[2].capacity_bytes = Some(2 * (3 * 64 + 4) - 1);
    map("layer", &problem, &hardware).expect_err("not even one kernel row fits");
}

#[test]
fn a_tile_that_cannot_fit_names_the_buffer_and_the_bytes() {
    let problem = problem(Shape::new(3, 8, 8), square(3, 1, 0), 4, 1);
    // The smallest tile cuts the reduction to one channel: 9 weights and a bias of 4 bytes.
    let hardware =
        hardware(systolic(Dataflow::OutputStationary), KEEP_ZEROS, [1 << 10, 24, 1 << 10]);
    let error = map("conv1", &problem, &hardware).expect_err("24 / 2 < 13");
    assert_eq!(
        error.to_string(),
        "layer conv1: its smallest tile takes 13 bytes of the buffer `weights`, which has 12 \
         bytes for a tile (half of it: double-buffered)"
    );
}

#[test]
fn an_operand_without_a_buffer_is_an_error() {
    let mut hardware = hardware(systolic(Dataflow::OutputStationary), KEEP_ZEROS, [1 << 10; 3]);
    hardware.memory.pop();
    let error = map("l", &problem(Shape::vector(4), Window::POINT, 4, 1), &hardware);
    assert!(error.expect_err("no ofmap buffer").to_string().contains("ofmap"));
}

/// A dense layer 64 → 64 cut into four tiles of 16 output channels: 16 · (64 + 4) bytes of weights
/// each, 512 bits of ifmap, 128 bits of ofmap a tile.
fn four_tiles(double_buffered: bool, bandwidth: f64) -> Schedule {
    let mut hardware = hardware(
        systolic(Dataflow::OutputStationary),
        KEEP_ZEROS,
        [1 << 10, if double_buffered { 2 * 1088 } else { 1088 }, 1 << 10],
    );
    for level in &mut hardware.memory {
        level.bandwidth_bits_per_cycle = bandwidth;
        level.double_buffered &= double_buffered;
    }
    let problem = problem(Shape::vector(64), Window::POINT, 64, 1);
    let mapping = map("layer", &problem, &hardware).expect("fits");
    assert_eq!(mapping.tile.channels, 16);
    mapping.schedule
}

#[test]
fn double_buffering_hides_transfers_behind_compute() {
    // At 64 bits a cycle a tile of weights takes 8704 / 64 = 136 cycles, the ifmap 8, an output
    // tile 2. First fill 144, last drain 2, and three times 138 between the tiles.
    let schedule = four_tiles(true, 64.0);
    assert_eq!(schedule.stall(0), 146 + 3 * 138);
    assert_eq!(schedule.stall(4 * 100), 146 + 3 * 38);
    assert_eq!(schedule.stall(4 * 138), 146);
    assert_eq!(schedule.stall(1 << 40), 146);
}

#[test]
fn without_double_buffering_all_transfers_add_up() {
    assert_eq!(four_tiles(false, 64.0).stall(1 << 40), 146 + 3 * 138);
}

#[test]
fn endless_bandwidth_never_stalls() {
    assert_eq!(four_tiles(true, f64::INFINITY).stall(0), 0);
}

#[test]
fn a_stream_moves_every_word_once() {
    let hardware = hardware(systolic(Dataflow::OutputStationary), KEEP_ZEROS, [64, 64, 64]);
    let moved =
        Stream { read_bits: 1024, write_bits: 256, smallest_read_bits: 32, smallest_write_bits: 8 };
    let (traffic, schedule) = stream("pool", &moved, &hardware).expect("fits");
    assert_eq!(traffic, Accesses { read_bits: [1024, 0, 0], write_bits: [0, 0, 256] });
    // Half of 64 bytes holds 256 bits: four tiles. In 4 cycles a tile, out 1.
    assert_eq!(schedule.steps(), 4);
    assert_eq!(schedule.stall(0), 4 + 1 + 3 * 5);
    let wide = Stream { smallest_read_bits: 257, ..moved };
    stream("pool", &wide, &hardware).expect_err("a window does not fit");
}
