//! bittrue executes quantized neural networks bit-exactly on a simulated MAC array and reports
//! accuracy, cycles, memory traffic and energy from the same run.
//!
//! The rooms below are in the order in which data flows; each imports only from rooms above it.
//! `docs/architecture.md` has the picture.

#![deny(rustdoc::broken_intra_doc_links)]

pub mod error;
pub mod files;

pub mod numeric;

pub mod tensor;

pub mod kernels;

pub mod network;

pub mod dataset;

pub mod quantize;

pub mod hardware;

pub mod mapping;

pub mod simulate;

pub mod cost;

pub mod report;

pub mod explore;

pub mod page;

pub mod verify;

pub mod train;

pub mod cli;

pub use error::{Error, Result};
