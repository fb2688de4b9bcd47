//! Likely causes of a divergence: datapaths that differ in one thing from the stated one and give
//! exactly what the design gave, for the words that differ and for words that do not.

use crate::error::Result;
use crate::kernels::Style;
use crate::numeric::{Overflow, Rounding};
use crate::verify::{Chain, ChainSpec};

/// An output word: its operands, and what the design made of them.
pub(super) struct Sample {
    pub channel: usize,
    pub bias: i64,
    pub operands: Vec<(i64, i64)>,
    pub actual: i64,
}

/// What of a chain is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Observed {
    Accumulator,
    Requantized,
    Output,
}

/// A datapath that differs in one thing.
struct Suspect {
    what: String,
    spec: ChainSpec,
    change: Change,
}

/// What a change of formats and modes cannot say.
#[derive(Clone, Copy, Debug)]
enum Change {
    None,
    UnsignedWeights,
    UnsignedActivations,
    NoBias,
    Reversed,
    SwappedPairs,
    DroppedFirst,
    DroppedLast,
    /// The accumulator is so much more before requantization.
    Offset(i64),
    /// Every accumulation ends in these bounds.
    AccumulatorBounds(i128, i128),
    /// The output word ends in these bounds.
    OutputBounds(i128, i128),
}

/// The things of which each alone explains all samples.
pub(super) fn causes(spec: &ChainSpec, observed: Observed, samples: &[Sample]) -> Vec<String> {
    let explains = |suspect: &Suspect| {
        !samples.is_empty()
            && samples.iter().all(|sample| {
                evaluate(suspect, observed, sample)
                    .is_ok_and(|word| word == i128::from(sample.actual))
            })
    };
    suspects(spec, observed).into_iter().filter(explains).map(|suspect| suspect.what).collect()
}

fn evaluate(suspect: &Suspect, observed: Observed, sample: &Sample) -> Result<i128> {
    let chain = suspect.spec.chain(None, sample.channel)?;
    let unsigned = |format: crate::numeric::Format, word: i64| format.pattern(word.into()) as i64;
    let mut operands = sample.operands.clone();
    let mut bias = sample.bias;
    match suspect.change {
        Change::UnsignedWeights => {
            operands.iter_mut().for_each(|(w, _)| *w = unsigned(suspect.spec.weights, *w));
        }
        Change::UnsignedActivations => {
            operands.iter_mut().for_each(|(_, x)| *x = unsigned(suspect.spec.activations, *x));
        }
        Change::NoBias => bias = 0,
        Change::Reversed => operands.reverse(),
        Change::SwappedPairs => {
            operands.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
        }
        Change::DroppedFirst => drop(operands.drain(..operands.len().min(1))),
        Change::DroppedLast => drop(operands.pop()),
        Change::None
        | Change::Offset(_)
        | Change::AccumulatorBounds(..)
        | Change::OutputBounds(..) => {}
    }
    let accumulator = match suspect.change {
        Change::AccumulatorBounds(low, high) => bounded(&chain, bias, &operands, low, high),
        _ => chain.accumulate(bias, &operands).raw,
    };
    if observed == Observed::Accumulator {
        return Ok(accumulator);
    }
    let accumulator = match suspect.change {
        Change::Offset(offset) => accumulator + i128::from(offset),
        _ => accumulator,
    };
    let word = match observed {
        Observed::Requantized => chain.before_activation(accumulator).raw,
        _ => chain.requantize(accumulator).raw,
    };
    Ok(match suspect.change {
        Change::OutputBounds(low, high) => word.clamp(low, high),
        _ => word,
    })
}

fn bounded(chain: &Chain, bias: i64, operands: &[(i64, i64)], low: i128, high: i128) -> i128 {
    let exact = chain.spec().style == Style::Exact;
    let clamp = |accumulator: i128| {
        if exact { accumulator } else { accumulator.clamp(low, high) }
    };
    let start = clamp(chain.start(bias));
    let last = operands
        .chunks(chain.products())
        .fold(start, |accumulator, operands| clamp(chain.step(accumulator, operands)));
    chain.finish(last).clamp(low, high)
}

