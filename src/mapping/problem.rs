//! What the mapper is asked to map.

use crate::tensor::ConvGeometry;

/// Word widths of a layer in bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OperandBits {
    /// Weights as stored.
    pub weights: u32,
    /// Biases as stored; 0 without a bias.
    pub bias: u32,
    /// Activations as stored.
    pub activations: u32,
    /// Accumulators and partial sums.
    pub accumulator: u32,
    /// Output words.
    pub output: u32,
}

/// A multiply-accumulate layer as the mapper sees it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LayerProblem {
    /// Shapes.
    pub geometry: ConvGeometry,
    /// Word widths.
    pub bits: OperandBits,
}
