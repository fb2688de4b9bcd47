//! The micro-kernel for AVX2: pairs of 16-bit words. It has no exact product of bytes.

use super::lanes::Plain;
use super::operand::{Operand, Simd, StepRange, Sums, Weights, Work};
use super::portable::Portable;

/// Proof that the processor has AVX2, BMI2, FMA and POPCNT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The proof, if the processor has it.
    pub fn new() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("fma")
        {
            return Some(Self(()));
        }
        None
    }

    /// Runs `work`, inlined into a function compiled for the instruction set.
    pub fn run(self, work: impl Work) {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,bmi2,popcnt,fma")]
        #[inline(never)]
        fn run(simd: Avx2, work: impl Work) {
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

impl Simd for Avx2 {
    const PIXELS: usize = 4;
    const VECTORS: usize = 1;

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
        #[cfg(target_arch = "x86_64")]
        if T::GROUP == 2 && weights.vectors == 1 {
            let offsets = steps.checked(input, bases, weights);
            let (input, weights) = (input.as_ptr().cast(), weights.words.as_ptr().cast());
            macro_rules! tiles {
                ($($pixels:literal)*) => {
                    match bases.len() {
                        // SAFETY: the token exists only if the processor has AVX2, and pairs of
                        // words and their weights lie where the check found them.
                        $($pixels => unsafe {
                            x86::tile::<$pixels>(input, bases, offsets, weights, sums);
                        },)*
                        pixels => unreachable!("a tile of {pixels} pixels"),
                    }
                };
            }
            #[allow(unsafe_code)]
            {
                return tiles!(1 2 3 4);
            }
        }
        Portable.tile(input, bases, steps, weights, sums);
    }

    #[inline(always)]
    fn deposit(self, bits: u64, mask: u64) -> u64 {
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        // SAFETY: the token exists only if the processor has BMI2.
        unsafe {
            std::arch::x86_64::_pdep_u64(bits, mask)
        }
        #[cfg(not(target_arch = "x86_64"))]
        Portable.deposit(bits, mask)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    #![allow(clippy::needless_range_loop, reason = "lanes of several arrays are indexed in step")]

    use std::arch::x86_64::*;

    use crate::kernels::dot::operand::{LANES, Sums};

    /// Two registers of 8 sums a pixel.
    ///
    /// # Safety
    ///
    /// `bases` are `P`; at each base + offset of `input` there are two words, and 32 words of
    /// weights for each offset.
    #[target_feature(enable = "avx2")]
    #[allow(unsafe_code)]
    pub unsafe fn tile<const P: usize>(
        input: *const i16,
        bases: &[usize],
        offsets: &[u32],
        mut weights: *const i16,
        sums: &mut Sums,
    ) {
        let mut tile = [[_mm256_setzero_si256(); 2]; P];
        let rows: [*const i16; P] = std::array::from_fn(|p| input.wrapping_add(bases[p]));
        for &offset in offsets {
            let mut w = [_mm256_setzero_si256(); 2];
            for v in 0..2 {
                // SAFETY: inside of the weights by the caller's promise: 32 words a step.
                w[v] = unsafe { _mm256_loadu_si256(weights.add(16 * v).cast()) };
            }
            weights = weights.wrapping_add(2 * LANES);
            for p in 0..P {
                // SAFETY: two words from base + offset, inside of the input by the promise.
                let pair = unsafe { rows[p].add(offset as usize).cast::<i32>().read_unaligned() };
                let x = _mm256_set1_epi32(pair);
                for v in 0..2 {
                    tile[p][v] = _mm256_add_epi32(tile[p][v], _mm256_madd_epi16(x, w[v]));
                }
            }
        }
        for p in 0..P {
            let vector = &mut sums.0[p][0];
            for v in 0..2 {
                // SAFETY: eight sums from 8 · v < 16.
                unsafe { _mm256_storeu_si256(vector[8 * v..].as_mut_ptr().cast(), tile[p][v]) };
            }
        }
    }
}
