//! Randomness of stochastic rounding, for all words of one layer and image.

use crate::numeric::Draws;

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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LayerDraws {
    seed: u64,
    place: u64,
}

impl LayerDraws {
    /// The draws of `layer` for `image`. Of both the low bits count: 29 and 32.
    pub fn new(seed: u64, layer: usize, image: usize) -> Self {
        Self { seed, place: (layer as u64) << 35 | image as u64 & 0xffff_ffff }
    }

    /// A uniform 64-bit word for `step` of the word `element` at `site`.
    pub fn draw(self, site: Site, element: usize, step: usize) -> u64 {
        let site = self.place | (site as u64) << 32;
        Draws::new(self.seed, site).at((element as u64) << 32 | step as u64)
    }
}
