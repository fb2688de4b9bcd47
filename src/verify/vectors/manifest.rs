//! What a folder of golden vectors says of itself: `manifest.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files;
use crate::kernels::AccumulationOrder;
use crate::numeric::Format;
use crate::report::ToolInfo;
use crate::verify::ChainSpec;
use crate::verify::faults::FaultSpec;

/// Version of the manifest's schema; grows when a key changes its meaning or goes.
pub const MANIFEST_VERSION: u32 = 1;

/// Name of the manifest in its folder.
pub const MANIFEST: &str = "manifest.json";

/// A folder of golden vectors.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub schema_version: u32,
    /// The program.
    pub tool: ToolInfo,
    /// Seed of everything random.
    pub seed: u64,
    /// Name of the network.
    pub network: String,
    /// Name of the plan.
    pub plan: String,
    /// Name of the dataset, or `synthetic`.
    pub dataset: String,
    /// Number of images, from the first.
    pub images: usize,
    /// Name of the hardware model.
    pub hardware: String,
    /// The hardware model as it was read.
    pub hardware_file: FileRef,
    /// SystemVerilog package of the parameters of hardware model and layers.
    pub package: FileRef,
    /// FuseSoC description.
    pub core: FileRef,
    /// What the cycles count.
    pub cycles: String,
    /// What was broken on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<FaultSpec>,
    /// Layers in the order of execution.
    pub layers: Vec<LayerEntry>,
}

/// A file, by its path in the folder.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FileRef {
    /// Path in the folder, with `/`.
    pub path: String,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
}

/// A layer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LayerEntry {
    /// Number in the network.
    pub index: usize,
    /// Name.
    pub name: String,
    /// What it computes.
    pub op: String,
    /// Folder of its files.
    pub folder: String,
    /// Names of the layers that it reads.
    pub inputs: Vec<String>,
    /// Channels, rows and columns of each map that it reads.
    pub input_shapes: Vec<[usize; 3]>,
    /// Channels, rows and columns of the map that it writes.
    pub output_shape: [usize; 3],
    /// Format of the words that it writes.
    pub output: Format,
    /// Stored words are words plus this, where the quantization is affine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_point: Option<i64>,
    /// Shapes and datapath of a multiply-accumulate layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacEntry>,
    /// Its memories.
    pub memories: Vec<MemoryEntry>,
    /// Cycles by image.
    pub cycles: Vec<CyclesEntry>,
}

/// A multiply-accumulate layer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MacEntry {
    /// Kernel rows and columns.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Padding: top, left, bottom, right.
    pub padding: [usize; 4],
    /// Vertical and horizontal dilation.
    pub dilation: [usize; 2],
    /// Groups.
    pub groups: usize,
    /// Output pixels M.
    pub pixels: usize,
    /// Products of one output word K.
    pub reduction: usize,
    /// Output channels of a group N.
    pub group_outputs: usize,
    /// Accumulation order.
    pub order: AccumulationOrder,
    /// Datapath of one output word; its requantizers are one, or one by output channel.
    pub chain: ChainSpec,
}

/// The words of one memory.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MemoryEntry {
    /// `weights`, `bias`, `requantizer`, `ifmap` (`ifmap1` and on for further maps), `patches`,
    /// `partial_sums`, `accumulator`, `requantized`, `activated` or `ofmap`.
    pub memory: String,
    /// The image; absent for what is the same for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<usize>,
    /// For `$readmemh`: a word a line, two's complement in hex, after a comment.
    pub hex: FileRef,
    /// The same words as an array.
    pub npy: FileRef,
    /// Width of a word in bits.
    pub bits: u32,
    /// Whether words are two's complement.
    pub signed: bool,
    /// Fractional bits.
    pub frac: i32,
    /// Number of words.
    pub words: u64,
    /// Lengths of the axes, the last running fastest.
    pub shape: Vec<usize>,
    /// What the axes are.
    pub axes: String,
}

/// Cycles of a layer for one image.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CyclesEntry {
    /// The image.
    pub image: usize,
    /// Cycles of the array, or of the vector unit.
    pub compute: u64,
    /// The same without zero-skipping.
    pub dense_compute: u64,
    /// Cycles that wait for memory.
    pub stall: u64,
}

impl Manifest {
    /// Reads the manifest of a folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let remedy = "name a folder that `bittrue vectors` wrote";
        let text = files::read_text(&path).map_err(|e| e.remedy(remedy))?;
        let manifest: Self = serde_json::from_str(&text)
            .map_err(|e| Error::new(path.display(), e).remedy(remedy))?;
        if manifest.schema_version != MANIFEST_VERSION {
            let problem = format_args!(
                "has schema version {}, this program reads {MANIFEST_VERSION}",
                manifest.schema_version
            );
            return Err(Error::new(path.display(), problem)
                .remedy("write the vectors anew with `bittrue vectors`"));
        }
        for memory in manifest.layers.iter().flat_map(|layer| &layer.memories) {
            let path = folder.join(&memory.hex.path);
            let size = std::fs::metadata(&path).map_err(|e| Error::io(&path, e))?.len();
            // A word takes a byte at least.
            if memory.words > size {
                let problem = format_args!("has not the {} words of the manifest", memory.words);
                return Err(Error::new(path.display(), problem)
                    .remedy("write the vectors anew with `bittrue vectors`"));
            }
        }
        Ok(manifest)
    }
}

impl LayerEntry {
    /// A memory of the layer, by name and, where it has its own, the image.
    pub fn memory(&self, name: &str, image: usize) -> Option<&MemoryEntry> {
        let of_image = |entry: &&MemoryEntry| entry.image.is_none_or(|i| i == image);
        self.memories.iter().filter(of_image).find(|entry| entry.memory == name)
    }
}

impl MemoryEntry {
    /// The format of the words.
    pub fn format(&self) -> Result<Format> {
        Format::new(self.signed, self.bits, self.frac).map_err(|e| e.within(&self.hex.path))
    }
}
