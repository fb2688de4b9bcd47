//! The description of an accelerator, parsed from `hw_models/*.toml` and validated: a
//! [`Hardware`] that exists is one that works. Keys, units and sources in `docs/hardware.md`.
//!
//! Knows nothing of networks or layers, and computes no cost.

mod curve;
mod energy;
mod energy_file;
mod model;
mod parse;
mod shipped;
mod source;

pub use curve::Curve;
pub use energy::{EnergyTable, Entry, Multiplier, ReadWrite, Sram};
pub use model::{
    Array, Dataflow, Datapath, Fpga, Hardware, Lanes, MemoryLevel, Operand, SyncGroup, Systolic,
    VectorUnit, Widths, ZeroHandling, Zeros,
};

#[cfg(test)]
mod tests;
