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

#![allow(
    clippy::needless_range_loop,
    clippy::manual_memcpy,
    reason = "plain loops are inlined for any instruction set"
)]

use crate::hardware::{Lanes, SyncGroup};
use crate::kernels::{Halves, Simd};
use crate::simulate::arrays::lanes::bytes::ByteScratch;
use crate::simulate::arrays::lanes::grid::{Grid, Sync};
use crate::simulate::arrays::lanes::masks::{Chunk, Masks, PART};
use crate::simulate::arrays::lanes::{Sizes, chunk_cycles, chunks, lookahead};
use crate::tensor::Bitmap;

/// Memory of the fast path, to be reused from layer to layer.
#[derive(Clone, Default, Debug)]
pub struct LanesScratch {
    masks: Masks,
    costs: Vec<u16>,
    grid: Grid,
    pub(super) bytes: ByteScratch,
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
    #[inline(always)]
    fn apply(self, line: &mut [u16]) {
        if self.round_up != 0 {
            for n in 0..line.len() {
                line[n] = ((u32::from(line[n] + self.round_up) * self.reciprocal) >> 16) as u16;
            }
        }
        for n in 0..line.len() {
            line[n] = self.empty.max(line[n]);
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
    #[inline(always)]
    pub(super) fn cycles(&self, lanes: &Lanes, maps: &[Bitmap], scratch: &mut LanesScratch) -> u64 {
        let cost = Cost::new(lanes);
        let LanesScratch { costs, grid, .. } = scratch;
        // Elements that are added never have an output.
        grid.reset(1, self.lanes.next_multiple_of(PART), self.sync, self.lookahead);
        // Lines are read in whole parts.
        let pitch = self.rows + PART;
        // A single element is always busy where every chunk takes at least the broadcast interval.
        let always_busy = self.lanes == 1 && lanes.broadcast_interval <= lanes.empty_chunk_cycles;
        let mut busy = 0;
        for map in maps {
            let chunks = map.columns().div_ceil(lanes.chunk);
            costs.resize(chunks * pitch, 0);
            for chunk in 0..chunks {
                let costs = &mut costs[chunk * pitch..][..self.rows];
                Chunk::new(map, chunk, lanes.chunk).ones(costs);
                cost.apply(costs);
                if always_busy {
                    for row in 0..costs.len() {
                        busy += u64::from(costs[row]);
                    }
                }
            }
            if always_busy {
                continue;
            }
            grid.begin_passes();
            for pass in 0..self.repeats[1] {
                let tiles = [pitch, self.lanes];
                grid.send_tiles(costs, tiles, self.repeats[0], lanes.broadcast_interval);
                let left = self.repeats[1] - pass - 1;
                if left > 0 && grid.repeat(left) {
                    break;
                }
            }
        }
        let passes = (self.repeats[0] * self.repeats[1]) as u64;
        let done = if always_busy { busy.saturating_mul(passes) } else { grid.done() };
        done.saturating_add(lanes.drain)
    }
}

/// Cycles where both operands are skipped. The outer lines of the grid are rows, or columns where
/// those are the sync groups.
#[inline(always)]
pub(super) fn both_cycles(
    simd: impl Simd,
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
    let pieces = lanes.chunk.div_ceil(16);
    let cost = Cost::new(lanes);
    let whole = cost.round_up == 0;
    let LanesScratch { masks, costs, grid, .. } = scratch;
    grid.reset(outer, inner, sync, lookahead(lanes, sizes));
    for (map, weights) in activations.iter().zip(weights) {
        masks.fill(map, lanes.chunk, rows);
        for channel_tile in 0..sizes.channels.div_ceil(columns) {
            let used_columns = columns.min(sizes.channels - channel_tile * columns);
            for pixel_tile in 0..sizes.pixels.div_ceil(rows) {
                let used_rows = rows.min(sizes.pixels - pixel_tile * rows);
                let [used_outer, used_inner] = match by_column {
                    true => [used_columns, used_rows],
                    false => [used_rows, used_columns],
                };
                for chunk in 0..chunks {
                    let pixels = masks.words(pixel_tile, chunk);
                    let channels = weights.words(channel_tile, chunk);
                    let [outer_words, inner_words] = match by_column {
                        true => [channels, pixels],
                        false => [pixels, channels],
                    };
                    let pairs = PairsOfChunk { pieces, outer: outer_words, inner: inner_words };
                    if sync == Sync::Each {
                        costs.clear();
                        costs.resize(outer * inner, 0);
                        for line in 0..used_outer {
                            for first in (0..inner).step_by(PART) {
                                let len = PART.min(inner - first);
                                let of_part = pairs.costs(simd, line, first, used_inner, cost);
                                let costs = &mut costs[line * inner + first..][..len];
                                for n in 0..len {
                                    costs[n] = of_part[n];
                                }
                            }
                        }
                        grid.send(costs, lanes.broadcast_interval);
                        continue;
                    }
                    grid.begin(lanes.broadcast_interval);
                    for unit in 0..grid.units() {
                        let (backlog, elapsed) = grid.unit(unit);
                        let slowest = if whole && pieces == 1 && [inner, used_inner] == [PART; 2] {
                            let outer = &outer_words[unit.min(used_outer)..used_outer];
                            let backlog = backlog.as_chunks_mut::<PART>().0;
                            let inner = part(inner_words);
                            whole_lines(simd, backlog, outer, &inner, elapsed, cost.empty)
                        } else {
                            let mut slowest = [0; PART];
                            for line in 0..backlog.len() / inner {
                                let used = if unit + line < used_outer { used_inner } else { 0 };
                                let mut first = 0;
                                while first < inner {
                                    let len = PART.min(inner - first);
                                    let backlog = &mut backlog[line * inner + first..][..len];
                                    let costs = pairs.costs(simd, unit + line, first, used, cost);
                                    receive(backlog, &costs, elapsed, &mut slowest);
                                    first += PART;
                                }
                            }
                            largest(&slowest)
                        };
                        grid.received(unit, slowest);
                    }
                    grid.finish();
                }
            }
        }
    }
    grid.done().saturating_add(lanes.drain)
}

/// Cycles of a chunk for neighbours of a line.
type Costs = Halves;

/// One chunk of both operands: pieces with a word for every outer line and for every element of a
/// line.
struct PairsOfChunk<'a> {
    pieces: usize,
    outer: &'a [u16],
    inner: &'a [u16],
}

impl PairsOfChunk<'_> {
    /// Cycles of the elements of outer line `line` from `first` on: pairs by AND and popcount of
    /// the pieces, then cycles. Those from `used` on have no output and take none.
    #[inline(always)]
    fn costs(&self, simd: impl Simd, line: usize, first: usize, used: usize, cost: Cost) -> Costs {
        let mut costs = [0; PART];
        if first >= used {
            return costs;
        }
        let (outer, inner) = (self.outer.len() / self.pieces, self.inner.len() / self.pieces);
        for piece in 0..self.pieces {
            let mask = self.outer[piece * outer + line];
            let words = &self.inner[piece * inner..][..inner][first..];
            let mut pairs = part(words);
            for n in 0..PART {
                pairs[n] &= mask;
            }
            let ones = simd.ones(pairs);
            for n in 0..PART {
                costs[n] += ones[n];
            }
        }
        match used - first >= PART {
            true => cost.apply(&mut costs),
            false => cost.apply(&mut costs[..used - first]),
        }
        costs
    }
}

