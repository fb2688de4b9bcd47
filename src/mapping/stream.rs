//! Layers without multiply-accumulates stream: their inputs come in once and their outputs leave
//! once.

use crate::error::Result;
use crate::hardware::Hardware;
use crate::mapping::{Accesses, Buffers, Schedule};

/// What a streaming layer moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stream {
    /// Bits that it reads.
    pub read_bits: u64,
    /// Bits that it writes.
    pub write_bits: u64,
    /// Bits of the inputs of one output word: the smallest part that can be worked on.
    pub smallest_read_bits: u64,
    /// Bits of one output word.
    pub smallest_write_bits: u64,
}

/// DRAM traffic and schedule of a streaming layer: as few equal tiles as fit the buffers. An
/// output word whose inputs do not fit is an error.
pub fn stream(layer: &str, stream: &Stream, hardware: &Hardware) -> Result<(Accesses, Schedule)> {
    let buffers = Buffers::new(hardware)?;
    let smallest = [stream.smallest_read_bits, 0, stream.smallest_write_bits];
    if !buffers.fit(smallest) {
        return Err(buffers.refuse(layer, smallest));
    }
    let traffic =
        Accesses { read_bits: [stream.read_bits, 0, 0], write_bits: [0, 0, stream.write_bits] };
    let steps = buffers.parts([stream.read_bits, 0, stream.write_bits]);
    Ok((traffic, Schedule::streaming(steps, &traffic, &buffers)))
}
