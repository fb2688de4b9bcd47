//! Files of records of one length, of which any can be read by itself.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// The records of one file after the other.
#[derive(Debug)]
pub struct Records {
    files: Vec<RecordFile>,
    /// Bytes of a record.
    len: usize,
    /// Bytes of a record that come before its image.
    skip: usize,
}

#[derive(Debug)]
struct RecordFile {
    path: PathBuf,
    file: Mutex<File>,
    /// Where the first record lies.
    start: u64,
    count: usize,
}

impl Records {
    /// No records yet, of `len` bytes each, `skip` of them before the image.
    pub fn new(len: usize, skip: usize) -> Self {
        Self { files: Vec::new(), len, skip }
    }

    /// Adds `count` records from byte `start` of a file; the caller has checked its length.
    pub fn push(&mut self, path: &Path, file: File, start: u64, count: usize) {
        self.files.push(RecordFile { path: path.to_owned(), file: Mutex::new(file), start, count });
    }

    /// Number of records.
    pub fn count(&self) -> usize {
        self.files.iter().map(|file| file.count).sum()
    }

    /// Reads the image of record `index`.
    pub fn read(&self, index: usize, image: &mut [u8]) -> Result<()> {
        self.read_at(index, self.skip, image)
    }

    /// Fills `bytes` from byte `offset` of record `index`.
    pub fn read_at(&self, mut index: usize, offset: usize, bytes: &mut [u8]) -> Result<()> {
        for record in &self.files {
            if index >= record.count {
                index -= record.count;
                continue;
            }
            let at = record.start + index as u64 * self.len as u64 + offset as u64;
            let mut file = record.file.lock().unwrap_or_else(PoisonError::into_inner);
            return file
                .seek(SeekFrom::Start(at))
                .and_then(|_| file.read_exact(bytes))
                .map_err(|e| Error::io(&record.path, e).remedy("the file changed while in use"));
        }
        Err(Error::new("record", "does not exist"))
    }
}
