//! What an accumulator can reach, proven from the weights and the formats alone.

use crate::kernels::reference::aligned_bias;
use crate::kernels::{Mac, MacSpec, Style};
use crate::numeric::{Overflow, Rounding};

/// The interval that contains the bias and every partial sum of an output channel, whatever the
/// order, for all activations of the range; in raw words of the accumulator, overflow aside.
///
/// With w·x in `[a, b]` for each weight, the partial sums lie within
/// `[bias + Σ min(0, a), bias + Σ max(0, b)]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    /// Lower bound.
    pub low: i128,
    /// Upper bound.
    pub high: i128,
}

impl Interval {
    /// The narrowest signed word that holds both bounds, in bits.
    pub fn bits(self) -> u32 {
        let width = |bound: i128| 129 - (bound ^ (bound >> 127)).leading_zeros();
        width(self.low).max(width(self.high))
    }

    /// The smallest interval that contains both.
    pub fn union(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }
}

/// The interval of each output channel.
pub fn intervals(mac: &Mac<'_>) -> Vec<Interval> {
    let Mac { spec, geometry, weights, bias, .. } = mac;
    let reduction = geometry.reduction();
    let terms = Terms::new(mac);
    (0..geometry.output.channels)
        .map(|channel| {
            // Stochastic rounding goes down for a draw of 0 and up for the largest.
            let [lowest, highest] = [0, u64::MAX].map(|random| match bias {
                Some((format, raw)) => aligned_bias(spec, *format, raw[channel], random),
                None => 0,
            });
            let row = channel * reduction..(channel + 1) * reduction;
            let sum = row.fold(Interval { low: 0, high: 0 }, |sum, index| {
                let term = terms.interval(weights.get(index));
                Interval { low: sum.low + term.low, high: sum.high + term.high }
            });
            let sum = terms.on_grid(sum);
            Interval { low: lowest + sum.low, high: highest + sum.high }
        })
        .collect()
}

/// What one product can add.
struct Terms<'a> {
    spec: &'a MacSpec,
    activations: [i128; 2],
    /// Binary point of the terms' bounds.
    frac: i32,
}

impl<'a> Terms<'a> {
    fn new(mac: &'a Mac<'_>) -> Self {
        let spec = &mac.spec;
        let frac = match spec.style {
            Style::Fused => spec.accumulator.to().frac(),
            Style::Exact | Style::ProductCast => spec.term_frac(),
        };
        Self { spec, activations: mac.range.map(i128::from), frac }
    }

    /// Bounds of the term of one weight, zero included.
    fn interval(&self, weight: i64) -> Interval {
        let ends = self.activations.map(|x| i128::from(weight) * x);
        let product = Interval { low: ends[0].min(ends[1]), high: ends[0].max(ends[1]) };
        match self.spec.style {
            Style::Exact => product,
            Style::Fused => self.rounded(product),
            Style::ProductCast => self.cast(product),
        }
    }

    /// A fused step adds the product rounded to the accumulator's grid. That is exact for the
    /// roundings that commute with adding a word of the grid, and without an adder tree; the
    /// others stay within one word.
    fn rounded(&self, product: Interval) -> Interval {
        let rounding = match self.spec.accumulator.rounding() {
            r @ (Rounding::Floor | Rounding::HalfUp | Rounding::HalfDown)
                if self.spec.adder_tree == 1 =>
            {
                Some(r)
            }
            _ => None,
        };
        let frac = self.spec.product_frac();
        Interval {
            low: shift(product.low, frac, self.frac, rounding.unwrap_or(Rounding::Floor)),
            high: match rounding {
                Some(rounding) => shift(product.high, frac, self.frac, rounding),
                None => -shift(-product.high, frac, self.frac, Rounding::Floor),
            },
        }
    }

    /// A cast is monotone as long as it saturates; a product that can overflow otherwise can
    /// become any word of the format.
    fn cast(&self, product: Interval) -> Interval {
        let cast = self.spec.product;
        let frac = self.spec.product_frac();
        let low = cast.apply(product.low, frac, 0);
        let high = cast.apply(product.high, frac, u64::MAX);
        let saturates = matches!(cast.overflow(), Overflow::Saturate | Overflow::SaturateSymmetric);
        if saturates || !(low.overflowed || high.overflowed) {
            Interval { low: low.raw, high: high.raw }
        } else {
            Interval { low: cast.to().min(), high: cast.to().max() }
        }
    }

    /// A sum of terms on the accumulator's grid, rounded outwards.
    fn on_grid(&self, sum: Interval) -> Interval {
        let grid = self.spec.accumulator.to().frac();
        Interval {
            low: shift(sum.low, self.frac, grid, Rounding::Floor),
            high: -shift(-sum.high, self.frac, grid, Rounding::Floor),
        }
    }
}

/// `raw · 2^−from` at the binary point `to`, rounded.
fn shift(raw: i128, from: i32, to: i32, rounding: Rounding) -> i128 {
    let drop = from - to;
    if drop <= 0 {
        return raw << -drop;
    }
    let bias = match rounding {
        Rounding::HalfUp => 1 << (drop - 1),
        Rounding::HalfDown => (1 << (drop - 1)) - 1,
        _ => 0,
    };
    (raw + bias) >> drop
}
