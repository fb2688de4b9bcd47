//! The tilings of a layer that are the best on some buffers, worked out once for many.

use crate::error::{Error, Result};
use crate::hardware::Hardware;
use crate::mapping::search::{Candidate, Search};
use crate::mapping::traffic::{Trips, array_reduction};
use crate::mapping::{Accesses, Buffers, LayerProblem, Mapping, Tile, TileLoop};

/// The tilings and loop orders of one layer that [`map`](crate::mapping::map) can choose, whatever
/// the buffers. Left out is only what another one beats on every buffer that it fits: one with less
/// traffic (or the same and fewer reduction tiles) whose tile takes no more bits of any operand.
#[derive(Clone, Debug)]
pub struct Catalog {
    problem: LayerProblem,
    /// By traffic, then reduction tiles, then the order of the search.
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    traffic_bits: u64,
    tile_bits: [u64; 3],
    tile: Tile,
    trips: Trips,
    order: [TileLoop; 3],
    traffic: Accesses,
}

/// What a catalog depends on beside the accumulation order: catalogs of equal keys are equal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CatalogKey {
    problem: LayerProblem,
    channel_unit: usize,
    array_reduction: usize,
}

impl CatalogKey {
    /// The key of `problem` on `hardware`.
    pub fn new(problem: &LayerProblem, hardware: &Hardware) -> Self {
        Self {
            problem: *problem,
            channel_unit: super::search::channel_unit(&hardware.array),
            array_reduction: array_reduction(&hardware.array),
        }
    }
}

impl Entry {
    fn rank(&self) -> (u64, u64) {
        (self.traffic_bits, self.trips.reduction)
    }
}

impl Catalog {
    /// All tilings of `problem` on arrays and accumulation orders like those of `hardware`.
    pub fn new(problem: &LayerProblem, hardware: &Hardware) -> Result<Self> {
        let search = Search::new(problem, hardware)?;
        let mut entries = Vec::new();
        search.visit(problem, |tile, patch| {
            let tile_bits = search.layer.tile_bits(&tile, patch);
            let trips = search.layer.trips(&tile);
            entries.extend(trips.orders().iter().map(|&order| {
                let traffic = search.layer.traffic(patch, &trips, &order);
                let traffic_bits = traffic.total_bits();
                Entry { traffic_bits, tile_bits, tile, trips, order, traffic }
            }));
            true
        });
        entries.sort_by_key(Entry::rank);
        Ok(Self { problem: *problem, entries: undominated(entries) })
    }

    /// Number of tilings kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no tiling is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What [`map`](crate::mapping::map) gives for the layer `layer` on `hardware`, whose key is
    /// that of the catalog.
    ///
    /// # Errors
    /// If the smallest tile does not fit the buffers.
    pub fn map(&self, layer: &str, hardware: &Hardware, buffers: &Buffers) -> Result<Mapping> {
        let search = Search::new(&self.problem, hardware)?;
        let fits = |entry: &Entry| buffers.fit(entry.tile_bits);
        let first = self.entries.iter().position(fits).ok_or_else(|| search.refuse(layer))?;
        let rank = self.entries[first].rank();
        let mut best: Option<Candidate> = None;
        for entry in self.entries[first..].iter().take_while(|entry| entry.rank() == rank) {
            if !fits(entry) {
                continue;
            }
            let compute = search.layer.array_cycles(&entry.tile, &entry.trips, &hardware.array);
            // Stalls only add to the latency.
            if best.as_ref().is_some_and(|best| best.latency < compute) {
                continue;
            }
            let Entry { tile, trips, order, traffic, .. } = entry;
            let candidate = search.candidate(*tile, trips, *order, *traffic, compute);
            if best.as_ref().is_none_or(|best| candidate.key() < best.key()) {
                best = Some(candidate);
            }
        }
        best.map(|best| best.mapping).ok_or_else(|| Error::new(layer, "has no tiling that fits"))
    }
}

/// Drops entries whose bits are no fewer, operand by operand, than those of one of a lower rank.
fn undominated(entries: Vec<Entry>) -> Vec<Entry> {
    let within = |a: &[u64; 3], b: &[u64; 3]| a.iter().zip(b).all(|(a, b)| a <= b);
    let mut smallest: Vec<[u64; 3]> = Vec::new();
    let mut kept = Vec::new();
    for rank in entries.chunk_by(|a, b| a.rank() == b.rank()) {
        let before = kept.len();
        let beaten = |entry: &&Entry| smallest.iter().any(|bits| within(bits, &entry.tile_bits));
        kept.extend(rank.iter().filter(|entry| !beaten(entry)).copied());
        for entry in &kept[before..] {
            if !smallest.iter().any(|bits| within(bits, &entry.tile_bits)) {
                smallest.retain(|bits| !within(&entry.tile_bits, bits));
                smallest.push(entry.tile_bits);
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hardware::{Array, Dataflow, Lanes, SyncGroup};
    use crate::mapping::map;
    use crate::mapping::tests::{KEEP_ZEROS, any_order, any_problem, hardware, systolic};

    fn lanes(columns: usize) -> Array {
        Array::Lanes(Lanes {
            rows: 4,
            columns,
            chunk: 8,
            macs_per_cycle: 2,
            empty_chunk_cycles: 1,
            broadcast_interval: 1,
            lookahead: 2,
            sync: SyncGroup::Array,
            drain: 2,
        })
    }

    fn any_array() -> impl Strategy<Value = Array> {
        let dataflows =
            [Dataflow::WeightStationary, Dataflow::OutputStationary, Dataflow::InputStationary];
        prop_oneof![
            (1_usize..9).prop_map(lanes),
            proptest::sample::select(dataflows.to_vec()).prop_map(systolic),
        ]
    }

    proptest! {
        /// The catalog's choice is the search's, on whatever buffers.
        #[test]
        fn a_catalog_maps_as_the_search_does(
            problem in any_problem(), order in any_order(), array in any_array(),
            buffers in proptest::collection::vec(
                (proptest::array::uniform3(4_u32..14), any::<bool>(), 1_u32..6, 1_u32..6), 1..6,
            ),
        ) {
            let mut accelerator = hardware(array, KEEP_ZEROS, [1; 3]);
            accelerator.datapath.order = order;
            let catalog = Catalog::new(&problem, &accelerator)?;
            for (capacity, double_buffered, dram, buffer) in buffers {
                accelerator.memory[0].bandwidth_bits_per_cycle = f64::from(1 << dram);
                for (level, bits) in accelerator.memory[1..].iter_mut().zip(capacity) {
                    level.capacity_bytes = Some(1 << bits);
                    level.double_buffered = double_buffered;
                    level.bandwidth_bits_per_cycle = f64::from(1 << buffer);
                }
                let searched = map("layer", &problem, &accelerator);
                let looked_up = catalog.map("layer", &accelerator, &Buffers::new(&accelerator)?);
                prop_assert_eq!(
                    looked_up.map_err(|e| e.to_string()),
                    searched.map_err(|e| e.to_string())
                );
            }
        }
    }
}
