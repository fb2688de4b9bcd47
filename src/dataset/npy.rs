//! NumPy arrays, `.npy`: images [N, C, H, W] or [N, H, W, C], and integer labels `[N]`.
//!
//! What the header claims is held against the file's length before anything is read.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use py_literal::Value;

use crate::error::{Error, Result};
use crate::tensor::Shape;

use super::labels::Labels;
use super::part::{Element, Images, Layout, Part};
use super::records::Records;

/// Longest header that is read; that of a plain array has about a hundred bytes.
const MAX_HEADER: usize = 1024;
/// Most brackets in a header, so that its parser does not recurse without end; a plain array's has
/// two.
const MAX_BRACKETS: usize = 8;

/// An array whose header has been held against its file.
struct Array {
    file: File,
    header: Header,
}

/// What a file says of itself (NumPy enhancement proposal 1, `numpy.lib.format`).
struct Header {
    /// Where the elements begin.
    start: u64,
    shape: Vec<usize>,
    /// The element type as written, such as `<f4`.
    descr: String,
    fortran_order: bool,
}

impl Header {
    /// The kind of the elements (`u`, `i`, `f`, …) and their bytes, where they are numbers in
    /// little-endian order.
    fn element(&self) -> Option<(char, usize)> {
        let mut letters = self.descr.chars();
        let order = letters.next().filter(|order| "<|=".contains(*order))?;
        let kind = letters.next()?;
        let bytes = letters.as_str().parse().ok().filter(|bytes| (1..=8).contains(bytes))?;
        (order != '|' || bytes == 1).then_some((kind, bytes))
    }
}

/// Opens images of `uint8`, `int8` or `float32`.
pub fn images(path: &Path, layout: Layout, labels: Option<&Path>) -> Result<Part> {
    let Array { file, header } = open(path)?;
    let [count, a, b, c] = header.shape[..] else {
        return Err(Error::new(
            path.display(),
            format_args!("has the shape {:?}, four axes were expected", header.shape),
        )
        .remedy("reshape the array to [N, C, H, W], or [N, H, W, C] with layout = \"nhwc\""));
    };
    let element = match header.element() {
        Some(('u', 1)) => Element::U8,
        Some(('i', 1)) => Element::I8,
        Some(('f', 4)) => Element::F32,
        _ => {
            return Err(Error::new(
                path.display(),
                format_args!("has elements of type `{}`", header.descr),
            )
            .remedy("save the images as uint8, int8 or little-endian float32"));
        }
    };
    let shape = match layout {
        Layout::Nchw => Shape::new(a, b, c),
        Layout::Nhwc => Shape::new(c, a, b),
    };
    if count == 0 || shape.is_empty() {
        return Err(Error::new(
            path.display(),
            format_args!("has the shape {:?}: nothing to run", header.shape),
        ));
    }
    let labels = labels.map(Labels::open).transpose()?;
    labels.iter().try_for_each(|labels| labels.check_count(count, path))?;
    let mut records = Records::new(shape.len() * element.bytes(), 0);
    records.push(path, file, header.start, count);
    Ok(Part { count, shape, element, layout, images: Images::Records(records), labels })
}

/// Reads labels, integers of any width.
pub fn labels(path: &Path) -> Result<Labels> {
    let Array { mut file, header } = open(path)?;
    let name = path.display().to_string();
    let (signed, width) = match (header.element(), &header.shape[..]) {
        (Some((kind @ ('i' | 'u'), bytes)), [_]) => (kind == 'i', bytes),
        _ => {
            return Err(Error::new(
                name,
                format_args!(
                    "has the shape {:?} and elements of type `{}`, integers along one axis were \
                     expected",
                    header.shape, header.descr
                ),
            )
            .remedy("save one class number an image"));
        }
    };
    let mut bytes = Vec::new();
    let read = file.seek(SeekFrom::Start(header.start)).and_then(|_| file.read_to_end(&mut bytes));
    read.map_err(|e| Error::io(path, e))?;
    let elements = bytes.chunks_exact(width);
    let label = |(index, element): (usize, &[u8])| {
        let negative = signed && element.last().is_some_and(|byte| byte >> 7 == 1);
        let mut word = [if negative { 0xff } else { 0 }; 16];
        word[..width].copy_from_slice(element);
        let label = i128::from_le_bytes(word);
        u32::try_from(label).map_err(|_| {
            Error::new(&name, format_args!("label {label} of image {index} is no class number"))
        })
    };
    let values = elements.enumerate().map(label).collect::<Result<_>>()?;
    Ok(Labels { name, values })
}

