//! The fast path of an array in one sync group that skips zeros of both operands, on backlogs of
//! eight bits: four rows of sixteen columns fill a vector.

#![allow(clippy::needless_range_loop, reason = "plain loops are inlined for any instruction set")]

use crate::hardware::{Lanes, SyncGroup};
use crate::kernels::{Bytes, Simd};
use crate::simulate::arrays::lanes::masks::{Chunk, PART};
use crate::simulate::arrays::lanes::{Sizes, chunk_cycles, chunks, lookahead};
use crate::tensor::Bitmap;

/// Memory of this path, to be reused from layer to layer.
#[derive(Clone, Default, Debug)]
pub(super) struct ByteScratch {
    masks: ByteMasks,
    columns: Vec<[[u32; PART]; 2]>,
    backlog: Vec<Bytes>,
    least: Vec<Bytes>,
    finished: Vec<u64>,
}

/// Whether the array is one that this path is for: chunks of at most two bytes, a multiplier an
/// element, and backlogs that fit eight bits. A backlog is at most `lookahead` times the cycles of
/// a chunk.
pub(super) fn backlog_fits_bytes(lanes: &Lanes, sizes: &Sizes) -> bool {
    let longest = chunk_cycles(lanes, lanes.chunk);
    lanes.sync == SyncGroup::Array
        && lanes.chunk <= 16
        && lanes.macs_per_cycle == 1
        && longest.saturating_mul(lookahead(lanes, sizes) as u64) <= u64::from(u8::MAX)
}

/// The chunks of one operand of one group by tile: for every tile of `lanes` rows of the bitmap,
/// every chunk and every [`PART`] of the lanes, the low and the high bytes of the chunk, each for
/// all lanes of the part. Lanes without a row hold zeros.
#[derive(Clone, Default, Debug)]
pub(super) struct ByteMasks {
    /// Parts of a tile.
    tile: usize,
    words: Vec<[[u8; PART]; 2]>,
}

impl ByteMasks {
    /// Of the chunks of `chunk` (1 to 16) columns of `map` and tiles of `lanes` rows.
    pub fn new(map: &Bitmap, chunk: usize, lanes: usize) -> Self {
        let mut masks = Self::default();
        masks.fill(map, chunk, lanes);
        masks
    }

    #[inline(always)]
    fn fill(&mut self, map: &Bitmap, chunk: usize, lanes: usize) {
        let (chunks, tiles) = (map.columns().div_ceil(chunk), map.rows().div_ceil(lanes));
        let parts = lanes.div_ceil(PART);
        self.tile = chunks * parts;
        self.words.resize(tiles * self.tile, [[0; PART]; 2]);
        for index in 0..chunks {
            let columns = Chunk::new(map, index, chunk);
            for tile in 0..tiles {
                for part in 0..parts {
                    let rows = lanes.min(map.rows() - tile * lanes);
                    let used = PART.min(rows.saturating_sub(part * PART));
                    let first = if used > 0 { tile * lanes + part * PART } else { 0 };
                    let bits = columns.rows(first, used);
                    let words = &mut self.words[tile * self.tile + index * parts + part];
                    for n in 0..PART {
                        words[0][n] = bits[n] as u8;
                    }
                    for n in 0..PART {
                        words[1][n] = (bits[n] >> 8) as u8;
                    }
                }
            }
        }
    }

    /// Chunk by chunk the parts of a tile.
    #[inline(always)]
    fn tile(&self, tile: usize) -> &[[[u8; PART]; 2]] {
        &self.words[tile * self.tile..][..self.tile]
    }
}

