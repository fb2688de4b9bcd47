//! Shapes of feature maps and the geometry of windows that slide over them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The shape of one image's feature map: channels × height × width. A vector of n features is
/// n × 1 × 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Shape {
    /// Channels C.
    pub channels: usize,
    /// Rows H.
    pub height: usize,
    /// Columns W.
    pub width: usize,
}

impl Shape {
    /// A feature map of `channels` × `height` × `width`.
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// A vector of `features`.
    pub const fn vector(features: usize) -> Self {
        Self::new(features, 1, 1)
    }

    /// Number of elements.
    pub const fn len(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether the map has no element.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Number of pixels H × W.
    pub const fn pixels(self) -> usize {
        self.height * self.width
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}×{}", self.channels, self.height, self.width)
    }
}

/// A window that slides over a feature map.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Window {
    /// Kernel rows and columns.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride, at least 1.
    pub stride: [usize; 2],
    /// Padding: top, left, bottom, right.
    pub padding: [usize; 4],
    /// Vertical and horizontal dilation, at least 1.
    pub dilation: [usize; 2],
}

impl Window {
    /// A 1×1 window of stride 1.
    pub const POINT: Self =
        Self { kernel: [1, 1], stride: [1, 1], padding: [0; 4], dilation: [1, 1] };

    /// Output rows and columns over an `input` (floor mode); `None` if the dilated kernel is
    /// larger than the padded input.
    pub fn output(&self, input: Shape) -> Option<[usize; 2]> {
        let [top, left, bottom, right] = self.padding;
        let along = |size: usize, axis: usize| {
            let span = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            Some(size.checked_sub(span)? / self.stride[axis] + 1)
        };
        Some([along(input.height + top + bottom, 0)?, along(input.width + left + right, 1)?])
    }

    /// Number of kernel positions.
    pub const fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }
}

/// The geometry of a grouped convolution over one image. A dense layer is a 1×1 convolution over
/// n × 1 × 1; a kept batch normalization is a 1×1 depthwise one.
///
/// Seen as a matrix product per group it has M = `pixels` rows, K = `reduction` and
/// N = `output.channels / groups` columns.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConvGeometry {
    /// Input feature map.
    pub input: Shape,
    /// Output feature map.
    pub output: Shape,
    /// Kernel, stride, padding, dilation.
    pub window: Window,
    /// Groups; both channel counts are multiples of it.
    pub groups: usize,
}

impl ConvGeometry {
    /// Output pixels M.
    pub const fn pixels(&self) -> usize {
        self.output.pixels()
    }

    /// Input channels of one group.
    pub const fn group_inputs(&self) -> usize {
        self.input.channels / self.groups
    }

    /// Output channels N of one group.
    pub const fn group_outputs(&self) -> usize {
        self.output.channels / self.groups
    }

    /// Reduction length K: input channels of the group × kernel rows × kernel columns.
    pub const fn reduction(&self) -> usize {
        self.group_inputs() * self.window.taps()
    }

    /// Multiply-accumulates of one image, padded positions included: groups · M · K · N.
    pub const fn macs(&self) -> u64 {
        self.pixels() as u64 * self.reduction() as u64 * self.output.channels as u64
    }

    /// Number of weights: output channels × K.
    pub const fn weights(&self) -> usize {
        self.output.channels * self.reduction()
    }
}
