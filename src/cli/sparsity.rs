//! `bittrue sparsity`: where the zeros of a network are, and what they are worth.

use indicatif::ProgressBar;

use crate::cli::subject::{SubjectArgs, percent};
use crate::cli::{output, threads};
use crate::error::{Error, Result};
use crate::explore::{Observer, Options, Sparsity, Takes, sparsity};
use crate::quantize::Plan;
use crate::report::ruled_table;

/// What to look at, and what to try.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    subject: SubjectArgs,
    /// Quantization plan: shipped name or .toml file.
    #[arg(long, value_name = "NAME|FILE", default_value = Plan::DEFAULT)]
    plan: String,
    /// Set this fraction of each layer's weights, the smallest, to zero.
    #[arg(long, value_name = "FRACTION")]
    prune: Option<f64>,
    /// Search each layer's largest threshold on its outputs without loss, on the first half of the
    /// images.
    #[arg(long)]
    thresholds: bool,
    /// Fraction of these images that a layer alone may lose.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, requires = "thresholds")]
    loss: f64,
}

struct Progress(ProgressBar);

impl Observer for Progress {
    fn quantization(&self, _: usize, _: usize, _: usize) {}

    fn images(&self, images: u64) {
        self.0.inc(images);
    }

    fn points(&self, _: u64) {}
}

/// Counts, tries and prints.
pub fn run(args: &Args) -> Result<()> {
    for (name, value) in [("--prune", args.prune), ("--loss", Some(args.loss))] {
        if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            return Err(Error::new(name, "is no fraction").remedy("give a number from 0 to 1"));
        }
    }
    threads::pool(args.subject.threads)?.install(|| execute(args))
}

fn execute(args: &Args) -> Result<()> {
    let (model, hardware, data) = args.subject.open(None)?;
    let plan = Plan::open(&args.plan)?;
    let options = Options {
        prune: args.prune,
        thresholds: args.thresholds.then_some(args.loss),
        seed: args.subject.seed,
    };
    let runs = 1 + u64::from(args.prune.is_some()) + u64::from(args.thresholds);
    let bar = output::progress(data.images() as u64 * runs, "images", args.subject.quiet);
    let found = sparsity(&model, &data, &plan, &hardware, &options, &Progress(bar.clone()))?;
    bar.finish_and_clear();
    args.subject.write(&found, &rows(&found))?;
    if args.subject.quiet { Ok(()) } else { output::print(&shown(&found)) }
}

/// A row a layer, its words by the bit length of their magnitudes.
fn rows(found: &Sparsity) -> Vec<Vec<String>> {
    let header = ["layer", "operand", "words", "zeros", "sparsity", "bit_sparsity", "histogram"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let layers = found.layers.iter().map(|layer| (layer.name.as_str(), &layer.zeros));
    for (name, zeros) in layers.chain([("total", &found.total)]) {
        let operands = [
            ("weights", &zeros.weights),
            ("bias", &zeros.bias),
            ("activations", &zeros.activations),
        ];
        for (operand, counts) in operands {
            let histogram: Vec<String> = counts.histogram.iter().map(u64::to_string).collect();
            rows.push(vec![
                name.to_owned(),
                operand.to_owned(),
                counts.words.to_string(),
                counts.zeros.to_string(),
                counts.sparsity().to_string(),
                counts.bit_sparsity().to_string(),
                histogram.join(" "),
            ]);
        }
    }
    rows
}

fn shown(found: &Sparsity) -> String {
    let header =
        ["layer", "weights", "zero", "zero bits", "bias zero", "activations zero", "zero bits"];
    let mut table = ruled_table(&header, 1);
    let layers = found.layers.iter().map(|layer| (layer.name.as_str(), &layer.zeros));
    for (name, zeros) in layers.chain([("total", &found.total)]) {
        let fraction = |words: u64, fraction: f64| match words {
            0 => "–".into(),
            _ => percent(fraction),
        };
        let [weights, bias, activations] = [&zeros.weights, &zeros.bias, &zeros.activations];
        table.add_row([
            name.to_owned(),
            weights.words.to_string(),
            percent(weights.sparsity()),
            percent(weights.bit_sparsity()),
            fraction(bias.words, bias.sparsity()),
            fraction(activations.words, activations.sparsity()),
            fraction(activations.words, activations.bit_sparsity()),
        ]);
    }
    let mut text = format!(
        "{} under {} on {} images of {}, hardware {}\n\n{table}\n\n",
        found.network, found.plan, found.images, found.dataset, found.hardware
    );
    let mut takes = ruled_table(
        &["", "accuracy", "cycles", "saved", "energy (pJ)", "DRAM (bytes)", "buffers (bytes)"],
        1,
    );
    let mut add = |name: String, t: &Takes| {
        takes.add_row([
            name,
            t.accuracy.map_or("–".into(), percent),
            format!("{:.0}", t.cycles),
            percent(1.0 - t.cycles / t.dense_cycles.max(1.0)),
            format!("{:.0}", t.energy_pj),
            format!("{:.0}", t.dram_bytes),
            format!("{:.0}", t.buffer_bytes),
        ]);
    };
    add("as it is".into(), &found.takes);
    if let Some(pruned) = &found.pruned {
        add(format!("pruned to {}", percent(pruned.weights)), &pruned.takes);
    }
    if let Some(thresholds) = &found.thresholds {
        add("with thresholds".into(), &thresholds.takes);
    }
    text += &format!("{takes}\n");
    if let Some(thresholds) = &found.thresholds {
        let mut table = ruled_table(&["layer", "threshold (word)", "(value)", "alone"], 1);
        for layer in &thresholds.layers {
            table.add_row([
                layer.layer.clone(),
                layer.word.to_string(),
                format!("{:.4}", layer.value),
                percent(layer.score.rate),
            ]);
        }
        text += &format!(
            "\n{table}\n\nthresholds chosen on {} images, {} without them, {} with all of them\n",
            thresholds.tuning.images,
            percent(thresholds.tuning.rate),
            percent(thresholds.together.rate)
        );
    }
    text
}
