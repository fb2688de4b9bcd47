//! Hardware models from TOML. A file is read into the structures of this module, which know no
//! key that is not documented, and becomes a [`Hardware`] once every value is checked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;

use crate::error::Result;
use crate::hardware::energy_file::Overrides;
use crate::hardware::shipped::{ENERGY_TABLES, MODELS};
use crate::hardware::source::Source;
use crate::hardware::{
    Array, Dataflow, Datapath, EnergyTable, Fpga, Hardware, Lanes, MemoryLevel, Operand, SyncGroup,
    Systolic, VectorUnit, Widths, ZeroHandling, Zeros,
};
use crate::kernels::{AccumulationOrder, Style};
use crate::numeric::{Format, Overflow, RequantizerKind};

const REMEDY: &str = "docs/hardware.md describes the keys of a hardware model";

/// Widest operand word in bits.
const MAX_OPERAND_BITS: u32 = 32;
/// Most rows or columns of an array.
const MAX_SIDE: usize = 4096;
/// Most processing elements of an array.
const MAX_ELEMENTS: usize = 1 << 20;
/// Largest buffer in bytes.
const MAX_CAPACITY: u64 = 1 << 40;
/// Names of energy components, which no memory level may bear.
const COMPONENTS: [&str; 7] =
    ["total", "multiplier", "adder", "register", "metadata", "vector", "leakage"];

/// A model with an array of the family `A`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<A> {
    name: Spanned<String>,
    description: String,
    energy: Spanned<String>,
    clock: ClockFile,
    datapath: DatapathFile,
    array: A,
    zeros: ZerosFile,
    vector: VectorFile,
    memory: Spanned<Vec<Spanned<MemoryFile>>>,
    fpga: Option<FpgaFile>,
    #[serde(default)]
    energy_override: Overrides,
}

/// As much of a model as tells the family of its array.
#[derive(Deserialize)]
struct FamilyFile {
    array: FamilyKey,
}

