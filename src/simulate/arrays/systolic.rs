//! Systolic arrays: the fold formulas of SCALE-Sim 3.0.0. Zeros can only be gated.

use crate::hardware::{Dataflow, Operand, Systolic};
use crate::mapping::{Accesses, LayerProblem};
use crate::simulate::Macs;
use crate::simulate::arrays::ArrayCounts;

/// A layer on a systolic array. Nothing but the classes of multiply-accumulates depends on data.
#[derive(Clone, Debug)]
pub struct SystolicModel {
    cycles: u64,
    buffers: Accesses,
    registers: Registers,
}

/// Bits of register traffic: a moving operand is latched and read by every element that it
/// passes, a stationary one is written once a fold and read where the multiplier works.
#[derive(Clone, Copy, Debug)]
struct Registers {
    fixed: u64,
    per_mac: u64,
    per_effectual_mac: u64,
}

/// Row folds, column folds and cycles of one fold of an M × K by K × N product.
fn folds(array: &Systolic, [m, k, n]: [u64; 3]) -> [u64; 3] {
    let (rows, columns) = (array.rows as u64, array.columns as u64);
    let [on_rows, on_columns, fill, streamed] = match array.dataflow {
        Dataflow::WeightStationary => [k, n, 2 * rows, m],
        Dataflow::OutputStationary => [m, n, rows, k],
        Dataflow::InputStationary => [k, m, 2 * rows, n],
    };
    [on_rows.div_ceil(rows), on_columns.div_ceil(columns), fill + columns + streamed - 2]
}

/// Cycles of an M × K by K × N product: row folds × column folds × cycles of a fold. (SCALE-Sim
/// prints one less per layer, its issue 125.)
pub fn fold_cycles(array: &Systolic, product: [u64; 3]) -> u64 {
    folds(array, product).iter().product()
}

impl SystolicModel {
    /// `problem` on `array`; see [`super::ArrayModel::new`] for `reduction_tiles`.
    pub fn new(problem: &LayerProblem, array: &Systolic, reduction_tiles: u64) -> Self {
        let (geometry, bits) = (&problem.geometry, &problem.bits);
        let groups = geometry.groups as u64;
        let product @ [m, k, n] =
            [geometry.pixels(), geometry.reduction(), geometry.group_outputs()].map(|s| s as u64);
        let [row_folds, column_folds, _] = folds(array, product);
        // How often the ifmap and the weights are read, and the partial sums written.
        let (ifmap_rounds, weight_rounds, output_rounds) = match array.dataflow {
            Dataflow::WeightStationary => (column_folds, 1, row_folds),
            Dataflow::OutputStationary => (column_folds, row_folds, 1),
            Dataflow::InputStationary => (1, column_folds, row_folds),
        };
        let [activation_bits, weight_bits, bias_bits, accumulator_bits, output_bits] =
            [bits.activations, bits.weights, bits.bias, bits.accumulator, bits.output]
                .map(u64::from);
        let ifmap = groups * m * k * activation_bits;
        let weights = groups * n * (k * weight_bits + bias_bits);
        let outputs = groups * m * n;
        let read_back = outputs * (output_rounds.max(reduction_tiles) - 1) * accumulator_bits;
        let mut buffers = Accesses::default();
        buffers.read_bits[Operand::Ifmap.index()] = ifmap * ifmap_rounds;
        buffers.read_bits[Operand::Weights.index()] = weights * weight_rounds;
        buffers.read_bits[Operand::Ofmap.index()] = read_back;
        buffers.write_bits[Operand::Ofmap.index()] = read_back + outputs * output_bits;
        let registers = match array.dataflow {
            Dataflow::WeightStationary => Registers {
                fixed: weights,
                per_mac: 2 * (activation_bits + accumulator_bits),
                per_effectual_mac: weight_bits,
            },
            Dataflow::OutputStationary => Registers {
                fixed: 2 * outputs * accumulator_bits,
                per_mac: 2 * (activation_bits + weight_bits),
                per_effectual_mac: 2 * accumulator_bits,
            },
            Dataflow::InputStationary => Registers {
                fixed: ifmap,
                per_mac: 2 * (weight_bits + accumulator_bits),
                per_effectual_mac: activation_bits,
            },
        };
        Self { cycles: groups * fold_cycles(array, product), buffers, registers }
    }

    /// Cycles of the layer.
    pub fn cycles(&self) -> u64 {
        self.cycles
    }

    /// Counts one image with these multiply-accumulates.
    pub fn count(&self, macs: Macs) -> ArrayCounts {
        let Registers { fixed, per_mac, per_effectual_mac } = self.registers;
        ArrayCounts {
            cycles: self.cycles,
            macs,
            buffers: self.buffers,
            register_bits: fixed + macs.total * per_mac + macs.effectual * per_effectual_mac,
            metadata_bits: 0,
        }
    }
}
