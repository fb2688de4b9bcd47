//! Labelled inputs: datasets that ship, IDX and CIFAR files, arrays, folders of photos, and
//! dataset descriptions in TOML.
//!
//! An image is read and decoded when it is asked for, so memory does not grow with their number
//! (IDX files, which are compressed, are held as bytes). Nothing here knows of networks or words.

mod cifar;
mod description;
mod fit;
mod idx;
mod labels;
mod npy;
mod open;
mod part;
mod photos;
mod records;
#[cfg(test)]
mod tests;
mod values;

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array3, Array4, Axis};

use crate::error::{Error, Result};
use crate::tensor::Shape;

use self::part::Part;
use self::values::Values;

pub use open::{DatasetSource, SHIPPED, open};

/// Images of one shape, labelled or not. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Dataset {
    shared: Arc<Shared>,
    range: Range<usize>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    classes: usize,
    part: Part,
    values: Values,
}

impl Dataset {
    /// All images of `part`, whose labels the caller has checked to be below `classes`.
    fn new(name: String, classes: usize, part: Part, values: Values) -> Self {
        let range = 0..part.count;
        Self { shared: Arc::new(Shared { name, classes, part, values }), range }
    }

    /// Name, for reports and messages.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Shape of every image.
    pub fn shape(&self) -> Shape {
        self.shared.part.shape
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Number of classes; every label is below it.
    pub fn classes(&self) -> usize {
        self.shared.classes
    }

    /// Whether the images have labels; either all have or none.
    pub fn is_labelled(&self) -> bool {
        self.shared.part.labels.is_some()
    }

    /// The same dataset, its first `images` images only.
    pub fn first(&self, images: usize) -> Self {
        let end = self.range.start + images.min(self.len());
        Self { shared: self.shared.clone(), range: self.range.start..end }
    }

    /// The same dataset without its first `images` images.
    fn after(&self, images: usize) -> Self {
        let start = self.range.start + images.min(self.len());
        Self { shared: self.shared.clone(), range: start..self.range.end }
    }

    /// The label of image `index`, which must be below [`Self::len`]; `None` if there are none.
    pub fn label(&self, index: usize) -> Option<usize> {
        let labels = self.shared.part.labels.as_ref()?;
        Some(labels.values[self.range.clone()][index] as usize)
    }

    /// Image `index`, [channel, row, column]: `(pixel / scale − mean) / std`. May be called from
    /// several threads.
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
        let Shared { part, values, .. } = &*self.shared;
        let Shape { channels, height, width } = part.shape;
        let mut batch = Array4::zeros((indices.len(), channels, height, width));
        let images = batch.as_slice_mut().expect("standard layout");
        for (index, image) in indices.zip(images.chunks_exact_mut(part.shape.len())) {
            if index >= self.len() {
                return Err(Error::new(
                    self.name(),
                    format_args!("image {index} of {} does not exist", self.len()),
                ));
            }
            values.write(&part.read(self.range.start + index)?, part, image);
        }
        Ok(batch)
    }
}
