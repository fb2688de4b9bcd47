//! Nonzero bitmaps: one bit per operand of a reduction.

/// A matrix of bits, each row padded to whole 64-bit blocks; padding bits are zero.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bitmap {
    rows: usize,
    columns: usize,
    blocks: usize,
    bits: Vec<u64>,
}

impl Bitmap {
    /// All bits zero.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        let blocks = columns.div_ceil(64);
        Self { rows, columns, blocks, bits: vec![0; rows * blocks] }
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

    /// The blocks of a row; bit `k % 64` of block `k / 64` is column `k`.
    #[inline]
    pub fn row(&self, row: usize) -> &[u64] {
        &self.bits[row * self.blocks..][..self.blocks]
    }

    /// The blocks of a row, to be filled; padding bits must stay zero.
    #[inline]
    pub fn row_mut(&mut self, row: usize) -> &mut [u64] {
        &mut self.bits[row * self.blocks..][..self.blocks]
    }

    /// Blocks of a row.
    #[inline]
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// The blocks of all rows.
    #[inline]
    pub fn bits(&self) -> &[u64] {
        &self.bits
    }

    /// The bit at (row, column).
    pub fn get(&self, row: usize, column: usize) -> bool {
        self.row(row)[column / 64] >> (column % 64) & 1 == 1
    }

    /// Sets the bit at (row, column).
    pub fn set(&mut self, row: usize, column: usize) {
        self.row_mut(row)[column / 64] |= 1 << (column % 64);
    }

    /// Number of one bits.
    #[inline]
    pub fn ones(&self) -> u64 {
        let mut ones = 0;
        for block in 0..self.bits.len() {
            ones += u64::from(self.bits[block].count_ones());
        }
        ones
    }
}
