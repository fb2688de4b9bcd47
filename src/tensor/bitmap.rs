//! Nonzero bitmaps: one bit per operand of a reduction.

/// A matrix of bits, each row padded to whole 64-bit blocks; padding bits are zero. The same block
/// of all rows lies together, so that neighbouring rows fill a vector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bitmap {
    rows: usize,
    columns: usize,
    bits: Vec<u64>,
}

impl Bitmap {
    /// All bits zero.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, bits: vec![0; rows * columns.div_ceil(64)] }
    }

    /// Number of rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bits of a row, padding excluded.
    #[inline]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Blocks of a row.
    #[inline]
    pub fn blocks(&self) -> usize {
        self.columns.div_ceil(64)
    }

    /// A block of every row; bit `k % 64` of block `k / 64` is column `k`.
    #[inline]
    pub fn block(&self, block: usize) -> &[u64] {
        &self.bits[block * self.rows..][..self.rows]
    }

    /// A block of every row, to be filled; padding bits must stay zero.
    #[inline]
    pub fn block_mut(&mut self, block: usize) -> &mut [u64] {
        &mut self.bits[block * self.rows..][..self.rows]
    }

    /// The bit at (row, column).
    pub fn get(&self, row: usize, column: usize) -> bool {
        self.block(column / 64)[row] >> (column % 64) & 1 == 1
    }

    /// Sets the bit at (row, column).
    pub fn set(&mut self, row: usize, column: usize) {
        self.block_mut(column / 64)[row] |= 1 << (column % 64);
    }

    /// Number of one bits.
    #[inline(always)]
    pub fn ones(&self) -> u64 {
        let mut ones = 0;
        for block in 0..self.bits.len() {
            ones += u64::from(self.bits[block].count_ones());
        }
        ones
    }
}
