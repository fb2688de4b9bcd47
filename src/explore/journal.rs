//! The journal of a sweep: every finished point, before it counts as done.
//!
//! A text file, a record a line: eight hex digits of the CRC-32 of the rest, a space, JSON. The first
//! record identifies the sweep. Records are only ever appended, and a batch is on the disk (fsync)
//! before its points count. A record that a crash tore is the last one and is dropped; a damaged one
//! elsewhere is an error that names its line.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::files;

/// Version of the format of journals.
const VERSION: u32 = 1;

/// What a sweep is: journals of other sweeps are not continued.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// Version of the journal's format.
    pub journal: u32,
    /// SHA-256 of the space and all of its inputs, in hex.
    pub sweep: String,
    /// Points of the space.
    pub points: u64,
}

impl Identity {
    /// The identity of a sweep of `points` points whose inputs have the hash `sweep`.
    pub fn new(sweep: String, points: u64) -> Self {
        Self { journal: VERSION, sweep, points }
    }
}

/// A finished point.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Its number in the space.
    pub point: u64,
    /// What came out.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came out of a point.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The results, in the order of [`RESULT_COLUMNS`](super::RESULT_COLUMNS).
    Values(Vec<Value>),
    /// Why there are none.
    Refused(String),
}

/// A journal that is open for appending.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    records: BTreeMap<u64, Outcome>,
}

/// What a journal's file holds.
struct Content {
    identity: Option<Identity>,
    records: BTreeMap<u64, Outcome>,
    /// Bytes up to the end of the last sound record.
    sound: u64,
}

impl Journal {
    /// Begins a journal.
    ///
    /// # Errors
    /// If the file exists already or cannot be written.
    pub fn create(path: &Path, identity: &Identity) -> Result<Self> {
        let opened = OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let file = opened.map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Error::new(path.display(), "there is such a journal already")
                    .remedy("continue it with --resume, or choose another file with --out")
            }
            _ => Error::io(path, e).remedy("choose a folder that exists and can be written"),
        })?;
        Self { path: path.to_owned(), file, records: BTreeMap::new() }.begin(identity)
    }

    /// Continues a journal, or begins it if there is none.
    ///
    /// # Errors
    /// If it is another sweep's, a record in it is damaged, or it is open elsewhere.
    pub fn resume(path: &Path, identity: &Identity) -> Result<Self> {
        if !path.exists() {
            return Self::create(path, identity);
        }
        let opened = OpenOptions::new().read(true).write(true).open(path);
        let file = opened.map_err(|e| Error::io(path, e))?;
        lock(path, &file)?;
        let Content { identity: found, records, sound } = read(path)?;
        let Some(found) = found else {
            // Torn before its first record was whole.
            file.set_len(0).map_err(|e| Error::io(path, e))?;
            return Self { path: path.to_owned(), file, records }.begin(identity);
        };
        if found != *identity {
            return Err(Error::new(
                path.display(),
                "is the journal of another sweep: the space file, the network, a plan, a hardware \
                 model or the data is not what it was",
            )
            .remedy("restore them, or begin a new journal with --out"));
        }
        let mut journal = Self { path: path.to_owned(), file, records };
        let at_end = journal.file.set_len(sound).and_then(|()| journal.file.seek(SeekFrom::End(0)));
        at_end.map_err(|e| Error::io(path, e))?;
        Ok(journal)
    }

    fn begin(mut self, identity: &Identity) -> Result<Self> {
        lock(&self.path, &self.file)?;
        let text = line(identity)?;
        self.write(&text)?;
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            // Makes the file's name durable where folders can be synchronised.
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(self)
    }

    /// Appends finished points; they are on the disk when this returns.
    ///
    /// # Errors
    /// If the disk is full or fails. What was appended before stays.
    pub fn append(&mut self, records: &[Record]) -> Result<()> {
        let lines: Vec<String> = records.iter().map(line).collect::<Result<_>>()?;
        self.write(&lines.concat())?;
        self.records.extend(records.iter().map(|r| (r.point, r.outcome.clone())));
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<()> {
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|e| {
            Error::io(&self.path, e)
                .remedy("finished points are kept: make room and continue with --resume")
        })
    }

    /// The finished points.
    pub fn records(&self) -> &BTreeMap<u64, Outcome> {
        &self.records
    }
}

