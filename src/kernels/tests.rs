//! Every path of a prepared kernel, on every instruction set, against the plain loops.

use proptest::prelude::*;

use super::dot::InstructionSet;
use super::testing::{Case, cases, fast_cases, proven_cases, s, wide_cases};
use super::{
    AccumulationOrder, Epilogue, LayerDraws, Mac, MacKernel, MacSpec, SiteEvents, Style, reference,
};
use crate::numeric::{Cast, Overflow, Rounding};
use crate::tensor::{ConvGeometry, Shape, Window, Words};

/// Words and events of the kernel on `set`, on so many threads.
fn run_on(threads: usize, case: &Case, set: InstructionSet) -> (Vec<i64>, SiteEvents) {
    let kernel = MacKernel::with(set, case.mac()).expect("a valid case");
    let mut output = Words::zeros(case.spec.epilogue.cast.to(), case.geometry.output.len());
    let (mut scratch, mut events) = (kernel.scratch().on(threads), SiteEvents::default());
    // Twice, so that what the first run leaves in the scratch meets the second.
    for _ in 0..2 {
        events = SiteEvents::default();
        kernel.run(&case.input, &mut output, &mut scratch, case.draws, &mut events);
    }
    (output.to_vec(), events)
}

fn run(case: &Case, set: InstructionSet) -> (Vec<i64>, SiteEvents) {
    run_on(1, case, set)
}

fn expected(case: &Case) -> (Vec<i64>, SiteEvents) {
    let mut output = Words::zeros(case.spec.epilogue.cast.to(), case.geometry.output.len());
    let mut events = SiteEvents::default();
    reference::mac_layer(&case.mac(), &case.input, &mut output, case.draws, &mut events);
    (output.to_vec(), events)
}

/// Stamps one property over every instruction set of this processor.
macro_rules! every_instruction_set {
    ($($name:ident($case:ident in $cases:expr) $body:block)*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(400))]
            $(#[test]
            fn $name($case in $cases) $body)*
        }
    };
}

fn check(case: &Case) -> Result<(), TestCaseError> {
    let expected = expected(case);
    for set in InstructionSet::available() {
        for threads in [1, 3] {
            let found = run_on(threads, case, set);
            prop_assert_eq!(found, expected.clone(), "{} on {}", set.name(), threads);
        }
    }
    Ok(())
}

every_instruction_set! {
    any_layer_is_the_reference(case in cases()) { check(&case)?; }

    the_fast_paths_are_the_reference(case in fast_cases()) { check(&case)?; }

    the_tiles_are_the_reference(case in proven_cases()) { check(&case)?; }

    the_wide_tiles_are_the_reference(case in wide_cases()) { check(&case)?; }

    // No partial sum in any order leaves the interval, so an accumulator that holds it never
    // overflows; nor does it depend on the order.
    a_proven_accumulator_never_overflows(case in fast_cases()) {
        let kernel = MacKernel::new(case.mac()).expect("a valid case");
        let bits = kernel.reach().bits();
        let accumulator = case.spec.accumulator;
        let wide = s(bits, accumulator.to().frac());
        let wide = Cast::new(wide, accumulator.rounding(), Overflow::Saturate).expect("saturates");
        let mut case = Case { spec: MacSpec { accumulator: wide, ..case.spec }, ..case };
        let (words, events) = expected(&case);
        prop_assert_eq!(events.accumulator.saturated, 0);
        if case.spec.style == Style::Exact {
            case.order = AccumulationOrder::default();
            prop_assert_eq!(expected(&case).0, words);
        }
    }
}

/// A dense layer of one output over `operands` (weight, activation), all `s8f0`.
fn dense(operands: &[(i64, i64)], spec: MacSpec) -> Case {
    let input = Shape::vector(operands.len());
    let window = Window::POINT;
    Case {
        spec,
        geometry: ConvGeometry { input, output: Shape::vector(1), window, groups: 1 },
        order: AccumulationOrder::default(),
        weights: Words::from_raw(spec.weights, operands.iter().map(|&(w, _)| w)),
        bias: None,
        input: Words::from_raw(spec.activations, operands.iter().map(|&(_, x)| x)),
        requantizers: Vec::new(),
        draws: LayerDraws::new(0, 0, 0),
    }
}

fn spec(style: Style, accumulator: Cast) -> MacSpec {
    let output = Cast::new(s(32, 0), Rounding::Floor, Overflow::Saturate).expect("a cast");
    MacSpec {
        style,
        adder_tree: 1,
        weights: s(8, 0),
        activations: s(8, 0),
        product: accumulator,
        accumulator,
        epilogue: Epilogue::cast(output),
    }
}

fn saturating(bits: u32, frac: i32) -> Cast {
    Cast::new(s(bits, frac), Rounding::Floor, Overflow::Saturate).expect("a cast")
}

