//! The fast path: the recurrence over the elements that matter, on sixteen-bit backlogs.
//!
//! It leaves out elements that cannot matter:
//!
//! * Where weights are not skipped, all elements of a row that have an output take the same cycles
//!   for a chunk, and those without take none. The element of column 0 has an output whenever any
//!   of its row has. Times only grow with the cycles of a chunk, so column 0 is never earlier than
//!   the others: its column alone gives the layer's cycles. What was a row is then one element, and
//!   the groups of several rows remain one group. The same holds of row 0 where activations are
//!   not skipped.
//! * Where nothing is skipped, element (0, 0) stands for all.
//! * Rows and columns beyond the layer's pixels and output channels never have an output.

use crate::hardware::{Lanes, SyncGroup};
use crate::simulate::arrays::lanes::grid::{Grid, Sync};
use crate::simulate::arrays::lanes::masks::Masks;
use crate::simulate::arrays::lanes::{Sizes, chunk_cycles, chunks, lookahead};
use crate::tensor::Bitmap;

/// Memory of the fast path, to be reused from layer to layer.
#[derive(Clone, Default, Debug)]
pub struct LanesScratch {
    masks: Masks,
    costs: Vec<u16>,
    grid: Grid,
}

/// Whether every backlog of [`Grid`] fits its sixteen bits.
pub(super) fn backlog_fits(lanes: &Lanes, sizes: &Sizes) -> bool {
    let longest = chunk_cycles(lanes, lanes.chunk);
    longest.saturating_mul(lookahead(lanes, sizes) as u64) <= u64::from(u16::MAX)
}

/// The chunks of one group's bitmap.
pub(super) fn cut(map: &Bitmap, chunk: usize, lanes: usize) -> Masks {
    let mut masks = Masks::default();
    masks.fill(map, chunk, lanes);
    masks
}

/// Turns effectual pairs into cycles.
#[derive(Clone, Copy)]
struct Cost {
    empty: u16,
    /// `⌊x · reciprocal / 2^16⌋ = ⌊x / macs_per_cycle⌋` for x below 2^16 / `macs_per_cycle`.
    reciprocal: u32,
    round_up: u16,
}

impl Cost {
    /// Of a layer whose backlogs fit. A chunk has at most 64 pairs, so more multipliers are as good
    /// as 64.
    fn new(lanes: &Lanes) -> Self {
        let macs_per_cycle = lanes.macs_per_cycle.clamp(1, 64) as u32;
        Self {
            empty: u16::try_from(lanes.empty_chunk_cycles).unwrap_or(u16::MAX),
            reciprocal: (1_u32 << 16).div_ceil(macs_per_cycle),
            round_up: macs_per_cycle as u16 - 1,
        }
    }

    /// In place, for a line of elements that have an output.
    fn apply(self, line: &mut [u16]) {
        if self.round_up == 0 {
            line.iter_mut().for_each(|cost| *cost = self.empty.max(*cost));
            return;
        }
        for cost in line {
            let cycles = (u32::from(*cost + self.round_up) * self.reciprocal) >> 16;
            *cost = self.empty.max(cycles as u16);
        }
    }
}

/// The single row or column that is left where one operand is skipped.
pub(super) struct Line {
    /// Elements.
    lanes: usize,
    /// Rows of the operand's bitmaps.
    rows: usize,
    /// How many tiles follow each other with the same chunks, and how often all tiles come round.
    repeats: [usize; 2],
    sync: Sync,
    lookahead: usize,
}

impl Line {
    pub(super) fn activations(lanes: &Lanes, sizes: &Sizes) -> Self {
        Self {
            lanes: lanes.rows.min(sizes.pixels),
            rows: sizes.pixels,
            repeats: [1, sizes.channels.div_ceil(lanes.columns)],
            sync: match lanes.sync {
                SyncGroup::Element | SyncGroup::Row => Sync::Each,
                SyncGroup::Column | SyncGroup::Array => Sync::All,
            },
            lookahead: lookahead(lanes, sizes),
        }
    }

    pub(super) fn weights(lanes: &Lanes, sizes: &Sizes) -> Self {
        Self {
            lanes: lanes.columns.min(sizes.channels),
            rows: sizes.channels,
            repeats: [sizes.pixels.div_ceil(lanes.rows), 1],
            sync: match lanes.sync {
                SyncGroup::Element | SyncGroup::Column => Sync::Each,
                SyncGroup::Row | SyncGroup::Array => Sync::All,
            },
            lookahead: lookahead(lanes, sizes),
        }
    }

