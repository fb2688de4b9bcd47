//! The network input's quantizer.

#![allow(clippy::needless_range_loop, reason = "plain loops are inlined for any instruction set")]

use crate::error::{Error, Result};
use crate::kernels::{BLOCK, InstructionSet, LayerDraws, Simd, Site, Work};
use crate::numeric::{Events, Overflow, Rounding};
use crate::simulate::words::BoundLayer;
use crate::tensor::{Word, Words, with_words};

/// Checks that `values` are as many as the input has, finite, and words where `takes_words`.
pub(super) fn check(layer: &BoundLayer, values: &[f32], takes_words: bool) -> Result<()> {
    let subject = format_args!("input `{}`", layer.name());
    if values.len() != layer.shape().len() {
        return Err(Error::new(
            subject,
            format_args!("{} values, a map of {} was expected", values.len(), layer.shape()),
        ));
    }
    if !values.iter().fold(true, |finite, value| finite & value.is_finite())
        && let Some(position) = values.iter().position(|value| !value.is_finite())
    {
        return Err(Error::new(
            subject,
            format_args!("value {position} is {}, not a finite number", values[position]),
        )
        .remedy("check the dataset and its mean and std"));
    }
    let Some(affine) = layer.affine.as_ref().filter(|_| takes_words) else { return Ok(()) };
    let stored = affine.stored;
    let is_word = |value: f32| value.fract() == 0.0 && stored.contains(value as i128);
    match values.iter().find(|&&value| !is_word(value)) {
        None => Ok(()),
        Some(value) => Err(Error::new(
            subject,
            format_args!("value {value} is no word of {stored}, which the network takes"),
        )
        .remedy("describe the dataset with scale = 1 and the mean that gives whole words")),
    }
}

/// Writes the words of `values`, channels-last: round(x · 2^F), or of an affine input
/// `round(x / scale)` of the quotient in float32, before the zero point: ONNX `QuantizeLinear` with
/// halves to even, TFLite `QUANTIZE` with halves away from zero.
pub(super) fn quantize(
    layer: &BoundLayer,
    values: &[f32],
    words: &mut Words,
    draws: LayerDraws,
    events: &mut Events,
) {
    let (channels, pixels) = (layer.shape().channels, layer.shape().pixels());
    if let Some(quick) = Quick::new(layer) {
        let work = Quantizing { quick, layer, values, words, events };
        return InstructionSet::best().run(work);
    }
    let overflow = layer.epilogue.cast.overflow();
    with_words!(words.buffer_mut(), words => {
        for (element, slot) in words.iter_mut().enumerate() {
            let value = values[element % channels * pixels + element / channels];
            let (raw, frac) = match &layer.affine {
                Some(affine) => fraction(value / affine.scale(0)),
                None => fraction(value),
            };
            let word = layer.epilogue.apply(raw, frac, draws.draw(Site::Input, element, 0));
            events.count(word, overflow);
            *slot = Word::from_raw(word.raw as i64);
        }
    });
}

/// The quantizer in float32, in which the value times a power of two is exact, rounded half to even
/// and saturated.
struct Quick {
    unit: f32,
    floor: f32,
    range: [f32; 2],
    clamp: [f32; 2],
}

impl Quick {
    /// Beyond all words.
    const FAR: f32 = (1 << 22) as f32;
    /// A sum of this size is an integer, rounded half to even, which its low bits are.
    const MAGIC: f32 = (3 << 22) as f32;

    fn new(layer: &BoundLayer) -> Option<Self> {
        let (cast, clamp) = (layer.epilogue.cast, layer.epilogue.clamp);
        let to = cast.to();
        let exact = cast.rounding() == Rounding::HalfEven
            && cast.overflow() == Overflow::Saturate
            && layer.epilogue.requantizer.is_none()
            && to.bits() <= 21
            && (0..=64).contains(&to.frac());
        let (low, high) = clamp.unwrap_or((i64::MIN, i64::MAX));
        exact.then(|| Self {
            unit: 2f32.powi(to.frac()),
            floor: if layer.epilogue.rectifies() { 0.0 } else { f32::NEG_INFINITY },
            range: [to.min() as f32, to.max() as f32],
            clamp: [low as f32, high as f32],
        })
    }

