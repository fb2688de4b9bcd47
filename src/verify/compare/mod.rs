//! Holding what a design produced against golden vectors: the first divergence in the order of the
//! layers, with the operands and partial sums that lead to it.

mod causes;
mod dut;
mod golden;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use self::causes::{Observed, Sample, causes, pattern};
use self::dut::{Dut, OUTPUTS, Place, entry, layer_named, place};
use crate::error::{Error, Result};
use crate::files;
use crate::numeric::Format;
use crate::verify::vectors::{LayerEntry, Manifest, MemoryEntry};
use crate::verify::{Chain, ChainSpec};

/// What to compare, and how.
#[derive(Clone, Debug, Default)]
pub struct CompareOptions {
    /// Cycles by which a layer may differ.
    pub tolerance_cycles: u64,
    /// Layer, memory and image of a single file.
    pub single: Option<(String, String, usize)>,
}

/// What a comparison found.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Comparison {
    /// Words compared.
    pub words: u64,
    /// Words that differ, or that the design did not write.
    pub differing: u64,
    /// Memories of which the design gave anything, and how many words of each differ.
    pub memories: Vec<MemoryResult>,
    /// The first divergence.
    pub divergence: Option<Divergence>,
    /// Layers of which the design gave cycles.
    pub cycles: Vec<CyclesResult>,
}

/// A memory that was compared.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct MemoryResult {
    /// Layer.
    pub layer: String,
    /// Memory.
    pub memory: String,
    /// Image.
    pub image: usize,
    /// Words compared.
    pub words: u64,
    /// Of those, words that differ.
    pub differing: u64,
}

/// Cycles of a layer.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CyclesResult {
    /// Layer.
    pub layer: String,
    /// Image.
    pub image: usize,
    /// The model's.
    pub expected: u64,
    /// The design's.
    pub actual: u64,
    /// Whether they differ by more than the tolerance.
    pub differs: bool,
}

/// The first word that differs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Divergence {
    /// Layer.
    pub layer: String,
    /// What the layer computes.
    pub op: String,
    /// Memory.
    pub memory: String,
    /// Image.
    pub image: usize,
    /// Number of the word in the memory.
    pub index: usize,
    /// Output channel.
    pub channel: usize,
    /// Output row.
    pub row: usize,
    /// Output column.
    pub column: usize,
    /// Step of the accumulation, in a memory of partial sums.
    pub step: Option<usize>,
    /// Format of the words.
    pub format: Format,
    /// The model's word.
    pub expected: WordValue,
    /// The design's word; none if it did not write it, or wrote unknown digits.
    pub actual: Option<WordValue>,
    /// What leads to the word, in a multiply-accumulate layer.
    pub chain: Option<ChainTrace>,
    /// What the differing words of the memory have in common.
    pub pattern: Option<String>,
    /// Single changes of the datapath that give the design's words.
    pub causes: Vec<String>,
}

/// A word.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct WordValue {
    /// Its bits in hex.
    pub hex: String,
    /// As an integer.
    pub raw: i64,
    /// What it stands for, by its binary point.
    pub value: f64,
}

/// How the reference comes to a word.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ChainTrace {
    /// The datapath.
    pub spec: ChainSpec,
    /// Bias word, 0 without.
    pub bias: i64,
    /// Weight words in accumulation order.
    pub weights: Vec<i64>,
    /// Activation words in accumulation order.
    pub activations: Vec<i64>,
    /// What the accumulator holds at the start and after every accumulation.
    pub partial_sums: Vec<i64>,
    /// The accumulator after the loop.
    pub accumulator: i64,
    /// The output word after the activation function.
    pub word: i64,
}

impl WordValue {
    fn new(format: Format, raw: i64) -> Self {
        Self { hex: hex(format, raw), raw, value: format.value(raw.into()) }
    }
}

fn hex(format: Format, raw: i64) -> String {
    let digits = format.bits().div_ceil(4) as usize;
    format!("{:0digits$x}", format.pattern(raw.into()))
}

impl Comparison {
    /// Whether the design agrees in words and cycles.
    pub fn equal(&self) -> bool {
        self.differing == 0 && self.cycles.iter().all(|cycles| !cycles.differs)
    }
}