    /// Cycles from the bitmaps of the skipped operand by group.
    pub(super) fn cycles(&self, lanes: &Lanes, maps: &[Bitmap], scratch: &mut LanesScratch) -> u64 {
        let cost = Cost::new(lanes);
        let LanesScratch { masks, costs, grid } = scratch;
        grid.reset(1, self.lanes, self.sync, self.lookahead);
        for map in maps {
            masks.fill(map, lanes.chunk, self.lanes);
            let chunks = map.columns().div_ceil(lanes.chunk);
            let tiles = self.rows.div_ceil(self.lanes);
            costs.clear();
            costs.resize(tiles * chunks * self.lanes, 0);
            for (index, line) in costs.chunks_exact_mut(self.lanes).enumerate() {
                let tile = index / chunks;
                let used = self.lanes.min(self.rows - tile * self.lanes);
                for piece in masks.chunk(tile, index % chunks) {
                    for (cost, mask) in line[..used].iter_mut().zip(piece) {
                        *cost += mask.count_ones() as u16;
                    }
                }
                cost.apply(&mut line[..used]);
            }
            for _ in 0..self.repeats[1] {
                for tile in costs.chunks_exact(chunks * self.lanes) {
                    for _ in 0..self.repeats[0] {
                        for line in tile.chunks_exact(self.lanes) {
                            grid.send(line, self.sync, lanes.broadcast_interval);
                        }
                    }
                }
            }
        }
        grid.done().saturating_add(lanes.drain)
    }
}

/// Cycles where both operands are skipped. The outer lines of the grid are rows, or columns where
/// those are the sync groups.
pub(super) fn both_cycles(
    lanes: &Lanes,
    sizes: &Sizes,
    activations: &[Bitmap],
    weights: &[Masks],
    scratch: &mut LanesScratch,
) -> u64 {
    let (rows, columns) = (lanes.rows.min(sizes.pixels), lanes.columns.min(sizes.channels));
    let by_column = lanes.sync == SyncGroup::Column;
    let [outer, inner] = if by_column { [columns, rows] } else { [rows, columns] };
    let sync = match lanes.sync {
        SyncGroup::Element => Sync::Each,
        SyncGroup::Row | SyncGroup::Column => Sync::Line,
        SyncGroup::Array => Sync::All,
    };
    let [chunks, _] = chunks(lanes, sizes);
    let cost = Cost::new(lanes);
    let LanesScratch { masks, costs, grid } = scratch;
    grid.reset(outer, inner, sync, lookahead(lanes, sizes));
    for (map, weights) in activations.iter().zip(weights) {
        masks.fill(map, lanes.chunk, rows);
        for channel_tile in 0..sizes.channels.div_ceil(columns) {
            let used_columns = columns.min(sizes.channels - channel_tile * columns);
            for pixel_tile in 0..sizes.pixels.div_ceil(rows) {
                let used_rows = rows.min(sizes.pixels - pixel_tile * rows);
                costs.clear();
                costs.resize(outer * inner, 0);
                for chunk in 0..chunks {
                    let pixels = masks.chunk(pixel_tile, chunk).map(|piece| &piece[..used_rows]);
                    let channels =
                        weights.chunk(channel_tile, chunk).map(|piece| &piece[..used_columns]);
                    if by_column {
                        fill_costs(costs, inner, cost, channels, pixels);
                    } else {
                        fill_costs(costs, inner, cost, pixels, channels);
                    }
                    grid.send(costs, sync, lanes.broadcast_interval);
                }
            }
        }
    }
    grid.done().saturating_add(lanes.drain)
}

/// The cycles of one chunk for the elements of a grid with `inner` elements a line that have an
/// output: pairs by AND and popcount of the pieces, then cycles.
fn fill_costs<'a>(
    costs: &mut [u16],
    inner: usize,
    cost: Cost,
    outer_pieces: impl Iterator<Item = &'a [u16]>,
    inner_pieces: impl Iterator<Item = &'a [u16]>,
) {
    let mut used = [0, 0];
    for (index, (outer_masks, inner_masks)) in outer_pieces.zip(inner_pieces).enumerate() {
        used = [outer_masks.len(), inner_masks.len()];
        for (line, &outer_mask) in costs.chunks_exact_mut(inner).zip(outer_masks) {
            let pairs = inner_masks.iter().map(|mask| (mask & outer_mask).count_ones() as u16);
            for (cost, pairs) in line.iter_mut().zip(pairs) {
                *cost = if index == 0 { pairs } else { *cost + pairs };
            }
        }
    }
    for line in costs.chunks_exact_mut(inner).take(used[0]) {
        cost.apply(&mut line[..used[1]]);
    }
}
