//! Golden vectors: per layer and per memory the words that a design reads and those that it must
//! write, with a manifest. Word orders are described in `docs/verification.md`.
//!
//! Written layer by layer and image by image; what is held is one image's words.

mod lists;
mod manifest;
mod memory;

use std::path::Path;

pub use manifest::{
    CyclesEntry, FileRef, LayerEntry, MANIFEST, MANIFEST_VERSION, MacEntry, Manifest, MemoryEntry,
};
pub(super) use memory::parse_hex;
pub use memory::sha256;

use self::memory::{Memory, MemoryWriter, write_text};
use crate::error::{Error, Result};
use crate::files;
use crate::hardware::Array;
use crate::kernels::{Epilogue, LayerDraws, Mac, MacKernel, MacSpec, SiteEvents};
use crate::numeric::{Cast, Constants, Format, Overflow, Rounding};
use crate::report::ToolInfo;
use crate::simulate::{BoundLayer, BoundMac, ImageState};
use crate::tensor::{Shape, Words};
use crate::verify::faults::AccumulatorFaults;
use crate::verify::package::{PACKAGE, package};
use crate::verify::{ChainSpec, Design, ordered_operands};

/// What to write.
#[derive(Clone, Debug, Default)]
pub struct VectorOptions {
    /// Images, from the first.
    pub images: usize,
    /// Whether to write every partial sum.
    pub partial_sums: bool,
    /// Whether to write the operands of every output pixel.
    pub patches: bool,
    /// Names of the layers; all if there are none.
    pub layers: Vec<String>,
}

/// Writes the golden vectors of a design into the folder `out`, which is new or empty. `done`
/// hears of layers that are done, of each image.
///
/// # Errors
/// If a layer or an image is not there, or the folder cannot be written.
pub fn write_vectors(
    design: &Design,
    options: &VectorOptions,
    out: &Path,
    mut done: impl FnMut(),
) -> Result<Manifest> {
    let layers = selected(design, &options.layers)?;
    if let Some(available) = design.images().filter(|&available| options.images > available) {
        let problem =
            format_args!("{} images were asked for, there are {available}", options.images);
        return Err(Error::new("--images", problem).remedy("ask for fewer"));
    }
    files::write_folder(out, |root| {
        let entry = |&index: &usize| describe(design, index);
        let mut entries: Vec<LayerEntry> = layers.iter().map(entry).collect();
        for entry in &mut entries {
            if let Some(mac) = design.words().layers()[entry.index].mac() {
                entry.memories = constants(root, &entry.folder, &mac.kernel().mac())?;
            }
        }
        let mut state = design.words().state();
        for image in 0..options.images {
            design.run(image, &mut state, |index, read, state| {
                let Some(entry) = entries.iter_mut().find(|entry| entry.index == index) else {
                    return Ok(());
                };
                let of_image = Image { design, options, root, image, read, state };
                of_image.layer(entry)?;
                done();
                Ok(())
            })?;
        }
        for entry in &entries {
            for image in 0..options.images {
                lists::plusargs(root, entry, image)?;
            }
        }
        let core = lists::core(&design.network, &entries);
        let manifest = Manifest {
            schema_version: MANIFEST_VERSION,
            tool: ToolInfo { name: "bittrue".into(), version: env!("CARGO_PKG_VERSION").into() },
            seed: design.seed,
            network: design.network.clone(),
            plan: design.plan.clone(),
            dataset: design.dataset().into(),
            images: options.images,
            hardware: design.hardware.name.clone(),
            hardware_file: write_text(root, "hardware.toml", &design.hardware_text)?,
            package: write_text(
                root,
                &format!("{PACKAGE}.sv"),
                &package(&design.hardware, &entries),
            )?,
            core: write_text(root, "vectors.core", &core)?,
            cycles: cycles_definition(&design.hardware.array).into(),
            faults: design.faults.clone(),
            layers: entries,
        };
        let text = serde_json::to_string_pretty(&manifest).map_err(|e| Error::new(MANIFEST, e))?;
        write_text(root, MANIFEST, &format!("{text}\n"))?;
        Ok(manifest)
    })
}

