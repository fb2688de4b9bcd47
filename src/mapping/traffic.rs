//! What a tiling costs: the bits that a tile holds and the DRAM traffic of a loop order.

use crate::hardware::{Array, Dataflow, Hardware, Operand, Systolic};
use crate::mapping::coverage::{AxisWindow, Coverage};
use crate::mapping::tile::ReductionCut;
use crate::mapping::{Accesses, LayerProblem, Tile, TileLoop};

/// The six orders of the outer loops, outermost first.
const ORDERS: [[TileLoop; 3]; 6] = {
    use TileLoop::{Channels, Pixels, Reduction};
    [
        [Pixels, Channels, Reduction],
        [Channels, Pixels, Reduction],
        [Pixels, Reduction, Channels],
        [Channels, Reduction, Pixels],
        [Reduction, Pixels, Channels],
        [Reduction, Channels, Pixels],
    ]
};

/// Iterations of the outer loops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Trips {
    pub(super) groups: u64,
    pixels: u64,
    channels: u64,
    pub(super) reduction: u64,
}

impl Trips {
    pub(super) fn of(&self, tile_loop: TileLoop) -> u64 {
        match tile_loop {
            TileLoop::Pixels => self.pixels,
            TileLoop::Channels => self.channels,
            TileLoop::Reduction => self.reduction,
        }
    }

    /// The loop orders that differ.
    pub(super) fn orders(&self) -> &'static [[TileLoop; 3]] {
        if self.reduction > 1 { &ORDERS } else { &ORDERS[..2] }
    }

    /// All tiles.
    pub(super) fn steps(&self) -> u64 {
        self.groups * self.pixels * self.channels * self.reduction
    }

    /// How often the tiles of `operand` come round again, because the loop that it does not depend
    /// on runs outside of one that replaces them.
    pub(super) fn rounds(&self, operand: Operand, order: &[TileLoop; 3]) -> u64 {
        let free = free_loop(operand);
        let inside = order.iter().skip_while(|&&l| l != free).skip(1);
        if inside.map(|&l| self.of(l)).any(|trips| trips > 1) { self.of(free) } else { 1 }
    }
}

/// The loop that the tiles of an operand do not depend on.
pub(super) fn free_loop(operand: Operand) -> TileLoop {
    match operand {
        Operand::Ifmap => TileLoop::Channels,
        Operand::Weights => TileLoop::Pixels,
        Operand::Ofmap => TileLoop::Reduction,
    }
}

/// Operands that an array reduces by itself before a partial sum leaves it.
pub(super) fn array_reduction(array: &Array) -> usize {
    match array {
        Array::Systolic(array) if array.dataflow != Dataflow::OutputStationary => array.rows,
        Array::Systolic(_) | Array::Lanes(_) => usize::MAX,
    }
}

/// A layer's sizes, from which tiles are costed.
pub(super) struct Layer<'a> {
    problem: &'a LayerProblem,
    pub(super) cut: ReductionCut,
    /// Operands that the array reduces by itself before a partial sum leaves it.
    array_reduction: usize,
}

/// Rows and columns of the ifmap that the tiles of one cut read.
#[derive(Clone, Copy)]
pub(super) struct Patch {
    pub(super) rows: Coverage,
    pub(super) columns: Coverage,
}

impl<'a> Layer<'a> {
    pub(super) fn new(problem: &'a LayerProblem, hardware: &Hardware) -> Self {
        let cut = ReductionCut::new(&hardware.datapath.order, &problem.geometry);
        Self { problem, cut, array_reduction: array_reduction(&hardware.array) }
    }

    /// What tiles of `tile` outputs along an axis read, if the reduction is cut to `reduction`.
    pub(super) fn coverage(&self, axis: usize, tile: usize, reduction: usize) -> Coverage {
        let geometry = &self.problem.geometry;
        let outputs = [geometry.output.height, geometry.output.width][axis];
        let taps = self.cut.taps(reduction, geometry.window.kernel)[axis];
        AxisWindow::new(geometry.input, &geometry.window, axis).coverage(outputs, tile, taps)
    }

    /// Elements of the reduction in a tile.
    fn tile_reduction(&self, tile: &Tile) -> usize {
        self.problem.geometry.reduction() / self.cut.extent.max(1) * tile.reduction
    }

