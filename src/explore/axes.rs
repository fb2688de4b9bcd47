//! The axes of a space and the points that they span.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::key;
use crate::error::{Error, Result};
use crate::numeric::Draws;

/// Most points of one sweep.
pub(super) const MOST_POINTS: u64 = 100_000;
/// Most values of one range.
const MOST_VALUES: usize = 1 << 16;

/// Keys that take their values together.
#[derive(Clone, PartialEq, Debug)]
pub struct Axis {
    /// Dotted keys.
    pub keys: Vec<String>,
    /// Values, as many in each tuple as there are keys.
    pub values: Vec<Vec<Value>>,
}

/// The axes of a space, the slowest first: those of network and plan, then those of the hardware.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Axes(Vec<Axis>);

impl Axes {
    /// The axes of the table `[axes]` and of the tuples `linked`.
    ///
    /// # Errors
    /// If an axis has no values or a malformed range, or a key is on two axes.
    pub(super) fn new(table: &Table, linked: Vec<Axis>) -> Result<Self> {
        let mut axes = Vec::new();
        collect(table, &mut Vec::new(), &mut axes)?;
        axes.extend(linked);
        let mut keys = BTreeSet::new();
        for axis in &axes {
            for key in &axis.keys {
                let key = key::parts(key)?;
                if !matches!(key[0].as_str(), "network" | "plan" | "hw") {
                    let problem = "begins with none of `network`, `plan` and `hw`";
                    return Err(refuse(&key.join("."), problem));
                }
                if !keys.insert(key.clone()) {
                    return Err(refuse(&key.join("."), "is on two axes"));
                }
            }
            let tuple = |values: &Vec<Value>| values.len() == axis.keys.len();
            if axis.values.is_empty() || !axis.values.iter().all(tuple) {
                let problem = "needs at least one value, and as many in each tuple as keys";
                return Err(refuse(&axis.keys.join(", "), problem));
            }
        }
        axes.sort_by_key(|axis| axis.keys.iter().map(|key| speed(key)).max());
        Ok(Self(axes))
    }

    /// The keys in the order of the values of [`Self::point`].
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|axis| &axis.keys).map(String::as_str)
    }

    /// Number of points, if it is below 2⁶⁴.
    pub fn len(&self) -> Option<u64> {
        self.0.iter().try_fold(1_u64, |product, axis| product.checked_mul(axis.values.len() as u64))
    }

    /// Whether there is no axis.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values of point `number`, by key; the last axis varies fastest.
    pub fn point(&self, mut number: u64) -> Vec<&Value> {
        let mut tuples = Vec::with_capacity(self.0.len());
        for axis in self.0.iter().rev() {
            let count = axis.values.len() as u64;
            tuples.push(&axis.values[(number % count) as usize]);
            number /= count;
        }
        tuples.into_iter().rev().flatten().collect()
    }

    /// Numbers of all points in their order, or of `sample` of them chosen by `seed`.
    ///
    /// # Errors
    /// If they are too many.
    pub fn numbers(&self, sample: Option<u64>, seed: u64) -> Result<Vec<u64>> {
        let len = self.len().unwrap_or(u64::MAX);
        let wanted = sample.unwrap_or(len).min(len);
        if wanted > MOST_POINTS {
            return Err(Error::new("the space", format_args!("has {wanted} points"))
                .remedy(format_args!("take a sample of at most {MOST_POINTS}: sample = N")));
        }
        if wanted == len {
            return Ok((0..len).collect());
        }
        // R. Floyd's algorithm (Bentley, CACM 30(9), 1987): every subset is as likely.
        let draws = Draws::new(seed, 0);
        let mut chosen = BTreeSet::new();
        for last in len - wanted..len {
            let draw = ((u128::from(draws.at(last)) * (u128::from(last) + 1)) >> 64) as u64;
            if !chosen.insert(draw) {
                chosen.insert(last);
            }
        }
        Ok(chosen.into_iter().collect())
    }
}

/// What is dear to change comes first, so that points beside each other share it.
fn speed(key: &str) -> u8 {
    match key.split('.').next() {
        Some("network") => 0,
        Some("plan") => 1,
        _ if key == "hw" => 2,
        _ if key.starts_with("hw.datapath") => 3,
        _ if key.starts_with("hw.array") || key.starts_with("hw.zeros") => 4,
        _ => 5,
    }
}

fn refuse(axis: &str, problem: &str) -> Error {
    Error::new(format_args!("axis `{axis}`"), problem)
        .remedy("docs/exploration.md describes the space file")
}

/// The axes in a table: lists, ranges, and tables of them.
fn collect(table: &Table, path: &mut Vec<String>, axes: &mut Vec<Axis>) -> Result<()> {
    for (part, value) in table {
        path.push(quoted(part));
        let key = path.join(".");
        let values = match value {
            Value::Array(values) => Some(values.clone()),
            Value::Table(inner) if inner.contains_key("from") => Some(range(&key, inner)?),
            Value::Table(inner) => {
                collect(inner, path, axes)?;
                None
            }
            _ => return Err(refuse(&key, "is one value; a list or a range is expected")),
        };
        if let Some(values) = values {
            let values = values.into_iter().map(|value| vec![value]).collect();
            axes.push(Axis { keys: vec![key], values });
        }
        path.pop();
    }
    Ok(())
}

