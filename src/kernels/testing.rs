//! Strategies for the tests of this room.

use std::ops::RangeInclusive;

use proptest::prelude::*;
use proptest::sample::select;

use crate::kernels::{AccumulationOrder, Epilogue, LayerDraws, Mac, MacSpec, Style};
use crate::numeric::{Cast, Format, Overflow, Requantizer, RequantizerKind, Rounding};
use crate::tensor::{ConvGeometry, Shape, Window, Words};

/// A multiply-accumulate layer with its operands.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub spec: MacSpec,
    pub geometry: ConvGeometry,
    pub order: AccumulationOrder,
    pub weights: Words,
    pub bias: Option<(Format, Vec<i64>)>,
    pub input: Words,
    pub requantizers: Vec<Requantizer>,
    pub draws: LayerDraws,
}

impl Case {
    pub fn mac(&self) -> Mac<'_> {
        Mac {
            spec: self.spec,
            range: self.spec.all_activations(),
            geometry: self.geometry,
            order: &self.order,
            weights: &self.weights,
            bias: self.bias.as_ref().map(|(format, raw)| (*format, &raw[..])),
            requantizers: &self.requantizers,
        }
    }
}

/// A signed format.
pub(crate) fn s(bits: u32, frac: i32) -> Format {
    Format::new(true, bits, frac).expect("a valid format")
}

pub(crate) fn formats(bits: RangeInclusive<u32>) -> impl Strategy<Value = Format> {
    (any::<bool>(), bits, -4i32..12)
        .prop_map(|(signed, bits, frac)| Format::new(signed, bits, frac).expect("a valid format"))
}

/// Casts into `formats`, of any rounding and overflow.
pub(crate) fn casts_to(formats: impl Strategy<Value = Format>) -> impl Strategy<Value = Cast> {
    (formats, select(Rounding::ALL), select(Overflow::ALL))
        .prop_filter_map("a corner that is refused", |(format, rounding, overflow)| {
            Cast::new(format, rounding, overflow).ok()
        })
}

/// Casts into formats of `bits`.
pub(crate) fn casts(bits: RangeInclusive<u32>) -> impl Strategy<Value = Cast> {
    casts_to(formats(bits))
}

/// Whether a cast never draws a random number.
pub(crate) fn deterministic(cast: &Cast) -> bool {
    cast.rounding() != Rounding::Stochastic
}

/// Small convolutions with every kind of window and grouping.
pub(crate) fn geometries() -> impl Strategy<Value = ConvGeometry> {
    let pair = |range: RangeInclusive<usize>| [range.clone(), range];
    let window = (pair(1..=3), pair(1..=2), [0usize..=2, 0..=2, 0..=2, 0..=2], pair(1..=2));
    let channels = prop_oneof![
        4 => (select(&[1usize, 1, 2, 3][..]), 1usize..=4, 1usize..=20),
        1 => (14usize..=40, Just(1), 1usize..=2),
    ];
    (window, channels, pair(1..=6)).prop_filter_map("the kernel is larger than the map", |g| {
        let ((kernel, stride, padding, dilation), (groups, inputs, outputs), [height, width]) = g;
        let window = Window { kernel, stride, padding, dilation };
        let input = Shape::new(groups * inputs, height, width);
        let [rows, columns] = window.output(input)?;
        let output = Shape::new(groups * outputs, rows, columns);
        Some(ConvGeometry { input, output, window, groups })
    })
}

/// Convolutions of some more channels, and depthwise ones.
fn wider_geometries() -> impl Strategy<Value = ConvGeometry> {
    let channels = prop_oneof![
        (1usize..=2, 1usize..=9, 1usize..=52),
        (1usize..=40).prop_map(|channels| (channels, 1, 1)),
    ];
    let sizes = (1usize..=3, 1usize..=2, 0usize..=1, 3usize..=5);
    (channels, sizes).prop_map(|((groups, inputs, outputs), (kernel, stride, padding, size))| {
        let padding = [padding; 4];
        let window = Window { kernel: [kernel; 2], stride: [stride; 2], padding, dilation: [1; 2] };
        let input = Shape::new(groups * inputs, size, size);
        let [rows, columns] = window.output(input).expect("a kernel of at most the map's size");
        let output = Shape::new(groups * outputs, rows, columns);
        ConvGeometry { input, output, window, groups }
    })
}

