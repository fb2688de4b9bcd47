//! Softmax cross-entropy.

use ndarray::{Array4, ArrayView4, Axis};

/// The loss over some images.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Loss {
    /// Sum over the images of `log Σⱼ exp(zⱼ) − z_label`.
    pub total: f64,
    /// Images whose label has the largest output (the first of equal ones).
    pub correct: usize,
    /// Number of images.
    pub images: usize,
}

/// The loss of outputs z [images, classes, 1, 1] and its gradient by them: `softmax(z)` less 1 at
/// the label.
///
/// # Panics
///
/// If a label is no class.
pub fn cross_entropy(outputs: ArrayView4<f32>, labels: &[usize]) -> (Loss, Array4<f32>) {
    let mut loss = Loss::default();
    let mut gradient = outputs.to_owned();
    for (mut z, &label) in gradient.axis_iter_mut(Axis(0)).zip(labels) {
        let mut best = 0;
        let mut max = f32::NEG_INFINITY;
        for (class, &z) in z.iter().enumerate() {
            if z > max {
                (best, max) = (class, z);
            }
        }
        let at_label = z[[label, 0, 0]];
        z.mapv_inplace(|z| libm::expf(z - max));
        let sum = z.iter().fold(0.0, |sum, z| sum + z);
        z.mapv_inplace(|z| z / sum);
        z[[label, 0, 0]] -= 1.0;
        loss.total += f64::from(max - at_label) + libm::log(f64::from(sum));
        loss.correct += usize::from(best == label);
        loss.images += 1;
    }
    (loss, gradient)
}
