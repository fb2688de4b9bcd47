//! Affine quantization: `real = scale · (q − zero point)`, scales and zero points from the values.

use serde::Deserialize;

use crate::error::{Error, Result};

/// Affine quantization as a plan writes it. It stands for a whole tensor's encoding, not for one
/// value's, so that it takes part in the lowering and not in chains of quantizers.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AffineSpec {
    /// Width of the words, 2 to 16 bits.
    pub bits: u32,
    /// One scale for the tensor, or one by output channel (weights only).
    #[serde(default)]
    pub granularity: Granularity,
    /// Whether the zero point is the middle word; weights are so if not stated.
    pub symmetric: Option<bool>,
    /// Which scales are allowed.
    #[serde(default)]
    pub scale: Scale,
}

/// How many scales a tensor has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    /// One.
    #[default]
    Tensor,
    /// One by output channel.
    Channel,
}

/// Which scales are allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Any.
    #[default]
    Real,
    /// Powers of two: binary points.
    PowerOfTwo,
}

impl AffineSpec {
    /// Refuses widths that mean nothing.
    pub fn check(&self) -> Result<()> {
        if (2..=16).contains(&self.bits) {
            return Ok(());
        }
        Err(Error::new(
            "quantizer `affine`",
            format_args!("{} bits, 2 to 16 were expected", self.bits),
        ))
    }

    /// Scale and zero point of words from `low` to `high` that cover the values from `min` to `max`.
    /// Zero is always a value. A symmetric encoding has zero point 0 for signed words and uses the
    /// words −high to high; else the zero point is where the value 0 falls.
    pub fn encode(&self, [min, max]: [f64; 2], symmetric: bool) -> Encoded {
        let (min, max) = (min.min(0.0), max.max(0.0));
        let levels = ((1_i64 << self.bits) - 1) as f64;
        let signed_max = ((1_i64 << (self.bits - 1)) - 1) as f64;
        let exact = if symmetric { max.max(-min) / signed_max } else { (max - min) / levels };
        let scale = self.allowed(if exact > 0.0 { exact } else { 1.0 });
        if symmetric {
            return Encoded { scale, zero_point: 0, signed: true };
        }
        // Ends beyond the words by less than half a scale round onto them.
        let zero_point = (-min / f64::from(scale)).round_ties_even().clamp(0.0, levels);
        Encoded { scale, zero_point: zero_point as i64, signed: false }
    }

    /// The nearest allowed scale that is not smaller.
    fn allowed(&self, scale: f64) -> f32 {
        let real = scale.max(f64::from(f32::MIN_POSITIVE)) as f32;
        match self.scale {
            Scale::Real => real,
            Scale::PowerOfTwo => (scale.log2().ceil().clamp(-126.0, 126.0)).exp2() as f32,
        }
    }
}

/// An encoding settled from values.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Encoded {
    /// Scale.
    pub scale: f32,
    /// Zero point.
    pub zero_point: i64,
    /// Whether the words are signed.
    pub signed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(bits: u32, scale: Scale) -> AffineSpec {
        AffineSpec { bits, granularity: Granularity::Tensor, symmetric: None, scale }
    }

    /// −1 to 2 over the 15 steps of 4 bits is 0.2 a step, and zero is 5 steps from the bottom.
    /// Symmetric, 2 is 7 steps; with powers of two the next larger scale.
    #[test]
    fn encodings_by_hand() {
        let real = spec(4, Scale::Real);
        let asymmetric = real.encode([-1.0, 2.0], false);
        assert_eq!((asymmetric.scale, asymmetric.zero_point, asymmetric.signed), (0.2, 5, false));
        let symmetric = real.encode([-1.0, 2.0], true);
        assert_eq!((symmetric.scale, symmetric.zero_point), ((2.0_f64 / 7.0) as f32, 0));
        let power = spec(4, Scale::PowerOfTwo);
        assert_eq!(
            power.encode([-1.0, 2.0], false),
            Encoded { scale: 0.25, zero_point: 4, signed: false }
        );
        assert_eq!(power.encode([-1.0, 2.0], true).scale, 0.5);
        assert_eq!(real.encode([0.0, 0.0], false).scale, 1.0);
        assert_eq!(real.encode([0.5, 1.5], false).zero_point, 0);
    }
}
