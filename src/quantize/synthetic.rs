//! Synthetic operands, for networks without weights: seeded words of a stated density.
//!
//! A word is nonzero with the stated probability. A nonzero word of a fixed-point quantizer is
//! uniform over all nonzero words of the format, one of any other over the nonzero words that the
//! quantizer makes of the nominal values. Every word is a pure function of (seed, stream, index).

use std::collections::BTreeSet;

use super::lower::{Lowered, Lowering, Operands};
use super::{BatchNorm, Chain, Distribution, Layout, Plan, QuantizerSpec, Seen};
use crate::error::{Error, Result};
use crate::network::{Network, NodeId, Op, fold_batch_norm_nodes};
use crate::numeric::{Draws, Format};
use crate::tensor::Words;

/// Points of a nominal distribution.
const POINTS: u32 = 1 << 10;

/// Lowers a network by `plan` with synthetic weights, of which the fraction `density` is nonzero
/// (in expectation), and biases of zero. Binary points that the plan leaves open are those of
/// nominal values: activations spread evenly over [−1, 1] or [0, 1], weights so that a layer keeps
/// that spread.
///
/// # Errors
/// If the density is not in [0, 1], or the plan does not fit the network.
pub fn synthetic(network: &Network, plan: &Plan, density: f64, seed: u64) -> Result<Lowered> {
    check_density(density)?;
    let network = &match plan.batch_norm {
        BatchNorm::Fold => fold_batch_norm_nodes(network),
        BatchNorm::Keep | BatchNorm::Intrinsic => network.clone(),
    };
    let [unsigned, signed] = [0.0, -1.0].map(|low| spread(low, 1.0));
    Lowering::run(network, plan, &Nominal { network, density, seed, unsigned, signed })
}

/// `len` words of `format`, nonzero with probability `density` and then uniform over the nonzero
/// words. Index i of `stream` always has the same word.
///
/// # Errors
/// If the density is not in [0, 1].
pub fn synthetic_words(
    format: Format,
    len: usize,
    density: f64,
    seed: u64,
    stream: u64,
) -> Result<Words> {
    check_density(density)?;
    let (min, nonzero) = (format.min() as i64, (format.max() - format.min()) as u64);
    let nth = |n: u64| {
        let raw = min.wrapping_add_unsigned(n);
        if raw >= 0 { raw + 1 } else { raw }
    };
    let words = draw(len, density, nonzero, Draws::new(seed, stream));
    Ok(Words::from_raw(format, words.map(|n| n.map_or(0, nth))))
}

/// For each of `len` elements: the number of one of `choices` nonzero words, or zero.
fn draw(
    len: usize,
    density: f64,
    choices: u64,
    draws: Draws,
) -> impl ExactSizeIterator<Item = Option<u64>> {
    // 2^64 · density; a density of 1 exceeds every draw.
    let threshold = (density * 2f64.powi(64)) as u128;
    (0..len).map(move |index| {
        let nonzero = u128::from(draws.at(2 * index as u64)) < threshold;
        let choice = (u128::from(draws.at(2 * index as u64 + 1)) * u128::from(choices)) >> 64;
        nonzero.then_some(choice as u64).filter(|_| choices > 0)
    })
}

fn check_density(density: f64) -> Result<()> {
    if (0.0..=1.0).contains(&density) {
        return Ok(());
    }
    Err(Error::new(
        format_args!("density {density}"),
        "a fraction of nonzero operands is between 0 and 1",
    ))
}

/// Values spread evenly over the middle nine tenths between the bounds: their largest are words of
/// narrow formats without overflow.
fn spread(low: f64, high: f64) -> Distribution {
    let point = |i: u32| 0.9 * (low + (high - low) * (f64::from(i) + 0.5) / f64::from(POINTS));
    Distribution::new((0..POINTS).map(|i| (point(i), 1)).collect())
}

/// Operands of a network without weights.
struct Nominal<'a> {
    network: &'a Network,
    density: f64,
    seed: u64,
    unsigned: Distribution,
    signed: Distribution,
}

