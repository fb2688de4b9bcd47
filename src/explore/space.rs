//! The space file: what is swept, over which axes, under which constraints.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;
use toml::{Table, Value};

use super::axes::{Axes, Axis};
use super::device::Device;
use crate::error::{Error, Result};
use crate::files;
use crate::hardware::Hardware;

/// A space of designs, as its file states it.
#[derive(Clone, Debug)]
pub struct Space {
    /// The file's name, for messages.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Network: shipped name or file.
    pub network: String,
    /// Plan: shipped name or file; the default plan if none.
    pub plan: Option<String>,
    /// Hardware model: shipped name or file.
    pub hw: String,
    /// Dataset; the network's own if none.
    pub data: Option<String>,
    /// Images; all of them if none, or 1 where operands are synthetic.
    pub images: Option<usize>,
    /// Fractions of nonzero weights and activations of synthetic operands.
    pub synthetic: Option<[f64; 2]>,
    /// Seed of the sample, of stochastic rounding and of synthetic operands.
    pub seed: u64,
    /// Points to sample; all if none.
    pub sample: Option<u64>,
    /// The axes.
    pub axes: Axes,
    /// What every point of the result satisfies.
    pub constraints: Vec<Constraint>,
}

/// What a point must satisfy.
#[derive(Clone, PartialEq, Debug)]
pub enum Constraint {
    /// It fits a device.
    Fits(Device),
    /// A column compared with a number.
    Column {
        /// The column: an axis, or one of the results.
        column: String,
        /// The comparison.
        comparison: Comparison,
        /// The number.
        bound: f64,
    },
}

/// Comparisons with a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Comparison {
    Less,
    AtMost,
    Equal,
    Unequal,
    AtLeast,
    Greater,
}

const COMPARISONS: [(&str, Comparison); 6] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("==", Comparison::Equal),
    ("!=", Comparison::Unequal),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

impl Comparison {
    /// Whether `value` compares so with `bound`.
    pub fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Less => value < bound,
            Self::AtMost => value <= bound,
            Self::Equal => value == bound,
            Self::Unequal => value != bound,
            Self::AtLeast => value >= bound,
            Self::Greater => value > bound,
        }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fits(device) => write!(f, "fits {}", device.name),
            Self::Column { column, comparison, bound } => {
                let sign = COMPARISONS.iter().find(|c| c.1 == *comparison).map_or("", |c| c.0);
                write!(f, "{column} {sign} {bound}")
            }
        }
    }
}

impl FromStr for Constraint {
    type Err = Error;

    /// `energy_pj <= 1e6`.
    fn from_str(text: &str) -> Result<Self> {
        let parsed = COMPARISONS.iter().find_map(|&(sign, comparison)| {
            let (column, bound) = text.split_once(sign)?;
            Some((column.trim().to_owned(), comparison, bound.trim().parse().ok()?))
        });
        match parsed {
            Some((column, comparison, bound)) if !column.is_empty() && !f64::is_nan(bound) => {
                Ok(Self::Column { column, comparison, bound })
            }
            _ => Err(Error::new(
                format_args!("constraint `{text}`"),
                "is not a column, a comparison and a number",
            )
            .remedy("write require = \"energy_pj <= 1e6\"; <, >, >=, == and != work too")),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default = "default_network")]
    network: String,
    plan: Option<String>,
    #[serde(default = "default_hardware")]
    hw: String,
    data: Option<String>,
    images: Option<usize>,
    synthetic: Option<[f64; 2]>,
    #[serde(default)]
    seed: u64,
    sample: Option<u64>,
    #[serde(default)]
    axes: Table,
    #[serde(default)]
    linked: Vec<LinkedFile>,
    #[serde(default)]
    constraint: Vec<ConstraintFile>,
}

fn default_network() -> String {
    "lenet5".into()
}