/// Cycles of one image.
///
/// An element's state is byte 4 · column + row of the vector of its four rows and sixteen columns.
#[inline(always)]
pub(super) fn array_cycles(
    simd: impl Simd,
    lanes: &Lanes,
    sizes: &Sizes,
    activations: &[Bitmap],
    weights: &[ByteMasks],
    scratch: &mut ByteScratch,
) -> u64 {
    let (rows, columns) = (lanes.rows.min(sizes.pixels), lanes.columns.min(sizes.channels));
    let (row_parts, column_parts) = (rows.div_ceil(PART), columns.div_ceil(PART));
    let fours = rows.div_ceil(4);
    let [chunks, _] = chunks(lanes, sizes);
    let empty = lanes.empty_chunk_cycles as u8;
    let ByteScratch { masks, columns: wide, backlog, least, finished } = scratch;
    backlog.clear();
    backlog.resize(fours * column_parts, [0; 64]);
    finished.clear();
    finished.resize(lookahead(lanes, sizes), 0);
    let (mut sent, mut wait, mut slot, mut slowest) = (0_u64, 0, 0, 0);
    for (map, weights) in activations.iter().zip(weights) {
        masks.fill(map, lanes.chunk, rows);
        for channel_tile in 0..sizes.channels.div_ceil(columns) {
            let used_columns = columns.min(sizes.channels - channel_tile * columns);
            widen(weights.tile(channel_tile), wide);
            let mut first_pixel = 0;
            while first_pixel < sizes.pixels {
                let used_rows = rows.min(sizes.pixels - first_pixel);
                let pixels = masks.tile(first_pixel / rows);
                least_cycles(least, [used_rows, used_columns], [fours, column_parts], empty);
                for chunk in 0..chunks {
                    let next = sent.saturating_add(wait).max(finished[slot]);
                    let elapsed = (next - sent).min(u8::MAX.into()) as u8;
                    (sent, wait) = (next, lanes.broadcast_interval);
                    let pixels = &pixels[chunk * row_parts..][..row_parts];
                    let channels = &wide[chunk * column_parts..][..column_parts];
                    slowest = receive(simd, backlog, least, pixels, channels, elapsed);
                    finished[slot] = sent + u64::from(slowest);
                    slot = if slot + 1 == finished.len() { 0 } else { slot + 1 };
                }
                first_pixel += rows;
            }
        }
    }
    (sent + u64::from(slowest)).saturating_add(lanes.drain)
}

/// Repeats every byte of the columns' chunks for four rows.
#[inline(always)]
fn widen(parts: &[[[u8; PART]; 2]], wide: &mut Vec<[[u32; PART]; 2]>) {
    wide.resize(parts.len(), [[0; PART]; 2]);
    for part in 0..parts.len() {
        for half in 0..2 {
            let (words, wide) = (&parts[part][half], &mut wide[part][half]);
            for n in 0..PART {
                wide[n] = u32::from(words[n]) * 0x0101_0101;
            }
        }
    }
}

/// The fewest cycles of a chunk by element: none where there is no output.
#[inline(always)]
fn least_cycles(
    least: &mut Vec<Bytes>,
    [rows, columns]: [usize; 2],
    [fours, parts]: [usize; 2],
    empty: u8,
) {
    least.resize(fours * parts, [0; 64]);
    for part in 0..parts {
        for four in 0..fours {
            let least = &mut least[part * fours + four];
            let columns = PART.min(columns.saturating_sub(part * PART));
            let mut of_rows = [0; 4];
            for row in 0..4 {
                of_rows[row] = if 4 * four + row < rows { empty } else { 0 };
            }
            let of_rows = u32::from_le_bytes(of_rows);
            for column in 0..PART {
                let cycles = if column < columns { of_rows } else { 0 };
                let cycles = cycles.to_le_bytes();
                for row in 0..4 {
                    least[4 * column + row] = cycles[row];
                }
            }
        }
    }
}

/// One chunk: `backlog ← max(backlog − elapsed, 0) + cycles`; the largest.
#[inline(always)]
fn receive(
    simd: impl Simd,
    backlog: &mut [Bytes],
    least: &[Bytes],
    pixels: &[[[u8; PART]; 2]],
    channels: &[[[u32; PART]; 2]],
    elapsed: u8,
) -> u8 {
    let mut slowest = [0; 64];
    let fours = backlog.len() / channels.len();
    for part in 0..channels.len() {
        let [low_channels, high_channels] = &channels[part];
        let backlog = &mut backlog[part * fours..][..fours];
        let least = &least[part * fours..][..fours];
        for four in 0..backlog.len() {
            let [low_pixels, high_pixels] = &pixels[four / 4];
            let low = simd.common(four_bytes(low_pixels, four % 4), low_channels);
            let high = simd.common(four_bytes(high_pixels, four % 4), high_channels);
            let (mut state, least) = (backlog[four], &least[four]);
            for n in 0..64 {
                state[n] = state[n].saturating_sub(elapsed) + (low[n] + high[n]).max(least[n]);
                slowest[n] = slowest[n].max(state[n]);
            }
            backlog[four] = state;
        }
    }
    let mut largest = 0;
    for n in 0..64 {
        largest = slowest[n].max(largest);
    }
    largest
}

#[inline(always)]
fn four_bytes(bytes: &[u8; PART], index: usize) -> u32 {
    let b = &bytes[4 * index..][..4];
    u32::from_le_bytes([b[0], b[1], b[2], b[3]])
}
