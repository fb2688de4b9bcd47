//! What the runtimes define differently.

use crate::error::Result;
use crate::kernels::elementwise::ScaledSum;
use crate::kernels::pool::Average;
use crate::kernels::softmax::Softmax;
use crate::network::{Activation, PoolKind};
use crate::numeric::Rounding;
use crate::quantize::{Affine, Rescale};
use crate::tensor::Window;

/// The definitions of one runtime. Words are centred.
pub trait Rules {
    /// How real values become words: the halves.
    fn rounding(&self) -> Rounding;

    /// From sums of products of words `a` and of words with the scales `b` to output words.
    fn rescale(&self, product: Product, a: &Affine, b: &[f32], output: &Affine) -> Result<Rescale>;

    /// The word nearest to a real value, not yet saturated.
    fn word(&self, value: f32, to: &Affine) -> i64;

    /// The word of an activation function of a word.
    fn function(&self, function: Activation, word: i64, from: &Affine, to: &Affine) -> Result<i64>;

    /// The word of another encoding.
    fn recode(&self, word: i64, from: &Affine, to: &Affine) -> Result<i64>;

    /// The word of another encoding in a concatenation.
    fn joined(&self, word: i64, from: &Affine, to: &Affine) -> Result<i64> {
        self.recode(word, from, to)
    }

    /// The sum of words of several encodings.
    fn sum(&self, inputs: &[&Affine], output: &Affine) -> Result<ScaledSum>;

    /// The average of `kind` under a window.
    fn average(&self, pool: Pooling, input: &Affine, output: &Affine) -> Result<Mean>;

    /// The softmax of words, over `channels`.
    fn softmax(&self, input: &Affine, output: &Affine, channels: usize) -> Result<Softmax>;
}

/// What multiplies words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// A convolution's weights.
    Conv,
    /// The weights of a fully connected layer.
    Dense,
    /// Another feature map.
    Map,
}

/// An average pooling.
#[derive(Clone, Copy)]
pub struct Pooling {
    pub kind: PoolKind,
    pub window: Window,
    /// Height and width of the map.
    pub map: [usize; 2],
    /// Whether the window is the whole map.
    pub global: bool,
    /// Whether the file states it as an operator on words.
    pub on_words: bool,
}

/// How an average is computed.
pub struct Mean {
    pub average: Average,
    pub rescale: Option<Rescale>,
    pub rounding: Rounding,
}
