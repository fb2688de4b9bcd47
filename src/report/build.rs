//! From a run's counts to the report's figures.

use std::collections::BTreeMap;

use crate::cost::{DspSlice, Energy, energy, metrics, resources};
use crate::hardware::Hardware;
use crate::mapping::Accesses;
use crate::network::Network;
use crate::quantize::{Operation, QuantizedNetwork, SiteRow};
use crate::report::{
    Accuracy, DatasetInfo, Figures, HardwareInfo, LayerReport, MeanMacs, NetworkInfo, Overflows,
    Report, SCHEMA_VERSION, Sparsity, ToolInfo, Traffic,
};
use crate::simulate::{BoundLayer, LayerCounts, Noise, Run, Simulator};
use crate::tensor::Shape;

/// A run and what it ran.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The float network.
    pub network: &'a Network,
    /// What was executed.
    pub quantized: &'a QuantizedNetwork,
    /// What its sites resolved to.
    pub sites: &'a [SiteRow],
    /// Name of the plan.
    pub plan: &'a str,
    /// The accelerator.
    pub hardware: &'a Hardware,
    /// The network on it.
    pub simulator: &'a Simulator,
    /// Name of the dataset.
    pub dataset: &'a str,
    /// Seed of everything random.
    pub seed: u64,
}

impl Subject<'_> {
    /// The report of `run`, which took `elapsed_s` seconds.
    pub fn report(&self, run: &Run, accuracy: Option<Accuracy>, elapsed_s: f64) -> Report {
        let mut totals = Totals::default();
        let mut layers = Vec::new();
        for (index, counts) in run.layers.iter().enumerate() {
            let spent = energy(counts, &self.simulator.bits(index), self.hardware);
            let bound = &self.simulator.words().layers()[index];
            totals.add(counts, &spent, bound.mac().is_some());
            if self.is_shown(index, counts) {
                let noise = run.noise.get(index);
                let sqnr_db = noise.and_then(Noise::sqnr_db);
                let layer = self.layer(index, bound, counts, &spent, run.images);
                layers.push(LayerReport { sqnr_db, ..layer });
            }
        }
        Report {
            schema_version: SCHEMA_VERSION,
            tool: ToolInfo {
                name: env!("CARGO_PKG_NAME").into(),
                version: env!("CARGO_PKG_VERSION").into(),
            },
            seed: self.seed,
            elapsed_s,
            network: NetworkInfo {
                name: self.network.name.clone(),
                layers: layers.len(),
                parameters: self.network.parameter_count(),
                macs: self.network.macs(),
            },
            hardware: HardwareInfo {
                name: self.hardware.name.clone(),
                description: self.hardware.description.clone(),
                clock_hz: self.hardware.clock_hz,
                macs_per_cycle: self.macs_per_cycle(),
                energy_table: self.hardware.energy.name.clone(),
                peak_gops: 2.0 * self.macs_per_cycle() as f64 * self.hardware.clock_hz / 1e9,
                dram_bytes_per_s: self.hardware.memory[0].bandwidth_bits_per_cycle / 8.0
                    * self.hardware.clock_hz,
            },
            plan: self.plan.to_owned(),
            dataset: DatasetInfo { name: self.dataset.to_owned(), images: run.images },
            accuracy,
            faults: None,
            resources: DspSlice::ALL.map(|dsp| resources(self.hardware, &dsp)).to_vec(),
            totals: self.figures(&totals.counts, &totals.energy, run.images),
            layers,
        }
    }

    /// Inputs and views (flatten, pad) take nothing and have no row. What the host computes takes
    /// nothing either, but is said.
    fn is_shown(&self, index: usize, counts: &LayerCounts) -> bool {
        matches!(self.quantized.layers[index].operation, Operation::Host { .. })
            || self.simulator.words().layers()[index].mac().is_some()
            || counts.vector_operations > 0
            || counts.memory.iter().any(|level| *level != Accesses::default())
    }

    fn layer(
        &self,
        index: usize,
        bound: &BoundLayer,
        counts: &LayerCounts,
        spent: &Energy,
        images: u64,
    ) -> LayerReport {
        let layer = &self.quantized.layers[index];
        let dimensions = |s: Shape| [s.channels, s.height, s.width];
        let input = layer.inputs.first().map_or(layer.shape, |&i| self.quantized.layers[i].shape);
        let mut formats: BTreeMap<String, String> = (self.sites.iter())
            .filter(|row| row.layer == layer.name)
            .filter_map(|row| Some((row.site.to_owned(), row.format?.to_string())))
            .collect();
        formats.insert("output".into(), bound.format().to_string());
        if let Some(mac) = bound.mac() {
            let spec = mac.spec();
            formats.insert("weights".into(), spec.weights.to_string());
            formats.insert("activations".into(), spec.activations.to_string());
            formats.insert("accumulator".into(), spec.accumulator.to().to_string());
        }
        let seen = counts.sites.largest_accumulator;
        let figures = self.figures(counts, spent, images);
        let dram_bytes = (counts.memory.first())
            .map_or(0, |dram| dram.read_bits.iter().chain(&dram.write_bits).sum::<u64>())
            as f64
            / 8.0;
        let operations = 2.0 * counts.macs.total as f64;
        LayerReport {
            name: layer.name.clone(),
            op: layer.operation.name().into(),
            input_shape: dimensions(input),
            output_shape: dimensions(layer.shape),
            formats,
            figures,
            overflow: Overflows::from(counts.sites),
            sqnr_db: None,
            accumulator_bits_needed: bound.mac().map(|mac| mac.accumulator_bits_needed()),
            accumulator_bits_seen: bound.mac().map(|_| 65 - seen.leading_zeros()),
            imbalance_cycles: bound.mac().map(|_| self.imbalance(counts) / images.max(1) as f64),
            operations_per_byte: (bound.mac().is_some() && dram_bytes > 0.0)
                .then(|| operations / dram_bytes),
        }
    }

    fn macs_per_cycle(&self) -> u64 {
        self.hardware.array.macs_per_cycle()
    }

    /// Cycles of the array in which multipliers idle, as cycles of the whole array.
    fn imbalance(&self, counts: &LayerCounts) -> f64 {
        let possible = u128::from(counts.cycles.compute) * u128::from(self.macs_per_cycle());
        let busy = u128::from(counts.macs.effectual + counts.macs.gated);
        possible.saturating_sub(busy) as f64 / self.macs_per_cycle() as f64
    }

    fn figures(&self, counts: &LayerCounts, spent: &Energy, images: u64) -> Figures {
        Figures::new(counts, spent, images, self.hardware)
    }
}

