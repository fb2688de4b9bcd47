//! Writing the words of one memory, as a `$readmemh` file and as an array, with checksums; and
//! reading `$readmemh` files.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::manifest::{FileRef, MemoryEntry};
use crate::error::{Error, Result};
use crate::numeric::Format;

/// What a memory is, beside its words.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub name: String,
    pub image: Option<usize>,
    pub format: Format,
    pub shape: Vec<usize>,
    pub axes: &'static str,
}

/// A file whose bytes are hashed as they are written.
struct Hashed {
    file: File,
    hash: Sha256,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file of the folder `root`, by its path in it.
pub(super) struct Output {
    path: String,
    writer: BufWriter<Hashed>,
}

impl Output {
    pub fn create(root: &Path, path: &str) -> Result<Self> {
        let file = root.join(path);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        }
        let file = File::create(&file).map_err(|e| Error::io(&file, e))?;
        let writer = BufWriter::with_capacity(1 << 16, Hashed { file, hash: Sha256::new() });
        Ok(Self { path: path.to_owned(), writer })
    }

    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(|e| Error::io(&self.path, e))
    }

    pub fn finish(self) -> Result<FileRef> {
        let Self { path, writer } = self;
        let hashed = writer.into_inner().map_err(|e| Error::io(&path, e.into_error()))?;
        Ok(FileRef { path, sha256: hex_digits(&hashed.hash.finalize()) })
    }
}

/// Writes a whole text.
pub(super) fn write_text(root: &Path, path: &str, text: &str) -> Result<FileRef> {
    let mut output = Output::create(root, path)?;
    output.put(text.as_bytes())?;
    output.finish()
}

/// SHA-256 of bytes, in hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex_digits(&Sha256::digest(bytes))
}

fn hex_digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A memory that is being written, word by word.
pub(super) struct MemoryWriter {
    memory: Memory,
    hex: Output,
    npy: Output,
    expected: u64,
    written: u64,
}

impl MemoryWriter {
    /// Begins the files `folder/<memory>.hex` and `.npy` of `root`.
    pub fn create(root: &Path, folder: &str, memory: Memory) -> Result<Self> {
        let stem = format!("{folder}/{}", memory.name);
        let mut hex = Output::create(root, &format!("{stem}.hex"))?;
        let mut npy = Output::create(root, &format!("{stem}.npy"))?;
        let shape: Vec<String> = memory.shape.iter().map(usize::to_string).collect();
        let line = format!("// {}, [{}] {}\n", memory.format, shape.join("]["), memory.axes);
        hex.put(line.as_bytes())?;
        npy.put(&npy_header(memory.format, &memory.shape))?;
        let expected = memory.shape.iter().map(|&n| n as u64).product();
        Ok(Self { memory, hex, npy, expected, written: 0 })
    }

    /// Appends a word.
    pub fn put(&mut self, word: i64) -> Result<()> {
        let format = self.memory.format;
        let pattern = format.pattern(word.into());
        let digits = format.bits().div_ceil(4) as usize;
        let mut line = [b'\n'; 17];
        for (place, digit) in line[..digits].iter_mut().rev().enumerate() {
            *digit = b"0123456789abcdef"[(pattern >> (4 * place) & 15) as usize];
        }
        self.hex.put(&line[..=digits])?;
        self.npy.put(&word.to_le_bytes()[..word_bytes(format)])?;
        self.written += 1;
        Ok(())
    }

    /// The memory's entry in the manifest.
    ///
    /// # Panics
    ///
    /// If there were not as many words as the shape has.
    pub fn finish(self) -> Result<MemoryEntry> {
        let Memory { name, image, format, shape, axes } = self.memory;
        assert_eq!(self.written, self.expected, "as many words of `{name}` as its shape has");
        Ok(MemoryEntry {
            memory: name,
            image,
            hex: self.hex.finish()?,
            npy: self.npy.finish()?,
            bits: format.bits(),
            signed: format.is_signed(),
            frac: format.frac(),
            words: self.written,
            shape,
            axes: axes.into(),
        })
    }
}

/// Bytes of the native integer that holds a word.
fn word_bytes(format: Format) -> usize {
    match format.bits() {
        0..=8 => 1,
        9..=16 => 2,
        17..=32 => 4,
        _ => 8,
    }
}

/// The header of an NPY file, version 1.0 (NEP 1).
fn npy_header(format: Format, shape: &[usize]) -> Vec<u8> {
    let kind = if format.is_signed() { 'i' } else { 'u' };
    let order = if word_bytes(format) == 1 { '|' } else { '<' };
    let lengths: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let mut text = format!(
        "{{'descr': '{order}{kind}{}', 'fortran_order': False, 'shape': ({lengths}), }}",
        word_bytes(format)
    );
    let padding = 63 - (10 + text.len()) % 64;
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.bytes());
    header
}

