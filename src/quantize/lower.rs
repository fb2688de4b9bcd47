//! The lowering: from a float network, its parameters and a plan to integer layers.
//!
//! Everything that a plan leaves open is decided here, once; what comes out holds no float.

mod operands;
mod outputs;

use std::sync::Arc;

use serde::Serialize;

pub(super) use self::operands::Trained;
use super::sites::{Fusion, Resolution};
use super::{
    AccumulatorSite, Baseline, Bias, Chain, Distribution, FixedSpec, FormatSpec, HostModel, Layer,
    MacLayer, Operation, Plan, QuantizedNetwork, QuantizerSpec, Seen, Site,
};
use crate::error::{Error, Result};
use crate::kernels::pool::Average;
use crate::network::{Network, NodeId, Op, Parameters, PoolKind};
use crate::numeric::{Cast, Format};
use crate::tensor::{ConvGeometry, Window, Words};

pub(super) use operands::layout;

/// A quantized network, and what each of its sites resolved to.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// What an accelerator executes.
    pub network: QuantizedNetwork,
    /// One row for each site, in the order of the layers.
    pub sites: Vec<SiteRow>,
    /// The float network; absent where operands are synthetic.
    pub baseline: Option<Baseline>,
}

/// What a site resolved to.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SiteRow {
    /// The layer.
    pub layer: String,
    /// The activation function fused into it, by whose name the output site is also known.
    pub activation: Option<String>,
    /// The site.
    pub site: &'static str,
    /// The quantizers: family, format, rounding, overflow.
    pub quantizer: String,
    /// Format of the words, where the plan decides it.
    pub format: Option<Format>,
    /// The rule that says so, or `default`.
    pub source: String,
}

impl SiteRow {
    /// The row of a site of a network whose activation functions are fused by `fusion`.
    pub(super) fn of(
        network: &Network,
        fusion: &Fusion,
        (id, site): (NodeId, Site),
        quantizer: String,
        format: Option<Format>,
        source: String,
    ) -> Self {
        let activation = fusion.activation[id].filter(|_| site == Site::Output);
        Self {
            layer: network.nodes[id].name.clone(),
            activation: activation.map(|id| network.nodes[id].name.clone()),
            site: site.name(),
            quantizer,
            format,
            source,
        }
    }
}

/// Where operands and value ranges come from.
pub(super) trait Operands {
    /// The weight words of a layer, and the settled quantizers that gave them.
    fn weights(
        &self,
        id: NodeId,
        quantizers: &[QuantizerSpec],
        seen: Seen,
    ) -> Result<(Chain, Words)>;

    /// The bias values of a layer; `None` if it has none.
    fn bias(&self, id: NodeId) -> Option<Vec<f64>>;

    /// The values of a node's output, negative ones among them unless not `signed`.
    fn distribution(&self, id: NodeId, signed: Option<bool>) -> Option<&Distribution>;
}

/// The weights of a layer of which no rule speaks.
const DEFAULT_WEIGHTS: FormatSpec = FormatSpec { signed: Some(true), bits: 8, frac: None };
/// The output of a layer of which no rule speaks.
const DEFAULT_OUTPUT: FormatSpec = FormatSpec { signed: None, bits: 8, frac: None };
/// The bias; its binary point is the product's, or the largest at which every bias fits.
const DEFAULT_BIAS: FormatSpec = FormatSpec { signed: Some(true), bits: 32, frac: None };

/// A lowering under way.
pub(super) struct Lowering<'a> {
    network: &'a Network,
    plan: &'a Plan,
    operands: &'a dyn Operands,
    fusion: Fusion,
    resolution: Resolution<'a>,
    layers: Vec<Layer>,
    /// By node: its layer.
    layer_of: Vec<usize>,
    rows: Vec<SiteRow>,
}

