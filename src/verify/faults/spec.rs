//! What is to break, from a file or from the command line.

use std::path::Path;

use globset::{Glob, GlobMatcher};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files;

const REMEDY: &str = "docs/verification.md describes the keys of a fault file";

/// Faults of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// Seed of the draws; the run's, if left out.
    pub seed: Option<u64>,
    /// The faults.
    pub fault: Vec<Fault>,
}

/// Words in which bits break.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultSite {
    /// Weight words, for all images.
    Weights,
    /// Words of the feature map that the layer writes, as they are stored.
    Activations,
    /// The accumulators of output words.
    Accumulator,
}

/// What happens to a bit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// It is inverted once.
    Flip,
    /// It is always 0.
    #[serde(rename = "stuck_at_0")]
    StuckAt0,
    /// It is always 1.
    #[serde(rename = "stuck_at_1")]
    StuckAt1,
}

/// One fault, or one rate of faults.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The words.
    pub site: FaultSite,
    /// What happens to them.
    pub kind: FaultKind,
    /// Layers, by a pattern with `*` and `?`.
    #[serde(default = "every_layer")]
    pub layer: String,
    /// Probability with which each bit is hit.
    pub rate: Option<f64>,
    /// Number of the word, in the order of the golden memory.
    pub element: Option<usize>,
    /// The bit, from the lowest; with a rate the only one that can be hit.
    pub bit: Option<u32>,
    /// Accumulations before the bit of an accumulator flips; all of them, if left out, and with a
    /// rate a number that is drawn.
    pub step: Option<usize>,
    /// The image; all, if left out.
    pub image: Option<usize>,
}

fn every_layer() -> String {
    "*".into()
}

/// Which bits of the words of a site are hit.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Hits {
    /// Each with a probability.
    Rate(f64),
    /// One.
    One {
        /// The word.
        element: usize,
        /// The bit.
        bit: u32,
    },
}

impl FaultSpec {
    /// A file `.toml`, or `SITE:KIND:RATE` with an optional `:LAYER`, such as
    /// `weights:flip:1e-4:conv*`.
    ///
    /// # Errors
    /// If the file cannot be read or states what cannot be.
    pub fn open(file_or_text: &str) -> Result<Self> {
        if file_or_text.ends_with(".toml") {
            let text = files::read_text(Path::new(file_or_text))?;
            let spec: Self =
                files::parse_toml(file_or_text, &text).map_err(|e| e.remedy(REMEDY))?;
            return spec.checked().map_err(|e| e.within(file_or_text));
        }
        let refused = || {
            Error::new(format_args!("fault `{file_or_text}`"), "is not SITE:KIND:RATE[:LAYER]")
                .remedy("write for example weights:flip:1e-4 or activations:stuck_at_0:0.001:conv*")
        };
        let mut parts = file_or_text.splitn(4, ':');
        let mut word = || parts.next().map(serde_json::Value::from);
        let (site, kind) = (word().ok_or_else(refused)?, word().ok_or_else(refused)?);
        let rate = parts.next().and_then(|rate| rate.parse().ok()).ok_or_else(refused)?;
        let fault = Fault {
            site: serde_json::from_value(site).map_err(|_| refused())?,
            kind: serde_json::from_value(kind).map_err(|_| refused())?,
            layer: parts.next().map_or_else(every_layer, str::to_owned),
            rate: Some(rate),
            element: None,
            bit: None,
            step: None,
            image: None,
        };
        Self { seed: None, fault: vec![fault] }.checked()
    }

    fn checked(self) -> Result<Self> {
        if self.fault.is_empty() {
            return Err(Error::new("fault", "there is none").remedy(REMEDY));
        }
        for (number, fault) in self.fault.iter().enumerate() {
            let named = |e: Error| e.within(format_args!("fault {}", number + 1)).remedy(REMEDY);
            fault.hits().map_err(named)?;
            fault.layers().map_err(named)?;
            if fault.step.is_some() && fault.site != FaultSite::Accumulator {
                return Err(named(Error::new("step", "belongs to accumulators")));
            }
            if fault.image.is_some() && fault.site == FaultSite::Weights {
                return Err(named(Error::new("image", "weights are the same for all images")));
            }
        }
        Ok(self)
    }
}

impl Fault {
    /// Which bits are hit.
    ///
    /// # Errors
    /// If it states neither or both of a rate and a place.
    pub fn hits(&self) -> Result<Hits> {
        match (self.rate, self.element, self.bit) {
            (Some(rate), None, _) if (0.0..=1.0).contains(&rate) => Ok(Hits::Rate(rate)),
            (Some(rate), None, _) => {
                Err(Error::new("rate", format_args!("{rate} is not between 0 and 1")))
            }
            (None, Some(element), Some(bit)) => Ok(Hits::One { element, bit }),
            _ => Err(Error::new("rate", "give either a rate, or an element and a bit")),
        }
    }

    /// The layers.
    ///
    /// # Errors
    /// If the pattern is malformed.
    pub fn layers(&self) -> Result<GlobMatcher> {
        let glob = Glob::new(&self.layer).map_err(|e| Error::new("layer", e))?;
        Ok(glob.compile_matcher())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_from_the_command_line() {
        let spec = FaultSpec::open("weights:flip:1e-4:conv*").unwrap();
        let fault = &spec.fault[0];
        assert_eq!((fault.site, fault.kind), (FaultSite::Weights, FaultKind::Flip));
        assert_eq!(fault.hits().unwrap(), Hits::Rate(1e-4));
        assert!(fault.layers().unwrap().is_match("conv2"));
        assert_eq!(FaultSpec::open("activations:stuck_at_1:1").unwrap().fault[0].layer, "*");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for text in ["weights", "weights:flip", "w:flip:0.1", "weights:drop:0.1", "weights:flip:x"]
        {
            assert!(FaultSpec::open(text).unwrap_err().to_string().contains("SITE"), "{text}");
        }
        assert!(FaultSpec::open("weights:flip:1.5").is_err());
        let file = |text: &str| {
            toml::from_str::<FaultSpec>(text).map_err(|e| Error::new("file", e))?.checked()
        };
        let fault = "[[fault]]\nsite = \"accumulator\"\nkind = \"flip\"\n";
        assert!(file(&format!("{fault}element = 3\nbit = 2\nstep = 1\nimage = 0\n")).is_ok());
        assert!(file(fault).is_err());
        assert!(file(&format!("{fault}element = 3\n")).is_err());
        assert!(file(&format!("{fault}rate = 0.1\nelement = 3\nbit = 1\n")).is_err());
        assert!(file(&format!("{fault}rate = 0.1\ncolour = 1\n")).is_err());
        assert!(
            file("[[fault]]\nsite = \"weights\"\nkind = \"flip\"\nrate = 0.1\nimage = 1").is_err()
        );
        assert!(file("fault = []").is_err());
    }
}
