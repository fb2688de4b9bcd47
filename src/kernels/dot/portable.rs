//! The micro-kernels in plain Rust: the specification of the others, and those of processors
//! without them.

#![allow(clippy::needless_range_loop, reason = "lanes of several arrays are indexed in step")]

use super::lanes::Plain;
use super::operand::{LANES, Operand, PIXELS, Simd, StepRange, Sums, VECTORS, Weights, Work};
use super::{Element, Tile};

/// Every processor has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Portable;

impl Portable {
    /// Runs `work`.
    pub fn run(self, work: impl Work) {
        work.run(self);
    }
}

impl Simd for Portable {
    const PIXELS: usize = PIXELS;
    const VECTORS: usize = VECTORS;

    type Words = Plain<i32>;

    type Longs = Plain<i64>;

    #[inline(always)]
    fn run(self, work: impl Work) {
        Self::run(self, work);
    }

    #[inline(always)]
    fn tile<T: Operand>(
        self,
        input: &[T],
        bases: &[usize],
        steps: StepRange<'_>,
        weights: Weights<'_, T::Weight>,
        sums: &mut Sums,
    ) {
        let offsets = steps.checked(input, bases, weights);
        let Weights { words, vectors, .. } = weights;
        for (p, &base) in bases.iter().enumerate() {
            for v in 0..vectors {
                let mut vector = [0i32; LANES];
                for (step, &offset) in offsets.iter().enumerate() {
                    let first = (step * vectors + v) * LANES * T::GROUP;
                    let weights = &words[first..][..LANES * T::GROUP];
                    let operands = &input[base + offset as usize..][..T::GROUP];
                    for n in 0..LANES {
                        for g in 0..T::GROUP {
                            let product = operands[g].times(weights[n * T::GROUP + g]);
                            vector[n] = vector[n].wrapping_add(product);
                        }
                    }
                }
                sums.0[p][v] = vector;
            }
        }
    }
}

/// A tile of any element, left to the compiler to vectorise for whatever the caller is compiled
/// for.
#[inline(always)]
pub(super) fn tile<E: Element, const P: usize, const N: usize>(
    input: &[E],
    bases: &[usize; P],
    offsets: &[u32],
    weights: &[E],
) -> Tile<E, P, N> {
    let mut sums = [[E::Sum::default(); N]; P];
    for (&offset, weights) in offsets.iter().zip(weights.as_chunks::<2>().0.chunks_exact(N)) {
        for p in 0..P {
            let at = bases[p] + offset as usize;
            let x = [input[at], input[at + 1]];
            for n in 0..N {
                sums[p][n] = E::add_pair(sums[p][n], x, weights[n]);
            }
        }
    }
    sums
}