/// Joins the journals of shards of one sweep into the new file `to`. Returns how many of how many
/// points it has.
///
/// # Errors
/// If they are of different sweeps, disagree on a point, are damaged, or `to` exists.
pub(super) fn merge(to: &Path, journals: &[PathBuf]) -> Result<(usize, u64)> {
    let mut merged: Option<(Identity, BTreeMap<u64, Outcome>)> = None;
    for path in journals {
        let content = read(path)?;
        let Some(identity) = content.identity else {
            return Err(Error::new(path.display(), "holds no record of its sweep")
                .remedy("run the shard again"));
        };
        let (first, records) = merged.get_or_insert_with(|| (identity.clone(), BTreeMap::new()));
        if *first != identity {
            return Err(Error::new(path.display(), "is of another sweep than the first journal")
                .remedy("merge shards of one space with the same inputs"));
        }
        for (point, outcome) in content.records {
            if records.get(&point).is_some_and(|known| *known != outcome) {
                return Err(Error::new(
                    path.display(),
                    format_args!("has other results for point {point} than a journal before it"),
                )
                .remedy("run both shards with the same version of the program"));
            }
            records.insert(point, outcome);
        }
    }
    let Some((identity, records)) = merged else {
        return Err(Error::new("merge", "there is no journal to merge").remedy("name at least one"));
    };
    if to.exists() {
        return Err(Error::new(to.display(), "exists already").remedy("choose another file"));
    }
    let mut text = line(&identity)?;
    for (&point, outcome) in &records {
        text += &line(&Record { point, outcome: outcome.clone() })?;
    }
    files::write_atomically(to, |file| file.write_all(text.as_bytes()))?;
    Ok((records.len(), identity.points))
}

fn lock(path: &Path, file: &File) -> Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(Error::new(path.display(), "is being written by another sweep")
                .remedy("wait for it, or choose another file with --out"))
        }
        // Where a file system has no locks, the user keeps sweeps apart.
        _ => Ok(()),
    }
}

/// A record as a line.
fn line(record: &impl Serialize) -> Result<String> {
    let json = serde_json::to_string(record).map_err(|e| Error::new("journal", e))?;
    Ok(format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())))
}

/// The JSON of a line, if it is whole.
fn json(line: &[u8]) -> Option<&str> {
    let (sum, rest) = line.split_at_checked(8)?;
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    let json = rest.strip_prefix(b" ")?;
    (crc32fast::hash(json) == sum).then(|| std::str::from_utf8(json).ok())?
}