/// s8: 100 + 100 sticks at 127, then − 100 gives 27; exact keeps 100 and has no overflow.
#[test]
fn saturation_depends_on_style_and_order() {
    let operands = [(100, 1), (100, 1), (-100, 1)];
    let one = |style| run(&dense(&operands, spec(style, saturating(8, 0))), InstructionSet::best());
    let (words, events) = one(Style::Fused);
    assert_eq!((words, events.accumulator.saturated), (vec![27], 1));
    assert_eq!(events.largest_accumulator, 100);
    let (words, events) = one(Style::Exact);
    assert_eq!((words, events.accumulator.saturated), (vec![100], 0));
    let alternating = [(100, 1), (-100, 1), (100, 1)];
    let case = dense(&alternating, spec(Style::Fused, saturating(8, 0)));
    let (words, events) = run(&case, InstructionSet::best());
    assert_eq!((words, events.accumulator.saturated), (vec![100], 0));
}

/// An adder tree of two sums 100 − 100 before it meets the accumulator.
#[test]
fn an_adder_tree_sums_exactly() {
    let operands = [(100, 1), (100, -1), (100, 1), (100, 1)];
    let tree = MacSpec { adder_tree: 2, ..spec(Style::Fused, saturating(8, 0)) };
    let (words, events) = run(&dense(&operands, tree), InstructionSet::best());
    assert_eq!((words, events.accumulator.saturated), (vec![127], 1));
    let operands = [(100, 1), (100, 1), (100, -1), (100, -1)];
    let one = run(&dense(&operands, spec(Style::Fused, saturating(8, 0))), InstructionSet::best());
    assert_eq!(one.0, [-73]);
}

/// Products 3 and 3 at one fractional bit dropped: floor(1.5) + floor(1.5) = 2, and the exact sum
/// is 3; the fused style casts 0 + 1.5 to 1 and 1 + 1.5 to 2.
#[test]
fn the_styles_differ_in_their_last_bits() {
    let operands = [(3, 1), (3, 1)];
    let of = |style| {
        let base = spec(style, saturating(16, -1));
        let output = Cast::new(s(16, -1), Rounding::Floor, Overflow::Saturate).expect("a cast");
        let spec = MacSpec { epilogue: Epilogue::cast(output), ..base };
        run(&dense(&operands, spec), InstructionSet::best()).0[0]
    };
    assert_eq!([of(Style::ProductCast), of(Style::Fused), of(Style::Exact)], [2, 2, 3]);
}

/// A wrapping accumulator that leaves its range on the way and comes back has not overflowed.
#[test]
fn wrapping_is_modular() {
    let wrap = Cast::new(s(8, 0), Rounding::Floor, Overflow::Wrap).expect("a cast");
    let back = dense(&[(100, 1), (100, 1), (100, -1)], spec(Style::Fused, wrap));
    let (words, events) = run(&back, InstructionSet::best());
    assert_eq!((words, events.accumulator.wrapped), (vec![100], 0));
    let out = dense(&[(100, 1), (100, 1)], spec(Style::Fused, wrap));
    let (words, events) = run(&out, InstructionSet::best());
    assert_eq!((words, events.accumulator.wrapped), (vec![200 - 256], 1));
    assert_eq!(events.largest_accumulator, 200);
}

/// A fused ReLU on an unsigned output: negative sums are cut off, not saturated.
#[test]
fn a_rectified_word_is_no_event() {
    let output = Cast::new("u8f0".parse().expect("a format"), Rounding::Floor, Overflow::Wrap);
    let relu = Epilogue { clamp: Some((0, 255)), ..Epilogue::cast(output.expect("a cast")) };
    let spec = MacSpec { epilogue: relu, ..spec(Style::Exact, saturating(32, 0)) };
    let (words, events) = run(&dense(&[(-3, 1)], spec), InstructionSet::best());
    assert_eq!((words, events.output), (vec![0], Default::default()));
    let (words, events) = run(&dense(&[(100, 3)], spec), InstructionSet::best());
    assert_eq!((words, events.output.wrapped), (vec![300 - 256], 1));
}

/// K = 3 activations in −128..=127, weights 1, −2, 3 and bias 5:
/// 5 − 128 − 254 − 384 = −761 and 5 + 127 + 256 + 381 = 769, which takes 11 bits.
#[test]
fn the_interval_follows_by_hand() {
    let mut case = dense(&[(1, 0), (-2, 0), (3, 0)], spec(Style::Exact, saturating(32, 0)));
    case.bias = Some((s(8, 0), vec![5]));
    let reach = MacKernel::new(case.mac()).expect("a valid layer").reach();
    assert_eq!((reach.low, reach.high, reach.bits()), (-761, 769, 11));
}

#[test]
fn what_does_not_fit_is_refused() {
    let kernel = |spec: MacSpec, weights: usize| {
        let case = dense(&[(1, 1), (2, 2)], spec);
        let weights = Words::zeros(spec.weights, weights);
        MacKernel::new(Mac { weights: &weights, ..case.mac() }).map(|_| ())
    };
    let good = spec(Style::ProductCast, saturating(16, 0));
    assert!(kernel(good, 2).is_ok());
    assert!(kernel(good, 3).is_err());
    assert!(kernel(MacSpec { adder_tree: 0, ..good }, 2).is_err());
    assert!(kernel(MacSpec { product: saturating(16, 1), ..good }, 2).is_err());
    assert!(kernel(MacSpec { weights: s(33, 0), ..good }, 2).is_err());
    assert!(kernel(spec(Style::Fused, saturating(16, 200)), 2).is_err());
}
