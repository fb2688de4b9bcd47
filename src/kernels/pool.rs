//! Pooling over windows of a channels-last map of words of at most 32 bits.

mod maximum;

use maximum::Maximum;

use crate::kernels::dot::InstructionSet;
use crate::kernels::narrow::magnitude;
use crate::kernels::output::PreparedEpilogue;
use crate::kernels::{Epilogue, LayerDraws, Site, elementwise};
use crate::numeric::{CastWord, Events, Rounding};
use crate::tensor::{Shape, Window, Word, Words, with_words};

/// A pooling layer.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// Input feature map.
    pub input: Shape,
    /// Output feature map.
    pub output: Shape,
    /// Kernel, stride, padding.
    pub window: Window,
    /// From the maximum, the exact quotient or the sum to the output word.
    pub epilogue: Epilogue,
}

/// What becomes of the sum under a window.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Average {
    /// Divided by the positions inside the map: the exact quotient, cast once.
    Inside,
    /// Divided by all positions of the window.
    Padded,
    /// Divided by the positions inside the map after adding the zero point to every word, and the
    /// zero point subtracted from the rounded quotient: an average of stored words.
    Stored {
        /// Zero point.
        zero_point: i64,
    },
    /// Not divided: the epilogue scales it.
    Sum,
    /// As ONNX Runtime has it, in float32: the sum of `input scale · word`, divided by the number of
    /// positions, then `rint(mean / output scale + zero point)`.
    Float32 {
        /// Scale of the incoming words.
        input_scale: f32,
        /// Scale of the outgoing words.
        output_scale: f32,
        /// Zero point of the outgoing words; 0 where it is added to the rounded quotient.
        zero_point: i64,
        /// How the sum is rounded.
        order: SumOrder,
        /// Whether padding counts.
        padded: bool,
    },
}

/// The order in which float32 values under a window are added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SumOrder {
    /// Row by row.
    Rows,
    /// Each column by itself, then the columns.
    Columns,
    /// Row by row, every fourth value by itself; the sums 0 and 2 are added, 1 and 3, and these, and
    /// then the values that are left over.
    Quarters,
}

impl SumOrder {
    fn sum(
        self,
        rows: impl Iterator<Item = usize> + Clone,
        columns: impl Iterator<Item = usize> + Clone,
        value: impl Fn(usize, usize) -> f32,
    ) -> f32 {
        let add = |sum: f32, value: f32| sum + value;
        let (value, count) = (&value, rows.clone().count() * columns.clone().count());
        let of_row = |y| columns.clone().map(move |x| value(y, x));
        match self {
            Self::Rows => rows.flat_map(of_row).fold(0.0, add),
            Self::Columns => {
                let column = |x| rows.clone().map(|y| value(y, x)).fold(0.0, add);
                columns.clone().map(column).fold(0.0, add)
            }
            Self::Quarters => {
                let (mut values, mut sums) = (rows.flat_map(of_row), [0.0; 4]);
                for _ in 0..count / sums.len() {
                    let four = sums.iter_mut().zip(values.by_ref());
                    four.for_each(|(sum, value)| *sum += value);
                }
                values.fold((sums[0] + sums[2]) + (sums[1] + sums[3]), add)
            }
        }
    }
}

/// What the pooling functions fill, beside memory to work in that is kept from image to image.
#[derive(Debug)]
pub struct Sink<'a> {
    /// Output words.
    pub words: &'a mut Words,
    /// What happened to them.
    pub events: &'a mut Events,
    /// Memory to work in.
    pub scratch: &'a mut PoolScratch,
}

/// Memory that a pooling layer works in.
#[derive(Clone, Default, Debug)]
pub struct PoolScratch {
    /// What is under a window, by channel.
    folded: Vec<i64>,
    /// The maxima of a row's windows at every column.
    windows: Option<Words>,
    /// All maxima, where the epilogue changes them.
    maxima: Option<Words>,
}

