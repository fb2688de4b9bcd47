//! Operations that take each word on its own: casts and activation functions, addition and
//! multiplication, concatenation, padding, flattening.
//!
//! Binary points of the operands of one operation lie at most [`LARGEST_SHIFT`] bits apart.

use crate::kernels::blocks::{self, BlockEpilogue, Source};
use crate::kernels::dot::{FAR, nearby, nearest};
use crate::kernels::narrow::magnitude;
use crate::kernels::output::PreparedEpilogue;
use crate::kernels::{Epilogue, LayerDraws, Site};
use crate::numeric::{Events, Format, Requantizer};
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
    let format = input.format();
    if let Some(prepared) = BlockEpilogue::new(epilogue, format.frac(), magnitude(format)) {
        let source = Sum { terms: &[(input, 0)] };
        return blocks::run(&source, epilogue, &prepared, output, events);
    }
    let prepared = prepare(epilogue, format);
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
    let terms: Vec<(&Words, u32)> =
        inputs.clone().map(|input| (input, (aligned - input.format().frac()) as u32)).collect();
    let reach = |&(input, shift): &(&Words, u32)| magnitude(input.format()) << shift;
    if let Some(prepared) = BlockEpilogue::new(epilogue, aligned, terms.iter().map(reach).sum()) {
        return blocks::run(&Sum { terms: &terms }, epilogue, &prepared, output, events);
    }
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

/// A sum of words of different scales.
#[derive(Clone, PartialEq, Debug)]
pub enum ScaledSum {
    /// `rint(a · rₐ + (b · r_b + c))` of the stored words a and b, where
    /// c = z − (zₐ · rₐ + z_b · r_b): ONNX Runtime's `QLinearAdd`, in float32. Products are fused
    /// with the sums that they are added to, but for that of z_b.
    Float32 {
        /// Scale of each input by that of the output.
        ratios: [f32; 2],
        /// Zero points of the inputs.
        zero_points: [i64; 2],
        /// That of the output.
        zero_point: i64,
    },
    /// Each word shifted left and requantized, the sum of them requantized again: TFLite's `ADD`.
    Shifted {
        /// Bits that each word is shifted to the left.
        left: u32,
        /// A requantizer for each input.
        inputs: Vec<Requantizer>,
        /// That of the sum.
        output: Requantizer,
    },
}

impl ScaledSum {
    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        match self {
            Self::Float32 { .. } => 2,
            Self::Shifted { inputs, .. } => inputs.len(),
        }
    }

    /// The sum of `terms`, before it saturates.
    fn of(&self, mut terms: impl Iterator<Item = i64>) -> i64 {
        match self {
            Self::Float32 { ratios, zero_points, zero_point } => {
                let stored = zero_points.map(|zero| (terms.next().unwrap_or(0) + zero) as f32);
                let sum = scaled(&stored, ratios, constant(ratios, zero_points, *zero_point));
                sum.round_ties_even() as i64 - zero_point
            }
            Self::Shifted { left, inputs, output } => {
                let requantized = |(term, requantizer): (i64, &Requantizer)| {
                    requantizer.apply(term << left, 0).raw as i64
                };
                let sum = terms.zip(inputs).map(requantized).sum();
                output.apply(sum, 0).raw as i64
            }
        }
    }
}

/// Adds inputs of one shape and different scales.
pub fn scaled_add<'a>(
    epilogue: &Epilogue,
    sum: &ScaledSum,
    inputs: impl Iterator<Item = &'a Words> + Clone,
    output: &mut Words,
    events: &mut Events,
) {
    let to = epilogue.cast.to().frac();
    let mut terms = inputs.clone();
    if let ScaledSum::Float32 { ratios, zero_points, zero_point } = *sum
        && let (Some(a), Some(b), None) = (terms.next(), terms.next(), terms.next())
        && let Some(prepared) = BlockEpilogue::new(epilogue, to, 2 * FAR as u128)
        && zero_point.abs() < i64::from(FAR / 2)
        && prepared.holds(FAR / 2)
        && [a, b].iter().all(|input| input.format().bits() <= Scaled::BITS)
    {
        let constant = constant(&ratios, &zero_points, zero_point);
        let zeros = zero_points.map(|zero| zero as i32);
        let largest =
            |words: &Words, zero: i64| magnitude(words.format()) as f64 + zero.abs() as f64;
        let reach = largest(a, zero_points[0]) * f64::from(ratios[0].abs())
            + largest(b, zero_points[1]) * f64::from(ratios[1].abs())
            + f64::from(constant.abs());
        let near = reach < f64::from(FAR / 2);
        let source =
            Scaled { terms: [a, b], ratios, zeros, constant, zero: zero_point as i32, near };
        return blocks::run(&source, epilogue, &prepared, output, events);
    }
    let prepared = PreparedEpilogue::new(epilogue, to, 1 << 40);
    with_words!(output.buffer_mut(), out => {
        for (element, slot) in out.iter_mut().enumerate() {
            let word = sum.of(inputs.clone().map(|input| input.get(element)));
            *slot = Word::from_raw(prepared.word(word, || 0, events));
        }
    });
}

