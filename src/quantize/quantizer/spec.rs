//! Quantizers as plans write them, and how they are settled.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    AffineSpec, BinarySpec, FixedSpec, Layout, NOfM, PowerOfTwoSpec, Quantizer, SmallFloatSpec,
    TernarySpec, Threshold, TopK, WordFormat,
};
use crate::error::{Error, Result};
use crate::quantize::{Distribution, Method};

/// A quantizer with its automatic parts still open.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum QuantizerSpec {
    /// Fixed point.
    Fixed(FixedSpec),
    /// Scales and zero points; the whole network is lowered by them.
    Affine(AffineSpec),
    /// Signed or unsigned powers of two.
    PowerOfTwo(PowerOfTwoSpec),
    /// ±m.
    Binary(BinarySpec),
    /// −m, 0, m.
    Ternary(TernarySpec),
    /// A small float of stated bits.
    Float(SmallFloatSpec),
    /// Small values become zero.
    Threshold(Threshold),
    /// Only the largest stay.
    TopK(TopK),
    /// Only the largest of each group of channels stay.
    NOfM(NOfM),
    /// Values stay as they are.
    None(Empty),
    /// Any other, settled, from a program.
    #[serde(skip)]
    Custom(Arc<dyn Quantizer>),
}

/// No parameters.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// What is known of the values at a site when its quantizer is settled.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The site, for messages.
    pub site: &'a str,
    /// The values; `None` without calibration.
    pub distribution: Option<&'a Distribution>,
    /// Whether a value can be below zero, if that is known without values.
    pub signed: Option<bool>,
    /// How binary points are chosen.
    pub method: Method,
}

impl<'a> Seen<'a> {
    /// Nothing is known.
    pub fn nothing(site: &'a str) -> Self {
        Self { site, distribution: None, signed: None, method: Method::Max }
    }

    /// The values.
    ///
    /// # Errors
    /// If there was no calibration.
    pub fn distribution(&self) -> Result<&'a Distribution> {
        self.distribution.ok_or_else(|| {
            Error::new(self.site, "needs calibration, and there are no training images to do it on")
                .remedy(
                    "use a dataset with training or calibration images (`calibration` in its .toml), \
                     or state the format in full (s8f6)",
                )
        })
    }

    /// Whether no value is below zero.
    ///
    /// # Errors
    /// If that is not known and there was no calibration.
    pub fn nonnegative(&self) -> Result<bool> {
        match self.signed {
            Some(signed) => Ok(!signed),
            None => Ok(self.distribution()?.min() >= 0.0),
        }
    }
}

impl QuantizerSpec {
    /// Refuses parameters that mean nothing.
    ///
    /// # Errors
    /// Names the quantizer and the parameter.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Fixed(spec) => spec.check(),
            Self::Affine(spec) => spec.check(),
            Self::PowerOfTwo(spec) => spec.check(),
            Self::Binary(spec) => spec.check(),
            Self::Ternary(spec) => spec.check(),
            Self::Float(spec) => spec.check(),
            Self::Threshold(spec) => spec.check(),
            Self::TopK(spec) => spec.check(),
            Self::NOfM(spec) => spec.check(),
            Self::None(_) | Self::Custom(_) => Ok(()),
        }
    }

    /// Settles what is automatic from the values seen.
    ///
    /// # Errors
    /// If something automatic needs values and there are none, or a fixed-point format is wider
    /// than an operand.
    pub fn fit(&self, seen: &Seen) -> Result<Arc<dyn Quantizer>> {
        match self {
            Self::Fixed(spec) => spec.fit(seen),
            Self::Affine(_) => Err(Error::new(
                seen.site,
                "an affine quantizer needs the values of a trained network",
            )
            .remedy("run it on a network with weights, or use kind = \"fixed\"")),
            Self::PowerOfTwo(spec) => spec.fit(seen),
            Self::Binary(spec) => spec.fit(seen),
            Self::Ternary(spec) => spec.fit(seen),
            Self::Float(spec) => Ok(spec.fit()),
            Self::Threshold(spec) => Ok(Arc::new(*spec)),
            Self::TopK(spec) => Ok(Arc::new(*spec)),
            Self::NOfM(spec) => Ok(Arc::new(*spec)),
            Self::None(_) => Ok(Arc::new(Identity)),
            Self::Custom(quantizer) => Ok(Arc::clone(quantizer)),
        }
    }
}

/// Leaves values as they are.
#[derive(Clone, Copy, Debug)]
struct Identity;

impl Quantizer for Identity {
    fn quantize(&self, _: &mut [f64], _: Layout) {}

    fn words(&self) -> WordFormat {
        WordFormat::Kept
    }

    fn describe(&self) -> String {
        "none".into()
    }
}
