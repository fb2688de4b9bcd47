//! From a float network to a quantized one: quantizers, calibration, the plan, and the lowering.
//!
//! Its result, a [`QuantizedNetwork`], holds integers only; floats end here.

mod lowered;

pub use lowered::{
    AccumulatorSite, Bias, Clamp, Layer, MacLayer, Operation, Output, QuantizedNetwork, WordMap,
};