/// Sums over the layers of a network.
#[derive(Clone, Default, Debug)]
pub struct Totals {
    /// Counts.
    pub counts: LayerCounts,
    /// Energy.
    pub energy: Energy,
}

impl Totals {
    /// Adds a layer, which is a multiply-accumulate layer or not.
    pub fn add(&mut self, counts: &LayerCounts, spent: &Energy, mac: bool) {
        // Sparsity of the network speaks of multiply-accumulate operands only.
        let activations = if mac { counts.activations } else { Default::default() };
        self.counts += &LayerCounts { activations, ..counts.clone() };
        self.energy += spent;
    }
}

impl Figures {
    /// Means over `images` of what was counted on `hardware`, which spent `spent` in all.
    pub fn new(counts: &LayerCounts, spent: &Energy, images: u64, hardware: &Hardware) -> Self {
        let mean = |sum: u64| sum as f64 / images.max(1) as f64;
        let mean_pj = |pj: f64| pj / images.max(1) as f64;
        let cycles = counts.cycles.compute + counts.cycles.stall;
        let dense = counts.cycles.dense_compute + counts.cycles.dense_stall;
        let mut energy_pj: BTreeMap<String, f64> =
            spent.components().iter().map(|(name, &pj)| (name.clone(), mean_pj(pj))).collect();
        energy_pj.insert("total".into(), mean_pj(spent.total_pj()));
        let bytes = |bits: [u64; 3]| mean(bits.iter().sum()) / 8.0;
        let traffic = |accesses: &Accesses| Traffic {
            read: bytes(accesses.read_bits),
            write: bytes(accesses.write_bits),
        };
        let levels = hardware.memory.iter().zip(&counts.memory);
        let speed = metrics(counts, spent, images, hardware);
        Figures {
            cycles: mean(cycles),
            compute_cycles: mean(counts.cycles.compute),
            dense_cycles: mean(dense),
            stall_cycles: mean(counts.cycles.stall),
            cycles_saved: if dense == 0 { 0.0 } else { 1.0 - cycles as f64 / dense as f64 },
            macs: MeanMacs {
                total: mean(counts.macs.total),
                effectual: mean(counts.macs.effectual),
                gated: mean(counts.macs.gated),
                skipped: mean(counts.macs.skipped),
            },
            sparsity: Sparsity::of(counts),
            energy_pj,
            traffic_bytes: levels
                .map(|(l, accesses)| (l.name.clone(), traffic(accesses)))
                .collect(),
            latency_s: speed.latency_s,
            images_per_second: speed.images_per_second,
            gops: speed.gops,
            gops_per_watt: speed.gops_per_watt,
            utilization: speed.utilization,
        }
    }
}
