//! Exact integer arithmetic on tensors: a plain reference for each operation, which is its
//! specification, and the fast paths beside it. The only room with `unsafe`.
//!
//! Knows words and geometry; never networks, plans or hardware files.

mod datapath;
mod gemm_f32;

pub use datapath::{AccumulationOrder, Axis, OrderLoop, Style};
pub use gemm_f32::gemm_f32;
