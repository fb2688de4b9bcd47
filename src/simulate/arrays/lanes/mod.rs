//! Lanes: a grid of processing elements of which each computes one output word at a time, from
//! chunks of operands whose zeros it can skip.
//!
//! The recurrence is that of `docs/cycles.md`; [`reference_cycles`] is its plain form. The fast
//! path leaves out elements that cannot matter:
//!
//! * Where weights are not skipped, all elements of a row that have an output take the same cycles
//!   for a chunk, and those without take none. The element of column 0 has an output whenever any
//!   of its row has. Times only grow with the cycles of a chunk, so column 0 is never earlier than
//!   the others: its column alone gives the layer's cycles. What was a row is then one element, and
//!   the groups of several rows remain one group. The same holds of row 0 where activations are
//!   not skipped.
//! * Where nothing is skipped, element (0, 0) stands for all.
//! * Rows and columns beyond the layer's pixels and output channels never have an output.

mod grid;
mod masks;
mod reference;

pub use reference::reference_cycles;

#[cfg(test)]
mod tests;

use grid::{Grid, Sync};
use masks::Masks;

use crate::hardware::{Lanes, Operand, SyncGroup, ZeroHandling, Zeros};
use crate::mapping::{Accesses, LayerProblem};
use crate::simulate::Macs;
use crate::simulate::arrays::{ArrayCounts, Pairs};
use crate::tensor::{Bitmap, ConvGeometry};

/// Which zero operands are skipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Skip {
    /// Zero activations.
    pub activations: bool,
    /// Zero weights.
    pub weights: bool,
}

/// The sizes of a layer as the lanes see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes {
    /// Groups.
    pub groups: usize,
    /// Output pixels.
    pub pixels: usize,
    /// Output channels of a group.
    pub channels: usize,
    /// Reduction length.
    pub reduction: usize,
}

/// A layer on a lane array.
#[derive(Clone, Debug)]
pub struct LanesModel {
    lanes: Lanes,
    skip: Skip,
    sizes: Sizes,
    problem: LayerProblem,
    reduction_tiles: u64,
    /// Nonzero weights.
    nonzero_weights: u64,
    dense_cycles: u64,
    cycles: Cycles,
}

/// Where a layer's cycles come from.
#[derive(Clone, Debug)]
enum Cycles {
    /// They do not depend on the activations.
    Fixed(u64),
    /// From the activations alone.
    Activations,
    /// From both operands; the weights' chunks by group.
    Both(Vec<Masks>),
    /// From both operands by [`reference_cycles`], as a backlog may exceed sixteen bits.
    Reference(Vec<Bitmap>),
}

/// Memory of the fast path, to be reused from layer to layer.
#[derive(Clone, Default, Debug)]
pub struct LanesScratch {
    masks: Masks,
    costs: Vec<u16>,
    grid: Grid,
}

impl From<&ConvGeometry> for Sizes {
    fn from(geometry: &ConvGeometry) -> Self {
        Self {
            groups: geometry.groups,
            pixels: geometry.pixels(),
            channels: geometry.group_outputs(),
            reduction: geometry.reduction(),
        }
    }
}

impl From<Zeros> for Skip {
    fn from(zeros: Zeros) -> Self {
        Self {
            activations: zeros.activations == ZeroHandling::Skip,
            weights: zeros.weights == ZeroHandling::Skip,
        }
    }
}

