//! The fast path of an array in one sync group that skips zeros of both operands, on backlogs of
//! eight bits: four rows of sixteen columns fill a vector.

#![allow(
    clippy::needless_range_loop,
    clippy::manual_memcpy,
    reason = "plain loops are inlined for any instruction set"
)]

use crate::hardware::{Lanes, SyncGroup};
use crate::kernels::{Bytes, Simd};
use crate::simulate::arrays::lanes::masks::{Chunk, PART};
use crate::simulate::arrays::lanes::{Sizes, chunk_cycles, lookahead};
use crate::tensor::Bitmap;

/// Memory of this path, to be reused from layer to layer.
#[derive(Clone, Default, Debug)]
pub(super) struct ByteScratch {
    masks: ByteMasks,
    columns: Vec<[[u32; PART]; 2]>,
    least: Vec<Bytes>,
    unit: Unit,
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
    let empty = lanes.empty_chunk_cycles as u8;
    let ByteScratch { masks, columns: wide, least, unit } = scratch;
    unit.reset(fours * column_parts, lookahead(lanes, sizes));
    for (map, weights) in activations.iter().zip(weights) {
        masks.fill(map, lanes.chunk, rows);
        for channel_tile in 0..sizes.channels.div_ceil(columns) {
            let used_columns = columns.min(sizes.channels - channel_tile * columns);
            widen(weights.tile(channel_tile), wide);
            let (mut first_pixel, mut rows_before) = (0, 0);
            while first_pixel < sizes.pixels {
                let used_rows = rows.min(sizes.pixels - first_pixel);
                if used_rows != rows_before {
                    least_cycles(least, [used_rows, used_columns], [fours, column_parts], empty);
                    rows_before = used_rows;
                }
                let tile = Tile {
                    pixels: masks.tile(first_pixel / rows),
                    channels: wide,
                    parts: [row_parts, column_parts],
                    least,
                };
                match [fours, column_parts] {
                    [4, 1] => unit.send_part::<4>(simd, &tile, lanes.broadcast_interval),
                    [1, 1] => unit.send_part::<1>(simd, &tile, lanes.broadcast_interval),
                    _ => unit.send(simd, &tile, lanes.broadcast_interval),
                }
                first_pixel += rows;
            }
        }
    }
    (unit.clock.sent + u64::from(unit.clock.slowest)).saturating_add(lanes.drain)
}

/// Chunk by chunk what the elements of a tile receive.
struct Tile<'a> {
    pixels: &'a [[[u8; PART]; 2]],
    channels: &'a [[[u32; PART]; 2]],
    /// Parts of the rows and of the columns.
    parts: [usize; 2],
    /// The fewest cycles of a chunk by element.
    least: &'a [Bytes],
}

/// The array as one sync unit.
#[derive(Clone, Default, Debug)]
struct Unit {
    /// Part of columns by part of columns, four rows by four.
    backlog: Vec<Bytes>,
    clock: Clock,
    /// When the slowest member finished each of the last `lookahead` chunks.
    finished: Vec<u64>,
}

#[derive(Clone, Copy, Default, Debug)]
struct Clock {
    /// When the last chunk was sent, and whether there was one.
    sent: u64,
    started: bool,
    /// The largest backlog.
    slowest: u8,
    /// Where the next chunk is noted as finished.
    slot: usize,
}

impl Clock {
    /// Sends the next chunk; how long after the last.
    #[inline(always)]
    fn send(&mut self, finished: &[u64], interval: u64) -> u8 {
        let wait = if self.started { interval } else { 0 };
        let next = self.sent.saturating_add(wait).max(finished[self.slot]);
        let elapsed = (next - self.sent).min(u8::MAX.into()) as u8;
        (self.sent, self.started) = (next, true);
        elapsed
    }

