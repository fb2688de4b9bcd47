//! Exact integer arithmetic on tensors: a plain reference for each operation, which is its
//! specification, and the fast paths beside it. The only room with `unsafe`.
//!
//! Knows words and geometry; never networks, plans or hardware files.

mod blocks;
mod bounds;
mod chain;
mod chain32;
mod datapath;
mod dot;
mod draws;
pub mod elementwise;
mod events;
mod gemm_f32;
mod lanes;
mod mac;
pub mod maps;
mod narrow;
mod nonzero;
mod output;
mod parts;
mod patches;
pub mod pool;
mod proven;
pub mod reference;
mod requantize;
pub mod softmax;
mod spec;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod widened;

pub(crate) use blocks::BLOCK;
pub use bounds::Interval;
pub use datapath::{AccumulationOrder, Axis, OrderLoop, Style};
pub(crate) use dot::{Bytes, Halves, Simd, Work};
pub use dot::{InstructionSet, ceiling};
pub use draws::{LayerDraws, Site};
pub use events::SiteEvents;
pub use gemm_f32::gemm_f32;
pub(crate) use mac::check_spec;
pub use mac::{MacKernel, MacScratch};
pub use nonzero::nonzero;
pub use patches::{PatchScratch, Patches};
pub use spec::{Epilogue, Mac, MacSpec};
