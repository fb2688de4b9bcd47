//! Layers without multiply-accumulates, on the vector unit: elementary operations, cycles and
//! traffic.
//!
//! | layer | elementary operations |
//! | --- | --- |
//! | max pooling | one comparison per window position inside the map |
//! | average pooling | one addition per window position inside the map, one division per output |
//! | add | one addition per output and input after the first, one cast per output |
//! | mul | one multiplication and one cast per output |
//! | concat | one cast per output |
//! | activation | one per output |
//! | softmax | three per output: the maximum, the sum of exponentials, the product with its reciprocal |
//! | input, constant, pad, flatten, host | none: a view, or work of the host |
//!
//! Cycles are `⌈operations / lanes⌉`. Multiply-accumulate layers requantize on the vector unit too,
//! one operation per output word, while the array works on.

use smallvec::smallvec;

use crate::error::Result;
use crate::hardware::{Hardware, Operand};
use crate::mapping::{Accesses, Buffers, Schedule, Stream, covered, stream, window_positions};
use crate::quantize::Operation;
use crate::simulate::{Cycles, Density, LayerCounts, Levels};
use crate::tensor::{Shape, Window};

/// A feature map and the width of its words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FeatureMap {
    /// Shape of one image.
    pub shape: Shape,
    /// Word width in bits.
    pub bits: u32,
}

impl FeatureMap {
    fn total_bits(&self) -> u64 {
        self.shape.len() as u64 * u64::from(self.bits)
    }
}

/// Elementary operations of the vector unit for one image.
pub fn operations(operation: &Operation, inputs: &[FeatureMap], output: Shape) -> u64 {
    let outputs = output.len() as u64;
    match operation {
        Operation::Input
        | Operation::Constant(_)
        | Operation::Pad(_)
        | Operation::Flatten(_)
        | Operation::Host { .. } => 0,
        Operation::Mac(_) | Operation::Activation | Operation::Concat(_) => outputs,
        Operation::Add(_) => outputs * inputs.len() as u64,
        Operation::Mul(_) => 2 * outputs,
        Operation::Softmax(_) => 3 * outputs,
        Operation::MaxPool(window) => positions(window, inputs, output),
        Operation::AveragePool { window, .. } => positions(window, inputs, output) + outputs,
    }
}

/// Window positions inside the map, over all channels.
fn positions(window: &Window, inputs: &[FeatureMap], output: Shape) -> u64 {
    let outputs = [output.height, output.width];
    let of = |map: &FeatureMap| window_positions(map.shape, window, outputs);
    inputs.iter().map(|map| of(map) * map.shape.channels as u64).sum()
}

/// A layer on the vector unit. It does not depend on data.
#[derive(Clone, Debug)]
pub struct VectorModel {
    counts: LayerCounts,
}

impl VectorModel {
    /// The layer `layer`. Its words stream through the buffers: each input word that it uses is
    /// read from DRAM once, each output word written once.
    pub fn new(
        layer: &str,
        operation: &Operation,
        inputs: &[FeatureMap],
        output: FeatureMap,
        hardware: &Hardware,
    ) -> Result<Self> {
        let elements = inputs.iter().map(|map| map.shape.len() as u64).sum();
        let mut counts = LayerCounts {
            activations: Density { elements, nonzero: 0 },
            memory: smallvec![Accesses::default(); hardware.memory.len()],
            ..LayerCounts::default()
        };
        let traffic = |operation: &Operation| match operation {
            Operation::Input
            | Operation::Constant(_)
            | Operation::Pad(_)
            | Operation::Flatten(_)
            | Operation::Host { .. }
            | Operation::Mac(_) => None,
            Operation::Activation
            | Operation::Add(_)
            | Operation::Mul(_)
            | Operation::Softmax(_)
            | Operation::Concat(_) => {
                let bits = inputs.iter().map(FeatureMap::total_bits).sum();
                Some((bits, bits, inputs.iter().map(|map| u64::from(map.bits)).sum()))
            }
            Operation::MaxPool(window) | Operation::AveragePool { window, .. } => {
                let outputs = [output.shape.height, output.shape.width];
                let bits = |per_channel: fn(Shape, &Window, [usize; 2]) -> u64| {
                    let of = |map: &FeatureMap| {
                        let channels = map.shape.channels as u64 * u64::from(map.bits);
                        per_channel(map.shape, window, outputs) * channels
                    };
                    inputs.iter().map(of).sum()
                };
                let smallest = inputs.iter().map(|map| window.taps() as u64 * u64::from(map.bits));
                Some((bits(covered), bits(window_positions), smallest.sum()))
            }
        };
        if let Some((read_bits, operand_bits, smallest_read_bits)) = traffic(operation) {
            let moved = Stream {
                read_bits,
                write_bits: output.total_bits(),
                smallest_read_bits,
                smallest_write_bits: u64::from(output.bits),
            };
            let (dram, schedule) = stream(layer, &moved, hardware)?;
            let operations = operations(operation, inputs, output.shape);
            counts.vector_operations = operations;
            counts.cycles = cycles(operations.div_ceil(hardware.vector.lanes as u64), &schedule);
            let mut unit = Accesses::default();
            unit.read_bits[Operand::Ifmap.index()] = operand_bits;
            unit.write_bits[Operand::Ofmap.index()] = moved.write_bits;
            counts.memory = memory(&dram, &unit, &Buffers::new(hardware)?);
        }
        Ok(Self { counts })
    }

    /// Counts one image whose inputs have `nonzero` nonzero words. Everything but the sites.
    pub fn count(&self, nonzero: u64) -> LayerCounts {
        let mut counts = LayerCounts::default();
        self.add(nonzero, &mut counts);
        counts
    }

    /// Adds the same to `sum`.
    pub fn add(&self, nonzero: u64, sum: &mut LayerCounts) {
        *sum += &self.counts;
        sum.activations.nonzero += nonzero;
    }
}

impl VectorModel {
    /// Counts `images` images whose inputs have `nonzero` nonzero words together.
    pub fn count_images(&self, nonzero: u64, images: u64) -> LayerCounts {
        let LayerCounts { cycles, activations, ref memory, vector_operations, .. } = self.counts;
        LayerCounts {
            cycles: Cycles {
                compute: cycles.compute * images,
                stall: cycles.stall * images,
                dense_compute: cycles.dense_compute * images,
                dense_stall: cycles.dense_stall * images,
            },
            activations: Density { elements: activations.elements * images, nonzero },
            memory: memory.iter().map(|level| level.times(images)).collect(),
            vector_operations: vector_operations * images,
            ..LayerCounts::default()
        }
    }
}

fn cycles(compute: u64, schedule: &Schedule) -> Cycles {
    let stall = schedule.stall(compute);
    Cycles { compute, stall, dense_compute: compute, dense_stall: stall }
}

/// Accesses by level, from the traffic of DRAM and that of the array or vector unit with the
/// buffers: what DRAM gives a buffer writes, and what a buffer gives DRAM it reads.
pub(super) fn memory(dram: &Accesses, unit: &Accesses, buffers: &Buffers) -> Levels {
    let mut levels: Levels = smallvec![Accesses::default(); buffers.levels()];
    levels[0] = *dram;
    for operand in Operand::ALL {
        let level = &mut levels[buffers.level(operand)];
        let index = operand.index();
        level.read_bits[index] += unit.read_bits[index] + dram.write_bits[index];
        level.write_bits[index] += unit.write_bits[index] + dram.read_bits[index];
    }
    levels
}