    /// Notes when it is finished.
    #[inline(always)]
    fn finish(&mut self, finished: &mut [u64], slowest: u8) {
        self.slowest = slowest;
        finished[self.slot] = self.sent + u64::from(slowest);
        self.slot = if self.slot + 1 == finished.len() { 0 } else { self.slot + 1 };
    }
}

impl Unit {
    fn reset(&mut self, vectors: usize, lookahead: usize) {
        self.backlog.clear();
        self.backlog.resize(vectors, [0; 64]);
        self.finished.clear();
        self.finished.resize(lookahead, 0);
        self.clock = Clock::default();
    }

    /// The chunks of a tile.
    #[inline(always)]
    fn send(&mut self, simd: impl Simd, tile: &Tile<'_>, interval: u64) {
        let [row_parts, column_parts] = tile.parts;
        let fours = self.backlog.len() / column_parts;
        for chunk in 0..tile.channels.len() / column_parts {
            let elapsed = self.clock.send(&self.finished, interval);
            let pixels = &tile.pixels[chunk * row_parts..][..row_parts];
            let mut slowest = [0; 64];
            for part in 0..column_parts {
                let channels = &tile.channels[chunk * column_parts + part];
                for four in 0..fours {
                    let (pixels, at) = (&pixels[four / 4], part * fours + four);
                    let cycles = cycles(simd, pixels, four % 4, channels, &tile.least[at]);
                    receive(&mut self.backlog[at], &cycles, elapsed, &mut slowest);
                }
            }
            self.clock.finish(&mut self.finished, simd.largest(&slowest));
        }
    }

    /// The same for `FOURS` times four rows, at most four, and one part of columns.
    #[inline(always)]
    fn send_part<const FOURS: usize>(&mut self, simd: impl Simd, tile: &Tile<'_>, interval: u64) {
        let (mut backlog, mut least) = ([[0; 64]; FOURS], [[0; 64]; FOURS]);
        for four in 0..FOURS {
            (backlog[four], least[four]) = (self.backlog[four], tile.least[four]);
        }
        let (mut clock, finished) = (self.clock, &mut self.finished[..]);
        let channels = tile.channels;
        let pixels = &tile.pixels[..channels.len()];
        for chunk in 0..channels.len() {
            let elapsed = clock.send(finished, interval);
            let mut slowest = [0; 64];
            for four in 0..FOURS {
                let cycles = cycles(simd, &pixels[chunk], four, &channels[chunk], &least[four]);
                receive(&mut backlog[four], &cycles, elapsed, &mut slowest);
            }
            clock.finish(finished, simd.largest(&slowest));
        }
        for four in 0..FOURS {
            self.backlog[four] = backlog[four];
        }
        self.clock = clock;
    }
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

/// Cycles of a chunk for four rows, the `four`-th of the part, and the columns of a part.
#[inline(always)]
fn cycles(
    simd: impl Simd,
    pixels: &[[u8; PART]; 2],
    four: usize,
    channels: &[[u32; PART]; 2],
    least: &Bytes,
) -> Bytes {
    let low = simd.common(four_bytes(&pixels[0], four), &channels[0]);
    let mut cycles = simd.common(four_bytes(&pixels[1], four), &channels[1]);
    for n in 0..64 {
        cycles[n] = (low[n] + cycles[n]).max(least[n]);
    }
    cycles
}

#[inline(always)]
fn four_bytes(bytes: &[u8; PART], index: usize) -> u32 {
    let b = &bytes[4 * index..][..4];
    u32::from_le_bytes([b[0], b[1], b[2], b[3]])
}

/// One chunk: `backlog ← max(backlog − elapsed, 0) + cycles`, and the largest so far.
#[inline(always)]
fn receive(backlog: &mut Bytes, cycles: &Bytes, elapsed: u8, slowest: &mut Bytes) {
    let mut state = *backlog;
    for n in 0..64 {
        state[n] = state[n].saturating_sub(elapsed) + cycles[n];
        slowest[n] = slowest[n].max(state[n]);
    }
    *backlog = state;
}
