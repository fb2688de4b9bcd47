//! IDX files, plain or gzip: the format of the MNIST files.
//!
//! Two zero bytes, the element type (0x08 is unsigned byte), the rank, one big-endian 32-bit size
//! per axis, and the elements in row-major order. Reads no more than the header claims, and
//! allocates no more than the file delivers.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::error::{Error, Result};

const UNSIGNED_BYTE: u8 = 0x08;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Most elements that are read from one file.
const MAX_ELEMENTS: u64 = 1 << 31;

/// An array of unsigned bytes of `RANK` axes.
pub(super) struct Idx<const RANK: usize> {
    pub dimensions: [usize; RANK],
    pub elements: Vec<u8>,
}

impl<const RANK: usize> Idx<RANK> {
    /// Reads the file at `path`.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        Self::read(&path.display().to_string(), BufReader::new(file))
    }

    /// Reads a file's content, plain or gzip; `name` is its name in messages.
    pub fn read(name: &str, mut content: impl BufRead) -> Result<Self> {
        let start = content.fill_buf().map_err(|e| Error::new(name, e))?;
        if start.starts_with(&GZIP_MAGIC) {
            Self::decode(name, MultiGzDecoder::new(content))
        } else {
            Self::decode(name, content)
        }
    }

    fn decode(name: &str, mut content: impl Read) -> Result<Self> {
        let failed = |e: std::io::Error| match e.kind() {
            ErrorKind::UnexpectedEof => Error::new(name, "truncated: the file ends too early"),
            _ => Error::new(name, format_args!("cannot be read: {e}")),
        };
        let mut magic = [0; 4];
        content.read_exact(&mut magic).map_err(failed)?;
        if magic != [0, 0, UNSIGNED_BYTE, RANK as u8] {
            let [a, b, c, d] = magic;
            return Err(Error::new(
                name,
                format_args!(
                    "not an IDX file of unsigned bytes with {RANK} axes: it starts with \
                     {a:02x} {b:02x} {c:02x} {d:02x}, expected 00 00 08 {RANK:02x}"
                ),
            )
            .remedy("check that images and labels are not exchanged"));
        }
        let mut dimensions = [0; RANK];
        for size in &mut dimensions {
            let mut bytes = [0; 4];
            content.read_exact(&mut bytes).map_err(failed)?;
            *size = u32::from_be_bytes(bytes) as usize;
        }
        let claimed = dimensions
            .iter()
            .try_fold(1u64, |n, &size| n.checked_mul(size as u64))
            .filter(|&n| n <= MAX_ELEMENTS)
            .ok_or_else(|| {
                Error::new(
                    name,
                    format_args!(
                        "the header claims {dimensions:?} elements; at most {MAX_ELEMENTS} are read"
                    ),
                )
            })?;
        let mut elements = Vec::new();
        content.take(claimed + 1).read_to_end(&mut elements).map_err(failed)?;
        let found = elements.len() as u64;
        if found < claimed {
            return Err(Error::new(
                name,
                format_args!(
                    "truncated: the header claims {claimed} elements, the file has {found}"
                ),
            ));
        }
        if found > claimed {
            return Err(Error::new(
                name,
                format_args!("bytes follow the {claimed} elements that the header claims"),
            ));
        }
        Ok(Self { dimensions, elements })
    }
}
