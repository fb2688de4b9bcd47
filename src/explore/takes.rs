//! What a surveyed network takes on an accelerator.

use serde::{Deserialize, Serialize};

use crate::cost::energy;
use crate::error::Result;
use crate::hardware::{Hardware, MemoryLevel};
use crate::mapping::map;
use crate::report::{Figures, Totals};
use crate::simulate::{LayerCounts, Survey, Surveyed};

/// What a network takes on the hardware, per image.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Takes {
    /// How it did; absent where operands are synthetic.
    pub accuracy: Option<f64>,
    /// Cycles.
    pub cycles: f64,
    /// Cycles without zero-skipping.
    pub dense_cycles: f64,
    /// Energy in pJ.
    pub energy_pj: f64,
    /// Bytes to and from DRAM.
    pub dram_bytes: f64,
    /// Bytes to and from the on-chip buffers.
    pub buffer_bytes: f64,
}

impl Takes {
    /// Of the first array of `survey`, that of `hardware`.
    pub(super) fn new(
        survey: &Survey,
        surveyed: &Surveyed,
        hardware: &Hardware,
        accuracy: Option<f64>,
    ) -> Result<Self> {
        let counts = survey
            .counts(surveyed, 0, hardware, |layer, problem, _| map(layer, problem, hardware))?;
        let totals = totals(survey, &counts, hardware);
        let figures = Figures::new(&totals.counts, &totals.energy, surveyed.images(), hardware);
        let bytes = |level: &MemoryLevel| {
            figures.traffic_bytes.get(&level.name).map_or(0.0, |t| t.read + t.write)
        };
        Ok(Self {
            accuracy,
            cycles: figures.cycles,
            dense_cycles: figures.dense_cycles,
            energy_pj: figures.energy_pj.get("total").copied().unwrap_or(0.0),
            dram_bytes: bytes(&hardware.memory[0]),
            buffer_bytes: hardware.memory[1..].iter().map(bytes).sum(),
        })
    }
}

/// The counts and the energy of all layers.
pub(super) fn totals(survey: &Survey, layers: &[LayerCounts], hardware: &Hardware) -> Totals {
    let mut totals = Totals::default();
    for (index, counts) in layers.iter().enumerate() {
        let spent = energy(counts, &survey.bits(index), hardware);
        totals.add(counts, &spent, survey.problem(index).is_some());
    }
    totals
}