fn open(path: &Path) -> Result<Array> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let length = file.metadata().map_err(|e| Error::io(path, e))?.len();
    let mut head = Vec::new();
    let mut start = (&file).take(MAX_HEADER as u64);
    start.read_to_end(&mut head).map_err(|e| Error::io(path, e))?;
    let header = header(&head).map_err(|problem| {
        Error::new(path.display(), format_args!("is no NumPy array: {problem}"))
            .remedy("save it with numpy.save")
    })?;
    if header.fortran_order && header.shape.len() > 1 {
        return Err(Error::new(path.display(), "is in Fortran order")
            .remedy("save numpy.ascontiguousarray(array)"));
    }
    // Types that are not understood are the caller's to refuse.
    let width = header.element().map_or(1, |(_, bytes)| bytes);
    let claimed = header
        .shape
        .iter()
        .try_fold(width as u64, |bytes, &size| bytes.checked_mul(size as u64))
        .and_then(|bytes| bytes.checked_add(header.start));
    if header.element().is_some() && claimed != Some(length) {
        let cut = if claimed.is_none_or(|claimed| claimed > length) { "truncated: " } else { "" };
        let problem = format_args!(
            "{cut}the header claims {:?} elements of type `{}`; the file has {length} bytes",
            header.shape, header.descr
        );
        return Err(Error::new(path.display(), problem).remedy("save the array again"));
    }
    Ok(Array { file, header })
}

/// The header of a file that begins with `head`.
fn header(head: &[u8]) -> Result<Header, &'static str> {
    let text = match head.get(..12) {
        Some([0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, low, high, ..]) => {
            10..10 + usize::from(u16::from_le_bytes([*low, *high]))
        }
        Some([0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, a, b, c, d]) => {
            12..12usize.saturating_add(u32::from_le_bytes([*a, *b, *c, *d]) as usize)
        }
        _ => return Err("it does not begin like one"),
    };
    let start = text.end as u64;
    let text = head.get(text).ok_or("its header is too long, or cut off")?;
    if text.iter().filter(|byte| b"([{".contains(byte)).count() > MAX_BRACKETS {
        return Err("its header describes a structure");
    }
    let text = std::str::from_utf8(text).map_err(|_| "its header is no text")?;
    let Ok(Value::Dict(entries)) = text.trim().parse() else {
        return Err("its header is no dictionary");
    };
    let entry = |key: &str| {
        let is = |entry: &&(Value, Value)| entry.0.as_string().is_some_and(|name| name == key);
        entries.iter().find(is).map(|(_, value)| value)
    };
    let descr = entry("descr").ok_or("its header has no `descr`")?;
    let size = |value: &Value| usize::try_from(value.as_integer()?).ok();
    let sizes = entry("shape").and_then(Value::as_tuple);
    let shape = sizes.and_then(|sizes| sizes.iter().map(size).collect());
    Ok(Header {
        start,
        shape: shape.ok_or("its header has no `shape` of sizes")?,
        descr: descr.as_string().map_or_else(|| descr.to_string(), Clone::clone),
        fortran_order: entry("fortran_order")
            .and_then(Value::as_boolean)
            .ok_or("its header has no `fortran_order`")?,
    })
}
