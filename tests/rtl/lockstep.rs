//! The element and the requantizers in lock-step with the C library, under Verilator.

use crate::tools::{Bench, ready, run, sources, target, work};

/// Chains of each style.
const CHAINS: u64 = 10_000_000;

/// Figures of a line `name … number` that the bench prints.
fn figure(text: &str, name: &str) -> u64 {
    let line = text.lines().find(|line| line.starts_with(name));
    let word = line.and_then(|line| line.split_whitespace().last());
    word.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no `{name}` in\n{text}"))
}

#[test]
fn chains_in_lock_step_with_the_library() {
    let library = target().join("capi/libbittrue.a");
    let path = library.to_string_lossy().into_owned();
    if !ready("lock-step with the C library", &["verilator", &path]) {
        return;
    }
    let folder = work("lockstep");
    let packages = [sources().join("../../src/verify/capi/bittrue_pkg.sv")];
    let bench = Bench {
        top: "lockstep",
        parameters: &[],
        fault: 0,
        packages: &packages,
        library: Some(&library),
    };
    let (text, took) = run(bench.verilator(&folder).arg(format!("+chains={CHAINS}")));
    for style in ["product_cast", "fused", "exact"] {
        let chains = figure(&text, &format!("chains {style}"));
        assert!(chains >= CHAINS, "{chains} chains of {style}");
    }
    let checks = figure(&text, "checks");
    println!(
        "lock-step: {checks} checks in {:.1} s, {:.1} million a second\n{text}",
        took.as_secs_f64(),
        checks as f64 / took.as_secs_f64() / 1e6
    );
    assert_eq!(figure(&text, "errors"), 0, "{text}");
}
