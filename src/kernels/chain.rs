//! The casts along a loop of multiply-accumulates, on lanes of 64 bits, or 32 where they are enough.

#![allow(clippy::needless_range_loop, reason = "lanes of several arrays are indexed in step")]

use crate::kernels::bounds::Interval;
use crate::kernels::chain32::{Chain32, Links};
use crate::kernels::dot::Element;
use crate::kernels::lanes::Bias;
use crate::kernels::narrow::{Lanes, NarrowCast, magnitude};
use crate::kernels::output::LaneSums;
use crate::kernels::{MacSpec, Style};
use crate::tensor::ConvGeometry;

/// The casts along the loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    /// Of each product, if it may lose bits.
    product: Option<NarrowCast>,
    /// From the aligned sum to the accumulator.
    accumulator: NarrowCast,
    /// Products of a step.
    products: usize,
    /// Shift of a term to the aligned sum.
    term_shift: u32,
    /// Shift of an accumulator to the aligned sum.
    grid_shift: u32,
    /// The same in 32 bits.
    short: Option<Chain32>,
}

impl Chain {
    pub fn new(
        spec: &MacSpec,
        geometry: &ConvGeometry,
        lossless: bool,
        product: i128,
        reach: &[Interval],
    ) -> Option<Self> {
        let grid = spec.accumulator.to().frac();
        let casts = spec.style == Style::ProductCast && !lossless;
        let cast = casts.then_some(spec.product);
        let term_frac = if cast.is_some() { spec.term_frac() } else { spec.product_frac() };
        let aligned = grid.max(term_frac);
        let largest_term = match cast {
            Some(cast) => magnitude(cast.to()) as i128,
            None => product,
        };
        let terms = largest_term.checked_mul(geometry.reduction() as i128)?;
        let start = reach.iter().map(|r| r.low.abs().max(r.high.abs())).max()?;
        let start = start.max(magnitude(spec.accumulator.to()) as i128);
        let shifted =
            |value: i128, by: i32| value.checked_mul(1i128.checked_shl(by.unsigned_abs())?);
        let largest = shifted(start, aligned - grid)?
            .checked_add(shifted(terms, aligned - term_frac)?)?
            .unsigned_abs();
        let products = match spec.style {
            Style::Exact => geometry.reduction(),
            Style::ProductCast | Style::Fused => spec.adder_tree,
        };
        let (term_shift, grid_shift) = ((aligned - term_frac) as u32, (aligned - grid) as u32);
        let product_frac = spec.product_frac();
        let short = Chain32::new(&Links {
            product: cast.map(|cast| (cast, product_frac)),
            accumulator: spec.accumulator,
            aligned,
            largest: [product.unsigned_abs(), largest_term.unsigned_abs()],
            products,
            term_shift,
            grid_shift,
        });
        let product = match cast {
            Some(cast) => Some(NarrowCast::new(cast, product_frac, product.unsigned_abs())?),
            None => None,
        };
        let accumulator = NarrowCast::new(spec.accumulator, aligned, largest)?;
        Some(Self { product, accumulator, products, term_shift, grid_shift, short })
    }

    /// Smallest and largest accumulator.
    pub fn range(&self) -> (i64, i64) {
        self.accumulator.range()
    }

    /// The accumulators whose exact sums of products are `sums`, if order does not matter.
    #[inline(always)]
    pub fn close<const N: usize>(&self, sums: &Lanes<N>, bias: &Bias, block: usize) -> LaneSums<N> {
        let exact: &[i64] = &bias.exact[block * N..][..N];
        let mut result = LaneSums::new(&bias.under[block * N..][..N]);
        for n in 0..N {
            let aligned = (exact[n] << self.grid_shift) + (sums[n] << self.term_shift);
            result.raw[n] = aligned;
            result.total[n] = aligned >> self.grid_shift;
        }
        self.accumulator.lanes(&mut result.raw, &mut result.over, &mut result.under);
        self.settle(&mut result);
        result
    }

    /// Whether no order of the products, whose magnitudes sum up to `magnitudes`, overflows.
    #[inline(always)]
    pub fn fits<const N: usize>(
        &self,
        sums: &Lanes<N>,
        magnitudes: &Lanes<N>,
        bias: &Bias,
        proven: &[bool],
        block: usize,
    ) -> bool {
        let (low, high) = self.accumulator.range();
        (0..N).all(|n| {
            let start = bias.exact[block * N + n];
            let positive = (magnitudes[n] + sums[n]) / 2;
            let negative = (magnitudes[n] - sums[n]) / 2;
            proven[block * N + n]
                || (start + (positive << self.term_shift) <= high
                    && start - (negative << self.term_shift) >= low)
        })
    }

    /// The loop in accumulation order over `operands` and the weights `[step][lane]`.
    #[inline(always)]
    pub fn ordered<E: Element, const N: usize>(
        &self,
        operands: &[E],
        weights: &[E],
        bias: &Bias,
        block: usize,
    ) -> LaneSums<N> {
        if let Some(short) = &self.short {
            return short.run::<E, N>(operands, weights, bias, block);
        }
        let lanes = |values: &[i64]| -> Lanes<N> { std::array::from_fn(|n| values[block * N + n]) };
        let mut result = LaneSums::new(&bias.under[block * N..][..N]);
        result.raw = lanes(&bias.word);
        result.over = lanes(&bias.over);
        let mut exact = lanes(&bias.exact).map(|b| b << self.grid_shift);
        let weights = weights.as_chunks::<N>().0;
        for (operands, weights) in operands.chunks(self.products).zip(weights.chunks(self.products))
        {
            let mut term = [0; N];
            for (x, w) in operands.iter().zip(weights) {
                let mut product: Lanes<N> = std::array::from_fn(|n| x.raw() * w[n].raw());
                if let Some(cast) = &self.product {
                    let LaneSums { product_over, product_under, .. } = &mut result;
                    cast.lanes(&mut product, product_over, product_under);
                }
                for n in 0..N {
                    term[n] += product[n];
                }
            }
            for n in 0..N {
                let term = term[n] << self.term_shift;
                exact[n] += term;
                result.raw[n] = (result.raw[n] << self.grid_shift) + term;
            }
            self.accumulator.lanes(&mut result.raw, &mut result.over, &mut result.under);
        }
        result.total = exact.map(|e| e >> self.grid_shift);
        self.settle(&mut result);
        result
    }

    /// A wrapping accumulator overflowed where the exact total lies outside its range.
    #[inline(always)]
    fn settle<const N: usize>(&self, result: &mut LaneSums<N>) {
        if self.accumulator.wraps() {
            let (low, high) = self.accumulator.range();
            for n in 0..N {
                let total = result.total[n];
                result.over[n] = i64::from(total < low) | i64::from(total > high);
            }
        }
    }
}
