//! FPGA resources of the multiply-accumulate array: a first estimate by operand widths, from the
//! architecture of the device. Formulas and sources are in `docs/hardware.md`.

use serde::{Deserialize, Serialize};

use crate::hardware::Hardware;
use crate::numeric::Overflow;

/// A family of DSP slices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DspSlice {
    /// Name.
    pub name: &'static str,
    /// Ports of the signed multiplier in bits, the wider one first.
    pub ports: [u32; 2],
    /// Accumulator behind it in bits.
    pub accumulator: u32,
    /// Where that is written.
    pub source: &'static str,
}

impl DspSlice {
    /// Of the 7 series.
    pub const E1: Self = Self {
        name: "DSP48E1",
        ports: [25, 18],
        accumulator: 48,
        source: "AMD UG479, 7 Series DSP48E1 Slice",
    };
    /// Of UltraScale.
    pub const E2: Self = Self {
        name: "DSP48E2",
        ports: [27, 18],
        accumulator: 48,
        source: "AMD UG579, UltraScale Architecture DSP Slice",
    };
    /// The families that are known.
    pub const ALL: [Self; 2] = [Self::E1, Self::E2];
}

/// Bits between two products in one slice, beside their width: AMD WP486 places products of 16 bits
/// 18 bits apart, so that seven of them can be summed.
const GUARD_BITS: u32 = 2;

/// Products narrower than this stay in lookup tables: the threshold of Yosys `synth_xilinx`
/// (`DSP_Y_MINWIDTH`).
const NARROWEST_PRODUCT: u32 = 9;

/// Resources of one multiply-accumulate element of one family of slices, and of an array of them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Resources {
    /// The family.
    pub dsp: String,
    /// Slices of one element.
    pub element_dsps: u32,
    /// Six-input lookup tables of one element.
    pub element_luts: u32,
    /// Flip-flops of one element, beside those of its slices.
    pub element_ffs: u32,
    /// Products that one slice can compute in a cycle where they share an operand and the design
    /// packs them; 1 where it cannot.
    pub products_per_dsp: u32,
    /// Elements of the array.
    pub elements: u64,
    /// Slices of the array, without packing.
    pub dsps: u64,
    /// Lookup tables of the array's elements.
    pub luts: u64,
    /// Flip-flops of the array's elements.
    pub ffs: u64,
    /// Where the slice is described.
    pub source: String,
}

impl DspSlice {
    /// Slices of a signed multiplier of `a` × `b` bits: operands wider than a port are cut into a
    /// signed part and unsigned ones, which are a bit narrower than the port.
    pub fn slices(&self, a: u32, b: u32) -> u32 {
        let parts = |bits: u32, port: u32| 1 + bits.saturating_sub(port).div_ceil(port - 1);
        let [wide, narrow] = self.ports;
        (parts(a, wide) * parts(b, narrow)).min(parts(b, wide) * parts(a, narrow))
    }

    /// Products of operands of `own` bits with a common one of `shared` bits that a slice computes at
    /// once, the own operands side by side on the wide port.
    pub fn packed(&self, own: u32, shared: u32) -> u32 {
        let [wide, narrow] = self.ports;
        if shared > narrow || own > wide {
            return 1;
        }
        1 + (wide - own) / (own + shared + GUARD_BITS)
    }
}

/// Lookup tables of a multiplier of `a` × `b` bits in fabric: one for each bit of the partial
/// products, and an adder for each of them but the first, one place wider than the wider operand.
pub fn multiplier_luts(a: u32, b: u32) -> u32 {
    a * b + (a.min(b) - 1) * (a.max(b) + 1)
}

/// Lookup tables that bring an accumulator of `bits` bits into range: four for three bits and three
/// more, as measured with Yosys on elements of 24 to 44 bits (`docs/hardware.md`).
fn saturation_luts(bits: u32) -> u32 {
    (4 * bits).div_ceil(3) + 3
}

/// The estimate for the array of a hardware model with slices of one family.
pub fn resources(hardware: &Hardware, dsp: &DspSlice) -> Resources {
    let bits = &hardware.datapath.bits;
    let widths = [bits.weights, bits.activations, bits.accumulator];
    let overflow = hardware.datapath.accumulator_overflow;
    element(dsp, widths, overflow).times(hardware.array.macs_per_cycle())
}

