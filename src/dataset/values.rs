//! From pixels to the values that a network reads.

use crate::error::{Error, Result};
use crate::tensor::Shape;

use super::part::{Element, Layout, Part};

/// The affine map `(pixel / scale − mean) / std`, in float32. One entry of `mean` and `std` stands
/// for all channels, in the order in which the network reads them.
#[derive(Clone, PartialEq, Debug)]
pub struct Normalization {
    /// Default: 255 for unsigned bytes, else 1.
    pub scale: Option<f32>,
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
    /// Whether the network reads the channels in reverse.
    pub reversed: bool,
}

impl Default for Normalization {
    fn default() -> Self {
        Self { scale: None, mean: vec![0.0], std: vec![1.0], reversed: false }
    }
}

/// A [`Normalization`] for the images of a part.
#[derive(Debug)]
pub struct Values {
    channels: Vec<Channel>,
    reversed: bool,
}

#[derive(Debug)]
struct Channel {
    scale: f32,
    mean: f32,
    std: f32,
    /// The values of bytes, where elements are.
    table: Vec<f32>,
}

impl Channel {
    fn value(&self, pixel: f32) -> f32 {
        (pixel / self.scale - self.mean) / self.std
    }
}

impl Values {
    /// `name` is the dataset's, for messages.
    pub fn new(name: &str, part: &Part, normalization: &Normalization) -> Result<Self> {
        let channels = part.shape.channels;
        let Normalization { scale, mean, std, reversed } = normalization;
        for (key, list) in [("mean", mean), ("std", std)] {
            if list.len() != 1 && list.len() != channels {
                return Err(Error::new(
                    name,
                    format_args!("`{key}` has {} entries for {channels} channels", list.len()),
                )
                .remedy("give one number, or one for each channel"));
            }
        }
        let default = if part.element == Element::U8 { 255.0 } else { 1.0 };
        let scale = scale.unwrap_or(default);
        let of = |list: &[f32], channel: usize| list[channel.min(list.len() - 1)];
        let channel = |channel: usize| {
            let (mean, std) = (of(mean, channel), of(std, channel));
            let positive = |value: f32| value.is_finite() && value > 0.0;
            if !mean.is_finite() || !positive(std) || !positive(scale) {
                return Err(Error::new(
                    name,
                    format_args!(
                        "scale {scale}, mean {mean} and std {std}: all must be finite, and scale \
                         and std positive"
                    ),
                ));
            }
            let mut channel = Channel { scale, mean, std, table: Vec::new() };
            channel.table = match part.element {
                Element::U8 => (0..=u8::MAX).map(|p| channel.value(p.into())).collect(),
                Element::I8 => (0..=u8::MAX).map(|p| channel.value((p as i8).into())).collect(),
                Element::F32 => Vec::new(),
            };
            Ok(channel)
        };
        let channels = (0..channels).map(channel).collect::<Result<_>>()?;
        Ok(Self { channels, reversed: *reversed })
    }

    /// Writes the values of the image `bytes` of `part` in the order channel, row, column.
    pub fn write(&self, bytes: &[u8], part: &Part, values: &mut [f32]) {
        let Shape { channels, .. } = part.shape;
        let pixels = part.shape.pixels();
        for (index, values) in values.chunks_exact_mut(pixels).enumerate() {
            let channel = &self.channels[index];
            let stored = if self.reversed { channels - 1 - index } else { index };
            let (first, step) = match part.layout {
                Layout::Nchw => (stored * pixels, 1),
                Layout::Nhwc => (stored, channels),
            };
            match part.element {
                Element::U8 | Element::I8 => {
                    let bytes = bytes[first..].iter().step_by(step);
                    for (value, &byte) in values.iter_mut().zip(bytes) {
                        *value = channel.table[usize::from(byte)];
                    }
                }
                Element::F32 => {
                    let (elements, _) = bytes.as_chunks::<4>();
                    let elements = elements[first..].iter().step_by(step);
                    for (value, &element) in values.iter_mut().zip(elements) {
                        *value = channel.value(f32::from_le_bytes(element));
                    }
                }
            }
        }
    }
}