/// The words of a `$readmemh` text: hex digits with `_`, in order or after `@address`, with
/// comments. `None` stands for words that were not written or have unknown digits (`x`, `z`).
/// At most `words` of them, each of `format`.
pub(in crate::verify) fn parse_hex(
    name: &str,
    text: &str,
    format: Format,
    words: u64,
) -> Result<Vec<Option<i64>>> {
    let mut found: Vec<Option<i64>> = Vec::new();
    let mut address = 0_u64;
    let refused = |line: usize, token: &str, problem: &dyn std::fmt::Display| {
        Error::new(format_args!("{name}, line {line}: `{token}`"), problem)
    };
    let mut in_comment = false;
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        let line = without_comments(line, &mut in_comment);
        for token in line.split_ascii_whitespace() {
            if let Some(digits) = token.strip_prefix('@') {
                address = u64::from_str_radix(digits, 16)
                    .map_err(|_| refused(number, token, &"not an address in hex"))?;
                continue;
            }
            if address >= words {
                let problem = format!("the memory has {words} words, this is number {address}");
                return Err(refused(number, token, &problem)
                    .remedy("write one word a line, in the order of the expected file"));
            }
            let digits: String = token.chars().filter(|&c| c != '_').collect();
            let unknown = digits.contains(['x', 'X', 'z', 'Z']);
            let digits: String =
                digits.chars().map(|c| if "xXzZ".contains(c) { '0' } else { c }).collect();
            let word = u64::from_str_radix(&digits, 16).ok().and_then(|bits| format.raw(bits));
            let word = word.ok_or_else(|| {
                let problem = format!("not {} bits in hex", format.bits());
                refused(number, token, &problem)
            })?;
            let place = address as usize;
            if found.len() <= place {
                found.resize(place + 1, None);
            }
            found[place] = (!unknown).then_some(word as i64);
            address += 1;
        }
    }
    Ok(found)
}

/// What of a line is outside `//` and `/* */`.
fn without_comments(line: &str, in_comment: &mut bool) -> String {
    let (mut kept, mut rest) = (String::new(), line);
    loop {
        if *in_comment {
            match rest.split_once("*/") {
                Some((_, after)) => (rest, *in_comment) = (after, false),
                None => return kept,
            }
        }
        let rest_of = |marker: &str| rest.find(marker).unwrap_or(rest.len());
        let (line_at, block_at) = (rest_of("//"), rest_of("/*"));
        kept.push_str(&rest[..line_at.min(block_at)]);
        kept.push(' ');
        if block_at >= line_at {
            return kept;
        }
        (rest, *in_comment) = (&rest[block_at + 2..], true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(text: &str) -> Format {
        text.parse().unwrap()
    }

    #[test]
    fn a_memory_is_written_as_hex_and_as_an_array() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory {
            name: "m".into(),
            image: None,
            format: format("s9f3"),
            shape: vec![2, 2],
            axes: "row, column",
        };
        let mut writer = MemoryWriter::create(folder.path(), "a", memory).unwrap();
        for word in [-1, 255, -256, 1] {
            writer.put(word).unwrap();
        }
        let entry = writer.finish().unwrap();
        assert_eq!((entry.words, entry.bits, &entry.hex.path[..]), (4, 9, "a/m.hex"));
        let text = std::fs::read_to_string(folder.path().join("a/m.hex")).unwrap();
        assert_eq!(text, "// s9f3, [2][2] row, column\n1ff\n0ff\n100\n001\n");
        assert_eq!(entry.hex.sha256, sha256(text.as_bytes()));
        let array: ndarray::Array2<i16> =
            ndarray_npy::read_npy(folder.path().join("a/m.npy")).unwrap();
        assert_eq!(array, ndarray::arr2(&[[-1, 255], [-256, 1]]));
        let read = parse_hex("m.hex", &text, format("s9f3"), 4).unwrap();
        assert_eq!(read, [Some(-1), Some(255), Some(-256), Some(1)]);
    }

    /// FIPS 180-4, the message "abc".
    #[test]
    fn checksums_are_sha256() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), known);
    }

    /// IEEE 1364-2005, 17.2.9: white space, comments, addresses, `_`, `x` and `z`.
    #[test]
    fn readmemh_texts_are_read() {
        let text = "/* a\nb */ 1_f 0x0x // c\n@4\nff@\n";
        assert!(parse_hex("f", text, format("u8f0"), 9).is_err());
        let text = "/* a\nb */ 1_f 0x // 3\n@4\nff /* 1 */ 02\n";
        let read = parse_hex("f", text, format("u8f0"), 9).unwrap();
        assert_eq!(read, [Some(0x1f), None, None, None, Some(0xff), Some(2)]);
        let error = parse_hex("f", "1\n100\n", format("u8f0"), 9).unwrap_err();
        assert_eq!(error.subject(), "f, line 2: `100`");
        assert!(parse_hex("f", "1 2 3", format("u8f0"), 2).is_err());
        assert!(parse_hex("f", "@ffffffffffffffff 1", format("u8f0"), 2).is_err());
    }
}
