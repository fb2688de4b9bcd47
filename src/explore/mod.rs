//! Design-space exploration: sweeps over hardware models and plans, Pareto fronts, sensitivity to
//! word widths, the search for formats, and what zeros are worth. `docs/exploration.md` is the guide.
//!
//! Every figure comes from the rooms above: words from `simulate`, costs from `cost`. Results are
//! plain data (serde); nothing here prints or draws.

mod axes;
mod design;
mod device;
mod evaluate;
mod formats;
mod journal;
mod key;
mod nsga;
mod pareto;
mod parquet;
mod probe;
mod search;
mod sensitivity;
mod space;
mod sparsity;
mod subject;
mod sweep;
mod table;
mod takes;

pub use axes::{Axes, Axis};
pub use design::{Design, Point};
pub use device::{Area, Device};
pub use evaluate::Observer;
pub use journal::{Identity, Journal, Outcome, Record};
pub use pareto::{Goal, Objective, front};
pub use probe::Score;
pub use search::{Candidate, Cost, FrontPoint, Search, SearchSettings, SiteChoice, search};
pub use sensitivity::{Experiment, Kind, Sensitivity, Settings, sensitivity};
pub use space::{Constraint, Space};
pub use sparsity::{
    LayerZeros, Options, Pruned, Sparsity, Threshold, Thresholds, WordCounts, Zeros, prune,
    sparsity,
};
pub use subject::Data;
pub use sweep::{Shard, Sweep, merge};
pub use table::{Column, RESULT_COLUMNS, Refused, Row, Table, cell};
pub use takes::Takes;
