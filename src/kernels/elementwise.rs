//! Operations that take each word on its own: casts and activation functions, addition,
//! concatenation, flattening.
//!
//! Binary points of the operands of one operation lie at most [`LARGEST_SHIFT`] bits apart.

use crate::kernels::output::PreparedEpilogue;
use crate::kernels::{Epilogue, LayerDraws, Site};
use crate::numeric::{Events, Format};
use crate::tensor::{Shape, Word, Words, with_words};

/// Most bits by which an operand may be shifted to a common binary point.
pub const LARGEST_SHIFT: i32 = 36;

/// Casts each word of `input`, number by number, then clamps it.
pub fn cast(
    epilogue: &Epilogue,
    site: Site,
    input: &Words,
    output: &mut Words,
    draws: LayerDraws,
    events: &mut Events,
) {
    let prepared = prepare(epilogue, input.format());
    with_words!(input.buffer(), words => with_words!(output.buffer_mut(), out => {
        for (element, (slot, word)) in out.iter_mut().zip(words).enumerate() {
            let random = || draws.draw(site, element, 0);
            *slot = Word::from_raw(prepared.word(word.raw(), random, events));
        }
    }));
}

/// Adds inputs of one shape: aligned exactly, cast once.
pub fn add<'a>(
    epilogue: &Epilogue,
    inputs: impl Iterator<Item = &'a Words> + Clone,
    output: &mut Words,
    draws: LayerDraws,
    events: &mut Events,
) {
    let aligned = inputs.clone().map(|input| input.format().frac()).max().unwrap_or(0);
    let overflow = epilogue.cast.overflow();
    with_words!(output.buffer_mut(), out => {
        for (element, slot) in out.iter_mut().enumerate() {
            let terms = inputs.clone().map(|input| {
                i128::from(input.get(element)) << (aligned - input.format().frac())
            });
            let random = draws.draw(Site::Output, element, 0);
            let word = epilogue.apply(terms.sum(), aligned, random);
            events.count(word, overflow);
            *slot = Word::from_raw(word.raw as i64);
        }
    });
}

/// Concatenates maps of `pixels` pixels along their channels, each part cast.
pub fn concat<'a>(
    epilogue: &Epilogue,
    pixels: usize,
    inputs: impl Iterator<Item = &'a Words>,
    output: &mut Words,
    draws: LayerDraws,
    events: &mut Events,
) {
    let channels = output.len() / pixels;
    let mut first = 0;
    for input in inputs {
        let part = input.len() / pixels;
        let prepared = prepare(epilogue, input.format());
        with_words!(input.buffer(), words => with_words!(output.buffer_mut(), out => {
            for (index, word) in words.iter().enumerate() {
                let element = index / part * channels + first + index % part;
                let random = || draws.draw(Site::Output, element, 0);
                out[element] = Word::from_raw(prepared.word(word.raw(), random, events));
            }
        }));
        first += part;
    }
}

/// The words of a map of `shape` as a vector in the order channel, row, column, each cast.
pub fn flatten(
    epilogue: &Epilogue,
    shape: Shape,
    input: &Words,
    output: &mut Words,
    draws: LayerDraws,
    events: &mut Events,
) {
    let prepared = prepare(epilogue, input.format());
    let pixels = shape.pixels();
    with_words!(input.buffer(), words => with_words!(output.buffer_mut(), out => {
        for (element, slot) in out.iter_mut().enumerate() {
            let word = words[element % pixels * shape.channels + element / pixels];
            let random = || draws.draw(Site::Output, element, 0);
            *slot = Word::from_raw(prepared.word(word.raw(), random, events));
        }
    }));
}

fn prepare(epilogue: &Epilogue, from: Format) -> PreparedEpilogue {
    PreparedEpilogue::new(epilogue, from.frac(), super::narrow::magnitude(from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::s;
    use crate::numeric::{Cast, Overflow, Rounding};

    fn epilogue(bits: u32, frac: i32) -> Epilogue {
        let cast = Cast::new(s(bits, frac), Rounding::HalfUp, Overflow::Saturate);
        Epilogue::cast(cast.expect("a cast"))
    }

    fn words(bits: u32, frac: i32, raw: &[i64]) -> Words {
        Words::from_raw(s(bits, frac), raw.iter().copied())
    }

    fn zeros(epilogue: &Epilogue, len: usize) -> Words {
        Words::zeros(epilogue.cast.to(), len)
    }

    const DRAWS: fn() -> LayerDraws = || LayerDraws::new(1, 2, 3);

    /// In units of 1/4: 5 → 1.25 → 1, 6 → 1.5 → 2, 1 → 0.25 → 0, 127 → 31.75 → 7 (4 bits).
    #[test]
    fn a_cast_counts_its_events() {
        let (e, mut events) = (epilogue(4, 0), Events::default());
        let mut out = zeros(&e, 4);
        let input = words(8, 2, &[5, 6, 1, 127]);
        cast(&e, Site::Output, &input, &mut out, DRAWS(), &mut events);
        assert_eq!(out.to_vec(), [1, 2, 0, 7]);
        assert_eq!(events, Events { wrapped: 0, saturated: 1, underflowed: 1 });
    }

    /// 3/4 + 3/2 = 9/4, at one fractional bit 4.5 halves, up to 5; cast before the sum: 2 + 3 = 5,
    /// but 1/4 + 1/4 = 1/2 is one half, where two casts of 1/4 would give two.
    #[test]
    fn a_sum_is_cast_once() {
        let (e, mut events) = (epilogue(8, 1), Events::default());
        let mut out = zeros(&e, 2);
        let inputs = [words(8, 2, &[3, 1]), words(8, 1, &[3, 0]), words(8, 2, &[0, 1])];
        add(&e, inputs.iter(), &mut out, DRAWS(), &mut events);
        assert_eq!(out.to_vec(), [5, 1]);
    }

    #[test]
    fn concat_interleaves_channels() {
        let (e, mut events) = (epilogue(8, 0), Events::default());
        let mut out = zeros(&e, 6);
        let inputs = [words(8, 0, &[1, 2, 3, 4]), words(8, 1, &[10, 12])];
        concat(&e, 2, inputs.iter(), &mut out, DRAWS(), &mut events);
        assert_eq!(out.to_vec(), [1, 2, 5, 3, 4, 6]);
    }

    /// Two channels of a 1×3 map: channels-last 10 20 11 21 12 22.
    #[test]
    fn flatten_goes_channel_by_channel() {
        let (e, mut events) = (epilogue(8, 0), Events::default());
        let mut out = zeros(&e, 6);
        let input = words(8, 0, &[10, 20, 11, 21, 12, 22]);
        flatten(&e, Shape::new(2, 1, 3), &input, &mut out, DRAWS(), &mut events);
        assert_eq!(out.to_vec(), [10, 11, 12, 20, 21, 22]);
    }
}
