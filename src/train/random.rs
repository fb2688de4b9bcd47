//! Reproducible random numbers: SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable
//! pseudorandom number generators", figure 17), seeded by a key.

/// A stream of random numbers.
pub(super) struct Random(u64);

impl Random {
    /// The stream that belongs to a seed and a key, independent of all others.
    pub fn new(seed: u64, key: &[u64]) -> Self {
        let mut stream = Self(seed);
        for &word in key {
            stream = Self(stream.next() ^ word);
        }
        Self(stream.next())
    }

    /// The next 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is positive. Its bias is below bound / 2^64.
    pub fn below(&mut self, bound: usize) -> usize {
        (u128::from(self.next()) * bound as u128 >> 64) as usize
    }

    /// A number in [−1, 1), a multiple of 2^−23.
    pub fn signed_unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / 8_388_608.0 - 1.0
    }

    /// Puts `items` in a random order (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
