//! Softmax of 8-bit words by a table of float32 exponentials: the definition of ONNX Runtime's
//! `QLinearSoftmax`.
//!
//! With the largest word m of a pixel, `e(x) = exp((x − m + shift) · scale)` rounded to float32 and
//! `y = rint((e(x) · levels) / Σ e) + zero point`, `levels = ⌊1 / output scale⌋`, the sum in the order
//! of the channels. The shift uses the float's range: `max(0, ln(largest float / channels) − 5) / scale`.

use std::sync::Arc;

use super::DIFFERENCES;
use crate::tensor::{Word, Words, with_words};

/// Logarithm of the range that the sum of exponentials leaves free.
const RESERVE: f64 = 5.0;

/// The exponentials of one scale and number of channels.
#[derive(Clone, PartialEq, Debug)]
pub struct TableSoftmax {
    /// By m − x.
    exponentials: Arc<[f32]>,
    levels: f32,
    zero_point: i64,
    signed: bool,
}

impl TableSoftmax {
    /// For words of `scale` over `channels`; the output's words are 8 bits, `signed` or not.
    pub fn new(
        scale: f32,
        channels: usize,
        output_scale: f32,
        zero_point: i64,
        signed: bool,
    ) -> Self {
        let scale = f64::from(scale);
        let room = libm::log(f64::from(f32::MAX / channels as f32)) - RESERVE;
        let shift = room.max(0.0) / scale;
        let exponential = |difference: i64| libm::exp((shift - difference as f64) * scale) as f32;
        Self {
            exponentials: (0..DIFFERENCES).map(exponential).collect(),
            levels: (1.0 / output_scale).floor(),
            zero_point,
            signed,
        }
    }

    /// The softmax over each pixel's `channels`; the outputs are less their zero point.
    pub fn run(&self, channels: usize, input: &Words, output: &mut Words) {
        with_words!(input.buffer(), words => with_words!(output.buffer_mut(), out => {
            for (words, out) in words.chunks(channels).zip(out.chunks_mut(channels)) {
                let largest = words.iter().map(|word| word.raw()).max().unwrap_or(0);
                let of = |word: i64| {
                    self.exponentials.get((largest - word) as usize).copied().unwrap_or(0.0)
                };
                let sum = words.iter().fold(0.0f32, |sum, word| sum + of(word.raw()));
                for (slot, word) in out.iter_mut().zip(words) {
                    *slot = Word::from_raw(self.word(of(word.raw()) * self.levels / sum));
                }
            }
        }));
    }

    /// The output word of a share in units of the output's scale. The runtime saturates unsigned
    /// words and wraps signed ones: a share of 256 above a zero point of −128 becomes −128.
    fn word(&self, share: f32) -> i64 {
        const BEYOND: f32 = 1e9;
        let stored = share.round_ties_even().min(BEYOND) as i64 + self.zero_point;
        let stored = if self.signed { i64::from(stored as i8) } else { stored.min(u8::MAX.into()) };
        stored - self.zero_point
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::s;
    use crate::numeric::Format;

    fn run(softmax: &TableSoftmax, words: &[i64], to: Format) -> Vec<i64> {
        let input = Words::from_raw(s(9, 0), words.iter().copied());
        let mut output = Words::zeros(to, words.len());
        softmax.run(words.len(), &input, &mut output);
        output.to_vec()
    }

    /// Against the definition in float64: the same word, but next to halves.
    #[test]
    fn words_are_those_of_the_definition() {
        let u8 = Format::new(false, 8, 0).unwrap();
        for (scale, channels) in [(0.02f32, 10), (0.1, 7), (1.0, 3), (0.004, 100)] {
            let words: Vec<i64> = (0..channels).map(|c| (c * 37 + 11) % 256 - 128).collect();
            let softmax = TableSoftmax::new(scale, words.len(), 1.0 / 256.0, 0, false);
            let of = |word: i64| (word as f64 * f64::from(scale)).exp();
            let sum: f64 = words.iter().map(|&word| of(word)).sum();
            for (found, &word) in run(&softmax, &words, u8).into_iter().zip(&words) {
                let exact = (256.0 * of(word) / sum).min(255.0);
                assert!((found as f64 - exact).abs() <= 0.501, "{found}, {exact}");
            }
        }
    }

    /// A share of 256: 255 in unsigned words; in signed ones −128 + 256 wraps to −128, centred 0.
    #[test]
    fn a_whole_share_saturates_or_wraps() {
        let u8 = Format::new(false, 8, 0).unwrap();
        let words = [100, -100, -100];
        let softmax =
            |signed, zero_point| TableSoftmax::new(1.0, 3, 1.0 / 256.0, zero_point, signed);
        assert_eq!(run(&softmax(false, 0), &words, u8), [255, 0, 0]);
        assert_eq!(run(&softmax(true, -128), &words, u8), [0, 0, 0]);
    }
}
