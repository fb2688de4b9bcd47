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
    fn run<S: Simd>(self, simd: S) {
        *self.count = with_words!(self.words.buffer(), words => count(simd, words));
    }
}

#[inline(always)]
fn count<W: Word>(simd: impl Simd, words: &[W]) -> u64 {
    let zero = W::default();
    let (lines, rest) = words.as_chunks::<64>();
    let mut count = 0;
    for line in 0..lines.len() {
        let (words, mut bytes) = (&lines[line], [0; 64]);
        for n in 0..64 {
            bytes[n] = u8::from(words[n] != zero);
        }
        count += u64::from(simd.nonzero(&bytes).count_ones());
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