impl Pool {
    /// Maximum of the positions inside the map; 0 if there is none.
    pub fn maximum(&self, input: &Words, draws: LayerDraws, sink: Sink<'_>) {
        let Sink { words, events, scratch } = sink;
        let format = input.format();
        if self.all_windows_are_inside() {
            let of_row = || Words::zeros(format, Maximum::windows(self));
            let windows = scratch.windows.get_or_insert_with(of_row);
            if self.epilogue.keeps(format) {
                let work = Maximum { pool: self, input, windows, output: words };
                return InstructionSet::best().run(work);
            }
            let all = || Words::zeros(format, self.output.len());
            let maxima = scratch.maxima.get_or_insert_with(all);
            let work = Maximum { pool: self, input, windows, output: &mut *maxima };
            InstructionSet::best().run(work);
            return elementwise::cast(&self.epilogue, Site::Output, maxima, words, draws, events);
        }
        let prepared = PreparedEpilogue::new(&self.epilogue, format.frac(), magnitude(format));
        let max = |largest: i64, word: i64| largest.max(word);
        self.reduce(input, words, scratch, i64::MIN, max, |element, largest, positions| {
            let largest = if positions == 0 { 0 } else { largest };
            prepared.word(largest, || draws.draw(Site::Output, element, 0), events)
        });
    }

    /// The sum of the positions inside the map, made an average by `kind`.
    pub fn average(&self, kind: Average, input: &Words, draws: LayerDraws, sink: Sink<'_>) {
        let Sink { words, events, scratch } = sink;
        let frac = input.format().frac();
        let overflow = self.epilogue.cast.overflow();
        if let Average::Float32 { input_scale, output_scale, zero_point, order, padded } = kind {
            let value = |at: usize| input_scale * input.get(at) as f32;
            return self.sums(order, words, value, |element, sum, positions| {
                let positions = if padded { self.window.taps() } else { positions.max(1) };
                let mean = sum / positions as f32;
                let stored = (mean / output_scale + zero_point as f32).round_ties_even();
                let (to, word) = (self.epilogue.cast.to().frac(), stored as i64 - zero_point);
                let word =
                    self.epilogue.apply(word.into(), to, draws.draw(Site::Output, element, 0));
                events.count(word, overflow);
                word.raw as i64
            });
        }
        let add = |sum: i64, word: i64| sum + word;
        self.reduce(input, words, scratch, 0, add, |element, sum, positions| {
            let random = draws.draw(Site::Output, element, 0);
            let (inside, taps) = (positions.max(1) as i128, self.window.taps() as i128);
            let sum = i128::from(sum);
            let epilogue = &self.epilogue;
            let word = match kind {
                Average::Inside => quotient(epilogue, sum, inside, frac, random),
                Average::Padded => quotient(epilogue, sum, taps, frac, random),
                Average::Stored { zero_point } => {
                    let zero_point = i128::from(zero_point);
                    let stored = sum + zero_point * inside;
                    let rounding = epilogue.cast.rounding();
                    let word = round_quotient(stored, inside, rounding, random) - zero_point;
                    epilogue.apply(word, frac, random)
                }
                Average::Sum | Average::Float32 { .. } => epilogue.apply(sum, frac, random),
            };
            events.count(word, overflow);
            word.raw as i64
        });
    }

    /// Folds the words under the window of every output word, a pixel's channels together;
    /// `finish` takes the element number, the result and the number of positions inside the map.
    fn reduce(
        &self,
        input: &Words,
        output: &mut Words,
        scratch: &mut PoolScratch,
        start: i64,
        fold: impl Fn(i64, i64) -> i64,
        mut finish: impl FnMut(usize, i64, usize) -> i64,
    ) {
        let channels = self.input.channels;
        let scratch = &mut scratch.folded;
        scratch.resize(channels, start);
        for pixel in 0..self.output.pixels() {
            let (row, column) = (pixel / self.output.width, pixel % self.output.width);
            let mut positions = 0;
            scratch.fill(start);
            for y in self.along(0, row, self.input.height) {
                for x in self.along(1, column, self.input.width) {
                    positions += 1;
                    let first = (y * self.input.width + x) * channels;
                    with_words!(input.buffer(), words => {
                        for (folded, word) in scratch.iter_mut().zip(&words[first..]) {
                            *folded = fold(*folded, word.raw());
                        }
                    });
                }
            }
            let first = pixel * channels;
            with_words!(output.buffer_mut(), out => {
                for (c, (slot, &folded)) in out[first..].iter_mut().zip(&*scratch).enumerate() {
                    *slot = Word::from_raw(finish(first + c, folded, positions));
                }
            });
        }
    }

