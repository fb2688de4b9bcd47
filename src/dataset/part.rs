//! Images of one kind as they are stored, with their labels.

use std::borrow::Cow;

use serde::Deserialize;

use crate::error::Result;
use crate::tensor::Shape;

use super::labels::Labels;
use super::photos::Photos;
use super::records::Records;

/// Type of a stored element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Element {
    U8,
    I8,
    /// Little-endian.
    F32,
}

impl Element {
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::F32 => 4,
        }
    }
}

/// Order of a stored image's axes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Channel, row, column.
    #[default]
    Nchw,
    /// Row, column, channel.
    Nhwc,
}

/// Test or training images.
#[derive(Debug)]
pub struct Part {
    /// Number of images, at least 1.
    pub count: usize,
    pub shape: Shape,
    pub element: Element,
    pub layout: Layout,
    pub images: Images,
    /// As many as images.
    pub labels: Option<Labels>,
}

/// Where the bytes of an image come from.
#[derive(Debug)]
pub enum Images {
    /// From memory, one image after the other.
    Held(Vec<u8>),
    Records(Records),
    Photos(Photos),
}

impl Part {
    /// The elements of image `index`, below `count`.
    pub fn read(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        let len = self.shape.len() * self.element.bytes();
        match &self.images {
            Images::Held(bytes) => Ok(bytes[index * len..][..len].into()),
            Images::Records(records) => {
                let mut bytes = vec![0; len];
                records.read(index, &mut bytes)?;
                Ok(bytes.into())
            }
            Images::Photos(photos) => Ok(photos.decode(index)?.into()),
        }
    }
}