/// Compares what is at `dut` with the golden vectors in `folder`.
///
/// # Errors
/// If either cannot be read or they do not belong together.
pub fn compare(folder: &Path, dut: &Path, options: &CompareOptions) -> Result<Comparison> {
    let manifest = Manifest::read(folder)?;
    let single = options.single.as_ref().map(|(layer, memory, image)| {
        place(&manifest, layer_named(&manifest, layer)?, memory, *image)
    });
    let dut = Dut::read(&manifest, dut, single.transpose()?)?;
    let mut result = Comparison {
        words: 0,
        differing: 0,
        memories: Vec::new(),
        divergence: None,
        cycles: cycles(&manifest, &dut.cycles, options.tolerance_cycles),
    };
    for (&place, actual) in &dut.words {
        let layer = &manifest.layers[place.layer];
        let memory = entry(&manifest, place)?;
        let expected = golden::words(folder, memory)?;
        let found = |index: usize| actual.get(index).copied().flatten();
        let differing: Vec<usize> =
            (0..expected.len()).filter(|&i| found(i) != Some(expected[i])).collect();
        result.words += memory.words;
        result.differing += differing.len() as u64;
        result.memories.push(MemoryResult {
            layer: layer.name.clone(),
            memory: memory.memory.clone(),
            image: place.image,
            words: memory.words,
            differing: differing.len() as u64,
        });
        if let (None, Some(_)) = (&result.divergence, differing.first()) {
            let seen = Seen { folder, layer, memory, place, expected: &expected, differing };
            result.divergence = Some(seen.divergence(&found)?);
        }
    }
    Ok(result)
}

fn cycles(
    manifest: &Manifest,
    found: &BTreeMap<(usize, usize), u64>,
    tolerance: u64,
) -> Vec<CyclesResult> {
    let result = |(&(image, layer), &actual): (&(usize, usize), &u64)| {
        let layer = &manifest.layers[layer];
        let expected = layer.cycles.iter().find(|cycles| cycles.image == image)?.compute;
        let differs = actual.abs_diff(expected) > tolerance;
        Some(CyclesResult { layer: layer.name.clone(), image, expected, actual, differs })
    };
    found.iter().filter_map(result).collect()
}

/// Differing words, and as many others, from which causes are told.
const SAMPLES: usize = 200;

/// A memory in which words differ.
struct Seen<'a> {
    folder: &'a Path,
    layer: &'a LayerEntry,
    memory: &'a MemoryEntry,
    place: Place,
    expected: &'a [i64],
    differing: Vec<usize>,
}