pub(crate) fn orders() -> impl Strategy<Value = AccumulationOrder> {
    let orders: [&[&str]; 3] = [
        &["input_channel", "kernel_row", "kernel_column"],
        &["kernel_row", "kernel_column", "input_channel"],
        &["input_channel/2", "kernel_column", "kernel_row", "input_channel"],
    ];
    select(orders.to_vec()).prop_map(|loops| {
        let loops: Vec<_> = loops.iter().map(|l| l.to_string()).collect();
        AccumulationOrder::try_from(loops).expect("a well-formed nest")
    })
}

/// Words of `format`, half of them zero, the others often at the ends of the range.
pub(crate) fn words(format: Format, len: usize) -> impl Strategy<Value = Words> {
    let (min, max) = (format.min() as i64, format.max() as i64);
    let word = prop_oneof![4 => Just(0), 4 => min..=max, 1 => Just(min), 1 => Just(max)];
    prop::collection::vec(word, len).prop_map(move |raw| Words::from_raw(format, raw.into_iter()))
}

/// Layers whose sites are those of `specs`.
fn layers(
    specs: impl Strategy<Value = MacSpec>,
    geometries: impl Strategy<Value = ConvGeometry>,
) -> impl Strategy<Value = Case> {
    let bias = prop::option::of(formats(1..=20));
    (specs, geometries, orders(), bias, any::<u64>()).prop_flat_map(
        |(spec, geometry, order, bias, seed)| {
            let operands = (
                words(spec.weights, geometry.weights()),
                words(spec.activations, geometry.input.len()),
                words(bias.unwrap_or(spec.weights), geometry.output.channels),
                requantizers(spec, geometry.output.channels),
            );
            operands.prop_map(move |(weights, input, biases, requantizers)| Case {
                spec,
                geometry,
                order: order.clone(),
                weights,
                bias: bias.map(|format| (format, biases.to_vec())),
                input,
                requantizers,
                draws: LayerDraws::new(seed, 3, 5),
            })
        },
    )
}

/// Layers of words of up to 16 bits whose accumulator is proven and nearly always takes more than 32
/// bits: every other one has weights at the ends of the range alone.
pub(crate) fn wide_cases() -> impl Strategy<Value = Case> {
    let styles = select(vec![Style::ProductCast, Style::Fused, Style::Exact]);
    let operand = || prop_oneof![4 => formats(16..=16), 2 => formats(9..=15), 1 => formats(2..=8)];
    let overflow = select(vec![Overflow::Saturate, Overflow::SaturateZero, Overflow::Wrap]);
    let sites = (operand(), operand(), 40u32..=60, overflow, epilogues());
    let specs = (styles, sites).prop_map(|(style, sites)| {
        let (weights, activations, bits, overflow, epilogue) = sites;
        let weights = Format::new(true, weights.bits(), weights.frac()).expect("a valid format");
        let wide = s(bits, weights.frac() + activations.frac());
        let accumulator = Cast::new(wide, Rounding::Floor, overflow).expect("a valid cast");
        let product = accumulator;
        MacSpec { style, adder_tree: 1, weights, activations, product, accumulator, epilogue }
    });
    let dense = (1usize..=1500, 1usize..=3).prop_map(|(inputs, outputs)| {
        let (input, output) = (Shape::vector(inputs), Shape::vector(outputs));
        ConvGeometry { input, output, window: Window::POINT, groups: 1 }
    });
    let geometries = prop_oneof![4 => wider_geometries(), 1 => dense];
    (layers(specs, geometries), any::<[bool; 2]>()).prop_map(|(mut case, full)| {
        for (words, full) in [(&mut case.weights, full[0]), (&mut case.input, full[1])] {
            let format = words.format();
            let ends = [format.min(), format.max()].map(|end| end as i64);
            let word = |index| match full {
                true => ends[usize::from(words.get(index) > 0)],
                false => words.get(index),
            };
            *words = Words::from_raw(format, (0..words.len()).map(word));
        }
        case
    })
}