/// The exact product of two maps of `channels` channels, cast once. A map of one pixel is taken
/// for every pixel.
pub fn mul(
    epilogue: &Epilogue,
    inputs: [&Words; 2],
    channels: usize,
    output: &mut Words,
    draws: LayerDraws,
    events: &mut Events,
) {
    let [a, b] = inputs;
    let frac = a.format().frac() + b.format().frac();
    let overflow = epilogue.cast.overflow();
    let pixels = output.len();
    let get = |words: &Words, element: usize| {
        i128::from(words.get(if words.len() == pixels { element } else { element % channels }))
    };
    with_words!(output.buffer_mut(), out => {
        for (element, slot) in out.iter_mut().enumerate() {
            let random = draws.draw(Site::Output, element, 0);
            let word = epilogue.apply(get(a, element) * get(b, element), frac, random);
            events.count(word, overflow);
            *slot = Word::from_raw(word.raw as i64);
        }
    });
}

/// The words of a map of `shape` inside zeros: top, left, bottom, right.
pub fn pad(shape: Shape, padding: [usize; 4], input: &Words, output: &mut Words) {
    let [top, left, _, right] = padding;
    let row = shape.width * shape.channels;
    let pitch = (left + shape.width + right) * shape.channels;
    with_words!(input.buffer(), words => with_words!(output.buffer_mut(), out => {
        out.fill(Word::from_raw(0));
        for (y, words) in words.chunks(row).enumerate() {
            let first = (top + y) * pitch + left * shape.channels;
            for (slot, word) in out[first..][..row].iter_mut().zip(words) {
                *slot = Word::from_raw(word.raw());
            }
        }
    }));
}

/// Concatenates maps of `pixels` pixels along their channels, each part mapped by its table, if it
/// has one, and cast.
pub fn concat<'a>(
    epilogue: &Epilogue,
    pixels: usize,
    inputs: impl Iterator<Item = (&'a Words, Option<&'a [i64]>)>,
    output: &mut Words,
    draws: LayerDraws,
    events: &mut Events,
) {
    let channels = output.len() / pixels;
    let mut first = 0;
    for (input, table) in inputs {
        let part = input.len() / pixels;
        let lowest = input.format().min() as i64;
        let from = if table.is_some() { epilogue.cast.to() } else { input.format() };
        let prepared = prepare(epilogue, from);
        with_words!(input.buffer(), words => with_words!(output.buffer_mut(), out => {
            for (pixel, words) in words.chunks_exact(part).enumerate() {
                let element = pixel * channels + first;
                for (index, (slot, word)) in out[element..].iter_mut().zip(words).enumerate() {
                    let random = || draws.draw(Site::Output, element + index, 0);
                    let raw = match table {
                        Some(table) => table[(word.raw() - lowest) as usize],
                        None => word.raw(),
                    };
                    *slot = Word::from_raw(prepared.word(raw, random, events));
                }
            }
        }));
        first += part;
    }
}

/// The words of a map of `shape` as a vector in the order channel, row, column.
pub fn flatten(shape: Shape, input: &Words, output: &mut Words) {
    with_words!(input.buffer(), words => with_words!(output.buffer_mut(), out => {
        for (channel, plane) in out.chunks_exact_mut(shape.pixels()).enumerate() {
            let words = words[channel..].iter().step_by(shape.channels);
            plane.iter_mut().zip(words).for_each(|(slot, word)| *slot = Word::from_raw(word.raw()));
        }
    }));
}

/// Words shifted to the left by so many bits, and added.
struct Sum<'a> {
    terms: &'a [(&'a Words, u32)],
}

impl Source for Sum<'_> {
    #[inline(always)]
    fn fill(&self, first: usize, block: &mut [i32]) {
        let Some((&(words, shift), others)) = self.terms.split_first() else {
            return block.fill(0);
        };
        blocks::load(words, first, block, |sum, word| *sum = word << (shift & 31));
        for &(words, shift) in others {
            blocks::load(words, first, block, |sum, word| *sum += word << (shift & 31));
        }
    }
}

/// [`ScaledSum::Float32`].
struct Scaled<'a> {
    terms: [&'a Words; 2],
    ratios: [f32; 2],
    zeros: [i32; 2],
    constant: f32,
    zero: i32,
    /// Whether the magnitudes of all sums are less than [`FAR`].
    near: bool,
}

impl Scaled<'_> {
    /// Words of inputs, at most: with a zero point they are exact in float32.
    const BITS: u32 = 17;
}

impl Source for Scaled<'_> {
    #[inline(always)]
    fn fill(&self, first: usize, block: &mut [i32]) {
        blocks::load(self.terms[0], first, block, |slot, word| *slot = word);
        let sum = |slot: i32, word: i32| {
            let stored = [(slot + self.zeros[0]) as f32, (word + self.zeros[1]) as f32];
            scaled(&stored, &self.ratios, self.constant)
        };
        if self.near {
            blocks::load(self.terms[1], first, block, |slot, word| {
                *slot = nearby(sum(*slot, word)) - self.zero;
            });
        } else {
            blocks::load(self.terms[1], first, block, |slot, word| {
                *slot = nearest(sum(*slot, word)) - self.zero;
            });
        }
    }
}

