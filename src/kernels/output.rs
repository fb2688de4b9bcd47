//! From lanes of accumulators to output words.

use crate::kernels::events::count;
use crate::kernels::narrow::{Lanes, NarrowCast, magnitude};
use crate::kernels::reference::{Accumulated, finish};
use crate::kernels::{LayerDraws, MacSpec, SiteEvents};
use crate::tensor::Word;

/// Accumulators after the loop; see [`Accumulated`]. The flags are 0 or 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneSums<const N: usize> {
    pub raw: Lanes<N>,
    pub total: Lanes<N>,
    pub over: Lanes<N>,
    pub under: Lanes<N>,
    pub product_over: Lanes<N>,
    pub product_under: Lanes<N>,
}

impl<const N: usize> LaneSums<N> {
    /// All zero but for the underflow of the bias.
    #[inline(always)]
    pub fn new(under: &[i64]) -> Self {
        let mut sums = Self {
            raw: [0; N],
            total: [0; N],
            over: [0; N],
            under: [0; N],
            product_over: [0; N],
            product_under: [0; N],
        };
        sums.under.copy_from_slice(under);
        sums
    }
}

/// The epilogue on lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    spec: MacSpec,
    /// The cast, where 64 bits are enough and nothing is random.
    cast: Option<NarrowCast>,
    low: i64,
    high: i64,
    /// Smallest accumulator that is not cut off by the activation function before the cast.
    floor: i64,
}

impl Output {
    /// The epilogue of a layer.
    pub fn new(spec: &MacSpec) -> Self {
        let accumulator = spec.accumulator.to();
        let largest = magnitude(accumulator);
        let (low, high) = spec.epilogue.clamp.unwrap_or((i64::MIN, i64::MAX));
        Self {
            spec: *spec,
            cast: NarrowCast::new(spec.epilogue.cast, accumulator.frac(), largest),
            low,
            high,
            floor: if spec.epilogue.rectifies() { 0 } else { i64::MIN },
        }
    }

    /// Writes the words of the first lanes, the output words from `first` of the layer on, and
    /// counts what happened to them.
    #[inline(always)]
    pub fn emit<const N: usize, W: Word>(
        &self,
        sums: &LaneSums<N>,
        words: &mut [W],
        first: usize,
        draws: LayerDraws,
        events: &mut SiteEvents,
    ) {
        let Some(cast) = &self.cast else {
            return self.emit_each(sums, words, first, draws, events);
        };
        let mut lanes = sums.raw.map(|raw| raw.max(self.floor));
        let (mut over, mut under) = ([0; N], [0; N]);
        cast.lanes(&mut lanes, &mut over, &mut under);
        for (word, lane) in words.iter_mut().zip(lanes) {
            *word = W::from_raw(lane.max(self.low).min(self.high));
        }
        let total = |flags: &Lanes<N>| flags.iter().sum::<i64>() as u64;
        let spec = &self.spec;
        let (product, accumulator) = (spec.product.overflow(), spec.accumulator.overflow());
        count(
            &mut events.product,
            product,
            total(&sums.product_over),
            total(&sums.product_under),
        );
        count(&mut events.accumulator, accumulator, total(&sums.over), total(&sums.under));
        count(&mut events.output, spec.epilogue.cast.overflow(), total(&over), total(&under));
        let largest = sums.total.iter().fold(0, |largest, t| t.unsigned_abs().max(largest));
        events.largest_accumulator = events.largest_accumulator.max(largest);
    }

    fn emit_each<const N: usize, W: Word>(
        &self,
        sums: &LaneSums<N>,
        words: &mut [W],
        first: usize,
        draws: LayerDraws,
        events: &mut SiteEvents,
    ) {
        for (n, word) in words.iter_mut().enumerate() {
            let sum = Accumulated {
                raw: sums.raw[n].into(),
                total: sums.total[n].into(),
                overflowed: sums.over[n] != 0,
                underflowed: sums.under[n] != 0,
                product_overflowed: sums.product_over[n] != 0,
                product_underflowed: sums.product_under[n] != 0,
            };
            *word = W::from_raw(finish(&self.spec, &sum, first + n, draws, events));
        }
    }
}