#[derive(Deserialize)]
struct FamilyKey {
    family: Family,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Family {
    Systolic,
    Lanes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockFile {
    frequency_hz: Spanned<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DatapathFile {
    style: Style,
    #[serde(default)]
    order: AccumulationOrder,
    #[serde(default = "one")]
    adder_tree: Spanned<i64>,
    requantizer: Spanned<RequantizerKind>,
    accumulator_overflow: Overflow,
    bits: WidthsFile,
}

fn one() -> Spanned<i64> {
    Spanned::new(0..0, 1)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WidthsFile {
    weights: Spanned<i64>,
    activations: Spanned<i64>,
    product: Option<Spanned<i64>>,
    accumulator: Spanned<i64>,
    output: Spanned<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SystolicFile {
    #[serde(rename = "family")]
    _family: Family,
    rows: Spanned<i64>,
    columns: Spanned<i64>,
    dataflow: Dataflow,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LanesFile {
    #[serde(rename = "family")]
    _family: Family,
    rows: Spanned<i64>,
    columns: Spanned<i64>,
    chunk: Spanned<i64>,
    macs_per_cycle: Spanned<i64>,
    empty_chunk_cycles: Spanned<i64>,
    broadcast_interval: Spanned<i64>,
    lookahead: Spanned<i64>,
    sync: SyncGroup,
    drain: Spanned<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ZerosFile {
    activations: Spanned<ZeroHandling>,
    weights: Spanned<ZeroHandling>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VectorFile {
    lanes: Spanned<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemoryFile {
    name: Spanned<String>,
    capacity_bytes: Option<Spanned<i64>>,
    word_bits: Spanned<i64>,
    #[serde(default = "one")]
    banks: Spanned<i64>,
    bandwidth_bits_per_cycle: Spanned<f64>,
    #[serde(default)]
    double_buffered: bool,
    holds: Spanned<Vec<Operand>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FpgaFile {
    device: String,
    dsp_slices: Spanned<i64>,
    bram36: Spanned<i64>,
}

impl Hardware {
    /// The model that runs when none is named.
    pub const DEFAULT: &str = "lanes_act_16x16";

    /// Opens a shipped model by name, or a file.
    pub fn open(name_or_path: &str) -> Result<Self> {
        let (name, text, folder) = Self::text(name_or_path)?;
        Self::parse(&name, &text, &folder)
    }

    /// The name in messages and the text of a model, and the folder at which the path of its
    /// energy table starts.
    pub fn text(name_or_path: &str) -> Result<(String, String, PathBuf)> {
        let (name, text) = MODELS.text(name_or_path, Path::new(""))?;
        let folder = Path::new(name_or_path).parent().unwrap_or(Path::new(""));
        Ok((name, text.into_owned(), folder.to_owned()))
    }

    /// All models that ship.
    pub fn shipped() -> Result<Vec<Self>> {
        MODELS.names().map(Self::open).collect()
    }

    /// Reads a model from TOML. `name` is the file's name in messages; the path of an energy
    /// table starts at `folder`.
    pub fn parse(name: &str, text: &str, folder: &Path) -> Result<Self> {
        let source = Source { name, text, remedy: REMEDY };
        match source.parse::<FamilyFile>()?.array.family {
            Family::Systolic => assemble(source, folder, |file: &File<SystolicFile>| {
                systolic(source, &file.array, &file.datapath, &file.zeros).map(Array::Systolic)
            }),
            Family::Lanes => assemble(source, folder, |file: &File<LanesFile>| {
                lanes(source, &file.array).map(Array::Lanes)
            }),
        }
    }
}

fn assemble<A: DeserializeOwned>(
    source: Source,
    folder: &Path,
    array: impl Fn(&File<A>) -> Result<Array>,
) -> Result<Hardware> {
    let file: File<A> = source.parse()?;
    let array = array(&file)?;
    let memory = memory(source, &file.memory)?;
    let levels: Vec<&str> = memory.iter().map(|level| level.name.as_str()).collect();
    let energy = energy(source, folder, &file.energy, file.energy_override, &levels)?;
    let fpga = file.fpga.map(|fpga| fit_fpga(source, fpga, &array, &memory)).transpose()?;
    Ok(Hardware {
        name: source.words("name", &file.name)?,
        description: file.description,
        clock_hz: source.positive("clock.frequency_hz", &file.clock.frequency_hz)?,
        datapath: datapath(source, file.datapath)?,
        array,
        zeros: Zeros {
            activations: file.zeros.activations.into_inner(),
            weights: file.zeros.weights.into_inner(),
        },
        vector: VectorUnit {
            lanes: source.integer("vector.lanes", &file.vector.lanes, 1..=1 << 20)?,
        },
        memory,
        energy,
        fpga,
    })
}

fn datapath(source: Source, file: DatapathFile) -> Result<Datapath> {
    let bits = widths(source, &file.bits, file.style)?;
    let requantizer = file.requantizer.into_inner();
    if requantizer != RequantizerKind::Shift && bits.accumulator > 32 {
        let problem = format_args!(
            "{} found, at most 32 expected: this requantizer takes accumulators of 32 bits",
            bits.accumulator
        );
        let span = file.bits.accumulator.span();
        return Err(source.error("datapath.bits.accumulator", span, problem));
    }
    Ok(Datapath {
        style: file.style,
        order: file.order,
        adder_tree: source.integer("datapath.adder_tree", &file.adder_tree, 1..=1024)?,
        requantizer,
        accumulator_overflow: file.accumulator_overflow,
        bits,
    })
}

fn widths(source: Source, file: &WidthsFile, style: Style) -> Result<Widths> {
    let operand = |key, value| source.integer(key, value, 1..=MAX_OPERAND_BITS);
    let weights = operand("datapath.bits.weights", &file.weights)?;
    let activations = operand("datapath.bits.activations", &file.activations)?;
    let product = match &file.product {
        Some(bits) => source.integer("datapath.bits.product", bits, 1..=Format::MAX_BITS)?,
        None if style == Style::ProductCast => {
            let problem = "missing, the width of products expected with style `product_cast`";
            return Err(source.error("datapath.bits.product", file.weights.span(), problem));
        }
        None => weights + activations,
    };
    let accumulator =
        source.integer("datapath.bits.accumulator", &file.accumulator, 1..=Format::MAX_BITS)?;
    let output = operand("datapath.bits.output", &file.output)?;
    Ok(Widths { weights, activations, product, accumulator, output })
}

fn systolic(
    source: Source,
    file: &SystolicFile,
    datapath: &DatapathFile,
    zeros: &ZerosFile,
) -> Result<Systolic> {
    for (key, handling) in [("activations", &zeros.activations), ("weights", &zeros.weights)] {
        if *handling.get_ref() == ZeroHandling::Skip {
            let problem = "skip found, none or gate expected: a systolic array moves in lockstep";
            return Err(source.error(format_args!("zeros.{key}"), handling.span(), problem));
        }
    }
    if *datapath.adder_tree.get_ref() != 1 {
        let problem = "1 expected: a systolic element adds one product at a time";
        return Err(source.error("datapath.adder_tree", datapath.adder_tree.span(), problem));
    }
    let [rows, columns] = size(source, &file.rows, &file.columns)?;
    Ok(Systolic { rows, columns, dataflow: file.dataflow })
}

fn lanes(source: Source, file: &LanesFile) -> Result<Lanes> {
    let [rows, columns] = size(source, &file.rows, &file.columns)?;
    let cycles = |key, value| source.integer(key, value, 0..=1 << 20);
    let chunk = source.integer("array.chunk", &file.chunk, 1..=64)?;
    Ok(Lanes {
        rows,
        columns,
        chunk,
        macs_per_cycle: source.integer("array.macs_per_cycle", &file.macs_per_cycle, 1..=chunk)?,
        empty_chunk_cycles: cycles("array.empty_chunk_cycles", &file.empty_chunk_cycles)?,
        broadcast_interval: cycles("array.broadcast_interval", &file.broadcast_interval)?,
        lookahead: source.integer("array.lookahead", &file.lookahead, 1..=1 << 20)?,
        sync: file.sync,
        drain: cycles("array.drain", &file.drain)?,
    })
}

fn size(source: Source, rows: &Spanned<i64>, columns: &Spanned<i64>) -> Result<[usize; 2]> {
    let size = [
        source.integer("array.rows", rows, 1..=MAX_SIDE)?,
        source.integer("array.columns", columns, 1..=MAX_SIDE)?,
    ];
    let elements = size[0] * size[1];
    if elements > MAX_ELEMENTS {
        let problem =
            format_args!("{elements} processing elements found, at most {MAX_ELEMENTS} expected");
        return Err(source.error("array.columns", columns.span(), problem));
    }
    Ok(size)
}

fn memory(source: Source, file: &Spanned<Vec<Spanned<MemoryFile>>>) -> Result<Vec<MemoryLevel>> {
    let levels: Vec<MemoryLevel> = file
        .get_ref()
        .iter()
        .enumerate()
        .map(|(i, level)| memory_level(source, i, level))
        .collect::<Result<_>>()?;
    if levels.len() < 2 {
        let problem = "DRAM first, then the on-chip buffers expected";
        return Err(source.error("memory", file.span(), problem));
    }
    let mut names = BTreeSet::from(COMPONENTS);
    for (i, (level, file)) in levels.iter().zip(file.get_ref()).enumerate() {
        if !names.insert(&level.name) {
            let problem = format_args!("the name {} is taken, another one expected", level.name);
            let span = file.get_ref().name.span();
            return Err(source.error(format_args!("memory[{i}].name"), span, problem));
        }
    }
    for operand in [Operand::Ifmap, Operand::Weights, Operand::Ofmap] {
        let buffers = levels[1..].iter().filter(|level| level.holds.contains(&operand)).count();
        if buffers != 1 {
            let problem = format_args!("{buffers} buffers hold `{operand}`, exactly one expected");
            return Err(source.error("memory", file.span(), problem));
        }
    }
    Ok(levels)
}

fn memory_level(source: Source, index: usize, file: &Spanned<MemoryFile>) -> Result<MemoryLevel> {
    let key = |name: &str| format!("memory[{index}].{name}");
    let (span, file) = (file.span(), file.get_ref());
    let holds = file.holds.get_ref().clone();
    let distinct: BTreeSet<_> = holds.iter().collect();
    let problem = match index {
        0 if distinct.len() < 3 => Some("`ifmap`, `weights` and `ofmap` expected in DRAM"),
        _ if distinct.is_empty() => Some("empty, at least one operand expected"),
        _ if distinct.len() < holds.len() => Some("an operand is named twice"),
        _ => None,
    };
    if let Some(problem) = problem {
        return Err(source.error(key("holds"), file.holds.span(), problem));
    }
    let capacity_bytes = match (&file.capacity_bytes, index) {
        (None, 0) => None,
        (Some(capacity), 1..) => {
            Some(source.integer(key("capacity_bytes"), capacity, 1..=MAX_CAPACITY)?)
        }
        (Some(capacity), 0) => {
            let problem = "none expected: the first level is DRAM, which holds everything";
            return Err(source.error(key("capacity_bytes"), capacity.span(), problem));
        }
        (None, 1..) => {
            let problem = "missing, expected of an on-chip buffer";
            return Err(source.error(key("capacity_bytes"), span, problem));
        }
    };
    if index == 0 && file.double_buffered {
        let problem = "true found, false expected: only on-chip buffers are double-buffered";
        return Err(source.error(key("double_buffered"), span, problem));
    }
    Ok(MemoryLevel {
        name: source.words(key("name"), &file.name)?,
        capacity_bytes,
        word_bits: source.integer(key("word_bits"), &file.word_bits, 1..=1 << 16)?,
        banks: source.integer(key("banks"), &file.banks, 1..=1 << 16)?,
        bandwidth_bits_per_cycle: source
            .positive(key("bandwidth_bits_per_cycle"), &file.bandwidth_bits_per_cycle)?,
        double_buffered: file.double_buffered,
        holds,
    })
}

fn energy(
    source: Source,
    folder: &Path,
    table: &Spanned<String>,
    overrides: Overrides,
    levels: &[&str],
) -> Result<EnergyTable> {
    let (name, text) = ENERGY_TABLES
        .text(table.get_ref(), folder)
        .map_err(|e| e.at(source.name, source.text, table.span()))?;
    let mut energy = EnergyTable::parse(&name, &text)?;
    energy.replace(overrides, source, levels)?;
    Ok(energy)
}

fn fit_fpga(source: Source, file: FpgaFile, array: &Array, memory: &[MemoryLevel]) -> Result<Fpga> {
    let available = |key, value| source.integer(key, value, 0..=1 << 32);
    let fpga = Fpga {
        device: file.device,
        dsp_slices: available("fpga.dsp_slices", &file.dsp_slices)?,
        bram36: available("fpga.bram36", &file.bram36)?,
    };
    let needs = [
        ("dsp_slices", file.dsp_slices.span(), array.macs_per_cycle(), fpga.dsp_slices),
        ("bram36", file.bram36.span(), memory.iter().map(MemoryLevel::bram36).sum(), fpga.bram36),
    ];
    for (key, span, needed, available) in needs {
        if needed > available {
            let problem = format_args!("{available} found, but the model needs {needed}");
            return Err(source.error(format_args!("fpga.{key}"), span, problem));
        }
    }
    Ok(fpga)
}
