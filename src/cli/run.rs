//! `bittrue run`: execute a network on a hardware model.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ndarray::Array2;
use ndarray_npy::WriteNpyExt;

use crate::cli::{output, threads};
use crate::dataset;
use crate::error::{Error, Result};
use crate::files;
use crate::hardware::Hardware;
use crate::network::{self, Model, Network, Parameters};
use crate::page;
use crate::quantize::{Plan, lower, lower_encoded, synthetic};
use crate::report::{self, Report, Subject, Tally};
use crate::simulate::{BoundNetwork, ImageState, Outputs, Simulator};
use crate::verify::break_network;
use crate::verify::faults::{FaultSpec, fault_report};

/// What to run, where, and what to write.
#[derive(clap::Args)]
pub struct Args {
    /// Shipped name, topology .toml, .onnx model, or SCALE-Sim topology .csv.
    #[arg(default_value = "lenet5")]
    network: String,
    /// Hardware model: shipped name or .toml file.
    #[arg(long, value_name = "NAME|FILE", default_value = Hardware::DEFAULT)]
    hw: String,
    /// Quantization plan: shipped name or .toml file [default: int8; a network that brings its own
    /// quantization takes none].
    #[arg(long, value_name = "NAME|FILE")]
    plan: Option<String>,
    /// Dataset: shipped name, folder, .npy or .toml file [default: the network's own].
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    /// Number of images, from the first [default: all; 1 where operands are synthetic].
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// Seed of stochastic rounding and of synthetic operands.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Threads [default: one a core].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Synthetic operands with these fractions of nonzero weights and activations.
    #[arg(long, value_name = "W,A", value_parser = densities)]
    synthetic: Option<[f64; 2]>,
    /// Break words: a fault file .toml, or `SITE:KIND:RATE[:LAYER]`, such as weights:flip:1e-4. The
    /// report says what that does to words and accuracy.
    #[arg(long, value_name = "FILE|SPEC", conflicts_with = "synthetic")]
    inject: Option<String>,
    /// Write the network's outputs, [images, classes] float32.
    #[arg(long, value_name = "FILE.npy")]
    outputs: Option<PathBuf>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as CSV, a row a layer.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the report as one HTML page with charts.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print neither the report nor progress.
    #[arg(long)]
    quiet: bool,
}

pub(super) fn densities(text: &str) -> Result<[f64; 2], String> {
    let fraction = |t: &str| t.trim().parse().ok().filter(|f| (0.0..=1.0).contains(f));
    let parts = text.split_once(',').and_then(|(w, a)| Some([fraction(w)?, fraction(a)?]));
    parts.ok_or_else(|| "write two fractions from 0 to 1, such as 0.4,0.6".into())
}

/// Runs and writes what was asked for.
pub fn run(args: &Args) -> Result<()> {
    if args.images == Some(0) {
        return Err(Error::new("--images", "0 images leave nothing to run")
            .remedy("give at least 1, or leave the option out to run all"));
    }
    threads::pool(args.threads)?.install(|| execute(args))
}

/// A finished run: its report, and the outputs by image where they are asked for.
struct Finished {
    report: Report,
    outputs: Vec<Vec<f32>>,
}

fn execute(args: &Args) -> Result<()> {
    let hardware = Hardware::open(&args.hw)?;
    let model = network::open(&args.network)?;
    let plan = args.plan.as_deref().map(Plan::open).transpose()?;
    if let (Some(plan), Some(_)) = (&plan, &model.quantization) {
        return Err(Error::new(
            &args.network,
            format_args!("is quantized already, plan `{}` is not needed", plan.name),
        )
        .remedy("leave --plan out, or run the float network"));
    }
    let plan = plan.unwrap_or_default();
    let finished = match (&model.parameters, args.synthetic) {
        (Some(parameters), None) => on_data(args, &model, parameters, &plan, &hardware)?,
        _ if args.inject.is_some() => {
            return Err(Error::new(&args.network, "has no weights, so that faults have no effect")
                .remedy("leave --inject out, or run a trained network"));
        }
        (_, densities) => {
            let densities = densities.unwrap_or([1.0, 1.0]);
            on_synthetic(args, &model.network, densities, &plan, &hardware)?
        }
    };
    if let Some(path) = &args.outputs {
        write_outputs(path, &finished.outputs)?;
    }
    let write = |path: &PathBuf, text: String| {
        files::write_atomically(path, |file| file.write_all(text.as_bytes()))
    };
    if let Some(path) = &args.json {
        write(path, report::to_json(&finished.report)?)?;
    }
    if let Some(path) = &args.csv {
        write(path, report::to_csv(&finished.report)?)?;
    }
    if let Some(path) = &args.html {
        write(path, page::to_html(&finished.report)?)?;
    }
    if args.quiet { Ok(()) } else { output::print(&report::to_terminal(&finished.report)) }
}

