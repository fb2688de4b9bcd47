//! A folder of PNG and JPEG files, decoded one at a time.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

use crate::error::{Error, Result};
use crate::files;
use crate::tensor::Shape;

use super::labels::Labels;
use super::part::{Element, Images, Layout, Part};

/// Most rows or columns of an image.
const MAX_SIDE: u32 = 1 << 14;
/// The label file that is read where none is named.
const LABELS: &str = "labels.csv";

/// Files, and the one shape that their images are given.
#[derive(Debug)]
pub struct Photos {
    files: Vec<PathBuf>,
    shape: Shape,
    /// Whether images of other sizes are resized; else they are refused.
    resize: bool,
}

/// Opens the images that `labels` or the folder's `labels.csv` lists; without either all of the
/// folder, by name. One channel if `grey`, else three, red first; by default as the first image
/// has. `size` is height and width; by default that of the first image, which all must have.
pub fn open(
    folder: &Path,
    labels: Option<&Path>,
    grey: Option<bool>,
    size: Option<[usize; 2]>,
) -> Result<Part> {
    let listed = folder.join(LABELS);
    let (files, labels) = match labels.or(listed.is_file().then_some(&*listed)) {
        Some(path) => {
            let (names, labels) = Labels::with_files(path)?;
            let files: Vec<_> = names.iter().map(|name| folder.join(name)).collect();
            if let Some(missing) = files.iter().find(|file| !file.is_file()) {
                let problem = format_args!("lists {}, which is not there", missing.display());
                return Err(Error::new(path.display(), problem)
                    .remedy("put the file there, or take its line out"));
            }
            (files, Some(labels))
        }
        None => (in_folder(folder)?, None),
    };
    let Some(first) = files.first() else {
        let place =
            labels.as_ref().map_or_else(|| folder.display().to_string(), |l| l.name.clone());
        return Err(Error::new(place, "has no PNG or JPEG image: nothing to run"));
    };
    let bytes = files::read_bytes(first)?;
    let header = reader(&bytes).and_then(ImageReader::into_decoder);
    let header = header.map_err(|e| undecodable(first, e))?;
    let (width, height) = header.dimensions();
    let [height, width] = size.unwrap_or([height as usize, width as usize]);
    if ![height, width].iter().all(|side| (1..=MAX_SIDE as usize).contains(side)) {
        let problem = format_args!("`size` is {height}×{width}, 1 to {MAX_SIDE} were expected");
        return Err(Error::new(folder.display(), problem));
    }
    let grey = grey.unwrap_or(!header.color_type().has_color());
    let shape = Shape::new(if grey { 1 } else { 3 }, height, width);
    let (count, resize) = (files.len(), size.is_some());
    Ok(Part {
        count,
        shape,
        element: Element::U8,
        layout: Layout::Nhwc,
        images: Images::Photos(Photos { files, shape, resize }),
        labels,
    })
}

/// Whether `folder` holds a label file or an image.
pub fn are_in(folder: &Path) -> Result<bool> {
    Ok(folder.join(LABELS).is_file() || !in_folder(folder)?.is_empty())
}

/// The images of a folder, by name.
fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if ["png", "jpg", "jpeg"].contains(&extension.to_lowercase().as_str()) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

impl Photos {
    /// Image `index` in the order row, column, channel.
    pub fn decode(&self, index: usize) -> Result<Vec<u8>> {
        let path = &self.files[index];
        let bytes = files::read_bytes(path)?;
        if bytes.starts_with(&[0xff, 0xd8]) && !is_whole_jpeg(&bytes) {
            return Err(Error::new(path.display(), "truncated: the JPEG image has no end"));
        }
        let image = reader(&bytes).and_then(ImageReader::decode);
        let image = image.map_err(|e| undecodable(path, e))?;
        let Shape { channels, height, width } = self.shape;
        let found = [image.height() as usize, image.width() as usize];
        if found != [height, width] && !self.resize {
            return Err(Error::new(
                path.display(),
                format_args!(
                    "is {}×{}, the first image is {height}×{width}: images of several sizes",
                    found[0], found[1]
                ),
            )
            .remedy("state `size` in a dataset description, to which images are resized"));
        }
        if channels == 1 && image.color().has_color() {
            return Err(Error::new(path.display(), "is coloured, the dataset is grey")
                .remedy("state channel_order = \"rgb\" in a dataset description"));
        }
        let image: DynamicImage = match channels {
            1 => image.into_luma8().into(),
            _ => image.into_rgb8().into(),
        };
        Ok(match found == [height, width] {
            true => image.into_bytes(),
            false => {
                image.resize_exact(width as u32, height as u32, FilterType::Triangle).into_bytes()
            }
        })
    }
}

/// A reader of PNG or JPEG by content, that takes no memory for sizes beyond the limits.
fn reader(bytes: &[u8]) -> image::ImageResult<ImageReader<Cursor<&[u8]>>> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    reader.limits(limits);
    Ok(reader)
}

fn undecodable(path: &Path, error: image::ImageError) -> Error {
    Error::new(path.display(), format_args!("cannot be decoded: {error}"))
        .remedy("give whole PNG or JPEG files")
}

/// Whether the markers of a JPEG file lead to an end of image: its decoder fills up what is
/// missing.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    const END: u8 = 0xd9;
    const SCAN: u8 = 0xda;
    let mut rest = &bytes[2..];
    loop {
        match *rest {
            [0xff, 0xff, ..] => rest = &rest[1..],
            [0xff, END, ..] => return true,
            // Restart markers and the like, which have no content.
            [0xff, 0x01 | 0xd0..=0xd8, ..] => rest = &rest[2..],
            [0xff, marker, high, low, ..] => {
                let len = usize::from(u16::from_be_bytes([high, low]));
                let Some(after) = rest.get(2 + len..) else { return false };
                rest = after;
                if marker == SCAN {
                    let next = rest.windows(2).position(|pair| {
                        pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xd0..=0xd7 | 0xff)
                    });
                    let Some(next) = next else { return false };
                    rest = &rest[next..];
                }
            }
            // Bytes between segments, which decoders skip.
            [_, ..] => rest = &rest[1..],
            [] => return false,
        }
    }
}