impl<'a> Lowering<'a> {
    /// Lowers a network whose batch normalizations are folded or to be kept.
    pub fn run(
        network: &'a Network,
        plan: &'a Plan,
        operands: &'a dyn Operands,
    ) -> Result<Lowered> {
        let fusion = Fusion::of(network, |_, _| true);
        let resolution = Resolution::new(plan, network, &fusion)?;
        let (layers, layer_of, rows) = (Vec::new(), Vec::new(), Vec::new());
        let mut lowering =
            Self { network, plan, operands, fusion, resolution, layers, layer_of, rows };
        for id in 0..network.nodes.len() {
            lowering.node(id)?;
        }
        let host = lowering.layers.iter().any(|l| matches!(l.operation, Operation::Host { .. }));
        let network = QuantizedNetwork {
            name: network.name.clone(),
            layers: lowering.layers,
            host: host.then(|| {
                let (network, parameters) = (network.clone(), Parameters::new());
                Arc::new(HostModel { network, parameters })
            }),
            takes_words: false,
            gives_words: false,
        };
        Ok(Lowered { network, sites: lowering.rows, baseline: None })
    }

    fn node(&mut self, id: NodeId) -> Result<()> {
        let node = &self.network.nodes[id];
        let inputs: Vec<_> = node.inputs.iter().map(|&input| self.layer_of[input]).collect();
        if self.fusion.absorbed[id] {
            self.layer_of.push(inputs[0]);
            return Ok(());
        }
        let operation = self.operation(id)?;
        let output = self.output(id, &inputs)?;
        self.layer_of.push(self.layers.len());
        let (name, shape) = (node.name.clone(), node.shape);
        self.layers.push(Layer { name, inputs, shape, operation, output });
        Ok(())
    }

    fn operation(&mut self, id: NodeId) -> Result<Operation> {
        if let Some(geometry) = self.network.geometry(id) {
            return Ok(Operation::Mac(Box::new(self.mac(id, geometry)?)));
        }
        let node = &self.network.nodes[id];
        let whole = || {
            let input = self.network.nodes[node.inputs[0]].shape;
            Window { kernel: [input.height, input.width], ..Window::POINT }
        };
        let pool = |kind, window| {
            let average = match kind {
                PoolKind::Max => return Operation::MaxPool(window),
                PoolKind::Average => Average::Inside,
                PoolKind::PaddedAverage => Average::Padded,
            };
            Operation::AveragePool { window, average, rescale: None }
        };
        Ok(match node.op {
            Op::Input => Operation::Input,
            Op::Activation(_) | Op::Identity => Operation::Activation,
            Op::Pool { kind, window } => pool(kind, window),
            Op::GlobalPool(kind) => pool(kind, whole()),
            Op::Add => Operation::Add(None),
            Op::Mul => Operation::Mul(None),
            Op::Concat => Operation::Concat(Vec::new()),
            Op::Pad(padding) => Operation::Pad(padding),
            Op::Flatten(order) => Operation::Flatten(order),
            Op::Softmax => Operation::Host { node: id, quantized: false },
            Op::Lrn(_) => Operation::Host { node: id, quantized: true },
            Op::Constant => {
                return Err(Error::new(
                    &node.name,
                    "is a constant map, which a plan cannot quantize",
                )
                .remedy("use a network whose constants are factors or offsets by channel"));
            }
            Op::Conv { .. } | Op::Dense { .. } | Op::BatchNorm { .. } => {
                return Err(Error::new(&node.name, "a multiply-accumulate layer without an input"));
            }
        })
    }

    fn mac(&mut self, id: NodeId, geometry: ConvGeometry) -> Result<MacLayer> {
        let input = self.network.nodes[id].inputs[0];
        let incoming = self.layers[self.layer_of[input]].output.format();
        let activations = self.activations(id, input, incoming)?;
        let weights = self.weights(id)?;
        let operand = activations.map_or(incoming, Cast::to);
        let product_frac = weights.format().frac() + operand.frac();
        let bias = self.bias(id, product_frac)?;
        let product = self.product(id, product_frac)?;
        let accumulator = self.accumulator(id, product_frac)?;
        let rescale = None;
        Ok(MacLayer { geometry, weights, bias, activations, product, accumulator, rescale })
    }

