//! Pooling over windows of a channels-last map.

use crate::kernels::{LayerDraws, Epilogue, Site};
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
    /// From the maximum or the exact quotient to the output word.
    pub epilogue: Epilogue,
}

impl Pool {
    /// Maximum of the positions inside the map; 0 if there is none.
    pub fn maximum(&self, input: &Words, output: &mut Words, draws: LayerDraws, events: &mut Events) {
        let frac = input.format().frac();
        self.windows(input, output, events, |element, inside| {
            let largest = inside.max().unwrap_or(0);
            self.epilogue.apply(largest.into(), frac, draws.draw(Site::Output, element, 0))
        });
    }

    /// Average of the positions inside the map: the exact quotient, cast once; 0 if there is none.
    pub fn average(&self, input: &Words, output: &mut Words, draws: LayerDraws, events: &mut Events) {
        let frac = input.format().frac();
        self.windows(input, output, events, |element, inside| {
            let (sum, positions) = inside.fold((0, 0), |(s, n), word| (s + i128::from(word), n + 1));
            let random = draws.draw(Site::Output, element, 0);
            quotient(&self.epilogue, sum, positions.max(1), frac, random)
        });
    }

    /// Calls `reduce` with the element number and the words under the window of every output word.
    fn windows(
        &self,
        input: &Words,
        output: &mut Words,
        events: &mut Events,
        reduce: impl Fn(usize, &mut dyn Iterator<Item = i64>) -> CastWord,
    ) {
        let channels = self.input.channels;
        let overflow = self.epilogue.cast.overflow();
        with_words!(input.buffer(), words => with_words!(output.buffer_mut(), out => {
            for (element, slot) in out.iter_mut().enumerate() {
                let (pixel, channel) = (element / channels, element % channels);
                let (row, column) = (pixel / self.output.width, pixel % self.output.width);
                let rows = self.along(0, row, self.input.height);
                let mut inside = rows.flat_map(|y| {
                    let columns = self.along(1, column, self.input.width);
                    columns.map(move |x| words[(y * self.input.width + x) * channels + channel].raw())
                });
                let word = reduce(element, &mut inside);
                events.count(word, overflow);
                *slot = Word::from_raw(word.raw as i64);
            }
        }));
    }

    /// Input positions along `axis` under the window at output position `at`.
    fn along(&self, axis: usize, at: usize, size: usize) -> impl Iterator<Item = usize> + use<> {
        let Window { kernel, stride, padding, dilation } = self.window;
        let (first, step) = (at * stride[axis], dilation[axis]);
        let padding = padding[axis];
        (0..kernel[axis])
            .filter_map(move |tap| (first + tap * step).checked_sub(padding))
            .filter(move |&position| position < size)
    }
}

/// The output word of `sum / divisor · 2^−frac`, an exact quotient that is rounded once.
pub(crate) fn quotient(
    epilogue: &Epilogue,
    sum: i128,
    divisor: i128,
    frac: i32,
    random: u64,
) -> CastWord {
    if divisor & (divisor - 1) == 0 {
        return epilogue.apply(sum, frac + divisor.trailing_zeros() as i32, random);
    }
    if sum < 0 && epilogue.rectifies() {
        return epilogue.apply(sum, frac, random);
    }
    let to = epilogue.cast.to().frac();
    let (up, down) = ((to - frac).max(0) as u32, (frac - to).max(0) as u32);
    let scaled = sum.checked_shl(up).filter(|s| s >> up == sum);
    let divisor = divisor.checked_shl(down).filter(|d| *d > 0 && *d < 1 << 62);
    let (Some(scaled), Some(divisor)) = (scaled, divisor) else {
        return epilogue.apply(sum.div_euclid(divisor.unwrap_or(i128::MAX)), frac, random);
    };
    let rounded = round_quotient(scaled, divisor, epilogue.cast.rounding(), random);
    let word = epilogue.apply(rounded, to, random);
    CastWord { underflowed: sum != 0 && rounded == 0, ..word }
}

/// `dividend / divisor` rounded to an integer; `divisor` is positive and less than 2^62.
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
            let fraction = ((rest << 64) / divisor) as u64;
            fraction.checked_add(random).is_none()
        }
    };
    floor + i128::from(up)
}
