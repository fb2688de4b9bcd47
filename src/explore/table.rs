//! The table of a sweep: a row a point, as data, CSV and JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::device::Area;
use super::pareto::{Goal, Objective, front};
use super::space::Constraint;
use crate::error::{Error, Result};

/// Names of the results, their goals and units; docs/exploration.md says what each is.
pub const RESULT_COLUMNS: [(&str, Goal, &str); 27] = [
    ("accuracy", Goal::Max, "fraction"),
    ("accuracy_low", Goal::Max, "fraction"),
    ("accuracy_high", Goal::Max, "fraction"),
    ("float_accuracy", Goal::Max, "fraction"),
    ("agreement", Goal::Max, "fraction"),
    ("cycles", Goal::Min, "cycles"),
    ("compute_cycles", Goal::Min, "cycles"),
    ("stall_cycles", Goal::Min, "cycles"),
    ("dense_cycles", Goal::Min, "cycles"),
    ("cycles_saved", Goal::Max, "fraction"),
    ("energy_pj", Goal::Min, "pJ"),
    ("latency_s", Goal::Min, "s"),
    ("images_per_second", Goal::Max, "1/s"),
    ("gops", Goal::Max, "GOP/s"),
    ("gops_per_watt", Goal::Max, "GOP/s/W"),
    ("utilization", Goal::Max, "fraction"),
    ("dram_bytes", Goal::Min, "bytes"),
    ("buffer_bytes", Goal::Min, "bytes"),
    ("sparsity_weights", Goal::Max, "fraction"),
    ("sparsity_activations", Goal::Max, "fraction"),
    ("weight_bits", Goal::Min, "bits"),
    ("activation_bits", Goal::Min, "bits"),
    ("overflows", Goal::Min, "words"),
    ("dsp", Goal::Min, "slices"),
    ("bram36", Goal::Min, "blocks"),
    ("luts", Goal::Min, "lookup tables"),
    ("flip_flops", Goal::Min, "flip-flops"),
];

/// The goal of a column: its own if it is a result, else the least.
pub(super) fn default_goal(column: &str) -> Goal {
    RESULT_COLUMNS.iter().find(|c| c.0 == column).map_or(Goal::Min, |c| c.1)
}

/// A column.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Column {
    /// Name: the key of an axis, or one of [`RESULT_COLUMNS`].
    pub name: String,
    /// Unit; none for axes.
    pub unit: Option<String>,
    /// What is better, of results.
    pub goal: Option<Goal>,
}

/// A point and its results.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Number in the space.
    pub point: u64,
    /// By column; null where there is no such figure.
    pub values: Vec<Value>,
    /// Whether the row is on the Pareto front that was asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub front: bool,
}

/// The results of a sweep, by point.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Table {
    /// [`Table::VERSION`].
    pub schema_version: u32,
    /// The space file.
    pub space: String,
    /// Constraints that the rows satisfy.
    pub constraints: Vec<String>,
    /// Columns: axes first, then results.
    pub columns: Vec<Column>,
    /// How many of the columns are axes.
    pub axes: usize,
    /// Objectives of the front, if one was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pareto: Vec<Objective>,
    /// Points that are no design, or do not fit their hardware, with the reason.
    pub refused: Vec<Refused>,
    /// Points left out by the constraints.
    pub left_out: usize,
    /// Rows in the order of the points.
    pub rows: Vec<Row>,
}

/// A point without results.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// Number in the space.
    pub point: u64,
    /// Why.
    pub reason: String,
}

impl Table {
    /// Version of the JSON schema.
    pub const VERSION: u32 = 1;

