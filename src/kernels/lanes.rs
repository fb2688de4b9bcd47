//! The fast paths of a multiply-accumulate layer: blocks of output channels as lanes.

#![allow(clippy::needless_range_loop, reason = "lanes of several arrays are indexed in step")]

use crate::kernels::bounds::Interval;
use crate::kernels::chain32::{Chain32, Links};
use crate::kernels::dot::{Blocks, Element, Gather, InstructionSet, Packed, Simd, Work};
use crate::kernels::narrow::{Lanes, NarrowCast, magnitude};
use crate::kernels::output::{LaneSums, Output};
use crate::kernels::patches::PaddedMap;
use crate::kernels::reference::aligned_bias;
use crate::kernels::{LayerDraws, Mac, MacSpec, SiteEvents, Style};
use crate::numeric::{Format, Overflow, Rounding};
use crate::tensor::{ConvGeometry, Word, Words, with_words};

/// A layer prepared for operands of type `E`.
#[derive(Clone, Debug)]
pub(crate) struct Prepared<E> {
    simd: InstructionSet,
    geometry: ConvGeometry,
    map: PaddedMap,
    blocks: Blocks,
    /// Distances of the operands in accumulation order.
    offsets: Vec<u32>,
    /// Weights as `[block][step][lane]`.
    ordered: Vec<E>,
    sums: Option<ExactSums<E>>,
    chain: Chain,
    bias: Bias,
    output: Output,
}

/// The exact sums of products, where nothing is lost before the accumulator.
#[derive(Clone, Debug)]
struct ExactSums<E> {
    products: Packed<E>,
    /// Σ|w·x|, unless the order can never matter.
    magnitudes: Option<Packed<E>>,
    /// By padded output channel: proven not to overflow.
    proven: Vec<bool>,
}

/// The casts along the loop.
#[derive(Clone, Copy, Debug)]
struct Chain {
    /// Of each product, if it may lose bits.
    product: Option<NarrowCast>,
    /// From the aligned sum to the accumulator.
    accumulator: NarrowCast,
    /// Products of a step.
    products: usize,
    /// Shift of a term to the aligned sum.
    term_shift: u32,
    /// Shift of an accumulator to the aligned sum.
    grid_shift: u32,
    /// The same in 32 bits.
    short: Option<Chain32>,
}

/// Bias by output channel, or padded output channel.
#[derive(Clone, Debug)]
pub(crate) struct Bias {
    /// Before overflow.
    pub exact: Vec<i64>,
    /// The accumulator's first word.
    pub word: Vec<i64>,
    /// 1 where the cast overflowed.
    pub over: Vec<i64>,
    /// 1 where the cast underflowed.
    pub under: Vec<i64>,
}

/// Memory of a run.
#[derive(Clone, Debug)]
pub(crate) struct Buffers<E> {
    map: Vec<E>,
    magnitudes: Vec<E>,
    operands: Vec<E>,
    output: Vec<i64>,
}

impl<E: Element> Prepared<E> {
    /// `None` if the operands do not fit `E`, or the sums 64 bits, or a cast on the way is
    /// stochastic. `reach` are the intervals of the output channels.
    pub fn new(
        simd: InstructionSet,
        mac: &Mac<'_>,
        map: &PaddedMap,
        reach: &[Interval],
    ) -> Option<Self> {
        let Mac { spec, geometry, weights, .. } = mac;
        let [kh, kw] = geometry.window.kernel;
        let order = mac.order.reduction(geometry.group_inputs(), kh, kw);
        let blocks = Blocks::new(geometry);
        let activation = mac.largest_activation();
        let weight = |index| i128::from(weights.get(index).unsigned_abs());
        let heaviest = (0..weights.len()).map(weight).max()?;
        if activation.max(heaviest) > i128::from(E::LARGEST) {
            return None;
        }
        let lossless = lossless(spec, activation * heaviest);
        let chain = Chain::new(spec, geometry, lossless, activation * heaviest, reach)?;
        let bias = Bias::by_channel(spec, geometry.output.channels, mac.bias)?.padded(&blocks);
        let order_free =
            spec.style == Style::Exact || spec.accumulator.overflow() == Overflow::Wrap;
        if spec.style == Style::Exact && bias.over.contains(&1) {
            return None;
        }
        let reduction = geometry.reduction();
        let weight = |channel: usize, k: usize| weights.get(channel * reduction + k);
        let sums = if lossless {
            let gather = Gather::new(geometry, map);
            let (low, high) = chain.accumulator.range();
            let range = Interval { low: low.into(), high: high.into() };
            let proven = |channel: usize| order_free || range.union(reach[channel]) == range;
            let proven = blocks.pad(proven, true);
            let pack = |weight: &dyn Fn(usize, usize) -> i64| {
                Packed::new(&gather, &blocks, weight, activation as i64)
            };
            Some(ExactSums {
                products: pack(&weight)?,
                magnitudes: match proven.iter().all(|&p| p) {
                    true => None,
                    false => Some(pack(&|channel, k| weight(channel, k).abs())?),
                },
                proven,
            })
        } else {
            None
        };
        Some(Self {
            simd,
            geometry: *geometry,
            map: map.clone(),
            blocks,
            offsets: map.offsets(&order),
            ordered: pack_ordered(&blocks, &order, weight),
            sums,
            chain,
            bias,
            output: Output::new(mac),
        })
    }