fn default_hardware() -> String {
    Hardware::DEFAULT.into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkedFile {
    keys: Vec<String>,
    values: Vec<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConstraintFile {
    fits: Option<String>,
    require: Option<String>,
}

impl ConstraintFile {
    fn build(self) -> Result<Constraint> {
        match (self.fits, self.require) {
            (Some(device), None) => Ok(Constraint::Fits(Device::named(&device)?)),
            (None, Some(text)) => text.parse(),
            _ => Err(Error::new("[[constraint]]", "has not exactly one of `fits` and `require`")
                .remedy("write fits = \"zynq7020\", or require = \"energy_pj <= 1e6\"")),
        }
    }
}

impl Space {
    /// Reads a space file.
    ///
    /// # Errors
    /// If it cannot be read or is refused by [`Self::parse`].
    pub fn open(path: &Path) -> Result<Self> {
        Self::parse(&path.display().to_string(), &files::read_text(path)?)
    }

    /// Parses the text of the space file `name`.
    ///
    /// # Errors
    /// If it is not of the form in `docs/exploration.md`.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let file: File = files::parse_toml(name, text)
            .map_err(|e| e.remedy("docs/exploration.md describes the space file"))?;
        let refuse = |key: &str, problem: &str| {
            Err(Error::new(format_args!("{name}, `{key}`"), problem)
                .remedy("give at least 1, or leave it out"))
        };
        if file.images == Some(0) {
            return refuse("images", "0 images leave nothing to run");
        }
        if file.sample == Some(0) {
            return refuse("sample", "0 points leave nothing to run");
        }
        let fraction = |f: &f64| (0.0..=1.0).contains(f);
        if file.synthetic.is_some_and(|densities| !densities.iter().all(fraction)) {
            return Err(Error::new(format_args!("{name}, `synthetic`"), "is not two fractions")
                .remedy("write the fractions of nonzero weights and activations: [0.4, 0.6]"));
        }
        let linked = file.linked.into_iter().map(|l| Axis { keys: l.keys, values: l.values });
        let constraints = file.constraint.into_iter().map(ConstraintFile::build);
        Ok(Self {
            name: name.to_owned(),
            text: text.to_owned(),
            network: file.network,
            plan: file.plan,
            hw: file.hw,
            data: file.data,
            images: file.images,
            synthetic: file.synthetic,
            seed: file.seed,
            sample: file.sample,
            axes: Axes::new(&file.axes, linked.collect()).map_err(|e| e.within(name))?,
            constraints: constraints.collect::<Result<_>>().map_err(|e| e.within(name))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_reads_as_written() {
        let text = "network = \"fcnet\"\nplan = \"int4\"\nimages = 9\nsynthetic = [0.5, 1]\nseed = 3\n\
                    sample = 2\n[axes]\nhw.zeros.weights = [\"none\", \"skip\"]\n[[linked]]\n\
                    keys = [\"hw.array.rows\", \"hw.array.columns\"]\nvalues = [[8, 8], [16, 32]]\n\
                    [[constraint]]\nfits = \"zynq7020\"\n[[constraint]]\nrequire = \"cycles<1e5\"\n";
        let space = Space::parse("s.toml", text).unwrap();
        assert_eq!(
            (space.axes.len(), space.sample, space.hw.as_str()),
            (Some(4), Some(2), Hardware::DEFAULT)
        );
        let shown: Vec<_> = space.constraints.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["fits zynq7020", "cycles < 100000"]);
        assert_eq!(space.axes.point(3).len(), 3);
    }

    #[test]
    fn what_a_space_cannot_be_is_refused() {
        for (text, part) in [
            ("colour = 1", "unknown field"),
            ("images = 0", "`images`"),
            ("sample = 0", "`sample`"),
            ("synthetic = [0.5, 2]", "two fractions"),
            ("[[constraint]]\nfits = \"zynq\"", "zynq"),
            ("[[constraint]]\nrequire = \"cycles\"", "comparison"),
            ("[[constraint]]\nrequire = \"cycles <= few\"", "comparison"),
            ("[[constraint]]", "exactly one"),
            ("[[linked]]\nkeys = [\"hw\"]\nvalues = [[\"a\", \"b\"]]", "as many"),
        ] {
            let error = Space::parse("s.toml", text).unwrap_err().to_string();
            assert!(error.contains("s.toml") && error.contains(part), "{text}: {error}");
        }
    }
}
