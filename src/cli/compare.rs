//! `bittrue compare`: what a design produced, against golden vectors.

use std::fmt::Write;
use std::path::PathBuf;

use comfy_table::Table;

use crate::cli::output;
use crate::error::{Error, Result};
use crate::report::ruled_table;
use crate::verify::compare::{
    ChainTrace, CompareOptions, Comparison, Divergence, WordValue, compare, write_replay,
};

/// What to compare.
#[derive(clap::Args)]
pub struct Args {
    /// Folder that `bittrue vectors` wrote.
    #[arg(value_name = "DIR")]
    vectors: PathBuf,
    /// What the design produced: a folder or a $readmemh file with the names of the manifest, or a
    /// trace .csv or .jsonl of layer, index, word and cycle.
    #[arg(long, value_name = "FILE|DIR")]
    dut: PathBuf,
    /// The layer that a $readmemh file of another name is of.
    #[arg(long)]
    layer: Option<String>,
    /// The memory that it is of.
    #[arg(long, default_value = "ofmap", requires = "layer")]
    memory: String,
    /// The image that it is of.
    #[arg(long, default_value_t = 0, requires = "layer")]
    image: usize,
    /// Cycles by which a layer may differ.
    #[arg(long, value_name = "N", default_value_t = 0)]
    tolerance_cycles: u64,
    /// Folder for the files that replay the first divergence.
    #[arg(long, value_name = "DIR", default_value = "bittrue-replay")]
    replay: PathBuf,
    /// Print only whether they are equal.
    #[arg(long)]
    quiet: bool,
}

/// Pairs of operands that are printed from the start of a chain, and from its end.
const SHOWN: usize = 12;

/// Compares and prints what was found; a divergence is an error.
pub fn run(args: &Args) -> Result<()> {
    let single = args.layer.clone().map(|layer| (layer, args.memory.clone(), args.image));
    let options = CompareOptions { tolerance_cycles: args.tolerance_cycles, single };
    let found = compare(&args.vectors, &args.dut, &options)?;
    if let Some(divergence) = &found.divergence {
        write_replay(divergence, &args.replay)?;
    }
    if !args.quiet {
        output::print(&describe(&found))?;
    }
    let dut = args.dut.display();
    if let Some(divergence) = &found.divergence {
        let d = divergence;
        return Err(Error::new(
            dut,
            format_args!(
                "{} of {} words differ, the first in layer `{}`, memory {}, channel {}, row {}, \
                 column {} of image {}",
                found.differing,
                found.words,
                d.layer,
                d.memory,
                d.channel,
                d.row,
                d.column,
                d.image
            ),
        )
        .remedy(format_args!("{} replays that word", args.replay.display())));
    }
    match found.cycles.iter().find(|cycles| cycles.differs) {
        None => Ok(()),
        Some(first) => Err(Error::new(
            dut,
            format_args!(
                "layer `{}` took {} cycles for image {}, the model {}",
                first.layer, first.actual, first.image, first.expected
            ),
        )
        .remedy("allow for a difference with --tolerance-cycles, or correct the design")),
    }
}

fn describe(found: &Comparison) -> String {
    let mut text = String::new();
    if !found.memories.is_empty() {
        let mut table = ruled_table(&["layer", "memory", "image", "words", "differing"], 2);
        for m in &found.memories {
            table.add_row([
                m.layer.clone(),
                m.memory.clone(),
                m.image.to_string(),
                m.words.to_string(),
                m.differing.to_string(),
            ]);
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{table}");
    }
    if !found.cycles.is_empty() {
        let mut table = ruled_table(&["layer", "image", "cycles", "model"], 1);
        for c in &found.cycles {
            let numbers = [c.image as u64, c.actual, c.expected].map(|n| n.to_string());
            let [image, actual, expected] = numbers;
            table.add_row([c.layer.clone(), image, actual, expected]);
        }
        let _ = writeln!(text, "{table}");
    }
    match &found.divergence {
        Some(divergence) => text.push_str(&first(divergence)),
        None => {
            let _ = writeln!(text, "{} words are equal", found.words);
        }
    }
    text
}

fn first(divergence: &Divergence) -> String {
    let d = divergence;
    let mut text = format!(
        "first divergence: layer {} ({}), memory {}, image {}, channel {}, row {}, column {}",
        d.layer, d.op, d.memory, d.image, d.channel, d.row, d.column
    );
    if let Some(step) = d.step {
        let _ = write!(text, ", step {step}");
    }
    let word = |word: &WordValue| format!("{} = {} ({})", word.hex, word.raw, word.value);
    let actual = d.actual.as_ref().map_or("not written, or unknown".into(), word);
    let _ = writeln!(
        text,
        "\n  word {} of {}\n  expected {}\n  actual   {actual}",
        d.index,
        d.format,
        word(&d.expected)
    );
    if let Some(line) = &d.pattern {
        let _ = writeln!(text, "  {line}");
    }
    for line in &d.causes {
        let _ = writeln!(text, "  explained if {line}");
    }
    if let Some(chain) = &d.chain {
        let _ = writeln!(
            text,
            "  bias {}, {} products, accumulator {}, output word {}\n{}",
            chain.bias,
            chain.weights.len(),
            chain.accumulator,
            chain.word,
            operands(chain)
        );
    }
    text
}

/// The operands with the partial sum after each accumulation, its ends only if it is long.
fn operands(chain: &ChainTrace) -> Table {
    let mut table = ruled_table(&["step", "weight", "activation", "partial sum"], 0);
    let count = chain.weights.len();
    let products = count.div_ceil(chain.partial_sums.len().saturating_sub(1).max(1)).max(1);
    for step in 0..count {
        if count > 2 * SHOWN && (SHOWN..count - SHOWN).contains(&step) {
            if step == SHOWN {
                table.add_row(["…", "…", "…", "…"]);
            }
            continue;
        }
        let ends = (step + 1) % products == 0 || step + 1 == count;
        let sum = chain.partial_sums.get(step / products + 1).filter(|_| ends);
        table.add_row([
            step.to_string(),
            chain.weights[step].to_string(),
            chain.activations[step].to_string(),
            sum.map(i64::to_string).unwrap_or_default(),
        ]);
    }
    table
}