impl LanesModel {
    /// `problem` on `lanes`; see [`super::ArrayModel::new`] for the other arguments.
    pub fn new(
        problem: &LayerProblem,
        lanes: &Lanes,
        zeros: Zeros,
        weights: &[Bitmap],
        reduction_tiles: u64,
    ) -> Self {
        let skip = Skip::from(zeros);
        let sizes = Sizes::from(&problem.geometry);
        let dense_cycles = dense_cycles(lanes, &sizes);
        let wide = !backlog_fits(lanes, &sizes);
        let cycles = match skip {
            Skip { activations: false, weights: false } => Cycles::Fixed(dense_cycles),
            Skip { activations: false, weights: true } if wide => {
                Cycles::Fixed(reference_cycles(lanes, skip, &sizes, &[], weights))
            }
            Skip { activations: false, weights: true } => {
                let line = Line::weights(lanes, &sizes);
                Cycles::Fixed(line.cycles(lanes, weights, &mut LanesScratch::default()))
            }
            _ if wide => Cycles::Reference(weights.to_vec()),
            Skip { activations: true, weights: false } => Cycles::Activations,
            Skip { activations: true, weights: true } => {
                let columns = lanes.columns.min(sizes.channels);
                Cycles::Both(weights.iter().map(|map| cut(map, lanes.chunk, columns)).collect())
            }
        };
        Self {
            lanes: lanes.clone(),
            skip,
            sizes,
            problem: *problem,
            reduction_tiles,
            nonzero_weights: weights.iter().map(Bitmap::ones).sum(),
            dense_cycles,
            cycles,
        }
    }

    /// Cycles without zero-skipping.
    pub fn dense_cycles(&self) -> u64 {
        self.dense_cycles
    }

    /// Cycles of one image.
    pub fn cycles(&self, activations: &[Bitmap], scratch: &mut LanesScratch) -> u64 {
        let Self { lanes, sizes, .. } = self;
        match &self.cycles {
            Cycles::Fixed(cycles) => *cycles,
            Cycles::Activations => {
                Line::activations(lanes, sizes).cycles(lanes, activations, scratch)
            }
            Cycles::Both(weights) => both_cycles(lanes, sizes, activations, weights, scratch),
            Cycles::Reference(weights) => {
                reference_cycles(lanes, self.skip, sizes, activations, weights)
            }
        }
    }

    /// Counts one image with these pairs and multiply-accumulates.
    pub fn count(
        &self,
        activations: &[Bitmap],
        pairs: &Pairs,
        macs: Macs,
        scratch: &mut LanesScratch,
    ) -> ArrayCounts {
        let (buffers, metadata_bits) = self.buffer_bits(activations);
        ArrayCounts {
            cycles: self.cycles(activations, scratch),
            macs,
            buffers,
            register_bits: self.register_bits(pairs, macs),
            metadata_bits,
        }
    }

    /// Bits read from and written to the buffers, and bits of bitmaps read.
    ///
    /// A chunk of activations is read once per row and tile of output channels and broadcast along
    /// the row, one of weights once per column and tile of pixels. An operand that is skipped is
    /// stored with its bitmap: its nonzero words are read, and `chunk` bits of metadata.
    fn buffer_bits(&self, activations: &[Bitmap]) -> (Accesses, u64) {
        let (sizes, bits) = (&self.sizes, &self.problem.bits);
        let [groups, pixels, channels, reduction] =
            [sizes.groups, sizes.pixels, sizes.channels, sizes.reduction].map(|s| s as u64);
        let channel_tiles = channels.div_ceil(self.lanes.columns as u64);
        let pixel_tiles = pixels.div_ceil(self.lanes.rows as u64);
        let bitmap = reduction.next_multiple_of(self.lanes.chunk as u64);
        let [mut activation_words, mut weight_words] =
            [pixels, channels].map(|s| groups * s * reduction);
        let mut metadata = 0;
        if self.skip.activations {
            activation_words = activations.iter().map(Bitmap::ones).sum();
            metadata += groups * pixels * bitmap * channel_tiles;
        }
        if self.skip.weights {
            weight_words = self.nonzero_weights;
            metadata += groups * channels * bitmap * pixel_tiles;
        }
        let biases = groups * channels * u64::from(bits.bias);
        let outputs = groups * pixels * channels;
        let read_back = outputs * (self.reduction_tiles - 1) * u64::from(bits.accumulator);
        let mut buffers = Accesses::default();
        buffers.read_bits[Operand::Ifmap.index()] =
            activation_words * channel_tiles * u64::from(bits.activations);
        buffers.read_bits[Operand::Weights.index()] =
            (weight_words * u64::from(bits.weights) + biases) * pixel_tiles;
        buffers.read_bits[Operand::Ofmap.index()] = read_back;
        buffers.write_bits[Operand::Ofmap.index()] = read_back + outputs * u64::from(bits.output);
        (buffers, metadata)
    }

