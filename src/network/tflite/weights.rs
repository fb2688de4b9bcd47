//! Weights, biases and constants: words in the layout of the float parameters, and their values.

use ndarray::ArrayD;

use super::Reader;
use super::schema::{Kind, Tensor};
use crate::error::{Error, Result};
use crate::network::{EncodedTensor, Encoding, NodeId, parameter_name};
use crate::tensor::Shape;

/// Where the weights of an operator lie in the file.
pub(super) struct Layout {
    /// Shape of the float parameter.
    pub shape: Vec<usize>,
    /// Dimension of the file's tensor that is the output channels.
    pub axis: usize,
    /// By index of the parameter's element in row-major order: that of the file's.
    pub place: Box<dyn Fn(usize) -> usize>,
}

impl Layout {
    /// [O, I, H, W] of [O, H, W, I].
    pub fn conv([outputs, inputs, height, width]: [usize; 4]) -> Self {
        let taps = height * width;
        let place = move |index: usize| {
            let (filter, tap) = (index / taps, index % taps);
            (filter / inputs * taps + tap) * inputs + filter % inputs
        };
        Self { shape: vec![outputs, inputs, height, width], axis: 0, place: Box::new(place) }
    }

    /// [C, 1, H, W] of [1, H, W, C].
    pub fn depthwise([channels, height, width]: [usize; 3]) -> Self {
        let taps = height * width;
        let place = move |index: usize| index % taps * channels + index / taps;
        Self { shape: vec![channels, 1, height, width], axis: 3, place: Box::new(place) }
    }

    /// [O, I] of [O, I].
    pub fn dense([outputs, inputs]: [usize; 2]) -> Self {
        Self { shape: vec![outputs, inputs], axis: 0, place: Box::new(|index| index) }
    }

    /// `[C, H, W]` of `[H, W, C]`, of `[C]` or of one element, taken for all.
    fn map(shape: Shape, elements: usize) -> Self {
        let (channels, pixels) = (shape.channels, shape.pixels());
        let place = move |index: usize| match elements {
            1 => 0,
            elements if elements == channels => index / pixels,
            _ => index % pixels * channels + index / pixels,
        };
        let shape = vec![channels, shape.height, shape.width];
        Self { shape, axis: usize::MAX, place: Box::new(place) }
    }
}

impl Reader<'_> {
    /// A constant feature map of `shape`; the file has all of its elements, one for each channel, or
    /// a single one.
    pub(super) fn constant(&mut self, name: &str, shape: Shape, tensor: &Tensor) -> Result<NodeId> {
        let encoding = super::words(tensor)?;
        let node = self.builder.constant(name, shape)?;
        self.outputs.insert(node, encoding.clone());
        let layout = Layout::map(shape, tensor.len());
        self.keep(node, name, "value", tensor, encoding, layout)?;
        Ok(node)
    }

    /// Keeps the weights of a node; their encoding.
    pub(super) fn weights(
        &mut self,
        node: NodeId,
        name: &str,
        tensor: &Tensor,
        layout: Layout,
    ) -> Result<()> {
        let encoding = tensor.encoding(layout.axis)?;
        self.keep(node, name, "weight", tensor, encoding, layout)
    }

    /// Keeps the biases of a node, in units of its weights' scales times that of its input.
    pub(super) fn biases(
        &mut self,
        node: NodeId,
        name: &str,
        tensor: &Tensor,
        input_scale: f32,
    ) -> Result<()> {
        let channels = self.builder.shape(node).channels;
        if tensor.kind != Kind::Int32 || tensor.len() != channels {
            return Err(Error::new(
                "bias",
                format_args!(
                    "has {} elements of type {:?}, {channels} of Int32 were expected",
                    tensor.len(),
                    tensor.kind
                ),
            ));
        }
        let words = tensor.integers()?;
        self.count(channels)?;
        let words: Vec<i64> = words.collect();
        let weights = &self.weights[&node].encoding;
        let value =
            |(channel, &word): (usize, &i64)| word as f32 * (input_scale * weights.scale(channel));
        let values = words.iter().enumerate().map(value).collect();
        self.parameters.insert(parameter_name(name, "bias"), array(&[channels], values));
        self.biases.insert(node, words);
        Ok(())
    }

    fn keep(
        &mut self,
        node: NodeId,
        name: &str,
        parameter: &str,
        tensor: &Tensor,
        encoding: Encoding,
        layout: Layout,
    ) -> Result<()> {
        let (file, length) = (tensor.integers()?, layout.shape.iter().product());
        self.count(length)?;
        let file: Vec<i64> = file.collect();
        let words: Vec<i64> = (0..length).map(|index| file[(layout.place)(index)]).collect();
        let by_channel = length / layout.shape[0];
        let value = |(index, &word): (usize, &i64)| {
            let channel = index / by_channel;
            (word - encoding.zero_point(channel)) as f32 * encoding.scale(channel)
        };
        let values = words.iter().enumerate().map(value).collect();
        self.parameters.insert(parameter_name(name, parameter), array(&layout.shape, values));
        self.weights.insert(node, EncodedTensor { encoding, words });
        Ok(())
    }

    fn count(&mut self, words: usize) -> Result<()> {
        self.copies = self.copies.checked_sub(words).ok_or_else(|| {
            Error::new("constants", "are shared or repeated so often that they outgrow the file")
                .remedy(format_args!(
                    "at most {} words for each byte of the file are supported",
                    super::MAX_COPIES
                ))
        })?;
        Ok(())
    }
}

fn array(shape: &[usize], values: Vec<f32>) -> ArrayD<f32> {
    ArrayD::from_shape_vec(shape, values).expect("as many values as the shape has")
}