    /// The columns of a space with these axes.
    pub(super) fn columns<'a>(axes: impl Iterator<Item = &'a str>) -> Vec<Column> {
        let axes = axes.map(|name| Column { name: name.to_owned(), unit: None, goal: None });
        let results = RESULT_COLUMNS.iter().map(|&(name, goal, unit)| Column {
            name: name.into(),
            unit: Some(unit.into()),
            goal: Some(goal),
        });
        axes.chain(results).collect()
    }

    /// The column `name`.
    ///
    /// # Errors
    /// If there is none; the remedy names those that there are.
    pub fn column(&self, name: &str) -> Result<usize> {
        column(&self.columns, name)
    }

    /// Leaves out the rows that do not satisfy a constraint.
    ///
    /// # Errors
    /// If a constraint names no column.
    pub(super) fn constrain(&mut self, constraints: &[Constraint]) -> Result<()> {
        for constraint in constraints {
            let before = self.rows.len();
            let columns = &self.columns;
            let holds = satisfies(columns, constraint)?;
            self.rows.retain(|row| holds(&row.values));
            self.left_out += before - self.rows.len();
            self.constraints.push(constraint.to_string());
        }
        Ok(())
    }

    /// Marks the rows on the Pareto front of two or three objectives and returns their indices.
    ///
    /// # Errors
    /// If a column is not there, or the objectives are not two or three.
    pub fn mark_front(&mut self, objectives: &[Objective]) -> Result<Vec<usize>> {
        if !(2..=3).contains(&objectives.len()) {
            return Err(Error::new("--pareto", format_args!("{} columns", objectives.len()))
                .remedy("name two or three, such as accuracy,energy_pj"));
        }
        let columns: Vec<usize> =
            objectives.iter().map(|o| self.column(&o.column)).collect::<Result<_>>()?;
        let goals: Vec<Goal> = objectives.iter().map(|o| o.goal).collect();
        let number = |row: &Row, column: usize| row.values[column].as_f64().unwrap_or(f64::NAN);
        let rows: Vec<Vec<f64>> = (self.rows.iter())
            .map(|row| columns.iter().map(|&column| number(row, column)).collect())
            .collect();
        let front = front(&rows, &goals);
        self.rows.iter_mut().for_each(|row| row.front = false);
        front.iter().for_each(|&row| self.rows[row].front = true);
        self.pareto = objectives.to_vec();
        Ok(front)
    }

    /// A header and a row a point: `point`, the columns, and `front` if one was marked.
    pub fn to_csv(&self) -> Result<String> {
        let fail = |e: csv::Error| Error::new("table as CSV", e);
        let marked = !self.pareto.is_empty();
        let mut writer = csv::Writer::from_writer(Vec::new());
        let names = self.columns.iter().map(|column| column.name.as_str());
        let header = ["point"].into_iter().chain(names).chain(marked.then_some("front"));
        writer.write_record(header).map_err(fail)?;
        for row in &self.rows {
            let values = row.values.iter().map(cell);
            let front = marked.then(|| row.front.to_string());
            let record = [row.point.to_string()].into_iter().chain(values).chain(front);
            writer.write_record(record).map_err(fail)?;
        }
        let bytes = writer.into_inner().map_err(|e| Error::new("table as CSV", e))?;
        String::from_utf8(bytes).map_err(|e| Error::new("table as CSV", e))
    }

    /// Indented JSON with a final newline.
    pub fn to_json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::new("table as JSON", e));
        text.map(|text| text + "\n")
    }
}

/// A value as text: nothing for null, texts without quotes.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn column(columns: &[Column], name: &str) -> Result<usize> {
    columns.iter().position(|column| column.name == name).ok_or_else(|| {
        let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
        Error::new(format_args!("column `{name}`"), "is not in the table")
            .remedy(format_args!("use one of {}", names.join(", ")))
    })
}

/// Whether a row satisfies a constraint. A value that is no number satisfies none.
pub(super) fn satisfies(
    columns: &[Column],
    constraint: &Constraint,
) -> Result<impl Fn(&[Value]) -> bool + use<>> {
    use super::space::Comparison::AtMost;
    let bounds: Vec<_> = match constraint {
        Constraint::Column { column: name, comparison, bound } => {
            vec![(column(columns, name)?, *comparison, *bound)]
        }
        Constraint::Fits(device) => {
            let available = Area::COLUMNS.into_iter().zip(device.area.values());
            let bound = |(name, most)| Ok((column(columns, name)?, AtMost, most as f64));
            available.map(bound).collect::<Result<_>>()?
        }
    };
    Ok(move |values: &[Value]| {
        bounds.iter().all(|&(column, comparison, bound)| {
            values[column].as_f64().is_some_and(|value| comparison.holds(value, bound))
        })
    })
}
