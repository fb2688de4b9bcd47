//! `bittrue sweep`: evaluate a space of designs.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;

use crate::cli::{output, threads};
use crate::error::Result;
use crate::explore::{self, Journal, Objective, Observer, Shard, Sweep, Table, cell};
use crate::files;
use crate::page;
use crate::report::ruled_table;

/// What to sweep, and where the results go.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Space file: network, plan, hardware, axes, constraints.
    #[arg(value_name = "SPACE.toml", required = true)]
    space: Option<PathBuf>,
    /// Journal of finished points [default: the space file's name with .journal].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Continue the journal of a sweep that was stopped.
    #[arg(long)]
    resume: bool,
    /// Evaluate the part I of N only.
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
    /// Mark and print the Pareto front of two or three columns; min:COLUMN or max:COLUMN states the
    /// goal.
    #[arg(long, value_name = "COLUMN,COLUMN", value_delimiter = ',')]
    pareto: Vec<String>,
    /// Write the table as CSV.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the table as Parquet.
    #[arg(long, value_name = "FILE")]
    parquet: Option<PathBuf>,
    /// Write the table as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the table as one HTML page with a scatter of the points.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Threads [default: one a core].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print neither the table nor progress.
    #[arg(long)]
    quiet: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Join the journals of shards into one.
    Merge {
        /// Journal to write.
        out: PathBuf,
        /// Journals of shards of one space.
        #[arg(required = true, value_name = "JOURNAL")]
        journals: Vec<PathBuf>,
    },
}

/// Rows of the table that are printed, at most.
const SHOWN: usize = 20;

/// Evaluates what is not in the journal, and writes what was asked for.
pub fn run(args: &Args) -> Result<()> {
    if let Some(Command::Merge { out, journals }) = &args.command {
        let (points, of) = explore::merge(out, journals)?;
        return output::print(&format!("{}: {points} of {of} points\n", out.display()));
    }
    let Some(space) = &args.space else { return Ok(()) };
    threads::pool(args.threads)?.install(|| sweep(args, space))
}

fn sweep(args: &Args, space: &Path) -> Result<()> {
    let shard = args.shard.as_deref().map_or(Ok(Shard::WHOLE), str::parse)?;
    let objectives: Vec<Objective> =
        args.pareto.iter().map(|text| text.parse()).collect::<Result<_>>()?;
    let sweep = Sweep::open(space)?;
    let path = args.out.clone().unwrap_or_else(|| space.with_extension("journal"));
    let mut journal = if args.resume {
        Journal::resume(&path, sweep.identity())?
    } else {
        Journal::create(&path, sweep.identity())?
    };
    let [points, pending] = sweep.pending(&journal, shard);
    let progress = Progress::new(points, pending, args.quiet);
    sweep.run(&mut journal, shard, &progress)?;
    progress.0.finish_and_clear();
    let mut table = sweep.table(&journal, shard)?;
    let front = (!objectives.is_empty()).then(|| table.mark_front(&objectives)).transpose()?;
    let write = |path: &PathBuf, bytes: Vec<u8>| {
        files::write_atomically(path, |file| file.write_all(&bytes))
    };
    if let Some(path) = &args.csv {
        write(path, table.to_csv()?.into_bytes())?;
    }
    if let Some(path) = &args.parquet {
        write(path, table.to_parquet()?)?;
    }
    if let Some(path) = &args.json {
        write(path, table.to_json()?.into_bytes())?;
    }
    if let Some(path) = &args.html {
        write(path, page::to_html(&table)?.into_bytes())?;
    }
    if args.quiet { Ok(()) } else { output::print(&shown(&table, front.as_deref(), &path)) }
}

/// A bar over the points, with the quantization that runs.
struct Progress(ProgressBar);

impl Progress {
    fn new(points: usize, pending: usize, quiet: bool) -> Self {
        let bar = output::progress(points as u64, "points", quiet);
        bar.set_position((points - pending) as u64);
        bar.reset_eta();
        Self(bar)
    }
}

impl Observer for Progress {
    fn quantization(&self, number: usize, of: usize, images: usize) {
        self.0.set_message(format!("quantization {}/{of}, {images} images", number + 1));
    }

    fn images(&self, _: u64) {
        self.0.tick();
    }

    fn points(&self, points: u64) {
        self.0.inc(points);
    }
}

/// The front, or else the first rows, in the columns that vary and the main results.
fn shown(table: &Table, front: Option<&[usize]>, journal: &Path) -> String {
    const MAIN: [&str; 5] = ["accuracy", "cycles", "energy_pj", "dram_bytes", "utilization"];
    let objective = |name: &str| table.pareto.iter().any(|o| o.column == name);
    let columns: Vec<usize> = (0..table.columns.len())
        .filter(|&index| {
            let name = table.columns[index].name.as_str();
            let known = table.rows.iter().any(|row| !row.values[index].is_null());
            index < table.axes || objective(name) || known && MAIN.contains(&name)
        })
        .collect();
    let header: Vec<&str> = ["point"]
        .into_iter()
        .chain(columns.iter().map(|&index| table.columns[index].name.as_str()))
        .collect();
    let mut printed = ruled_table(&header, 0);
    let all: Vec<usize> = (0..table.rows.len()).collect();
    let rows = front.unwrap_or(&all);
    for &row in rows.iter().take(SHOWN) {
        let row = &table.rows[row];
        let values = columns.iter().map(|&index| short(&row.values[index]));
        printed.add_row([row.point.to_string()].into_iter().chain(values));
    }
    let what = if front.is_some() { "on the Pareto front" } else { "in the table" };
    let mut text = format!("{printed}\n");
    if rows.len() > SHOWN {
        text += &format!("… and {} more rows\n", rows.len() - SHOWN);
    }
    text += &format!(
        "{} points {what}, {} finished, {} refused, {} left out by constraints; journal {}\n",
        rows.len(),
        table.rows.len(),
        table.refused.len(),
        table.left_out,
        journal.display()
    );
    if let Some(first) = table.refused.first() {
        text += &format!("refused first: point {}: {}\n", first.point, first.reason);
    }
    text
}

/// A value in a few digits.
fn short(value: &serde_json::Value) -> String {
    match value.as_f64() {
        Some(number) if value.is_f64() && number.abs() < 100.0 => format!("{number:.4}"),
        Some(number) if value.is_f64() => format!("{number:.0}"),
        _ => cell(value),
    }
}
