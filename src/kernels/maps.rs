//! Quantizers that run on words: tables, and keeping the largest.

use crate::numeric::Format;
use crate::tensor::{Word, Words, with_words};

/// Element by element `table[word − base.min()]`, `base` being the format of `input`.
///
/// # Panics
///
/// If the table has not one entry for each word of `base`.
pub fn table(input: &Words, table: &[i64], output: &mut Words) {
    let base = input.format().min() as i64;
    with_words!(input.buffer(), words => with_words!(output.buffer_mut(), out => {
        for (slot, word) in out.iter_mut().zip(words) {
            *slot = Word::from_raw(table[(word.raw() - base) as usize]);
        }
    }));
}

/// Number of entries of a table for words of `base`.
pub fn table_len(base: Format) -> i128 {
    base.max() - base.min() + 1
}

/// Keeps the `keep` words of largest magnitude; the others become zero. Of equal magnitudes the
/// one that comes first is kept. `scratch` is memory to work in.
pub fn top_k(words: &mut Words, keep: usize, scratch: &mut Vec<u64>) {
    with_words!(words.buffer_mut(), words => keep_largest(words, keep, scratch));
}

/// The same in every group of `m` consecutive channels of each pixel, of which `n` are kept. The
/// last group of a pixel is shorter if `m` does not divide the channels.
pub fn n_of_m(words: &mut Words, channels: usize, n: usize, m: usize, scratch: &mut Vec<u64>) {
    with_words!(words.buffer_mut(), words => {
        for group in words.chunks_mut(channels).flat_map(|pixel| pixel.chunks_mut(m)) {
            keep_largest(group, n, scratch);
        }
    });
}

fn keep_largest<T: Word>(words: &mut [T], keep: usize, scratch: &mut Vec<u64>) {
    let Some(dropped) = words.len().checked_sub(keep).filter(|&dropped| dropped > 0) else {
        return;
    };
    if keep == 0 {
        return words.fill(T::default());
    }
    scratch.clear();
    scratch.extend(words.iter().map(|word| word.raw().unsigned_abs()));
    let (_, &mut least, larger) = scratch.select_nth_unstable(dropped);
    let above = larger.iter().filter(|&&magnitude| magnitude > least).count();
    let mut ties = keep - above;
    for word in words {
        match word.raw().unsigned_abs() {
            magnitude if magnitude > least => {}
            magnitude if magnitude == least && ties > 0 => ties -= 1,
            _ => *word = T::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::testing::s;

    fn words(raw: &[i64]) -> Words {
        Words::from_raw(s(8, 0), raw.iter().copied())
    }

    #[test]
    fn a_table_maps_word_by_word() {
        let input = Words::from_raw(s(2, 0), [-2, -1, 0, 1].into_iter());
        let mut out = Words::zeros(s(8, 0), 4);
        table(&input, &[-16, -4, 0, 4], &mut out);
        assert_eq!(out.to_vec(), [-16, -4, 0, 4]);
        assert_eq!(table_len(s(2, 0)), 4);
    }

    #[test]
    fn of_equal_magnitudes_the_first_is_kept() {
        let mut kept = words(&[3, -5, 3, -3, 1]);
        top_k(&mut kept, 2, &mut Vec::new());
        assert_eq!(kept.to_vec(), [3, -5, 0, 0, 0]);
    }

    #[test]
    fn groups_do_not_cross_pixels() {
        let mut kept = words(&[1, 2, 3, 9, 8, 7]);
        n_of_m(&mut kept, 3, 1, 2, &mut Vec::new());
        assert_eq!(kept.to_vec(), [0, 2, 3, 9, 0, 7]);
    }

    proptest! {
        /// By sorting: the kept positions are the first `keep` in order of falling magnitude, then
        /// rising position.
        #[test]
        fn top_k_is_a_stable_sort(raw in prop::collection::vec(-4i64..4, 0..30), keep in 0usize..32) {
            let mut order: Vec<usize> = (0..raw.len()).collect();
            order.sort_by_key(|&i| -raw[i].abs());
            let mut expected = vec![0; raw.len()];
            for &i in order.iter().take(keep) {
                expected[i] = raw[i];
            }
            let mut kept = words(&raw);
            top_k(&mut kept, keep, &mut Vec::new());
            prop_assert_eq!(kept.to_vec(), expected);
        }
    }
}
