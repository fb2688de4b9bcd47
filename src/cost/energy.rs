//! Energy by component.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use crate::hardware::{Hardware, MemoryLevel, ReadWrite};
use crate::mapping::OperandBits;
use crate::simulate::LayerCounts;

/// Energy in pJ by component: `multiplier`, `adder`, `register`, `metadata`, `vector`, `leakage`
/// where the table knows it, and each memory level under its own name.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Energy(BTreeMap<String, f64>);

impl Energy {
    /// pJ by component.
    pub fn components(&self) -> &BTreeMap<String, f64> {
        &self.0
    }

    /// pJ of all components.
    pub fn total_pj(&self) -> f64 {
        self.0.values().sum()
    }
}

impl AddAssign<&Energy> for Energy {
    fn add_assign(&mut self, other: &Self) {
        for (component, pj) in &other.0 {
            *self.0.entry(component.clone()).or_default() += pj;
        }
    }
}

/// Energy of what a layer with words of `bits` counted on `hardware`.
///
/// With f the fraction that gating leaves, E(w, a) a multiplication and c the accumulator's width:
///
/// - `multiplier` = (effectual + f · gated) · E(weights, activations)
/// - `adder` = (effectual + f · gated) · c · pJ per adder bit
/// - `register` = register bits · pJ per register bit
/// - each memory level = bits read · pJ per bit read + bits written · pJ per bit written
/// - `metadata` = metadata bits · pJ per bit read of the dearest on-chip buffer
/// - `vector` = operations · pJ per operation
/// - `leakage` = W · (compute + stall cycles) / clock
pub fn energy(counts: &LayerCounts, bits: &OperandBits, hardware: &Hardware) -> Energy {
    let table = &hardware.energy;
    let active = counts.macs.effectual as f64 + table.gating.value * counts.macs.gated as f64;
    let multiply_pj = table.multiplier.value.pj(bits.weights, bits.activations);
    let add_pj = table.adder.value * f64::from(bits.accumulator);
    let metadata_pj = hardware.memory[1..]
        .iter()
        .map(|level| level_energy(hardware, level).read_pj_per_bit)
        .fold(0.0, f64::max);

    let mut components = BTreeMap::new();
    let mut add = |name: &str, pj: f64| components.insert(name.to_owned(), pj);
    add("multiplier", active * multiply_pj);
    add("adder", active * add_pj);
    add("register", counts.register_bits as f64 * table.register.value);
    add("metadata", counts.metadata_bits as f64 * metadata_pj);
    add("vector", counts.vector_operations as f64 * table.vector.value);
    if let Some(watts) = &table.leakage {
        let cycles = counts.cycles.compute + counts.cycles.stall;
        add("leakage", watts.value * cycles as f64 / hardware.clock_hz * 1e12);
    }
    for (level, accesses) in hardware.memory.iter().zip(&counts.memory) {
        let pj = level_energy(hardware, level);
        let read_bits: u64 = accesses.read_bits.iter().sum();
        let write_bits: u64 = accesses.write_bits.iter().sum();
        let read_pj = read_bits as f64 * pj.read_pj_per_bit;
        add(&level.name, read_pj + write_bits as f64 * pj.write_pj_per_bit);
    }
    Energy(components)
}

/// Energy of an access to a level of the model: the level's own entry if the table has one; else
/// of DRAM; else of an SRAM as large as one of its banks.
pub fn level_energy(hardware: &Hardware, level: &MemoryLevel) -> ReadWrite {
    let table = &hardware.energy;
    match (table.memory.get(&level.name), level.capacity_bytes) {
        (Some(known), _) => known.value,
        (None, None) => table.dram.value,
        (None, Some(capacity)) => table.sram.value.at(capacity as f64 / f64::from(level.banks)),
    }
}

#[cfg(test)]
mod tests;
