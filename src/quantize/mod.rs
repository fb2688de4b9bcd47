//! From a float network to a quantized one: quantizers, calibration, the plan, and the lowering.
//!
//! Its result, a [`QuantizedNetwork`], holds integers only; floats end here.

mod baseline;
mod calibrate;
mod distribution;
mod encoded;
mod equalize;
mod lower;
mod lowered;
mod plan;
mod post_training;
mod prepared;
mod quantizer;
mod range;
mod sites;
mod synthetic;

pub use baseline::Baseline;
pub use distribution::{Distribution, Histogram};
pub use encoded::lower_encoded;
pub use lower::{Lowered, SiteRow};
pub use lowered::{
    AccumulatorSite, Affine, Bias, Clamp, HostModel, Layer, MacLayer, Operation, Output,
    QuantizedNetwork, Rescale, WordMap,
};
pub use plan::{BatchNorm, Method, Plan, Rule, SHIPPED};
pub use prepared::{Prepared, lower};
pub use quantizer::{
    AffineSpec, Binary, BinarySpec, Chain, FixedPoint, FixedSpec, FormatSpec, Granularity, Layout,
    LogRounding, NOfM, PowerOfTwo, PowerOfTwoSpec, Quantizer, QuantizerSpec, Scale, Seen,
    SmallFloat, SmallFloatSpec, Special, Ternary, TernarySpec, Threshold, TopK, WordFormat,
    cast_value,
};
pub use sites::Site;
pub use synthetic::{synthetic, synthetic_words};