    /// Bits of register traffic: an element latches the words that arrive, reads the operands of
    /// the multiply-accumulates that it executes, and reads and writes its accumulator, which is
    /// set before and read after each output word.
    fn register_bits(&self, pairs: &Pairs, macs: Macs) -> u64 {
        let bits = &self.problem.bits;
        let [activation, weight, accumulator] =
            [bits.activations, bits.weights, bits.accumulator].map(u64::from);
        let arriving = |skipped: bool, nonzero: u64| if skipped { nonzero } else { pairs.total };
        arriving(self.skip.activations, pairs.activation) * activation
            + arriving(self.skip.weights, pairs.weight) * weight
            + macs.effectual * (activation + weight + 2 * accumulator)
            + 2 * self.problem.geometry.output.len() as u64 * accumulator
    }
}

/// Cycles of a chunk with `effectual` pairs.
fn chunk_cycles(lanes: &Lanes, effectual: usize) -> u64 {
    (effectual.div_ceil(lanes.macs_per_cycle) as u64).max(lanes.empty_chunk_cycles)
}

/// Chunks of one reduction and of the whole layer.
fn chunks(lanes: &Lanes, sizes: &Sizes) -> [usize; 2] {
    let chunks = sizes.reduction.div_ceil(lanes.chunk);
    let tiles = sizes.pixels.div_ceil(lanes.rows) * sizes.channels.div_ceil(lanes.columns);
    [chunks, sizes.groups * tiles * chunks]
}

/// Chunks that an element may lag behind: never more than there are.
fn lookahead(lanes: &Lanes, sizes: &Sizes) -> usize {
    lanes.lookahead.min(chunks(lanes, sizes)[1]).max(1)
}

/// Whether every backlog of [`Grid`] fits its sixteen bits.
fn backlog_fits(lanes: &Lanes, sizes: &Sizes) -> bool {
    let longest = chunk_cycles(lanes, lanes.chunk);
    longest.saturating_mul(lookahead(lanes, sizes) as u64) <= u64::from(u16::MAX)
}

/// Cycles if nothing is skipped: those of element (0, 0), which has an output in every tile.
///
/// Where every chunk takes at least the broadcast interval the element is always busy; where none
/// takes longer it always waits for the next broadcast. Only the last chunk of a reduction differs
/// in length, so that anything else is the recurrence over one element.
fn dense_cycles(lanes: &Lanes, sizes: &Sizes) -> u64 {
    let [per_reduction, total] = chunks(lanes, sizes);
    let Some(before) = total.checked_sub(1) else { return lanes.drain };
    let last = sizes.reduction - (per_reduction - 1) * lanes.chunk;
    let [whole, last] =
        [lanes.chunk.min(sizes.reduction), last].map(|len| chunk_cycles(lanes, len));
    let interval = lanes.broadcast_interval;
    let tiles = total / per_reduction;
    let cycles = if last >= interval {
        tiles as u64 * ((per_reduction as u64 - 1) * whole + last)
    } else if whole <= interval {
        (before as u64).saturating_mul(interval).saturating_add(last)
    } else {
        let lookahead = lookahead(lanes, sizes);
        let mut finished = vec![0; lookahead];
        let (mut sent, mut done) = (0, 0);
        for chunk in 0..total {
            let slot = &mut finished[chunk % lookahead];
            sent = (sent + if chunk == 0 { 0 } else { interval }).max(*slot);
            done = sent.max(done) + if (chunk + 1) % per_reduction == 0 { last } else { whole };
            *slot = done;
        }
        done
    };
    cycles.saturating_add(lanes.drain)
}

fn cut(map: &Bitmap, chunk: usize, lanes: usize) -> Masks {
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
struct Line {
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
    fn activations(lanes: &Lanes, sizes: &Sizes) -> Self {
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

    fn weights(lanes: &Lanes, sizes: &Sizes) -> Self {
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
    fn cycles(&self, lanes: &Lanes, maps: &[Bitmap], scratch: &mut LanesScratch) -> u64 {
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
fn both_cycles(
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
