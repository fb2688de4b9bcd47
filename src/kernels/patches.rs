//! Where the operands of an output pixel lie in a feature map, and which of them are zero.

#![allow(clippy::needless_range_loop, reason = "plain loops are inlined for any instruction set")]

use crate::error::{Error, Result};
use crate::kernels::AccumulationOrder;
use crate::kernels::dot::{InstructionSet, Simd, Work};
use crate::tensor::{Bitmap, ConvGeometry, Word, Words, with_words};

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
    pub fn fill<T: Copy>(&self, input: &Words, buffer: &mut [T], convert: impl Fn(i64) -> T) {
        let ConvGeometry { input: shape, window, .. } = self.geometry;
        let [top, left, ..] = window.padding;
        let width = shape.width * shape.channels;
        with_words!(input.buffer(), words => {
            for y in 0..shape.height {
                let words = &words[y * width..][..width];
                let start = (top + y) * self.row + left * shape.channels;
                let row = &mut buffer[start..][..width];
                for n in 0..width {
                    row[n] = convert(words[n].raw());
                }
            }
        });
    }
}

/// The operands of a layer in accumulation order, as nonzero bits: per group a matrix
/// M pixels × K for the activations and N output channels × K for the weights.
#[derive(Clone, Debug)]
pub struct Patches {
    geometry: ConvGeometry,
    map: PaddedMap,
    order: Vec<u32>,
    deposits: Vec<Deposit>,
    /// Where the deposits of each block of 64 steps end.
    ends: Vec<usize>,
}

/// Consecutive channels of one pixel that go to increasing steps of one block.
#[derive(Clone, Copy, Debug)]
struct Deposit {
    /// Distance in pixels from the first operand's pixel in the padded map.
    pixel: usize,
    /// First channel of the group.
    channel: usize,
    /// Bits of the block, one for each channel.
    mask: u64,
}

/// Channels of a [`Deposit`], at most: eight bytes, and what is left of them where the first channel
/// of some group does not begin with a byte.
const LONGEST: [u32; 2] = [64, 57];

/// Memory that [`Patches`] works in, kept from image to image: the nonzero bits of every pixel of
/// the padded map, channel by channel, each pixel beginning with a byte; where each group has one
/// input channel a byte for each bit.
#[derive(Clone, Debug)]
pub struct PatchScratch {
    nonzero: Vec<u8>,
}

impl Patches {
    /// The operands of a layer of `geometry` whose products are accumulated in `order`.
    pub fn new(geometry: &ConvGeometry, order: &AccumulationOrder) -> Result<Self> {
        let map = PaddedMap::new(geometry)?;
        let [kh, kw] = geometry.window.kernel;
        let order = order.reduction(geometry.group_inputs(), kh, kw);
        let bytes_begin_groups = geometry.groups == 1 || geometry.group_inputs().is_multiple_of(8);
        let (mut deposits, mut ends) = (Vec::<Deposit>::new(), Vec::new());
        for block in order.chunks(64) {
            let start = deposits.len();
            for (bit, &canonical) in block.iter().enumerate() {
                let (channel, tap) =
                    (canonical as usize / (kh * kw), canonical as usize % (kh * kw));
                let pixel = map.tap(tap / kw, tap % kw) / geometry.input.channels;
                let continued = deposits[start..].iter_mut().rev().find(|d| {
                    let aligned = bytes_begin_groups && d.channel % 8 == 0;
                    let (length, longest) = (d.mask.count_ones(), LONGEST[usize::from(!aligned)]);
                    d.pixel == pixel && d.channel + length as usize == channel && length < longest
                });
                match continued {
                    Some(deposit) => deposit.mask |= 1 << bit,
                    None => deposits.push(Deposit { pixel, channel, mask: 1 << bit }),
                }
            }
            ends.push(deposits.len());
        }
        Ok(Self { geometry: *geometry, map, order, deposits, ends })
    }

    /// The canonical reduction index of each accumulation step.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Whether every group has a single input channel and few enough taps for [`Taps`].
    fn is_depthwise(&self) -> bool {
        self.geometry.groups > 1
            && self.geometry.group_inputs() == 1
            && self.order.len() <= Taps::BITS as usize
    }

    /// Bytes of the bits of a pixel.
    fn pixel_bytes(&self) -> usize {
        match self.is_depthwise() {
            true => self.geometry.input.channels,
            false => self.geometry.input.channels.div_ceil(8),
        }
    }

    /// Memory for [`activation_bitmaps`](Self::activation_bitmaps).
    pub fn scratch(&self) -> PatchScratch {
        let pixels = self.map.len().div_ceil(self.geometry.input.channels);
        PatchScratch { nonzero: vec![0; pixels * self.pixel_bytes() + size_of::<u64>()] }
    }

