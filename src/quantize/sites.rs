//! The sites of a network, and which rule of a plan holds at each.

use std::fmt;

use super::{AccumulatorSite, FixedSpec, Plan, QuantizerSpec};
use crate::error::{Error, Result};
use crate::network::{Network, NodeId, Op, PoolKind};
use crate::numeric::Cast;

/// A place in a layer where values become words.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Site {
    /// Weight words.
    Weights,
    /// Bias words.
    Bias,
    /// Incoming words before the multipliers.
    Activations,
    /// Products, in the `product_cast` style.
    Product,
    /// The accumulator.
    Accumulator,
    /// The words that the layer writes.
    Output,
}

impl Site {
    /// The name in selectors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Bias => "bias",
            Self::Activations => "activations",
            Self::Product => "product",
            Self::Accumulator => "accumulator",
            Self::Output => "output",
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which activation functions are computed within the layer before them: by node, the clipping
/// function that a multiply-accumulate layer or an addition takes in, its only reader.
pub(super) struct Fusion {
    /// By node: the activation function fused into it.
    pub activation: Vec<Option<NodeId>>,
    /// By node: whether it is fused into the node before it.
    pub absorbed: Vec<bool>,
}

impl Fusion {
    /// `may` tells whether an activation function, the second, may be fused into a node.
    pub fn of(network: &Network, may: impl Fn(NodeId, NodeId) -> bool) -> Self {
        let nodes = &network.nodes;
        let mut readers = vec![0; nodes.len()];
        nodes.iter().flat_map(|node| &node.inputs).for_each(|&input| readers[input] += 1);
        let (mut activation, mut absorbed) = (vec![None; nodes.len()], vec![false; nodes.len()]);
        for (id, node) in nodes.iter().enumerate() {
            if let (Op::Activation(function), &[input]) = (&node.op, &node.inputs[..])
                && function.bounds().is_some()
                && readers[input] == 1
                && may(input, id)
                && takes_activation(&nodes[input].op)
            {
                activation[input] = Some(id);
                absorbed[id] = true;
            }
        }
        Self { activation, absorbed }
    }

    /// The node whose output a layer writes: itself, or the activation function fused into it.
    pub fn last(&self, id: NodeId) -> NodeId {
        self.activation[id].unwrap_or(id)
    }
}

fn takes_activation(op: &Op) -> bool {
    matches!(op, Op::Conv { .. } | Op::Dense { .. } | Op::BatchNorm { .. } | Op::Add | Op::Mul)
}

/// The sites of an operator.
fn sites(op: &Op) -> &'static [Site] {
    use Site::{Accumulator, Activations, Bias, Output, Product, Weights};
    match op {
        Op::Conv { bias: true, .. } | Op::Dense { bias: true } | Op::BatchNorm { .. } => {
            &[Weights, Bias, Activations, Product, Accumulator, Output]
        }
        Op::Conv { bias: false, .. } | Op::Dense { bias: false } => {
            &[Weights, Activations, Product, Accumulator, Output]
        }
        Op::Pool { kind: PoolKind::Max, .. }
        | Op::GlobalPool(PoolKind::Max)
        | Op::Pad(_)
        | Op::Flatten(_)
        | Op::Softmax => &[],
        Op::Input
        | Op::Activation(_)
        | Op::Add
        | Op::Mul
        | Op::Lrn(_)
        | Op::Identity
        | Op::Constant
        | Op::Concat
        | Op::Pool { .. }
        | Op::GlobalPool(_) => &[Output],
    }
}

/// Which rule of a plan holds at each site.
pub(super) struct Resolution<'a> {
    plan: &'a Plan,
    network: &'a Network,
    /// By node and site.
    rules: Vec<Vec<(Site, Option<usize>)>>,
}

impl<'a> Resolution<'a> {
    /// # Errors
    /// Names a selector that matches no site.
    pub fn new(plan: &'a Plan, network: &'a Network, fusion: &Fusion) -> Result<Self> {
        let mut used = vec![false; plan.rules.len()];
        let rules = (0..network.nodes.len())
            .map(|id| {
                if fusion.absorbed[id] {
                    return Vec::new();
                }
                let resolve = |&site: &Site| {
                    let names = names(network, fusion, id, site);
                    let matched = plan.rules.iter().map(|rule| rule.matches(&names));
                    used.iter_mut().zip(matched).for_each(|(used, matched)| *used |= matched);
                    (site, plan.last_match(&names))
                };
                sites(&network.nodes[id].op).iter().map(resolve).collect()
            })
            .collect();
        match used.iter().position(|used| !used) {
            Some(rule) => Err(unmatched(plan, rule, network)),
            None => Ok(Self { plan, network, rules }),
        }
    }

