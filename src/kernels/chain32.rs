//! The loop in accumulation order on 32-bit lanes, where they hold all that happens in it and the
//! casts saturate. Elsewhere it runs on lanes of 64 bits ([`crate::kernels::lanes`]).

#![allow(clippy::needless_range_loop, reason = "plain loops are inlined for any instruction set")]

use crate::kernels::dot::Element;
use crate::kernels::lanes::Bias;
use crate::kernels::narrow::magnitude;
use crate::kernels::output::LaneSums;
use crate::kernels::requantize::{Shift, narrow, range};
use crate::numeric::Cast;

/// The casts along the loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain32 {
    /// Of each product, if it may lose bits.
    product: Option<Cast32>,
    /// From the aligned sum to the accumulator.
    accumulator: Cast32,
    /// Products of a step.
    products: usize,
    /// Steps whose terms 32 bits can sum up.
    steps: usize,
    term_shift: u32,
    grid_shift: u32,
}

/// What a chain is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    /// Cast of a product and the fractional bits of an exact one, if the cast may lose bits.
    pub product: Option<(Cast, i32)>,
    /// Cast into the accumulator.
    pub accumulator: Cast,
    /// Fractional bits of the aligned sum.
    pub aligned: i32,
    /// Largest magnitude of an exact product, and of a term before it is aligned.
    pub largest: [u128; 2],
    /// Products of a step.
    pub products: usize,
    /// Shift of a term to the aligned sum.
    pub term_shift: u32,
    /// Shift of an accumulator to the aligned sum.
    pub grid_shift: u32,
}

/// A saturating cast.
#[derive(Clone, Copy, Debug)]
struct Cast32 {
    shift: Shift<i32>,
    low: i32,
    high: i32,
}

impl Cast32 {
    fn new(cast: Cast, frac: i32, largest: u128) -> Option<Self> {
        let shift = Shift::<i32>::new(cast, frac, largest).filter(|_| cast.to().bits() <= 31)?;
        let [low, high] = range(cast).map(narrow);
        Some(Self { shift, low, high })
    }

    /// The word, and whether it overflowed (nonzero bits) and underflowed (1).
    #[inline(always)]
    fn apply(&self, value: i32) -> [i32; 3] {
        let rounded = self.shift.round(value);
        let word = rounded.max(self.low).min(self.high);
        [word, word ^ rounded, i32::from(value != 0) & i32::from(rounded == 0)]
    }
}

impl Chain32 {
    /// `None` if 32 bits do not hold what happens, or a cast does not saturate.
    pub fn new(links: &Links) -> Option<Self> {
        let [product, term] = links.largest;
        if product > 1 << 30 {
            return None;
        }
        let shifted = |value: u128, by: u32| value.checked_mul(1u128.checked_shl(by)?);
        let step = shifted(term, links.term_shift)?.checked_mul(links.products as u128)?;
        let word = shifted(magnitude(links.accumulator.to()), links.grid_shift)?;
        let largest = word.checked_add(step)?;
        Some(Self {
            product: match links.product {
                Some((cast, frac)) => Some(Cast32::new(cast, frac, product)?),
                None => None,
            },
            accumulator: Cast32::new(links.accumulator, links.aligned, largest)?,
            products: links.products,
            steps: (i32::MAX as u128 / step.max(1)).min(1 << 20) as usize,
            term_shift: links.term_shift,
            grid_shift: links.grid_shift,
        })
    }

    /// Over `operands` and the weights `[step][lane]`.
    #[inline(always)]
    pub fn run<E: Element, const N: usize>(
        &self,
        operands: &[E],
        weights: &[E],
        bias: &Bias,
        block: usize,
    ) -> LaneSums<N> {
        match (&self.product, self.accumulator.shift.is_identity()) {
            // A cast product has no more fractional bits than the accumulator.
            (Some(product), _) => {
                self.steps::<E, N, true, false>(product, operands, weights, bias, block)
            }
            (None, true) => {
                self.steps::<E, N, false, false>(&self.accumulator, operands, weights, bias, block)
            }
            (None, false) => {
                self.steps::<E, N, false, true>(&self.accumulator, operands, weights, bias, block)
            }
        }
    }

