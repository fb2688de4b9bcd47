//! Operations on words one by one, in blocks of 32-bit values: what nearly every cast, sum and
//! maximum takes, compiled per instruction set.

#![allow(clippy::needless_range_loop, reason = "plain loops are inlined for any instruction set")]

use crate::kernels::Epilogue;
use crate::kernels::dot::{InstructionSet, Simd, Work};
use crate::kernels::events::count;
use crate::kernels::requantize::{Shift, narrow, range};
use crate::numeric::Events;
use crate::tensor::{Word, Words, with_words};

/// Words of a block, at most.
pub(crate) const BLOCK: usize = 1024;

/// An epilogue whose results and words fit 32 bits, and which saturates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockEpilogue {
    shift: Shift<i32>,
    floor: i32,
    range: [i32; 2],
    clamp: [i32; 2],
}

impl BlockEpilogue {
    /// For results with `frac` fractional bits and a magnitude of at most `largest`; `None` if 32
    /// bits do not hold what happens inside.
    pub fn new(epilogue: &Epilogue, frac: i32, largest: u128) -> Option<Self> {
        if epilogue.requantizer.is_some() || epilogue.cast.to().bits() > 31 {
            return None;
        }
        let (low, high) = epilogue.clamp.unwrap_or((i64::MIN, i64::MAX));
        Some(Self {
            shift: Shift::<i32>::new(epilogue.cast, frac, largest)?,
            floor: if epilogue.rectifies() { 0 } else { i32::MIN },
            range: range(epilogue.cast).map(narrow),
            clamp: [low, high].map(narrow),
        })
    }

    /// Whether results of this magnitude lie beyond all words, so that larger ones may be held to it.
    pub fn holds(&self, magnitude: i32) -> bool {
        let [low, high] = self.range.map(i32::unsigned_abs);
        self.shift.is_identity() && low.max(high) < magnitude.unsigned_abs()
    }

    /// Rounds results to the binary point of the words; the numbers of overflows and underflows.
    #[inline(always)]
    fn round(&self, block: &mut [i32]) -> [u32; 2] {
        let (mut over, mut under) = (0, 0);
        if !self.shift.is_identity() {
            for n in 0..block.len() {
                let result = block[n].max(self.floor);
                block[n] = self.shift.round(result);
                under += u32::from(result != 0) & u32::from(block[n] == 0);
            }
        }
        let (mut least, mut most) = (0, 0);
        for n in 0..block.len() {
            least = block[n].min(least);
            most = block[n].max(most);
        }
        if least.max(self.floor) < self.range[0] || most > self.range[1] {
            for n in 0..block.len() {
                let rounded = block[n].max(self.floor);
                let word = rounded.max(self.range[0]).min(self.range[1]);
                over += u32::from(word != rounded);
            }
        }
        [over, under]
    }
}

/// Where results come from.
pub(crate) trait Source {
    /// Writes the results of the elements from `first` on; `#[inline(always)]`.
    fn fill(&self, first: usize, block: &mut [i32]);
}

/// The words of `source` by `epilogue`, into all of `output`.
pub(crate) fn run(
    source: &impl Source,
    epilogue: &Epilogue,
    prepared: &BlockEpilogue,
    output: &mut Words,
    events: &mut Events,
) {
    let (mut over, mut under) = (0, 0);
    let blocks = Blocks { source, epilogue: prepared, output, over: &mut over, under: &mut under };
    InstructionSet::best().run(blocks);
    count(events, epilogue.cast.overflow(), over, under);
}

/// Memory for a block, on cache lines.
#[repr(align(64))]
struct Buffer([i32; BLOCK]);

struct Blocks<'a, S> {
    source: &'a S,
    epilogue: &'a BlockEpilogue,
    output: &'a mut Words,
    over: &'a mut u64,
    under: &'a mut u64,
}

impl<T: Source> Work for Blocks<'_, T> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Buffer(buffer) = &mut Buffer([0; BLOCK]);
        let len = self.output.len();
        // What the cast and then the activation function leave.
        let [least, most] = self.epilogue.range;
        let [low, high] = self.epilogue.clamp;
        let ends = [least.max(low).min(high), most.max(low).min(high)];
        let mut first = 0;
        while first < len {
            let block = &mut buffer[..BLOCK.min(len - first)];
            self.source.fill(first, block);
            let [over, under] = self.epilogue.round(block);
            *self.over += u64::from(over);
            *self.under += u64::from(under);
            store(block, ends, self.output, first);
            first += block.len();
        }
    }
}

/// Calls `take` with every place of the block and the word of `words` from `first` on, of which
/// the low 32 bits are given.
#[inline(always)]
pub(crate) fn load(
    words: &Words,
    first: usize,
    block: &mut [i32],
    take: impl Fn(&mut i32, i32) + Copy,
) {
    with_words!(words.buffer(), words => {
        let words = &words[first..][..block.len()];
        for n in 0..block.len() {
            take(&mut block[n], words[n].raw() as i32);
        }
    });
}

/// Writes a block, held between `ends`, to `words` from `first` on.
#[inline(always)]
fn store(block: &[i32], [low, high]: [i32; 2], words: &mut Words, first: usize) {
    with_words!(words.buffer_mut(), words => {
        let words = &mut words[first..][..block.len()];
        for n in 0..block.len() {
            words[n] = Word::from_raw(block[n].max(low).min(high).into());
        }
    });
}
