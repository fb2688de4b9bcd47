//! Sixteen lanes in one or two registers of AVX-512.

use std::arch::x86_64::*;

use super::avx512::Avx512;
use super::lanes::Lanes;
use super::operand::LANES;

/// A register, of which there is none without a token of [`Avx512`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zmm(__m512i);

/// Lanes of 64 bits in two registers, the first eight and the others, of which there are none
/// without a token of [`Avx512`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zmms(__m512i, __m512i);

/// Operations of one instruction on each of the `registers` and that of another.
macro_rules! instructions {
    (@ [$($register:tt)*] $name:ident $intrinsic:ident) => {
        #[inline(always)]
        #[allow(unsafe_code)]
        fn $name(self, other: Self) -> Self {
            // SAFETY: there are registers only where the processor has AVX-512 F.
            unsafe { Self($($intrinsic(self.$register, other.$register)),*) }
        }
    };
    ($registers:tt $($name:ident $intrinsic:ident),*) => {
        $(instructions!(@ $registers $name $intrinsic);)*
    };
}

impl Lanes<i32, Avx512> for Zmm {
    instructions!([0]
        plus _mm512_add_epi32, and _mm512_and_si512, lesser _mm512_min_epi32,
        greater _mm512_max_epi32, shifted_left _mm512_sllv_epi32, shifted_right _mm512_srav_epi32
    );

    #[inline(always)]
    #[allow(unsafe_code)]
    fn load(_: Avx512, lanes: &[i32; LANES]) -> Self {
        // SAFETY: the token exists only if the processor has AVX-512 F; sixteen words are read.
        Self(unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) })
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    fn array(self) -> [i32; LANES] {
        let mut lanes = [0; LANES];
        // SAFETY: there is a register only where the processor has AVX-512 F; sixteen words are
        // written.
        unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), self.0) };
        lanes
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    fn exceeds(self, other: Self) -> bool {
        // SAFETY: there is a register only where the processor has AVX-512 F.
        unsafe { _mm512_cmpgt_epi32_mask(self.0, other.0) != 0 }
    }

    #[inline(always)]
    fn saturated(self, _: Avx512) -> Self {
        self
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    fn scaled(self, _: Avx512, scales: &[f32; LANES]) -> Self {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: the token exists only if the processor has AVX-512 F; sixteen scales are read.
        unsafe {
            let products =
                _mm512_mul_ps(_mm512_cvtepi32_ps(self.0), _mm512_loadu_ps(scales.as_ptr()));
            Self(_mm512_cvt_roundps_epi32::<NEAREST>(products))
        }
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    fn vanished(self, _: Avx512, after: Self, count: Self) -> Self {
        // SAFETY: the token exists only if the processor has AVX-512 F.
        unsafe {
            let gone = _mm512_testn_epi32_mask(after.0, after.0);
            let gone = _mm512_mask_test_epi32_mask(gone, self.0, self.0);
            Self(_mm512_mask_add_epi32(count.0, gone, count.0, _mm512_set1_epi32(1)))
        }
    }
}

impl Lanes<i64, Avx512> for Zmms {
    instructions!([0 1]
        plus _mm512_add_epi64, and _mm512_and_si512, lesser _mm512_min_epi64,
        greater _mm512_max_epi64, shifted_left _mm512_sllv_epi64, shifted_right _mm512_srav_epi64
    );

    #[inline(always)]
    #[allow(unsafe_code)]
    fn load(_: Avx512, lanes: &[i64; LANES]) -> Self {
        let lanes = lanes.as_ptr();
        // SAFETY: the token exists only if the processor has AVX-512 F; sixteen words are read.
        unsafe {
            Self(_mm512_loadu_si512(lanes.cast()), _mm512_loadu_si512(lanes.add(LANES / 2).cast()))
        }
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    fn array(self) -> [i64; LANES] {
        let mut lanes = [0; LANES];
        let to = lanes.as_mut_ptr();
        // SAFETY: there are registers only where the processor has AVX-512 F; sixteen words are
        // written.
        unsafe {
            _mm512_storeu_si512(to.cast(), self.0);
            _mm512_storeu_si512(to.add(LANES / 2).cast(), self.1);
        }
        lanes
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    fn exceeds(self, other: Self) -> bool {
        // SAFETY: there are registers only where the processor has AVX-512 F.
        unsafe {
            let first = _mm512_cmpgt_epi64_mask(self.0, other.0);
            (first | _mm512_cmpgt_epi64_mask(self.1, other.1)) != 0
        }
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    fn saturated(self, _: Avx512) -> Zmm {
        // SAFETY: the token exists only if the processor has AVX-512 F.
        unsafe {
            let first = _mm512_castsi256_si512(_mm512_cvtsepi64_epi32(self.0));
            Zmm(_mm512_inserti64x4::<1>(first, _mm512_cvtsepi64_epi32(self.1)))
        }
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    fn scaled(self, _: Avx512, scales: &[f32; LANES]) -> Zmm {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: the token exists only if the processor has AVX-512 F and DQ; sixteen scales are
        // read.
        unsafe {
            let first = _mm512_castps256_ps512(_mm512_cvtepi64_ps(self.0));
            let values = _mm512_insertf32x8::<1>(first, _mm512_cvtepi64_ps(self.1));
            let products = _mm512_mul_ps(values, _mm512_loadu_ps(scales.as_ptr()));
            Zmm(_mm512_cvt_roundps_epi32::<NEAREST>(products))
        }
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    fn vanished(self, _: Avx512, after: Zmm, count: Zmm) -> Zmm {
        // SAFETY: the token exists only if the processor has AVX-512 F.
        unsafe {
            let first = u16::from(_mm512_test_epi64_mask(self.0, self.0));
            let others = u16::from(_mm512_test_epi64_mask(self.1, self.1));
            let gone = _mm512_mask_testn_epi32_mask(first | others << 8, after.0, after.0);
            Zmm(_mm512_mask_add_epi32(count.0, gone, count.0, _mm512_set1_epi32(1)))
        }
    }
}
