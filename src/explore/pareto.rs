//! Pareto fronts: the rows that no other row beats.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::table::default_goal;
use crate::error::{Error, Result};

/// Whether more or less is better.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Less is better.
    Min,
    /// More is better.
    Max,
}

impl Goal {
    /// The value in an order in which less is better.
    fn cost(self, value: f64) -> f64 {
        match self {
            Self::Min => value,
            Self::Max => -value,
        }
    }
}

/// A column and its goal: `accuracy`, whose goal is known, or `max:accuracy`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Objective {
    /// The column.
    pub column: String,
    /// The goal.
    pub goal: Goal,
}

impl FromStr for Objective {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (goal, column) = match text.split_once(':') {
            Some(("min", column)) => (Goal::Min, column),
            Some(("max", column)) => (Goal::Max, column),
            Some((goal, _)) => {
                return Err(Error::new(format_args!("goal `{goal}`"), "is neither min nor max")
                    .remedy("write min:COLUMN, max:COLUMN or COLUMN"));
            }
            None => (default_goal(text), text),
        };
        Ok(Self { column: column.trim().to_owned(), goal })
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let goal = if self.goal == Goal::Min { "min" } else { "max" };
        write!(f, "{goal}:{}", self.column)
    }
}

/// The rows on the front, in their order: those of which no other is at least as good in every
/// column and better in one. Equal rows are all kept. A row with a value that is not a number is
/// never on the front.
///
/// # Panics
/// If a row has not as many values as there are goals.
pub fn front(rows: &[Vec<f64>], goals: &[Goal]) -> Vec<usize> {
    let costs: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| {
            assert_eq!(row.len(), goals.len(), "a value for every goal");
            row.iter().zip(goals).map(|(&value, goal)| goal.cost(value) + 0.0).collect()
        })
        .collect();
    let mut order: Vec<usize> =
        (0..rows.len()).filter(|&row| costs[row].iter().all(|cost| !cost.is_nan())).collect();
    // Whatever dominates a row comes before it.
    let compare = |a: &Vec<f64>, b: &Vec<f64>| {
        let differing = a.iter().zip(b).map(|(a, b)| a.total_cmp(b));
        differing.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    };
    order.sort_by(|&a, &b| compare(&costs[a], &costs[b]));
    let mut kept: Vec<usize> = Vec::new();
    for row in order {
        if !kept.iter().any(|&other| dominates(&costs[other], &costs[row])) {
            kept.push(row);
        }
    }
    kept.sort_unstable();
    kept
}

/// Whether `a` is nowhere worse than `b`, and somewhere better.
pub(super) fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ties_are_kept_and_what_is_beaten_is_not() {
        let rows = [[1.0, 5.0], [2.0, 4.0], [2.0, 5.0], [1.0, 5.0], [f64::NAN, 0.0], [3.0, 3.0]];
        let rows: Vec<_> = rows.iter().map(|row| row.to_vec()).collect();
        assert_eq!(front(&rows, &[Goal::Min, Goal::Min]), [0, 1, 3, 5]);
        assert_eq!(front(&rows, &[Goal::Max, Goal::Max]), [2, 5]);
        assert_eq!(front(&[], &[Goal::Min]), [0; 0]);
    }

    #[test]
    fn objectives_know_their_goals() {
        let goal = |text: &str| text.parse::<Objective>().unwrap().to_string();
        assert_eq!(goal("accuracy"), "max:accuracy");
        assert_eq!(goal("energy_pj"), "min:energy_pj");
        assert_eq!(goal("min:accuracy"), "min:accuracy");
        assert!("least:accuracy".parse::<Objective>().is_err());
    }

    fn goals() -> impl Strategy<Value = Vec<Goal>> {
        proptest::collection::vec(prop_oneof![Just(Goal::Min), Just(Goal::Max)], 2..4)
    }

    proptest! {
        /// By the definition: a row is on the front if and only if no row dominates it.
        #[test]
        fn the_front_is_that_of_the_definition(
            goals in goals(),
            values in proptest::collection::vec(proptest::collection::vec(-4_i8..4, 3), 0..60),
        ) {
            let rows: Vec<Vec<f64>> = (values.iter())
                .map(|row| row[..goals.len()].iter().map(|&v| f64::from(v) / 2.0).collect())
                .collect();
            let at_least = |a: f64, b: f64, goal: Goal| if goal == Goal::Max { a >= b } else { a <= b };
            let beats = |a: &[f64], b: &[f64]| {
                let each = || a.iter().zip(b).zip(&goals);
                each().all(|((&a, &b), &goal)| at_least(a, b, goal)) && a != b
            };
            let expected: Vec<usize> = (0..rows.len())
                .filter(|&row| !rows.iter().any(|other| beats(other, &rows[row])))
                .collect();
            prop_assert_eq!(front(&rows, &goals), expected);
        }
    }
}
