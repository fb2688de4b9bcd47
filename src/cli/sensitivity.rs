//! `bittrue sensitivity`: what accuracy loses when layers have narrower words.

use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::cli::subject::{SubjectArgs, percent};
use crate::cli::{output, threads};
use crate::error::{Error, Result};
use crate::explore::{Experiment, Kind, Sensitivity, Settings, sensitivity};
use crate::numeric::Rounding;
use crate::report::ruled_table;

/// What to vary.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    subject: SubjectArgs,
    /// Word widths in bits.
    #[arg(long, value_name = "FROM..TO", default_value = "2..8")]
    widths: String,
    /// Binary points: fractional bits more (or, below 0, fewer) than calibrated at that width.
    #[arg(long, value_name = "FROM..TO", default_value = "0", allow_hyphen_values = true)]
    points: String,
    /// What is narrowed: extrinsic (weights and outputs), weights, output, intrinsic (accumulators
    /// and products).
    #[arg(long, value_name = "KIND", default_value = "extrinsic", value_delimiter = ',')]
    kinds: Vec<String>,
    /// Roundings of what is narrowed.
    #[arg(long, value_name = "MODE", default_value = "half_even", value_delimiter = ',')]
    roundings: Vec<String>,
    /// Thresholds below which outputs become zero, as fractions of the largest value.
    #[arg(long, value_name = "FRACTION", value_delimiter = ',')]
    thresholds: Vec<f64>,
    /// Training images from which formats are calibrated.
    #[arg(long, value_name = "N", default_value_t = 256)]
    calibration: usize,
}

/// Runs the experiments and prints a table.
pub fn run(args: &Args) -> Result<()> {
    let settings = Settings {
        widths: range("--widths", &args.widths, "2..8 for 2 to 8 bits")?,
        points: range("--points", &args.points, "-2..2 for 2 fractional bits fewer to 2 more")?,
        kinds: args.kinds.iter().map(|text| text.parse::<Kind>()).collect::<Result<_>>()?,
        roundings: args.roundings.iter().map(|text| text.parse()).collect::<Result<_>>()?,
        thresholds: args.thresholds.clone(),
        calibration: args.calibration.max(1),
        seed: args.subject.seed,
    };
    if settings.thresholds.iter().any(|fraction| !(0.0..=1.0).contains(fraction)) {
        return Err(Error::new("--thresholds", "are fractions").remedy("give numbers from 0 to 1"));
    }
    threads::pool(args.subject.threads)?.install(|| execute(args, &settings))
}

/// Whole numbers with both ends included: `2..8`, or one of them: `4`.
fn range<T: FromStr + PartialOrd>(
    option: &str,
    text: &str,
    example: &str,
) -> Result<RangeInclusive<T>> {
    let ends = text.split_once("..").unwrap_or((text, text));
    match (ends.0.parse(), ends.1.trim_start_matches('=').parse()) {
        (Ok(from), Ok(to)) if from <= to => Ok(from..=to),
        _ => Err(Error::new(option, format_args!("`{text}` is no range"))
            .remedy(format_args!("write {example}"))),
    }
}

fn execute(args: &Args, settings: &Settings) -> Result<()> {
    let (model, hardware, data) = args.subject.open(None)?;
    let bar = output::progress(0, "experiments", args.subject.quiet);
    let start = |experiments: usize| {
        bar.set_length(experiments as u64);
        bar.reset_eta();
    };
    let found = sensitivity(&model, &data, &hardware, settings, start, || bar.inc(1))?;
    bar.finish_and_clear();
    args.subject.write(&found, &rows(&found))?;
    if args.subject.quiet { Ok(()) } else { output::print(&shown(&found)) }
}

fn name(experiment: &Experiment) -> String {
    experiment.layer.clone().unwrap_or_else(|| "all".into())
}

fn kind(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Extrinsic) => "extrinsic",
        Some(Kind::Weights) => "weights",
        Some(Kind::Output) => "output",
        Some(Kind::Intrinsic) => "intrinsic",
        None => "threshold",
    }
}

fn rows(found: &Sensitivity) -> Vec<Vec<String>> {
    let header = [
        "layer",
        "kind",
        "bits",
        "point",
        "rounding",
        "threshold",
        "images",
        "hits",
        "rate",
        "low",
        "high",
        "agreement",
        "sqnr_db",
        "loss",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for experiment in &found.experiments {
        let score = &experiment.score;
        rows.push(vec![
            name(experiment),
            kind(experiment.kind).into(),
            experiment.bits.map_or(String::new(), |bits| bits.to_string()),
            experiment.point.map_or(String::new(), |point| point.to_string()),
            experiment.rounding.map_or(String::new(), |rounding| rounding.name().to_owned()),
            experiment.threshold.map_or(String::new(), |threshold| threshold.to_string()),
            score.images.to_string(),
            score.hits.to_string(),
            score.rate.to_string(),
            score.ci95[0].to_string(),
            score.ci95[1].to_string(),
            score.agreement.to_string(),
            score.sqnr_db.map_or(String::new(), |db| db.to_string()),
            experiment.loss.to_string(),
        ]);
    }
    rows
}

/// A row for each layer, kind, rounding and binary point, a column for each width or threshold.
fn shown(found: &Sensitivity) -> String {
    let value = |e: &Experiment| match (e.bits, e.threshold) {
        (Some(bits), _) => format!("{bits} bits"),
        (None, Some(threshold)) => format!("below {threshold}"),
        (None, None) => String::new(),
    };
    let mut columns: Vec<String> = Vec::new();
    let mut lines: Vec<[String; 4]> = Vec::new();
    let line = |e: &Experiment| {
        let rounding = e.rounding.map_or(String::new(), |r: Rounding| r.name().to_owned());
        let point = e.point.map_or(String::new(), |point| match point {
            0 => "0".to_owned(),
            _ => format!("{point:+}"),
        });
        [name(e), kind(e.kind).to_owned(), rounding, point]
    };
    for experiment in &found.experiments {
        let (column, row) = (value(experiment), line(experiment));
        if !columns.contains(&column) {
            columns.push(column);
        }
        if !lines.contains(&row) {
            lines.push(row);
        }
    }
    let header: Vec<&str> = ["layer", "kind", "rounding", "point"]
        .into_iter()
        .chain(columns.iter().map(String::as_str))
        .collect();
    let mut table = ruled_table(&header, 3);
    for row in lines {
        let of = |column: &String| {
            let own = |e: &&Experiment| line(e) == row && value(e) == *column;
            let found = found.experiments.iter().find(own);
            found.map_or(String::new(), |e| percent(e.score.rate))
        };
        let cells: Vec<String> = columns.iter().map(of).collect();
        table.add_row(row.into_iter().chain(cells));
    }
    format!(
        "{} on {} images of {}, datapath of {}: {} at 12 bits\n\n{table}\n",
        found.network,
        found.base.images,
        found.dataset,
        found.hardware,
        percent(found.base.rate)
    )
}
