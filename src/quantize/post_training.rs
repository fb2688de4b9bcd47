//! Affine post-training quantization: from calibrated values to the encodings of every tensor.

use std::collections::{BTreeMap, BTreeSet};

use super::calibrate::Statistics;
use super::encoded::lower_resolved;
use super::quantizer::{AffineSpec, Encoded, Granularity, Scale};
use super::sites::{Fusion, Resolution};
use super::{Distribution, Lowered, Method, Plan, QuantizerSpec, Site};
use crate::error::{Error, Result};
use crate::network::{
    Arithmetic, EncodedTensor, Encoding, Network, NodeId, Op, Parameters, PoolKind, Quantization,
    parameter_name,
};
use crate::numeric::Format;

/// The weights of a layer of which no rule speaks.
const DEFAULT_WEIGHTS: AffineSpec =
    AffineSpec { bits: 8, granularity: Granularity::Channel, symmetric: None, scale: Scale::Real };
/// The output of a layer of which no rule speaks.
const DEFAULT_OUTPUT: AffineSpec =
    AffineSpec { granularity: Granularity::Tensor, ..DEFAULT_WEIGHTS };

/// Whether a plan is one of affine quantizers.
pub(super) fn is_affine(plan: &Plan) -> bool {
    let affine = |quantizer: &QuantizerSpec| matches!(quantizer, QuantizerSpec::Affine(_));
    plan.rules.iter().any(|rule| rule.quantizers.iter().any(affine))
}

/// Lowers a network, its batch normalizations folded or to be kept, by a plan of affine quantizers.
/// `statistics` are those of the training images.
pub(super) fn lower_affine(
    network: &Network,
    parameters: &Parameters,
    plan: &Plan,
    statistics: Option<&[Statistics]>,
) -> Result<Lowered> {
    let fusion = Fusion::of(network, |_, _| true);
    let resolution = Resolution::new(plan, network, &fusion)?;
    let mut encoder = Encoder {
        network,
        parameters,
        plan,
        statistics,
        fusion: &fusion,
        resolution: &resolution,
        quantization: Quantization {
            arithmetic: Arithmetic::Hardware,
            outputs: BTreeMap::new(),
            weights: BTreeMap::new(),
            biases: BTreeMap::new(),
            on_words: BTreeSet::new(),
            takes_words: false,
            gives_words: false,
        },
    };
    for id in 0..network.nodes.len() {
        if !fusion.absorbed[id] {
            encoder.node(id)?;
        }
    }
    lower_resolved(network, parameters, &encoder.quantization, Some(&resolution))
}

struct Encoder<'a> {
    network: &'a Network,
    parameters: &'a Parameters,
    plan: &'a Plan,
    statistics: Option<&'a [Statistics]>,
    fusion: &'a Fusion,
    resolution: &'a Resolution<'a>,
    quantization: Quantization,
}

