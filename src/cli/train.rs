//! `bittrue train`: trains a topology and writes its weights.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::threads;
use crate::dataset;
use crate::error::{Error, Result};
use crate::network::{topology, weights};
use crate::train::{self, Progress, Schedule, Settings, Sgd};

/// Train a network in float32 and write its weights
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Topology file
    network: PathBuf,
    /// Folder with the training and test images and labels as IDX files, plain or .gz, or a
    /// dataset description
    #[arg(long, value_name = "PATH")]
    data: String,
    /// File that the weights are written to
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
    /// Passes over the training images
    #[arg(long, value_name = "N", default_value_t = 20)]
    epochs: usize,
    /// Images per step
    #[arg(long, value_name = "N", default_value_t = 64)]
    batch_size: usize,
    /// Initial learning rate
    #[arg(long, value_name = "RATE", default_value_t = 0.02)]
    learning_rate: f64,
    /// Momentum
    #[arg(long, value_name = "M", default_value_t = 0.9)]
    momentum: f64,
    /// Weight decay
    #[arg(long, value_name = "D", default_value_t = 5e-4)]
    weight_decay: f64,
    /// Learning rate over time: constant, cosine or step:EPOCHS:FACTOR
    #[arg(long, default_value_t = Schedule::Cosine)]
    schedule: Schedule,
    /// Shift each image by up to N pixels, at random, in every epoch
    #[arg(long, value_name = "N", default_value_t = 0)]
    shift: usize,
    /// Seed of weights, order and shifts
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Threads; all cores unless given. The result does not depend on it
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Trains, writes the weights and prints the accuracy on the test images.
///
/// # Errors
///
/// If an argument, the topology or the data is refused, training diverges, or the weights cannot
/// be written.
pub fn run(args: &Args) -> Result<()> {
    let pool = threads::pool(args.threads)?;
    let network = topology::read(&args.network)?.network;
    let data = dataset::open(&args.data)?;
    let images = data.train.ok_or_else(|| {
        Error::new(&args.data, "has no training images")
            .remedy("put train-images-idx3-ubyte and train-labels-idx1-ubyte there; docs/training.md tells where they come from")
    })?;
    let settings = Settings {
        epochs: args.epochs,
        batch_size: args.batch_size,
        sgd: Sgd {
            learning_rate: args.learning_rate,
            momentum: args.momentum,
            weight_decay: args.weight_decay,
        },
        schedule: args.schedule,
        shift: args.shift,
        seed: args.seed,
    };
    let bar = progress_bar((args.epochs as u64).saturating_mul(images.len() as u64));
    let show = |at: &Progress| {
        bar.set_position((at.epoch * images.len() + at.images) as u64);
        bar.set_message(format!(
            "epoch {}/{}, loss {:.4}, accuracy {:.2} %",
            at.epoch + 1,
            args.epochs,
            at.loss,
            100.0 * at.accuracy
        ));
    };
    let (parameters, accuracy) = pool.install(|| {
        let parameters = train::train(&network, &images, &settings, show)?;
        let accuracy = train::accuracy(&network, &parameters, &data.test)?;
        Ok((parameters, accuracy))
    })?;
    bar.finish_and_clear();
    weights::write(&args.out, &parameters)?;
    println!("{}: {} parameters", args.out.display(), network.parameter_count());
    println!("accuracy on {} test images: {:.2} %", data.test.len(), 100.0 * accuracy);
    Ok(())
}

/// A bar on stderr that shows on a terminal only.
fn progress_bar(images: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} % {msg}, {eta} left");
    ProgressBar::new(images).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