/// The constant of [`ScaledSum::Float32`].
fn constant(ratios: &[f32; 2], zero_points: &[i64; 2], zero_point: i64) -> f32 {
    let [a, b] = zero_points.map(|zero| zero as f32);
    zero_point as f32 - a.mul_add(ratios[0], b * ratios[1])
}

/// The sum of [`ScaledSum::Float32`], before it is rounded.
#[inline(always)]
fn scaled(stored: &[f32; 2], ratios: &[f32; 2], constant: f32) -> f32 {
    stored[0].mul_add(ratios[0], stored[1].mul_add(ratios[1], constant))
}

fn prepare(epilogue: &Epilogue, from: Format) -> PreparedEpilogue {
    PreparedEpilogue::new(epilogue, from.frac(), magnitude(from))
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
        concat(&e, 2, inputs.iter().map(|input| (input, None)), &mut out, DRAWS(), &mut events);
        assert_eq!(out.to_vec(), [1, 2, 5, 3, 4, 6]);
    }

    /// One channel of 1×2 inside a column on its left and a row below.
    #[test]
    fn padding_is_zero() {
        let mut out = words(8, 0, &[9; 6]);
        pad(Shape::new(1, 1, 2), [0, 1, 1, 0], &words(8, 0, &[5, -6]), &mut out);
        assert_eq!(out.to_vec(), [0, 5, -6, 0, 0, 0]);
    }

    /// Quarters times halves are eighths: 3/4 · 5/2 = 15/8, and in halves 3.75, up to 4. The
    /// second map has one pixel of two channels.
    #[test]
    fn a_product_is_cast_once() {
        let (e, mut events) = (epilogue(8, 1), Events::default());
        let mut out = zeros(&e, 4);
        let inputs = [&words(8, 2, &[3, 4, 0, -3]), &words(8, 1, &[5, 2])];
        mul(&e, inputs, 2, &mut out, DRAWS(), &mut events);
        assert_eq!(out.to_vec(), [4, 2, 0, -1]);
    }

    /// 3 · 0.5 + 5 · 0.25 = 2.75, and the tie 1 · 0.5 + 8 · 0.25 = 2.5 goes to the even 2.
    #[test]
    fn float32_sums_round_half_to_even() {
        let (e, mut events) = (epilogue(8, 0), Events::default());
        let mut out = zeros(&e, 2);
        let sum = ScaledSum::Float32 { ratios: [0.5, 0.25], zero_points: [0; 2], zero_point: 0 };
        let inputs = [words(8, 0, &[3, 1]), words(8, 0, &[5, 8])];
        scaled_add(&e, &sum, inputs.iter(), &mut out, &mut events);
        assert_eq!(out.to_vec(), [3, 2]);
    }

    /// Sums of ONNX Runtime 1.32's `QLinearAdd` (u8) that come out differently where the products are
    /// rounded or centred words multiplied: scale and zero point of a, b and y, then a, b and y.
    #[test]
    fn float32_sums_are_those_of_the_runtime() {
        let cases = [
            ([0.0825, 0.0827, 0.0564], [161, 73, 250], [67, 73, 113]),
            ([0.0709, 0.0155, 0.06], [231, 69, 92], [221, 167, 106]),
            ([0.0826, 0.0385, 0.0234], [71, 178, 148], [49, 155, 33]),
            ([0.0819, 0.0312, 0.0388], [114, 37, 204], [80, 102, 185]),
        ];
        for ([a, b, y], [za, zb, zero_point], [x0, x1, expected]) in cases {
            let ratios = [a / y, b / y];
            let sum = ScaledSum::Float32 { ratios, zero_points: [za, zb], zero_point };
            let clamp = Some((-zero_point, 255 - zero_point));
            let e = Epilogue { clamp, ..epilogue(9, 0) };
            let (mut out, mut events) = (zeros(&e, 1), Events::default());
            let inputs = [words(9, 0, &[x0 - za]), words(9, 0, &[x1 - zb])];
            scaled_add(&e, &sum, inputs.iter(), &mut out, &mut events);
            assert_eq!(out.get(0) + zero_point, expected);
            assert_eq!(sum.of([x0 - za, x1 - zb].into_iter()) + zero_point, expected);
        }
    }

    /// Two channels of a 1×3 map: channels-last 10 20 11 21 12 22.
    #[test]
    fn flatten_goes_channel_by_channel() {
        let mut out = zeros(&epilogue(8, 0), 6);
        let input = words(8, 0, &[10, 20, 11, 21, 12, 22]);
        flatten(Shape::new(2, 1, 3), &input, &mut out);
        assert_eq!(out.to_vec(), [10, 11, 12, 20, 21, 22]);
    }
}