impl Encoder<'_> {
    fn node(&mut self, id: NodeId) -> Result<()> {
        let node = &self.network.nodes[id];
        match &node.op {
            // Views pass words on as they are, and a softmax has none.
            Op::Pool { kind: PoolKind::Max, .. }
            | Op::GlobalPool(PoolKind::Max)
            | Op::Pad(_)
            | Op::Flatten(_)
            | Op::Softmax => return Ok(()),
            Op::Pool { .. } | Op::GlobalPool(_) => {
                let encoding = self.read(node.inputs[0])?.clone();
                self.quantization.outputs.insert(id, encoding);
                return Ok(());
            }
            Op::Conv { .. } | Op::Dense { .. } | Op::BatchNorm { .. } => self.operands(id)?,
            Op::Constant => {
                return Err(Error::new(
                    &node.name,
                    "is a constant map, which a plan cannot quantize",
                ));
            }
            Op::Input
            | Op::Activation(_)
            | Op::Add
            | Op::Mul
            | Op::Lrn(_)
            | Op::Identity
            | Op::Concat => {}
        }
        let last = self.fusion.last(id);
        let spec = self.spec(id, Site::Output, DEFAULT_OUTPUT)?;
        if spec.granularity == Granularity::Channel {
            return Err(Error::new(
                self.resolution.name(id, Site::Output),
                "has one scale, not one by channel",
            )
            .remedy("use granularity = \"tensor\" for outputs"));
        }
        let seen = self.seen(last, id)?;
        let symmetric = spec.symmetric.unwrap_or(false);
        let encoding = encoding(&[fit(&spec, symmetric, seen, self.plan.method)], spec.bits)?;
        self.quantization.outputs.insert(last, encoding);
        Ok(())
    }

    fn seen(&self, node: NodeId, site: NodeId) -> Result<&Distribution> {
        self.statistics.map(|all| &all[node].distribution).ok_or_else(|| {
            Error::new(
                self.resolution.name(site, Site::Output),
                "needs calibration, and there are no training images to do it on",
            )
            .remedy(
                "use a dataset with training or calibration images (`calibration` in its .toml)",
            )
        })
    }

    /// The encoding of the words that reading node `id` gives.
    fn read(&self, id: NodeId) -> Result<&Encoding> {
        let mut at = id;
        loop {
            if let Some(encoding) = self.quantization.outputs.get(&at) {
                return Ok(encoding);
            }
            at = *self.network.nodes[at].inputs.first().ok_or_else(|| {
                Error::new(&self.network.nodes[id].name, "has no words that a layer could read")
            })?;
        }
    }

    /// The one affine quantizer that the plan states for a site.
    fn spec(&self, id: NodeId, site: Site, default: AffineSpec) -> Result<AffineSpec> {
        match self.resolution.stated(id, site) {
            None => Ok(default),
            Some([QuantizerSpec::Affine(spec)]) => Ok(*spec),
            Some(_) => Err(Error::new(
                self.resolution.name(id, site),
                "has another quantizer in a plan of affine ones",
            )
            .remedy("use kind = \"affine\" for all weights and outputs, or for none")),
        }
    }

    /// Words of weights and bias.
    fn operands(&mut self, id: NodeId) -> Result<()> {
        let node = &self.network.nodes[id];
        for site in [Site::Activations, Site::Bias] {
            if self.resolution.stated(id, site).is_some() {
                return Err(Error::new(
                    self.resolution.name(id, site),
                    "follows from the scales of the operands",
                )
                .remedy("remove it from the plan"));
            }
        }
        let (values, bias) = self.values(id)?;
        let channels = node.shape.channels;
        let reduction = values.len() / channels;
        let spec = self.spec(id, Site::Weights, DEFAULT_WEIGHTS)?;
        let symmetric = spec.symmetric.unwrap_or(true);
        // Weights are few and exact: their whole range, unless the error decides.
        let method = if self.plan.method == Method::Mse { Method::Mse } else { Method::Max };
        let parts: Vec<&[f32]> = match spec.granularity {
            Granularity::Tensor => vec![&values],
            Granularity::Channel => values.chunks(reduction).collect(),
        };
        let site = self.resolution.name(id, Site::Weights);
        let settled: Vec<Encoded> = parts
            .iter()
            .map(|part| Ok(fit(&spec, symmetric, &Distribution::of(&site, part)?, method)))
            .collect::<Result<_>>()?;
        let encoding = encoding(&settled, spec.bits)?;
        let word = |(index, &value): (usize, &f32)| nearest(&encoding, index / reduction, value);
        let words: Vec<i64> = values.iter().enumerate().map(word).collect();
        let scale = self.read(node.inputs[0])?.scale(0);
        let unit = |channel: usize| f64::from(scale * encoding.scale(channel));
        let has_bias = bias.is_some() || self.plan.bias_correction;
        if has_bias {
            let bias = bias.unwrap_or_else(|| vec![0.0; channels]);
            let correction = match (self.plan.bias_correction, self.statistics) {
                (true, Some(statistics)) => {
                    let means = &statistics[node.inputs[0]].channel_means;
                    self.bias_shift(id, &values, &words, &encoding, means)
                }
                _ => vec![0.0; channels],
            };
            let (low, high) = (f64::from(i32::MIN), f64::from(i32::MAX));
            let word = |c: usize| {
                ((f64::from(bias[c]) - correction[c]) / unit(c)).round_ties_even().clamp(low, high)
                    as i64
            };
            self.quantization.biases.insert(id, (0..channels).map(word).collect());
        }
        self.quantization.weights.insert(id, EncodedTensor { encoding, words });
        Ok(())
    }

    /// Weights and bias of a layer; a kept batch normalization is `scale · x + offset`.
    fn values(&self, id: NodeId) -> Result<(Vec<f32>, Option<Vec<f32>>)> {
        let node = &self.network.nodes[id];
        let get = |name: &str| {
            let values = self.parameters.get(&parameter_name(&node.name, name));
            values.map(|values| values.iter().copied().collect::<Vec<f32>>())
        };
        let missing = || Error::new(self.resolution.name(id, Site::Weights), "has no weights");
        let weight = get("weight").ok_or_else(missing)?;
        let Op::BatchNorm { epsilon } = node.op else { return Ok((weight, get("bias"))) };
        let (Some(bias), Some(mean), Some(variance)) =
            (get("bias"), get("running_mean"), get("running_var"))
        else {
            return Err(missing());
        };
        let scale =
            |c: usize| f64::from(weight[c]) / (f64::from(variance[c]) + f64::from(epsilon)).sqrt();
        let offset = |c: usize| f64::from(bias[c]) - f64::from(mean[c]) * scale(c);
        let all = 0..weight.len();
        Ok((
            all.clone().map(|c| scale(c) as f32).collect(),
            Some(all.map(|c| offset(c) as f32).collect()),
        ))
    }

    /// By output channel, the shift of the mean output that quantized weights cause:
    /// Σ (ŵ − w) · E\[x\] (Nagel et al., "Data-free quantization through weight equalization and bias
    /// correction", ICCV 2019, section 4.2), E\[x\] the mean of the input channel.
    fn bias_shift(
        &self,
        id: NodeId,
        values: &[f32],
        words: &[i64],
        encoding: &Encoding,
        means: &[f64],
    ) -> Vec<f64> {
        let Some(geometry) = self.network.geometry(id) else { return Vec::new() };
        let (taps, inputs) = (geometry.window.taps(), geometry.group_inputs());
        let reduction = geometry.reduction();
        let shift = |output: usize| {
            let first = output / geometry.group_outputs() * inputs;
            let at = output * reduction..(output + 1) * reduction;
            at.map(|index| {
                let word = words[index] - encoding.zero_point(output);
                let error =
                    word as f64 * f64::from(encoding.scale(output)) - f64::from(values[index]);
                error * means[first + index % reduction / taps]
            })
            .sum()
        };
        (0..geometry.output.channels).map(shift).collect()
    }
}

