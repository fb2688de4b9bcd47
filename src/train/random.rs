//! Sequences of random numbers, each with a purpose of its own.

use crate::numeric::Draws;

/// What a sequence is for.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// The initial values of the parameter with this index.
    Weights(u64),
    /// The order of the images in this epoch.
    Order(u64),
    /// The shifts of the images in this epoch.
    Shifts(u64),
}

/// A sequence of random numbers, which depends on the seed and the purpose alone.
pub(super) struct Random {
    draws: Draws,
    next: u64,
}

impl Random {
    /// The sequence from its number `first` on.
    pub fn new(seed: u64, purpose: Purpose, first: u64) -> Self {
        let site = match purpose {
            Purpose::Weights(index) => index << 2,
            Purpose::Order(epoch) => epoch << 2 | 1,
            Purpose::Shifts(epoch) => epoch << 2 | 2,
        };
        Self { draws: Draws::new(seed, site), next: first }
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.draws.at(self.next - 1)
    }

    /// A number below `bound`, which is positive. Its bias is below bound / 2^64.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// A multiple of 2^−23 in [−1, 1).
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
