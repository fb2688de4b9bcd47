//! The recurrence of the lanes family as it is defined, element by element: the specification of
//! the fast path, which it also stands in for where that cannot go.

use crate::hardware::{Lanes, SyncGroup};
use crate::simulate::arrays::lanes::{Sizes, Skip};
use crate::tensor::Bitmap;

/// Cycles of one image of a layer, from the nonzero bitmaps of both operands by group.
///
/// Chunks are numbered over groups, then tiles of output channels, then tiles of pixels in raster
/// order, then along the reduction. An element without an output in a tile receives nothing there.
pub fn reference_cycles(
    lanes: &Lanes,
    skip: Skip,
    sizes: &Sizes,
    activations: &[Bitmap],
    weights: &[Bitmap],
) -> u64 {
    let elements = lanes.rows * lanes.columns;
    let group_of = |element: usize| match lanes.sync {
        SyncGroup::Element => element,
        SyncGroup::Row => element / lanes.columns,
        SyncGroup::Column => element % lanes.columns,
        SyncGroup::Array => 0,
    };
    let chunks = sizes.reduction.div_ceil(lanes.chunk);
    let tiles = sizes.pixels.div_ceil(lanes.rows) * sizes.channels.div_ceil(lanes.columns);
    let lookahead = lanes.lookahead.min(sizes.groups * tiles * chunks).max(1);
    let mut done = vec![0; elements];
    let sync_groups = (0..elements).map(group_of).max().map_or(0, |last| last + 1);
    let mut sent = vec![None; sync_groups];
    // When the slowest member of each group finished each of the last `lookahead` chunks.
    let mut finished = vec![vec![0; sync_groups]; lookahead];
    let mut slot = 0;
    for group in 0..sizes.groups {
        for first_channel in (0..sizes.channels).step_by(lanes.columns) {
            for first_pixel in (0..sizes.pixels).step_by(lanes.rows) {
                for first in (0..sizes.reduction).step_by(lanes.chunk) {
                    let chunk = first..(first + lanes.chunk).min(sizes.reduction);
                    for (sent, &finished) in sent.iter_mut().zip(&finished[slot]) {
                        let next = sent.map_or(0, |sent: u64| sent + lanes.broadcast_interval);
                        *sent = Some(next.max(finished));
                    }
                    finished[slot].fill(0);
                    for element in 0..elements {
                        let pixel = first_pixel + element / lanes.columns;
                        let channel = first_channel + element % lanes.columns;
                        let pairs = |k: &usize| {
                            (!skip.activations || activations[group].get(pixel, *k))
                                && (!skip.weights || weights[group].get(channel, *k))
                        };
                        let cycles = if pixel < sizes.pixels && channel < sizes.channels {
                            let effectual = chunk.clone().filter(pairs).count();
                            let busy = effectual.div_ceil(lanes.macs_per_cycle) as u64;
                            busy.max(lanes.empty_chunk_cycles)
                        } else {
                            0
                        };
                        let sent = sent[group_of(element)].unwrap_or(0);
                        done[element] = sent.max(done[element]) + cycles;
                        let slowest = &mut finished[slot][group_of(element)];
                        *slowest = done[element].max(*slowest);
                    }
                    slot = (slot + 1) % lookahead;
                }
            }
        }
    }
    done.into_iter().max().unwrap_or(0) + lanes.drain
}
