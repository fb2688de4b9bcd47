//! The graph of operators: shapes, topological order, validation, and the float meaning of each
//! operator (forward and backward). Readers: TOML topologies, TFLite models, SCALE-Sim CSV files.
//!
//! Knows nothing of words, plans or hardware.

mod builder;
pub mod float;
mod fold;
mod graph;
pub mod onnx;
mod open;
pub mod ops;
mod parameters;
mod quantization;
pub mod scalesim;
pub mod tflite;
pub mod topology;
pub mod weights;

pub use builder::{Builder, MAX_ELEMENTS, MAX_WINDOW};
pub use fold::{fold_batch_norm, fold_batch_norm_nodes, split_batch_norm};
pub use graph::{Activation, FlattenOrder, Lrn, Network, Node, NodeId, Op, Parameters, PoolKind};
pub use open::{Model, open, shipped};
pub use parameters::{check_parameters, parameter_name};
pub use quantization::{Arithmetic, EncodedTensor, Encoding, Quantization};
pub use topology::Topology;