    /// Memory for a run.
    pub fn buffers(&self) -> Buffers<E> {
        let checked = self.sums.as_ref().is_some_and(|sums| sums.magnitudes.is_some());
        Buffers {
            map: vec![E::default(); self.map.len()],
            magnitudes: vec![E::default(); if checked { self.map.len() } else { 0 }],
            operands: vec![E::default(); self.offsets.len()],
            output: vec![0; self.geometry.output.len()],
        }
    }

    /// Runs the layer for one image.
    pub fn run(
        &self,
        input: &Words,
        output: &mut Words,
        buffers: &mut Buffers<E>,
        draws: LayerDraws,
        events: &mut SiteEvents,
    ) {
        self.map.fill(input, &mut buffers.map, E::from_raw);
        if !buffers.magnitudes.is_empty() {
            self.map.fill(input, &mut buffers.magnitudes, |word| E::from_raw(word.abs()));
        }
        self.simd.run(Image { layer: self, buffers, draws, events });
        with_words!(output.buffer_mut(), words => {
            for (word, &raw) in words.iter_mut().zip(&buffers.output) {
                *word = Word::from_raw(raw);
            }
        });
    }
}

/// One image, as work to be compiled per instruction set.
struct Image<'a, E> {
    layer: &'a Prepared<E>,
    buffers: &'a mut Buffers<E>,
    draws: LayerDraws,
    events: &'a mut SiteEvents,
}

impl<E: Element> Work for Image<'_, E> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        match (&self.layer.sums, self.layer.blocks.lanes) {
            (Some(sums), 8) => self.exact::<S, 8>(simd, sums),
            (Some(sums), _) => self.exact::<S, 16>(simd, sums),
            (None, 8) => self.ordered::<8>(),
            (None, _) => self.ordered::<16>(),
        }
    }
}

impl<E: Element> Image<'_, E> {
    /// Exact sums, several pixels at a time.
    #[inline(always)]
    fn exact<S: Simd, const N: usize>(&mut self, simd: S, sums: &ExactSums<E>) {
        const PIXELS: usize = 4;
        let pixels = self.layer.geometry.pixels();
        let whole = pixels - pixels % PIXELS;
        for block in 0..self.layer.blocks.count() {
            for pixel in (0..whole).step_by(PIXELS) {
                self.exact_tile::<S, PIXELS, N>(simd, sums, pixel, block);
            }
            for pixel in whole..pixels {
                self.exact_tile::<S, 1, N>(simd, sums, pixel, block);
            }
        }
    }

    #[inline(always)]
    fn exact_tile<S: Simd, const P: usize, const N: usize>(
        &mut self,
        simd: S,
        sums: &ExactSums<E>,
        pixel: usize,
        block: usize,
    ) {
        let layer = self.layer;
        let bases = std::array::from_fn(|p| layer.base(pixel + p, block));
        let tile = sums.products.sums::<S, P, N>(simd, &self.buffers.map, &bases, block);
        let proven = sums.proven[block * N..][..N].iter().all(|&p| p);
        let magnitudes = match &sums.magnitudes {
            Some(packed) if !proven => {
                Some(packed.sums::<S, P, N>(simd, &self.buffers.magnitudes, &bases, block))
            }
            _ => None,
        };
        for p in 0..P {
            let mut result = layer.chain.close::<N>(&tile[p], &layer.bias, block);
            if let Some(magnitudes) = &magnitudes
                && !layer.chain.fits::<N>(&tile[p], &magnitudes[p], &layer.bias, sums, block)
            {
                self.gather(bases[p]);
                result = self.ordered_block::<N>(block);
            }
            self.emit(pixel + p, block, &result);
        }
    }

    /// The ordered loop for every block.
    #[inline(always)]
    fn ordered<const N: usize>(&mut self) {
        for group in 0..self.layer.geometry.groups {
            let first = group * self.layer.blocks.per_group();
            for pixel in 0..self.layer.geometry.pixels() {
                self.gather(self.layer.base(pixel, first));
                for block in first..first + self.layer.blocks.per_group() {
                    let result = self.ordered_block::<N>(block);
                    self.emit(pixel, block, &result);
                }
            }
        }
    }

    /// Collects the operands of the pixel at `base` in accumulation order.
    #[inline(always)]
    fn gather(&mut self, base: usize) {
        let map = &self.buffers.map[base..];
        for (operand, &offset) in self.buffers.operands.iter_mut().zip(&self.layer.offsets) {
            *operand = map[offset as usize];
        }
    }

    #[inline(always)]
    fn ordered_block<const N: usize>(&self, block: usize) -> LaneSums<N> {
        let layer = self.layer;
        let steps = layer.offsets.len() * N;
        let weights = &layer.ordered[block * steps..][..steps];
        layer.chain.ordered::<E, N>(&self.buffers.operands, weights, &layer.bias, block)
    }

    #[inline(always)]
    fn emit<const N: usize>(&mut self, pixel: usize, block: usize, sums: &LaneSums<N>) {
        let channels = self.layer.blocks.channels(block);
        let first = pixel * self.layer.geometry.output.channels + channels.start;
        let words = &mut self.buffers.output[first..][..channels.len()];
        self.layer.output.emit(sums, words, first, self.draws, self.events);
    }
}

