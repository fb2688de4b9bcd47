//! The array families, a file each: from shapes and nonzero bitmaps to cycles, multiply-accumulate
//! classes and accesses.
//!
//! Bitmaps come a group each: activations as pixels × reduction, weights as output channels of the
//! group × reduction, both with the reduction in the datapath's accumulation order. Formulas and
//! their sources are in `docs/cycles.md`.

mod lanes;
mod pairs;
mod systolic;

pub use lanes::{LanesModel, LanesScratch, Sizes, Skip, reference_cycles};
pub use pairs::{PairCounter, Pairs};
pub use systolic::{SystolicModel, fold_cycles};

use crate::error::Result;
use crate::hardware::{Array, Hardware};
use crate::kernels::{InstructionSet, Simd, Work};
use crate::mapping::{Accesses, LayerProblem};
use crate::simulate::Macs;
use crate::tensor::Bitmap;

/// What an array did for one image of a layer.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ArrayCounts {
    /// Cycles, memory stalls excluded.
    pub cycles: u64,
    /// Multiply-accumulates.
    pub macs: Macs,
    /// Bits that the array reads from and writes to the on-chip buffers.
    pub buffers: Accesses,
    /// Bits read from and written to the registers of the processing elements.
    pub register_bits: u64,
    /// Bits of nonzero bitmaps read.
    pub metadata_bits: u64,
}

/// A layer on an array, with everything that does not depend on activations worked out.
#[derive(Clone, Debug)]
pub struct ArrayModel {
    family: Family,
    pairs: PairCounter,
    dense_cycles: u64,
}

#[derive(Clone, Debug)]
enum Family {
    Systolic(SystolicModel),
    Lanes(Box<LanesModel>),
}

impl ArrayModel {
    /// `problem` on the array of `hardware`, with the nonzero bitmaps of its weights. A reduction
    /// that the mapping cuts into `reduction_tiles` passes through the ofmap buffer as often.
    pub fn new(
        problem: &LayerProblem,
        hardware: &Hardware,
        weights: &[Bitmap],
        reduction_tiles: u64,
    ) -> Result<Self> {
        let pairs = PairCounter::new(&problem.geometry, hardware.zeros, weights);
        let (family, dense_cycles) = match &hardware.array {
            Array::Systolic(array) => {
                let model = SystolicModel::new(problem, array, reduction_tiles);
                let cycles = model.cycles();
                (Family::Systolic(model), cycles)
            }
            Array::Lanes(array) => {
                let model =
                    LanesModel::new(problem, array, hardware.zeros, weights, reduction_tiles)?;
                let cycles = model.dense_cycles();
                (Family::Lanes(Box::new(model)), cycles)
            }
        };
        Ok(Self { family, pairs, dense_cycles })
    }

    /// Cycles without zero-skipping.
    pub fn dense_cycles(&self) -> u64 {
        self.dense_cycles
    }

    /// Whether counts depend on the activations; if not, [`Self::count`] does not look at them.
    pub fn needs_activations(&self) -> bool {
        self.pairs.needs_activations()
    }

    /// Counts one image.
    ///
    /// # Panics
    ///
    /// If `activations` are needed and are not those of the layer.
    pub fn count(&self, activations: &[Bitmap], scratch: &mut LanesScratch) -> ArrayCounts {
        self.count_with(InstructionSet::best(), activations, scratch)
    }

    /// The same with a given instruction set.
    pub fn count_with(
        &self,
        simd: InstructionSet,
        activations: &[Bitmap],
        scratch: &mut LanesScratch,
    ) -> ArrayCounts {
        let mut counts = ArrayCounts::default();
        let counting = Counting { model: self, activations, scratch, counts: &mut counts };
        simd.run(counting);
        counts
    }
}

/// Counts one image, as work to be compiled per instruction set.
struct Counting<'a> {
    model: &'a ArrayModel,
    activations: &'a [Bitmap],
    scratch: &'a mut LanesScratch,
    counts: &'a mut ArrayCounts,
}

impl Work for Counting<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { model: ArrayModel { family, pairs, .. }, activations, .. } = self;
        let of_image = pairs.count(activations);
        let macs = pairs.classify(&of_image);
        *self.counts = match family {
            Family::Systolic(model) => model.count(macs),
            Family::Lanes(model) => model.count(simd, activations, &of_image, macs, self.scratch),
        };
    }
}