    fn weights(&mut self, id: NodeId) -> Result<Words> {
        let site = self.resolution.name(id, Site::Weights);
        let default = [QuantizerSpec::Fixed(FixedSpec::new(DEFAULT_WEIGHTS))];
        let quantizers = self.resolution.stated(id, Site::Weights).unwrap_or(&default);
        let seen = Seen { method: self.plan.method, ..Seen::nothing(&site) };
        let (chain, words) = self.operands.weights(id, quantizers, seen)?;
        self.row(id, Site::Weights, chain.describe(), Some(words.format()));
        Ok(words)
    }

    fn bias(&mut self, id: NodeId, product_frac: i32) -> Result<Option<Bias>> {
        let Some(values) = self.operands.bias(id) else { return Ok(None) };
        let site = self.resolution.name(id, Site::Bias);
        let distribution = Distribution::new(values.iter().map(|&v| (v, 1)).collect());
        let seen = Seen {
            distribution: Some(&distribution),
            method: self.plan.method,
            ..Seen::nothing(&site)
        };
        let chain = match self.resolution.stated(id, Site::Bias) {
            Some(quantizers) => Chain::fit(quantizers, &seen)?,
            None => {
                let largest = FixedSpec::new(DEFAULT_BIAS).cast(&seen)?.to().frac();
                let frac = Some(product_frac.min(largest));
                let format = FormatSpec { frac, ..DEFAULT_BIAS };
                Chain::fit(&[QuantizerSpec::Fixed(FixedSpec::new(format))], &seen)?
            }
        };
        let words = chain.words(values, layout(id, 1, 1))?;
        self.row(id, Site::Bias, chain.describe(), Some(words.format()));
        Ok(Some(Bias { format: words.format(), raw: words.to_vec() }))
    }

    fn activations(&mut self, id: NodeId, input: NodeId, from: Format) -> Result<Option<Cast>> {
        let site = self.resolution.name(id, Site::Activations);
        let Some(spec) = self.resolution.fixed(id, Site::Activations)? else {
            self.row(id, Site::Activations, "as they are".into(), Some(from));
            return Ok(None);
        };
        let signed = Some(from.is_signed());
        let seen = Seen {
            distribution: self.operands.distribution(input, signed),
            signed,
            method: self.plan.method,
            ..Seen::nothing(&site)
        };
        let cast = operand(&site, spec.cast(&seen)?)?;
        self.cast_row(id, Site::Activations, cast);
        Ok(Some(cast))
    }

    fn product(&mut self, id: NodeId, frac: i32) -> Result<Option<Cast>> {
        let cast = self.resolution.product(id, frac)?;
        match cast {
            Some(cast) => self.cast_row(id, Site::Product, cast),
            None => self.row(id, Site::Product, "as the accumulator".into(), None),
        }
        Ok(cast)
    }

    fn accumulator(&mut self, id: NodeId, frac: i32) -> Result<AccumulatorSite> {
        let site = self.resolution.accumulator(id, frac)?;
        self.row(id, Site::Accumulator, site.to_string(), site.format);
        Ok(site)
    }

    fn cast_row(&mut self, id: NodeId, site: Site, cast: Cast) {
        let text = super::FixedPoint::new(cast);
        self.row(id, site, super::Quantizer::describe(&text), Some(cast.to()));
    }

    fn row(&mut self, id: NodeId, site: Site, quantizer: String, format: Option<Format>) {
        let source = self.resolution.source(id, site);
        let row = SiteRow::of(self.network, &self.fusion, (id, site), quantizer, format, source);
        self.rows.push(row);
    }
}

/// Refuses operands of more than 32 bits.
fn operand(site: &str, cast: Cast) -> Result<Cast> {
    if cast.to().bits() <= 32 {
        return Ok(cast);
    }
    Err(Error::new(
        site,
        format_args!("format {} is too wide: operands have at most 32 bits", cast.to()),
    ))
}

#[cfg(test)]
mod tests;