    /// Bits of the largest tile by operand.
    pub(super) fn tile_bits(&self, tile: &Tile, patch: &Patch) -> [u64; 3] {
        let (geometry, bits) = (&self.problem.geometry, &self.problem.bits);
        let reduction = self.tile_reduction(tile);
        let taps = self.cut.taps(tile.reduction, geometry.window.kernel);
        let inputs = tile.groups * (reduction / (taps[0] * taps[1]).max(1));
        let outputs = tile.groups * tile.channels;
        let partial = tile.reduction < self.cut.extent || reduction > self.array_reduction;
        let output_bits = if partial { bits.accumulator.max(bits.output) } else { bits.output };
        [
            inputs as u64
                * patch.rows.largest
                * patch.columns.largest
                * u64::from(bits.activations),
            outputs as u64 * (reduction as u64 * u64::from(bits.weights) + u64::from(bits.bias)),
            (outputs * tile.rows * tile.columns) as u64 * u64::from(output_bits),
        ]
    }

    pub(super) fn trips(&self, tile: &Tile) -> Trips {
        let geometry = &self.problem.geometry;
        let trips = |size: usize, tile: usize| size.div_ceil(tile.max(1)) as u64;
        Trips {
            groups: trips(geometry.groups, tile.groups),
            pixels: trips(geometry.output.height, tile.rows)
                * trips(geometry.output.width, tile.columns),
            channels: trips(geometry.group_outputs(), tile.channels),
            reduction: trips(self.cut.extent, tile.reduction),
        }
    }

    /// Cycles of the array if it never had to fill or drain: every tile takes whole passes over
    /// rows and columns, and a pass streams the dimension that lies on neither.
    pub(super) fn array_cycles(&self, tile: &Tile, trips: &Trips, array: &Array) -> u64 {
        let geometry = &self.problem.geometry;
        let passes = |trips: u64, tile: usize, size: usize| trips * tile.div_ceil(size) as u64;
        let pixels = |size| passes(trips.pixels, tile.rows * tile.columns, size);
        let channels = |size| passes(trips.channels, tile.channels, size);
        let reduction = |size| passes(trips.reduction, self.tile_reduction(tile), size);
        let (passes, streamed) = match array {
            Array::Systolic(Systolic { rows, columns, dataflow }) => match dataflow {
                Dataflow::WeightStationary => {
                    (reduction(*rows) * channels(*columns), geometry.pixels())
                }
                Dataflow::OutputStationary => {
                    (pixels(*rows) * channels(*columns), geometry.reduction())
                }
                Dataflow::InputStationary => {
                    (reduction(*rows) * pixels(*columns), geometry.group_outputs())
                }
            },
            Array::Lanes(lanes) => (
                pixels(lanes.rows) * channels(lanes.columns),
                geometry.reduction().div_ceil(lanes.macs_per_cycle),
            ),
        };
        geometry.groups as u64 * passes * streamed as u64
    }

    /// DRAM reads of the ifmap if no tile comes round twice: each element as often as tiles cover
    /// it.
    pub(super) fn ifmap_bits(&self, patch: &Patch) -> u64 {
        let channels = self.problem.geometry.input.channels as u64;
        let bits = u64::from(self.problem.bits.activations);
        patch.rows.total * patch.columns.total * channels * bits
    }

    /// DRAM reads of weights and biases if no tile comes round twice.
    pub(super) fn weight_bits(&self) -> u64 {
        let (geometry, bits) = (&self.problem.geometry, &self.problem.bits);
        geometry.weights() as u64 * u64::from(bits.weights)
            + geometry.output.channels as u64 * u64::from(bits.bias)
    }

    /// DRAM traffic by operand. Every round of the ofmap tiles but the last leaves partial sums at
    /// the accumulator's width, which the next one reads back.
    pub(super) fn traffic(&self, patch: &Patch, trips: &Trips, order: &[TileLoop; 3]) -> Accesses {
        let bits = &self.problem.bits;
        let outputs = self.problem.geometry.output.len() as u64;
        let spills = trips.rounds(Operand::Ofmap, order) - 1;
        let spilled = outputs * spills * u64::from(bits.accumulator);
        Accesses {
            read_bits: [
                self.ifmap_bits(patch) * trips.rounds(Operand::Ifmap, order),
                self.weight_bits() * trips.rounds(Operand::Weights, order),
                spilled,
            ],
            write_bits: [0, 0, spilled + outputs * u64::from(bits.output)],
        }
    }
}