/// One chunk of one piece for lines of [`PART`] elements with a multiplier each; the largest backlog.
/// Lines beyond `outer` have no output.
#[inline(always)]
fn whole_lines(
    simd: impl Simd,
    backlog: &mut [Costs],
    outer: &[u16],
    inner: &Costs,
    elapsed: u16,
    empty: u16,
) -> u16 {
    let used = outer.len().min(backlog.len());
    let (busy, idle) = backlog.split_at_mut(used);
    let outer = &outer[..busy.len()];
    // Two at a time, as each maximum waits for the one before.
    let (mut even, mut odd) = ([0; PART], [0; PART]);
    let pairs = busy.len() / 2;
    for pair in 0..pairs {
        whole_line(simd, &mut busy[2 * pair], outer[2 * pair], inner, elapsed, empty, &mut even);
        let line = 2 * pair + 1;
        whole_line(simd, &mut busy[line], outer[line], inner, elapsed, empty, &mut odd);
    }
    for line in 2 * pairs..busy.len() {
        whole_line(simd, &mut busy[line], outer[line], inner, elapsed, empty, &mut even);
    }
    for line in 0..idle.len() {
        let state = &mut idle[line];
        for n in 0..PART {
            state[n] = state[n].saturating_sub(elapsed);
            odd[n] = odd[n].max(state[n]);
        }
    }
    for n in 0..PART {
        even[n] = even[n].max(odd[n]);
    }
    largest(&even)
}

#[inline(always)]
fn whole_line(
    simd: impl Simd,
    backlog: &mut Costs,
    outer: u16,
    inner: &Costs,
    elapsed: u16,
    empty: u16,
    slowest: &mut Costs,
) {
    let mut costs = [0; PART];
    for n in 0..PART {
        costs[n] = inner[n] & outer;
    }
    let costs = simd.ones(costs);
    let mut state = *backlog;
    for n in 0..PART {
        state[n] = state[n].saturating_sub(elapsed) + costs[n].max(empty);
        slowest[n] = slowest[n].max(state[n]);
    }
    *backlog = state;
}

/// The first words, and zeros where there are none.
#[inline(always)]
fn part(words: &[u16]) -> Costs {
    let mut part = [0; PART];
    if words.len() >= PART {
        let words = &words[..PART];
        for n in 0..PART {
            part[n] = words[n];
        }
    } else {
        for n in 0..words.len() {
            part[n] = words[n];
        }
    }
    part
}

#[inline(always)]
fn largest(words: &Costs) -> u16 {
    let mut largest = 0;
    for n in 0..PART {
        largest = words[n].max(largest);
    }
    largest
}

/// One chunk for elements of a line: `backlog ← max(backlog − elapsed, 0) + cost`, and the largest
/// so far.
#[inline(always)]
fn receive(backlog: &mut [u16], costs: &Costs, elapsed: u16, slowest: &mut Costs) {
    if backlog.len() == PART {
        let backlog = &mut backlog[..PART];
        for n in 0..PART {
            backlog[n] = backlog[n].saturating_sub(elapsed) + costs[n];
            slowest[n] = backlog[n].max(slowest[n]);
        }
    } else {
        for n in 0..backlog.len() {
            backlog[n] = backlog[n].saturating_sub(elapsed) + costs[n];
            slowest[n] = backlog[n].max(slowest[n]);
        }
    }
}
