//! How one layer's loops are tiled onto the array and the buffers.

mod problem;

pub use problem::{LayerProblem, OperandBits};
