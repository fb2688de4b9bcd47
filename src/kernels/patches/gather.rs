//! Nonzero bitmaps of the operands of every output pixel, from the nonzero bits of the feature map:
//! by channels, by kernel rows, or, where a group has one channel, by taps.

#![allow(clippy::needless_range_loop, reason = "plain loops are inlined for any instruction set")]

use crate::kernels::dot::{InstructionSet, Simd, Work};
use crate::kernels::patches::PaddedMap;
use crate::tensor::{Bitmap, ConvGeometry, Word, Words, with_words};

/// How the bits of a pixel are put together.
#[derive(Clone, Debug)]
pub(super) struct Gather {
    geometry: ConvGeometry,
    map: PaddedMap,
    pieces: Pieces,
    /// Where the pieces of each block of 64 steps end.
    ends: Vec<usize>,
}

#[derive(Clone, Debug)]
enum Pieces {
    Deposits(Vec<Deposit>),
    Windows(Vec<Window>),
    Taps(Vec<Tap>),
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

/// Neighbours of one row and channel that go to consecutive steps of one block.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// Channel of the group.
    channel: usize,
    /// Row and column of the first one, from those of the first operand in the padded map.
    row: usize,
    column: usize,
    len: usize,
    /// Its bit of the block.
    bit: u32,
}

/// The operand of one step.
#[derive(Clone, Copy, Debug)]
struct Tap {
    /// Distance in pixels from the first operand's pixel in the padded map.
    pixel: usize,
    /// Its bit.
    step: u32,
}

/// Channels of a [`Deposit`], at most: eight bytes, and what is left of them where the first channel
/// of some group does not begin with a byte.
const LONGEST: [u32; 2] = [64, 57];

/// Taps of a channel, bit by bit.
type Taps = u16;

/// Channels whose taps are gathered together.
const CHANNELS: usize = 32;

/// Neighbouring output pixels whose windows are gathered together.
const PIXELS: usize = 8;

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
        if geometry.groups > 1 && geometry.group_inputs() == 1 && taps <= Taps::BITS as usize {
            let tap = |(step, &canonical)| {
                let (_, row, column) = position(canonical);
                Tap { pixel: pixel(row, column), step: step as u32 }
            };
            let pieces = Pieces::Taps(order.iter().enumerate().map(tap).collect());
            return Self { geometry: *geometry, map, pieces, ends: vec![taps] };
        }
        let bytes_begin_groups = geometry.groups == 1 || geometry.group_inputs().is_multiple_of(8);
        let (mut deposits, mut deposit_ends) = (Vec::<Deposit>::new(), Vec::new());
        let (mut windows, mut window_ends) = (Vec::<Window>::new(), Vec::new());
        for block in order.chunks(64) {
            let starts = [deposits.len(), windows.len()];
            for (bit, &canonical) in block.iter().enumerate() {
                let (channel, row, column) = position(canonical);
                let pixel = pixel(row, column);
                let deposit = deposits[starts[0]..].iter_mut().rev().find(|d| {
                    let aligned = bytes_begin_groups && d.channel % 8 == 0;
                    let (length, longest) = (d.mask.count_ones(), LONGEST[usize::from(!aligned)]);
                    d.pixel == pixel && d.channel + length as usize == channel && length < longest
                });
                match deposit {
                    Some(deposit) => deposit.mask |= 1 << bit,
                    None => deposits.push(Deposit { pixel, channel, mask: 1 << bit }),
                }
                let [row, column] =
                    [row * geometry.window.dilation[0], column * geometry.window.dilation[1]];
                let window = windows[starts[1]..]
                    .last_mut()
                    .filter(|w| [w.channel, w.row, w.column + w.len] == [channel, row, column]);
                match window {
                    Some(window) => window.len += 1,
                    None => windows.push(Window { channel, row, column, len: 1, bit: bit as u32 }),
                }
            }
            deposit_ends.push(deposits.len());
            window_ends.push(windows.len());
        }
        let stride = geometry.window.stride[1];
        let fits = |w: &Window| stride <= 64 && 7 + (PIXELS - 1) * stride + w.len <= 64;
        let (pieces, ends) = if windows.len() <= deposits.len() && windows.iter().all(fits) {
            (Pieces::Windows(windows), window_ends)
        } else {
            (Pieces::Deposits(deposits), deposit_ends)
        };
        Self { geometry: *geometry, map, pieces, ends }
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

    /// Bytes of the bits of a pixel, or, for windows, of a row of one channel.
    fn stride(&self) -> usize {
        match self.pieces {
            Pieces::Deposits(_) => self.geometry.input.channels.div_ceil(8),
            Pieces::Windows(_) => self.width().div_ceil(8),
            Pieces::Taps(_) => self.geometry.input.channels,
        }
    }

    /// Bytes that the nonzero bits of the padded map take, with those that may be read after them.
    pub fn bytes(&self) -> usize {
        let strides = match self.pieces {
            Pieces::Windows(_) => self.height() * self.geometry.input.channels,
            _ => self.height() * self.width(),
        };
        strides * self.stride() + 2 * size_of::<u64>()
    }

    /// The bitmaps by group; `nonzero` is [`bytes`](Self::bytes) long, and zero at first.
    pub fn run(
        &self,
        simd: InstructionSet,
        input: &Words,
        nonzero: &mut [u8],
        bitmaps: &mut [Bitmap],
    ) {
        simd.run(Image { gather: self, input, nonzero, bitmaps });
    }
}

