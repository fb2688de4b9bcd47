//! IDX files, plain or gzip: the format of the MNIST files.
//!
//! A file is two zero bytes, the element type (0x08 is unsigned byte), the rank, one big-endian 32-bit size
//! per axis, and the elements in row-major order. Reads no more than the header claims, and
//! allocates no more than the file delivers.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::error::{Error, Result};
use crate::tensor::Shape;

use super::labels::Labels;
use super::part::{Element, Images, Layout, Part};

const UNSIGNED_BYTE: u8 = 0x08;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Most elements that are read from one file.
const MAX_ELEMENTS: u64 = 1 << 31;

/// An array of unsigned bytes of `RANK` axes.
struct Idx<const RANK: usize> {
    dimensions: [usize; RANK],
    elements: Vec<u8>,
}

impl<const RANK: usize> Idx<RANK> {
    /// Reads the file at `path`.
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        Self::read(&path.display().to_string(), BufReader::new(file))
    }

    /// Reads a file's content, plain or gzip; `name` is its name in messages.
    fn read(name: &str, mut content: impl BufRead) -> Result<Self> {
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

/// Paths of an image file and its label file.
#[derive(Debug)]
pub struct Pair {
    images: PathBuf,
    labels: PathBuf,
}

const IMAGES: &str = "images-idx3";
const LABELS: &str = "labels-idx1";

impl Pair {
    /// The pair `<part>-images-idx3-ubyte[.gz]` and its labels in `folder`, if there is one.
    pub fn in_folder(folder: &Path, part: &str) -> Result<Option<Self>> {
        let images = format!("{part}-{IMAGES}-ubyte");
        let found = plain_or_gzip(&folder.join(images));
        found.map(|images| Self::beside(images, None)).transpose()
    }

    /// [`Self::in_folder`] where there must be one.
    pub fn required(folder: &Path, part: &str) -> Result<Self> {
        Self::in_folder(folder, part)?.ok_or_else(|| {
            Error::new(
                folder.display(),
                format_args!("holds no `{part}-{IMAGES}-ubyte` or `{part}-{IMAGES}-ubyte.gz`"),
            )
        })
    }

    /// The pair of an image file: `labels`, or the file beside it that is named alike.
    pub fn beside(images: PathBuf, labels: Option<&Path>) -> Result<Self> {
        if let Some(labels) = labels {
            return Ok(Self { images, labels: labels.to_owned() });
        }
        let name = images.file_name().unwrap_or_default().to_string_lossy();
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        let labels = name
            .contains(IMAGES)
            .then(|| plain_or_gzip(&images.with_file_name(plain.replace(IMAGES, LABELS))))
            .flatten();
        match labels {
            Some(labels) => Ok(Self { images, labels }),
            None => Err(Error::new(images.display(), "there is no label file beside it")
                .remedy(format_args!("put the file `…{LABELS}…` there, or name it with `labels`"))),
        }
    }

    /// Reads both.
    pub fn read(&self) -> Result<Part> {
        let name = |path: &Path| path.display().to_string();
        let (images, labels) = (Idx::open(&self.images)?, Idx::open(&self.labels)?);
        part(images, &name(&self.images), labels, &name(&self.labels))
    }
}

fn plain_or_gzip(path: &Path) -> Option<PathBuf> {
    let mut gzip = path.as_os_str().to_owned();
    gzip.push(".gz");
    [path.to_owned(), gzip.into()].into_iter().find(|p| p.is_file())
}

/// Images and labels of the content of two files, each with its name for messages.
pub fn read([images, labels]: [(&str, &[u8]); 2]) -> Result<Part> {
    part(Idx::read(images.0, images.1)?, images.0, Idx::read(labels.0, labels.1)?, labels.0)
}

fn part(images: Idx<3>, images_name: &str, labels: Idx<1>, labels_name: &str) -> Result<Part> {
    let [count, height, width] = images.dimensions;
    let shape = Shape::new(1, height, width);
    if count == 0 || shape.is_empty() {
        return Err(Error::new(
            images_name,
            format_args!("holds {count} images of {height}×{width} pixels: nothing to run"),
        ));
    }
    let values = labels.elements.into_iter().map(u32::from).collect();
    let labels = Labels { name: labels_name.to_owned(), values };
    labels.check_count(count, Path::new(images_name))?;
    Ok(Part {
        count,
        shape,
        element: Element::U8,
        layout: Layout::Nchw,
        images: Images::Held(images.elements),
        labels: Some(labels),
    })
}
