//! A positive quantity that is known at a few sizes.

/// A positive function of a positive size, given at points. Between two points it is the power
/// law through them (a straight line over logarithms), beyond the ends the law of the last two
/// points goes on; a single point is a constant.
#[derive(Clone, PartialEq, Debug)]
pub struct Curve(Vec<(f64, f64)>);

impl Curve {
    /// A curve through `points`, (size, value). `None` unless there is a point, all sizes and
    /// values are finite and above zero, and the sizes increase.
    pub fn new(points: Vec<(f64, f64)>) -> Option<Self> {
        let positive = |v: f64| v.is_finite() && v > 0.0;
        let sound = !points.is_empty()
            && points.iter().all(|&(size, value)| positive(size) && positive(value))
            && points.windows(2).all(|pair| pair[0].0 < pair[1].0);
        sound.then_some(Self(points))
    }

    /// The points, (size, value), by increasing size.
    pub fn points(&self) -> &[(f64, f64)] {
        &self.0
    }

    /// Whether a larger point never has a smaller value.
    pub fn never_falls(&self) -> bool {
        self.0.windows(2).all(|pair| pair[0].1 <= pair[1].1)
    }

    /// The value at a `size` above zero.
    pub fn at(&self, size: f64) -> f64 {
        let segments = self.0.windows(2);
        let last = segments.len().saturating_sub(1);
        let containing = segments.enumerate().find(|(i, pair)| *i == last || size <= pair[1].0);
        match containing {
            None => self.0[0].1,
            Some((_, pair)) => {
                let [(x0, y0), (x1, y1)] = [pair[0], pair[1]];
                let exponent = (y1 / y0).ln() / (x1 / x0).ln();
                y0 * (size / x0).powf(exponent)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_points_lie_on_the_curve_and_the_law_goes_on_beyond_them() {
        // A square law up to 4, a cube law from there.
        let curve = Curve::new(vec![(1.0, 3.0), (4.0, 48.0), (8.0, 384.0)]).unwrap();
        let expected = [(0.5, 0.75), (1.0, 3.0), (2.0, 12.0), (4.0, 48.0), (8.0, 384.0)];
        for (size, value) in expected.into_iter().chain([(16.0, 3072.0)]) {
            assert!((curve.at(size) / value - 1.0).abs() < 1e-12, "{size}: {}", curve.at(size));
        }
    }

    #[test]
    fn one_point_is_a_constant() {
        let curve = Curve::new(vec![(8.0, 2.5)]).unwrap();
        assert_eq!([curve.at(1.0), curve.at(8.0), curve.at(1e9)], [2.5; 3]);
    }

    #[test]
    fn unsound_points_are_refused() {
        for points in [
            vec![],
            vec![(0.0, 1.0)],
            vec![(1.0, 0.0)],
            vec![(1.0, f64::NAN)],
            vec![(f64::INFINITY, 1.0)],
            vec![(2.0, 1.0), (1.0, 1.0)],
            vec![(1.0, 1.0), (1.0, 2.0)],
        ] {
            assert_eq!(Curve::new(points.clone()), None, "{points:?}");
        }
    }
}
