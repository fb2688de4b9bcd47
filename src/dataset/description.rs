//! Dataset descriptions in TOML, and what the parts of a dataset have in common.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::cifar::Cifar;
use super::idx::Pair;
use super::open::DatasetSource;
use super::part::{Layout, Part};
use super::values::{Normalization, Values};
use super::{Dataset, npy, photos};
use crate::error::{Error, Result};
use crate::files;

/// How a dataset's files are read.
#[derive(Debug)]
pub enum Format {
    Idx,
    Cifar(Cifar),
    Npy(Layout),
    Images {
        /// One channel or three; by default as the first image.
        grey: Option<bool>,
        /// Height and width to which images are resized.
        size: Option<[usize; 2]>,
    },
}

impl Format {
    /// The test images at `path`.
    fn test(&self, path: &Path, labels: Option<&Path>) -> Result<Part> {
        match self {
            Self::Idx if path.is_dir() => Pair::required(path, "t10k")?.read(),
            Self::Idx => Pair::beside(path.to_owned(), labels)?.read(),
            Self::Cifar(cifar) => cifar.test(path),
            Self::Npy(layout) => npy::images(path, *layout, labels),
            Self::Images { grey, size } => photos::open(path, labels, *grey, *size),
        }
    }

    /// The training images beside the test images at `path`, where the format has a place for them.
    fn train(&self, path: &Path) -> Result<Option<Part>> {
        match self {
            Self::Idx if path.is_dir() => {
                Pair::in_folder(path, "train")?.map(|pair| pair.read()).transpose()
            }
            Self::Cifar(cifar) if path.is_dir() => cifar.train(path),
            _ => Ok(None),
        }
    }

    /// The training images at `path`, where there are to be some.
    fn calibration(&self, path: &Path) -> Result<Part> {
        match self {
            Self::Idx if path.is_dir() => Pair::required(path, "train")?.read(),
            Self::Cifar(cifar) if path.is_dir() => cifar.train(path)?.ok_or_else(|| {
                Error::new(path.display(), "holds no training images")
                    .remedy("put data_batch_1.bin or train.bin there")
            }),
            _ => self.test(path, None),
        }
    }
}

/// What the parts of a dataset have in common.
#[derive(Debug)]
pub struct Common {
    pub name: String,
    /// Number of classes; else the largest label plus one.
    pub classes: Option<usize>,
    /// Required height and width.
    pub size: Option<[usize; 2]>,
    pub normalization: Normalization,
}

impl Common {
    /// Defaults, with the name of a file or folder.
    pub fn named(path: &Path) -> Self {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self { name, classes: None, size: None, normalization: Normalization::default() }
    }

    /// Opens the files at `path` and the training images beside them.
    pub fn open(
        &self,
        format: &Format,
        path: &Path,
        labels: Option<&Path>,
    ) -> Result<DatasetSource> {
        let mut source = self.build(format.test(path, labels)?, None, format.train(path)?)?;
        source.calibration = source.train.clone();
        Ok(source)
    }

    /// Checks parts against each other.
    pub fn build(
        &self,
        test: Part,
        calibration: Option<Part>,
        train: Option<Part>,
    ) -> Result<DatasetSource> {
        let parts = || [Some(&test), calibration.as_ref(), train.as_ref()].into_iter().flatten();
        let labels = parts().filter_map(|part| part.labels.as_ref());
        let largest = labels.flat_map(|labels| &labels.values).max();
        let classes = self.classes.unwrap_or(largest.map_or(0, |&label| label as usize + 1));
        for part in parts() {
            self.check(part, classes)?;
        }
        let dataset = |part: Part| {
            let values = Values::new(&self.name, &part, &self.normalization)?;
            Ok(Dataset::new(self.name.clone(), classes, part, values))
        };
        let source = DatasetSource {
            test: dataset(test)?,
            calibration: calibration.map(dataset).transpose()?,
            train: train.map(dataset).transpose()?,
        };
        [&source.calibration, &source.train]
            .into_iter()
            .flatten()
            .try_for_each(|part| check_shapes(&source.test, part))?;
        Ok(source)
    }

    fn check(&self, part: &Part, classes: usize) -> Result<()> {
        if let Some(labels) = &part.labels
            && let Some(image) = labels.values.iter().position(|&l| l as usize >= classes)
        {
            let label = labels.values[image];
            return Err(Error::new(
                &labels.name,
                format_args!("label {label} of image {image} is out of range: {classes} classes"),
            ));
        }
        let found = [part.shape.height, part.shape.width];
        match self.size {
            Some([height, width]) if [height, width] != found => Err(Error::new(
                &self.name,
                format_args!(
                    "`size` is {height}×{width}, the images are {}×{}",
                    found[0], found[1]
                ),
            )
            .remedy("only PNG and JPEG images are resized: leave `size` out")),
            _ => Ok(()),
        }
    }
}

fn check_shapes(test: &Dataset, other: &Dataset) -> Result<()> {
    if test.shape() == other.shape() {
        return Ok(());
    }
    let problem = format_args!("images of {} and of {} are mixed", test.shape(), other.shape());
    Err(Error::new(test.name(), problem).remedy("give test and training images one shape"))
}