    /// Sums float32 values under the window of every output word; `value` is that of an element of the
    /// input, `finish` as for [`Self::reduce`].
    fn sums(
        &self,
        order: SumOrder,
        output: &mut Words,
        value: impl Fn(usize) -> f32,
        mut finish: impl FnMut(usize, f32, usize) -> i64,
    ) {
        let Shape { channels, height, width } = self.input;
        for pixel in 0..self.output.pixels() {
            let (row, column) = (pixel / self.output.width, pixel % self.output.width);
            let rows = self.along(0, row, height);
            let columns = self.along(1, column, width);
            let positions = rows.clone().count() * columns.clone().count();
            for channel in 0..channels {
                let at = |y: usize, x: usize| value((y * width + x) * channels + channel);
                let sum = order.sum(rows.clone(), columns.clone(), at);
                let element = pixel * channels + channel;
                let word = finish(element, sum, positions);
                with_words!(output.buffer_mut(), out => out[element] = Word::from_raw(word));
            }
        }
    }

    /// Whether every window has neighbours side by side of which one is inside the map.
    fn all_windows_are_inside(&self) -> bool {
        let Window { kernel, padding: [top, left, bottom, right], dilation, .. } = self.window;
        dilation == [1; 2] && top.max(bottom) < kernel[0] && left.max(right) < kernel[1]
    }

    /// Input positions along `axis` under the window at output position `at`.
    fn along(
        &self,
        axis: usize,
        at: usize,
        size: usize,
    ) -> impl Iterator<Item = usize> + Clone + use<> {
        let Window { kernel, stride, padding, dilation } = self.window;
        let (first, step) = (at * stride[axis], dilation[axis]);
        let padding = padding[axis];
        (0..kernel[axis])
            .filter_map(move |tap| (first + tap * step).checked_sub(padding))
            .filter(move |&position| position < size)
    }
}

/// The output word of `sum / divisor · 2^−frac`, an exact quotient that is rounded once. `sum` and
/// `divisor` have at most 62 bits, the output's binary point is at most
/// [`LARGEST_SHIFT`](super::elementwise::LARGEST_SHIFT) bits away.
fn quotient(epilogue: &Epilogue, sum: i128, divisor: i128, frac: i32, random: u64) -> CastWord {
    if divisor.count_ones() == 1 || (sum < 0 && epilogue.rectifies()) {
        return epilogue.apply(sum, frac + divisor.trailing_zeros() as i32, random);
    }
    let to = epilogue.cast.to().frac();
    let (up, down) = ((to - frac).max(0), (frac - to).max(0));
    let rounded = round_quotient(sum << up, divisor << down, epilogue.cast.rounding(), random);
    let word = epilogue.apply(rounded, to, random);
    CastWord { underflowed: sum != 0 && rounded == 0, ..word }
}