/// One image, as work to be compiled per instruction set.
struct Image<'a> {
    gather: &'a Gather,
    input: &'a Words,
    nonzero: &'a mut [u8],
    bitmaps: &'a mut [Bitmap],
}

impl Work for Image<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        match &self.gather.pieces {
            Pieces::Deposits(deposits) => {
                self.mark_pixels(false);
                self.deposits(simd, deposits);
            }
            Pieces::Windows(windows) => {
                self.mark_rows();
                self.windows(windows);
            }
            Pieces::Taps(taps) => {
                self.mark_pixels(true);
                self.taps(taps);
            }
        }
    }
}

impl Image<'_> {
    /// Writes the nonzero bits of the pixels of `input`, or a byte for each. Those of the padding
    /// are never written: they stay zero.
    #[inline(always)]
    fn mark_pixels(&mut self, bytes: bool) {
        let Gather { geometry: ConvGeometry { input: shape, window, .. }, .. } = *self.gather;
        let [top, left, ..] = window.padding;
        let (stride, width) = (self.gather.stride(), self.gather.width());
        with_words!(self.input.buffer(), words => {
            for y in 0..shape.height {
                for x in 0..shape.width {
                    let words = &words[(y * shape.width + x) * shape.channels..][..shape.channels];
                    let start = ((top + y) * width + left + x) * stride;
                    let nonzero = &mut self.nonzero[start..][..stride];
                    if bytes {
                        mark_bytes(words, nonzero);
                    } else {
                        mark_bits(words, nonzero);
                    }
                }
            }
        });
    }

    /// Writes the nonzero bits of the rows of every channel of `input`; the rest stays zero.
    #[inline(always)]
    fn mark_rows(&mut self) {
        let ConvGeometry { input: shape, window, .. } = self.gather.geometry;
        let [top, left, ..] = window.padding;
        let (stride, height) = (self.gather.stride(), self.gather.height());
        with_words!(self.input.buffer(), words => {
            for y in 0..shape.height {
                let words = &words[y * shape.width * shape.channels..];
                let words = &words[..shape.width * shape.channels];
                for channel in 0..shape.channels {
                    let start = (channel * height + top + y) * stride;
                    mark_row(words, channel, shape.channels, left, &mut self.nonzero[start..][..stride]);
                }
            }
        });
    }

    #[inline(always)]
    fn deposits(self, simd: impl Simd, deposits: &[Deposit]) {
        let Self { gather, nonzero, bitmaps, .. } = self;
        let (geometry, bytes) = (&gather.geometry, gather.stride());
        for group in 0..bitmaps.len() {
            let first = group * geometry.group_inputs();
            for pixel in 0..geometry.pixels() {
                let base = gather.map.base(pixel) / geometry.input.channels;
                let row = bitmaps[group].row_mut(pixel);
                let mut start = 0;
                for block in 0..row.len() {
                    let end = gather.ends[block];
                    let mut bits = 0;
                    for index in start..end {
                        let deposit = deposits[index];
                        let channel = first + deposit.channel;
                        let at = (base + deposit.pixel) * bytes + channel / 8;
                        let word = eight_bytes(nonzero, at) >> (channel % 8);
                        bits |= simd.deposit(word, deposit.mask);
                    }
                    row[block] = bits;
                    start = end;
                }
            }
        }
    }

    /// Several output pixels of a row at a time.
    #[inline(always)]
    fn windows(self, windows: &[Window]) {
        let Self { gather, nonzero, bitmaps, .. } = self;
        let (geometry, bytes, height) = (&gather.geometry, gather.stride(), gather.height());
        let [down, across] = geometry.window.stride;
        for group in 0..bitmaps.len() {
            let first = group * geometry.group_inputs();
            for y in 0..geometry.output.height {
                let mut x = 0;
                while x < geometry.output.width {
                    let pixels = PIXELS.min(geometry.output.width - x);
                    let mut start = 0;
                    for block in 0..gather.ends.len() {
                        let end = gather.ends[block];
                        let mut bits = [0; PIXELS];
                        for index in start..end {
                            let window = windows[index];
                            let row = (first + window.channel) * height + y * down + window.row;
                            let column = x * across + window.column;
                            let word = eight_bytes(nonzero, row * bytes + column / 8);
                            let mask = (1 << window.len) - 1;
                            for n in 0..PIXELS {
                                let shifted = word >> ((column % 8 + n * across) & 63);
                                bits[n] |= (shifted & mask) << (window.bit & 63);
                            }
                        }
                        for n in 0..pixels {
                            let pixel = y * geometry.output.width + x + n;
                            bitmaps[group].row_mut(pixel)[block] = bits[n];
                        }
                        start = end;
                    }
                    x += pixels;
                }
            }
        }
    }

    /// Many channels at a time.
    #[inline(always)]
    fn taps(self, taps: &[Tap]) {
        let Self { gather, nonzero, bitmaps, .. } = self;
        let channels = gather.geometry.input.channels;
        let mut first = 0;
        while first < channels {
            let len = CHANNELS.min(channels - first);
            for pixel in 0..gather.geometry.pixels() {
                let base = gather.map.base(pixel) + first;
                let mut bits = [0 as Taps; CHANNELS];
                for index in 0..taps.len() {
                    let tap = taps[index];
                    let nonzero = &nonzero[base + tap.pixel * channels..][..len];
                    if len == CHANNELS {
                        let nonzero = &nonzero[..CHANNELS];
                        for n in 0..CHANNELS {
                            bits[n] |= Taps::from(nonzero[n]) << (tap.step & 15);
                        }
                    } else {
                        for n in 0..len {
                            bits[n] |= Taps::from(nonzero[n]) << (tap.step & 15);
                        }
                    }
                }
                let bitmaps = &mut bitmaps[first..][..len];
                for n in 0..len {
                    bitmaps[n].row_mut(pixel)[0] = bits[n].into();
                }
            }
            first += len;
        }
    }
}

/// The eight bytes from `at` on.
#[inline(always)]
fn eight_bytes(bytes: &[u8], at: usize) -> u64 {
    let b = &bytes[at..][..8];
    u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])
}

/// A byte for each channel of a pixel, one where it is nonzero.
#[inline(always)]
fn mark_bytes<W: Word>(words: &[W], bytes: &mut [u8]) {
    let zero = W::default();
    for n in 0..words.len() {
        bytes[n] = u8::from(words[n] != zero);
    }
}

/// Nonzero bits of one of the `channels` of a row, from bit `left` on. Other bits of the bytes that
/// they lie in become zero.
#[inline(always)]
fn mark_row<W: Word>(words: &[W], channel: usize, channels: usize, left: usize, bits: &mut [u8]) {
    let zero = W::default();
    let width = words.len() / channels;
    let (mut x, mut at) = (0, left / 8);
    let mut first = left % 8;
    while x < width {
        let len = (8 - first).min(width - x);
        let mut byte = 0;
        for bit in 0..len {
            byte |= u8::from(words[(x + bit) * channels + channel] != zero) << ((first + bit) & 7);
        }
        bits[at] = byte;
        (x, at, first) = (x + len, at + 1, 0);
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
