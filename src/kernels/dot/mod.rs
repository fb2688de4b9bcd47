//! Exact dot products of packed operands: one micro-kernel per operand type and instruction set,
//! all with the same result.
//!
//! An instruction set is a token that exists only if the processor has it. The order of the
//! products is the map's own (row, column, channel), which is free to choose because the sums are
//! exact.

mod avx2;
mod avx512;
pub mod ceiling;
mod lanes;
mod operand;
mod pack;
mod portable;
#[cfg(target_arch = "x86_64")]
mod zmm;

pub(crate) use lanes::Lanes;
pub(crate) use operand::{
    Bytes, FAR, Halves, LANES, Operand, PIXELS, Simd, StepRange, Steps, Sums, VECTORS, Vector,
    Weights, Work, nearby, nearest, shifted,
};
pub(crate) use pack::{Blocks, Gather, Packed};

/// An operand type and the type that holds a sum of its products.
pub(crate) trait Element: Copy + Default + PartialEq + Send + Sync + 'static {
    /// Holds the sums of one block of a packed reduction.
    type Sum: Copy + Default;

    /// Largest magnitude of an operand.
    const LARGEST: i64;
    /// Largest magnitude of a sum.
    const LARGEST_SUM: u128;

    /// The operand `raw`, which fits.
    fn from_raw(raw: i64) -> Self;
    /// `sum + x[0] · w[0] + x[1] · w[1]`.
    fn add_pair(sum: Self::Sum, x: [Self; 2], w: [Self; 2]) -> Self::Sum;
    /// The sum as 64 bits.
    fn widen(sum: Self::Sum) -> i64;
    /// The operand as 64 bits.
    fn raw(self) -> i64;
    /// The sums, over pairs, of the products of the operands at `bases[p]` + offset of `input` with
    /// the weights `[pair][N][2]`.
    ///
    /// Panics if an operand lies outside of `input` or there are too few weights.
    fn tile<S: Simd, const P: usize, const N: usize>(
        simd: S,
        input: &[Self],
        bases: &[usize; P],
        pairs: StepRange<'_>,
        weights: &[Self],
    ) -> Tile<Self, P, N>;
}

macro_rules! elements {
    ($($native:ident $sum:ident $tile:path),*) => {
        $(impl Element for $native {
            type Sum = $sum;

            const LARGEST: i64 = $native::MAX as i64;
            const LARGEST_SUM: u128 = $sum::MAX as u128;

            #[inline(always)]
            fn from_raw(raw: i64) -> Self {
                raw as $native
            }

            #[inline(always)]
            fn add_pair(sum: $sum, x: [Self; 2], w: [Self; 2]) -> $sum {
                sum + $sum::from(x[0]) * $sum::from(w[0]) + $sum::from(x[1]) * $sum::from(w[1])
            }

            #[inline(always)]
            fn widen(sum: $sum) -> i64 {
                i64::from(sum)
            }

            #[inline(always)]
            fn raw(self) -> i64 {
                i64::from(self)
            }

            #[inline(always)]
            fn tile<S: Simd, const P: usize, const N: usize>(
                simd: S,
                input: &[Self],
                bases: &[usize; P],
                pairs: StepRange<'_>,
                weights: &[Self],
            ) -> Tile<Self, P, N> {
                $tile(simd, input, bases, pairs, weights)
            }
        })*
    };
}

elements!(i16 i32 halves, i32 i64 words);

/// A tile of sums: `P` pixels × `N` output channels.
pub(crate) type Tile<E, const P: usize, const N: usize> = [[<E as Element>::Sum; N]; P];

/// A tile of 16-bit words: the instruction set's own where the channels fill a vector.
#[inline(always)]
fn halves<S: Simd, const P: usize, const N: usize>(
    simd: S,
    input: &[i16],
    bases: &[usize; P],
    pairs: StepRange<'_>,
    weights: &[i16],
) -> Tile<i16, P, N> {
    if N != LANES {
        return portable::tile(input, bases, pairs.offsets(), weights);
    }
    let mut sums = Sums::default();
    let weights = Weights { words: weights, vectors: 1, ahead: &[] };
    simd.tile(input, bases, pairs, weights, &mut sums);
    std::array::from_fn(|p| std::array::from_fn(|n| sums.0[p][0][n]))
}

/// A tile of 32-bit words, for which no instruction set has more than the compiler finds.
#[inline(always)]
fn words<S: Simd, const P: usize, const N: usize>(
    _: S,
    input: &[i32],
    bases: &[usize; P],
    pairs: StepRange<'_>,
    weights: &[i32],
) -> Tile<i32, P, N> {
    portable::tile(input, bases, pairs.offsets(), weights)
}

/// The instruction sets for which there are kernels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InstructionSet(Token);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token {
    Portable(portable::Portable),
    Avx2(avx2::Avx2),
    Avx512(avx512::Avx512),
}

impl InstructionSet {
    /// Those that this processor has, the fastest last.
    pub fn available() -> Vec<Self> {
        let avx2 = avx2::Avx2::new().map(Token::Avx2);
        let avx512 = avx512::Avx512::new().map(Token::Avx512);
        let portable = Token::Portable(portable::Portable);
        [Some(portable), avx2, avx512].into_iter().flatten().map(Self).collect()
    }

    /// The fastest that this processor has.
    pub fn best() -> Self {
        let avx2 = || avx2::Avx2::new().map(Token::Avx2);
        let best = avx512::Avx512::new().map(Token::Avx512).or_else(avx2);
        Self(best.unwrap_or(Token::Portable(portable::Portable)))
    }

    /// Runs `work` compiled for it.
    pub(crate) fn run(self, work: impl Work) {
        match self.0 {
            Token::Portable(simd) => simd.run(work),
            Token::Avx2(simd) => simd.run(work),
            Token::Avx512(simd) => simd.run(work),
        }
    }

    /// Whether it multiplies bytes faster than 16-bit words.
    pub(crate) fn has_bytes(self) -> bool {
        !matches!(self.0, Token::Avx2(_))
    }

    /// Vectors of 16 output channels side by side in its tiles.
    pub(crate) fn vectors(self) -> usize {
        match self.0 {
            Token::Portable(_) => portable::Portable::VECTORS,
            Token::Avx2(_) => avx2::Avx2::VECTORS,
            Token::Avx512(_) => avx512::Avx512::VECTORS,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self.0 {
            Token::Portable(_) => "portable",
            Token::Avx2(_) => "AVX2",
            Token::Avx512(_) => "AVX-512",
        }
    }
}
