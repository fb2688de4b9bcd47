//! Finding a dataset: by shipped name, in a folder of IDX files, or through a TOML description.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::idx::Idx;
use super::{Dataset, Normalization};
use crate::error::{Error, Result};
use crate::files;
use crate::tensor::Shape;

/// Names of the datasets that ship with the project.
pub const SHIPPED: &[&str] = &["mnist"];

/// The parts of a dataset. Test images are for measuring only: calibration takes its images from
/// `calibration`.
#[derive(Clone, Debug)]
pub struct DatasetSource {
    /// Images on which accuracy is measured.
    pub test: Dataset,
    /// Training images from which value ranges are taken.
    pub calibration: Option<Dataset>,
    /// All training images.
    pub train: Option<Dataset>,
}

/// Opens a shipped dataset by name, a folder of IDX files (`t10k-images-idx3-ubyte` and
/// `t10k-labels-idx1-ubyte`, and `train-…` when present; each plain or `.gz`), or a dataset
/// description `.toml` (`docs/datasets.md`).
///
/// # Errors
/// If nothing is found, or a file is malformed; the error names the file.
pub fn open(name_or_path: &str) -> Result<DatasetSource> {
    let path = Path::new(name_or_path);
    if name_or_path == "mnist" {
        shipped_mnist()
    } else if path.is_dir() {
        let test = Pair::in_folder(path, "t10k")?.ok_or_else(|| missing_pair(path, "t10k"))?;
        let train = Pair::in_folder(path, "train")?;
        Description { name: stem(path), ..Description::default() }.load(test, train.clone(), train)
    } else if path.extension().is_some_and(|e| e == "toml") {
        from_description(path)
    } else if path.exists() {
        Err(Error::new(name_or_path, "is neither a folder nor a dataset description (.toml)"))
    } else {
        Err(Error::new(name_or_path, "there is no such dataset, folder or file").remedy(
            format_args!("name a shipped dataset ({}), a folder or a .toml", SHIPPED.join(", ")),
        ))
    }
}

/// MNIST: the 10 000 test digits, and the first 1000 training digits for calibration.
fn shipped_mnist() -> Result<DatasetSource> {
    macro_rules! embedded {
        ($name:literal) => {
            (concat!("mnist/", $name), include_bytes!(concat!("mnist/", $name)).as_slice())
        };
    }
    let part = |images: (&str, &[u8]), labels: (&str, &[u8])| {
        Raw::new(Idx::read(images.0, images.1)?, Idx::read(labels.0, labels.1)?, images.0, labels.0)
    };
    let description =
        Description { name: "mnist".into(), classes: Some(10), ..Description::default() };
    description.build(
        part(embedded!("t10k-images-idx3-ubyte.gz"), embedded!("t10k-labels-idx1-ubyte.gz"))?,
        Some(part(
            embedded!("calibration-images-idx3-ubyte.gz"),
            embedded!("calibration-labels-idx1-ubyte.gz"),
        )?),
        None,
    )
}

/// Paths of an image file and its label file.
#[derive(Clone, PartialEq)]
struct Pair {
    images: PathBuf,
    labels: PathBuf,
}

const IMAGES: &str = "images-idx3";
const LABELS: &str = "labels-idx1";

impl Pair {
    /// The pair `<part>-images-idx3-ubyte[.gz]` and its labels in `folder`, if there is one.
    fn in_folder(folder: &Path, part: &str) -> Result<Option<Self>> {
        let images = format!("{part}-{IMAGES}-ubyte");
        let found = plain_or_gzip(&folder.join(images));
        found.map(|images| Self::beside(images, None)).transpose()
    }

