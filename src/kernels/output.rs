//! From lanes of accumulators to output words.

use crate::kernels::events::count;
use crate::kernels::narrow::{Lanes, NarrowCast, magnitude};
use crate::kernels::{Epilogue, LayerDraws, Mac, MacSpec, Site, SiteEvents};
use crate::numeric::Events;

/// Accumulators after the loop; see [`Accumulated`](crate::kernels::reference::Accumulated). The flags are 0 or 1.
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

/// An epilogue prepared for results of a known binary point and width.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PreparedEpilogue {
    epilogue: Epilogue,
    frac: i32,
    /// The cast, where 64 bits are enough and nothing is random.
    cast: Option<NarrowCast>,
    low: i64,
    high: i64,
    /// Smallest result that is not cut off by the activation function before the cast.
    floor: i64,
}

impl PreparedEpilogue {
    /// For results with `frac` fractional bits and a magnitude of at most `largest`.
    pub fn new(epilogue: &Epilogue, frac: i32, largest: u128) -> Self {
        let (low, high) = epilogue.clamp.unwrap_or((i64::MIN, i64::MAX));
        let cast = match epilogue.requantizer {
            Some(_) => None,
            None => NarrowCast::new(epilogue.cast, frac, largest),
        };
        let floor = if epilogue.rectifies() { 0 } else { i64::MIN };
        Self { epilogue: *epilogue, frac, cast, low, high, floor }
    }

    /// The words of all lanes; counts what happened to them. `None` if they have to be computed
    /// one by one.
    #[inline(always)]
    pub fn lanes<const N: usize>(
        &self,
        results: &Lanes<N>,
        events: &mut Events,
    ) -> Option<Lanes<N>> {
        let cast = self.cast.as_ref()?;
        let mut lanes = results.map(|result| result.max(self.floor));
        let (mut over, mut under) = ([0; N], [0; N]);
        cast.lanes(&mut lanes, &mut over, &mut under);
        count(events, self.epilogue.cast.overflow(), total(&over), total(&under));
        Some(lanes.map(|lane| lane.max(self.low).min(self.high)))
    }

    /// One word; counts what happened to it.
    #[inline(always)]
    pub fn word(&self, result: i64, random: impl FnOnce() -> u64, events: &mut Events) -> i64 {
        match self.lanes(&[result], events) {
            Some([word]) => word,
            None => {
                let word = self.epilogue.apply(result.into(), self.frac, random());
                events.count(word, self.epilogue.cast.overflow());
                word.raw as i64
            }
        }
    }
}

/// Number of flags that are set.
#[inline(always)]
fn total<const N: usize>(flags: &Lanes<N>) -> u64 {
    flags.iter().sum::<i64>() as u64
}

/// The output words of a multiply-accumulate layer.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    spec: MacSpec,
    /// By output channel, or one for all.
    epilogues: Vec<PreparedEpilogue>,
    channels: usize,
}

impl Output {
    /// The epilogue of a layer.
    pub fn new(mac: &Mac<'_>) -> Self {
        let accumulator = mac.spec.accumulator.to();
        let largest = magnitude(accumulator);
        let prepared = |epilogue| PreparedEpilogue::new(&epilogue, accumulator.frac(), largest);
        let of_channel = |c| mac.spec.epilogue.of_channel(mac.requantizers, c);
        Self {
            spec: mac.spec,
            epilogues: (0..mac.requantizers.len().max(1)).map(of_channel).map(prepared).collect(),
            channels: mac.geometry.output.channels,
        }
    }

    /// Writes the words of the first lanes, the output words from `first` of the layer on, and
    /// counts what happened to them.
    #[inline(always)]
    pub fn emit<const N: usize>(
        &self,
        sums: &LaneSums<N>,
        words: &mut [i64],
        first: usize,
        draws: LayerDraws,
        events: &mut SiteEvents,
    ) {
        match self.epilogues[0].lanes(&sums.raw, &mut events.output) {
            Some(lanes) => words.copy_from_slice(&lanes[..words.len()]),
            None => {
                let channel = first % self.channels;
                for (n, word) in words.iter_mut().enumerate() {
                    let random = || draws.draw(Site::Output, first + n, 0);
                    let epilogue = self.epilogues.get(channel + n).unwrap_or(&self.epilogues[0]);
                    *word = epilogue.word(sums.raw[n], random, &mut events.output);
                }
            }
        }
        let (product, accumulator) = (self.spec.product, self.spec.accumulator);
        count(
            &mut events.product,
            product.overflow(),
            total(&sums.product_over),
            total(&sums.product_under),
        );
        let (over, under) = (total(&sums.over), total(&sums.under));
        count(&mut events.accumulator, accumulator.overflow(), over, under);
        let largest = sums.total.iter().fold(0, |largest, t| t.unsigned_abs().max(largest));
        events.largest_accumulator = events.largest_accumulator.max(largest);
    }
}
