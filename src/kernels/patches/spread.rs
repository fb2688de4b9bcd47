//! Nonzero bitmaps where the taps of a channel follow each other: the bits of a feature map are
//! spread once, and every window is put together from them by shifts.

#![allow(
    clippy::needless_range_loop,
    clippy::manual_memcpy,
    reason = "plain loops are inlined for any instruction set"
)]

use crate::kernels::dot::{Simd, shifted};
use crate::tensor::{Bitmap, ConvGeometry, Word, Words, with_words};

/// Of channel c of a group, the operand at the kernel's (row, column) is that of step
/// taps · c + `rows[row]` + `columns[column]`.
///
/// The bits of a pixel's channels, each at the step of its first tap, are a long word. Those of a
/// kernel row are the words of neighbours in the row, shifted left by `columns` and united; those of
/// a window are the words of rows, shifted left by `rows`. Where a group has one channel, the words
/// of several groups lie side by side.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    geometry: ConvGeometry,
    rows: Vec<Source>,
    columns: Vec<Source>,
    /// By block of 64 steps.
    starts: Vec<Start>,
    /// By column of the map: where its word is.
    places: Vec<u32>,
    /// Groups side by side.
    groups: usize,
    /// Words of a block of one row of the padded map.
    row_len: usize,
    /// Words of a block of all its rows.
    map_len: usize,
}

/// What is shifted left by `shift`, and where it lies from what it is a part of.
#[derive(Clone, Copy, Debug)]
struct Source {
    place: usize,
    shift: u32,
}

/// The channels whose first taps lie in a block.
#[derive(Clone, Copy, Debug)]
struct Start {
    channel: usize,
    mask: u64,
}

/// Memory of a spread map.
#[derive(Clone, Debug)]
pub(super) struct SpreadScratch {
    /// A bit for each word of the input.
    nonzero: Vec<u8>,
    /// The words of one row of the padded map, block by block. Columns that windows `stride` columns
    /// apart meet at the same tap are neighbours.
    row: Vec<u64>,
    /// For every row of the padded map and column of the output those of a kernel row, likewise.
    map: Vec<u64>,
    /// Windows of a row of the output, where groups lie side by side.
    windows: Vec<u64>,
}

/// Groups of one channel that lie side by side.
const GROUPS: usize = 8;

impl Spread {
    /// If the operands, whose canonical reduction index `order` gives step by step, come so.
    pub fn new(geometry: &ConvGeometry, order: &[u32]) -> Option<Self> {
        let ConvGeometry { input, output, window, .. } = *geometry;
        let ([kh, kw], taps) = (window.kernel, window.taps());
        let point = taps == 1 && window.padding == [0; 4];
        if taps > 64 || taps == 1 && !point {
            return None;
        }
        let mut steps = vec![0; taps];
        for (step, &tap) in order[..taps].iter().enumerate() {
            *steps.get_mut(tap as usize)? = step;
        }
        let follows = |(step, &canonical): (usize, &u32)| {
            let (channel, tap) = (canonical as usize / taps, canonical as usize % taps);
            let [row, column] = [tap / kw * kw, tap % kw].map(|first| steps[first]);
            step == taps * channel + row + column
        };
        if !order.iter().enumerate().all(follows) {
            return None;
        }
        let [top, left, bottom, right] = window.padding;
        let ([_, across], [row_step, column_step]) = (window.stride, window.dilation);
        let groups = if geometry.group_inputs() == 1 && geometry.groups > 1 { GROUPS } else { 1 };
        let phase = (input.width + left + right).div_ceil(across);
        let place = |column: usize| column % across * phase + column / across;
        let source = |place, tap: usize| Source { place: place * groups, shift: steps[tap] as u32 };
        let start = |block: usize| {
            let channel = (64 * block).div_ceil(taps);
            let ones = (channel * taps..order.len().min(64 * block + 64)).step_by(taps);
            Start { channel, mask: ones.fold(0, |mask, step| mask | 1 << (step % 64)) }
        };
        Some(Self {
            geometry: *geometry,
            rows: (0..kh).map(|row| source(row * row_step * output.width, row * kw)).collect(),
            columns: (0..kw).map(|column| source(place(column * column_step), column)).collect(),
            starts: (0..order.len().div_ceil(64)).map(start).collect(),
            places: (0..input.width).map(|column| place(left + column) as u32).collect(),
            groups,
            row_len: across * phase * groups,
            map_len: (input.height + top + bottom) * output.width * groups,
        })
    }