    /// Empty bitmaps for [`activation_bitmaps`](Self::activation_bitmaps), one per group.
    pub fn empty_bitmaps(&self) -> Vec<Bitmap> {
        vec![Bitmap::zeros(self.geometry.pixels(), self.geometry.reduction()); self.geometry.groups]
    }

    /// Marks the nonzero activations of `input` (channels-last): bit k of row m of group g is the
    /// operand of pixel m in accumulation step k. Padding is zero.
    pub fn activation_bitmaps(
        &self,
        input: &Words,
        scratch: &mut PatchScratch,
        bitmaps: &mut [Bitmap],
    ) {
        let nonzero = &mut scratch.nonzero[..];
        InstructionSet::best().run(Gathering { patches: self, input, nonzero, bitmaps });
    }

    /// Writes the nonzero bits of the pixels of `input`. Those of the padding are never written:
    /// they stay zero.
    #[inline(always)]
    fn mark(&self, input: &Words, nonzero: &mut [u8]) {
        let ConvGeometry { input: shape, window, .. } = self.geometry;
        let [top, left, ..] = window.padding;
        let (bytes, padded) = (self.pixel_bytes(), self.map.row / shape.channels);
        let depthwise = self.is_depthwise();
        with_words!(input.buffer(), words => {
            for y in 0..shape.height {
                for x in 0..shape.width {
                    let words = &words[(y * shape.width + x) * shape.channels..][..shape.channels];
                    let start = ((top + y) * padded + left + x) * bytes;
                    let nonzero = &mut nonzero[start..][..bytes];
                    if depthwise {
                        mark_bytes(words, nonzero);
                    } else {
                        mark_bits(words, nonzero);
                    }
                }
            }
        });
    }

    /// Marks the nonzero weights: bit k of row n of group g is the weight of the group's output
    /// channel n in accumulation step k.
    pub fn weight_bitmaps(&self, weights: &Words) -> Vec<Bitmap> {
        let (n, k) = (self.geometry.group_outputs(), self.geometry.reduction());
        let mut bitmaps = vec![Bitmap::zeros(n, k); self.geometry.groups];
        for channel in 0..self.geometry.output.channels {
            for (step, &canonical) in self.order.iter().enumerate() {
                if weights.get(channel * k + canonical as usize) != 0 {
                    bitmaps[channel / n].set(channel % n, step);
                }
            }
        }
        bitmaps
    }
}

/// A byte for each channel of a pixel, one where it is nonzero.
#[inline(always)]
fn mark_bytes<W: Word>(words: &[W], bytes: &mut [u8]) {
    let zero = W::default();
    for n in 0..words.len() {
        bytes[n] = u8::from(words[n] != zero);
    }
}

/// Nonzero bits of the channels of a pixel.
#[inline(always)]
fn mark_bits<W: Word>(words: &[W], bits: &mut [u8]) {
    /// Brings bit 0 of byte i to bit i of the last byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let zero = W::default();
    let whole = words.len() / 8;
    for byte in 0..whole {
        let (words, mut flags) = (&words[8 * byte..][..8], [0; 8]);
        for bit in 0..8 {
            flags[bit] = u8::from(words[bit] != zero);
        }
        bits[byte] = (u64::from_le_bytes(flags).wrapping_mul(GATHER) >> 56) as u8;
    }
    if 8 * whole < words.len() {
        let mut byte = 0;
        for bit in 0..words.len() % 8 {
            byte |= u8::from(words[8 * whole + bit] != zero) << bit;
        }
        bits[whole] = byte;
    }
}

/// Bitmaps from the bits of pixels.
struct Gathering<'a> {
    patches: &'a Patches,
    input: &'a Words,
    nonzero: &'a mut [u8],
    bitmaps: &'a mut [Bitmap],
}

impl Work for Gathering<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.patches.mark(self.input, self.nonzero);
        if self.patches.is_depthwise() { self.depthwise() } else { self.dense(simd) }
    }
}

/// Taps of a channel, bit by bit.
type Taps = u16;

/// Channels whose taps are gathered together.
const CHANNELS: usize = 32;

