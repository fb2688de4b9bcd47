//! Softmax of 8-bit words, by the definitions of the runtimes.

mod integer;
mod table;

pub use integer::IntegerSoftmax;
pub use table::TableSoftmax;

use crate::tensor::Words;

/// Most differences of two words, hence entries of a table of exponentials.
const DIFFERENCES: i64 = 256;

/// A softmax of words.
#[derive(Clone, PartialEq, Debug)]
pub enum Softmax {
    /// TFLite's, in integers.
    Integer(IntegerSoftmax),
    /// ONNX Runtime's, in float32.
    Table(TableSoftmax),
}

impl Softmax {
    /// The softmax over each pixel's `channels`. The inputs of a pixel lie less than 256 apart.
    pub fn run(&self, channels: usize, input: &Words, output: &mut Words) {
        match self {
            Self::Integer(softmax) => softmax.run(channels, input, output),
            Self::Table(softmax) => softmax.run(channels, input, output),
        }
    }
}
