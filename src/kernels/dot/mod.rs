//! Exact dot products of packed operands: one micro-kernel per element type and instruction set,
//! all with the same result.
//!
//! An instruction set is a token that exists only if the processor has it. The order of the
//! products is the map's own (row, column, channel), which is free to choose because the sums are
//! exact.

mod avx2;
mod avx512;
mod pack;
mod portable;

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
    /// Runs `work` compiled for an instruction set.
    fn run(set: InstructionSet, work: impl Work<Self>);
}

macro_rules! elements {
    ($($native:ident $sum:ident),*) => {
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

            fn run(set: InstructionSet, work: impl Work<Self>) {
                match set.0 {
                    Token::Portable(simd) => simd.run(work),
                    Token::Avx2(simd) => simd.run(work),
                    Token::Avx512(simd) => simd.run(work),
                }
            }
        })*
    };
}

elements!(i16 i32, i32 i64);

/// A tile of sums: `P` pixels × `N` output channels.
pub(crate) type Tile<E, const P: usize, const N: usize> = [[<E as Element>::Sum; N]; P];

/// An instruction set that can multiply tiles of `E`.
pub(crate) trait Multiply<E: Element>: Copy {
    /// The sums, over a block of pairs, of the products of the operands at `bases[p] + offset` of
    /// `input` with the weights `[pair][N][2]`.
    ///
    /// Panics if an operand lies outside of `input` or there are too few weights.
    fn tile<const P: usize, const N: usize>(
        self,
        input: &[E],
        bases: &[usize; P],
        offsets: &[u32],
        weights: &[E],
    ) -> Tile<E, P, N>;
}

/// Work on operands of type `E` that is compiled once per instruction set.
pub(crate) trait Work<E: Element> {
    /// Does it; must be `#[inline(always)]`.
    fn run<S: Multiply<E>>(self, simd: S);
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
        Self::available().pop().unwrap_or(Self(Token::Portable(portable::Portable)))
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

/// Panics unless every operand that a tile reads lies inside of its slice.
#[inline(always)]
fn check_bounds<E, const P: usize, const N: usize>(
    input: &[E],
    bases: &[usize; P],
    offsets: &[u32],
    weights: &[E],
) {
    let last = offsets.iter().fold(0, |last, &offset| last.max(offset));
    let base = bases.iter().fold(0, |last, &base| last.max(base));
    assert!(base + last as usize + 1 < input.len() && weights.len() >= offsets.len() * N * 2);
}
