//! Reading and writing files so that nothing is half-read or half-written.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Reads a whole text file.
pub fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|e| Error::io(path, e))
}

/// Reads a whole binary file.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| Error::io(path, e))
}

/// Parses TOML; an error points at the line in the text. `name` is the file's name in messages.
pub fn parse_toml<T: DeserializeOwned>(name: &str, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|e| {
        let error = Error::new(name, e.message());
        match e.span() {
            Some(span) => error.at(name, text, span),
            None => error,
        }
    })
}

/// Writes a file through a temporary one in the same folder, renamed once complete: either the
/// whole file is there afterwards, or the old state is.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let attempt = || -> std::io::Result<()> {
        let mut file =
            BufWriter::new(tempfile::Builder::new().prefix(".bittrue-").tempfile_in(folder)?);
        write(&mut file)?;
        let file = file.into_inner().map_err(|e| e.into_error())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    attempt().map_err(|e| {
        Error::io(path, e)
            .remedy("choose an output path in a folder that exists and can be written")
    })
}
