//! Nonzero bitmaps of the operands of every output pixel in any order, from the nonzero bits of the
//! channels of every pixel of the feature map.

#![allow(clippy::needless_range_loop, reason = "plain loops are inlined for any instruction set")]

use crate::kernels::dot::Simd;
use crate::kernels::patches::PaddedMap;
use crate::kernels::patches::spread::eight_bytes;
use crate::tensor::{Bitmap, ConvGeometry, Word, Words, with_words};

/// How the bits of a pixel are put together.
#[derive(Clone, Debug)]
pub(super) struct Gather {
    geometry: ConvGeometry,
    map: PaddedMap,
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

impl Gather {
    /// The operands whose canonical reduction index `order` gives step by step.
    pub fn new(geometry: &ConvGeometry, map: PaddedMap, order: &[u32]) -> Self {
        let [_, kw] = geometry.window.kernel;
        let taps = geometry.window.taps();
        let position = |canonical: u32| {
            let (channel, tap) = (canonical as usize / taps, canonical as usize % taps);
            (channel, tap / kw, tap % kw)
        };
        let pixel = |row, column| map.tap(row, column) / geometry.input.channels;
        let bytes_begin_groups = geometry.groups == 1 || geometry.group_inputs().is_multiple_of(8);
        let (mut deposits, mut ends) = (Vec::<Deposit>::new(), Vec::new());
        for block in order.chunks(64) {
            let start = deposits.len();
            for (bit, &canonical) in block.iter().enumerate() {
                let (channel, row, column) = position(canonical);
                let pixel = pixel(row, column);
                let deposit = deposits[start..].iter_mut().rev().find(|d| {
                    let aligned = bytes_begin_groups && d.channel % 8 == 0;
                    let (length, longest) = (d.mask.count_ones(), LONGEST[usize::from(!aligned)]);
                    d.pixel == pixel && d.channel + length as usize == channel && length < longest
                });
                match deposit {
                    Some(deposit) => deposit.mask |= 1 << bit,
                    None => deposits.push(Deposit { pixel, channel, mask: 1 << bit }),
                }
            }
            ends.push(deposits.len());
        }
        Self { geometry: *geometry, map, deposits, ends }
    }

    /// Pixels of a row of the padded map.
    fn width(&self) -> usize {
        let [_, left, _, right] = self.geometry.window.padding;
        self.geometry.input.width + left + right
    }

    /// Rows of the padded map.
    fn height(&self) -> usize {
        let [top, _, bottom, _] = self.geometry.window.padding;
        self.geometry.input.height + top + bottom
    }

    /// Bytes of the bits of a pixel.
    fn stride(&self) -> usize {
        self.geometry.input.channels.div_ceil(8)
    }

    /// Memory for the nonzero bits of the padded map, with those that may be read after them; zero
    /// at first.
    pub fn scratch(&self) -> Vec<u8> {
        vec![0; self.height() * self.width() * self.stride() + 2 * size_of::<u64>()]
    }

    /// The bitmaps by group.
    #[inline(always)]
    pub fn run(&self, simd: impl Simd, input: &Words, nonzero: &mut [u8], bitmaps: &mut [Bitmap]) {
        self.mark_pixels(input, nonzero);
        let (geometry, bytes) = (&self.geometry, self.stride());
        for group in 0..bitmaps.len() {
            let first = group * geometry.group_inputs();
            let mut start = 0;
            for block in 0..self.ends.len() {
                let end = self.ends[block];
                let words = bitmaps[group].block_mut(block);
                for pixel in 0..words.len() {
                    let base = self.map.base(pixel) / geometry.input.channels;
                    let mut bits = 0;
                    for index in start..end {
                        let deposit = self.deposits[index];
                        let channel = first + deposit.channel;
                        let at = (base + deposit.pixel) * bytes + channel / 8;
                        let word = eight_bytes(nonzero, at) >> (channel % 8);
                        bits |= simd.deposit(word, deposit.mask);
                    }
                    words[pixel] = bits;
                }
                start = end;
            }
        }
    }

    /// Writes the nonzero bits of the pixels of `input`. Those of the padding are never written:
    /// they stay zero.
    #[inline(always)]
    fn mark_pixels(&self, input: &Words, nonzero: &mut [u8]) {
        let ConvGeometry { input: shape, window, .. } = self.geometry;
        let [top, left, ..] = window.padding;
        let (stride, width) = (self.stride(), self.width());
        with_words!(input.buffer(), words => {
            for y in 0..shape.height {
                for x in 0..shape.width {
                    let words = &words[(y * shape.width + x) * shape.channels..][..shape.channels];
                    let start = ((top + y) * width + left + x) * stride;
                    mark_bits(words, &mut nonzero[start..][..stride]);
                }
            }
        });
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
