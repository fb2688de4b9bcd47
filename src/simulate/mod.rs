//! Runs a quantized network on a hardware model: words from `kernels`, cycles and accesses from
//! the array families.
//!
//! Cycles and accesses are computed from the words, never the other way round: nothing of cost
//! may reach an output word.

pub mod arrays;
mod counts;
mod layer;
mod noise;
mod run;
mod survey;
pub mod vector;
mod words;

pub use counts::{Cycles, Density, LayerCounts, Levels, Macs};

pub use layer::LayerModel;
pub use noise::Noise;
pub use run::{Outputs, Run, Simulator};
pub use survey::{Survey, Surveyed};
pub use vector::{FeatureMap, VectorModel};
pub use words::{BoundLayer, BoundMac, BoundNetwork, Disturbance, ImageState, Snapshot};

pub use crate::kernels::SiteEvents;
pub use crate::mapping::Accesses;

#[cfg(test)]
mod tests;