impl Seen<'_> {
    fn divergence(&self, found: &dyn Fn(usize) -> Option<i64>) -> Result<Divergence> {
        let format = self.memory.format()?;
        let index = self.differing[0];
        let partial = OUTPUTS[self.place.memory] == "partial_sums";
        let steps = if partial { self.memory.shape.last().copied().unwrap_or(1).max(1) } else { 1 };
        let element = index / steps;
        let [channels, _, columns] = self.layer.output_shape.map(|n| n.max(1));
        let pixel = element / channels;
        let pairs: Option<Vec<(i64, i64)>> =
            self.differing.iter().map(|&i| Some((self.expected[i], found(i)?))).collect();
        let mut divergence = Divergence {
            layer: self.layer.name.clone(),
            op: self.layer.op.clone(),
            memory: self.memory.memory.clone(),
            image: self.place.image,
            index,
            channel: element % channels,
            row: pixel / columns,
            column: pixel % columns,
            step: partial.then_some(index % steps),
            format,
            expected: WordValue::new(format, self.expected[index]),
            actual: found(index).map(|raw| WordValue::new(format, raw)),
            chain: None,
            pattern: pairs.as_ref().and_then(|pairs| pattern(pairs, format.bits())),
            causes: Vec::new(),
        };
        if let Some(mac) = &self.layer.mac {
            let layer = golden::Layer::read(self.folder, self.layer, mac, self.place.image)?;
            let chain = mac.chain.chain(None, divergence.channel)?;
            let (bias, operands) = layer.operands(&chain, element);
            divergence.chain = Some(trace(&mac.chain, &chain, bias, &operands));
            if let Some(observed) = self.observed(&mac.chain)
                && pairs.is_some()
            {
                divergence.causes = self.causes(&mac.chain, observed, &layer, &chain, found);
            }
        }
        Ok(divergence)
    }

    /// What of the chain the memory shows, if it is one word for each output.
    fn observed(&self, spec: &ChainSpec) -> Option<Observed> {
        let maps = self.layer.memory("activated", self.place.image).is_some();
        match OUTPUTS[self.place.memory] {
            "accumulator" => Some(Observed::Accumulator),
            "requantized" if spec.clamp.is_some() => Some(Observed::Requantized),
            "activated" => Some(Observed::Output),
            "ofmap" if !maps => Some(Observed::Output),
            _ => None,
        }
    }

    fn causes(
        &self,
        spec: &ChainSpec,
        observed: Observed,
        layer: &golden::Layer,
        chain: &Chain,
        found: &dyn Fn(usize) -> Option<i64>,
    ) -> Vec<String> {
        let spread = |count: usize| count.div_ceil(SAMPLES).max(1);
        let differing = self.differing.iter().copied().step_by(spread(self.differing.len()));
        let others = (0..self.expected.len()).step_by(spread(self.expected.len()));
        let sample = |element: usize| {
            let (bias, operands) = layer.operands(chain, element);
            let channel = element % layer.channels();
            Some(Sample { channel, bias, operands, actual: found(element)? })
        };
        let samples: Option<Vec<Sample>> = differing.chain(others).map(sample).collect();
        samples.map(|samples| causes(spec, observed, &samples)).unwrap_or_default()
    }
}

fn trace(spec: &ChainSpec, chain: &Chain, bias: i64, operands: &[(i64, i64)]) -> ChainTrace {
    let mut partial_sums = Vec::new();
    chain.partial_sums(bias, operands, |sum| partial_sums.push(sum as i64));
    let accumulator = chain.accumulate(bias, operands).raw;
    ChainTrace {
        spec: spec.clone(),
        bias,
        weights: operands.iter().map(|pair| pair.0).collect(),
        activations: operands.iter().map(|pair| pair.1).collect(),
        partial_sums,
        accumulator: accumulator as i64,
        word: chain.requantize(accumulator).raw as i64,
    }
}

/// Writes what replays the first divergence into `folder`: `replay.json`, and the operands as
/// `$readmemh` files of the names of a layer's memories.
///
/// # Errors
/// If a file cannot be written.
pub fn write_replay(divergence: &Divergence, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let write = |name: &str, text: String| {
        files::write_atomically(&folder.join(name), |file| file.write_all(text.as_bytes()))
    };
    let lines = |format: Format, words: &[i64]| -> String {
        words.iter().map(|&word| hex(format, word) + "\n").collect()
    };
    let mut plusargs = String::new();
    if let Some(chain) = &divergence.chain {
        let spec = &chain.spec;
        let sums = spec.chain(None, divergence.channel)?.partial_sum_format()?;
        let mut memories = vec![
            ("weights", spec.weights, &chain.weights[..]),
            ("patches", spec.activations, &chain.activations[..]),
            ("partial_sums", sums, &chain.partial_sums[..]),
            ("accumulator", spec.accumulator.format, std::slice::from_ref(&chain.accumulator)),
            ("activated", spec.output.format, std::slice::from_ref(&chain.word)),
        ];
        memories.extend(spec.bias.map(|bias| ("bias", bias, std::slice::from_ref(&chain.bias))));
        for (name, format, words) in memories {
            write(&format!("{name}.hex"), lines(format, words))?;
            // Writing to a String cannot fail.
            let _ = writeln!(plusargs, "+{name}={name}.hex");
        }
    }
    write("expected.hex", lines(divergence.format, &[divergence.expected.raw]))?;
    let _ = writeln!(plusargs, "+expected=expected.hex");
    write("plusargs.f", plusargs)?;
    let text =
        serde_json::to_string_pretty(divergence).map_err(|e| Error::new("replay.json", e))?;
    write("replay.json", text + "\n")
}
