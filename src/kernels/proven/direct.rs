//! Sums that fit 32 bits.

use crate::kernels::Mac;
use crate::kernels::dot::{InstructionSet, Operand, Simd, Sums};
use crate::kernels::patches::PaddedMap;
use crate::kernels::proven::tiles::{Block, Place, Tiles};
use crate::kernels::proven::{Activations, Products, offset};
use crate::tensor::Words;

/// Products of a layer whose operands are `T`.
#[derive(Clone, Debug)]
pub(crate) struct Direct<T: Operand> {
    activations: Activations,
    tiles: Tiles<T>,
}

impl<T: Operand> Products for Direct<T> {
    type Sum = i32;
    type Buffer = Vec<T>;
    type Operands<'a> = &'a [T];

    const GROUP: usize = T::GROUP;

    fn offset(range: [i64; 2]) -> Option<i64> {
        offset::<T>(range)
    }

    fn new(simd: InstructionSet, mac: &Mac<'_>, map: &PaddedMap, offset: i64) -> Option<Self> {
        let weights: Option<Vec<_>> = mac.weights.to_vec().into_iter().map(T::weight).collect();
        let tiles = Tiles::new(simd.vectors(), &mac.geometry, map, &weights?, T::GROUP);
        let activations = Activations::new(mac, map, offset, tiles.reach());
        Some(Self { activations, tiles })
    }

    fn start(&self, weights: impl Iterator<Item = i64>) -> i64 {
        -self.activations.offset * weights.sum::<i64>()
    }

    fn blocks(&self) -> &[Block] {
        self.tiles.blocks()
    }

    fn operands<'a>(
        &self,
        simd: InstructionSet,
        input: &'a Words,
        buffer: &'a mut Vec<T>,
    ) -> &'a [T] {
        self.activations.operands(simd, input, buffer)
    }

    #[inline(always)]
    fn sums(
        &self,
        simd: impl Simd,
        operands: &[T],
        bases: &[usize],
        place: Place,
        _: &mut [Sums; 2],
        sums: &mut Sums,
    ) {
        self.tiles.sums(simd, operands, bases, place, 0..self.tiles.steps(), sums);
    }
}
