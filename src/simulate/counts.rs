//! What executing a layer counted: integers, summed over images.

use std::ops::AddAssign;

use serde::Serialize;
use smallvec::SmallVec;

use crate::kernels::SiteEvents;
use crate::mapping::Accesses;

/// Cycles of a layer. `dense_*` is the same array without skipping.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Cycles {
    /// Cycles of the array or the vector unit.
    pub compute: u64,
    /// Cycles that wait for memory.
    pub stall: u64,
    /// `compute` without zero-skipping.
    pub dense_compute: u64,
    /// `stall` without zero-skipping.
    pub dense_stall: u64,
}

/// Multiply-accumulates by what happened to them; `total = effectual + gated + skipped`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Macs {
    /// All, padded positions included.
    pub total: u64,
    /// Executed at full energy.
    pub effectual: u64,
    /// With a zero operand that gates: a cycle without the energy.
    pub gated: u64,
    /// With a zero operand that is skipped: neither.
    pub skipped: u64,
}

/// Elements and how many of them are nonzero.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Density {
    /// All elements.
    pub elements: u64,
    /// Elements that are not zero.
    pub nonzero: u64,
}

/// Accesses by memory level; so few levels lie in place.
pub type Levels = SmallVec<[Accesses; 4]>;

/// Everything that a layer counted.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct LayerCounts {
    /// Cycles.
    pub cycles: Cycles,
    /// Multiply-accumulates.
    pub macs: Macs,
    /// Weight words.
    pub weights: Density,
    /// Activation words that the layer reads, padding not counted.
    pub activations: Density,
    /// Accesses by memory level, in the order of the hardware model.
    pub memory: Levels,
    /// Bits read from and written to the registers of the processing elements.
    pub register_bits: u64,
    /// Bits of nonzero bitmaps and other metadata moved.
    pub metadata_bits: u64,
    /// Elementary operations of the vector unit.
    pub vector_operations: u64,
    /// Overflow and underflow.
    pub sites: SiteEvents,
}

macro_rules! add_fields {
    ($type:ty: $($field:ident),*) => {
        impl AddAssign for $type {
            fn add_assign(&mut self, other: Self) {
                $(self.$field += other.$field;)*
            }
        }
    };
}

add_fields!(Cycles: compute, stall, dense_compute, dense_stall);
add_fields!(Macs: total, effectual, gated, skipped);
add_fields!(Density: elements, nonzero);

impl AddAssign<&LayerCounts> for LayerCounts {
    fn add_assign(&mut self, other: &Self) {
        self.cycles += other.cycles;
        self.macs += other.macs;
        self.weights += other.weights;
        self.activations += other.activations;
        self.memory.resize(self.memory.len().max(other.memory.len()), Accesses::default());
        for (level, accesses) in self.memory.iter_mut().zip(&other.memory) {
            *level += *accesses;
        }
        self.register_bits += other.register_bits;
        self.metadata_bits += other.metadata_bits;
        self.vector_operations += other.vector_operations;
        self.sites += other.sites;
    }
}
