//! Lanes: a grid of processing elements of which each computes one output word at a time, from
//! chunks of operands whose zeros it can skip.
//!
//! The recurrence is that of `docs/cycles.md`; [`reference_cycles`] is its plain form and `fast`
//! the one that runs.

mod bytes;
mod fast;
mod grid;
mod masks;
mod reference;

pub use fast::LanesScratch;
pub use reference::reference_cycles;

#[cfg(test)]
mod tests;

use bytes::{ByteMasks, array_cycles, backlog_fits_bytes};
use fast::{Line, backlog_fits, both_cycles, cut};
use masks::{Masks, PART};

use crate::error::{Error, Result};
use crate::hardware::{Lanes, Operand, SyncGroup, ZeroHandling, Zeros};
use crate::kernels::Simd;
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
    /// The same on backlogs of eight bits.
    Bytes(Vec<ByteMasks>),
    /// From both operands by [`reference_cycles`], as a backlog may exceed sixteen bits.
    Reference(Vec<Bitmap>),
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
    ) -> Result<Self> {
        let skip = Skip::from(zeros);
        let sizes = Sizes::from(&problem.geometry);
        check_lookahead(lanes, &sizes)?;
        let dense_cycles = dense_cycles(lanes, &sizes);
        let wide = !backlog_fits(lanes, &sizes);
        let cycles = match skip {
            Skip { activations: false, weights: false } => Cycles::Fixed(dense_cycles),
            Skip { activations: false, weights: true } if wide => {
                Cycles::Fixed(reference_cycles(lanes, skip, &sizes, &[], weights))
            }
            Skip { activations: false, weights: true } => {
                let line = Line::weights(lanes, &sizes);
                let scratch = &mut LanesScratch::default();
                Cycles::Fixed(line.cycles(lanes, weights, scratch))
            }
            _ if wide => Cycles::Reference(weights.to_vec()),
            Skip { activations: true, weights: false } => Cycles::Activations,
            Skip { activations: true, weights: true } if backlog_fits_bytes(lanes, &sizes) => {
                let columns = lanes.columns.min(sizes.channels);
                let cut = |map| ByteMasks::new(map, lanes.chunk, columns);
                Cycles::Bytes(weights.iter().map(cut).collect())
            }
            Skip { activations: true, weights: true } => {
                let columns = lanes.columns.min(sizes.channels);
                Cycles::Both(weights.iter().map(|map| cut(map, lanes.chunk, columns)).collect())
            }
        };
        Ok(Self {
            lanes: lanes.clone(),
            skip,
            sizes,
            problem: *problem,
            reduction_tiles,
            nonzero_weights: weights.iter().map(Bitmap::ones).sum(),
            dense_cycles,
            cycles,
        })
    }

    /// Cycles without zero-skipping.
    pub fn dense_cycles(&self) -> u64 {
        self.dense_cycles
    }

    /// Cycles of one image.
    #[inline(always)]
    pub(crate) fn cycles(
        &self,
        simd: impl Simd,
        activations: &[Bitmap],
        scratch: &mut LanesScratch,
    ) -> u64 {
        let Self { lanes, sizes, .. } = self;
        match &self.cycles {
            Cycles::Fixed(cycles) => *cycles,
            Cycles::Activations => {
                Line::activations(lanes, sizes).cycles(lanes, activations, scratch)
            }
            Cycles::Both(weights) => both_cycles(simd, lanes, sizes, activations, weights, scratch),
            Cycles::Bytes(weights) => {
                array_cycles(simd, lanes, sizes, activations, weights, &mut scratch.bytes)
            }
            Cycles::Reference(weights) => {
                reference_cycles(lanes, self.skip, sizes, activations, weights)
            }
        }
    }

    /// Counts one image with these pairs and multiply-accumulates.
    #[inline(always)]
    pub(crate) fn count(
        &self,
        simd: impl Simd,
        activations: &[Bitmap],
        pairs: &Pairs,
        macs: Macs,
        scratch: &mut LanesScratch,
    ) -> ArrayCounts {
        let (buffers, metadata_bits) = self.buffer_bits(pairs);
        ArrayCounts {
            cycles: self.cycles(simd, activations, scratch),
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
    #[inline(always)]
    fn buffer_bits(&self, pairs: &Pairs) -> (Accesses, u64) {
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
            activation_words = pairs.activation / channels;
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

/// Refuses a look-ahead whose times would take more than 128 MB to remember.
fn check_lookahead(lanes: &Lanes, sizes: &Sizes) -> Result<()> {
    // Those of a line are made up to whole vectors.
    let groups = match lanes.sync {
        SyncGroup::Element => (lanes.rows * lanes.columns).next_multiple_of(PART),
        SyncGroup::Row => lanes.rows.next_multiple_of(PART),
        SyncGroup::Column => lanes.columns.next_multiple_of(PART),
        SyncGroup::Array => 1,
    };
    let most = (1 << 24) / groups.max(1);
    if lookahead(lanes, sizes) <= most {
        return Ok(());
    }
    Err(Error::new(
        "array.lookahead",
        format_args!("{} chunks for each of {groups} sync groups are too many", lanes.lookahead),
    )
    .remedy(format_args!("use at most {most}, or larger sync groups")))
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