    /// `CASTS` products with `product`, and `ROUNDS` sums, or else no sum loses bits.
    #[inline(always)]
    fn steps<E: Element, const N: usize, const CASTS: bool, const ROUNDS: bool>(
        &self,
        product: &Cast32,
        operands: &[E],
        weights: &[E],
        bias: &Bias,
        block: usize,
    ) -> LaneSums<N> {
        let Self { accumulator, term_shift, grid_shift, .. } = *self;
        let mut result = LaneSums::new(&bias.under[block * N..][..N]);
        let (mut raw, mut over, mut under) = ([0; N], [0; N], [0; N]);
        let (mut product_over, mut product_under) = ([0; N], [0; N]);
        for n in 0..N {
            raw[n] = bias.word[block * N + n] as i32;
            result.total[n] = bias.exact[block * N + n] << grid_shift;
        }
        let weights = &weights.as_chunks::<N>().0[..operands.len()];
        let mut next = 0;
        while next < operands.len() {
            let last = operands.len().min(next + self.steps * self.products);
            let mut exact = [0; N];
            while next < last {
                let end = last.min(next + self.products);
                let mut term = [0; N];
                while next < end {
                    let (x, w) = (operands[next].raw() as i32, &weights[next]);
                    for n in 0..N {
                        let exact = x * w[n].raw() as i32;
                        if CASTS {
                            let [word, o, u] = product.apply(exact);
                            term[n] += word;
                            product_over[n] |= o;
                            product_under[n] |= u;
                        } else {
                            term[n] += exact;
                        }
                    }
                    next += 1;
                }
                for n in 0..N {
                    let term = term[n] << (term_shift & 31);
                    exact[n] += term;
                    let sum = (raw[n] << (grid_shift & 31)) + term;
                    if ROUNDS {
                        let [word, o, u] = accumulator.apply(sum);
                        raw[n] = word;
                        over[n] |= o;
                        under[n] |= u;
                    } else {
                        raw[n] = sum.max(accumulator.low).min(accumulator.high);
                        over[n] |= raw[n] ^ sum;
                    }
                }
            }
            for n in 0..N {
                result.total[n] += i64::from(exact[n]);
            }
        }
        for n in 0..N {
            result.raw[n] = raw[n].into();
            result.total[n] >>= grid_shift;
            result.over[n] = bias.over[block * N + n] | i64::from(over[n] != 0);
            result.under[n] |= i64::from(under[n]);
            result.product_over[n] = i64::from(product_over[n] != 0);
            result.product_under[n] = product_under[n].into();
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::s;
    use crate::numeric::{Overflow, Rounding};

    /// Products s16 · s16 reach 2^30 and the accumulator's word 2^(bits − 1); terms of a product
    /// that is cast to s24 reach 2^23, uncast ones 2^30. Sums of more than 2^30 do not fit.
    #[test]
    fn what_fits_32_bits_takes_32_bits() {
        let fits = |cast: bool, bits: u32, overflow: Overflow| {
            let to = |bits, frac| Cast::new(s(bits, frac), Rounding::HalfUp, overflow);
            let product = cast.then(|| (to(24, 12).expect("a cast"), 20));
            let links = Links {
                product,
                accumulator: to(bits, 12).expect("a cast"),
                aligned: 12,
                largest: [1 << 30, if cast { 1 << 23 } else { 1 << 30 }],
                products: 1,
                term_shift: 0,
                grid_shift: 0,
            };
            Chain32::new(&links).map(|chain| chain.steps)
        };
        // (2^31 − 1) / 2^23 = 255.99…
        assert_eq!(fits(true, 24, Overflow::Saturate), Some(255));
        assert_eq!(fits(true, 30, Overflow::Saturate), Some(255));
        assert_eq!(fits(true, 31, Overflow::Saturate), None);
        assert_eq!(fits(true, 24, Overflow::Wrap), None);
        assert_eq!(fits(false, 24, Overflow::Saturate), None);
    }
}