    /// Memory, zero at first.
    pub fn scratch(&self) -> SpreadScratch {
        let words = |len: usize| vec![0; if self.is_point() { 0 } else { len }];
        let blocks = self.starts.len();
        SpreadScratch {
            nonzero: vec![0; self.geometry.input.len().div_ceil(64) * 8 + 16],
            row: words(blocks * self.row_len),
            map: words(blocks * self.map_len),
            windows: words(self.geometry.output.width * GROUPS),
        }
    }

    /// Whether the operands of a pixel are the channels of one pixel.
    fn is_point(&self) -> bool {
        self.rows.len() * self.columns.len() == 1
    }

    /// The bitmaps by group.
    #[inline(always)]
    pub fn run(
        &self,
        simd: impl Simd,
        input: &Words,
        scratch: &mut SpreadScratch,
        bitmaps: &mut [Bitmap],
    ) {
        with_words!(input.buffer(), words => mark(simd, words, &mut scratch.nonzero));
        let channels = self.geometry.group_inputs();
        let mut group = 0;
        while group < bitmaps.len() {
            let first = group * channels;
            let bitmaps = &mut bitmaps[group..];
            if self.is_point() {
                self.points(first, &scratch.nonzero, &mut bitmaps[0]);
                group += 1;
                continue;
            }
            self.kernel_rows(simd, first, scratch);
            if self.groups == 1 {
                self.windows(simd, &scratch.map, &mut bitmaps[0]);
            } else {
                self.windows_of_groups(simd, scratch, bitmaps);
            }
            group += self.groups;
        }
    }

    /// The bits of single pixels, whose channels begin with `first`.
    #[inline(always)]
    fn points(&self, first: usize, nonzero: &[u8], bitmap: &mut Bitmap) {
        let ConvGeometry { input, output, window, .. } = self.geometry;
        let [down, across] = window.stride;
        for block in 0..self.starts.len() {
            let Start { channel, mask } = self.starts[block];
            let bits = bitmap.block_mut(block);
            for y in 0..output.height {
                let bits = &mut bits[y * output.width..][..output.width];
                let mut at = y * down * input.width * input.channels + first + channel;
                for x in 0..bits.len() {
                    bits[x] = bits_from(nonzero, at) & mask;
                    at += across * input.channels;
                }
            }
        }
    }

    /// The words of kernel rows, for all rows of the map but those of the padding: they stay zero.
    /// The channels begin with `first`.
    #[inline(always)]
    fn kernel_rows(&self, simd: impl Simd, first: usize, scratch: &mut SpreadScratch) {
        let ConvGeometry { input, output, window, .. } = self.geometry;
        let SpreadScratch { nonzero, row, map, .. } = scratch;
        let width = output.width * self.groups;
        for y in 0..input.height {
            let first = y * input.width * input.channels + first;
            if self.groups > 1 {
                self.spread_groups(nonzero, first, row);
            } else if input.channels == 1 && window.stride[1] == 1 {
                let words = &mut row[window.padding[1]..][..input.width];
                single_bits(nonzero, first, words);
            } else {
                self.spread(simd, nonzero, first, row);
            }
            let line = (window.padding[0] + y) * width;
            for block in 0..self.starts.len() {
                let words = &mut map[block * self.map_len + line..][..width];
                unite(simd, words, Blocks::new(row, block, self.row_len), &self.columns);
            }
        }
    }

    /// The words of a row of the map, whose bits begin at `first`.
    #[inline(always)]
    fn spread(&self, simd: impl Simd, nonzero: &[u8], first: usize, row: &mut [u64]) {
        let (channels, places) = (self.geometry.input.channels, &self.places[..]);
        for block in 0..self.starts.len() {
            let Start { channel, mask } = self.starts[block];
            let words = &mut row[block * self.row_len..][..self.row_len];
            let mut at = first + channel;
            for x in 0..places.len() {
                // With two taps or more, half of 64 channels at most begin in a block.
                let bits = eight_bytes(nonzero, at / 8) >> (at % 8);
                words[places[x] as usize] = simd.deposit(bits, mask);
                at += channels;
            }
        }
    }

