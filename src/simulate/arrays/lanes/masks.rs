//! Nonzero bitmaps cut into chunks, laid out for the fast path.

use crate::tensor::Bitmap;

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
        let of_tile = self.chunks * self.pieces * lanes;
        self.words.resize(tiles * of_tile, 0);
        if !map.rows().is_multiple_of(lanes) {
            self.words[(tiles - 1) * of_tile..].fill(0);
        }
        for row in 0..map.rows() {
            let tile = row / lanes * self.chunks;
            if chunk == 16 {
                let (blocks, first) = (map.row(row), tile * lanes + row % lanes);
                for index in 0..self.chunks {
                    let bits = blocks[index / 4] >> (16 * (index % 4));
                    self.words[first + index * lanes] = bits as u16;
                }
                continue;
            }
            for index in 0..self.chunks {
                let first = index * chunk;
                let bits = bits(map.row(row), first, chunk.min(map.columns() - first));
                for piece in 0..self.pieces {
                    let at = ((tile + index) * self.pieces + piece) * lanes + row % lanes;
                    self.words[at] = (bits >> (16 * piece)) as u16;
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

/// `len` (1 to 64) bits of a row from `start`.
#[inline(always)]
fn bits(row: &[u64], start: usize, len: usize) -> u64 {
    let (block, shift) = (start / 64, start % 64);
    let mut bits = row[block] >> shift;
    if shift + len > 64 {
        bits |= row[block + 1] << (64 - shift);
    }
    bits & (u64::MAX >> (64 - len))
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