impl Operands for Nominal<'_> {
    fn weights(
        &self,
        id: NodeId,
        quantizers: &[QuantizerSpec],
        seen: Seen,
    ) -> Result<(Chain, Words)> {
        let geometry = self
            .network
            .geometry(id)
            .ok_or_else(|| Error::new(seen.site, "belongs to no multiply-accumulate layer"))?;
        // Σ of n products of independent factors spreads √n times as far as one.
        let terms = (geometry.reduction() as f64 * self.density).max(1.0);
        let reach = f64::powi(2.0, -(terms.sqrt().log2().floor() as i32));
        let nominal = spread(-reach, reach);
        let chain = Chain::fit(quantizers, &Seen { distribution: Some(&nominal), ..seen })?;
        let (format, len, stream) = (chain.format()?, geometry.weights(), id as u64);
        let words = match quantizers {
            [QuantizerSpec::Fixed(_)] => {
                synthetic_words(format, len, self.density, self.seed, stream)?
            }
            _ => {
                let given = given(&chain, &nominal)?;
                let draws = Draws::new(self.seed, stream);
                let words = draw(len, self.density, given.len() as u64, draws);
                Words::from_raw(format, words.map(|n| n.map_or(0, |n| given[n as usize])))
            }
        };
        Ok((chain, words))
    }

    fn bias(&self, id: NodeId) -> Option<Vec<f64>> {
        let node = &self.network.nodes[id];
        let has_bias = match node.op {
            Op::Conv { bias, .. } | Op::Dense { bias } => bias,
            Op::BatchNorm { .. } => true,
            _ => false,
        };
        has_bias.then(|| vec![0.0; node.shape.channels])
    }

    fn distribution(&self, _: NodeId, signed: Option<bool>) -> Option<&Distribution> {
        Some(if signed == Some(true) { &self.signed } else { &self.unsigned })
    }
}

/// The nonzero words that quantizers make of values, in increasing order.
fn given(chain: &Chain, values: &Distribution) -> Result<Vec<i64>> {
    let values: Vec<f64> = values.points().iter().map(|p| p.0).collect();
    let layout = Layout::vector(values.len());
    let words = chain.words(values, layout)?.to_vec();
    let distinct: BTreeSet<i64> = words.into_iter().filter(|&word| word != 0).collect();
    Ok(distinct.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonzero(format: &str, density: f64) -> Words {
        synthetic_words(format.parse().unwrap(), 40_000, density, 7, 1).unwrap()
    }

    #[test]
    fn the_density_is_met() {
        for (format, density) in [("s8f0", 0.3), ("u8f7", 0.75), ("s16f3", 0.01), ("s1f0", 0.5)] {
            let share = nonzero(format, density).nonzero() as f64 / 40_000.0;
            // Five standard deviations of a binomial share.
            let allowed = 5.0 * (density * (1.0 - density) / 40_000.0).sqrt();
            assert!((share - density).abs() < allowed, "{format} {density} {share}");
        }
        assert_eq!(nonzero("s8f0", 0.0).nonzero(), 0);
        assert_eq!(nonzero("s8f0", 1.0).nonzero(), 40_000);
        assert!(synthetic_words("s8f0".parse().unwrap(), 1, 1.1, 0, 0).is_err());
        assert!(synthetic_words("s8f0".parse().unwrap(), 1, f64::NAN, 0, 0).is_err());
    }

    #[test]
    fn nonzero_words_are_uniform() {
        let words = nonzero("s3f0", 1.0).to_vec();
        for raw in [-4, -3, -2, -1, 1, 2, 3] {
            let count = words.iter().filter(|&&w| w == raw).count() as f64;
            let expected: f64 = 40_000.0 / 7.0;
            assert!((count - expected).abs() < 5.0 * expected.sqrt(), "{raw}: {count}");
        }
    }

    #[test]
    fn a_word_depends_on_seed_stream_and_index_alone() {
        let format: Format = "s8f0".parse().unwrap();
        let words = |len, seed, stream| synthetic_words(format, len, 0.5, seed, stream).unwrap();
        assert_eq!(words(10, 1, 2).to_vec(), words(100, 1, 2).to_vec()[..10]);
        assert_ne!(words(100, 1, 2), words(100, 1, 3));
        assert_ne!(words(100, 1, 2), words(100, 2, 2));
    }
}
