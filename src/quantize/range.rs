//! Calibrators: which range of the values seen the words shall cover.

use super::{Distribution, Method};

/// Fractions of the extremes that the search of [`Method::Mse`] tries: 1, 63/64, … 1/4.
const STEPS: u32 = 64;
const FEWEST: u32 = 16;
/// Bins of the magnitudes in [`Method::Entropy`].
const BINS: usize = 2048;

impl Distribution {
    /// The range [min, max] that `method` chooses for words of `bits` bits. `error` gives the squared
    /// error of a range, for [`Method::Mse`].
    pub(super) fn range(
        &self,
        method: Method,
        bits: u32,
        error: impl Fn([f64; 2]) -> f64,
    ) -> [f64; 2] {
        let all = [self.min(), self.max()];
        let clipped = |threshold: f64| all.map(|end| end.clamp(-threshold, threshold));
        match method {
            Method::Max => all,
            Method::Percentile(percent) => clipped(self.percentile(percent)),
            Method::Entropy => clipped(self.entropy_threshold(bits)),
            Method::Mse => {
                let candidates = (FEWEST..=STEPS).rev().map(|step| {
                    let fraction = f64::from(step) / f64::from(STEPS);
                    let range = all.map(|end| end * fraction);
                    (error(range), range)
                });
                // Of equal errors the first, which clips least.
                let best =
                    candidates.reduce(|best, next| if next.0 < best.0 { next } else { best });
                best.map_or(all, |(_, range)| range)
            }
        }
    }

    /// The threshold on magnitudes at which the quantized distribution diverges least from the clipped
    /// one: the least Kullback-Leibler divergence over thresholds at bins of a histogram, each
    /// distribution quantized to the positive words of `bits` bits (S. Migacz, "8-bit inference with
    /// TensorRT", GTC 2017, the method's pseudocode).
    pub fn entropy_threshold(&self, bits: u32) -> f64 {
        let (largest, levels) = (self.max_magnitude(), 1_usize << (bits.clamp(2, 11) - 1));
        if largest == 0.0 {
            return 0.0;
        }
        let width = largest / BINS as f64;
        let mut histogram = vec![0.0; BINS];
        // Zeros are exact whatever the threshold.
        for &(value, count) in self.points().iter().filter(|(value, _)| *value != 0.0) {
            histogram[((value.abs() / width) as usize).min(BINS - 1)] += count as f64;
        }
        let divergences = (levels..=BINS).map(|kept| (divergence(&histogram, kept, levels), kept));
        // Of equal divergences the last, which clips least.
        let best = divergences.reduce(|best, next| if next.0 <= best.0 { next } else { best });
        best.map_or(largest, |(_, kept)| kept as f64 * width)
    }
}

/// The divergence of the first `kept` bins, what lies beyond them added to the last, from themselves
/// merged into `levels` and spread again over the bins that are not empty.
fn divergence(histogram: &[f64], kept: usize, levels: usize) -> f64 {
    let beyond: f64 = histogram[kept..].iter().sum();
    let total: f64 = histogram.iter().sum();
    let merged: f64 = histogram[..kept].iter().sum();
    if merged == 0.0 {
        return f64::INFINITY;
    }
    let mut sum = 0.0;
    for level in 0..levels {
        let bins = level * kept / levels..(level + 1) * kept / levels;
        let inside: f64 = histogram[bins.clone()].iter().sum();
        let filled = histogram[bins.clone()].iter().filter(|&&count| count > 0.0).count();
        for bin in bins {
            let last = if bin + 1 == kept { beyond } else { 0.0 };
            let p = (histogram[bin] + last) / total;
            if p > 0.0 {
                let spread = inside / filled.max(1) as f64 / merged;
                // A bin that only what lies beyond fills has nothing to be compared with.
                let q = if histogram[bin] > 0.0 { spread } else { f64::MIN_POSITIVE };
                sum += p * (p / q).ln();
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Many values up to 1 and a lone one at 16: the outlier is clipped by all but the maximum.
    #[test]
    fn an_outlier_is_clipped() {
        let values: Vec<f32> =
            (0..100_000).map(|i| (i % 1000) as f32 / 1000.0).chain([16.0]).collect();
        let seen = Distribution::of("x", &values).unwrap();
        let squared = |range: [f64; 2]| {
            let scale = range[1] / 15.0;
            let error = |v: f64| v - (v / scale).round().min(15.0) * scale;
            seen.points().iter().map(|&(v, n)| error(v).powi(2) * n as f64).sum()
        };
        assert_eq!(seen.range(Method::Max, 4, squared), [0.0, 16.0]);
        // 99 % of 100 001 values are 99 001, one more than those up to 0.989.
        let percentile = seen.range(Method::Percentile(99.0), 4, squared);
        assert_eq!(percentile, [0.0, f64::from(0.99_f32)]);
        let [_, mse] = seen.range(Method::Mse, 4, squared);
        assert!(mse < 16.0, "{mse}");
        let [_, entropy] = seen.range(Method::Entropy, 4, squared);
        assert!(entropy < 2.0, "{entropy}");
    }

    /// As many bins as levels lose nothing, so that the divergence is that of clipping alone.
    #[test]
    fn a_distribution_of_few_values_is_kept_whole() {
        let values: Vec<f32> = (1..=8).flat_map(|v| [v as f32; 10]).collect();
        let seen = Distribution::of("x", &values).unwrap();
        assert!(seen.entropy_threshold(8) > 7.9);
        assert_eq!(Distribution::default().entropy_threshold(8), 0.0);
    }
}