fn suspects(spec: &ChainSpec, observed: Observed) -> Vec<Suspect> {
    let mut suspects = Vec::new();
    let mut changed = |what: String, spec: ChainSpec| {
        suspects.push(Suspect { what, spec, change: Change::None });
    };
    let beyond = observed != Observed::Accumulator;
    for &rounding in Rounding::ALL {
        if rounding == Rounding::Stochastic {
            continue;
        }
        let mut sites = vec![("accumulator", spec.accumulator.rounding)];
        if beyond && spec.requantizer.is_empty() {
            sites.push(("output", spec.output.rounding));
        }
        sites.extend(spec.product.map(|product| ("product", product.rounding)));
        for (site, stated) in sites.into_iter().filter(|(_, stated)| *stated != rounding) {
            let mut other = spec.clone();
            match (site, &mut other.product) {
                ("accumulator", _) => other.accumulator.rounding = rounding,
                ("product", Some(product)) => product.rounding = rounding,
                _ => other.output.rounding = rounding,
            }
            changed(format!("the {site} rounds {rounding} instead of {stated}"), other);
        }
    }
    for &overflow in Overflow::ALL {
        let mut sites = vec![("accumulator", spec.accumulator.overflow)];
        if beyond && spec.requantizer.is_empty() {
            sites.push(("output", spec.output.overflow));
        }
        sites.extend(spec.product.map(|product| ("product", product.overflow)));
        for (site, stated) in sites.into_iter().filter(|(_, stated)| *stated != overflow) {
            let mut other = spec.clone();
            match (site, &mut other.product) {
                ("accumulator", _) => other.accumulator.overflow = overflow,
                ("product", Some(product)) => product.overflow = overflow,
                _ => other.output.overflow = overflow,
            }
            changed(format!("the {site} overflows by {overflow} instead of {stated}"), other);
        }
    }
    if beyond && spec.clamp.is_some() {
        let other = ChainSpec { clamp: None, ..spec.clone() };
        changed("the activation function is missing".into(), other);
    }
    let stated = spec.style;
    for style in [Style::ProductCast, Style::Fused, Style::Exact] {
        if Some(style) != stated {
            let other = ChainSpec { style: Some(style), product: None, ..spec.clone() };
            let stated = stated.map(|style| style.to_string()).unwrap_or_default();
            changed(format!("the style is {style} instead of {stated}"), other);
        }
    }
    for adder_tree in [1, 2, 4, 8, 16, 32] {
        if spec.adder_tree.is_some_and(|stated| stated != adder_tree) {
            let other = ChainSpec { adder_tree: Some(adder_tree), ..spec.clone() };
            changed(format!("the adder tree sums {adder_tree} products"), other);
        }
    }
    let mut change = |what: &str, change: Change| {
        suspects.push(Suspect { what: what.into(), spec: spec.clone(), change });
    };
    if spec.weights.is_signed() {
        change("weights are not sign-extended", Change::UnsignedWeights);
    }
    if spec.activations.is_signed() {
        change("activations are not sign-extended", Change::UnsignedActivations);
    }
    change("the bias is missing", Change::NoBias);
    change("products are accumulated in reverse order", Change::Reversed);
    change("products are accumulated with neighbours swapped", Change::SwappedPairs);
    change("the first product is missing", Change::DroppedFirst);
    change("the last product is missing", Change::DroppedLast);
    let (low, high) = (spec.accumulator.format.min(), spec.accumulator.format.max());
    change(
        "the accumulator saturates one below its largest word",
        Change::AccumulatorBounds(low, high - 1),
    );
    change(
        "the accumulator saturates one above its smallest word",
        Change::AccumulatorBounds(low + 1, high),
    );
    change(
        "the accumulator saturates one short of both ends",
        Change::AccumulatorBounds(low + 1, high - 1),
    );
    if beyond {
        change("the constant added to round the output is one too large", Change::Offset(1));
        change("the constant added to round the output is one too small", Change::Offset(-1));
        let (low, high) = (spec.output.format.min(), spec.output.format.max());
        change(
            "the output saturates one below its largest word",
            Change::OutputBounds(low, high - 1),
        );
        change(
            "the output saturates one above its smallest word",
            Change::OutputBounds(low + 1, high),
        );
        change(
            "the output saturates one short of both ends",
            Change::OutputBounds(low + 1, high - 1),
        );
    }
    suspects
}

/// What the differences, expected and actual words of `bits` bits, have in common.
pub(super) fn pattern(differences: &[(i64, i64)], bits: u32) -> Option<String> {
    let delta = |&(expected, actual): &(i64, i64)| i128::from(actual) - i128::from(expected);
    let all = |test: &dyn Fn(i128) -> bool| differences.iter().map(delta).all(test);
    let first = delta(differences.first()?);
    if all(&|d| d == first) {
        return Some(format!("every differing word is {first:+} off"));
    }
    if all(&|d| d.abs() == 1) {
        return Some("every differing word is one off: a rounding or a bound".into());
    }
    if all(&|d| d % (1 << (bits - 1)) == 0) {
        return Some("differing words differ in the sign bit alone".into());
    }
    let flipped = differences.iter().fold((u64::MAX, 0), |(and, or), &(expected, actual)| {
        let bits = (expected ^ actual) as u64;
        (and & bits, or | bits)
    });
    (flipped.0 == flipped.1 && flipped.0.is_power_of_two())
        .then(|| format!("every differing word has bit {} flipped", flipped.0.trailing_zeros()))
}
