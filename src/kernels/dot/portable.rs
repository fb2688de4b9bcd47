//! The micro-kernel in plain Rust: the specification of the others, and the one of processors
//! without them.

use super::{Element, Multiply, Tile, Work};

/// Every processor has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Portable;

impl Portable {
    /// Runs `work`.
    pub fn run<E: Element>(self, work: impl Work<E>) {
        work.run(self);
    }
}

impl<E: Element> Multiply<E> for Portable {
    #[inline(always)]
    fn tile<const P: usize, const N: usize>(
        self,
        input: &[E],
        bases: &[usize; P],
        offsets: &[u32],
        weights: &[E],
    ) -> Tile<E, P, N> {
        tile(input, bases, offsets, weights)
    }
}

/// The tile, left to the compiler to vectorise for whatever the caller is compiled for.
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
