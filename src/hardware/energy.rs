//! Energy of each action. A table says what an action costs and where the figure comes from; how
//! often the action happened is not its business.

use std::collections::BTreeMap;

use crate::hardware::Curve;

/// Energy per action of one technology, parsed from `hw_models/energy/*.toml`.
#[derive(Clone, PartialEq, Debug)]
pub struct EnergyTable {
    /// Name.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Process that the figures stand for, for people.
    pub technology: String,
    /// Whether the figures were measured or synthesised for what they are used for; `false` is
    /// for tables of placeholders.
    pub calibrated: bool,
    /// Multiplier.
    pub multiplier: Entry<Multiplier>,
    /// Fraction, from 0 to 1, of the energy of multiplier and adder that a gated
    /// multiply-accumulate still takes.
    pub gating: Entry<f64>,
    /// Adder, pJ per bit of the accumulator.
    pub adder: Entry<f64>,
    /// Registers of the processing elements, pJ per bit read or written.
    pub register: Entry<f64>,
    /// On-chip buffers.
    pub sram: Entry<Sram>,
    /// The off-chip level.
    pub dram: Entry<ReadWrite>,
    /// Vector unit, pJ per elementary operation.
    pub vector: Entry<f64>,
    /// Static power in W, where known.
    pub leakage: Option<Entry<f64>>,
    /// Levels whose energy is known by itself, by name; they take precedence over `sram` and
    /// `dram`.
    pub memory: BTreeMap<String, Entry<ReadWrite>>,
}

/// A figure and where it comes from.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry<T> {
    /// The figure.
    pub value: T,
    /// Publication, tool or measurement, and what was assumed to use it here.
    pub source: String,
}

/// Energy of a multiplication by its operand widths.
#[derive(Clone, PartialEq, Debug)]
pub enum Multiplier {
    /// `quadratic_pj · w · a + linear_pj · (w + a) / 2` for operands of w and a bits: a fit
    /// `quadratic_pj · b² + linear_pj · b` for equal widths, since a w × a bit multiplier has
    /// w · a partial products.
    Fit {
        /// pJ per partial-product bit.
        quadratic_pj: f64,
        /// pJ per operand bit.
        linear_pj: f64,
    },
    /// pJ by the width of equal operands; operands of w and a bits count as √(w · a) bits wide,
    /// which has the same number of partial products.
    Points(Curve),
}

impl Multiplier {
    /// pJ of multiplying a word of `weight_bits` by one of `activation_bits`; 0 if either is 0.
    pub fn pj(&self, weight_bits: u32, activation_bits: u32) -> f64 {
        let (w, a) = (f64::from(weight_bits), f64::from(activation_bits));
        if w * a == 0.0 {
            return 0.0;
        }
        match self {
            Self::Fit { quadratic_pj, linear_pj } => {
                quadratic_pj * w * a + linear_pj * (w + a) / 2.0
            }
            Self::Points(curve) => curve.at((w * a).sqrt()),
        }
    }
}

/// Energy of an SRAM in pJ per bit, by capacity in bytes. An access of any width costs its bits.
#[derive(Clone, PartialEq, Debug)]
pub struct Sram {
    /// pJ per bit read.
    pub read: Curve,
    /// pJ per bit written.
    pub write: Curve,
}

impl Sram {
    /// Energy of an SRAM of `capacity_bytes`, above zero.
    pub fn at(&self, capacity_bytes: f64) -> ReadWrite {
        ReadWrite {
            read_pj_per_bit: self.read.at(capacity_bytes),
            write_pj_per_bit: self.write.at(capacity_bytes),
        }
    }
}

/// Energy of a memory.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ReadWrite {
    /// pJ per bit read.
    pub read_pj_per_bit: f64,
    /// pJ per bit written.
    pub write_pj_per_bit: f64,
}
