//! Accuracy of classifiers and its confidence interval.

use serde::{Deserialize, Serialize};

/// Accuracy of the float network and of the quantized one on the same images, as fractions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Accuracy {
    /// The float network.
    pub float: Score,
    /// The quantized network.
    pub quantized: Score,
    /// Fraction of images on which both have the same first class.
    pub agreement: f64,
}

/// How often the label is among the first classes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Score {
    /// Fraction with the label first.
    pub top1: f64,
    /// Fraction with the label among the first five.
    pub top5: f64,
    /// 95 % Wilson interval of `top1`.
    pub ci95: [f64; 2],
}

impl Accuracy {
    /// Compares the outputs of both networks, image by image, with the labels.
    pub fn of<'a>(
        float: impl Iterator<Item = &'a [f32]> + Clone,
        quantized: impl Iterator<Item = &'a [f32]> + Clone,
        labels: impl Iterator<Item = usize> + Clone,
    ) -> Self {
        let images = labels.clone().count();
        let agreeing =
            float.clone().zip(quantized.clone()).filter(|(f, q)| first(f) == first(q)).count();
        Self {
            float: Score::of(float, labels.clone()),
            quantized: Score::of(quantized, labels),
            agreement: agreeing as f64 / images.max(1) as f64,
        }
    }
}

impl Score {
    /// Scores `outputs` (one slice of class scores an image) against `labels`.
    pub fn of<'a>(
        outputs: impl Iterator<Item = &'a [f32]>,
        labels: impl Iterator<Item = usize>,
    ) -> Self {
        let (mut images, mut top1, mut top5) = (0, 0, 0);
        for (scores, label) in outputs.zip(labels) {
            let rank = rank(scores, label);
            images += 1;
            top1 += u64::from(rank == 0);
            top5 += u64::from(rank < 5);
        }
        let fraction = |hits: u64| hits as f64 / images.max(1) as f64;
        Self { top1: fraction(top1), top5: fraction(top5), ci95: wilson_interval(top1, images) }
    }
}

/// Classes placed before `label`: a higher score first, of equal scores the lower class.
fn rank(scores: &[f32], label: usize) -> usize {
    match scores.get(label) {
        Some(own) => (scores.iter().enumerate())
            .filter(|&(class, score)| score > own || (score == own && class < label))
            .count(),
        None => scores.len().max(5),
    }
}

/// The class of the highest score; of equal scores the lowest class.
fn first(scores: &[f32]) -> Option<usize> {
    (0..scores.len()).find(|&class| rank(scores, class) == 0)
}

/// The 95 % score interval of a binomial proportion (E. B. Wilson, "Probable inference, the law of
/// succession, and statistical inference", JASA 22, 1927), z = 1.959964.
pub fn wilson_interval(hits: u64, trials: u64) -> [f64; 2] {
    if trials == 0 {
        return [0.0, 1.0];
    }
    const Z: f64 = 1.959_963_984_540_054;
    let (n, p) = (trials as f64, hits as f64 / trials as f64);
    let scale = 1.0 + Z * Z / n;
    let centre = (p + Z * Z / (2.0 * n)) / scale;
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt() / scale;
    [(centre - half).max(0.0), (centre + half).min(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The interval's ends are the p at which (p̂ − p)² = z² p(1 − p)/n.
    #[test]
    fn interval_ends_solve_the_score_equation() {
        for (hits, trials) in [(0, 10), (1, 10), (9_891, 10_000), (50, 100), (10, 10)] {
            let observed = hits as f64 / trials as f64;
            for p in wilson_interval(hits, trials) {
                let variance = p * (1.0 - p) / trials as f64;
                let residual =
                    (observed - p).powi(2) - 1.959_963_984_540_054_f64.powi(2) * variance;
                assert!(residual.abs() < 1e-12, "{hits}/{trials}: {p}");
            }
        }
    }

    #[test]
    fn ties_go_to_the_lower_class() {
        let outputs = [[1.0, 3.0, 3.0, 0.0, 0.0, 0.0, 0.0f32]; 3];
        let score = Score::of(outputs.iter().map(|o| &o[..]), [1, 2, 6].into_iter());
        assert_eq!(score.top1, 1.0 / 3.0);
        assert_eq!(score.top5, 2.0 / 3.0);
    }

    #[test]
    fn a_label_without_a_score_is_never_right() {
        let score = Score::of([[1.0f32, 0.0].as_slice()].into_iter(), [7].into_iter());
        assert_eq!((score.top1, score.top5), (0.0, 0.0));
    }
}
