//! Counts × tables: energy, and the speed that follows from cycles and clock.
//!
//! Every figure is a count of [`LayerCounts`](crate::simulate::LayerCounts) times an entry of the
//! hardware model; nothing is estimated here, and nothing here reaches a word or a cycle.

mod energy;
mod metrics;

pub use energy::{Energy, energy, level_energy};
pub use metrics::{Metrics, metrics};
