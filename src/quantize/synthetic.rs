//! Synthetic operands, for networks without weights: seeded words of a stated density.
//!
//! A word is nonzero with the stated probability. A nonzero word of a fixed-point or affine quantizer
//! is uniform over all nonzero words of the format, one of any other over the nonzero words that the
//! quantizer makes of the nominal values. Every word is a pure function of (seed, stream, index).

use std::collections::BTreeSet;

use ndarray::ArrayD;

use super::calibrate::Statistics;
use super::lower::{Lowered, Lowering, Operands};
use super::post_training::{is_affine, lower_affine};
use super::{BatchNorm, Chain, Distribution, Layout, Operation, Plan, QuantizerSpec, Seen};
use crate::error::{Error, Result};
use crate::network::{Network, NodeId, Op, Parameters, fold_batch_norm_nodes};
use crate::numeric::{Draws, Format};
use crate::tensor::{ConvGeometry, Words};

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
    if is_affine(plan) {
        return affine(network, plan, density, seed);
    }
    let [unsigned, signed] = nominal_outputs();
    Lowering::run(network, plan, &Nominal { network, density, seed, unsigned, signed })
}

/// The same by a plan of affine quantizers. Scales are those of the nominal values, of which only
/// the range tells; then the words take the place of theirs.
fn affine(network: &Network, plan: &Plan, density: f64, seed: u64) -> Result<Lowered> {
    let [unsigned, signed] = nominal_outputs();
    let statistics = |id: NodeId| {
        let positive = match &network.nodes[id].op {
            Op::Activation(function) => function.is_positive(),
            _ => false,
        };
        Statistics {
            distribution: if positive { unsigned.clone() } else { signed.clone() },
            channel_means: vec![0.0; network.nodes[id].shape.channels],
        }
    };
    let statistics: Vec<Statistics> = (0..network.nodes.len()).map(statistics).collect();
    let parameters = nominal_parameters(network, density);
    let mut lowered = lower_affine(network, &parameters, plan, Some(&statistics))?;
    lowered.baseline = None;
    for (index, layer) in lowered.network.layers.iter_mut().enumerate() {
        let Operation::Mac(mac) = &mut layer.operation else { continue };
        let (format, words) = (mac.weights.format(), mac.weights.to_vec());
        let low = words.iter().copied().min().unwrap_or(0);
        let high = words.iter().copied().max().unwrap_or(0);
        let draws = Draws::new(seed, index as u64);
        mac.weights = synthetic_words(format, [low, high], words.len(), density, draws)?;
    }
    Ok(lowered)
}

/// Parameters with which layers keep the spread of their inputs: weights at both ends of their
/// range, no biases, normalizations that change nothing else.
fn nominal_parameters(network: &Network, density: f64) -> Parameters {
    let values = |(name, sizes): (String, Vec<usize>)| {
        let (layer, parameter) = name.rsplit_once('.').unwrap_or(("", &name));
        let id = network.nodes.iter().position(|node| node.name == layer);
        let reach = id.and_then(|id| network.geometry(id)).map_or(1.0, |g| reach(&g, density));
        let reach = (SPREAD * reach) as f32;
        let value = |index: usize| match parameter {
            "weight" if index.is_multiple_of(2) => reach,
            "weight" => -reach,
            "running_var" => 1.0,
            _ => 0.0,
        };
        let len = sizes.iter().product();
        let values = ArrayD::from_shape_vec(sizes, (0..len).map(value).collect());
        (name, values.expect("as many values as the sizes make"))
    };
    network.parameter_shapes().into_iter().map(values).collect()
}

