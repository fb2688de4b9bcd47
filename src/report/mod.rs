//! The results as data, and its renderers: terminal, JSON, CSV.
//!
//! Every figure here is computed from a run's counts; renderers only format. The schema is in
//! `docs/report.md`.

mod accuracy;
mod build;
mod csv;
mod data;
mod terminal;

pub use accuracy::{Accuracy, Score, Tally, wilson_interval};
pub use build::{Subject, Totals};
pub use csv::to_csv;
pub use data::{
    DatasetInfo, FaultLayer, FaultReport, Figures, HardwareInfo, LayerReport, MeanMacs,
    NetworkInfo, Overflows, Report, SCHEMA_VERSION, SiteOverflows, Sparsity, ToolInfo, Traffic,
};
pub use terminal::{ruled_table, to_terminal};

use crate::error::{Error, Result};

/// The report as indented JSON with a final newline.
pub fn to_json(report: &Report) -> Result<String> {
    let mut text =
        serde_json::to_string_pretty(report).map_err(|e| Error::new("report as JSON", e))?;
    text.push('\n');
    Ok(text)
}