/// A dataset description as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    kind: Kind,
    path: PathBuf,
    labels: Option<PathBuf>,
    calibration: Option<Calibration>,
    classes: Option<usize>,
    channel_order: Option<ChannelOrder>,
    layout: Option<Layout>,
    scale: Option<f32>,
    mean: Option<PerChannel>,
    std: Option<PerChannel>,
    size: Option<[usize; 2]>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Images,
    Idx,
    Npy,
    Cifar10,
    Cifar100,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a path, or { first = N }")]
enum Calibration {
    Path(PathBuf),
    HeldOut(HeldOut),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeldOut {
    first: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ChannelOrder {
    Rgb,
    Bgr,
    Grey,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a number, or one for each channel")]
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

/// Opens the dataset that a `.toml` describes.
pub fn open(path: &Path) -> Result<DatasetSource> {
    let (source, calibration) = parts(path)?;
    let calibrated = match calibration {
        None => return Ok(source),
        Some((Calibration::HeldOut(HeldOut { first }), ..)) => {
            if !(1..source.test.len()).contains(&first) {
                return Err(Error::new(
                    path.display(),
                    format_args!(
                        "`calibration` holds out the first {first} of {} images",
                        source.test.len()
                    ),
                )
                .remedy("hold out at least one image, and leave one to test"));
            }
            let test = source.test.after(first);
            return Ok(DatasetSource {
                calibration: Some(source.test.first(first)),
                test,
                ..source
            });
        }
        Some((Calibration::Path(from), common, format)) => {
            if from.extension().is_some_and(|e| e == "toml") {
                let (other, _) = parts(&from)?;
                other.train.unwrap_or(other.test)
            } else {
                let part = format.calibration(&from)?;
                let values = Values::new(&common.name, &part, &common.normalization)?;
                Dataset::new(common.name, source.test.classes(), part, values)
            }
        }
    };
    check_shapes(&source.test, &calibrated)?;
    Ok(DatasetSource { calibration: Some(calibrated), ..source })
}

type Given = (Calibration, Common, Format);

/// The dataset of a description but for its key `calibration`, and what that key needs.
fn parts(path: &Path) -> Result<(DatasetSource, Option<Given>)> {
    let name = path.display().to_string();
    let file: File = files::parse_toml(&name, &files::read_text(path)?)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let base = folder.join(&file.path);
    let labels = file.labels.as_ref().map(|labels| folder.join(labels));
    let format = format(&name, &file, &base)?;
    let default = Normalization::default();
    let common = Common {
        name: file.name.unwrap_or_else(|| Common::named(path).name),
        classes: file.classes.or(match format {
            Format::Cifar(cifar) => Some(cifar.classes()),
            _ => None,
        }),
        size: file.size,
        normalization: Normalization {
            scale: file.scale,
            mean: file.mean.map_or(default.mean, Vec::from),
            std: file.std.map_or(default.std, Vec::from),
            reversed: file.channel_order == Some(ChannelOrder::Bgr),
        },
    };
    let source = common.open(&format, &base, labels.as_deref())?;
    let given = match file.calibration {
        Some(Calibration::Path(from)) => {
            let from = folder.join(from);
            let beside = matches!(format, Format::Idx | Format::Cifar(_)) && base.is_dir();
            if !beside && same(&from, &base) {
                return Err(Error::new(&name, "`calibration` names the test images").remedy(
                    "name training images, or hold out some with calibration = { first = N }",
                ));
            }
            Some(Calibration::Path(from))
        }
        other => other,
    };
    Ok((source, given.map(|calibration| (calibration, common, format))))
}

/// How the files are read; refuses keys that say nothing of this kind.
fn format(name: &str, file: &File, base: &Path) -> Result<Format> {
    let refuse = |key: &str, why: &str| Err(Error::new(name, format_args!("`{key}` is {why}")));
    if file.layout.is_some() && file.kind != Kind::Npy {
        return refuse("layout", "for arrays, kind = \"npy\"");
    }
    if file.channel_order.is_some() && file.kind == Kind::Idx {
        return refuse("channel_order", "for colour images; IDX images are grey");
    }
    let cifar = matches!(file.kind, Kind::Cifar10 | Kind::Cifar100);
    if file.labels.is_some() && (cifar || (file.kind == Kind::Idx && base.is_dir())) {
        return refuse(
            "labels",
            "not for CIFAR files or folders of IDX files: they have their own",
        );
    }
    let grey = file.channel_order.map(|order| order == ChannelOrder::Grey);
    if grey == Some(true) && file.kind != Kind::Images {
        return refuse("channel_order", "`rgb` or `bgr` but for PNG and JPEG images");
    }
    Ok(match file.kind {
        Kind::Idx => Format::Idx,
        Kind::Cifar10 => Format::Cifar(Cifar::Ten),
        Kind::Cifar100 => Format::Cifar(Cifar::Hundred),
        Kind::Npy => Format::Npy(file.layout.unwrap_or_default()),
        Kind::Images => Format::Images { grey, size: file.size },
    })
}

fn same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
