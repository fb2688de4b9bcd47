//! What a design produced: `$readmemh` files named as in the manifest, or a trace of words.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::files;
use crate::verify::vectors::{LayerEntry, Manifest, MemoryEntry, parse_hex};

/// Memories that a design writes, in the order in which a word passes them.
pub(super) const OUTPUTS: [&str; 5] =
    ["partial_sums", "accumulator", "requantized", "activated", "ofmap"];

/// One memory of one layer and image.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    pub image: usize,
    /// Number of the layer in the manifest.
    pub layer: usize,
    /// Number of the memory in [`OUTPUTS`].
    pub memory: usize,
}

/// What a design produced.
#[derive(Default, Debug)]
pub(super) struct Dut {
    /// Words by memory; `None` where a word was not written or is unknown.
    pub words: BTreeMap<Place, Vec<Option<i64>>>,
    /// Cycles by image and layer of the manifest.
    pub cycles: BTreeMap<(usize, usize), u64>,
}

/// A line of a trace.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TraceLine {
    layer: String,
    #[serde(default)]
    image: usize,
    memory: Option<String>,
    index: Option<usize>,
    word: Option<String>,
    cycle: Option<u64>,
}

impl Dut {
    /// Reads a folder, a trace `.csv` or `.jsonl`, or one `$readmemh` file, which is of the memory
    /// `single` or else of the one whose path in the manifest its own path ends in.
    pub fn read(manifest: &Manifest, path: &Path, single: Option<Place>) -> Result<Self> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let dut = match extension {
            _ if path.is_dir() => Self::folder(manifest, path)?,
            Some("csv") => {
                let text = files::read_text(path)?;
                let mut reader = csv::Reader::from_reader(text.as_bytes());
                let lines = reader.deserialize().map(|line| line.map_err(|e| e.to_string()));
                Self::trace(manifest, path, lines)?
            }
            Some("jsonl") => {
                let text = files::read_text(path)?;
                let lines = text.lines().filter(|line| !line.trim().is_empty());
                let lines = lines.map(|line| serde_json::from_str(line).map_err(|e| e.to_string()));
                Self::trace(manifest, path, lines)?
            }
            _ => Self::file(manifest, path, single)?,
        };
        if dut.words.is_empty() && dut.cycles.is_empty() {
            return Err(Error::new(path.display(), "holds nothing that the manifest expects")
                .remedy(
                    "name the files as the manifest does, such as \
                     layers/01_conv1/image0000/ofmap.hex",
                ));
        }
        Ok(dut)
    }

    fn folder(manifest: &Manifest, folder: &Path) -> Result<Self> {
        let mut dut = Self::default();
        for (place, entry) in places(manifest) {
            let path = folder.join(&entry.hex.path);
            if path.is_file() {
                dut.words.insert(place, read_words(&path, entry)?);
            }
        }
        for name in ["cycles.csv", "trace.csv"] {
            let path = folder.join(name);
            if path.is_file() {
                let Self { words, cycles } = Self::read(manifest, &path, None)?;
                dut.words.extend(words);
                dut.cycles.extend(cycles);
            }
        }
        Ok(dut)
    }

    fn file(manifest: &Manifest, path: &Path, single: Option<Place>) -> Result<Self> {
        let named = |(place, entry): &(Place, &MemoryEntry)| match single {
            Some(single) => *place == single,
            None => path.ends_with(&entry.hex.path),
        };
        let (place, entry) = places(manifest).find(named).ok_or_else(|| {
            Error::new(path.display(), "the manifest does not say of which memory it is")
                .remedy("name it as the manifest does, or give --layer, --memory and --image")
        })?;
        Ok(Self { words: [(place, read_words(path, entry)?)].into(), ..Self::default() })
    }

    fn trace(
        manifest: &Manifest,
        path: &Path,
        lines: impl Iterator<Item = Result<TraceLine, String>>,
    ) -> Result<Self> {
        let mut dut = Self::default();
        for (number, line) in lines.enumerate() {
            let refused = |problem: &dyn std::fmt::Display| {
                Error::new(format_args!("{}, entry {}", path.display(), number + 1), problem)
                    .remedy("write layer, index and word in hex; or layer and cycle")
            };
            let line = line.map_err(|e| refused(&e))?;
            let layer = layer_named(manifest, &line.layer).map_err(|e| refused(&e))?;
            if line.image >= manifest.images {
                let problem = format!("there is no image {} in the vectors", line.image);
                return Err(refused(&problem));
            }
            if let Some(cycle) = line.cycle {
                let cycles = dut.cycles.entry((line.image, layer)).or_default();
                *cycles = cycle.max(*cycles);
            }
            let (index, word) = match (line.index, &line.word) {
                (None, None) if line.cycle.is_some() => continue,
                (Some(index), Some(word)) => (index, word),
                _ => return Err(refused(&"has an index without a word, or no index")),
            };
            let name = line.memory.as_deref().unwrap_or("ofmap");
            let place = place(manifest, layer, name, line.image).map_err(|e| refused(&e))?;
            let entry = entry(manifest, place).map_err(|e| refused(&e))?;
            if index as u64 >= entry.words {
                let problem = format!("the memory has {} words, this is {index}", entry.words);
                return Err(refused(&problem));
            }
            let token = word.trim_start_matches("0x");
            let found = parse_hex("word", token, entry.format()?, 1).map_err(|e| refused(&e))?;
            let words = dut.words.entry(place).or_default();
            if words.len() <= index {
                words.resize(index + 1, None);
            }
            words[index] = found.first().copied().flatten();
        }
        Ok(dut)
    }
}

