//! The parts of an accelerator. Values of these types come from `parse`, which checks what each
//! field says of itself here.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hardware::EnergyTable;
use crate::kernels::{AccumulationOrder, Style};
use crate::numeric::{Overflow, RequantizerKind};

/// An accelerator.
#[derive(Clone, PartialEq, Debug)]
pub struct Hardware {
    /// Name.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Clock in Hz.
    pub clock_hz: f64,
    /// Arithmetic of one output word: the only part that output words depend on.
    pub datapath: Datapath,
    /// Multiply-accumulate array.
    pub array: Array,
    /// What happens to zero operands.
    pub zeros: Zeros,
    /// Unit for pooling, addition, activation functions and requantization.
    pub vector: VectorUnit,
    /// Memory levels, the first off-chip (DRAM), holding every operand; then the on-chip
    /// buffers, each operand in exactly one.
    pub memory: Vec<MemoryLevel>,
    /// Energy of each action.
    pub energy: EnergyTable,
    /// Resources of the device, for an array on an FPGA; the model fits them.
    pub fpga: Option<Fpga>,
}

/// Arithmetic of one output word.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Datapath {
    /// Where the chain loses bits.
    pub style: Style,
    /// Accumulation order.
    pub order: AccumulationOrder,
    /// Products that an adder tree sums exactly before each accumulation; 1 for none.
    pub adder_tree: usize,
    /// Requantizer of the output words.
    pub requantizer: RequantizerKind,
    /// What the accumulator does on overflow.
    pub accumulator_overflow: Overflow,
    /// Widest words that the sites can hold.
    pub bits: Widths,
}

/// Widest word in bits by site.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Widths {
    /// Weights entering the multipliers.
    pub weights: u32,
    /// Activations entering the multipliers.
    pub activations: u32,
    /// Products (`product_cast` style).
    pub product: u32,
    /// Accumulator; bias words are cast into it.
    pub accumulator: u32,
    /// Output words.
    pub output: u32,
}

/// Multiply-accumulate array families.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "family", rename_all = "snake_case")]
pub enum Array {
    /// A systolic array.
    Systolic(Systolic),
    /// A grid of independent processing elements that can skip zeros.
    Lanes(Lanes),
}

impl Array {
    /// Rows and columns of processing elements.
    pub fn size(&self) -> [usize; 2] {
        match self {
            Self::Systolic(array) => [array.rows, array.columns],
            Self::Lanes(array) => [array.rows, array.columns],
        }
    }

    /// Multiply-accumulates that all elements together can do in a cycle.
    pub fn macs_per_cycle(&self) -> u64 {
        let [rows, columns] = self.size();
        let each = match self {
            Self::Systolic(_) => 1,
            Self::Lanes(array) => array.macs_per_cycle,
        };
        rows as u64 * columns as u64 * each as u64
    }
}

/// A systolic array of `rows` × `columns`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Systolic {
    /// Rows R.
    pub rows: usize,
    /// Columns C.
    pub columns: usize,
    /// What stays in the elements.
    pub dataflow: Dataflow,
}

/// What stays in the elements of a systolic array.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dataflow {
    /// Weights.
    WeightStationary,
    /// Partial sums.
    OutputStationary,
    /// Activations.
    InputStationary,
}

/// A grid of processing elements: rows take output pixels, columns take output channels.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Lanes {
    /// Rows R.
    pub rows: usize,
    /// Columns C.
    pub columns: usize,
    /// Operands of one chunk along the reduction, 1 to 64.
    pub chunk: usize,
    /// Multiply-accumulates of an element in a cycle.
    pub macs_per_cycle: usize,
    /// Cycles that a chunk without effectual pairs occupies an element.
    pub empty_chunk_cycles: u64,
    /// Cycles between two chunks sent to a group, at least.
    pub broadcast_interval: u64,
    /// Chunks that a member may lag behind, at least 1.
    pub lookahead: usize,
    /// Elements that receive their chunks together.
    pub sync: SyncGroup,
    /// Cycles after the last chunk of a layer.
    pub drain: u64,
}

/// Elements that receive their chunks together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncGroup {
    /// Each on its own.
    Element,
    /// All of a row.
    Row,
    /// All of a column.
    Column,
    /// All.
    Array,
}

/// What happens to a zero operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZeroHandling {
    /// Multiplied as usual.
    None,
    /// Cycle spent, energy saved.
    Gate,
    /// Neither.
    Skip,
}

/// Zero handling by operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Zeros {
    /// Zero activations.
    pub activations: ZeroHandling,
    /// Zero weights.
    pub weights: ZeroHandling,
}

/// A unit that works on `lanes` elements a cycle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct VectorUnit {
    /// Elementary operations a cycle.
    pub lanes: usize,
}

/// Operands that a memory level holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operand {
    /// Input feature map.
    Ifmap,
    /// Weights and biases.
    Weights,
    /// Output feature map and partial sums.
    Ofmap,
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ifmap => "ifmap",
            Self::Weights => "weights",
            Self::Ofmap => "ofmap",
        })
    }
}

/// A memory level.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct MemoryLevel {
    /// Name, the key of the level in reports.
    pub name: String,
    /// Capacity in bytes; absent for DRAM.
    pub capacity_bytes: Option<u64>,
    /// Width of one access in bits.
    pub word_bits: u32,
    /// Independent banks.
    pub banks: u32,
    /// Bandwidth in bits a cycle, towards the level outside of it (DRAM: towards the chip).
    pub bandwidth_bits_per_cycle: f64,
    /// Whether a tile's transfer overlaps with compute, at the price of half the capacity.
    pub double_buffered: bool,
    /// Operands held.
    pub holds: Vec<Operand>,
}

/// Resources of an FPGA.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Fpga {
    /// Name of the device.
    pub device: String,
    /// DSP slices; each multiplier takes one.
    pub dsp_slices: u64,
    /// Block RAMs of 36 Kb; see [`MemoryLevel::bram36`].
    pub bram36: u64,
}

impl MemoryLevel {
    /// Block RAMs of 36 Kb that the level takes on an FPGA. A bank is made of whole blocks, each
    /// holding 4 KB: its ninth bits are left unused.
    pub fn bram36(&self) -> u64 {
        let banks = u64::from(self.banks);
        banks * self.capacity_bytes.unwrap_or(0).div_ceil(banks).div_ceil(4096)
    }
}
