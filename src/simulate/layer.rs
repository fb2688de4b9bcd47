//! One multiply-accumulate layer on one accelerator: from nonzero bitmaps to everything counted.

use crate::error::Result;
use crate::hardware::Hardware;
use crate::mapping::{Buffers, LayerProblem, Mapping, map};
use crate::simulate::arrays::{ArrayModel, LanesScratch};
use crate::simulate::vector::memory;
use crate::simulate::{Cycles, Density, LayerCounts};
use crate::tensor::Bitmap;

/// A multiply-accumulate layer, mapped, with everything that does not depend on activations worked
/// out. Shared by threads; each brings its own [`LanesScratch`].
#[derive(Clone, Debug)]
pub struct LayerModel {
    mapping: Mapping,
    buffers: Buffers,
    array: ArrayModel,
    dense_stall: u64,
    weights: Density,
    ifmap_elements: u64,
    outputs: u64,
}

impl LayerModel {
    /// Maps the layer `layer` onto `hardware`. `weights` are the nonzero bitmaps by group, output
    /// channels of the group × reduction.
    pub fn new(
        layer: &str,
        problem: &LayerProblem,
        hardware: &Hardware,
        weights: &[Bitmap],
    ) -> Result<Self> {
        let mapping = map(layer, problem, hardware)?;
        let array = ArrayModel::new(problem, hardware, weights, mapping.reduction_tiles)?;
        Ok(Self {
            mapping,
            buffers: Buffers::new(hardware)?,
            dense_stall: mapping.schedule.stall(array.dense_cycles()),
            array,
            weights: Density {
                elements: problem.geometry.weights() as u64,
                nonzero: weights.iter().map(Bitmap::ones).sum(),
            },
            ifmap_elements: problem.geometry.input.len() as u64,
            outputs: problem.geometry.output.len() as u64,
        })
    }

    /// The tiling.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Whether counts depend on the bitmaps of the activations; if not, none need be made.
    pub fn needs_activations(&self) -> bool {
        self.array.needs_activations()
    }

    /// Counts one image: `activations` are its nonzero bitmaps by group, pixels × reduction;
    /// `ifmap_nonzero` counts nonzero words of the ifmap. Everything but the sites.
    ///
    /// # Panics
    ///
    /// If `activations` are needed and are not those of the layer.
    pub fn count(
        &self,
        activations: &[Bitmap],
        ifmap_nonzero: u64,
        scratch: &mut LanesScratch,
    ) -> LayerCounts {
        let array = self.array.count(activations, scratch);
        LayerCounts {
            cycles: Cycles {
                compute: array.cycles,
                stall: self.mapping.schedule.stall(array.cycles),
                dense_compute: self.array.dense_cycles(),
                dense_stall: self.dense_stall,
            },
            macs: array.macs,
            weights: self.weights,
            activations: Density { elements: self.ifmap_elements, nonzero: ifmap_nonzero },
            memory: memory(&self.mapping.traffic, &array.buffers, &self.buffers),
            register_bits: array.register_bits,
            metadata_bits: array.metadata_bits,
            vector_operations: self.outputs,
            ..LayerCounts::default()
        }
    }
}
