//! The micro-kernel for AVX-512 with VNNI.

use super::avx2::Avx2;
use super::{Element, Multiply, Tile, Work, check_bounds, portable};

/// Proof that the processor has AVX-512 F, BW, DQ, VL and VNNI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Avx512(Avx2);

impl Avx512 {
    /// The proof, if the processor has them.
    pub fn new() -> Option<Self> {
        let avx2 = Avx2::new()?;
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
        {
            return Some(Self(avx2));
        }
        let _ = avx2;
        None
    }
}

impl Avx512 {
    /// Runs `work`, inlined into a function compiled for the instruction set.
    pub fn run<E: Element>(self, work: impl Work<E>)
    where
        Self: Multiply<E>,
    {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn run<E: Element>(simd: Avx512, work: impl Work<E>)
        where
            Avx512: Multiply<E>,
        {
            work.run(simd);
        }
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        // SAFETY: the token exists only if the processor has these features.
        unsafe {
            run(self, work);
        }
        #[cfg(not(target_arch = "x86_64"))]
        work.run(self);
    }
}

impl Multiply<i32> for Avx512 {
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

impl Multiply<i16> for Avx512 {
    #[inline(always)]
    fn tile<const P: usize, const N: usize>(
        self,
        input: &[i16],
        bases: &[usize; P],
        offsets: &[u32],
        weights: &[i16],
    ) -> Tile<i16, P, N> {
        #[cfg(target_arch = "x86_64")]
        if N == 16 {
            check_bounds::<_, P, N>(input, bases, offsets, weights);
            #[allow(unsafe_code)]
            // SAFETY: the token exists only if the processor has these features; the bounds were
            // checked, and N is 16.
            return unsafe { x86::tile::<P, N>(input, bases, offsets, weights) };
        }
        self.0.tile(input, bases, offsets, weights)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    /// One vector of 16 sums makes up the `N` channels.
    ///
    /// # Safety
    ///
    /// `N` is 16; for every base, offset and pair: `base + offset + 1 < input.len()`, and
    /// `weights.len() >= offsets.len() · N · 2`.
    #[target_feature(enable = "avx512f,avx512vnni")]
    #[inline]
    #[allow(unsafe_code)]
    pub unsafe fn tile<const P: usize, const N: usize>(
        input: &[i16],
        bases: &[usize; P],
        offsets: &[u32],
        weights: &[i16],
    ) -> [[i32; N]; P] {
        let mut sums = [_mm512_setzero_si512(); P];
        let rows = bases.map(|base| input.as_ptr().wrapping_add(base));
        let mut weights = weights.as_ptr();
        for &offset in offsets {
            // SAFETY: inside of the weights by the caller's promise: 32 words a pair.
            let w = unsafe { _mm512_loadu_si512(weights.cast()) };
            weights = weights.wrapping_add(N * 2);
            for p in 0..P {
                // SAFETY: two words from base + offset, inside of the input by the promise.
                let pair = unsafe { rows[p].add(offset as usize).cast::<i32>().read_unaligned() };
                sums[p] = _mm512_dpwssd_epi32(sums[p], _mm512_set1_epi32(pair), w);
            }
        }
        let mut tile = [[0; N]; P];
        for p in 0..P {
            // SAFETY: 16 words, the whole of the row.
            unsafe { _mm512_storeu_si512(tile[p].as_mut_ptr().cast(), sums[p]) };
        }
        tile
    }
}
