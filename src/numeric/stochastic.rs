//! Random words for stochastic rounding.
//!
//! [`Draws`] has no state, so that a draw depends on what is rounded and never on when;
//! [`Lfsr16`] is the register that hardware has, and depends on how many words came before.

/// Draws from the counter-based generator Philox2x64-10 (Salmon, Moraes, Dror and Shaw, "Parallel
/// random numbers: as easy as 1, 2, 3", SC 2011): the key is the seed, the counter is the pair of
/// element and site, the draw is the first word of the block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Draws {
    seed: u64,
    site: u64,
}

impl Draws {
    /// The draws of one site.
    pub fn new(seed: u64, site: u64) -> Self {
        Self { seed, site }
    }

    /// The draw of an element, uniform over all 64-bit words.
    pub fn at(self, element: u64) -> u64 {
        philox2x64([element, self.site], self.seed)[0]
    }
}

/// One block of Philox2x64-10; multiplier and Weyl constant are the paper's.
fn philox2x64(mut counter: [u64; 2], mut key: u64) -> [u64; 2] {
    const MULTIPLIER: u64 = 0xd2b7_4407_b1ce_6e93;
    const WEYL: u64 = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..10 {
        let product = u128::from(MULTIPLIER) * u128::from(counter[0]);
        counter = [(product >> 64) as u64 ^ key ^ counter[1], product as u64];
        key = key.wrapping_add(WEYL);
    }
    counter
}

/// A 16-bit Fibonacci linear-feedback shift register with the primitive polynomial
/// x^16 + x^14 + x^13 + x^11 + 1: period 65535, never zero, one step for each rounded word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lfsr16(u16);

impl Lfsr16 {
    /// A register that holds `seed`; zero, from which it would never leave, becomes one.
    pub fn new(seed: u16) -> Self {
        Self(seed.max(1))
    }

    /// What the register holds, aligned to the top of a 64-bit draw; then one step. Rounding with
    /// it adds the register to the highest 16 dropped bits and keeps the carry.
    pub fn draw(&mut self) -> u64 {
        let state = self.0;
        let bit = (state ^ state >> 2 ^ state >> 3 ^ state >> 5) & 1;
        self.0 = state >> 1 | bit << 15;
        u64::from(state) << 48
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::{Cast, Overflow, Rounding};

    /// The known answers of the Random123 distribution (`kat_vectors`).
    #[test]
    fn philox_known_answers() {
        let check = |counter, key, block| assert_eq!(philox2x64(counter, key), block);
        check([0, 0], 0, [0xca00_a045_9843_d731, 0x66c2_4222_c9a8_45b5]);
        check([u64::MAX, u64::MAX], u64::MAX, [0x65b0_21d6_0cd8_310f, 0x4d02_f322_2f86_df20]);
        check(
            [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344],
            0xa409_3822_299f_31d0,
            [0x0a5e_742c_2997_341c, 0xb0f8_83d3_8000_de5d],
        );
    }

    #[test]
    fn draws_depend_on_seed_site_and_element_alone() {
        let draw = |seed, site, element| Draws::new(seed, site).at(element);
        assert_eq!(draw(1, 2, 3), draw(1, 2, 3));
        assert_ne!(draw(1, 2, 3), draw(2, 2, 3));
        assert_ne!(draw(1, 2, 3), draw(1, 3, 3));
        assert_ne!(draw(1, 2, 3), draw(1, 2, 4));
        assert_ne!(draw(1, 2, 3), draw(1, 3, 2));
    }

    /// Every bit is set in half of the draws, and the sum of the rounded words is that of the
    /// exact ones, within 5 standard deviations.
    #[test]
    fn draws_are_uniform() {
        const COUNT: u64 = 20_000;
        let deviation = (COUNT as f64 / 4.0).sqrt();
        for site in [0, 1, u64::MAX] {
            let draws = Draws::new(7, site);
            for bit in 0..64 {
                let set = (0..COUNT).filter(|&i| draws.at(i) >> bit & 1 == 1).count();
                assert!((set as f64 - COUNT as f64 / 2.0).abs() < 5.0 * deviation, "bit {bit}");
            }
            let cast = Cast::new("s8f0".parse().unwrap(), Rounding::Stochastic, Overflow::Wrap);
            for raw in [-13_i128, -8, -5, 1, 3, 15] {
                let sum: i128 =
                    (0..COUNT).map(|i| cast.as_ref().unwrap().apply(raw, 4, draws.at(i)).raw).sum();
                let exact = raw as f64 / 16.0 * COUNT as f64;
                assert!((sum as f64 - exact).abs() < 5.0 * deviation, "{raw}: {sum} vs {exact}");
            }
        }
    }

    #[test]
    fn lfsr_visits_every_nonzero_state_once() {
        let mut lfsr = Lfsr16::new(0xace1);
        let mut seen = vec![false; 65536];
        for _ in 0..65535 {
            assert!(!std::mem::replace(&mut seen[(lfsr.draw() >> 48) as usize], true));
        }
        assert!(!seen[0]);
        assert_eq!(lfsr, Lfsr16::new(0xace1));
        assert_eq!(Lfsr16::new(0), Lfsr16::new(1));
    }

    /// Over a whole period a fraction of k/65536 goes up for each register value ≥ 65536 − k.
    #[test]
    fn lfsr_rounds_up_as_often_as_the_fraction_says() {
        let cast =
            Cast::new("s8f0".parse().unwrap(), Rounding::Stochastic, Overflow::Wrap).unwrap();
        for k in [0_i128, 1, 777, 32768, 65535] {
            let mut lfsr = Lfsr16::new(1);
            let ups: i128 = (0..65535).map(|_| cast.apply(k, 16, lfsr.draw()).raw).sum();
            assert_eq!(ups, k);
        }
    }
}
