//! How many words are not zero.

#![allow(clippy::needless_range_loop, reason = "plain loops are inlined for any instruction set")]

use crate::kernels::dot::{InstructionSet, Simd, Work};
use crate::tensor::{Word, Words, with_words};

/// Number of nonzero words.
pub fn nonzero(words: &Words) -> u64 {
    let mut count = 0;
    InstructionSet::best().run(Counting { words, count: &mut count });
    count
}

/// The count, as work to be compiled per instruction set.
struct Counting<'a> {
    words: &'a Words,
    count: &'a mut u64,
}

impl Work for Counting<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        *self.count = with_words!(self.words.buffer(), words => count(words));
    }
}

/// Words that are counted side by side.
const LANES: usize = 64;

#[inline(always)]
fn count<W: Word>(words: &[W]) -> u64 {
    let zero = W::default();
    let (lines, rest) = words.as_chunks::<LANES>();
    let mut count = 0;
    let mut first = 0;
    while first < lines.len() {
        // As many as a byte counts.
        let end = lines.len().min(first + usize::from(u8::MAX));
        let mut counts = [0_u8; LANES];
        for line in first..end {
            for n in 0..LANES {
                counts[n] += u8::from(lines[line][n] != zero);
            }
        }
        for n in 0..LANES {
            count += u64::from(counts[n]);
        }
        first = end;
    }
    for n in 0..rest.len() {
        count += u64::from(rest[n] != zero);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::Format;

    #[test]
    fn every_word_that_is_not_zero_counts() {
        for bits in [8, 16, 32] {
            let format = Format::new(true, bits, 0).expect("a format");
            for len in [0, 1, 63, 64, 20_000] {
                let raw = (0..len).map(|n: i64| if n % 3 == 1 { -1 } else { 0 });
                let expected = (len as u64 + 1) / 3;
                let words = Words::from_raw(format, raw.collect::<Vec<_>>().into_iter());
                assert_eq!(nonzero(&words), expected);
            }
        }
    }
}