fn read(path: &Path) -> Result<Content> {
    // Devices and pipes may have no end.
    if !std::fs::metadata(path).map_err(|e| Error::io(path, e))?.is_file() {
        return Err(Error::new(path.display(), "is no regular file, so it cannot be a journal")
            .remedy("name the file that `bittrue sweep` wrote"));
    }
    let bytes = files::read_bytes(path)?;
    let mut content = Content { identity: None, records: BTreeMap::new(), sound: 0 };
    let mut number = 0;
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        number += 1;
        let end = rest.iter().position(|&byte| byte == b'\n');
        let (line, after) = match end {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => (rest, &rest[rest.len()..]),
        };
        let whole = end.and_then(|_| json(line));
        let damaged = || {
            Error::new(path.display(), format_args!("line {number} is damaged")).remedy(
                if number == 1 {
                    "its first line tells which sweep it is of: restore the file, or begin a new journal"
                } else {
                    "delete that line and continue with --resume: its point is computed again, all others are kept"
                },
            )
        };
        let Some(text) = whole else {
            if after.is_empty() {
                break;
            }
            return Err(damaged());
        };
        if number == 1 {
            content.identity = Some(serde_json::from_str(text).map_err(|_| {
                Error::new(path.display(), "is not the journal of a sweep")
                    .remedy("name the file that `bittrue sweep` wrote")
            })?);
        } else {
            let Record { point, outcome } = serde_json::from_str(text).map_err(|_| damaged())?;
            content.records.insert(point, outcome);
        }
        content.sound += line.len() as u64 + 1;
        rest = after;
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn identity() -> Identity {
        Identity::new("abc".into(), 9)
    }

    fn record(point: u64) -> Record {
        let outcome = match point {
            3 => Outcome::Refused("too large".into()),
            _ => Outcome::Values(vec![(0.1 + point as f64).into(), Value::Null]),
        };
        Record { point, outcome }
    }

    fn journal(points: std::ops::Range<u64>) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sweep.journal");
        let mut journal = Journal::create(&path, &identity()).unwrap();
        for point in points {
            journal.append(&[record(point)]).unwrap();
        }
        (folder, path)
    }

    /// Cut off after any byte, the journal has every record that is whole, and goes on.
    #[test]
    fn a_torn_record_is_dropped_wherever_it_is_torn() {
        let (_folder, path) = journal(0..5);
        let bytes = fs::read(&path).unwrap();
        let ends: Vec<usize> =
            (0..bytes.len()).filter(|&at| bytes[at] == b'\n').map(|at| at + 1).collect();
        for len in 0..=bytes.len() {
            fs::write(&path, &bytes[..len]).unwrap();
            let mut journal = Journal::resume(&path, &identity()).unwrap();
            let whole = ends.iter().filter(|&&end| end <= len).count().saturating_sub(1) as u64;
            let points: Vec<u64> = journal.records().keys().copied().collect();
            assert_eq!(points, (0..whole).collect::<Vec<_>>(), "{len}");
            journal.append(&(whole..5).map(record).collect::<Vec<_>>()).unwrap();
            drop(journal);
            assert_eq!(fs::read(&path).unwrap(), bytes, "{len}");
        }
    }

    #[test]
    fn a_damaged_record_in_the_middle_is_named() {
        let (_folder, path) = journal(0..5);
        let sound = fs::read_to_string(&path).unwrap();
        fs::write(&path, sound.replacen("too large", "too lerge", 1)).unwrap();
        let error = Journal::resume(&path, &identity()).unwrap_err();
        assert!(format!("{error:?}").contains("line 5") && format!("{error:?}").contains("delete"));
        // What the remedy says works.
        let lines: Vec<&str> = sound.lines().collect();
        fs::write(&path, [&lines[..4], &lines[5..]].concat().join("\n") + "\n").unwrap();
        let kept: Vec<u64> =
            Journal::resume(&path, &identity()).unwrap().records().keys().copied().collect();
        assert_eq!(kept, [0, 1, 2, 4]);
    }

    #[test]
    fn journals_of_other_sweeps_and_of_nothing_are_refused() {
        let (folder, path) = journal(0..2);
        let other = Identity::new("abd".into(), 9);
        assert!(Journal::resume(&path, &other).unwrap_err().to_string().contains("another sweep"));
        assert!(Journal::create(&path, &identity()).unwrap_err().to_string().contains("already"));
        let text = folder.path().join("text");
        fs::write(&text, "a\nb\n").unwrap();
        assert!(Journal::resume(&text, &identity()).unwrap_err().to_string().contains("line 1"));
        let absent = folder.path().join("absent/sweep.journal");
        assert!(Journal::create(&absent, &identity()).is_err());
    }

    #[test]
    fn an_open_journal_is_not_opened_twice() {
        let (_folder, path) = journal(0..2);
        let _open = Journal::resume(&path, &identity()).unwrap();
        let error = Journal::resume(&path, &identity()).unwrap_err().to_string();
        assert!(error.contains("another sweep"), "{error}");
    }

    #[test]
    fn shards_merge_into_one() {
        let (folder, first) = journal(0..4);
        let (_other, second) = journal(3..6);
        let merged = folder.path().join("all.journal");
        assert_eq!(merge(&merged, &[second, first]).unwrap(), (6, 9));
        let (_whole, whole) = journal(0..6);
        assert_eq!(fs::read(&merged).unwrap(), fs::read(&whole).unwrap());
        assert!(merge(&merged, &[whole]).unwrap_err().to_string().contains("exists"));
    }
}
