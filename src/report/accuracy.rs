//! Accuracy of classifiers and its confidence interval.

use serde::{Deserialize, Serialize};

/// Accuracy of the float network and of the quantized one on the same images, as fractions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Accuracy {
    /// The float network, where images have labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub float: Option<Score>,
    /// The quantized network, where images have labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantized: Option<Score>,
    /// Fraction of images on which both have the same first class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
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

/// Counts hits, image by image.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Tally {
    float: Hits,
    quantized: Hits,
    compared: u64,
    agreeing: u64,
}

#[derive(Clone, Copy, PartialEq, Default, Debug)]
struct Hits {
    images: u64,
    top1: u64,
    top5: u64,
}

impl Tally {
    /// Counts one image: its label, if it has one, and the class scores of both networks.
    pub fn add(&mut self, label: Option<usize>, quantized: &[f32], float: Option<&[f32]>) {
        if let Some(label) = label {
            self.quantized.add(quantized, label);
        }
        if let Some(float) = float {
            if let Some(label) = label {
                self.float.add(float, label);
            }
            self.compared += 1;
            self.agreeing += u64::from(first(float) == first(quantized));
        }
    }

    /// The fractions.
    pub fn accuracy(&self) -> Accuracy {
        let agreement = self.agreeing as f64 / self.compared as f64;
        Accuracy {
            float: self.float.score(),
            quantized: self.quantized.score(),
            agreement: (self.compared > 0).then_some(agreement),
        }
    }
}

impl Hits {
    fn add(&mut self, scores: &[f32], label: usize) {
        let rank = rank(scores, label);
        self.images += 1;
        self.top1 += u64::from(rank == 0);
        self.top5 += u64::from(rank < 5);
    }

    fn score(&self) -> Option<Score> {
        let fraction = |hits: u64| hits as f64 / self.images as f64;
        (self.images > 0).then(|| Score {
            top1: fraction(self.top1),
            top5: fraction(self.top5),
            ci95: wilson_interval(self.top1, self.images),
        })
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

    fn score(outputs: &[&[f32]], labels: &[usize]) -> Score {
        let mut tally = Tally::default();
        for (scores, &label) in outputs.iter().zip(labels) {
            tally.add(Some(label), scores, None);
        }
        tally.accuracy().quantized.unwrap()
    }

    #[test]
    fn ties_go_to_the_lower_class() {
        let outputs = [1.0, 3.0, 3.0, 0.0, 0.0, 0.0, 0.0].as_slice();
        let score = score(&[outputs; 3], &[1, 2, 6]);
        assert_eq!(score.top1, 1.0 / 3.0);
        assert_eq!(score.top5, 2.0 / 3.0);
    }

    #[test]
    fn a_label_without_a_score_is_never_right() {
        let score = score(&[&[1.0, 0.0]], &[7]);
        assert_eq!((score.top1, score.top5), (0.0, 0.0));
    }

    #[test]
    fn without_labels_there_is_agreement_only() {
        let mut tally = Tally::default();
        tally.add(None, &[0.0, 1.0], Some(&[0.0, 2.0]));
        tally.add(None, &[0.0, 1.0], Some(&[2.0, 0.0]));
        let expected = Accuracy { float: None, quantized: None, agreement: Some(0.5) };
        assert_eq!(tally.accuracy(), expected);
    }
}
