//! Damage to files, for tests of their readers.

/// A sequence of numbers for the places and values of damage (xorshift64).
pub struct Damage(u64);

impl Damage {
    /// The sequence that all tests take.
    pub fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// The next number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}