/// The encoding of the values seen.
fn fit(spec: &AffineSpec, symmetric: bool, seen: &Distribution, method: Method) -> Encoded {
    let error = |range: [f64; 2]| {
        let one = spec.encode(range, symmetric);
        let Ok(encoding) = encoding(&[one], spec.bits) else { return f64::INFINITY };
        let squared = |&(value, count): &(f64, u64)| {
            let word = nearest(&encoding, 0, value as f32) - one.zero_point;
            let error = value - word as f64 * f64::from(one.scale);
            error * error * count as f64
        };
        seen.points().iter().map(squared).sum()
    };
    spec.encode(seen.range(method, spec.bits, error), symmetric)
}

fn encoding(settled: &[Encoded], bits: u32) -> Result<Encoding> {
    Ok(Encoding {
        format: Format::new(settled[0].signed, bits, 0)?,
        scales: settled.iter().map(|encoded| encoded.scale).collect(),
        zero_points: settled.iter().map(|encoded| encoded.zero_point).collect(),
    })
}

/// The stored word nearest to a value.
fn nearest(encoding: &Encoding, channel: usize, value: f32) -> i64 {
    let word = (value / encoding.scale(channel)).round_ties_even() as i64;
    let word = word.saturating_add(encoding.zero_point(channel));
    word.clamp(encoding.format.min() as i64, encoding.format.max() as i64)
}
