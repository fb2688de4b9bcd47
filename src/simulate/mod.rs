//! Runs a quantized network on a hardware model: words from `kernels`, cycles and accesses from
//! the array families.
//!
//! Cycles and accesses are computed from the words, never the other way round: nothing of cost
//! may reach an output word.

mod counts;

pub use counts::{Accesses, Cycles, Density, LayerCounts, Macs, SiteEvents};
