//! One image of a layer over several threads: each takes some of the output pixels.

use std::ops::Range;

use crate::kernels::SiteEvents;
use crate::tensor::Slots;

/// Multiply-accumulates that are worth a thread of their own; tests split small layers too.
const WORTH: u64 = if cfg!(test) { 1 } else { 1 << 21 };

/// Output pixels of a layer with the words that they become.
pub(crate) struct Part<'a, M> {
    /// The pixels.
    pub pixels: Range<usize>,
    /// Their words.
    pub words: Slots<'a>,
    /// Memory to work in, as much for each thread.
    pub memory: &'a mut [M],
}

impl<M: Send> Part<'_, M> {
    /// Runs `run` for all pixels, of which each has `channels` words, on up to `threads` threads.
    /// Parts begin at multiples of `unit` pixels. `macs` are those of all pixels.
    pub fn run(
        self,
        [channels, unit]: [usize; 2],
        macs: u64,
        threads: usize,
        run: &(impl Fn(Part<'_, M>) -> SiteEvents + Sync),
    ) -> SiteEvents {
        let units = self.pixels.len().div_ceil(unit);
        let threads = threads.min(units).min(usize::try_from(macs / WORTH).unwrap_or(usize::MAX));
        if threads <= 1 {
            return run(self);
        }
        let share = [threads / 2, threads - threads / 2];
        let len = units * share[0] / threads * unit;
        let middle = self.pixels.start + len;
        let (words, other_words) = self.words.split_at(len * channels);
        let (memory, other_memory) =
            self.memory.split_at_mut(self.memory.len() / threads * share[0]);
        let first = Part { pixels: self.pixels.start..middle, words, memory };
        let others =
            Part { pixels: middle..self.pixels.end, words: other_words, memory: other_memory };
        let [a, b] = share.map(|share| macs / threads as u64 * share as u64);
        let on = |part: Part<'_, M>, macs, threads| part.run([channels, unit], macs, threads, run);
        let (mut events, more) = rayon::join(|| on(first, a, share[0]), || on(others, b, share[1]));
        events += more;
        events
    }
}