/// A part as TOML writes it; one that is a dotted key already stays one.
fn quoted(part: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
    if !part.is_empty() && part.chars().all(bare) || part.contains('"') {
        part.to_owned()
    } else {
        format!("\"{part}\"")
    }
}

/// `{ from, to, step }` or `{ from, to, factor }`: both ends included where they are met.
fn range(key: &str, table: &Table) -> Result<Vec<Value>> {
    let known = ["from", "to", "step", "factor"];
    if let Some(unknown) = table.keys().find(|k| !known.contains(&k.as_str())) {
        return Err(refuse(key, &format!("has an unknown key `{unknown}` in its range")));
    }
    let whole = table.values().all(Value::is_integer);
    let number = |name: &str| {
        let value = table.get(name)?;
        value.as_integer().map(|i| i as f64).or(value.as_float()).filter(|f| f.is_finite())
    };
    let (Some(from), Some(to)) = (number("from"), number("to")) else {
        return Err(refuse(key, "needs numbers `from` and `to`"));
    };
    let (step, factor) = (number("step"), number("factor"));
    let next: Box<dyn Fn(usize) -> f64> = match (step, factor) {
        (Some(step), None) if step > 0.0 => Box::new(move |i| from + i as f64 * step),
        (None, Some(factor)) if factor > 1.0 && from > 0.0 => {
            Box::new(move |i| from * factor.powi(i as i32))
        }
        _ => {
            return Err(refuse(
                key,
                "needs `step` above 0, or `factor` above 1 and `from` above 0",
            ));
        }
    };
    let values: Vec<Value> = (0..=MOST_VALUES)
        .map(next)
        .take_while(|&value| value <= to * (1.0 + f64::EPSILON))
        .map(|value| if whole { Value::Integer(value as i64) } else { Value::Float(value) })
        .collect();
    match values.len() {
        0 => Err(refuse(key, "has no value from `from` to `to`")),
        n if n > MOST_VALUES => Err(refuse(key, "has too many values; use a larger `step`")),
        _ => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(text: &str) -> Result<Axes> {
        Axes::new(&toml::from_str(text).unwrap(), Vec::new())
    }

    #[test]
    fn lists_and_ranges_span_a_product() {
        let axes = axes(
            "hw.array.rows = [8, 16]\nhw.clock.frequency_hz = { from = 1.0, to = 2.0, step = 0.5 }\n\
             plan = [\"int8\", \"int4\"]\n\"hw.memory.buf.banks\" = { from = 1, to = 9, factor = 3 }",
        )
        .unwrap();
        assert_eq!(axes.len(), Some(2 * 2 * 3 * 3));
        let keys: Vec<_> = axes.keys().collect();
        let expected = ["plan", "hw.array.rows", "hw.clock.frequency_hz", "hw.memory.buf.banks"];
        assert_eq!(keys, expected);
        let shown = |n| axes.point(n).iter().map(|v| v.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(shown(0), "\"int8\" 8 1.0 1");
        assert_eq!(shown(1), "\"int8\" 8 1.0 3");
        assert_eq!(shown(35), "\"int4\" 16 2.0 9");
    }

    #[test]
    fn a_sample_is_seeded_and_without_repetition() {
        let axes = axes("hw.a = { from = 1, to = 1000, step = 1 }").unwrap();
        let sample = axes.numbers(Some(300), 7).unwrap();
        assert_eq!(sample.len(), 300);
        assert!(sample.windows(2).all(|pair| pair[0] < pair[1]) && sample[299] < 1000);
        assert_eq!(sample, axes.numbers(Some(300), 7).unwrap());
        assert_ne!(sample, axes.numbers(Some(300), 8).unwrap());
        assert_eq!(axes.numbers(Some(5000), 7).unwrap().len(), 1000);
    }

    #[test]
    fn malformed_axes_are_refused_by_name() {
        for (text, part) in [
            ("hw.array.rows = 8", "one value"),
            ("hw.array.rows = []", "at least one value"),
            ("hw.x = { from = 1, to = 5 }", "`step` above 0"),
            ("hw.x = { from = 5, to = 1, step = 1 }", "no value"),
            ("hw.x = { from = 1, to = 5, step = 1, stop = 2 }", "unknown key `stop`"),
            ("hw.x = { from = 0, to = 5, factor = 2 }", "`from` above 0"),
            ("hw.x = { from = 0, to = 1e9, step = 1e-3 }", "too many"),
            ("seed = [1, 2]", "none of"),
            ("\"hw.x\" = [1]\nhw.x = [2]", "two axes"),
        ] {
            let error = axes(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let huge =
            "hw.a = { from = 1, to = 60000, step = 1 }\nhw.b = { from = 1, to = 60000, step = 1 }";
        let error = axes(huge).unwrap().numbers(None, 0).unwrap_err().to_string();
        assert!(error.contains("3600000000 points"), "{error}");
    }
}