/// The number of a layer in the manifest.
pub(super) fn layer_named(manifest: &Manifest, name: &str) -> Result<usize> {
    manifest.layers.iter().position(|layer| layer.name == name).ok_or_else(|| {
        let names: Vec<&str> = manifest.layers.iter().map(|layer| layer.name.as_str()).collect();
        Error::new(format_args!("layer `{name}`"), "the vectors have no such layer")
            .remedy(format_args!("choose of {}", names.join(", ")))
    })
}

/// The place of a memory, which the manifest has.
pub(super) fn place(
    manifest: &Manifest,
    layer: usize,
    memory: &str,
    image: usize,
) -> Result<Place> {
    let number = OUTPUTS.iter().position(|name| *name == memory).ok_or_else(|| {
        Error::new(format_args!("memory `{memory}`"), "is none that a design writes")
            .remedy(format_args!("choose of {}", OUTPUTS.join(", ")))
    })?;
    let place = Place { image, layer, memory: number };
    entry(manifest, place).map(|_| place)
}

/// What the manifest says of a memory.
pub(super) fn entry(manifest: &Manifest, place: Place) -> Result<&MemoryEntry> {
    let layer = &manifest.layers[place.layer];
    layer.memory(OUTPUTS[place.memory], place.image).ok_or_else(|| {
        Error::new(
            format_args!("layer `{}`, memory `{}`", layer.name, OUTPUTS[place.memory]),
            format_args!("the vectors have none for image {}", place.image),
        )
        .remedy("write the vectors with --images or --partial-sums")
    })
}

/// The memories that a design writes, in the order of images, layers and the way of a word.
fn places(manifest: &Manifest) -> impl Iterator<Item = (Place, &MemoryEntry)> {
    let of_layer = |image: usize, (layer, entry): (usize, &'_ LayerEntry)| {
        let memories = OUTPUTS.iter().enumerate();
        memories
            .filter_map(|(memory, name)| {
                let of_image = |m: &&MemoryEntry| m.image == Some(image) && m.memory == *name;
                let found = entry.memories.iter().position(|m| of_image(&m))?;
                Some((Place { image, layer, memory }, found))
            })
            .collect::<Vec<_>>()
    };
    (0..manifest.images)
        .flat_map(move |image| {
            manifest.layers.iter().enumerate().flat_map(move |layer| of_layer(image, layer))
        })
        .map(|(place, found)| (place, &manifest.layers[place.layer].memories[found]))
}

fn read_words(path: &Path, entry: &MemoryEntry) -> Result<Vec<Option<i64>>> {
    let text = files::read_text(path)?;
    parse_hex(&path.display().to_string(), &text, entry.format()?, entry.words)
}
