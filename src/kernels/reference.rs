//! The specification of multiply-accumulate layers: plain loops over exact integers, one output
//! word after the other. Every fast path must give the same words and the same events.

use crate::kernels::events::{count, wraps};
use crate::kernels::{LayerDraws, Mac, MacSpec, Site, SiteEvents, Style};
use crate::numeric::{Cast, CastWord, Format, Overflow};
use crate::tensor::{ConvGeometry, Word, Words, with_words};

/// An accumulator after the loop over one output word.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Accumulated {
    /// The accumulator, in raw words.
    pub raw: i128,
    /// The exact total of everything added, rounded down to a raw word.
    pub total: i128,
    /// Whether it overflowed, as [`SiteEvents::accumulator`] defines it.
    pub overflowed: bool,
    /// Whether any cast into it made a nonzero value zero.
    pub underflowed: bool,
    /// Whether any product overflowed.
    pub product_overflowed: bool,
    /// Whether any product underflowed.
    pub product_underflowed: bool,
}

/// Runs the loop of one output word, number `element` of its layer, over its (weight, activation)
/// pairs in accumulation order.
///
/// The exact style is the fused one with all products in one step: no loss on the way, one cast
/// after the loop.
pub fn accumulate(
    spec: &MacSpec,
    bias: Option<(Format, i64)>,
    operands: &[(i64, i64)],
    element: usize,
    draws: LayerDraws,
) -> Accumulated {
    let mut result = Accumulated::default();
    let grid = spec.accumulator.to().frac();
    let term_frac = spec.term_frac();
    let aligned = grid.max(term_frac);
    let align = |raw: i128, frac: i32| raw << (aligned - frac);

    let mut exact = 0;
    if let Some((format, raw)) = bias {
        let random = draws.draw(Site::Bias, element, 0);
        let word = spec.accumulator.apply(raw.into(), format.frac(), random);
        result.raw = word.raw;
        result.overflowed = word.overflowed;
        result.underflowed = word.underflowed;
        exact = align(aligned_bias(spec, format, raw, random), grid);
    }
    let products = match spec.style {
        Style::Exact => operands.len().max(1),
        Style::ProductCast | Style::Fused => spec.adder_tree,
    };
    for (step, operands) in operands.chunks(products).enumerate() {
        let mut term = 0;
        for (within, &(weight, activation)) in operands.iter().enumerate() {
            let random = || draws.draw(Site::Product, element, step * products + within);
            let word = product(spec, weight, activation, random);
            result.product_overflowed |= word.overflowed;
            result.product_underflowed |= word.underflowed;
            term += word.raw;
        }
        exact += align(term, term_frac);
        let random = draws.draw(Site::Accumulator, element, step);
        let word = add(spec, result.raw, term, random);
        result.raw = word.raw;
        result.overflowed |= word.overflowed;
        result.underflowed |= word.underflowed;
    }
    result.total = exact >> (aligned - grid);
    if wraps(spec.accumulator.overflow()) {
        result.overflowed = !spec.accumulator.to().contains(result.total);
    }
    result
}

/// A product as it is added: cast in the `product_cast` style, else exact.
#[inline]
pub(crate) fn product(
    spec: &MacSpec,
    weight: i64,
    activation: i64,
    random: impl FnOnce() -> u64,
) -> CastWord {
    let product = i128::from(weight) * i128::from(activation);
    match spec.style {
        Style::Fused | Style::Exact => {
            CastWord { raw: product, overflowed: false, underflowed: false }
        }
        Style::ProductCast => spec.product.apply(product, spec.product_frac(), random()),
    }
}

/// What an accumulator that holds `held` becomes when `term`, a sum of products, is added: one cast
/// of the exact sum.
#[inline]
pub(crate) fn add(spec: &MacSpec, held: i128, term: i128, random: u64) -> CastWord {
    let (grid, term_frac) = (spec.accumulator.to().frac(), spec.term_frac());
    let aligned = grid.max(term_frac);
    let sum = (held << (aligned - grid)) + (term << (aligned - term_frac));
    spec.accumulator.apply(sum, aligned, random)
}

