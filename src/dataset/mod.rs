//! Labelled inputs: datasets that ship, folders of IDX files, and dataset descriptions in TOML.
//!
//! Pixels stay bytes until an image is asked for; nothing here knows of networks or words.

mod idx;
mod open;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ndarray::{Array3, Array4, Axis};

use crate::error::{Error, Result};
use crate::tensor::Shape;

pub use open::{DatasetSource, SHIPPED, open};

/// Labelled images of one shape. Cloning shares the pixels.
#[derive(Clone, Debug)]
pub struct Dataset {
    name: String,
    shape: Shape,
    classes: usize,
    images: usize,
    pixels: Arc<[u8]>,
    labels: Arc<[u8]>,
    values: Arc<[[f32; 256]]>,
}

/// The affine map from a pixel to the value that the network reads, by channel:
/// `(pixel / 255 − mean) / std`. One entry stands for all channels.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Normalization {
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
}

impl Default for Normalization {
    fn default() -> Self {
        Self { mean: vec![0.0], std: vec![1.0] }
    }
}

impl Normalization {
    /// Values by channel and pixel. `name` is the dataset's, for messages.
    fn table(&self, name: &str, channels: usize) -> Result<Arc<[[f32; 256]]>> {
        for (key, list) in [("mean", &self.mean), ("std", &self.std)] {
            if list.len() != 1 && list.len() != channels {
                return Err(Error::new(
                    name,
                    format_args!("`{key}` has {} entries for {channels} channels", list.len()),
                ));
            }
        }
        let of = |list: &[f32], channel: usize| list[channel.min(list.len() - 1)];
        (0..channels)
            .map(|channel| {
                let (mean, std) = (of(&self.mean, channel), of(&self.std, channel));
                if !mean.is_finite() || !std.is_finite() || std <= 0.0 {
                    return Err(Error::new(
                        name,
                        format_args!(
                            "mean {mean} and std {std}: both must be finite, and std positive"
                        ),
                    ));
                }
                Ok(std::array::from_fn(|pixel| (pixel as f32 / 255.0 - mean) / std))
            })
            .collect()
    }
}

impl Dataset {
    /// Bytes in channel, row, column order of images of `shape`, their labels, and how a pixel
    /// becomes a value. The caller has checked that the counts match and that every label is
    /// below `classes`.
    fn new(
        name: String,
        shape: Shape,
        classes: usize,
        pixels: Vec<u8>,
        labels: Vec<u8>,
        normalization: &Normalization,
    ) -> Result<Self> {
        let values = normalization.table(&name, shape.channels)?;
        let images = labels.len();
        Ok(Self {
            name,
            shape,
            classes,
            images,
            pixels: pixels.into(),
            labels: labels.into(),
            values,
        })
    }

    /// Name, for reports and messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Shape of every image.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.images
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.images == 0
    }

    /// Number of classes; every label is below it.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The same dataset, its first `images` images only.
    pub fn first(&self, images: usize) -> Self {
        Self { images: images.min(self.images), ..self.clone() }
    }

    /// The label of image `index`, which must be below [`Self::len`].
    pub fn label(&self, index: usize) -> usize {
        usize::from(self.labels[..self.images][index])
    }

    /// Image `index`, [channel, row, column]: `(pixel / 255 − mean) / std`.
    ///
    /// # Errors
    /// If `index` is not below [`Self::len`], or the image cannot be read.
    pub fn image(&self, index: usize) -> Result<Array3<f32>> {
        Ok(self.batch([index])?.index_axis_move(Axis(0), 0))
    }

    /// The images `indices`, [image, channel, row, column].
    ///
    /// # Errors
    /// If an index is not below [`Self::len`], or an image cannot be read.
    pub fn batch<I>(&self, indices: I) -> Result<Array4<f32>>
    where
        I: IntoIterator<Item = usize>,
        I::IntoIter: ExactSizeIterator,
    {
        let indices = indices.into_iter();
        let Shape { channels, height, width } = self.shape;
        let dimensions = (indices.len(), channels, height, width);
        let mut values = Vec::with_capacity(indices.len() * self.shape.len());
        for index in indices {
            if index >= self.images {
                return Err(Error::new(
                    &self.name,
                    format_args!("image {index} of {} does not exist", self.images),
                ));
            }
            let pixels = &self.pixels[index * self.shape.len()..][..self.shape.len()];
            for (plane, table) in pixels.chunks_exact(self.shape.pixels()).zip(&*self.values) {
                values.extend(plane.iter().map(|&pixel| table[usize::from(pixel)]));
            }
        }
        Ok(Array4::from_shape_vec(dimensions, values).expect("as many values as the shape has"))
    }
}
