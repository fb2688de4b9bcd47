//! The three requantizers.

use serde::{Deserialize, Serialize};

/// How an accumulator becomes an output word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequantizerKind {
    /// A shift by a power of two, with the output's rounding and overflow.
    Shift,
    /// Integer multiplier and right shift, as gemmlowp and TFLite define it.
    MultiplierShift,
    /// A float32 multiply, rounded half to even, saturated, as ONNX QLinearConv defines it.
    Float32,
}