    /// The pair of an image file: `labels`, or the file beside it that is named alike.
    fn beside(images: PathBuf, labels: Option<PathBuf>) -> Result<Self> {
        if let Some(labels) = labels {
            return Ok(Self { images, labels });
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

    fn read(&self) -> Result<Raw> {
        let name = |path: &Path| path.display().to_string();
        let (images, labels) = (Idx::open(&self.images)?, Idx::open(&self.labels)?);
        Raw::new(images, labels, &name(&self.images), &name(&self.labels))
    }
}

fn plain_or_gzip(path: &Path) -> Option<PathBuf> {
    let mut gzip = path.as_os_str().to_owned();
    gzip.push(".gz");
    [path.to_owned(), gzip.into()].into_iter().find(|p| p.is_file())
}

fn missing_pair(folder: &Path, part: &str) -> Error {
    Error::new(
        folder.display(),
        format_args!("holds no `{part}-{IMAGES}-ubyte` or `{part}-{IMAGES}-ubyte.gz`"),
    )
}

fn stem(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Images and labels as read, of equal number.
struct Raw {
    shape: Shape,
    pixels: Vec<u8>,
    labels: Vec<u8>,
    labels_name: String,
}

impl Raw {
    fn new(images: Idx<3>, labels: Idx<1>, images_name: &str, labels_name: &str) -> Result<Self> {
        let [count, height, width] = images.dimensions;
        let shape = Shape::new(1, height, width);
        if count == 0 || shape.is_empty() {
            return Err(Error::new(
                images_name,
                format_args!("holds {count} images of {height}×{width} pixels: nothing to run"),
            ));
        }
        if labels.elements.len() != count {
            return Err(Error::new(
                labels_name,
                format_args!("has {} labels for {count} images", labels.elements.len()),
            )
            .remedy(format_args!("check that it belongs to {images_name}")));
        }
        let (pixels, labels) = (images.elements, labels.elements);
        Ok(Self { shape, pixels, labels, labels_name: labels_name.to_owned() })
    }
}

/// What the parts of a dataset have in common.
#[derive(Default)]
struct Description {
    name: String,
    /// Number of classes; else the largest label plus one.
    classes: Option<usize>,
    /// Required height and width.
    size: Option<[usize; 2]>,
    normalization: Normalization,
}

impl Description {
    fn load(
        &self,
        test: Pair,
        calibration: Option<Pair>,
        train: Option<Pair>,
    ) -> Result<DatasetSource> {
        let same = calibration == train;
        let read = |pair: Option<Pair>| pair.map(|p| p.read()).transpose();
        let calibration = if same { None } else { read(calibration)? };
        let mut source = self.build(test.read()?, calibration, read(train)?)?;
        if same {
            source.calibration = source.train.clone();
        }
        Ok(source)
    }

    fn build(
        &self,
        test: Raw,
        calibration: Option<Raw>,
        train: Option<Raw>,
    ) -> Result<DatasetSource> {
        let parts = || [Some(&test), calibration.as_ref(), train.as_ref()].into_iter().flatten();
        let largest = parts().flat_map(|part| &part.labels).copied().max().map_or(0, usize::from);
        let classes = self.classes.unwrap_or(largest + 1);
        for part in parts() {
            self.check(part, test.shape, classes)?;
        }
        let dataset = |part: Raw| {
            let Raw { shape, pixels, labels, .. } = part;
            Dataset::new(self.name.clone(), shape, classes, pixels, labels, &self.normalization)
        };
        Ok(DatasetSource {
            test: dataset(test)?,
            calibration: calibration.map(dataset).transpose()?,
            train: train.map(dataset).transpose()?,
        })
    }

    fn check(&self, part: &Raw, shape: Shape, classes: usize) -> Result<()> {
        if let Some(image) = part.labels.iter().position(|&l| usize::from(l) >= classes) {
            let label = part.labels[image];
            return Err(Error::new(
                &part.labels_name,
                format_args!("label {label} of image {image} is out of range: {classes} classes"),
            ));
        }
        if part.shape != shape {
            return Err(Error::new(
                &self.name,
                format_args!("images of {} and of {} pixels are mixed", shape, part.shape),
            ));
        }
        match self.size {
            Some([height, width]) if [height, width] != [shape.height, shape.width] => {
                Err(Error::new(
                    &self.name,
                    format_args!(
                        "`size` is {height}×{width}, the images are {}×{}",
                        shape.height, shape.width
                    ),
                )
                .remedy("IDX images are not resized: leave `size` out"))
            }
            _ => Ok(()),
        }
    }
}

/// A dataset description as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    kind: Kind,
    path: PathBuf,
    labels: Option<PathBuf>,
    calibration: Option<PathBuf>,
    classes: Option<usize>,
    channel_order: Option<ChannelOrder>,
    mean: Option<PerChannel>,
    std: Option<PerChannel>,
    size: Option<[usize; 2]>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Images,
    Idx,
    Npy,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ChannelOrder {
    Rgb,
    Bgr,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PerChannel {
    All(f32),
    Each(Vec<f32>),
}

impl From<PerChannel> for Vec<f32> {
    fn from(value: PerChannel) -> Self {
        match value {
            PerChannel::All(value) => vec![value],
            PerChannel::Each(values) => values,
        }
    }
}

fn from_description(path: &Path) -> Result<DatasetSource> {
    let name = path.display().to_string();
    let file: File = files::parse_toml(&name, &files::read_text(path)?)?;
    match file.kind {
        Kind::Idx => {}
        Kind::Images | Kind::Npy => {
            return Err(Error::new(&name, "kinds `images` and `npy` are not supported yet")
                .remedy("use IDX files with kind = \"idx\""));
        }
    }
    if let Some(ChannelOrder::Rgb | ChannelOrder::Bgr) = file.channel_order {
        return Err(Error::new(&name, "`channel_order` is for colour images; IDX images are grey"));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let (base, calibration) = (folder.join(file.path), file.calibration.map(|c| folder.join(c)));
    let labels = file.labels.map(|l| folder.join(l));
    if labels.is_some() && base.is_dir() {
        return Err(Error::new(&name, "`labels` is for a `path` that is an image file")
            .remedy("leave `labels` out, or set `path` to the image file"));
    }
    let pair = |base: PathBuf, part: &str, labels| {
        if base.is_dir() {
            Pair::in_folder(&base, part)?.ok_or_else(|| missing_pair(&base, part))
        } else {
            Pair::beside(base, labels)
        }
    };
    let train = if base.is_dir() { Pair::in_folder(&base, "train")? } else { None };
    let calibration = match calibration {
        Some(base) => Some(pair(base, "train", None)?),
        None => train.clone(),
    };
    let default = Normalization::default();
    let description = Description {
        name: file.name.unwrap_or_else(|| stem(path)),
        classes: file.classes,
        size: file.size,
        normalization: Normalization {
            mean: file.mean.map_or(default.mean, Vec::from),
            std: file.std.map_or(default.std, Vec::from),
        },
    };
    description.load(pair(base, "t10k", labels)?, calibration, train)
}
