//! Design-space exploration: sweeps over hardware models and plans, Pareto fronts, sensitivity to
//! word widths, the search for formats, and what zeros are worth. `docs/exploration.md` is the guide.
//!
//! Every figure comes from the rooms above: words from `simulate`, costs from `cost`. Results are
//! plain data (serde); nothing here prints or draws.

mod axes;
mod design;
mod evaluate;
mod journal;
mod key;
mod pareto;
mod space;
mod subject;
mod sweep;
mod table;

pub use axes::{Axes, Axis};
pub use design::{Design, Device, Point};
pub use evaluate::Observer;
pub use journal::{Identity, Journal, Outcome, Record};
pub use pareto::{Goal, Objective, front};
pub use space::{Constraint, Space};
pub use subject::Data;
pub use sweep::{Shard, Sweep, merge};
pub use table::{Column, RESULT_COLUMNS, Refused, Row, Table, cell};