/// `len` words of `format`, nonzero with probability `density` and then uniform over the nonzero
/// words from `low` to `high`. Word i depends on the draws and i alone.
///
/// # Errors
/// If the density is not in [0, 1], or the range not one of the format.
pub fn synthetic_words(
    format: Format,
    [low, high]: [i64; 2],
    len: usize,
    density: f64,
    draws: Draws,
) -> Result<Words> {
    check_density(density)?;
    if low > high || !format.contains(low.into()) || !format.contains(high.into()) {
        return Err(Error::new(
            format_args!("words {low} to {high}"),
            format_args!("are no range of {format}"),
        ));
    }
    let has_zero = low <= 0 && high >= 0;
    let nonzero = high.abs_diff(low) + u64::from(!has_zero);
    let nth = |n: u64| {
        let raw = low.wrapping_add_unsigned(n);
        if has_zero && raw >= 0 { raw + 1 } else { raw }
    };
    let words = draw(len, density, nonzero, draws);
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

/// Nominal values are spread over the middle nine tenths of their bounds: the largest are words of
/// narrow formats without overflow.
const SPREAD: f64 = 0.9;

/// Values spread evenly between the bounds.
fn spread(low: f64, high: f64) -> Distribution {
    let point = |i: u32| SPREAD * (low + (high - low) * (f64::from(i) + 0.5) / f64::from(POINTS));
    Distribution::new((0..POINTS).map(|i| (point(i), 1)).collect())
}

/// Values of outputs that have no negative ones, and of others.
fn nominal_outputs() -> [Distribution; 2] {
    [0.0, -1.0].map(|low| spread(low, 1.0))
}

/// The largest nominal weight of a layer: a power of two with which it keeps the spread of its
/// inputs. Σ of n products of independent factors spreads √n times as far as one.
fn reach(geometry: &ConvGeometry, density: f64) -> f64 {
    let terms = (geometry.reduction() as f64 * density).max(1.0);
    f64::powi(2.0, -(terms.sqrt().log2().floor() as i32))
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
        let reach = reach(&geometry, self.density);
        let nominal = spread(-reach, reach);
        let chain = Chain::fit(quantizers, &Seen { distribution: Some(&nominal), ..seen })?;
        let (format, len) = (chain.format()?, geometry.weights());
        let draws = Draws::new(self.seed, id as u64);
        let words = match quantizers {
            [QuantizerSpec::Fixed(_)] => {
                let all = [format.min() as i64, format.max() as i64];
                synthetic_words(format, all, len, self.density, draws)?
            }
            _ => {
                let given = given(&chain, &nominal)?;
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

    fn words(format: Format, len: usize, density: f64, seed: u64, stream: u64) -> Result<Words> {
        let all = [format.min() as i64, format.max() as i64];
        synthetic_words(format, all, len, density, Draws::new(seed, stream))
    }

    fn nonzero(format: &str, density: f64) -> Words {
        words(format.parse().unwrap(), 40_000, density, 7, 1).unwrap()
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
        assert!(words("s8f0".parse().unwrap(), 1, 1.1, 0, 0).is_err());
        assert!(words("s8f0".parse().unwrap(), 1, f64::NAN, 0, 0).is_err());
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
        let of = |len, seed, stream| words(format, len, 0.5, seed, stream).unwrap();
        assert_eq!(of(10, 1, 2).to_vec(), of(100, 1, 2).to_vec()[..10]);
        assert_ne!(of(100, 1, 2), of(100, 1, 3));
        assert_ne!(of(100, 1, 2), of(100, 2, 2));
    }

    #[test]
    fn words_keep_to_a_range() {
        let format: Format = "s9f0".parse().unwrap();
        for range in [[-100, 155], [3, 9], [-255, -4], [0, 0]] {
            let words = synthetic_words(format, range, 4000, 1.0, Draws::new(1, 1)).unwrap();
            let inside = |word: &i64| (range[0]..=range[1]).contains(word);
            assert!(words.to_vec().iter().all(inside), "{range:?}");
            let zeros = if range == [0, 0] { 4000 } else { 0 };
            assert_eq!(4000 - words.nonzero(), zeros, "{range:?}");
        }
        assert!(synthetic_words(format, [0, 256], 1, 1.0, Draws::new(1, 1)).is_err());
    }

    #[test]
    fn affine_plans_take_synthetic_operands() {
        let text = "name = 'small'\ninput = [3, 9, 9]\n\
                    [[layer]]\nname = 'conv'\nop = 'conv'\nchannels = 64\nkernel = 3\n\
                    [[layer]]\nname = 'norm'\nop = 'batch_norm'\n\
                    [[layer]]\nname = 'relu'\nop = 'relu'\n\
                    [[layer]]\nname = 'flat'\nop = 'flatten'\n\
                    [[layer]]\nname = 'dense'\nop = 'dense'\nchannels = 10\n";
        let network = crate::network::topology::parse("small.toml", text).unwrap().network;
        // Weights reach to 0.9 of a power of two: 127 steps, or 0.9 · 128 of a power of two.
        for (plan, most) in [("int8_channel", 127), ("int8_channel_shift", 115)] {
            let plan = Plan::open(plan).unwrap();
            let lowered = synthetic(&network, &plan, 0.25, 3).unwrap();
            assert!(lowered.baseline.is_none());
            let mac = |name: &str| {
                let layer = lowered.network.layers.iter().find(|layer| layer.name == name).unwrap();
                let Operation::Mac(mac) = &layer.operation else { panic!("{name}") };
                (layer.output.affine.clone().unwrap(), mac.weights.clone())
            };
            let (conv, dense) = (mac("conv"), mac("dense"));
            // Behind the ReLU no word is below its zero point: the smallest, as u8 has it.
            assert_eq!(conv.0.range(), [0, 255]);
            for (weights, len) in [(conv.1, 64 * 27), (dense.1, 10 * 64 * 49)] {
                assert_eq!(weights.len(), len);
                // Five standard deviations of a binomial share.
                let share = weights.nonzero() as f64 / len as f64;
                let allowed = 5.0 * (0.25 * 0.75 / len as f64).sqrt();
                assert!((share - 0.25).abs() < allowed, "{share}");
                let words = weights.to_vec();
                assert_eq!((words.iter().min(), words.iter().max()), (Some(&-most), Some(&most)));
            }
        }
    }
}
