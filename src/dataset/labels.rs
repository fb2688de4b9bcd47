//! Labels: a CSV file with a header, or an array of integers.

use std::fs::File;
use std::path::Path;

use csv::StringRecord;

use crate::error::{Error, Result};

use super::npy;

/// Labels by image, and the name of their file for messages.
#[derive(Debug)]
pub struct Labels {
    pub name: String,
    pub values: Vec<u32>,
}

impl Labels {
    /// Reads `.npy`, or else CSV with a column `label`, a row an image.
    pub fn open(path: &Path) -> Result<Self> {
        if path.extension().is_some_and(|e| e == "npy") {
            return npy::labels(path);
        }
        let mut values = Vec::new();
        for_each_row(path, ["label"], |line, [text]| {
            values.push(label(path, line, text)?);
            Ok(())
        })?;
        Ok(Self { name: path.display().to_string(), values })
    }

    /// Reads CSV with the columns `file` and `label`, a row an image.
    pub fn with_files(path: &Path) -> Result<(Vec<String>, Self)> {
        let (mut files, mut values) = (Vec::new(), Vec::new());
        for_each_row(path, ["file", "label"], |line, [file, text]| {
            files.push(file.to_owned());
            values.push(label(path, line, text)?);
            Ok(())
        })?;
        Ok((files, Self { name: path.display().to_string(), values }))
    }

    /// Refuses labels of another number than images.
    pub fn check_count(&self, images: usize, of: &Path) -> Result<()> {
        if self.values.len() == images {
            return Ok(());
        }
        let problem = format_args!("has {} labels for {images} images", self.values.len());
        Err(Error::new(&self.name, problem)
            .remedy(format_args!("check that it belongs to {}", of.display())))
    }
}

fn label(path: &Path, line: u64, text: &str) -> Result<u32> {
    text.parse().map_err(|_| {
        Error::new(
            path.display(),
            format_args!("line {line}: label `{text}` is no class number from 0"),
        )
    })
}

/// Hands `visit` the line number and the named columns of each row.
fn for_each_row<const N: usize>(
    path: &Path,
    columns: [&str; N],
    mut visit: impl FnMut(u64, [&str; N]) -> Result<()>,
) -> Result<()> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let failed = |e: csv::Error| Error::new(path.display(), e);
    let header = reader.headers().map_err(failed)?.clone();
    let mut at = [0; N];
    for (at, column) in at.iter_mut().zip(columns) {
        *at = header.iter().position(|name| name == column).ok_or_else(|| {
            Error::new(path.display(), format_args!("has no column `{column}`"))
                .remedy("begin the file with a line that names its columns: file,label")
        })?;
    }
    let mut row = StringRecord::new();
    while reader.read_record(&mut row).map_err(failed)? {
        let line = row.position().map_or(0, |position| position.line());
        visit(line, at.map(|column| row.get(column).unwrap_or_default()))?;
    }
    Ok(())
}
