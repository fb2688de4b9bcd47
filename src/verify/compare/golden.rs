//! Reading golden vectors back: memories with their checksums, and layers as the reference computes
//! them.

use std::path::Path;

use crate::error::{Error, Result};
use crate::files;
use crate::kernels::{AccumulationOrder, Mac, Patches};
use crate::tensor::{ConvGeometry, Shape, Window, Words};
use crate::verify::vectors::{FileRef, LayerEntry, MacEntry, MemoryEntry, parse_hex, sha256};
use crate::verify::{Chain, ordered_operands};

/// The words of a golden memory.
pub(super) fn words(folder: &Path, entry: &MemoryEntry) -> Result<Vec<i64>> {
    let path = folder.join(&entry.hex.path);
    let bytes = files::read_bytes(&path)?;
    check(&path, &bytes, &entry.hex)?;
    let text = String::from_utf8(bytes).map_err(|e| Error::new(path.display(), e))?;
    let name = path.display().to_string();
    let words = parse_hex(&name, &text, entry.format()?, entry.words)?;
    let complete: Option<Vec<i64>> = words.into_iter().collect();
    complete.filter(|words| words.len() as u64 == entry.words).ok_or_else(|| {
        Error::new(name, format_args!("has not the {} words of the manifest", entry.words))
            .remedy("write the vectors anew")
    })
}

fn check(path: &Path, bytes: &[u8], file: &FileRef) -> Result<()> {
    if sha256(bytes) == file.sha256 {
        return Ok(());
    }
    Err(Error::new(path.display(), "is not the file of the manifest: its SHA-256 differs")
        .remedy("write the vectors anew with `bittrue vectors`"))
}

/// Largest size of a map or a window along an axis: products of three are 64-bit numbers.
const LARGEST_SIZE: usize = 1 << 20;

/// A multiply-accumulate layer with its operands for one image.
pub(super) struct Layer {
    geometry: ConvGeometry,
    order: AccumulationOrder,
    weights: Words,
    bias: Option<Vec<i64>>,
    ifmap: Words,
}

impl Layer {
    /// Reads the operands of a layer.
    pub fn read(folder: &Path, entry: &LayerEntry, mac: &MacEntry, image: usize) -> Result<Self> {
        let memory = |name: &str| {
            entry.memory(name, image).ok_or_else(|| {
                Error::new(format_args!("layer `{}`", entry.name), format_args!("has no `{name}`"))
            })
        };
        let shape = |[channels, height, width]: [usize; 3]| Shape { channels, height, width };
        let geometry = ConvGeometry {
            input: shape(entry.input_shapes.first().copied().unwrap_or_default()),
            output: shape(entry.output_shape),
            window: Window {
                kernel: mac.kernel,
                stride: mac.stride,
                padding: mac.padding,
                dilation: mac.dilation,
            },
            groups: mac.groups,
        };
        let inconsistent = || {
            Error::new(format_args!("layer `{}`", entry.name), "its shapes and words do not agree")
                .remedy("write the vectors anew")
        };
        let window = mac.kernel.iter().chain(&mac.stride).chain(&mac.dilation).chain(&mac.padding);
        let maps = entry.output_shape.iter().chain(entry.input_shapes.iter().flatten());
        let sizes = window.chain(maps).chain([&mac.groups]);
        if mac.groups == 0 || sizes.into_iter().any(|&size| size > LARGEST_SIZE) {
            return Err(inconsistent());
        }
        let (stepped, ifmap) =
            (words(folder, memory("weights")?)?, words(folder, memory("ifmap")?)?);
        let reduction = geometry.reduction();
        let weights = geometry.output.channels.checked_mul(reduction);
        if weights != Some(stepped.len()) || ifmap.len() != geometry.input.len() {
            return Err(inconsistent());
        }
        // Refuses shapes that do not follow from each other.
        Patches::new(&geometry, &mac.order)?;
        let [kh, kw] = mac.kernel;
        let steps = mac.order.reduction(geometry.group_inputs(), kh, kw);
        let mut canonical = vec![0; stepped.len()];
        for (row, stepped) in canonical.chunks_mut(reduction).zip(stepped.chunks(reduction)) {
            for (&k, &word) in steps.iter().zip(stepped) {
                row[k as usize] = word;
            }
        }
        let bias = match mac.chain.bias {
            Some(_) => Some(words(folder, memory("bias")?)?),
            None => None,
        };
        if bias.as_ref().is_some_and(|bias| bias.len() != geometry.output.channels) {
            return Err(inconsistent());
        }
        Ok(Self {
            geometry,
            order: mac.order.clone(),
            weights: Words::from_raw(mac.chain.weights, canonical.into_iter()),
            bias,
            ifmap: Words::from_raw(mac.chain.activations, ifmap.into_iter()),
        })
    }

    /// Output channels.
    pub fn channels(&self) -> usize {
        self.geometry.output.channels
    }

    /// Bias and (weight, activation) pairs in accumulation order of the output word `element`,
    /// channels-last.
    pub fn operands(&self, chain: &Chain, element: usize) -> (i64, Vec<(i64, i64)>) {
        let (pixel, channel) = (element / self.channels(), element % self.channels());
        let mac = Mac {
            spec: *chain.spec(),
            range: chain.spec().all_activations(),
            geometry: self.geometry,
            order: &self.order,
            weights: &self.weights,
            bias: None,
            requantizers: &[],
        };
        let bias = self.bias.as_ref().map_or(0, |bias| bias[channel]);
        (bias, ordered_operands(&mac, &self.ifmap, pixel, channel))
    }
}
