//! The values seen at a site: what calibration knows of it.

use rayon::prelude::*;

use crate::error::{Error, Result};

/// Values and how often each was seen. Weights are held exactly; activations by bins, see
/// [`Histogram`], with their extremes exact.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Distribution {
    points: Vec<(f64, u64)>,
    min: f64,
    max: f64,
}

impl Distribution {
    /// The values themselves; `site` is named if one is not finite.
    pub fn of(site: &str, values: &[f32]) -> Result<Self> {
        match values.iter().position(|v| !v.is_finite()) {
            Some(at) => Err(Error::new(
                site,
                format_args!("value {at} is {}; every value must be finite", values[at]),
            )),
            None => Ok(Self::new(values.iter().map(|&v| (f64::from(v), 1)).collect())),
        }
    }

    /// Finite values with their counts.
    pub(crate) fn new(points: Vec<(f64, u64)>) -> Self {
        let seen = || points.iter().map(|p| p.0);
        let (min, max) = if points.is_empty() {
            (0.0, 0.0)
        } else {
            (seen().fold(f64::INFINITY, f64::min), seen().fold(f64::NEG_INFINITY, f64::max))
        };
        Self { points, min, max }
    }

    /// Values and counts.
    pub fn points(&self) -> &[(f64, u64)] {
        &self.points
    }

    /// Smallest value; 0 if there is none.
    pub fn min(&self) -> f64 {
        self.min
    }

    /// Largest value; 0 if there is none.
    pub fn max(&self) -> f64 {
        self.max
    }

    /// Largest magnitude.
    pub fn max_magnitude(&self) -> f64 {
        self.max.max(-self.min)
    }

    /// Mean magnitude of the values above `threshold` in magnitude; 0 if there is none.
    pub fn mean_magnitude(&self, threshold: f64) -> f64 {
        let above = self.points.iter().filter(|(value, _)| value.abs() > threshold);
        let (sum, count) = above
            .fold((0.0, 0), |(sum, count), &(value, n)| (sum + value.abs() * n as f64, count + n));
        if count == 0 { 0.0 } else { sum / count as f64 }
    }

    /// The smallest magnitude that at least `percent` % of the values do not exceed.
    pub fn percentile(&self, percent: f64) -> f64 {
        let mut magnitudes: Vec<_> = self.points.iter().map(|&(v, n)| (v.abs(), n)).collect();
        magnitudes.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let total: u64 = magnitudes.iter().map(|m| m.1).sum();
        let wanted = (percent / 100.0 * total as f64).ceil() as u64;
        let mut seen = 0;
        let found = magnitudes.iter().find(|(_, n)| {
            seen += n;
            seen >= wanted
        });
        found.map_or(0.0, |m| m.0)
    }

    /// The distribution of `f` of the values.
    pub(crate) fn map(&self, f: impl Fn(&mut [f64])) -> Self {
        let (mut values, counts): (Vec<_>, Vec<_>) = self.points.iter().copied().unzip();
        let mut ends = [self.min, self.max];
        f(&mut values);
        f(&mut ends);
        let mapped = Self::new(values.into_iter().zip(counts).collect());
        Self { min: mapped.min.min(ends[0]), max: mapped.max.max(ends[1]), ..mapped }
    }
}

/// Counts of float32 values by sign, exponent and the first seven bits of the fraction: relative
/// bin width below 2^−7. Integer counts, so the order of counting cannot matter.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    min: f32,
    max: f32,
}

const DROPPED: u32 = 16;
const CHUNK: usize = 1 << 18;

impl Default for Histogram {
    fn default() -> Self {
        let counts = vec![0; 1 << (32 - DROPPED)];
        Self { counts, min: f32::INFINITY, max: f32::NEG_INFINITY }
    }
}

impl Histogram {
    /// Counts `values`, over the threads if they are many. Returns whether all were finite.
    pub fn add(&mut self, values: &[f32]) -> bool {
        if values.len() <= CHUNK {
            return self.count(values);
        }
        let parts: Vec<_> = values
            .par_chunks(CHUNK)
            .map(|chunk| {
                let mut part = Self::default();
                let finite = part.count(chunk);
                (part, finite)
            })
            .collect();
        for (part, _) in &parts {
            self.counts.iter_mut().zip(&part.counts).for_each(|(sum, count)| *sum += count);
            (self.min, self.max) = (self.min.min(part.min), self.max.max(part.max));
        }
        parts.iter().all(|&(_, finite)| finite)
    }

    fn count(&mut self, values: &[f32]) -> bool {
        let mut finite = true;
        for &value in values {
            finite &= value.is_finite();
            self.counts[(value.to_bits() >> DROPPED) as usize] += 1;
            (self.min, self.max) = (self.min.min(value), self.max.max(value));
        }
        finite
    }

    /// The distribution of the values: each bin's middle within the extremes, and the extremes
    /// themselves.
    pub fn distribution(&self) -> Distribution {
        if self.min > self.max {
            return Distribution::default();
        }
        let points = self
            .counts
            .iter()
            .enumerate()
            .filter(|&(_, &count)| count > 0)
            .map(|(bin, &count)| {
                let (bin, half) = ((bin as u32) << DROPPED, 1 << (DROPPED - 1));
                let middle = if bin << 1 == 0 { 0.0 } else { f32::from_bits(bin | half) };
                (f64::from(middle.clamp(self.min, self.max)), count)
            })
            .collect();
        Distribution { points, min: self.min.into(), max: self.max.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_of_values() {
        let seen = Distribution::of("w", &[-4.0, 1.0, 1.0, 2.0]).unwrap();
        assert_eq!((seen.min(), seen.max(), seen.max_magnitude()), (-4.0, 2.0, 4.0));
        assert_eq!(seen.mean_magnitude(-1.0), 2.0);
        assert_eq!(seen.mean_magnitude(1.0), 3.0);
        assert_eq!(seen.mean_magnitude(9.0), 0.0);
        assert_eq!(seen.percentile(50.0), 1.0);
        assert_eq!(seen.percentile(75.0), 2.0);
        assert_eq!(seen.percentile(100.0), 4.0);
        assert!(Distribution::of("w", &[0.0, f32::NAN]).is_err());
        assert_eq!(Distribution::of("w", &[]).unwrap().max_magnitude(), 0.0);
    }

    #[test]
    fn a_histogram_is_close_and_does_not_depend_on_the_order() {
        let mut values: Vec<f32> = (0..CHUNK + 1000).map(|i| (i as f32).sin() * 3.0).collect();
        let exact = Distribution::of("x", &values).unwrap();
        let mut forward = Histogram::default();
        assert!(forward.add(&values));
        values.reverse();
        let mut backward = Histogram::default();
        for part in values.chunks(777) {
            assert!(backward.add(part));
        }
        let seen = forward.distribution();
        assert_eq!(seen, backward.distribution());
        assert_eq!((seen.min(), seen.max()), (exact.min(), exact.max()));
        for (close, to) in [
            (seen.mean_magnitude(-1.0), exact.mean_magnitude(-1.0)),
            (seen.percentile(90.0), exact.percentile(90.0)),
        ] {
            assert!((close / to - 1.0).abs() < 1.0 / 128.0, "{close} {to}");
        }
        assert!(!forward.add(&[f32::INFINITY]));
    }

    #[test]
    fn zeros_stay_zero() {
        let mut seen = Histogram::default();
        seen.add(&[0.0, -0.0, 0.0]);
        let seen = seen.distribution();
        assert!(seen.points().iter().all(|p| p.0 == 0.0));
        assert_eq!(seen.max_magnitude(), 0.0);
    }
}
