//! Faults: bits that flip or stick, at stated places or at a rate, in weights, activations and
//! accumulators. What is hit is a pure function of the seed.

mod effect;
mod inject;
mod spec;

pub use effect::fault_report;
pub(in crate::verify) use inject::AccumulatorFaults;
pub use inject::Injector;
pub use spec::{Fault, FaultKind, FaultSite, FaultSpec, Hits};
