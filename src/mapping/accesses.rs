//! Bits moved at one memory level.

use std::ops::AddAssign;

use crate::hardware::Operand;

/// Bits read from and written to one memory level, by [`Operand`] (as index).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Accesses {
    /// Bits read.
    pub read_bits: [u64; 3],
    /// Bits written.
    pub write_bits: [u64; 3],
}

impl Accesses {
    /// The same `n` times over.
    pub fn times(&self, n: u64) -> Self {
        Self {
            read_bits: self.read_bits.map(|bits| bits * n),
            write_bits: self.write_bits.map(|bits| bits * n),
        }
    }

    /// All bits moved.
    pub fn total_bits(&self) -> u64 {
        self.read_bits.iter().chain(&self.write_bits).sum()
    }
}

impl AddAssign for Accesses {
    fn add_assign(&mut self, other: Self) {
        for operand in 0..3 {
            self.read_bits[operand] += other.read_bits[operand];
            self.write_bits[operand] += other.write_bits[operand];
        }
    }
}

impl Operand {
    /// The operands in the order of their indices.
    pub const ALL: [Self; 3] = [Self::Ifmap, Self::Weights, Self::Ofmap];

    /// Index into the arrays of [`Accesses`].
    pub fn index(self) -> usize {
        self as usize
    }
}
