//! Randomness of stochastic rounding.

/// Sites that may round stochastically.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Site {
    /// Words of the network input.
    Input,
    /// Incoming words before the multipliers.
    Activations,
    /// Bias words, on their way into the accumulator.
    Bias,
    /// Products.
    Product,
    /// Accumulator.
    Accumulator,
    /// Output words.
    Output,
}

/// The draws of one layer for one image: a pure function of (seed, layer, image, site, element,
/// step), so that no order of evaluation changes them.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    key: u64,
}

impl Draws {
    /// The draws of `layer` for `image`.
    pub fn new(seed: u64, layer: u64, image: u64) -> Self {
        Self { key: mix(mix(mix(seed) ^ layer) ^ image) }
    }

    /// A uniform 64-bit word for `step` of the output word `element` at `site`.
    pub fn draw(self, site: Site, element: u64, step: u64) -> u64 {
        mix(mix(mix(self.key ^ site as u64) ^ element) ^ step)
    }
}

/// SplitMix64: a step of its Weyl sequence, then its finalizer (Steele, Lea, Flood: Fast
/// splittable pseudorandom number generators, OOPSLA 2014).
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
