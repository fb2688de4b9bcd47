//! The description of an accelerator, parsed from `hw_models/*.toml` and validated: a
//! [`Hardware`] that exists is one that works.

mod model;

pub use model::{
    Array, Dataflow, Datapath, Hardware, Lanes, MemoryLevel, Operand, SyncGroup, Systolic,
    VectorUnit, Widths, ZeroHandling, Zeros,
};
