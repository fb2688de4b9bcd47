//! Reading and writing files so that nothing is half-read or half-written.

use std::fs;
use std::io::{self, BufWriter, Read, Seek, Write};
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

/// Reads `length` bytes of a file from `offset` on, or all that follow. Both are checked against the
/// file before memory is taken.
pub fn read_part(path: &Path, offset: u64, length: Option<u64>) -> Result<Vec<u8>> {
    let mut file = fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let size = file.metadata().map_err(|e| Error::io(path, e))?.len();
    let rest = size.checked_sub(offset);
    let length = rest.map(|rest| (length.unwrap_or(rest), rest));
    let Some((length, _)) = length.filter(|(length, rest)| length <= rest) else {
        return Err(Error::new(
            path.display(),
            format_args!("has {size} bytes, more are asked for from byte {offset} on"),
        )
        .remedy("check that the file is complete"));
    };
    let mut bytes = vec![0; length as usize];
    file.seek(io::SeekFrom::Start(offset))
        .and_then(|_| file.read_exact(&mut bytes))
        .map_err(|e| Error::io(path, e))?;
    Ok(bytes)
}

/// Parses TOML; an error names the key and points at the line in the text. `name` is the file's
/// name in messages.
pub fn parse_toml<T: DeserializeOwned>(name: &str, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|mut e| {
        let span = e.span();
        // Without the text, the last line of what the error displays is its key.
        e.set_input(None);
        let shown = e.to_string();
        let key = shown.trim_end().rsplit('\n').next().and_then(|line| line.strip_prefix("in "));
        let error = match key {
            Some(key) => Error::new(name, format_args!("{key}: {}", e.message())),
            None => Error::new(name, e.message()),
        };
        // Other messages say what was expected.
        let missing = e.message().strip_prefix("missing field `").and_then(|m| m.strip_suffix('`'));
        let error = match missing {
            Some(field) => error.remedy(format_args!("give `{field}` a value")),
            None => error,
        };
        match span {
            Some(span) => error.at(name, text, span),
            None => error,
        }
    })
}

/// Writes a file through a temporary one in the same folder, renamed once complete: either the
/// whole file is there afterwards, or the old state is. What is not a regular file (a pipe, a
/// terminal) is written to directly.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let special = fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir());
    let result = if special { write_directly(path, write) } else { write_renamed(path, write) };
    result.map_err(|e| {
        Error::io(path, e)
            .remedy("choose an output path in a folder that exists and can be written")
    })
}

/// Makes a folder with all its files: `fill` writes into a temporary one beside it, which is renamed
/// once complete. `path` must not be there, or be an empty folder.
pub fn write_folder<T>(path: &Path, fill: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let taken = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => fs::symlink_metadata(path).is_ok(),
    };
    if taken {
        return Err(Error::new(path.display(), "is there already and is no empty folder")
            .remedy("choose a new folder, or remove this one"));
    }
    let refused = |e| {
        Error::io(path, e)
            .remedy("choose an output path in a folder that exists and can be written")
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".bittrue-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let folder = builder.tempdir_in(parent(path)).map_err(refused)?;
    let filled = fill(folder.path())?;
    fs::rename(folder.path(), path).map_err(refused)?;
    // It is no longer where it would be removed from.
    let _ = folder.keep();
    Ok(filled)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn write_directly(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = BufWriter::new(fs::OpenOptions::new().write(true).open(path)?);
    write(&mut file)?;
    file.flush()
}

fn write_renamed(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".bittrue-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = BufWriter::new(builder.tempfile_in(parent(path))?);
    write(&mut file)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        write_atomically(&path, |w| w.write_all(b"old")).unwrap();
        let failed = write_atomically(&path, |w| {
            w.write_all(b"half")?;
            Err(io::Error::other("disk full"))
        });
        assert!(format!("{failed:?}").contains("disk full"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_field_is_asked_for() {
        #[derive(Debug, serde::Deserialize)]
        #[allow(dead_code, reason = "it is never filled")]
        struct Named {
            name: String,
        }
        let error = format!("{:?}", parse_toml::<Named>("a.toml", "").unwrap_err());
        assert_eq!(error, "a.toml: missing field `name` (give `name` a value)");
    }

    #[test]
    fn a_folder_is_whole_or_not_there() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("out");
        let fill = |ok: bool| {
            move |folder: &Path| {
                fs::write(folder.join("a"), "a").unwrap();
                if ok { Ok(()) } else { Err(Error::new("b", "failed")) }
            }
        };
        assert!(write_folder(&path, fill(false)).is_err());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        fs::create_dir(&path).unwrap();
        write_folder(&path, fill(true)).unwrap();
        assert_eq!(fs::read(path.join("a")).unwrap(), b"a");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
        assert!(format!("{:?}", write_folder(&path, fill(true))).contains("no empty folder"));
        assert!(write_folder(&path.join("a"), fill(true)).is_err());
    }

    #[test]
    fn a_missing_folder_is_named() {
        let path = tempfile::tempdir().unwrap().path().join("absent/report.json");
        let error = write_atomically(&path, |_| Ok(())).unwrap_err();
        assert!(error.subject().ends_with("absent/report.json"));
    }
}
