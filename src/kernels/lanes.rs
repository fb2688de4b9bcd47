//! The fast paths of a multiply-accumulate layer: blocks of output channels as lanes.

#![allow(clippy::needless_range_loop, reason = "lanes of several arrays are indexed in step")]

use crate::kernels::bounds::Interval;
use crate::kernels::chain::Chain;
use crate::kernels::dot::{Blocks, Element, Gather, InstructionSet, Packed, Simd, Work};
use crate::kernels::output::{LaneSums, Output};
use crate::kernels::parts::Part;
use crate::kernels::patches::PaddedMap;
use crate::kernels::reference::aligned_bias;
use crate::kernels::{LayerDraws, Mac, MacSpec, SiteEvents, Style};
use crate::numeric::{Format, Overflow, Rounding};
use crate::tensor::{ConvGeometry, Word, Words, with_slots};

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
    /// For each thread, those of a pixel in accumulation order.
    operands: Vec<E>,
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
            let (low, high) = chain.range();
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
            operands: Vec::new(),
        }
    }

    /// Runs the layer for one image on up to `threads` threads.
    pub fn run(
        &self,
        input: &Words,
        output: &mut Words,
        buffers: &mut Buffers<E>,
        (threads, draws): (usize, LayerDraws),
        events: &mut SiteEvents,
    ) {
        let Buffers { map, magnitudes, operands } = buffers;
        self.map.fill(input, map, E::from_raw);
        if !magnitudes.is_empty() {
            self.map.fill(input, magnitudes, |word| E::from_raw(word.abs()));
        }
        operands.resize(threads * self.offsets.len(), E::default());
        let (map, magnitudes, geometry) = (&**map, &**magnitudes, &self.geometry);
        let part = Part { pixels: 0..geometry.pixels(), words: output.slots(), memory: operands };
        let channels = geometry.output.channels;
        *events += part.run([channels, PIXELS], geometry.macs(), threads, &|part| {
            let mut events = SiteEvents::default();
            self.simd.run(Pixels {
                layer: self,
                map,
                magnitudes,
                part,
                draws,
                events: &mut events,
            });
            events
        });
    }
}

/// Pixels whose exact sums are made together.
const PIXELS: usize = 4;

/// Some pixels of an image, as work to be compiled per instruction set.
struct Pixels<'a, E> {
    layer: &'a Prepared<E>,
    map: &'a [E],
    magnitudes: &'a [E],
    part: Part<'a, E>,
    draws: LayerDraws,
    events: &'a mut SiteEvents,
}

impl<E: Element> Work for Pixels<'_, E> {
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

impl<E: Element> Pixels<'_, E> {
    /// Exact sums, several pixels at a time.
    #[inline(always)]
    fn exact<S: Simd, const N: usize>(&mut self, simd: S, sums: &ExactSums<E>) {
        let pixels = self.part.pixels.clone();
        let whole = pixels.end - pixels.len() % PIXELS;
        for block in 0..self.layer.blocks.count() {
            for pixel in (pixels.start..whole).step_by(PIXELS) {
                self.exact_tile::<S, PIXELS, N>(simd, sums, pixel, block);
            }
            for pixel in whole..pixels.end {
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
        let tile = sums.products.sums::<S, P, N>(simd, self.map, &bases, block);
        let proven = sums.proven[block * N..][..N].iter().all(|&p| p);
        let magnitudes = match &sums.magnitudes {
            Some(packed) if !proven => {
                Some(packed.sums::<S, P, N>(simd, self.magnitudes, &bases, block))
            }
            _ => None,
        };
        for p in 0..P {
            let mut result = layer.chain.close::<N>(&tile[p], &layer.bias, block);
            if let Some(magnitudes) = &magnitudes
                && !layer.chain.fits::<N>(
                    &tile[p],
                    &magnitudes[p],
                    &layer.bias,
                    &sums.proven,
                    block,
                )
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
            for pixel in self.part.pixels.clone() {
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
        let map = &self.map[base..];
        for (operand, &offset) in self.part.memory.iter_mut().zip(&self.layer.offsets) {
            *operand = map[offset as usize];
        }
    }

    #[inline(always)]
    fn ordered_block<const N: usize>(&self, block: usize) -> LaneSums<N> {
        let layer = self.layer;
        let operands = &self.part.memory[..layer.offsets.len()];
        let steps = operands.len() * N;
        let weights = &layer.ordered[block * steps..][..steps];
        layer.chain.ordered::<E, N>(operands, weights, &layer.bias, block)
    }

    #[inline(always)]
    fn emit<const N: usize>(&mut self, pixel: usize, block: usize, sums: &LaneSums<N>) {
        let channels = self.layer.blocks.channels(block);
        let slot = |pixel| pixel * self.layer.geometry.output.channels + channels.start;
        let raw = &mut [0; N][..channels.len()];
        self.layer.output.emit(sums, raw, slot(pixel), self.draws, self.events);
        with_slots!(&mut self.part.words, words => {
            let words = &mut words[slot(pixel - self.part.pixels.start)..][..raw.len()];
            for n in 0..raw.len() {
                words[n] = Word::from_raw(raw[n]);
            }
        });
    }
}

impl<E> Prepared<E> {
    #[inline(always)]
    fn base(&self, pixel: usize, block: usize) -> usize {
        self.map.base(pixel) + self.blocks.group(block) * self.geometry.group_inputs()
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
