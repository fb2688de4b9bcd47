//! What RTL is verified against: a network bound to a hardware model, opened from the files of a
//! run; the datapath of one output word on its own; golden vectors; and the C and DPI-C interface.
//!
//! Words come from `kernels` and cycles from `simulate`; nothing here computes either in a way of
//! its own.

pub mod capi;
mod chain;
pub mod compare;
mod design;
pub mod faults;
mod package;
pub mod vectors;

pub use chain::{CastSpec, Chain, ChainSpec, RequantizerSpec, ordered_operands, output_word};
pub use design::{Design, DesignFiles, break_network};
pub use package::{PACKAGE, package};
