//! `bittrue search`: the cheapest formats for a stated loss of accuracy.

use std::path::PathBuf;

use crate::cli::subject::{SubjectArgs, percent, write};
use crate::cli::{output, threads};
use crate::error::{Error, Result};
use crate::explore::{Candidate, Cost, Search, SearchSettings, search};
use crate::report::ruled_table;

/// What to search for.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    subject: SubjectArgs,
    /// Fraction of the images that may be lost against the float network.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.005)]
    loss: f64,
    /// What is to be least: bits (of weights and feature maps), energy or cycles.
    #[arg(long, value_name = "COST", default_value = "bits")]
    cost: String,
    /// Choose thresholds too, below which output words become zero; with --cost energy or cycles.
    #[arg(long)]
    thresholds: bool,
    /// Narrowest words in bits.
    #[arg(long, value_name = "BITS", default_value_t = 2)]
    narrowest: u32,
    /// Candidates of an NSGA-II generation.
    #[arg(long, value_name = "N", default_value_t = 16)]
    population: usize,
    /// Generations of NSGA-II after the greedy search; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 8)]
    generations: usize,
    /// Training images from which formats are calibrated.
    #[arg(long, value_name = "N", default_value_t = 256)]
    calibration: usize,
    /// Write the chosen design as a plan.
    #[arg(long, value_name = "FILE.toml")]
    out: Option<PathBuf>,
}

/// Searches, writes the plan and prints what it is worth.
pub fn run(args: &Args) -> Result<()> {
    if !(0.0..=1.0).contains(&args.loss) {
        return Err(Error::new("--loss", "is no fraction").remedy("give a number from 0 to 1"));
    }
    if !(2..=10_000).contains(&args.population) {
        return Err(Error::new("--population", "2 to 10000 candidates are expected"));
    }
    threads::pool(args.subject.threads)?.install(|| execute(args))
}

fn execute(args: &Args) -> Result<()> {
    let settings = SearchSettings {
        loss: args.loss,
        cost: args.cost.parse()?,
        thresholds: args.thresholds,
        narrowest: args.narrowest,
        population: args.population,
        generations: args.generations,
        calibration: args.calibration.max(1),
        seed: args.subject.seed,
    };
    let (model, hardware, data) = args.subject.open(None)?;
    let bar = output::progress(0, "", args.subject.quiet);
    let found = search(&model, &data, &hardware, &settings, |what| {
        bar.set_message(what.to_owned());
        bar.tick();
    })?;
    bar.finish_and_clear();
    if let Some(path) = &args.out {
        write(path, &found.plan)?;
    }
    args.subject.write(&found, &rows(&found))?;
    if args.subject.quiet { Ok(()) } else { output::print(&shown(&found)) }
}

fn rows(found: &Search) -> Vec<Vec<String>> {
    let header = ["layer", "site", "format", "accumulator_bits", "threshold"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(found.sites.iter().map(|site| {
        let accumulator = site.accumulator_bits.map_or(String::new(), |bits| bits.to_string());
        let threshold = site.threshold.map_or(String::new(), |value| value.to_string());
        vec![site.layer.clone(), site.site.clone(), site.format.clone(), accumulator, threshold]
    }));
    rows
}

fn shown(found: &Search) -> String {
    let all = ["layer", "site", "format", "safe accumulator", "zero below"];
    let columns = if found.chosen.thresholds.is_empty() { &all[..4] } else { &all };
    let mut sites = ruled_table(columns, 2);
    for row in rows(found).into_iter().skip(1) {
        sites.add_row(row.into_iter().take(columns.len()));
    }
    let cycles = found.cost != Cost::Bits;
    let header = ["", "weight bits", "activation bits", "energy (pJ)"]
        .into_iter()
        .chain(cycles.then_some("cycles"))
        .chain(["tuning", "held out", "95 %"]);
    let mut designs = ruled_table(&header.collect::<Vec<_>>(), 1);
    let mut add = |name: &str, c: &Candidate| {
        let [low, high] = c.held_out.ci95.map(percent);
        let takes = [
            name.to_owned(),
            c.weight_bits.to_string(),
            c.activation_bits.to_string(),
            format!("{:.0}", c.energy_pj),
        ];
        let scores = [percent(c.tuning.rate), percent(c.held_out.rate), format!("{low} to {high}")];
        let cycles = cycles.then(|| format!("{:.0}", c.cycles));
        designs.add_row(takes.into_iter().chain(cycles).chain(scores));
    };
    add("8 bits", &found.eight_bits);
    add("chosen", &found.chosen);
    let [eight, chosen] = [&found.eight_bits, &found.chosen];
    let bits = |c: &Candidate| (c.weight_bits + c.activation_bits) as f64;
    let mut less = format!("bits fewer by {:.2}×", bits(eight) / bits(chosen).max(1.0));
    match found.cost {
        Cost::Bits => {}
        Cost::Energy => {
            less += &format!(", energy less by {:.2}×", eight.energy_pj / chosen.energy_pj)
        }
        Cost::Cycles => less += &format!(", cycles fewer by {:.2}×", eight.cycles / chosen.cycles),
    }
    format!(
        "{sites}\n\n{designs}\n\n{} {less}; float {} on {} tuning images, {} on {} held out\n",
        found.network,
        percent(found.float[0]),
        found.chosen.tuning.images,
        percent(found.float[1]),
        found.chosen.held_out.images,
    )
}