impl<E> Prepared<E> {
    #[inline(always)]
    fn base(&self, pixel: usize, block: usize) -> usize {
        self.map.base(pixel) + self.blocks.group(block) * self.geometry.group_inputs()
    }
}

impl Chain {
    fn new(
        spec: &MacSpec,
        geometry: &ConvGeometry,
        lossless: bool,
        product: i128,
        reach: &[Interval],
    ) -> Option<Self> {
        let grid = spec.accumulator.to().frac();
        let casts = spec.style == Style::ProductCast && !lossless;
        let cast = casts.then_some(spec.product);
        let term_frac = if cast.is_some() { spec.term_frac() } else { spec.product_frac() };
        let aligned = grid.max(term_frac);
        let largest_term = match cast {
            Some(cast) => magnitude(cast.to()) as i128,
            None => product,
        };
        let terms = largest_term.checked_mul(geometry.reduction() as i128)?;
        let start = reach.iter().map(|r| r.low.abs().max(r.high.abs())).max()?;
        let start = start.max(magnitude(spec.accumulator.to()) as i128);
        let shifted =
            |value: i128, by: i32| value.checked_mul(1i128.checked_shl(by.unsigned_abs())?);
        let largest = shifted(start, aligned - grid)?
            .checked_add(shifted(terms, aligned - term_frac)?)?
            .unsigned_abs();
        let products = match spec.style {
            Style::Exact => geometry.reduction(),
            Style::ProductCast | Style::Fused => spec.adder_tree,
        };
        let (term_shift, grid_shift) = ((aligned - term_frac) as u32, (aligned - grid) as u32);
        let product_frac = spec.product_frac();
        let short = Chain32::new(&Links {
            product: cast.map(|cast| (cast, product_frac)),
            accumulator: spec.accumulator,
            aligned,
            largest: [product.unsigned_abs(), largest_term.unsigned_abs()],
            products,
            term_shift,
            grid_shift,
        });
        let product = match cast {
            Some(cast) => Some(NarrowCast::new(cast, product_frac, product.unsigned_abs())?),
            None => None,
        };
        let accumulator = NarrowCast::new(spec.accumulator, aligned, largest)?;
        Some(Self { product, accumulator, products, term_shift, grid_shift, short })
    }

    /// The accumulators whose exact sums of products are `sums`, if order does not matter.
    #[inline(always)]
    fn close<const N: usize>(&self, sums: &Lanes<N>, bias: &Bias, block: usize) -> LaneSums<N> {
        let exact: &[i64] = &bias.exact[block * N..][..N];
        let mut result = LaneSums::new(&bias.under[block * N..][..N]);
        for n in 0..N {
            let aligned = (exact[n] << self.grid_shift) + (sums[n] << self.term_shift);
            result.raw[n] = aligned;
            result.total[n] = aligned >> self.grid_shift;
        }
        self.accumulator.lanes(&mut result.raw, &mut result.over, &mut result.under);
        self.settle(&mut result);
        result
    }

    /// Whether no order of the products, whose magnitudes sum up to `magnitudes`, overflows.
    #[inline(always)]
    fn fits<const N: usize>(
        &self,
        sums: &Lanes<N>,
        magnitudes: &Lanes<N>,
        bias: &Bias,
        exact: &ExactSums<impl Element>,
        block: usize,
    ) -> bool {
        let (low, high) = self.accumulator.range();
        (0..N).all(|n| {
            let start = bias.exact[block * N + n];
            let positive = (magnitudes[n] + sums[n]) / 2;
            let negative = (magnitudes[n] - sums[n]) / 2;
            exact.proven[block * N + n]
                || (start + (positive << self.term_shift) <= high
                    && start - (negative << self.term_shift) >= low)
        })
    }