    /// The quantizers that the plan states for a site.
    pub fn stated(&self, id: NodeId, site: Site) -> Option<&'a [QuantizerSpec]> {
        let rule = self.rule(id, site)?;
        Some(&self.plan.rules[rule].quantizers)
    }

    /// Where the quantizers of a site come from.
    pub fn source(&self, id: NodeId, site: Site) -> String {
        match self.rule(id, site) {
            Some(rule) => format!("rule {} `{}`", rule + 1, self.plan.rules[rule].select),
            None => "default".into(),
        }
    }

    /// The name of a site.
    pub fn name(&self, id: NodeId, site: Site) -> String {
        format!("{}.{site}", self.network.nodes[id].name)
    }

    /// The one fixed-point quantizer that the plan states for a site that takes no other.
    pub fn fixed(&self, id: NodeId, site: Site) -> Result<Option<&'a FixedSpec>> {
        match self.stated(id, site) {
            None | Some([QuantizerSpec::None(_)]) => Ok(None),
            Some([QuantizerSpec::Fixed(spec)]) => Ok(Some(spec)),
            Some(_) => {
                Err(Error::new(self.name(id, site), "takes one fixed-point quantizer, or none")
                    .remedy(
                        "use kind = \"fixed\" here, and other quantizers for weights and outputs",
                    ))
            }
        }
    }

    /// The cast of a layer's products, which have `frac` fractional bits; `None` where the
    /// accumulator's is the only one.
    pub fn product(&self, id: NodeId, frac: i32) -> Result<Option<Cast>> {
        let cast = self.fixed(id, Site::Product)?.map(|spec| spec.cast_at(true, frac)).transpose();
        cast.map_err(|e| Error::new(self.name(id, Site::Product), e))
    }

    /// The accumulator of a layer whose products have `frac` fractional bits.
    pub fn accumulator(&self, id: NodeId, frac: i32) -> Result<AccumulatorSite> {
        let Some(spec) = self.fixed(id, Site::Accumulator)? else {
            return Ok(AccumulatorSite::WIDEST);
        };
        let cast = spec.format.map(|_| spec.cast_at(true, frac)).transpose();
        let format = cast.map_err(|e| Error::new(self.name(id, Site::Accumulator), e))?;
        let format = format.map(Cast::to);
        Ok(AccumulatorSite { format, rounding: spec.rounding(), overflow: spec.overflow })
    }

    fn rule(&self, id: NodeId, site: Site) -> Option<usize> {
        self.rules[id].iter().find(|(s, _)| *s == site)?.1
    }
}

/// The names of a site: `layer.site`, and for the output of a layer that takes in an activation
/// function also that function's name.
fn names(network: &Network, fusion: &Fusion, id: NodeId, site: Site) -> Vec<String> {
    let activation = fusion.activation[id].filter(|_| site == Site::Output);
    [Some(id), activation]
        .into_iter()
        .flatten()
        .map(|id| format!("{}.{site}", network.nodes[id].name))
        .collect()
}

fn unmatched(plan: &Plan, rule: usize, network: &Network) -> Error {
    let select = &plan.rules[rule].select;
    let error = plan.error_at(rule, "matches no site of the network");
    let named = network
        .nodes
        .iter()
        .find(|node| select.strip_prefix(&node.name).is_some_and(|rest| rest.starts_with('.')));
    match named {
        Some(node) => {
            let sites: Vec<_> = sites(&node.op).iter().map(|s| s.name()).collect();
            let sites = if sites.is_empty() { "none".into() } else { sites.join(", ") };
            error.remedy(format_args!("sites of `{}`: {sites}", node.name))
        }
        None => {
            let names: Vec<_> = network.nodes.iter().map(|n| n.name.as_str()).collect();
            error.remedy(format_args!(
                "write layer.site, with one of the layers {} (folded batch normalizations are none)",
                names.join(", ")
            ))
        }
    }
}
