//! The micro-kernels for AVX-512 with VNNI: groups of four bytes and pairs of 16-bit words.
//!
//! Intrinsics stand where they are used: a function of theirs is not always inlined.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use super::operand::{Bytes, Halves, LANES, Vector};
use super::operand::{Operand, PIXELS, Simd, StepRange, Sums, VECTORS, Weights, Work};

/// Proof that the processor has AVX-512 F, BW, DQ, VL, VNNI, VBMI2, BITALG and VPOPCNTDQ.
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
            && is_x86_feature_detected!("avx512vbmi2")
            && is_x86_feature_detected!("avx512bitalg")
            && is_x86_feature_detected!("avx512vpopcntdq")
        {
            return Some(Self(avx2));
        }
        let _ = avx2;
        None
    }

    /// Sums of a tile whose operands stay in registers: `vpdpbusd` and nothing else.
    pub fn independent_sums(self, rounds: usize) -> i32 {
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        // SAFETY: the token exists only if the processor has these features.
        unsafe {
            x86::independent_sums(rounds)
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let _ = rounds;
            0
        }
    }

    /// Runs `work`, inlined into a function compiled for the instruction set.
    pub fn run(self, work: impl Work) {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,bmi2,popcnt,fma,avx512f,avx512bw,avx512dq,avx512vl")]
        #[target_feature(enable = "avx512vnni,avx512vbmi2,avx512bitalg,avx512vpopcntdq")]
        #[inline(never)]
        fn run(simd: Avx512, work: impl Work) {
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

impl Simd for Avx512 {
    const PIXELS: usize = PIXELS;
    const VECTORS: usize = VECTORS;

    #[cfg(target_arch = "x86_64")]
    type Words = super::zmm::Zmm;
    #[cfg(not(target_arch = "x86_64"))]
    type Words = super::lanes::Plain<i32>;

    #[cfg(target_arch = "x86_64")]
    type Longs = super::zmm::Zmms;
    #[cfg(not(target_arch = "x86_64"))]
    type Longs = super::lanes::Plain<i64>;

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
        {
            let offsets = steps.checked(input, bases, weights);
            let Weights { words, vectors, ahead } = weights;
            let pace = size_of_val(ahead).div_ceil(offsets.len().max(1));
            let (input, weights) = (input.as_ptr(), words.as_ptr().cast());
            // An address without memory is looked up at every step.
            let ahead = if ahead.is_empty() { words } else { ahead };
            let ahead = (ahead.as_ptr().cast(), pace);
            let kernel = const { &x86::kernels::<T>() }[bases.len() - 1][vectors - 1];
            #[allow(unsafe_code)]
            // SAFETY: the token exists only if the processor has these features, the kernel is that
            // of so many bases and vectors, and groups of operands and their weights lie where the
            // check found them.
            unsafe {
                kernel(input, bases, offsets, (weights, ahead), sums);
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        super::portable::Portable.tile(input, bases, steps, weights, sums);
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    #[allow(unsafe_code)]
    fn ones(self, mut words: Halves) -> Halves {
        // SAFETY: the token exists only if the processor has AVX-512 VL and BITALG; sixteen words
        // of two bytes are read and written.
        unsafe {
            let ones = _mm256_popcnt_epi16(_mm256_loadu_si256(words.as_ptr().cast()));
            _mm256_storeu_si256(words.as_mut_ptr().cast(), ones);
        }
        words
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    #[allow(unsafe_code)]
    fn common(self, word: u32, words: &[u32; LANES]) -> Bytes {
        let mut bytes = [0; 4 * LANES];
        // SAFETY: the token exists only if the processor has AVX-512 F and BITALG; sixty-four bytes
        // are read and written.
        unsafe {
            let words = _mm512_loadu_si512(words.as_ptr().cast());
            let common = _mm512_and_si512(_mm512_set1_epi32(word as i32), words);
            _mm512_storeu_si512(bytes.as_mut_ptr().cast(), _mm512_popcnt_epi8(common));
        }
        bytes
    }

    /// The complement of the smallest of the complements, a word of which has the smaller of two.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    #[allow(unsafe_code)]
    fn largest(self, bytes: &Bytes) -> u8 {
        // SAFETY: the token exists only if the processor has AVX-512 F and AVX2; sixty-four bytes
        // are read.
        unsafe {
            let bytes = _mm512_loadu_si512(bytes.as_ptr().cast());
            let halves = [_mm512_castsi512_si256(bytes), _mm512_extracti64x4_epi64::<1>(bytes)];
            let half = _mm256_max_epu8(halves[0], halves[1]);
            let quarters = [_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half)];
            let rest = _mm_xor_si128(_mm_max_epu8(quarters[0], quarters[1]), _mm_set1_epi8(-1));
            let words = _mm_min_epu8(rest, _mm_srli_epi16::<8>(rest));
            !(_mm_cvtsi128_si32(_mm_minpos_epu16(words)) as u8)
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    #[allow(unsafe_code)]
    fn shifted(self, before: &[u64; 8], words: &[u64; 8], shift: u32) -> [u64; 8] {
        let mut bits = [0; 8];
        // SAFETY: the token exists only if the processor has AVX-512 F and VBMI2; eight words of
        // eight bytes are read and written.
        unsafe {
            let before = _mm512_loadu_si512(before.as_ptr().cast());
            let words = _mm512_loadu_si512(words.as_ptr().cast());
            let shift = _mm512_set1_epi64(shift.into());
            let shifted = _mm512_shldv_epi64(words, before, shift);
            _mm512_storeu_si512(bits.as_mut_ptr().cast(), shifted);
        }
        bits
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    #[allow(unsafe_code)]
    fn nonzero(self, bytes: &Bytes) -> u64 {
        // SAFETY: the token exists only if the processor has AVX-512 BW; sixty-four bytes are read.
        unsafe {
            let bytes = _mm512_loadu_si512(bytes.as_ptr().cast());
            _mm512_test_epi8_mask(bytes, bytes)
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    #[allow(unsafe_code)]
    fn nearest(self, values: &[f32; LANES]) -> Vector {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        let mut rounded = [0; LANES];
        // SAFETY: the token exists only if the processor has AVX-512 F; sixteen words of four bytes
        // are read and written.
        unsafe {
            let values = _mm512_loadu_ps(values.as_ptr());
            let words = _mm512_cvt_roundps_epi32::<NEAREST>(values);
            _mm512_storeu_si512(rounded.as_mut_ptr().cast(), words);
        }
        rounded
    }

    #[inline(always)]
    fn deposit(self, bits: u64, mask: u64) -> u64 {
        self.0.deposit(bits, mask)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    #![allow(clippy::needless_range_loop, reason = "lanes of several arrays are indexed in step")]

    use std::arch::x86_64::*;

    use crate::kernels::dot::operand::{Operand, PIXELS, Sums, VECTORS};

    /// As many sums as a tile has, of operands in registers.
    #[target_feature(enable = "avx512f,avx512vnni")]
    #[inline(never)]
    pub fn independent_sums(rounds: usize) -> i32 {
        let mut tile = [_mm512_setzero_si512(); PIXELS * VECTORS];
        let x = _mm512_set1_epi8(std::hint::black_box(3));
        let w = _mm512_set1_epi8(std::hint::black_box(-2));
        for _ in 0..rounds {
            for n in 0..tile.len() {
                tile[n] = _mm512_dpbusd_epi32(tile[n], x, w);
            }
        }
        tile.iter().fold(0, |sum, &sums| sum.wrapping_add(_mm512_reduce_add_epi32(sums)))
    }

    /// [`tile`] for so many pixels and vectors.
    ///
    /// # Safety
    ///
    /// As there.
    pub type Kernel<T> =
        unsafe fn(*const T, &[usize], &[u32], (*const u8, (*const i8, usize)), &mut Sums);

    /// All of them, at pixels − 1 and vectors − 1. Called by a number that is not known when they are
    /// compiled, they are not inlined, where their registers would be spilled.
    pub const fn kernels<T: Operand>() -> [[Kernel<T>; VECTORS]; PIXELS] {
        macro_rules! by_pixels {
            ($($pixels:literal)*) => {
                [$([tile::<T, $pixels, 1>, tile::<T, $pixels, 2>, tile::<T, $pixels, 3>]),*]
            };
        }
        by_pixels!(1 2 3 4 5 6 7 8)
    }

    /// `V` registers of 16 sums a pixel. Bytes from `ahead` on come closer, so many a step.
    ///
    /// # Safety
    ///
    /// `bases` are `P`; at each base + offset of `input` there is a group of four bytes, and 64 ·
    /// `V` bytes of weights for each offset.
    #[target_feature(enable = "avx512f,avx512vnni")]
    #[inline(never)]
    #[allow(unsafe_code)]
    unsafe fn tile<T: Operand, const P: usize, const V: usize>(
        input: *const T,
        bases: &[usize],
        offsets: &[u32],
        (mut weights, (mut ahead, pace)): (*const u8, (*const i8, usize)),
        sums: &mut Sums,
    ) {
        let mut tile = [[_mm512_setzero_si512(); V]; P];
        let mut rows = [input; P];
        for p in 0..P {
            rows[p] = input.wrapping_add(bases[p]);
        }
        for &offset in offsets {
            let mut w = [_mm512_setzero_si512(); V];
            for v in 0..V {
                // SAFETY: inside of the weights by the caller's promise: 64 bytes a vector.
                w[v] = unsafe { _mm512_loadu_si512(weights.add(64 * v).cast()) };
            }
            weights = weights.wrapping_add(64 * V);
            _mm_prefetch::<_MM_HINT_T0>(ahead);
            ahead = ahead.wrapping_add(pace);
            for p in 0..P {
                // SAFETY: four bytes from base + offset, inside of the input by the promise.
                let group = unsafe { rows[p].add(offset as usize).cast::<i32>().read_unaligned() };
                let x = _mm512_set1_epi32(group);
                for v in 0..V {
                    tile[p][v] = if T::GROUP == 4 {
                        _mm512_dpbusd_epi32(tile[p][v], x, w[v])
                    } else {
                        _mm512_dpwssd_epi32(tile[p][v], x, w[v])
                    };
                }
            }
        }
        for p in 0..P {
            for v in 0..V {
                // SAFETY: the sixteen sums of a vector.
                unsafe { _mm512_storeu_si512(sums.0[p][v].as_mut_ptr().cast(), tile[p][v]) };
            }
        }
    }
}
