//! Counts × tables: energy, the speed that follows from cycles and clock, and FPGA resources.
//!
//! Every figure is a count of [`LayerCounts`](crate::simulate::LayerCounts), or of elements, times
//! an entry of a table; nothing here reaches a word or a cycle.

mod energy;
mod metrics;
mod resources;

pub use energy::{Energy, energy, level_energy};
pub use metrics::{Metrics, metrics};
pub use resources::{DspSlice, Resources, element, multiplier_luts, resources};
