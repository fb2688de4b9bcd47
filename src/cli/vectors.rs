//! `bittrue vectors`: golden vectors for RTL verification.

use std::path::PathBuf;

use crate::cli::{output, run::densities, threads};
use crate::error::{Error, Result};
use crate::hardware::Hardware;
use crate::verify::vectors::{VectorOptions, write_vectors};
use crate::verify::{Design, DesignFiles};

/// What to write vectors of, and where.
#[derive(clap::Args)]
pub struct Args {
    /// Network: shipped name or file.
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
    /// Number of images, from the first.
    #[arg(long, value_name = "N", default_value_t = 1)]
    images: usize,
    /// Folder to make; it is new or empty.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Layers to write [default: all].
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    layers: Vec<String>,
    /// Write what the accumulator of every output word holds after every step.
    #[arg(long)]
    partial_sums: bool,
    /// Write the operands of every output pixel in accumulation order, padding included.
    #[arg(long)]
    patches: bool,
    /// Synthetic operands with these fractions of nonzero weights and activations.
    #[arg(long, value_name = "W,A", value_parser = densities)]
    synthetic: Option<[f64; 2]>,
    /// Break words: a fault file .toml, or `SITE:KIND:RATE[:LAYER]`, such as weights:flip:1e-4.
    #[arg(long, value_name = "FILE|SPEC")]
    inject: Option<String>,
    /// Seed of stochastic rounding and of synthetic operands.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Threads [default: one a core].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print neither the summary nor progress.
    #[arg(long)]
    quiet: bool,
}

/// Writes the folder and prints what is in it.
pub fn run(args: &Args) -> Result<()> {
    if args.images == 0 {
        return Err(
            Error::new("--images", "0 images leave nothing to write").remedy("give at least 1")
        );
    }
    threads::pool(args.threads)?.install(|| execute(args))
}

fn execute(args: &Args) -> Result<()> {
    let design = Design::open(DesignFiles {
        network: &args.network,
        hardware: &args.hw,
        plan: args.plan.as_deref(),
        data: args.data.as_deref(),
        synthetic: args.synthetic,
        inject: args.inject.as_deref(),
        seed: args.seed,
    })?;
    let options = VectorOptions {
        images: args.images,
        partial_sums: args.partial_sums,
        patches: args.patches,
        layers: args.layers.clone(),
    };
    let layers = match args.layers.len() {
        0 => design.words().layers().len(),
        some => some,
    };
    let bar = output::progress((layers * args.images) as u64, "layers", args.quiet);
    let manifest = write_vectors(&design, &options, &args.out, || bar.inc(1))?;
    bar.finish_and_clear();
    if args.quiet {
        return Ok(());
    }
    let memories = manifest.layers.iter().flat_map(|layer| &layer.memories);
    let words: u64 = memories.clone().map(|memory| memory.words).sum();
    output::print(&format!(
        "{}: {} layers, {} memories, {words} words\n",
        args.out.display(),
        manifest.layers.len(),
        memories.count(),
    ))
}
