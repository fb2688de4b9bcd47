//! Finding a dataset: by shipped name, by the files of a folder, or through a TOML description.

use std::path::Path;

use super::cifar::Cifar;
use super::description::{self, Common, Format};
use super::idx::{self, Pair};
use super::{Dataset, photos};
use crate::error::{Error, Result};

/// Names of the datasets that ship with the project.
pub const SHIPPED: &[&str] = &["mnist"];

/// The parts of a dataset. Test images are for measuring only: calibration takes its images from
/// `calibration`.
#[derive(Clone, Debug)]
pub struct DatasetSource {
    /// Images on which accuracy is measured.
    pub test: Dataset,
    /// Images from which value ranges are taken, none of them a test image.
    pub calibration: Option<Dataset>,
    /// All training images.
    pub train: Option<Dataset>,
}

/// Opens a shipped dataset by name; a folder of IDX files, CIFAR files, or PNG and JPEG images; an
/// array `.npy`; or a dataset description `.toml` (`docs/datasets.md`).
///
/// # Errors
/// If nothing is found, or a file is malformed; the error names the file.
pub fn open(name_or_path: &str) -> Result<DatasetSource> {
    let path = Path::new(name_or_path);
    let extension = path.extension().unwrap_or_default();
    if name_or_path == "mnist" {
        shipped_mnist()
    } else if path.is_dir() {
        let format = format_of(path)?;
        Common::named(path).open(&format, path, None)
    } else if !path.exists() {
        Err(Error::new(name_or_path, "there is no such dataset, folder or file").remedy(
            format_args!("name a shipped dataset ({}), a folder or a .toml", SHIPPED.join(", ")),
        ))
    } else if extension == "toml" {
        description::open(path)
    } else if extension == "npy" {
        Common::named(path).open(&Format::Npy(Default::default()), path, None)
    } else {
        Err(Error::new(
            name_or_path,
            "is neither a folder, an array (.npy) nor a description (.toml)",
        ))
    }
}

/// What the files of a folder are.
fn format_of(folder: &Path) -> Result<Format> {
    if Pair::in_folder(folder, "t10k")?.is_some() {
        return Ok(Format::Idx);
    }
    if let Some(cifar) = Cifar::in_folder(folder) {
        return Ok(Format::Cifar(cifar));
    }
    let images = Format::Images { grey: None, size: None };
    if photos::are_in(folder)? {
        return Ok(images);
    }
    Err(Error::new(folder.display(), "holds no images").remedy(
        "put PNG or JPEG files with labels.csv there, IDX files (t10k-images-idx3-ubyte) or CIFAR \
         files (test_batch.bin, test.bin)",
    ))
}

/// MNIST: the 10 000 test digits, and the first 1000 training digits for calibration.
fn shipped_mnist() -> Result<DatasetSource> {
    macro_rules! embedded {
        ($name:literal) => {
            (concat!("mnist/", $name), include_bytes!(concat!("mnist/", $name)).as_slice())
        };
    }
    let test = [embedded!("t10k-images-idx3-ubyte.gz"), embedded!("t10k-labels-idx1-ubyte.gz")];
    let calibration = [
        embedded!("calibration-images-idx3-ubyte.gz"),
        embedded!("calibration-labels-idx1-ubyte.gz"),
    ];
    let common =
        Common { name: "mnist".into(), classes: Some(10), ..Common::named(Path::new("mnist")) };
    common.build(idx::read(test)?, Some(idx::read(calibration)?), None)
}