/// Numbers of the layers of these names, or of all.
fn selected(design: &Design, names: &[String]) -> Result<Vec<usize>> {
    let layers = design.words().layers();
    if names.is_empty() {
        return Ok((0..layers.len()).collect());
    }
    let mut found: Vec<usize> = names
        .iter()
        .map(|name| {
            layers.iter().position(|layer| layer.name() == name).ok_or_else(|| {
                let names: Vec<&str> = layers.iter().map(BoundLayer::name).collect();
                Error::new(format_args!("layer `{name}`"), "the network has no such layer")
                    .remedy(format_args!("choose of {}", names.join(", ")))
            })
        })
        .collect::<Result<_>>()?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn cycles_definition(array: &Array) -> &'static str {
    match array {
        Array::Systolic(_) => {
            "compute: groups x row folds x column folds x cycles per fold, from the first operand \
             that enters the array to the last result that leaves it, fold after fold without \
             overlap; stall: cycles that wait for memory, on top (docs/cycles.md)"
        }
        Array::Lanes(_) => {
            "compute: the recurrence of chunks over the whole layer, from the first chunk sent at \
             cycle 0 to the last element done, plus drain; dense_compute: the same with all pairs \
             effectual; stall: cycles that wait for memory, on top (docs/cycles.md)"
        }
    }
}

fn dimensions(shape: Shape) -> [usize; 3] {
    [shape.channels, shape.height, shape.width]
}

fn describe(design: &Design, index: usize) -> LayerEntry {
    let layers = design.words().layers();
    let layer = &layers[index];
    let folder_name: String = (layer.name().chars())
        .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' })
        .collect();
    LayerEntry {
        index,
        name: layer.name().into(),
        op: design.operator(index).into(),
        folder: format!("layers/{index:02}_{folder_name}"),
        inputs: layer.inputs().iter().map(|&i| layers[i].name().into()).collect(),
        input_shapes: layer.inputs().iter().map(|&i| dimensions(layers[i].shape())).collect(),
        output_shape: dimensions(layer.shape()),
        output: layer.format(),
        zero_point: layer.zero_point(),
        mac: layer.mac().map(describe_mac),
        memories: Vec::new(),
        cycles: Vec::new(),
    }
}

fn describe_mac(mac: &BoundMac) -> MacEntry {
    let mac = mac.kernel().mac();
    let window = mac.geometry.window;
    MacEntry {
        kernel: window.kernel,
        stride: window.stride,
        padding: window.padding,
        dilation: window.dilation,
        groups: mac.geometry.groups,
        pixels: mac.geometry.pixels(),
        reduction: mac.geometry.reduction(),
        group_outputs: mac.geometry.group_outputs(),
        order: mac.order.clone(),
        chain: ChainSpec::of(&mac),
    }
}

/// Writes a memory of words that come in the order of its axes.
fn write(
    root: &Path,
    folder: &str,
    memory: Memory,
    words: impl Iterator<Item = i64>,
) -> Result<MemoryEntry> {
    let mut writer = MemoryWriter::create(root, folder, memory)?;
    for word in words {
        writer.put(word)?;
    }
    writer.finish()
}

/// What is the same for all images: weights, biases, requantizers.
fn constants(root: &Path, folder: &str, mac: &Mac) -> Result<Vec<MemoryEntry>> {
    let geometry = &mac.geometry;
    let [kh, kw] = geometry.window.kernel;
    let order = mac.order.reduction(geometry.group_inputs(), kh, kw);
    let (channels, reduction) = (geometry.output.channels, geometry.reduction());
    let memory = |name: &str, format, shape, axes| Memory {
        name: name.into(),
        image: None,
        format,
        shape,
        axes,
    };
    let weights = memory(
        "weights",
        mac.spec.weights,
        vec![channels, reduction],
        "output channel, accumulation step",
    );
    let words = (0..channels)
        .flat_map(|c| order.iter().map(move |&k| mac.weights.get(c * reduction + k as usize)));
    let mut written = vec![write(root, folder, weights, words)?];
    if let Some((format, raw)) = mac.bias {
        let bias = memory("bias", format, vec![channels], "output channel");
        written.push(write(root, folder, bias, raw.iter().copied())?);
    }
    let requantizers = ChainSpec::of(mac).requantizer;
    if let Some(first) = requantizers.first() {
        let output = mac.spec.epilogue.cast.to();
        let word = |constants: Constants| match constants {
            Constants::Shift { acc_frac } => (acc_frac - output.frac()).into(),
            Constants::MultiplierShift { multiplier, shift } => {
                i64::from(shift as u8) << 32 | i64::from(multiplier)
            }
            Constants::Float32 { scale_bits } => scale_bits.into(),
            Constants::Float64 { scale_bits } => scale_bits as i64,
        };
        let (signed, bits, axes) = match first.constants {
            Constants::Shift { .. } => (true, 16, "output channel: bits to shift to the right"),
            Constants::MultiplierShift { .. } => {
                (false, 40, "output channel: shift to the left in 8 bits, multiplier in 32")
            }
            Constants::Float32 { .. } => (false, 32, "output channel: bits of the float32 scale"),
            Constants::Float64 { .. } => (false, 64, "output channel: bits of the float64 scale"),
        };
        let format = Format::new(signed, bits, 0)?;
        let memory = memory("requantizer", format, vec![requantizers.len()], axes);
        let words = requantizers.iter().map(|requantizer| word(requantizer.constants));
        written.push(write(root, folder, memory, words)?);
    }
    Ok(written)
}