    /// The same for groups of one channel side by side.
    #[inline(always)]
    fn spread_groups(&self, nonzero: &[u8], first: usize, row: &mut [u64]) {
        let mut at = first;
        for x in 0..self.places.len() {
            let bits = eight_bytes(nonzero, at / 8) >> (at % 8);
            let words = &mut row[self.places[x] as usize * GROUPS..][..GROUPS];
            for n in 0..GROUPS {
                words[n] = bits >> n & 1;
            }
            at += self.geometry.input.channels;
        }
    }

    /// The windows from the words of kernel rows.
    #[inline(always)]
    fn windows(&self, simd: impl Simd, map: &[u64], bitmap: &mut Bitmap) {
        let ConvGeometry { output, window, .. } = self.geometry;
        for block in 0..self.starts.len() {
            let blocks = Blocks::new(map, block, self.map_len);
            let bits = bitmap.block_mut(block);
            if window.stride[0] == 1 {
                unite(simd, bits, blocks, &self.rows);
                continue;
            }
            for y in 0..output.height {
                let bits = &mut bits[y * output.width..][..output.width];
                let blocks = blocks.from(y * window.stride[0] * output.width);
                unite(simd, bits, blocks, &self.rows);
            }
        }
    }

    /// The same for groups side by side: the first ones of `bitmaps`.
    #[inline(always)]
    fn windows_of_groups(
        &self,
        simd: impl Simd,
        scratch: &mut SpreadScratch,
        bitmaps: &mut [Bitmap],
    ) {
        let ConvGeometry { output, window, .. } = self.geometry;
        let SpreadScratch { map, windows, .. } = scratch;
        let map = Blocks::new(map, 0, self.map_len);
        for y in 0..output.height {
            let line = map.from(y * window.stride[0] * output.width * GROUPS);
            unite(simd, windows, line, &self.rows);
            for group in 0..bitmaps.len().min(GROUPS) {
                let bits = &mut bitmaps[group].block_mut(0)[y * output.width..][..output.width];
                for x in 0..bits.len() {
                    bits[x] = windows[x * GROUPS + group];
                }
            }
        }
    }
}

/// Words of a block, and those of the block before, if there is one.
#[derive(Clone, Copy)]
struct Blocks<'a> {
    block: &'a [u64],
    before: Option<&'a [u64]>,
}

impl<'a> Blocks<'a> {
    /// Of block `index` of `words`, which has `len`.
    #[inline(always)]
    fn new(words: &'a [u64], index: usize, len: usize) -> Self {
        let before = match index {
            0 => None,
            _ => Some(&words[(index - 1) * len..][..len]),
        };
        Self { block: &words[index * len..][..len], before }
    }

    /// Those from `first` on.
    #[inline(always)]
    fn from(self, first: usize) -> Self {
        Self { block: &self.block[first..], before: self.before.map(|before| &before[first..]) }
    }
}

/// Unites neighbouring words, each of the bits of all `sources`.
#[inline(always)]
fn unite(simd: impl Simd, words: &mut [u64], blocks: Blocks<'_>, sources: &[Source]) {
    if words.len() < 8 {
        return unite_few(words, blocks, sources);
    }
    let mut index = 0;
    while index < sources.len() {
        let (rest, keep) = (&sources[index..], index > 0);
        index += match rest.len() {
            7.. => unite_eights::<7>(simd, words, blocks, rest, keep),
            5.. => unite_eights::<5>(simd, words, blocks, rest, keep),
            3.. => unite_eights::<3>(simd, words, blocks, rest, keep),
            _ => unite_eights::<1>(simd, words, blocks, rest, keep),
        };
    }
}

/// Fewer than eight words.
#[inline(always)]
fn unite_few(words: &mut [u64], blocks: Blocks<'_>, sources: &[Source]) {
    for n in 0..words.len() {
        let mut united = 0;
        for index in 0..sources.len() {
            let Source { place, shift } = sources[index];
            let before = match blocks.before {
                None => 0,
                Some(before) => before[n + place],
            };
            united |= shifted(before, blocks.block[n + place], shift);
        }
        words[n] = united;
    }
}

