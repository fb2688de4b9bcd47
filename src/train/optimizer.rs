//! Stochastic gradient descent with momentum and weight decay, and learning-rate schedules.

use std::fmt;
use std::str::FromStr;

use ndarray::Zip;

use crate::error::{Error, Result};
use crate::network::Parameters;

/// Stochastic gradient descent: `v ← momentum · v + g + weight_decay · w`, `w ← w − rate · v`
/// (Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning",
/// section 2, with the rate outside of the velocity), all parameters alike.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sgd {
    /// Initial learning rate.
    pub learning_rate: f64,
    /// Momentum, at least 0 and below 1.
    pub momentum: f64,
    /// Weight decay, at least 0.
    pub weight_decay: f64,
}

impl Sgd {
    /// Refuses values outside of their ranges.
    pub(super) fn check(&self) -> Result<()> {
        let refused = |name: &str, value: f64, range: &str| {
            Err(Error::new(name, format_args!("is {value}, expected {range}")))
        };
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return refused("learning rate", self.learning_rate, "a positive number");
        }
        if !(0.0..1.0).contains(&self.momentum) {
            return refused("momentum", self.momentum, "a number from 0 up to but not including 1");
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return refused("weight decay", self.weight_decay, "a number of at least 0");
        }
        Ok(())
    }

    /// One step with the learning rate `rate`. Parameters without gradient stay as they are.
    pub(super) fn step(
        &self,
        rate: f64,
        parameters: &mut Parameters,
        gradient: &Parameters,
        velocity: &mut Parameters,
    ) {
        let (rate, momentum) = (rate as f32, self.momentum as f32);
        let decay = self.weight_decay as f32;
        for (name, gradient) in gradient {
            let Some(weights) = parameters.get_mut(name) else { continue };
            let velocity = velocity.entry(name.clone()).or_insert_with(|| 0.0 * gradient);
            Zip::from(weights).and(velocity).and(gradient).for_each(|w, v, g| {
                *v = momentum * *v + (g + decay * *w);
                *w -= rate * *v;
            });
        }
    }
}

/// The learning rate over time, as a factor of the initial one. In text `constant`, `cosine` or
/// `step:EPOCHS:FACTOR`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Schedule {
    /// Factor 1.
    Constant,
    /// `(1 + cos(π · t / T)) / 2` after t of T epochs (Loshchilov and Hutter 2017, "SGDR",
    /// equation 5, one period).
    Cosine,
    /// `factor^⌊t / epochs⌋` after t epochs.
    Step {
        /// Epochs between two steps, at least 1.
        epochs: usize,
        /// Factor of each step.
        factor: f64,
    },
}

impl Schedule {
    /// The factor after `time` of `total` epochs; `time` may have a fraction.
    pub fn factor(self, time: f64, total: usize) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Cosine => (1.0 + libm::cos(std::f64::consts::PI * time / total as f64)) / 2.0,
            Self::Step { epochs, factor } => libm::pow(factor, (time / epochs as f64).floor()),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Cosine => f.write_str("cosine"),
            Self::Step { epochs, factor } => write!(f, "step:{epochs}:{factor}"),
        }
    }
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let step = |rest: &str| {
            let (epochs, factor) = rest.split_once(':')?;
            let (epochs, factor) = (epochs.parse().ok()?, factor.parse().ok()?);
            (epochs > 0 && (0.0..=1.0).contains(&factor)).then_some(Self::Step { epochs, factor })
        };
        match text {
            "constant" => Some(Self::Constant),
            "cosine" => Some(Self::Cosine),
            _ => text.strip_prefix("step:").and_then(step),
        }
        .ok_or_else(|| {
            Error::new(format_args!("schedule `{text}`"), "is not known").remedy(
                "write constant, cosine, or step:EPOCHS:FACTOR with a factor from 0 to 1, \
                 such as step:10:0.1",
            )
        })
    }
}
