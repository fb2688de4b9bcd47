//! Nonzero bitmaps cut into chunks, laid out for the fast path.

#![allow(clippy::needless_range_loop, reason = "plain loops are inlined for any instruction set")]

use crate::tensor::Bitmap;

/// Rows that are cut together.
pub(super) const PART: usize = 16;

/// `len` (1 to 64) columns of a bitmap from one on.
#[derive(Clone, Copy)]
pub(super) struct Chunk<'a> {
    block: &'a [u64],
    /// The next one, if any of the columns lie in it.
    next: &'a [u64],
    shift: u32,
    mask: u64,
}

impl<'a> Chunk<'a> {
    /// The `index`-th of the chunks of `len` columns.
    #[inline(always)]
    pub fn new(map: &'a Bitmap, index: usize, len: usize) -> Self {
        let first = index * len;
        let len = len.min(map.columns() - first);
        let (block, shift) = (first / 64, first % 64);
        let next = if shift + len > 64 { block + 1 } else { block };
        Self {
            block: map.block(block),
            next: map.block(next),
            shift: shift as u32,
            mask: u64::MAX >> (64 - len),
        }
    }

    /// Number of ones by row.
    #[inline(always)]
    pub fn ones(&self, ones: &mut [u16]) {
        let (block, next) = (&self.block[..ones.len()], &self.next[..ones.len()]);
        let (shift, mask) = (self.shift & 63, self.mask);
        if mask.leading_zeros() >= shift {
            for row in 0..ones.len() {
                ones[row] = (block[row] >> shift & mask).count_ones() as u16;
            }
        } else {
            for row in 0..ones.len() {
                let bits = block[row] >> shift | next[row] << 1 << (63 - shift);
                ones[row] = (bits & mask).count_ones() as u16;
            }
        }
    }

    /// The bits of `used` rows, at most [`PART`], from `first` on; zeros for the rest.
    #[inline(always)]
    pub fn rows(&self, first: usize, used: usize) -> [u64; PART] {
        let mut bits = [0; PART];
        let shift = self.shift & 63;
        if used == PART {
            let (block, next) = (&self.block[first..][..PART], &self.next[first..][..PART]);
            for n in 0..PART {
                bits[n] = (block[n] >> shift | next[n] << 1 << (63 - shift)) & self.mask;
            }
        } else {
            let (block, next) = (&self.block[first..][..used], &self.next[first..][..used]);
            for n in 0..block.len() {
                bits[n] = (block[n] >> shift | next[n] << 1 << (63 - shift)) & self.mask;
            }
        }
        bits
    }
}

/// The chunks of one operand of one group by tile: for every tile of `lanes` rows of the bitmap and
/// every chunk, sixteen-bit pieces of the chunk, each for all lanes side by side.
///
/// Lanes of the last tile beyond the bitmap's rows hold zeros.
#[derive(Clone, Default, Debug)]
pub struct Masks {
    lanes: usize,
    pieces: usize,
    chunks: usize,
    words: Vec<u16>,
}

impl Masks {
    /// Cuts `map` into chunks of `chunk` (1 to 64) columns and tiles of `lanes` rows.
    #[inline(always)]
    pub fn fill(&mut self, map: &Bitmap, chunk: usize, lanes: usize) {
        self.lanes = lanes;
        self.pieces = chunk.div_ceil(16);
        self.chunks = map.columns().div_ceil(chunk);
        let tiles = map.rows().div_ceil(lanes);
        self.words.resize(tiles * self.chunks * self.pieces * lanes, 0);
        for index in 0..self.chunks {
            let columns = Chunk::new(map, index, chunk);
            for tile in 0..tiles {
                let rows = map.rows() - tile * lanes;
                let words = (tile * self.chunks + index) * self.pieces * lanes;
                let mut lane = 0;
                while lane < lanes {
                    let len = PART.min(lanes - lane);
                    let used = len.min(rows.saturating_sub(lane));
                    let bits = columns.rows(if used > 0 { tile * lanes + lane } else { 0 }, used);
                    for piece in 0..self.pieces {
                        let words = &mut self.words[words + piece * lanes + lane..][..len];
                        for n in 0..words.len() {
                            words[n] = (bits[n] >> (16 * piece)) as u16;
                        }
                    }
                    lane += PART;
                }
            }
        }
    }

    /// The pieces of a chunk one after the other, each with a word per lane.
    #[inline(always)]
    pub fn words(&self, tile: usize, chunk: usize) -> &[u16] {
        let len = self.pieces * self.lanes;
        &self.words[(tile * self.chunks + chunk) * len..][..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_may_straddle_blocks() {
        let mut map = Bitmap::zeros(3, 130);
        for column in [0, 39, 40, 63, 64, 79, 120, 129] {
            map.set(2, column);
        }
        let mut masks = Masks::default();
        masks.fill(&map, 40, 2);
        let lane = |chunk: usize| -> Vec<u16> {
            masks.words(1, chunk).iter().step_by(2).copied().collect()
        };
        assert_eq!(lane(0), [1, 0, 1 << 7]);
        assert_eq!(lane(1), [1, 1 << 7 | 1 << 8, 1 << 7]);
        assert_eq!(lane(2), [0, 0, 0]);
        assert_eq!(lane(3), [1 | 1 << 9, 0, 0]);
        assert!(masks.words(0, 0).iter().all(|&word| word == 0));
    }
}
