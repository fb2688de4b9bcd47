//! How many multiply-accumulates have which operands nonzero, and what becomes of them.

#![allow(clippy::needless_range_loop, reason = "plain loops are inlined for any instruction set")]

use crate::hardware::{ZeroHandling, Zeros};
use crate::simulate::Macs;
use crate::tensor::{Bitmap, ConvGeometry};

/// Multiply-accumulates by their operands.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Pairs {
    /// All, padded positions included.
    pub total: u64,
    /// With a nonzero activation; all if zero activations are treated like any other.
    pub activation: u64,
    /// With a nonzero weight; all if zero weights are treated like any other.
    pub weight: u64,
    /// With both.
    pub both: u64,
}

/// Counts [`Pairs`] without a product: those with both operands nonzero are
/// Σ over k of nnz(activations of k) · nnz(weights of k).
#[derive(Clone, Debug)]
pub struct PairCounter {
    zeros: Zeros,
    total: u64,
    /// Output channels of a group.
    channels: u64,
    /// Pairs with a nonzero weight.
    weight: u64,
    /// Nonzero weights by group and element of the reduction, if both operands matter.
    by_element: Vec<Planes>,
}

impl PairCounter {
    /// A counter for a layer with these weights.
    pub fn new(geometry: &ConvGeometry, zeros: Zeros, weights: &[Bitmap]) -> Self {
        let total = geometry.macs();
        let nonzero: u64 = weights.iter().map(Bitmap::ones).sum();
        let [activations, weights_matter] =
            [zeros.activations, zeros.weights].map(|handling| handling != ZeroHandling::None);
        let by_element = if activations && weights_matter {
            weights.iter().map(Planes::new).collect()
        } else {
            Vec::new()
        };
        Self {
            zeros,
            total,
            channels: geometry.group_outputs() as u64,
            weight: if weights_matter { nonzero * geometry.pixels() as u64 } else { total },
            by_element,
        }
    }

    /// Whether zero activations make a difference.
    pub fn needs_activations(&self) -> bool {
        self.zeros.activations != ZeroHandling::None
    }

    /// The pairs of one image.
    #[inline(always)]
    pub fn count(&self, activations: &[Bitmap]) -> Pairs {
        let Self { total, weight, .. } = *self;
        if !self.needs_activations() {
            return Pairs { total, activation: total, weight, both: weight };
        }
        let mut activation = 0;
        for group in 0..activations.len() {
            activation += activations[group].ones() * self.channels;
        }
        let mut both = 0;
        for group in 0..self.by_element.len() {
            both += self.by_element[group].dot(&activations[group]);
        }
        if self.by_element.is_empty() {
            both = activation;
        }
        Pairs { total, activation, weight, both }
    }

    /// A pair with a zero whose handling is `skip` is skipped; else one with a zero whose handling
    /// is `gate` is gated; else it is effectual.
    pub fn classify(&self, pairs: &Pairs) -> Macs {
        let survivors = |counts: fn(ZeroHandling) -> bool| match (
            counts(self.zeros.activations),
            counts(self.zeros.weights),
        ) {
            (false, false) => pairs.total,
            (true, false) => pairs.activation,
            (false, true) => pairs.weight,
            (true, true) => pairs.both,
        };
        let executed = survivors(|handling| handling == ZeroHandling::Skip);
        let effectual = survivors(|handling| handling != ZeroHandling::None);
        Macs {
            total: pairs.total,
            effectual,
            gated: executed - effectual,
            skipped: pairs.total - executed,
        }
    }
}

/// Ones by column of a bitmap, bit by bit: bit k of row j is bit j of the number of column k.
#[derive(Clone, Debug)]
struct Planes(Bitmap);

impl Planes {
    fn new(map: &Bitmap) -> Self {
        let digits = map.rows().checked_ilog2().map_or(0, |log| log as usize + 1);
        let mut planes = Bitmap::zeros(digits, map.columns());
        for column in 0..map.columns() {
            let ones = (0..map.rows()).filter(|&row| map.get(row, column)).count();
            (0..digits).filter(|digit| ones >> digit & 1 == 1).for_each(|d| planes.set(d, column));
        }
        Self(planes)
    }

    /// Σ over one bits of `map` of the number of their column.
    #[inline(always)]
    fn dot(&self, map: &Bitmap) -> u64 {
        let mut sum = 0;
        for block in 0..map.blocks() {
            let (bits, planes) = (map.block(block), self.0.block(block));
            for digit in 0..planes.len() {
                let (plane, mut pairs) = (planes[digit], 0);
                for row in 0..bits.len() {
                    pairs += u64::from((bits[row] & plane).count_ones());
                }
                sum += pairs << digit;
            }
        }
        sum
    }
}
