//! The network input's quantizer.

use crate::error::{Error, Result};
use crate::kernels::{LayerDraws, Site};
use crate::numeric::Events;
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
    if let Some(position) = values.iter().position(|value| !value.is_finite()) {
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