    /// The loop in accumulation order over `operands` and the weights `[step][lane]`.
    #[inline(always)]
    fn ordered<E: Element, const N: usize>(
        &self,
        operands: &[E],
        weights: &[E],
        bias: &Bias,
        block: usize,
    ) -> LaneSums<N> {
        if let Some(short) = &self.short {
            return short.run::<E, N>(operands, weights, bias, block);
        }
        let lanes = |values: &[i64]| -> Lanes<N> { std::array::from_fn(|n| values[block * N + n]) };
        let mut result = LaneSums::new(&bias.under[block * N..][..N]);
        result.raw = lanes(&bias.word);
        result.over = lanes(&bias.over);
        let mut exact = lanes(&bias.exact).map(|b| b << self.grid_shift);
        let weights = weights.as_chunks::<N>().0;
        for (operands, weights) in operands.chunks(self.products).zip(weights.chunks(self.products))
        {
            let mut term = [0; N];
            for (x, w) in operands.iter().zip(weights) {
                let mut product: Lanes<N> = std::array::from_fn(|n| x.raw() * w[n].raw());
                if let Some(cast) = &self.product {
                    let LaneSums { product_over, product_under, .. } = &mut result;
                    cast.lanes(&mut product, product_over, product_under);
                }
                for n in 0..N {
                    term[n] += product[n];
                }
            }
            for n in 0..N {
                let term = term[n] << self.term_shift;
                exact[n] += term;
                result.raw[n] = (result.raw[n] << self.grid_shift) + term;
            }
            self.accumulator.lanes(&mut result.raw, &mut result.over, &mut result.under);
        }
        result.total = exact.map(|e| e >> self.grid_shift);
        self.settle(&mut result);
        result
    }

    /// A wrapping accumulator overflowed where the exact total lies outside its range.
    #[inline(always)]
    fn settle<const N: usize>(&self, result: &mut LaneSums<N>) {
        if self.accumulator.wraps() {
            let (low, high) = self.accumulator.range();
            for n in 0..N {
                let total = result.total[n];
                result.over[n] = i64::from(total < low) | i64::from(total > high);
            }
        }
    }
}

impl Bias {
    /// The bias of `channels` output channels; `None` if a cast draws a random number.
    pub fn by_channel(
        spec: &MacSpec,
        channels: usize,
        bias: Option<(Format, &[i64])>,
    ) -> Option<Self> {
        let Some((format, raw)) = bias else {
            let zeros = vec![0; channels];
            let [word, over, under] = [zeros.clone(), zeros.clone(), zeros.clone()];
            return Some(Self { exact: zeros, word, over, under });
        };
        let drops = format.frac() > spec.accumulator.to().frac();
        if drops && spec.accumulator.rounding() == Rounding::Stochastic {
            return None;
        }
        let exact = raw.iter().map(|&raw| aligned_bias(spec, format, raw, 0) as i64).collect();
        let casts: Vec<_> =
            raw.iter().map(|&raw| spec.accumulator.apply(raw.into(), format.frac(), 0)).collect();
        Some(Self {
            exact,
            word: casts.iter().map(|cast| cast.raw as i64).collect(),
            over: casts.iter().map(|cast| cast.overflowed.into()).collect(),
            under: casts.iter().map(|cast| cast.underflowed.into()).collect(),
        })
    }

    /// The same padded to `blocks`.
    fn padded(self, blocks: &Blocks) -> Self {
        let pad = |values: Vec<i64>| blocks.pad(|channel| values[channel], 0);
        let Self { exact, word, over, under } = self;
        Self { exact: pad(exact), word: pad(word), over: pad(over), under: pad(under) }
    }
}

/// Whether nothing is lost before the accumulator's overflow, or only by the one cast of the
/// exact style.
pub(crate) fn lossless(spec: &MacSpec, largest_product: i128) -> bool {
    let grid = spec.accumulator.to().frac();
    match spec.style {
        Style::Exact => true,
        Style::Fused => grid >= spec.product_frac(),
        Style::ProductCast => {
            let ends = [-largest_product, largest_product];
            spec.product.to().frac() >= spec.product_frac()
                && ends.iter().all(|&p| !spec.product.apply(p, spec.product_frac(), 0).overflowed)
        }
    }
}

fn pack_ordered<E: Element>(
    blocks: &Blocks,
    order: &[u32],
    weight: impl Fn(usize, usize) -> i64,
) -> Vec<E> {
    let mut words = vec![E::default(); blocks.count() * order.len() * blocks.lanes];
    for block in 0..blocks.count() {
        for (lane, channel) in blocks.channels(block).enumerate() {
            for (step, &k) in order.iter().enumerate() {
                let at = (block * order.len() + step) * blocks.lanes + lane;
                words[at] = E::from_raw(weight(channel, k as usize));
            }
        }
    }
    words
}
