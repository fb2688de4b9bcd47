//! The search for a layer's tiling.

use crate::error::{Error, Result};
use crate::hardware::{Array, Dataflow, Hardware};
use crate::kernels::Axis;
use crate::mapping::tile::{aligned_ladder, halves, ladder};
use crate::mapping::traffic::{Layer, Patch, Trips};
use crate::mapping::{Accesses, Buffers, LayerProblem, Schedule, Tile, TileLoop};

/// How a layer runs: its tiles, their order, and what follows from them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Mapping {
    /// The tile sizes.
    pub tile: Tile,
    /// The axis along which the reduction is cut into tiles.
    pub reduction_axis: Axis,
    /// Tiles of one reduction.
    pub reduction_tiles: u64,
    /// The loops over the tiles of a group, outermost first; the loop over groups is outside.
    pub order: [TileLoop; 3],
    /// DRAM traffic.
    pub traffic: Accesses,
    /// When the tiles move.
    pub schedule: Schedule,
}

/// Maps the layer `layer` onto `hardware`: the tiles and loop order, among those that fit the
/// buffers and realise the accumulation order, with the least DRAM traffic, then the least latency
/// (array passes of the tiles and stalls), then the fewest tiles, then the first in the order of
/// the search. The reduction is cut only where that saves DRAM traffic, because every cut sends
/// partial sums through the ofmap buffer.
///
/// Tile sizes are tried on ladders of near-halves and near-thirds of each extent. A layer whose
/// smallest tile does not fit is an error.
pub fn map(layer: &str, problem: &LayerProblem, hardware: &Hardware) -> Result<Mapping> {
    let search = Search::new(problem, hardware)?;
    match search.best(problem) {
        Some(Candidate { mapping, .. }) => Ok(mapping),
        None => Err(search.refuse(layer)),
    }
}

/// Output channels that the array takes side by side.
pub(super) fn channel_unit(array: &Array) -> usize {
    match array {
        Array::Systolic(array) if array.dataflow == Dataflow::InputStationary => 1,
        Array::Systolic(array) => array.columns,
        Array::Lanes(lanes) => lanes.columns,
    }
}

pub(super) struct Search<'a> {
    pub(super) layer: Layer<'a>,
    buffers: Buffers,
    array: &'a Array,
}

/// A mapping with what it is judged by.
pub(super) struct Candidate {
    traffic_bits: u64,
    pub(super) latency: u64,
    pub(super) mapping: Mapping,
}

impl Candidate {
    pub(super) fn key(&self) -> (u64, u64, u64, u64) {
        let Mapping { reduction_tiles, schedule, .. } = &self.mapping;
        (self.traffic_bits, *reduction_tiles, self.latency, schedule.steps())
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(problem: &'a LayerProblem, hardware: &'a Hardware) -> Result<Self> {
        let layer = Layer::new(problem, hardware);
        Ok(Self { layer, array: &hardware.array, buffers: Buffers::new(hardware)? })
    }

    fn best(&self, problem: &LayerProblem) -> Option<Candidate> {
        let mut best = None;
        self.visit(problem, |tile, patch| self.consider(tile, patch, &mut best));
        best
    }

    /// Shows every tile in the order of the search; where `fits` is false, larger ones are left
    /// out.
    pub(super) fn visit(&self, problem: &LayerProblem, mut fits: impl FnMut(Tile, &Patch) -> bool) {
        let geometry = &problem.geometry;
        let reductions = self.layer.cut.candidates();
        let rows = ladder(geometry.output.height);
        let columns = halves(geometry.output.width);
        let channels = aligned_ladder(geometry.group_outputs(), channel_unit(self.array));
        let groups = ladder(geometry.groups);
        for &reduction in &reductions {
            let along = |axis, tiles: &[usize]| -> Vec<_> {
                tiles.iter().map(|&t| (t, self.layer.coverage(axis, t, reduction))).collect()
            };
            let (rows, columns) = (along(0, &rows), along(1, &columns));
            for &(rows, row_coverage) in &rows {
                for &(columns, column_coverage) in &columns {
                    let patch = Patch { rows: row_coverage, columns: column_coverage };
                    for &channels in &channels {
                        let tile = Tile { groups: 1, rows, columns, channels, reduction };
                        if !fits(tile, &patch) {
                            continue;
                        }
                        // Several groups at a time, once one is whole.
                        let whole =
                            reduction == reductions[0] && channels == geometry.group_outputs();
                        for &groups in groups.iter().filter(|&&groups| whole && groups > 1) {
                            fits(Tile { groups, ..tile }, &patch);
                        }
                    }
                }
            }
        }
    }

    /// Keeps the best order of `tile` if it beats `best`; false if the tile does not fit.
    fn consider(&self, tile: Tile, patch: &Patch, best: &mut Option<Candidate>) -> bool {
        if !self.buffers.fit(self.layer.tile_bits(&tile, patch)) {
            return false;
        }
        let trips = self.layer.trips(&tile);
        let compute = self.layer.array_cycles(&tile, &trips, self.array);
        for &order in trips.orders() {
            let traffic = self.layer.traffic(patch, &trips, &order);
            if best.as_ref().is_some_and(|best| best.traffic_bits < traffic.total_bits()) {
                continue;
            }
            let candidate = self.candidate(tile, &trips, order, traffic, compute);
            if best.as_ref().is_none_or(|best| candidate.key() < best.key()) {
                *best = Some(candidate);
            }
        }
        true
    }

    /// A tiling with its schedule; `compute` are the array's cycles.
    pub(super) fn candidate(
        &self,
        tile: Tile,
        trips: &Trips,
        order: [TileLoop; 3],
        traffic: Accesses,
        compute: u64,
    ) -> Candidate {
        let schedule = Schedule::new(trips, &order, &traffic, &self.buffers);
        Candidate {
            traffic_bits: traffic.total_bits(),
            latency: compute.saturating_add(schedule.stall(compute)),
            mapping: Mapping {
                tile,
                reduction_axis: self.layer.cut.axis,
                reduction_tiles: trips.reduction,
                order,
                traffic,
                schedule,
            },
        }
    }

    pub(super) fn refuse(&self, layer: &str) -> Error {
        let reduction = self.layer.cut.candidates().last().copied().unwrap_or(1);
        let patch = Patch {
            rows: self.layer.coverage(0, 1, reduction),
            columns: self.layer.coverage(1, 1, reduction),
        };
        let tile = Tile { groups: 1, rows: 1, columns: 1, channels: 1, reduction };
        self.buffers.refuse(layer, self.layer.tile_bits(&tile, &patch))
    }
}
