//! The graph of operators: shapes, topological order, validation, and the float meaning of each
//! operator (forward and backward). Readers: TOML topologies and SCALE-Sim CSV files.
//!
//! Knows nothing of words, plans or hardware.

mod graph;

pub use graph::{Activation, Network, Node, NodeId, Op, Parameters, PoolKind};