/// Runs a trained network on a dataset, beside the float network.
fn on_data(
    args: &Args,
    model: &Model,
    parameters: &Parameters,
    plan: &Plan,
    hardware: &Hardware,
) -> Result<Finished> {
    let Some(name) = args.data.as_ref().or(model.dataset.as_ref()) else {
        return Err(Error::new(&args.network, "names no dataset to run on")
            .remedy("give one with --data, or run on --synthetic operands"));
    };
    let source = dataset::open(name)?;
    source.test.check(&model.network)?;
    let images = images(args, source.test.len())?;
    let start = Instant::now();
    let mut lowered = match &model.quantization {
        Some(quantization) => lower_encoded(&model.network, parameters, quantization)?,
        None => lower(&model.network, parameters, plan, source.calibration.as_ref())?,
    };
    let (simulator, sound) = match &args.inject {
        Some(spec) => {
            let faults = FaultSpec::open(spec)?;
            let sound = BoundNetwork::bind(&lowered.network, &hardware.datapath, args.seed)?;
            let broken = break_network(&mut lowered.network, hardware, &faults, args.seed)?;
            (broken.0, Some((spec, sound)))
        }
        None => (Simulator::new(&lowered.network, hardware, args.seed)?, None),
    };
    let bar = output::progress(images as u64, "images", args.quiet);
    let (mut tally, mut outputs) = (Tally::default(), Vec::new());
    let each = |index: usize, of_image: Outputs| {
        let Outputs { quantized, float } = of_image;
        tally.add(source.test.label(index), &quantized, float.as_deref());
        if args.outputs.is_some() {
            outputs.push(quantized);
        }
    };
    let image = |index| source.test.image(index);
    let run =
        simulator.run(images, lowered.baseline.as_ref(), image, each, |done| bar.inc(done))?;
    bar.finish_and_clear();
    let subject = Subject {
        network: &model.network,
        quantized: &lowered.network,
        sites: &lowered.sites,
        plan: if model.quantization.is_some() { "the network's own" } else { &plan.name },
        hardware,
        simulator: &simulator,
        dataset: source.test.name(),
        seed: args.seed,
    };
    let mut report = subject.report(&run, Some(tally.accuracy()), start.elapsed().as_secs_f64());
    if let Some((spec, sound)) = &sound {
        let run = |network: &BoundNetwork, index: usize, state: &mut ImageState| {
            let values = image(index)?;
            let values = values.as_standard_layout();
            network.quantize_input(values.as_slice().unwrap_or_default(), index, state)?;
            network.run_image(index, state);
            Ok(())
        };
        let label = |index| source.test.label(index);
        let networks = [sound, simulator.words()];
        report.faults = Some(fault_report(spec, networks, images, run, label)?);
    }
    Ok(Finished { report, outputs })
}

/// Runs a network on synthetic operands of the densities [weights, activations].
fn on_synthetic(
    args: &Args,
    network: &Network,
    [weights, activations]: [f64; 2],
    plan: &Plan,
    hardware: &Hardware,
) -> Result<Finished> {
    if args.outputs.is_some() {
        return Err(Error::new("--outputs", "synthetic operands give no outputs of the network")
            .remedy("run a network that has weights, without --synthetic"));
    }
    let start = Instant::now();
    let lowered = synthetic(network, plan, weights, args.seed)?;
    let simulator = Simulator::new(&lowered.network, hardware, args.seed)?;
    let images = args.images.unwrap_or(1);
    let bar = output::progress(images as u64, "images", args.quiet);
    let run = simulator.run_synthetic(images, activations, |done| bar.inc(done))?;
    bar.finish_and_clear();
    let subject = Subject {
        network,
        quantized: &lowered.network,
        sites: &lowered.sites,
        plan: &plan.name,
        hardware,
        simulator: &simulator,
        dataset: "synthetic",
        seed: args.seed,
    };
    let report = subject.report(&run, None, start.elapsed().as_secs_f64());
    Ok(Finished { report, outputs: Vec::new() })
}

fn images(args: &Args, available: usize) -> Result<usize> {
    match args.images {
        Some(n) if n > available => Err(Error::new(
            "--images",
            format_args!("{n} images were asked for, the dataset has {available}"),
        )
        .remedy("ask for fewer, or leave the option out to run all")),
        other => Ok(other.unwrap_or(available)),
    }
}

fn write_outputs(path: &Path, outputs: &[Vec<f32>]) -> Result<()> {
    let columns = outputs.first().map_or(0, Vec::len);
    let values = outputs.concat();
    let matrix = Array2::from_shape_vec((outputs.len(), columns), values)
        .map_err(|e| Error::new(path.display(), e))?;
    files::write_atomically(path, |file| matrix.write_npy(file).map_err(std::io::Error::other))
}