/// The accumulators of a layer, channels-last: its kernel without requantization.
pub(super) fn accumulators(mac: &Mac, operands: &Words, draws: LayerDraws) -> Result<Words> {
    let format = mac.spec.accumulator.to();
    let identity = Cast::new(format, Rounding::Floor, Overflow::Wrap)?;
    let spec = MacSpec { epilogue: Epilogue::cast(identity), ..mac.spec };
    let kernel = MacKernel::new(Mac { spec, requantizers: &[], ..*mac })?;
    let mut words = Words::zeros(format, mac.geometry.output.len());
    let events = &mut SiteEvents::default();
    kernel.run(operands, &mut words, &mut kernel.scratch(), draws, events);
    Ok(words)
}

/// An image on its way through a layer.
struct Image<'a> {
    design: &'a Design,
    options: &'a VectorOptions,
    root: &'a Path,
    image: usize,
    read: Option<&'a Words>,
    state: &'a ImageState,
}

impl Image<'_> {
    fn layer(&self, entry: &mut LayerEntry) -> Result<()> {
        let (index, design) = (entry.index, self.design);
        let layer = &design.words().layers()[index];
        let counts = design.simulator.count_layer(index, self.read, self.state);
        entry.cycles.push(CyclesEntry {
            image: self.image,
            compute: counts.cycles.compute,
            dense_compute: counts.cycles.dense_compute,
            stall: counts.cycles.stall,
        });
        match layer.mac() {
            Some(mac) => {
                let held = design.words().operands(index, self.state);
                let operands = match self.read {
                    Some(read) if !mac.recasts() => Some(read),
                    _ => held,
                };
                if let Some(operands) = operands {
                    self.mac_layer(entry, layer, &mac.kernel().mac(), operands)?;
                }
            }
            None => {
                for (number, &input) in layer.inputs().iter().enumerate() {
                    let read = &design.words().layers()[input];
                    if read.writes_words() {
                        let name =
                            if number == 0 { "ifmap".into() } else { format!("ifmap{number}") };
                        self.map(entry, &name, read.shape(), self.state.words(input))?;
                    }
                }
            }
        }
        if layer.writes_words() {
            self.map(entry, "ofmap", layer.shape(), self.state.words(index))?;
        }
        Ok(())
    }

    fn faults(&self, layer: usize, mac: &Mac) -> Option<AccumulatorFaults> {
        let injector = self.design.injector.as_ref()?;
        Some(injector.accumulators(layer, self.image, mac))
    }

    fn memory(&self, name: &str, format: Format, shape: Vec<usize>, axes: &'static str) -> Memory {
        Memory { name: name.into(), image: Some(self.image), format, shape, axes }
    }

    fn folder(&self, entry: &LayerEntry) -> String {
        format!("{}/image{:04}", entry.folder, self.image)
    }

    /// A feature map, channels-last.
    fn map(&self, entry: &mut LayerEntry, name: &str, shape: Shape, words: &Words) -> Result<()> {
        self.results(entry, name, words.format(), shape, (0..words.len()).map(|i| words.get(i)))
    }

    fn results(
        &self,
        entry: &mut LayerEntry,
        name: &str,
        format: Format,
        shape: Shape,
        words: impl Iterator<Item = i64>,
    ) -> Result<()> {
        let shape = vec![shape.height, shape.width, shape.channels];
        let memory = self.memory(name, format, shape, "row, column, channel");
        entry.memories.push(write(self.root, &self.folder(entry), memory, words)?);
        Ok(())
    }

    fn mac_layer(
        &self,
        entry: &mut LayerEntry,
        layer: &BoundLayer,
        mac: &Mac,
        operands: &Words,
    ) -> Result<()> {
        self.map(entry, "ifmap", mac.geometry.input, operands)?;
        if self.options.patches {
            self.patches(entry, mac, operands)?;
        }
        if self.options.partial_sums {
            self.partial_sums(entry, mac, operands)?;
        }
        let draws = self.design.words().draws(entry.index, self.image);
        let mut sums = accumulators(mac, operands, draws)?;
        let faults = self.faults(entry.index, mac);
        for (element, sum) in faults.iter().flat_map(|faults| faults.changed(mac, operands)) {
            sums.set(element, sum as i64);
        }
        self.map(entry, "accumulator", mac.geometry.output, &sums)?;
        let (output, shape) = (mac.spec.epilogue.cast.to(), mac.geometry.output);
        let frac = mac.spec.accumulator.to().frac();
        let requantized = |clamp: bool| {
            let sums = &sums;
            (0..sums.len()).map(move |element| {
                let channel = element % shape.channels;
                let mut epilogue = mac.spec.epilogue.of_channel(mac.requantizers, channel);
                epilogue.clamp = epilogue.clamp.filter(|_| clamp);
                let random = draws.draw(crate::kernels::Site::Output, element, 0);
                epilogue.apply(sums.get(element).into(), frac, random).raw as i64
            })
        };
        if mac.spec.epilogue.clamp.is_some() {
            self.results(entry, "requantized", output, shape, requantized(false))?;
        }
        if layer.maps_words() {
            self.results(entry, "activated", output, shape, requantized(true))?;
        }
        Ok(())
    }

    /// The operands of every output pixel in accumulation order, by group.
    fn patches(&self, entry: &mut LayerEntry, mac: &Mac, operands: &Words) -> Result<()> {
        let geometry = &mac.geometry;
        let shape = vec![geometry.groups, geometry.pixels(), geometry.reduction()];
        let axes = "group, output pixel, accumulation step";
        let memory = self.memory("patches", mac.spec.activations, shape, axes);
        let mut writer = MemoryWriter::create(self.root, &self.folder(entry), memory)?;
        for group in 0..geometry.groups {
            for pixel in 0..geometry.pixels() {
                let channel = group * geometry.group_outputs();
                for (_, activation) in ordered_operands(mac, operands, pixel, channel) {
                    writer.put(activation)?;
                }
            }
        }
        entry.memories.push(writer.finish()?);
        Ok(())
    }

    /// What the accumulator of every output word holds at the start and after every accumulation.
    fn partial_sums(&self, entry: &mut LayerEntry, mac: &Mac, operands: &Words) -> Result<()> {
        let (geometry, spec) = (&mac.geometry, ChainSpec::of(mac));
        let channels = geometry.output.channels;
        let first = spec.chain(None, 0)?;
        let faults = self.faults(entry.index, mac);
        let steps = 1 + geometry.reduction().div_ceil(first.products());
        let format = first.partial_sum_format()?;
        let shape = vec![geometry.output.height, geometry.output.width, channels, steps];
        let axes = "row, column, channel, accumulation step";
        let memory = self.memory("partial_sums", format, shape, axes);
        let mut writer = MemoryWriter::create(self.root, &self.folder(entry), memory)?;
        for element in 0..geometry.output.len() {
            let (pixel, channel) = (element / channels, element % channels);
            let pairs = ordered_operands(mac, operands, pixel, channel);
            let bias = mac.bias.map_or(0, |(_, raw)| raw[channel]);
            let mut failed = Ok(());
            let put = |sum: i128| {
                if failed.is_ok() {
                    failed = writer.put(sum as i64);
                }
            };
            match &faults {
                Some(faults) => drop(faults.run(&first, element, (bias, &pairs), put)),
                None => first.partial_sums(bias, &pairs, put),
            }
            failed?;
        }
        entry.memories.push(writer.finish()?);
        Ok(())
    }
}