/// `dividend / divisor` rounded to an integer; `divisor` is positive.
fn round_quotient(dividend: i128, divisor: i128, rounding: Rounding, random: u64) -> i128 {
    let floor = dividend.div_euclid(divisor);
    let rest = dividend.rem_euclid(divisor);
    let negative = dividend < 0;
    let half = (2 * rest).cmp(&divisor);
    let up = match rounding {
        Rounding::Floor => false,
        Rounding::TowardZero => negative && rest > 0,
        Rounding::HalfUp => half.is_ge(),
        Rounding::HalfTowardZero => half.is_gt() || (half.is_eq() && negative),
        Rounding::HalfAway => half.is_gt() || (half.is_eq() && !negative),
        Rounding::HalfDown => half.is_gt(),
        Rounding::HalfEven => half.is_gt() || (half.is_eq() && floor & 1 == 1),
        Rounding::Stochastic => {
            // The first 64 bits of the fraction, in two steps that stay within 128.
            let (high, rest) = ((rest << 32) / divisor, (rest << 32) % divisor);
            let fraction = ((high << 32) | ((rest << 32) / divisor)) as u64;
            fraction.checked_add(random).is_none()
        }
    };
    floor + i128::from(up)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::testing::s;
    use crate::numeric::{Cast, Draws, Format, Overflow};

    fn pool(input: Shape, window: Window, cast: Cast) -> Pool {
        let [height, width] = window.output(input).expect("a window that fits");
        let output = Shape::new(input.channels, height, width);
        Pool { input, output, window, epilogue: Epilogue::cast(cast) }
    }

    fn run(pool: &Pool, average: bool, raw: &[i64]) -> (Vec<i64>, Events) {
        let input = Words::from_raw(s(8, 0), raw.iter().copied());
        let mut words = Words::zeros(pool.epilogue.cast.to(), pool.output.len());
        let mut events = Events::default();
        let draws = LayerDraws::new(1, 2, 3);
        let scratch = &mut PoolScratch::default();
        let sink = Sink { words: &mut words, events: &mut events, scratch };
        if average {
            pool.average(Average::Inside, &input, draws, sink);
        } else {
            pool.maximum(&input, draws, sink);
        }
        (words.to_vec(), events)
    }

    fn cast(bits: u32, frac: i32, rounding: Rounding) -> Cast {
        Cast::new(s(bits, frac), rounding, Overflow::Saturate).expect("a cast")
    }

    const TWO: Window =
        Window { kernel: [2, 2], stride: [2, 2], padding: [0; 4], dilation: [1, 1] };

    /// Two channels of a 2×2 map.
    #[test]
    fn a_maximum_by_channel() {
        let pool = pool(Shape::new(2, 2, 2), TWO, cast(8, 0, Rounding::Floor));
        assert_eq!(run(&pool, false, &[1, -1, -2, -3, 4, -8, 0, -7]).0, [4, -1]);
    }

    proptest! {
        /// By the definition, of words of any storage, cast to themselves or to less.
        #[test]
        fn maxima_are_the_largest_under_the_windows(
            [channels, height, width] in [1usize..40, 1usize..7, 1usize..7],
            kernel in [1usize..4, 1usize..4],
            stride in [1usize..4, 1usize..4],
            padding in [0usize..3, 0usize..3, 0usize..3, 0usize..3],
            (signed, bits, narrower) in (any::<bool>(), 2u32..=32, any::<bool>()),
            seed: u64,
        ) {
            let [down, along] = kernel;
            let bounds = [down, along, down, along];
            let padding = std::array::from_fn(|side| padding[side].min(bounds[side] - 1));
            let window = Window { kernel, stride, padding, dilation: [1; 2] };
            let shape = Shape::new(channels, height, width);
            let Some([rows, columns]) = window.output(shape) else { return Ok(()) };
            let format = Format::new(signed, bits, 0).expect("a format");
            let to = Format::new(signed, bits - u32::from(narrower), 0).expect("a format");
            let epilogue = Epilogue::cast(
                Cast::new(to, Rounding::Floor, Overflow::Saturate).expect("a cast"),
            );
            let output = Shape::new(channels, rows, columns);
            let pool = Pool { input: shape, output, window, epilogue };
            let draws = Draws::new(seed, 0);
            let low = if signed { 64 - bits } else { 0 };
            let word = |at: usize| match draws.at(at as u64) {
                draw if signed => (draw as i64) >> low,
                draw => (draw >> (64 - bits)) as i64,
            };
            let input = Words::from_raw(format, (0..shape.len()).map(word));
            let mut words = Words::zeros(to, output.len());
            let (mut events, scratch) = (Events::default(), &mut PoolScratch::default());
            for _ in 0..2 {
                events = Events::default();
                let sink = Sink { words: &mut words, events: &mut events, scratch };
                pool.maximum(&input, LayerDraws::new(0, 0, 0), sink);
            }
            let mut overflows = 0;
            for (at, &found) in words.to_vec().iter().enumerate() {
                let (pixel, channel) = (at / channels, at % channels);
                let (y, x) = (pixel / columns, pixel % columns);
                let inside = |from: usize, tap: usize, before: usize, size: usize| {
                    (from + tap).checked_sub(before).filter(|&position| position < size)
                };
                let under = (0..down * along).filter_map(|tap| {
                    let row = inside(y * stride[0], tap / along, padding[0], height)?;
                    let column = inside(x * stride[1], tap % along, padding[1], width)?;
                    Some(word((row * width + column) * channels + channel))
                });
                let largest = under.max().expect("less padding than a window has");
                let held = largest.clamp(to.min() as i64, to.max() as i64);
                overflows += u64::from(held != largest);
                prop_assert_eq!(found, held, "word {}", at);
            }
            prop_assert_eq!(events.saturated, overflows);
        }
    }

    #[test]
    fn padding_never_wins_and_does_not_count() {
        let window = Window { padding: [1, 1, 1, 1], ..TWO };
        let pool = pool(Shape::new(1, 2, 2), window, cast(8, 0, Rounding::Floor));
        assert_eq!(run(&pool, false, &[-1, -2, -3, -4]).0, [-1, -2, -3, -4]);
        assert_eq!(run(&pool, true, &[-1, -2, -3, -4]).0, [-1, -2, -3, -4]);
    }

    /// Three of four positions inside: −1 − 2 − 4 = −7, a third of which is −2.33; by roundings
    /// floor −3 and half up −2. Two thirds of the way down, 1 + 0 + 0 underflows when rounded.
    #[test]
    fn an_average_rounds_the_exact_quotient() {
        let window = Window { kernel: [1, 3], stride: [1, 1], ..TWO };
        let shape = Shape::new(1, 1, 3);
        let of = |rounding, raw: &[i64]| run(&pool(shape, window, cast(8, 0, rounding)), true, raw);
        assert_eq!(of(Rounding::Floor, &[-1, -2, -4]).0, [-3]);
        assert_eq!(of(Rounding::HalfUp, &[-1, -2, -4]).0, [-2]);
        let (word, events) = of(Rounding::HalfUp, &[1, 0, 0]);
        assert_eq!((word, events.underflowed), (vec![0], 1));
        let fine = pool(shape, window, cast(8, 2, Rounding::HalfEven));
        assert_eq!(run(&fine, true, &[1, 0, 0]).0, [1], "4/3 quarters");
    }

    /// 2^24 + 1 is 2^24 in float32. By rows (2^24 + 1) − 2^24 + 1 = 1; by columns
    /// (2^24 − 2^24) + (1 + 1) = 2; in quarters of one row of these four, and a fifth of 3,
    /// (2^24 − 2^24) + (1 + 1) + 3 = 5, by rows 4.
    #[test]
    fn float_sums_keep_their_order() {
        let large = 1 << 24;
        let square = [[large, 1], [-large, 1]];
        let of = |order: SumOrder| order.sum(0..2, 0..2, |y, x| square[y][x] as f32);
        assert_eq!([SumOrder::Rows, SumOrder::Columns].map(of), [1.0, 2.0]);
        let row = [large, 1, -large, 1, 3];
        let of = |order: SumOrder| order.sum(0..1, 0..5, |_, x| row[x] as f32);
        assert_eq!([SumOrder::Rows, SumOrder::Quarters].map(of), [4.0, 5.0]);
    }

    /// n/6 for all n in −60..=60, against the definition of each rounding in integers: the
    /// candidates are the floor and the one above it, the distance to each is compared in sixths.
    #[test]
    fn quotients_round_as_defined() {
        for n in -60_i128..=60 {
            let floor = (n - n.rem_euclid(6)) / 6;
            let sixths = n.rem_euclid(6);
            for &rounding in Rounding::ALL {
                let up = match (rounding, sixths) {
                    (_, 0) | (Rounding::Floor, _) => false,
                    (Rounding::TowardZero, _) => n < 0,
                    (Rounding::Stochastic, _) => true,
                    (_, 1 | 2) => false,
                    (_, 4 | 5) => true,
                    (Rounding::HalfUp, _) => true,
                    (Rounding::HalfDown, _) => false,
                    (Rounding::HalfTowardZero, _) => n < 0,
                    (Rounding::HalfAway, _) => n > 0,
                    (Rounding::HalfEven, _) => floor % 2 != 0,
                };
                let expected = floor + i128::from(up);
                assert_eq!(round_quotient(n, 6, rounding, u64::MAX), expected, "{n} {rounding}");
            }
        }
        assert_eq!(round_quotient(5, 6, Rounding::Stochastic, 0), 0);
    }
}