/// One element: registers for both operands, the product and the accumulator, and for two signals
/// that go with them through two stages.
pub fn element(
    dsp: &DspSlice,
    [weights, activations, accumulator]: [u32; 3],
    overflow: Overflow,
) -> Resources {
    const CONTROL_FFS: u32 = 4;
    let product = weights + activations;
    let wraps = overflow == Overflow::Wrap;
    let slices = dsp.slices(weights, activations);
    let range = if wraps { 0 } else { saturation_luts(accumulator) };
    let [dsps, luts, ffs] = if product < NARROWEST_PRODUCT {
        let luts = multiplier_luts(weights, activations) + accumulator;
        [0, luts + range, 2 * product + accumulator]
    } else if slices == 1 && accumulator <= dsp.accumulator {
        // The slice has the registers; an accumulator that does not wrap lies outside of it.
        [1, range, if wraps { 0 } else { accumulator }]
    } else {
        // Parts are added in fabric, each to the sum of those before it; then the accumulator.
        [slices, (slices - 1) * product + accumulator + range, product + accumulator]
    };
    let ffs = ffs + CONTROL_FFS;
    let packed = dsp.packed(weights, activations).max(dsp.packed(activations, weights));
    Resources {
        dsp: dsp.name.into(),
        element_dsps: dsps,
        element_luts: luts,
        element_ffs: ffs,
        products_per_dsp: packed,
        elements: 0,
        dsps: 0,
        luts: 0,
        ffs: 0,
        source: dsp.source.into(),
    }
}

impl Resources {
    /// The same for an array of so many elements.
    fn times(self, elements: u64) -> Self {
        let [dsps, luts, ffs] = [self.element_dsps, self.element_luts, self.element_ffs]
            .map(|of_element| elements * u64::from(of_element));
        Self { elements, dsps, luts, ffs, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const E1: DspSlice = DspSlice::E1;
    const E2: DspSlice = DspSlice::E2;

    /// 35 × 25 takes two slices of 25 × 18 (UG479, wider multipliers): 35 = 18 + 17. 32 × 32 takes
    /// four: 32 = 18 + 17 on one side, 25 + 24 on the other.
    #[test]
    fn wide_operands_take_several_slices() {
        for (a, b, slices) in
            [(8, 8, 1), (18, 18, 1), (18, 25, 1), (19, 19, 2), (35, 25, 2), (32, 32, 4)]
        {
            assert_eq!(E1.slices(a, b), slices, "{a} × {b}");
            assert_eq!(E1.slices(b, a), slices, "{b} × {a}");
        }
    }

    /// WP486: two products of 8 bits fit the 27-bit port (18 + 8 = 26) and not the 25-bit port.
    #[test]
    fn narrow_products_share_a_slice() {
        assert_eq!((E2.packed(8, 8), E1.packed(8, 8)), (2, 1));
        assert_eq!((E1.packed(4, 4), E1.packed(16, 16), E1.packed(26, 4)), (3, 1, 1));
    }

    /// Yosys 0.23, `synth_xilinx -family xc7`, of the pipelined element of `tests/rtl`, whose
    /// accumulator has eight bits more than the product: within 4 lookup tables, or 6 %.
    #[test]
    fn estimates_are_near_what_synthesis_gives() {
        for (bits, overflow, dsps, luts, ffs) in [
            (4, Overflow::Wrap, 0, 48, 36),
            (8, Overflow::Wrap, 1, 0, 4),
            (12, Overflow::Wrap, 1, 0, 4),
            (16, Overflow::Wrap, 1, 0, 4),
            (18, Overflow::Wrap, 1, 0, 4),
            (4, Overflow::Saturate, 0, 76, 36),
            (8, Overflow::Saturate, 1, 35, 28),
            (12, Overflow::Saturate, 1, 46, 36),
            (16, Overflow::Saturate, 1, 56, 44),
            (18, Overflow::Saturate, 1, 62, 48),
        ] {
            let found = element(&E1, [bits, bits, 2 * bits + 8], overflow);
            assert_eq!((found.element_dsps, found.element_ffs), (dsps, ffs), "{bits} bits");
            assert!(found.element_luts.abs_diff(luts) <= 4, "{bits} bits: {found:?}");
        }
        let wide = element(&E1, [32, 32, 64], Overflow::Wrap);
        assert_eq!((wide.element_dsps, wide.element_luts, wide.element_ffs), (4, 256, 132));
    }
}