impl Gathering<'_> {
    #[inline(always)]
    fn dense(self, simd: impl Simd) {
        let Self { patches, nonzero, bitmaps, .. } = self;
        let (geometry, bytes) = (&patches.geometry, patches.pixel_bytes());
        for group in 0..bitmaps.len() {
            let first = group * geometry.group_inputs();
            for pixel in 0..geometry.pixels() {
                let base = patches.map.base(pixel) / geometry.input.channels;
                let row = bitmaps[group].row_mut(pixel);
                let mut start = 0;
                for block in 0..row.len() {
                    let end = patches.ends[block];
                    let mut bits = 0;
                    for index in start..end {
                        let deposit = patches.deposits[index];
                        let channel = first + deposit.channel;
                        let word = &nonzero[(base + deposit.pixel) * bytes + channel / 8..][..8];
                        let word = u64::from_le_bytes([
                            word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7],
                        ]);
                        bits |= simd.deposit(word >> (channel % 8), deposit.mask);
                    }
                    row[block] = bits;
                    start = end;
                }
            }
        }
    }

    /// Many channels at a time; each deposit is a tap.
    #[inline(always)]
    fn depthwise(self) {
        let Self { patches, nonzero, bitmaps, .. } = self;
        let channels = patches.geometry.input.channels;
        let outputs = patches.geometry.pixels();
        let mut first = 0;
        while first < channels {
            let len = CHANNELS.min(channels - first);
            for pixel in 0..outputs {
                let base = patches.map.base(pixel) + first;
                let mut taps = [0 as Taps; CHANNELS];
                for index in 0..patches.deposits.len() {
                    let deposit = patches.deposits[index];
                    let step = deposit.mask.trailing_zeros();
                    let nonzero = &nonzero[base + deposit.pixel * channels..][..len];
                    if len == CHANNELS {
                        let nonzero = &nonzero[..CHANNELS];
                        for n in 0..CHANNELS {
                            taps[n] |= Taps::from(nonzero[n]) << step;
                        }
                    } else {
                        for n in 0..len {
                            taps[n] |= Taps::from(nonzero[n]) << step;
                        }
                    }
                }
                let bitmaps = &mut bitmaps[first..][..len];
                for n in 0..len {
                    bitmaps[n].row_mut(pixel)[0] = taps[n].into();
                }
            }
            first += len;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::reference::operands;
    use crate::kernels::testing::{geometries, orders, s, words};

    proptest! {
        /// Bit by bit against the operands of the plain loop.
        #[test]
        fn bitmaps_mark_the_operands_of_the_loop(
            (geometry, order, weights, input) in (geometries(), orders()).prop_flat_map(|(g, o)| {
                (Just(g), Just(o), words(s(4, 0), g.weights()), words(s(4, 0), g.input.len()))
            })
        ) {
            let patches = Patches::new(&geometry, &order).expect("a consistent geometry");
            let (mut scratch, mut maps) = (patches.scratch(), patches.empty_bitmaps());
            // Whatever an earlier image left must not show.
            let full = Words::from_raw(s(4, 0), (0..input.len()).map(|_| 1));
            patches.activation_bitmaps(&full, &mut scratch, &mut maps);
            patches.activation_bitmaps(&input, &mut scratch, &mut maps);
            let weight_maps = patches.weight_bitmaps(&weights);
            for channel in 0..geometry.output.channels {
                let group = channel / geometry.group_outputs();
                for pixel in 0..geometry.pixels() {
                    let pairs = operands(&geometry, &weights, &input, pixel, channel);
                    for (step, &k) in patches.order().iter().enumerate() {
                        let (weight, activation) = pairs[k as usize];
                        let row = channel % geometry.group_outputs();
                        prop_assert_eq!(maps[group].get(pixel, step), activation != 0);
                        prop_assert_eq!(weight_maps[group].get(row, step), weight != 0);
                    }
                }
            }
        }
    }

    #[test]
    fn shapes_that_do_not_follow_are_refused() {
        use crate::tensor::{Shape, Window};
        let good = ConvGeometry {
            input: Shape::new(2, 4, 4),
            output: Shape::new(4, 4, 4),
            window: Window::POINT,
            groups: 2,
        };
        let refused = |geometry: ConvGeometry| {
            Patches::new(&geometry, &AccumulationOrder::default()).is_err()
        };
        assert!(!refused(good));
        assert!(refused(ConvGeometry { groups: 0, ..good }));
        assert!(refused(ConvGeometry { groups: 4, ..good }));
        assert!(refused(ConvGeometry { output: Shape::new(4, 3, 4), ..good }));
        assert!(refused(ConvGeometry { input: Shape::new(0, 4, 4), ..good }));
        let window = Window { kernel: [0, 1], ..Window::POINT };
        assert!(refused(ConvGeometry { window, ..good }));
        let window = Window { padding: [usize::MAX, 0, 0, 1], ..Window::POINT };
        assert!(refused(ConvGeometry { window, ..good }));
        let window = Window { padding: [1 << 20, 1 << 20, 0, 0], ..Window::POINT };
        assert!(refused(ConvGeometry { window, ..good }));
    }
}