/// The first `N` of `sources`, with what the words are if `keep`: eight at a time, of which the last
/// may overlap with those before. Returns `N`.
#[inline(always)]
fn unite_eights<const N: usize>(
    simd: impl Simd,
    words: &mut [u64],
    blocks: Blocks<'_>,
    sources: &[Source],
    keep: bool,
) -> usize {
    let len = words.len();
    let (mut places, mut shifts) = ([0; N], [0; N]);
    for index in 0..N {
        (places[index], shifts[index]) = (sources[index].place, sources[index].shift & 63);
    }
    let mut block = [blocks.block; N];
    for index in 0..N {
        block[index] = &blocks.block[places[index]..][..len];
    }
    let mut before = block;
    if let Some(words) = blocks.before {
        for index in 0..N {
            before[index] = &words[places[index]..][..len];
        }
    }
    let mut first = 0;
    while first < len {
        first = first.min(len - 8);
        let mut united = [0; 8];
        if keep {
            let words = &words[first..][..8];
            for n in 0..8 {
                united[n] = words[n];
            }
        }
        for index in 0..N {
            let block = eight(block[index], first);
            if blocks.before.is_some() {
                let bits = simd.shifted(eight(before[index], first), block, shifts[index]);
                for n in 0..8 {
                    united[n] |= bits[n];
                }
            } else {
                for n in 0..8 {
                    united[n] |= block[n] << shifts[index];
                }
            }
        }
        let words = &mut words[first..][..8];
        for n in 0..8 {
            words[n] = united[n];
        }
        first += 8;
    }
    N
}

/// Eight words from `first` on.
#[inline(always)]
fn eight(words: &[u64], first: usize) -> &[u64; 8] {
    &words[first..][..8].as_chunks::<8>().0[0]
}

/// The bits from `at` on, a word for each.
#[inline(always)]
fn single_bits(bits: &[u8], at: usize, words: &mut [u64]) {
    const PART: usize = 16;
    let mut first = 0;
    while first < words.len() {
        let part = bits_from(bits, at + first);
        let words = &mut words[first..];
        if words.len() >= PART {
            let words = &mut words[..PART];
            for n in 0..PART {
                words[n] = part >> n & 1;
            }
        } else {
            for n in 0..words.len() {
                words[n] = part >> (n & 63) & 1;
            }
        }
        first += PART;
    }
}

/// The 64 bits from bit `at` on.
#[inline(always)]
fn bits_from(bits: &[u8], at: usize) -> u64 {
    let (first, shift) = (at / 8, at % 8);
    eight_bytes(bits, first) >> shift | u64::from(bits[first + 8]) << 1 << (63 - shift)
}

/// The eight bytes from `at` on.
#[inline(always)]
pub(super) fn eight_bytes(bytes: &[u8], at: usize) -> u64 {
    let b = &bytes[at..][..8];
    u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])
}

/// Marks nonzero words, a bit for each; those after the last become zero.
#[inline(always)]
fn mark<W: Word>(simd: impl Simd, words: &[W], bits: &mut [u8]) {
    let zero = W::default();
    let (whole, left) = (words.len() / 64, words.len() % 64);
    for part in 0..whole {
        let words = &words[64 * part..][..64];
        let mut bytes = [0; 64];
        for n in 0..64 {
            bytes[n] = u8::from(words[n] != zero);
        }
        let marks = simd.nonzero(&bytes).to_le_bytes();
        let bits = &mut bits[8 * part..][..8];
        for n in 0..8 {
            bits[n] = marks[n];
        }
    }
    if left > 0 {
        let words = &words[64 * whole..];
        let mut bytes = [0; 64];
        for n in 0..words.len() {
            bytes[n] = u8::from(words[n] != zero);
        }
        let marks = simd.nonzero(&bytes).to_le_bytes();
        let bits = &mut bits[8 * whole..][..8];
        for n in 0..8 {
            bits[n] = marks[n];
        }
    }
}
