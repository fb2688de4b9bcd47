//! The report's data; its serde form is the JSON contract.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cost::Resources;
use crate::numeric::Events;
use crate::report::{Accuracy, Score};
use crate::simulate::{LayerCounts, SiteEvents};

/// Version of the JSON schema; grows when a key changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// A run's results.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The program.
    pub tool: ToolInfo,
    /// Seed of everything random.
    pub seed: u64,
    /// Wall-clock seconds of the run: the only figure that may differ between equal runs.
    pub elapsed_s: f64,
    /// The network.
    pub network: NetworkInfo,
    /// The hardware model.
    pub hardware: HardwareInfo,
    /// Name of the quantization plan.
    pub plan: String,
    /// The images.
    pub dataset: DatasetInfo,
    /// Accuracy; absent where operands are synthetic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
    /// What faults did; absent where nothing was broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<FaultReport>,
    /// First estimate of the FPGA resources of the array, by family of DSP slices.
    #[serde(default)]
    pub resources: Vec<Resources>,
    /// Figures of the whole network, per image.
    pub totals: Figures,
    /// Layers in the order of execution.
    pub layers: Vec<LayerReport>,
}

/// What faults did, against the sound network on the same images.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FaultReport {
    /// What was broken, as it was asked for.
    pub spec: String,
    /// Accuracy of the sound network, where images have labels; that of the broken one is the
    /// report's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sound: Option<Score>,
    /// Fraction of images on which both have the same first class.
    pub agreement: f64,
    /// Layers that write words.
    pub layers: Vec<FaultLayer>,
}

/// What faults did to the words of a layer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FaultLayer {
    /// Layer.
    pub name: String,
    /// Words that it wrote, over all images.
    pub words: u64,
    /// Fraction of them that differ.
    pub differing: f64,
}

/// The program that made the report.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ToolInfo {
    /// `bittrue`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The network that ran.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NetworkInfo {
    /// Name.
    pub name: String,
    /// Number of layers in the report.
    pub layers: usize,
    /// Trainable parameters.
    pub parameters: u64,
    /// Multiply-accumulates of one image.
    pub macs: u64,
}

/// The hardware model that it ran on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HardwareInfo {
    /// Name.
    pub name: String,
    /// One line.
    pub description: String,
    /// Clock in Hz.
    pub clock_hz: f64,
    /// Multiply-accumulates that the array can do in a cycle.
    pub macs_per_cycle: u64,
    /// Name of the energy table.
    pub energy_table: String,
    /// 10⁹ operations a second with every multiplier at work: 2 · `macs_per_cycle` · `clock_hz`.
    #[serde(default)]
    pub peak_gops: f64,
    /// Bandwidth of DRAM in bytes a second.
    #[serde(default)]
    pub dram_bytes_per_s: f64,
}

/// The images that ran.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DatasetInfo {
    /// Name, or `synthetic`.
    pub name: String,
    /// Number of images.
    pub images: u64,
}

/// Figures of a layer or of the network; means over the images.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Figures {
    /// Cycles: `compute_cycles + stall_cycles`.
    pub cycles: f64,
    /// Cycles of the array and the vector unit.
    pub compute_cycles: f64,
    /// Cycles on the same array without zero-skipping, stalls included.
    pub dense_cycles: f64,
    /// Cycles that wait for memory.
    pub stall_cycles: f64,
    /// `1 − cycles / dense_cycles`.
    pub cycles_saved: f64,
    /// Multiply-accumulates.
    pub macs: MeanMacs,
    /// Fractions of zero operands.
    pub sparsity: Sparsity,
    /// Energy in pJ: `total` and its components.
    pub energy_pj: BTreeMap<String, f64>,
    /// Bytes read and written by memory level.
    pub traffic_bytes: BTreeMap<String, Traffic>,
    /// Seconds an image.
    pub latency_s: f64,
    /// Images a second, one after the other.
    pub images_per_second: f64,
    /// 10⁹ operations a second; a multiply-accumulate is two, skipped ones included.
    pub gops: f64,
    /// `gops` over the mean power.
    pub gops_per_watt: f64,
    /// Effectual and gated multiply-accumulates over those that the array could do in `cycles`.
    pub utilization: f64,
}

/// Multiply-accumulates of one image; `total = effectual + gated + skipped`.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct MeanMacs {
    /// All, padded positions included.
    pub total: f64,
    /// Executed.
    pub effectual: f64,
    /// Cycle spent, energy saved.
    pub gated: f64,
    /// Neither.
    pub skipped: f64,
}

/// Fractions of zeros.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Sparsity {
    /// Of the weight words.
    pub weights: f64,
    /// Of the activation words that multiply-accumulate layers read, padding not counted.
    pub activations: f64,
}

/// Bytes moved at one memory level.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes read.
    pub read: f64,
    /// Bytes written.
    pub write: f64,
}

/// A layer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LayerReport {
    /// Name.
    pub name: String,
    /// Operator.
    pub op: String,
    /// Input feature map: channels, height, width.
    pub input_shape: [usize; 3],
    /// Output feature map: channels, height, width.
    pub output_shape: [usize; 3],
    /// Formats by site, in short form.
    pub formats: BTreeMap<String, String>,
    /// Cycles, traffic, energy.
    #[serde(flatten)]
    pub figures: Figures,
    /// Output words that overflowed or underflowed, over all images.
    pub overflow: Overflows,
    /// Signal-to-quantization-noise ratio against the float network, in dB, over all images;
    /// absent where operands are synthetic or it is not finite.
    pub sqnr_db: Option<f64>,
    /// Width of the narrowest signed accumulator that is proven safe; multiply-accumulate layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accumulator_bits_needed: Option<u32>,
    /// Width that the largest accumulator seen in this run needs; multiply-accumulate layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accumulator_bits_seen: Option<u32>,
    /// Compute cycles beyond those that the effectual and gated multiply-accumulates take with every
    /// multiplier at work: elements that wait for slower ones, or have nothing to do;
    /// multiply-accumulate layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imbalance_cycles: Option<f64>,
    /// Operations, two a multiply-accumulate, by byte read from and written to DRAM;
    /// multiply-accumulate layers with DRAM traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations_per_byte: Option<f64>,
}

/// Words that overflowed or underflowed, in sum and by site.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Overflows {
    /// Sum over the sites.
    #[serde(flatten)]
    pub sum: Events,
    /// By site.
    pub sites: SiteOverflows,
}

/// Words that overflowed or underflowed, by site.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct SiteOverflows {
    /// Casts of incoming words.
    pub activations: Events,
    /// Products.
    pub product: Events,
    /// Accumulator.
    pub accumulator: Events,
    /// Output words.
    pub output: Events,
}

impl From<SiteEvents> for Overflows {
    fn from(events: SiteEvents) -> Self {
        let SiteEvents { activations, product, accumulator, output, .. } = events;
        let mut sum = Events::default();
        for site in [activations, product, accumulator, output] {
            sum += site;
        }
        Self { sum, sites: SiteOverflows { activations, product, accumulator, output } }
    }
}

impl Sparsity {
    /// Fractions of zeros among the operands counted.
    pub fn of(counts: &LayerCounts) -> Self {
        let zeros = |d: crate::simulate::Density| match d.elements {
            0 => 0.0,
            elements => 1.0 - d.nonzero as f64 / elements as f64,
        };
        Self { weights: zeros(counts.weights), activations: zeros(counts.activations) }
    }
}