/// A bias at the accumulator's binary point, rounded as its cast is, before overflow. Beyond 64
/// bits it stays at the ends of that range.
pub(crate) fn aligned_bias(spec: &MacSpec, format: Format, raw: i64, random: u64) -> i128 {
    let (rounding, frac) = (spec.accumulator.rounding(), spec.accumulator.to().frac());
    let wide = Format::new(true, 64, frac)
        .and_then(|wide| Cast::new(wide, rounding, Overflow::Saturate))
        .expect("64 bits at the binary point of a valid format, saturating, are a valid cast");
    wide.apply(raw.into(), format.frac(), random).raw
}

/// The (weight, activation) pairs of output channel `channel` at `pixel` in the canonical order;
/// positions in the padding are zero activations.
pub(crate) fn operands(
    geometry: &ConvGeometry,
    weights: &Words,
    input: &Words,
    pixel: usize,
    channel: usize,
) -> Vec<(i64, i64)> {
    let window = &geometry.window;
    let [kh, kw] = window.kernel;
    let [top, left, ..] = window.padding;
    let (row, column) = (pixel / geometry.output.width, pixel % geometry.output.width);
    let first_input = channel / geometry.group_outputs() * geometry.group_inputs();
    let mut pairs = Vec::with_capacity(geometry.reduction());
    for c in 0..geometry.group_inputs() {
        for ky in 0..kh {
            for kx in 0..kw {
                let y = (row * window.stride[0] + ky * window.dilation[0]).checked_sub(top);
                let x = (column * window.stride[1] + kx * window.dilation[1]).checked_sub(left);
                let activation = match (y, x) {
                    (Some(y), Some(x)) if y < geometry.input.height && x < geometry.input.width => {
                        let position = y * geometry.input.width + x;
                        input.get(position * geometry.input.channels + first_input + c)
                    }
                    _ => 0,
                };
                pairs.push((weights.get(channel * geometry.reduction() + pairs.len()), activation));
            }
        }
    }
    pairs
}

/// A whole layer for one image: `output` receives words of the epilogue's format, channels-last.
pub fn mac_layer(
    mac: &Mac<'_>,
    input: &Words,
    output: &mut Words,
    draws: LayerDraws,
    events: &mut SiteEvents,
) {
    let geometry = &mac.geometry;
    let [kh, kw] = geometry.window.kernel;
    let order = mac.order.reduction(geometry.group_inputs(), kh, kw);
    let channels = geometry.output.channels;
    for element in 0..geometry.output.len() {
        let (pixel, channel) = (element / channels, element % channels);
        let canonical = operands(geometry, mac.weights, input, pixel, channel);
        let ordered: Vec<_> = order.iter().map(|&k| canonical[k as usize]).collect();
        let bias = mac.bias.map(|(format, raw)| (format, raw[channel]));
        let sum = accumulate(&mac.spec, bias, &ordered, element, draws);
        let epilogue = mac.spec.epilogue.of_channel(mac.requantizers, channel);
        let spec = MacSpec { epilogue, ..mac.spec };
        let word = finish(&spec, &sum, element, draws, events);
        with_words!(output.buffer_mut(), out => out[element] = Word::from_raw(word));
    }
}

/// The output word of an accumulator; counts all that happened to it.
fn finish(
    spec: &MacSpec,
    sum: &Accumulated,
    element: usize,
    draws: LayerDraws,
    events: &mut SiteEvents,
) -> i64 {
    let random = draws.draw(Site::Output, element, 0);
    let word = spec.epilogue.apply(sum.raw, spec.accumulator.to().frac(), random);
    count(
        &mut events.product,
        spec.product.overflow(),
        sum.product_overflowed.into(),
        sum.product_underflowed.into(),
    );
    count(
        &mut events.accumulator,
        spec.accumulator.overflow(),
        sum.overflowed.into(),
        sum.underflowed.into(),
    );
    events.output.count(word, spec.epilogue.cast.overflow());
    let magnitude = u64::try_from(sum.total.unsigned_abs()).unwrap_or(u64::MAX);
    events.largest_accumulator = events.largest_accumulator.max(magnitude);
    word.raw as i64
}
