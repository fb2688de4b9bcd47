//! The 8-bit micro-kernel by itself, and what the processor could do at most: for benchmarks.

use super::operand::{LANES, PIXELS, Simd, Steps, Sums, VECTORS, Weights, Work};
use super::{InstructionSet, avx512};

/// Multiply-accumulates of `rounds` rounds of independent `vpdpbusd` on registers; `None` if the
/// processor does not have it.
pub fn peak(rounds: usize) -> Option<u64> {
    let simd = avx512::Avx512::new()?;
    let instructions = PIXELS * VECTORS * rounds;
    std::hint::black_box(simd.independent_sums(rounds));
    Some((instructions * 4 * LANES) as u64)
}

/// A product of matrices of u8 (`rows` × `reduction`) and i8 (`reduction` × `columns`), its operands
/// laid out as a layer's are.
pub struct Gemm {
    reduction: usize,
    input: Vec<u8>,
    weights: Vec<i8>,
    bases: Vec<usize>,
    steps: Steps,
    blocks: usize,
}

impl Gemm {
    const WIDTH: usize = VECTORS * LANES;

    /// Operands from `input(row, k)` and `weight(column, k)`.
    ///
    /// # Panics
    /// If `columns` is no multiple of 48, or `reduction` none of 4.
    pub fn new(
        [rows, columns, reduction]: [usize; 3],
        input: impl Fn(usize, usize) -> u8,
        weight: impl Fn(usize, usize) -> i8,
    ) -> Self {
        assert!(columns.is_multiple_of(Self::WIDTH) && reduction.is_multiple_of(4), "whole tiles");
        let mut weights = Vec::with_capacity(columns * reduction);
        for first in (0..columns).step_by(Self::WIDTH) {
            for k in (0..reduction).step_by(4) {
                for column in first..first + Self::WIDTH {
                    weights.extend((k..k + 4).map(|k| weight(column, k)));
                }
            }
        }
        Self {
            reduction,
            input: (0..rows * reduction).map(|i| input(i / reduction, i % reduction)).collect(),
            weights,
            bases: (0..rows).map(|row| row * reduction).collect(),
            steps: Steps::new((0..reduction as u32).step_by(4).collect()),
            blocks: columns / Self::WIDTH,
        }
    }

    /// Multiply-accumulates of a run.
    pub fn macs(&self) -> u64 {
        (self.bases.len() * self.weights.len()) as u64
    }

    /// Writes the sums, block of 48 columns by block, row by row.
    pub fn run(&self, set: InstructionSet, sums: &mut Vec<i32>) {
        sums.resize(self.bases.len() * self.blocks * Self::WIDTH, 0);
        set.run(Product { gemm: self, sums });
    }
}

struct Product<'a> {
    gemm: &'a Gemm,
    sums: &'a mut [i32],
}

impl Work for Product<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Gemm { reduction, input, weights, bases, steps, blocks } = self.gemm;
        let (mut tile, rows) = (Sums::default(), bases.len());
        for block in 0..*blocks {
            let weights = &weights[block * reduction * Gemm::WIDTH..][..reduction * Gemm::WIDTH];
            let mut first = 0;
            while first < rows {
                let len = S::PIXELS.min(rows - first);
                let words = Weights { words: weights, vectors: VECTORS, ahead: &[] };
                simd.tile(input, &bases[first..first + len], steps.all(), words, &mut tile);
                for row in 0..len {
                    let sums = &mut self.sums[(block * rows + first + row) * Gemm::WIDTH..];
                    for vector in 0..VECTORS {
                        for lane in 0..LANES {
                            sums[vector * LANES + lane] = tile.0[row][vector][lane];
                        }
                    }
                }
                first += len;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_plain_loop() {
        let (rows, columns, reduction) = (11, 96, 8);
        let input = |row: usize, k: usize| (row * 37 + k * 11) as u8;
        let weight = |column: usize, k: usize| (column * 29 + k * 5) as u8 as i8;
        let gemm = Gemm::new([rows, columns, reduction], input, weight);
        for set in InstructionSet::available().into_iter().filter(|set| set.vectors() == VECTORS) {
            let mut sums = Vec::new();
            gemm.run(set, &mut sums);
            for (index, &sum) in sums.iter().enumerate() {
                let (row, column) = (index / 48 % rows, index / 48 / rows * 48 + index % 48);
                let expected: i32 = (0..reduction)
                    .map(|k| i32::from(input(row, k)) * i32::from(weight(column, k)))
                    .sum();
                assert_eq!(sum, expected, "{} {row} {column}", set.name());
            }
        }
        assert_eq!(gemm.macs(), (rows * columns * reduction) as u64);
    }
}
