//! What an accelerator takes of an FPGA, and what devices have.

use crate::cost::{DspSlice, resources};
use crate::error::{Error, Result};
use crate::hardware::{Hardware, MemoryLevel};

/// Resources of an FPGA.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Area {
    /// DSP slices.
    pub dsp: u64,
    /// Block RAMs of 36 Kb.
    pub bram36: u64,
    /// Six-input lookup tables.
    pub luts: u64,
    /// Flip-flops.
    pub flip_flops: u64,
}

/// An FPGA.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Device {
    /// Name.
    pub name: &'static str,
    /// What it has.
    pub area: Area,
}

/// Zynq-7000 SoC data sheet: overview, DS190, table 1.
const DEVICES: [Device; 1] = [Device {
    name: "zynq7020",
    area: Area { dsp: 220, bram36: 140, luts: 53_200, flip_flops: 106_400 },
}];

impl Device {
    /// The device of a name.
    ///
    /// # Errors
    /// If it is not known.
    pub fn named(name: &str) -> Result<Self> {
        DEVICES.into_iter().find(|device| device.name == name).ok_or_else(|| {
            let names: Vec<_> = DEVICES.iter().map(|device| device.name).collect();
            Error::new(format_args!("device `{name}`"), "is not known").remedy(format_args!(
                "use {}, or bounds on {}",
                names.join(", "),
                Area::COLUMNS.join(", ")
            ))
        })
    }
}

impl Area {
    /// The columns of a sweep that state it.
    pub const COLUMNS: [&'static str; 4] = ["dsp", "bram36", "luts", "flip_flops"];

    /// What an accelerator takes on a device of the 7 series: the elements of its array, and blocks
    /// for each bank of its buffers.
    pub fn of(hardware: &Hardware) -> Self {
        let array = resources(hardware, &DspSlice::E1);
        Self {
            dsp: array.dsps,
            bram36: hardware.memory.iter().map(MemoryLevel::bram36).sum(),
            luts: array.luts,
            flip_flops: array.ffs,
        }
    }

    /// In the order of [`Self::COLUMNS`].
    pub fn values(self) -> [u64; 4] {
        [self.dsp, self.bram36, self.luts, self.flip_flops]
    }
}
