//! The micro-kernel for AVX2.

use super::{Element, Multiply, Tile, Work, check_bounds, portable};

/// Proof that the processor has AVX2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The proof, if the processor has it.
    pub fn new() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            return Some(Self(()));
        }
        None
    }
}

impl Avx2 {
    /// Runs `work`, inlined into a function compiled for the instruction set.
    pub fn run<E: Element>(self, work: impl Work<E>)
    where
        Self: Multiply<E>,
    {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        fn run<E: Element>(simd: Avx2, work: impl Work<E>)
        where
            Avx2: Multiply<E>,
        {
            work.run(simd);
        }
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        // SAFETY: the token exists only if the processor has AVX2.
        unsafe {
            run(self, work);
        }
        #[cfg(not(target_arch = "x86_64"))]
        work.run(self);
    }
}

impl Multiply<i32> for Avx2 {
    #[inline(always)]
    fn tile<const P: usize, const N: usize>(
        self,
        input: &[i32],
        bases: &[usize; P],
        offsets: &[u32],
        weights: &[i32],
    ) -> Tile<i32, P, N> {
        portable::tile(input, bases, offsets, weights)
    }
}

impl Multiply<i16> for Avx2 {
    #[inline(always)]
    fn tile<const P: usize, const N: usize>(
        self,
        input: &[i16],
        bases: &[usize; P],
        offsets: &[u32],
        weights: &[i16],
    ) -> Tile<i16, P, N> {
        const { assert!(N == 8 || N == 16) };
        check_bounds::<_, P, N>(input, bases, offsets, weights);
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        // SAFETY: the token exists only if the processor has AVX2; N and the bounds were checked.
        return unsafe { x86::tile::<P, N>(input, bases, offsets, weights) };
        #[cfg(not(target_arch = "x86_64"))]
        portable::tile(input, bases, offsets, weights)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    /// One or two vectors of 8 sums make up the `N` channels.
    ///
    /// # Safety
    ///
    /// `N` is 8 or 16; for every base, offset and pair: `base + offset + 1 < input.len()`, and
    /// `weights.len() >= offsets.len() · N · 2`.
    #[target_feature(enable = "avx2")]
    #[inline]
    #[allow(unsafe_code)]
    pub unsafe fn tile<const P: usize, const N: usize>(
        input: &[i16],
        bases: &[usize; P],
        offsets: &[u32],
        weights: &[i16],
    ) -> [[i32; N]; P] {
        let mut sums = [[_mm256_setzero_si256(); 2]; P];
        let rows = bases.map(|base| input.as_ptr().wrapping_add(base));
        let mut weights = weights.as_ptr();
        for &offset in offsets {
            // SAFETY: inside of the weights by the caller's promise: N · 2 words a pair.
            let w: [_; 2] = std::array::from_fn(|v| unsafe {
                _mm256_loadu_si256(weights.add(16 * (v % (N / 8))).cast())
            });
            weights = weights.wrapping_add(N * 2);
            for p in 0..P {
                // SAFETY: two words from base + offset, inside of the input by the promise.
                let pair = unsafe { rows[p].add(offset as usize).cast::<i32>().read_unaligned() };
                let x = _mm256_set1_epi32(pair);
                for v in 0..N / 8 {
                    sums[p][v] = _mm256_add_epi32(sums[p][v], _mm256_madd_epi16(x, w[v]));
                }
            }
        }
        let mut tile = [[0; N]; P];
        for p in 0..P {
            for v in 0..N / 8 {
                // SAFETY: eight words from 8 · v < N.
                unsafe { _mm256_storeu_si256(tile[p].as_mut_ptr().add(8 * v).cast(), sums[p][v]) };
            }
        }
        tile
    }
}
