//! The binary version of CIFAR-10 and CIFAR-100 (A. Krizhevsky, "Learning multiple layers of
//! features from tiny images", 2009): records of one label byte, for CIFAR-100 a coarse and a fine
//! one, and 32×32 pixels as a red, a green and a blue plane.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::tensor::Shape;

use super::labels::Labels;
use super::part::{Element, Images, Layout, Part};
use super::records::Records;

const SHAPE: Shape = Shape::new(3, 32, 32);

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cifar {
    Ten,
    Hundred,
}

impl Cifar {
    /// The one whose test file lies in `folder`.
    pub fn in_folder(folder: &Path) -> Option<Self> {
        [Self::Ten, Self::Hundred].into_iter().find(|c| folder.join(c.test_file()).is_file())
    }

    pub fn classes(self) -> usize {
        match self {
            Self::Ten => 10,
            Self::Hundred => 100,
        }
    }

    fn label_bytes(self) -> usize {
        match self {
            Self::Ten => 1,
            Self::Hundred => 2,
        }
    }

    fn test_file(self) -> &'static str {
        match self {
            Self::Ten => "test_batch.bin",
            Self::Hundred => "test.bin",
        }
    }

    /// The test images of a folder, or the images of a file.
    pub fn test(self, path: &Path) -> Result<Part> {
        let file = if path.is_dir() { path.join(self.test_file()) } else { path.to_owned() };
        self.read(&[file])
    }

    /// The training images of a folder, if it has any.
    pub fn train(self, folder: &Path) -> Result<Option<Part>> {
        let names: Vec<String> = match self {
            Self::Ten => (1..=5).map(|n| format!("data_batch_{n}.bin")).collect(),
            Self::Hundred => vec!["train.bin".into()],
        };
        let files = names.iter().map(|name| folder.join(name)).filter(|file| file.is_file());
        let files: Vec<_> = files.collect();
        if files.is_empty() { Ok(None) } else { self.read(&files).map(Some) }
    }

    fn read(self, files: &[PathBuf]) -> Result<Part> {
        let len = self.label_bytes() + SHAPE.len();
        let mut records = Records::new(len, self.label_bytes());
        for path in files {
            let file = File::open(path).map_err(|e| Error::io(path, e))?;
            let bytes = file.metadata().map_err(|e| Error::io(path, e))?.len();
            if bytes == 0 || !bytes.is_multiple_of(len as u64) {
                return Err(Error::new(
                    path.display(),
                    format_args!(
                        "has {bytes} bytes, which are not whole records of {len} bytes: truncated, \
                         or not the binary version of CIFAR-{}",
                        self.classes()
                    ),
                ));
            }
            records.push(path, file, 0, (bytes / len as u64) as usize);
        }
        let count = records.count();
        let label = |index: usize| {
            let mut label = [0];
            records.read_at(index, self.label_bytes() - 1, &mut label)?;
            Ok(u32::from(label[0]))
        };
        let values = (0..count).map(label).collect::<Result<_>>()?;
        let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        Ok(Part {
            count,
            shape: SHAPE,
            element: Element::U8,
            layout: Layout::Nchw,
            images: Images::Records(records),
            labels: Some(Labels { name: names.join(", "), values }),
        })
    }
}
