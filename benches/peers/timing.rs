//! Ratios of alternating measurements.

use std::time::Instant;

/// Seconds that `work` takes.
pub fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// The middle one of `values`.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Medians of seconds of `ours` and `theirs`, measured in alternation, and of theirs over ours.
pub fn alternate(
    rounds: usize,
    mut ours: impl FnMut() -> f64,
    mut theirs: impl FnMut() -> f64,
) -> [f64; 3] {
    let pairs: Vec<[f64; 2]> = (0..rounds).map(|_| [ours(), theirs()]).collect();
    let part = |value: fn(&[f64; 2]) -> f64| median(pairs.iter().map(value).collect());
    [part(|pair| pair[0]), part(|pair| pair[1]), part(|pair| pair[1] / pair[0])]
}
