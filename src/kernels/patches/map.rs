//! Where the operands of an output pixel lie in a feature map.

#![allow(clippy::needless_range_loop, reason = "plain loops are inlined for any instruction set")]

use crate::error::{Error, Result};
use crate::tensor::{ConvGeometry, Word, Words, with_words};

/// A channels-last feature map with its padding written out, so that every operand of a pixel
/// lies at a fixed distance from the pixel's base.
#[derive(Clone, Debug)]
pub(crate) struct PaddedMap {
    geometry: ConvGeometry,
    /// Elements of a padded row.
    row: usize,
    /// Elements of the padded map and its tail.
    len: usize,
}

impl PaddedMap {
    /// Elements after the map that may be read (as the rest of a group or vector) but never count.
    const TAIL: usize = 16;

    /// Refuses a geometry that is not consistent or whose padded map has 2³¹ elements or more.
    pub fn new(geometry: &ConvGeometry) -> Result<Self> {
        let ConvGeometry { input, output, window, groups } = *geometry;
        let subject = format!("convolution of {input} to {output}");
        let [top, left, bottom, right] = window.padding;
        let sized = || {
            let row = input.width.checked_add(left)?.checked_add(right)?;
            let row = row.checked_mul(input.channels)?;
            let rows = input.height.checked_add(top)?.checked_add(bottom)?;
            let len = rows.checked_mul(row)?.checked_add(Self::TAIL)?;
            (len < 1 << 31).then_some((row, len))
        };
        let (row, len) = sized().ok_or_else(|| {
            Error::new(&subject, "the padded input has 2^31 elements or more")
                .remedy("use a smaller map or less padding")
        })?;
        let divided = groups > 0
            && !input.is_empty()
            && !output.is_empty()
            && input.channels.is_multiple_of(groups)
            && output.channels.is_multiple_of(groups);
        let positive = window.kernel.iter().chain(&window.stride).chain(&window.dilation);
        let consistent = divided
            && positive.into_iter().all(|&n| n > 0)
            && window.output(input) == Some([output.height, output.width]);
        if !consistent {
            return Err(Error::new(
                &subject,
                format_args!("the shapes do not follow from {window:?} in {groups} groups"),
            ));
        }
        Ok(Self { geometry: *geometry, row, len })
    }

    /// Elements of a buffer for the map.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has padding.
    pub fn is_padded(&self) -> bool {
        self.len != self.geometry.input.len() + Self::TAIL
    }

    /// Where the operands of `pixel` begin.
    #[inline(always)]
    pub fn base(&self, pixel: usize) -> usize {
        let ConvGeometry { output, window, input, .. } = self.geometry;
        let (row, column) = (pixel / output.width, pixel % output.width);
        row * window.stride[0] * self.row + column * window.stride[1] * input.channels
    }

    /// Distance from the base to the operand at the kernel's (row, column), channel 0.
    pub fn tap(&self, row: usize, column: usize) -> usize {
        let window = &self.geometry.window;
        row * window.dilation[0] * self.row
            + column * window.dilation[1] * self.geometry.input.channels
    }

    /// Distances in the order of `order`, for the first group; those of group g lie
    /// g · `group_inputs` further.
    pub fn offsets(&self, order: &[u32]) -> Vec<u32> {
        let [_, kw] = self.geometry.window.kernel;
        let taps = self.geometry.window.taps();
        let offset = |&k: &u32| {
            let (channel, tap) = (k as usize / taps, k as usize % taps);
            (self.tap(tap / kw, tap % kw) + channel) as u32
        };
        order.iter().map(offset).collect()
    }

    /// Writes the words of `input`, converted, into the interior of `buffer`. The padding of the
    /// buffer is never written: it keeps the zeros with which the buffer began.
    #[inline(always)]
    pub fn fill<T: Copy>(
        &self,
        input: &Words,
        buffer: &mut [T],
        convert: impl Fn(i64) -> T + Copy,
    ) {
        for y in 0..self.rows() {
            self.fill_row(y, input, buffer, convert);
        }
    }

    /// Rows of the input.
    pub fn rows(&self) -> usize {
        self.geometry.input.height
    }

    /// Writes row `y` alone.
    #[inline(always)]
    pub fn fill_row<T: Copy>(
        &self,
        y: usize,
        input: &Words,
        buffer: &mut [T],
        convert: impl Fn(i64) -> T,
    ) {
        let ConvGeometry { input: shape, window, .. } = self.geometry;
        let [top, left, ..] = window.padding;
        let width = shape.width * shape.channels;
        let start = (top + y) * self.row + left * shape.channels;
        let row = &mut buffer[start..][..width];
        with_words!(input.buffer(), words => {
            let words = &words[y * width..][..width];
            for n in 0..width {
                row[n] = convert(words[n].raw());
            }
        });
    }
}
