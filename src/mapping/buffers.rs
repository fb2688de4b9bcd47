//! The on-chip buffers as the mapper sees them: where an operand lives, how much fits, how long a
//! transfer takes.

use crate::error::{Error, Result};
use crate::hardware::{Hardware, MemoryLevel, Operand};

/// Capacities and bandwidths of the memory levels, and the level that holds each operand.
#[derive(Clone, PartialEq, Debug)]
pub struct Buffers {
    levels: Vec<Level>,
    of: [usize; 3],
}

#[derive(Clone, PartialEq, Debug)]
struct Level {
    name: String,
    /// Bits that a tile may take: half of the buffer where it is double-buffered.
    tile_bits: u64,
    bandwidth: f64,
    double_buffered: bool,
}

impl Buffers {
    /// The buffers of `hardware`. An operand that no on-chip level holds is an error.
    pub fn new(hardware: &Hardware) -> Result<Self> {
        let level = |memory: &MemoryLevel| {
            let bits = memory.capacity_bytes.map_or(u64::MAX, |bytes| bytes.saturating_mul(8));
            Level {
                name: memory.name.clone(),
                tile_bits: if memory.double_buffered { bits / 2 } else { bits },
                bandwidth: memory.bandwidth_bits_per_cycle,
                double_buffered: memory.double_buffered,
            }
        };
        let mut of = [0; 3];
        for operand in Operand::ALL {
            let holds = |(_, memory): &(usize, &MemoryLevel)| memory.holds.contains(&operand);
            let found = hardware.memory.iter().enumerate().skip(1).find(holds);
            of[operand.index()] = found.map(|(index, _)| index).ok_or_else(|| {
                Error::new(
                    format_args!("hardware {}", hardware.name),
                    format_args!("no on-chip memory level holds the operand {operand}"),
                )
                .remedy("add it to the `holds` of a memory level after the first")
            })?;
        }
        Ok(Self { levels: hardware.memory.iter().map(level).collect(), of })
    }

    /// Index in [`Hardware::memory`] of the on-chip level that holds `operand`.
    pub fn level(&self, operand: Operand) -> usize {
        self.of[operand.index()]
    }

    /// Number of memory levels, DRAM included.
    pub fn levels(&self) -> usize {
        self.levels.len()
    }

    /// Bits of a tile by level, from its bits by operand.
    fn held(&self, level: usize, bits: [u64; 3]) -> u64 {
        (0..3).filter(|&operand| self.of[operand] == level).map(|operand| bits[operand]).sum()
    }

    /// Whether a tile of these bits by operand fits.
    pub(super) fn fit(&self, bits: [u64; 3]) -> bool {
        (1..self.levels.len()).all(|level| self.held(level, bits) <= self.levels[level].tile_bits)
    }

    /// The smallest number of equal parts into which a tile must be cut to fit.
    pub(super) fn parts(&self, bits: [u64; 3]) -> u64 {
        let parts = |level| self.held(level, bits).div_ceil(self.levels[level].tile_bits.max(1));
        (1..self.levels.len()).map(parts).max().unwrap_or(1).max(1)
    }

    /// The error of a layer whose smallest tile, of `bits` by operand, does not fit.
    pub(super) fn refuse(&self, layer: &str, bits: [u64; 3]) -> Error {
        let over = |&level: &usize| self.held(level, bits) > self.levels[level].tile_bits;
        let level = (1..self.levels.len()).find(over).unwrap_or(1);
        let Level { name, tile_bits, double_buffered, .. } = &self.levels[level];
        let half = if *double_buffered { " (half of it: double-buffered)" } else { "" };
        Error::new(
            format_args!("layer {layer}"),
            format_args!(
                "its smallest tile takes {} bytes of the buffer `{name}`, which has {} bytes for a tile{half}",
                self.held(level, bits).div_ceil(8),
                tile_bits / 8,
            ),
        )
        .remedy(format_args!("give `{name}` a larger capacity_bytes, or narrower words to the layer"))
    }

    /// Whether transfers of `operand` overlap with compute.
    pub(super) fn overlaps(&self, operand: usize) -> bool {
        self.levels[self.of[operand]].double_buffered
    }

    /// Cycles to move these bits by operand between DRAM and the buffers: the slowest of the DRAM
    /// interface, which all share, and of each buffer's.
    pub(super) fn transfer_cycles(&self, bits: [u64; 3]) -> u64 {
        let dram = cycles(bits.iter().sum(), self.levels[0].bandwidth);
        let buffer = |level| cycles(self.held(level, bits), self.levels[level].bandwidth);
        (1..self.levels.len()).map(buffer).fold(dram, u64::max)
    }
}

/// `bits / bandwidth`, rounded up.
fn cycles(bits: u64, bandwidth: f64) -> u64 {
    if bits == 0 { 0 } else { (bits as f64 / bandwidth).ceil() as u64 }
}