/// None, or one by output channel within a range: float32 or multiplier and shift of a real scale,
/// or a shift.
fn requantizers(spec: MacSpec, channels: usize) -> impl Strategy<Value = Vec<Requantizer>> {
    let (frac, cast) = (spec.accumulator.to().frac(), spec.epilogue.cast);
    let to = spec.epilogue.cast.to();
    // Sums of b bits become words for scales of about 2^−b and more.
    let least = -(spec.accumulator.to().bits() as i32).min(31);
    let scales = prop::collection::vec((1u32..1 << 20, least..4), channels);
    (0..4, scales, -4i64..4).prop_map(move |(kind, scales, low)| {
        let of = |(fraction, exponent): &(u32, i32)| {
            let scale = f64::from(*fraction) * 2f64.powi(exponent - 20);
            let requantizer = match kind {
                1 => Requantizer::float32(scale as f32, to),
                2 => Requantizer::new(RequantizerKind::Shift, frac + exponent % 4, cast),
                _ => Requantizer::scaled(scale, to),
            };
            requantizer.expect("a scale within bounds").within(low, i64::MAX)
        };
        if kind == 0 { Vec::new() } else { scales.iter().map(of).collect() }
    })
}

fn epilogues() -> impl Strategy<Value = Epilogue> {
    (casts(1..=16), any::<bool>()).prop_map(|(cast, relu)| Epilogue {
        clamp: relu.then_some((0, cast.to().max() as i64)),
        ..Epilogue::cast(cast)
    })
}

/// Layers of any sites, most of which need the ordered loop or the reference.
pub(crate) fn cases() -> impl Strategy<Value = Case> {
    let styles = select(vec![Style::ProductCast, Style::Fused, Style::Exact]);
    let operand = || prop_oneof![formats(1..=8), formats(9..=16), formats(1..=32)];
    let accumulators = casts_to(formats(4..=40));
    let sites = (operand(), operand(), casts(4..=20), accumulators, epilogues());
    let specs = (styles, 1usize..=4, sites).prop_map(|(style, adder_tree, sites)| {
        let (weights, activations, product, accumulator, epilogue) = sites;
        let point = product.to().frac().min(accumulator.to().frac());
        let to = product.to().with_frac(point).expect("a valid format");
        let product = Cast::new(to, product.rounding(), product.overflow()).expect("a valid cast");
        MacSpec { style, adder_tree, weights, activations, product, accumulator, epilogue }
    });
    layers(specs, geometries())
}

/// Layers of which no product loses bits and whose accumulator is just about wide enough, so that
/// the proof, the check against the data and the ordered loop all happen.
pub(crate) fn fast_cases() -> impl Strategy<Value = Case> {
    let styles = select(vec![Style::ProductCast, Style::Fused, Style::Exact]);
    let operand = || prop_oneof![formats(2..=8), formats(9..=16), formats(17..=20)];
    let accumulator = (select(Overflow::ALL), 0u32..=8, 0i32..=2);
    let sites = (operand(), operand(), accumulator, epilogues());
    let specs = (styles, 1usize..=4, sites).prop_map(|(style, adder_tree, sites)| {
        let (weights, activations, (overflow, guard, shift), epilogue) = sites;
        let frac = weights.frac() + activations.frac();
        let bits = weights.bits() + activations.bits() + guard;
        let cast = |format| Cast::new(format, Rounding::Floor, overflow).expect("a valid cast");
        let accumulator = cast(s(bits, frac + shift));
        let product = cast(s(bits, frac));
        MacSpec { style, adder_tree, weights, activations, product, accumulator, epilogue }
    });
    layers(specs, geometries())
}

/// Layers of words of 8 or 9 bits and more, signed and unsigned, whose accumulator of 32 bits is
/// nearly always proven.
pub(crate) fn proven_cases() -> impl Strategy<Value = Case> {
    let styles = select(vec![Style::ProductCast, Style::Fused, Style::Exact]);
    let operand = || prop_oneof![4 => formats(8..=8), 1 => formats(2..=7), 1 => formats(9..=12)];
    let sites = (operand(), operand(), select(Overflow::ALL), epilogues());
    let specs = (styles, sites).prop_map(|(style, (weights, activations, overflow, epilogue))| {
        let wide = s(32, weights.frac() + activations.frac());
        let accumulator = Cast::new(wide, Rounding::HalfEven, overflow);
        let accumulator = accumulator.or_else(|_| Cast::new(wide, Rounding::Floor, overflow));
        let accumulator = accumulator.expect("a valid cast");
        let product = accumulator;
        MacSpec { style, adder_tree: 1, weights, activations, product, accumulator, epilogue }
    });
    layers(specs, wider_geometries())
}
