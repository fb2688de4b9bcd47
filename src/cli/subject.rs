//! Arguments that say what is explored, and on what.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::explore::Data;
use crate::files;
use crate::hardware::Hardware;
use crate::network::{self, Model};
use crate::page::{self, Page};

/// A network, its hardware and its images.
#[derive(clap::Args)]
pub struct SubjectArgs {
    /// Shipped name, topology .toml, or .onnx model.
    #[arg(default_value = "lenet5")]
    network: String,
    /// Hardware model: shipped name or .toml file.
    #[arg(long, value_name = "NAME|FILE", default_value = Hardware::DEFAULT)]
    hw: String,
    /// Dataset: shipped name, folder, .npy or .toml file [default: the network's own].
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    /// Number of images, from the first [default: all].
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// Seed of everything random.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Threads [default: one a core].
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Write the results as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the results as CSV.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the results as one HTML page with charts.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print neither the results nor progress.
    #[arg(long)]
    pub quiet: bool,
}

impl SubjectArgs {
    /// Opens what the arguments name; `synthetic` operands instead of images if given.
    pub fn open(&self, synthetic: Option<[f64; 2]>) -> Result<(Model, Hardware, Data)> {
        if self.images == Some(0) {
            return Err(Error::new("--images", "0 images leave nothing to run")
                .remedy("give at least 1, or leave the option out to run all"));
        }
        let hardware = Hardware::open(&self.hw)?;
        let model = network::open(&self.network)?;
        let data = Data::open(&model, self.data.as_deref(), self.images, synthetic)?;
        Ok((model, hardware, data))
    }

    /// Writes the files that are asked for: `results` as JSON and as a page, and rows under a header
    /// as CSV.
    pub fn write(&self, results: &impl Page, rows: &[Vec<String>]) -> Result<()> {
        if let Some(path) = &self.json {
            let text = serde_json::to_string_pretty(results);
            let text = text.map_err(|e| Error::new("results as JSON", e))?;
            write(path, &(text + "\n"))?;
        }
        if let Some(path) = &self.csv {
            let fail = |e: csv::Error| Error::new("results as CSV", e);
            let mut writer = csv::Writer::from_writer(Vec::new());
            rows.iter().try_for_each(|row| writer.write_record(row)).map_err(fail)?;
            let bytes = writer.into_inner().map_err(|e| Error::new("results as CSV", e))?;
            files::write_atomically(path, |file| file.write_all(&bytes))?;
        }
        if let Some(path) = &self.html {
            write(path, &page::to_html(results)?)?;
        }
        Ok(())
    }
}

/// Writes a text file.
pub fn write(path: &Path, text: &str) -> Result<()> {
    files::write_atomically(path, |file| file.write_all(text.as_bytes()))
}

/// A fraction in percent.
pub fn percent(fraction: f64) -> String {
    format!("{:.2} %", 100.0 * fraction)
}