    /// The words of `values`, which are divided by `scale` before; the numbers of overflows and
    /// underflows.
    #[inline(always)]
    fn block(&self, values: &[f32], scale: f32, words: &mut [i32]) -> [u32; 2] {
        let [low, high] = self.range;
        let (mut over, mut under) = (0, 0);
        let values = &values[..words.len()];
        for n in 0..words.len() {
            let result = (values[n] / scale * self.unit).max(self.floor);
            let rounded = (result.clamp(-Self::FAR, Self::FAR) + Self::MAGIC) - Self::MAGIC;
            let word = rounded.max(low).min(high);
            over += u32::from(word != rounded);
            under += u32::from(result != 0.0) & u32::from(rounded == 0.0);
            let word = word.max(self.clamp[0]).min(self.clamp[1]);
            words[n] = (word + Self::MAGIC).to_bits() as i32 - Self::MAGIC.to_bits() as i32;
        }
        [over, under]
    }
}

/// Channels whose words are written together, at most.
const SIDE_BY_SIDE: usize = 3;

/// An image quantized, as work to be compiled per instruction set.
struct Quantizing<'a> {
    quick: Quick,
    layer: &'a BoundLayer,
    values: &'a [f32],
    words: &'a mut Words,
    events: &'a mut Events,
}

impl Work for Quantizing<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { quick, layer, values, words, events } = self;
        let (channels, pixels) = (layer.shape().channels, layer.shape().pixels());
        let scale = layer.affine.as_ref().map_or(1.0, |affine| affine.scale(0));
        let mut blocks = [[0; BLOCK]; SIDE_BY_SIDE];
        let mut first = 0;
        while first < pixels {
            let len = BLOCK.min(pixels - first);
            let mut channel = 0;
            while channel < channels {
                let count = SIDE_BY_SIDE.min(channels - channel);
                for n in 0..count {
                    let plane = &values[(channel + n) * pixels + first..];
                    let [over, under] = quick.block(plane, scale, &mut blocks[n][..len]);
                    events.saturated += u64::from(over);
                    events.underflowed += u64::from(under);
                }
                with_words!(words.buffer_mut(), words => {
                    let words = &mut words[first * channels + channel..];
                    // Numbers that are known when this is compiled make vectors of it.
                    match [channels, count] {
                        [1, 1] => interleave(&blocks, [1, 1], len, words),
                        [3, 3] => interleave(&blocks, [3, 3], len, words),
                        sizes => interleave(&blocks, sizes, len, words),
                    }
                });
                channel += count;
            }
            first += len;
        }
    }
}

/// Writes words of the first `count` of `blocks` side by side, pixel by pixel.
#[inline(always)]
fn interleave<T: Word>(
    blocks: &[[i32; BLOCK]; SIDE_BY_SIDE],
    [channels, count]: [usize; 2],
    pixels: usize,
    words: &mut [T],
) {
    let words = &mut words[..(pixels - 1) * channels + count];
    for n in 0..pixels {
        for channel in 0..count {
            words[n * channels + channel] = Word::from_raw(blocks[channel][n].into());
        }
    }
}

/// A value as an integer times a power of two, `raw · 2^−frac`; not a number is 0.
fn fraction(value: f32) -> (i128, i32) {
    if value.is_nan() {
        return (0, 0);
    }
    const MANTISSA_BITS: u32 = f32::MANTISSA_DIGITS - 1;
    let bits = value.to_bits();
    let exponent = (bits >> MANTISSA_BITS & 0xff) as i32;
    let mantissa = i128::from(bits & ((1 << MANTISSA_BITS) - 1));
    let implicit = i128::from(exponent > 0) << MANTISSA_BITS;
    let magnitude = mantissa | implicit;
    // A subnormal number has the exponent of the smallest normal one.
    let frac = 150 - exponent.max(1);
    (if value.is_sign_negative() { -magnitude } else { magnitude }, frac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_its_fraction() {
        let values = [0.0, 1.0, -1.5, 0.1, f32::MAX, f32::MIN_POSITIVE, 1e-45, -255.0 / 256.0];
        for value in values {
            let (raw, frac) = fraction(value);
            assert_eq!(raw as f64 * 2f64.powi(-frac), f64::from(value));
        }
    }
}
