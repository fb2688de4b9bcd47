//! Breaking words on their way.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::kernels::{AccumulationOrder, LayerDraws, Mac, Site, Style};
use crate::numeric::{Draws, Format, Rounding};
use crate::quantize::{Operation, QuantizedNetwork};
use crate::simulate::{BoundLayer, BoundNetwork, Disturbance};
use crate::tensor::Words;
use crate::verify::faults::{Fault, FaultKind, FaultSite, FaultSpec, Hits};
use crate::verify::{Chain, ordered_operands};

/// The faults of a network, by layer.
#[derive(Clone, Debug)]
pub struct Injector {
    seed: u64,
    faults: Vec<Fault>,
    /// Numbers of the faults that hit each layer.
    layers: Vec<Vec<usize>>,
}

/// A bit that is hit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Hit {
    element: usize,
    bit: u32,
    kind: FaultKind,
    /// Accumulations before it, if stated.
    step: Option<usize>,
    /// Draws where it is not.
    drawn: bool,
}

impl FaultKind {
    /// A pattern after the fault of a bit.
    fn apply(self, pattern: u64, bit: u32) -> u64 {
        match self {
            Self::Flip => pattern ^ 1 << bit,
            Self::StuckAt0 => pattern & !(1 << bit),
            Self::StuckAt1 => pattern | 1 << bit,
        }
    }
}

/// The number of the draw of a bit.
fn place(element: usize, bit: u32) -> u64 {
    (element as u64) << 7 | u64::from(bit)
}

/// In place of a fault's number, for the draws of steps.
const STEP_DRAWS: usize = (1 << 14) - 1;

/// A word of `format` after the fault of a bit.
fn broken(format: Format, word: i128, hit: Hit) -> i128 {
    format.raw(hit.kind.apply(format.pattern(word), hit.bit)).unwrap_or(word)
}

impl Injector {
    /// The faults of `spec` in `network`; `seed` is that of the run.
    ///
    /// # Errors
    /// If a fault matches no layer, or no word or bit of it.
    pub fn new(spec: &FaultSpec, network: &BoundNetwork, seed: u64) -> Result<Self> {
        let mut layers = vec![Vec::new(); network.layers().len()];
        for (number, fault) in spec.fault.iter().enumerate() {
            let (pattern, hits) = (fault.layers()?, fault.hits()?);
            let named = |e: Error| e.within(format_args!("fault {}", number + 1));
            let mut matched = false;
            for (index, layer) in network.layers().iter().enumerate() {
                if !pattern.is_match(layer.name()) {
                    continue;
                }
                let Some((format, len)) = words_of(fault.site, layer) else { continue };
                matched = true;
                check(fault, hits, layer, format, len).map_err(named)?;
                layers[index].push(number);
            }
            if !matched {
                let problem = format_args!("no layer `{}` has such words", fault.layer);
                return Err(named(Error::new(format_args!("{:?}", fault.site), problem))
                    .remedy("`bittrue show NETWORK` lists the layers"));
            }
        }
        Ok(Self { seed: spec.seed.unwrap_or(seed), faults: spec.fault.clone(), layers })
    }

    /// The hits at a site of layer `layer`, of `len` words of `bits` bits.
    fn hits(&self, site: FaultSite, layer: usize, image: usize, bits: u32, len: usize) -> Vec<Hit> {
        let mut found = Vec::new();
        for &number in &self.layers[layer] {
            let fault = &self.faults[number];
            if fault.site != site || fault.image.is_some_and(|stated| stated != image) {
                continue;
            }
            let hit = |element, bit, drawn| Hit {
                element,
                bit,
                kind: fault.kind,
                step: fault.step,
                drawn,
            };
            match fault.hits() {
                Ok(Hits::One { element, bit }) => found.push(hit(element, bit, false)),
                Ok(Hits::Rate(rate)) => {
                    // 2^64 · rate; a rate of 1 exceeds every draw.
                    let threshold = (rate * 2f64.powi(64)) as u128;
                    let draws = self.draws(number, layer, image);
                    for element in 0..len {
                        for bit in (0..bits).filter(|&bit| fault.bit.is_none_or(|b| b == bit)) {
                            let draw = draws.at(place(element, bit));
                            if u128::from(draw) < threshold {
                                found.push(hit(element, bit, true));
                            }
                        }
                    }
                }
                Err(_) => {}
            }
        }
        found
    }

    /// The draws of a fault in a layer and image.
    fn draws(&self, fault: usize, layer: usize, image: usize) -> Draws {
        let site = (fault as u64) << 50 | (layer as u64) << 32 | image as u64 & 0xffff_ffff;
        // Apart from the draws of stochastic rounding under the same seed.
        Draws::new(self.seed ^ 0x6661_756c_7473_0000, site)
    }

    /// Breaks the weights of a network whose products are accumulated in `order`; the number of bits
    /// hit.
    pub fn break_weights(&self, network: &mut QuantizedNetwork, order: &AccumulationOrder) -> u64 {
        let mut count = 0;
        for (index, layer) in network.layers.iter_mut().enumerate() {
            let Operation::Mac(mac) = &mut layer.operation else { continue };
            let (format, len) = (mac.weights.format(), mac.weights.len());
            let hits = self.hits(FaultSite::Weights, index, 0, format.bits(), len);
            if hits.is_empty() {
                continue;
            }
            let geometry = &mac.geometry;
            let [kh, kw] = geometry.window.kernel;
            let steps = order.reduction(geometry.group_inputs(), kh, kw);
            let reduction = geometry.reduction();
            let mut words = mac.weights.to_vec();
            for hit in &hits {
                let (channel, step) = (hit.element / reduction, hit.element % reduction);
                let word = &mut words[channel * reduction + steps[step] as usize];
                *word = broken(format, (*word).into(), *hit) as i64;
            }
            count += hits.len() as u64;
            mac.weights = Words::from_raw(format, words.into_iter());
        }
        count
    }

    /// The faults of the accumulators of layer `layer`.
    pub(in crate::verify) fn accumulators(
        &self,
        layer: usize,
        image: usize,
        mac: &Mac,
    ) -> AccumulatorFaults {
        let bits = mac.spec.accumulator.to().bits();
        let products = match mac.spec.style {
            Style::Exact => 1,
            Style::Fused | Style::ProductCast => mac.spec.adder_tree,
        };
        let steps = mac.geometry.reduction().div_ceil(products);
        let draws = self.draws(STEP_DRAWS, layer, image);
        let mut hits: BTreeMap<usize, Vec<(Hit, usize)>> = BTreeMap::new();
        let len = mac.geometry.output.len();
        for hit in self.hits(FaultSite::Accumulator, layer, image, bits, len) {
            let draw = draws.at(place(hit.element, hit.bit));
            let drawn = ((u128::from(draw) * (steps as u128 + 1)) >> 64) as usize;
            let step = hit.step.unwrap_or(if hit.drawn { drawn } else { steps });
            hits.entry(hit.element).or_default().push((hit, step.min(steps)));
        }
        AccumulatorFaults(hits)
    }
}

/// The faults of the accumulators of a layer, by output word, each with the number of accumulations
/// before it.
pub(in crate::verify) struct AccumulatorFaults(BTreeMap<usize, Vec<(Hit, usize)>>);

impl AccumulatorFaults {
    /// Numbers of the output words that are hit.
    pub fn elements(&self) -> impl Iterator<Item = usize> {
        self.0.keys().copied()
    }

    /// The ordered loop of output word `element`, broken on its way: calls `each` with the partial
    /// sums and gives the accumulator. The sums of the exact style are broken after the loop.
    pub fn run(
        &self,
        chain: &Chain,
        element: usize,
        (bias, operands): (i64, &[(i64, i64)]),
        mut each: impl FnMut(i128),
    ) -> i128 {
        let format = chain.spec().accumulator.to();
        let hits = self.0.get(&element).map_or(&[][..], |hits| hits);
        let exact = chain.spec().style == Style::Exact;
        let mut last = 0;
        let breaks = |step: usize, sum: i128| {
            hits.iter().filter(|_| !exact).fold(sum, |sum, &(hit, at)| match hit.kind {
                FaultKind::Flip if at != step => sum,
                _ => broken(format, sum, hit),
            })
        };
        chain.disturbed_sums(bias, operands, breaks, |sum| {
            last = sum;
            each(sum);
        });
        let after_loop = hits.iter().filter(|_| exact);
        after_loop.fold(chain.finish(last), |sum, &(hit, _)| broken(format, sum, hit))
    }

    /// The accumulators that are hit.
    pub fn changed(&self, mac: &Mac, operands: &Words) -> Vec<(usize, i128)> {
        let channels = mac.geometry.output.channels;
        let accumulator = |element: usize| {
            let (pixel, channel) = (element / channels, element % channels);
            let chain = Chain::of_channel(mac, channel).ok()?;
            let pairs = ordered_operands(mac, operands, pixel, channel);
            let bias = mac.bias.map_or(0, |(_, raw)| raw[channel]);
            Some((element, self.run(&chain, element, (bias, &pairs), |_| ())))
        };
        self.elements().filter_map(accumulator).collect()
    }
}

impl Disturbance for Injector {
    fn results(
        &self,
        layer: usize,
        image: usize,
        mac: &Mac,
        operands: &Words,
        words: &mut Words,
        draws: LayerDraws,
    ) {
        let frac = mac.spec.accumulator.to().frac();
        let faults = self.accumulators(layer, image, mac);
        for (element, accumulator) in faults.changed(mac, operands) {
            let channel = element % mac.geometry.output.channels;
            let epilogue = mac.spec.epilogue.of_channel(mac.requantizers, channel);
            let random = draws.draw(Site::Output, element, 0);
            words.set(element, epilogue.apply(accumulator, frac, random).raw as i64);
        }
    }

    fn written(&self, index: usize, image: usize, layer: &BoundLayer, words: &mut Words) {
        let (stored, zero) = (layer.stored(), layer.zero_point().unwrap_or(0));
        for hit in self.hits(FaultSite::Activations, index, image, stored.bits(), words.len()) {
            let word = i128::from(words.get(hit.element) + zero);
            words.set(hit.element, broken(stored, word, hit) as i64 - zero);
        }
    }
}

/// Format and number of the words of a site, if the layer has it.
fn words_of(site: FaultSite, layer: &BoundLayer) -> Option<(Format, usize)> {
    let mac = layer.mac().map(|mac| mac.kernel().mac());
    match site {
        FaultSite::Weights => mac.map(|mac| (mac.spec.weights, mac.weights.len())),
        FaultSite::Accumulator => {
            mac.map(|mac| (mac.spec.accumulator.to(), mac.geometry.output.len()))
        }
        FaultSite::Activations => {
            layer.writes_words().then(|| (layer.stored(), layer.shape().len()))
        }
    }
}

fn check(fault: &Fault, hits: Hits, layer: &BoundLayer, format: Format, len: usize) -> Result<()> {
    let name = layer.name();
    if let Hits::One { element, .. } = hits
        && element >= len
    {
        let problem = format_args!("is {element}, layer `{name}` has {len} words there");
        return Err(Error::new("element", problem));
    }
    if let Some(bit) = fault.bit.filter(|&bit| bit >= format.bits()) {
        let problem = format_args!("is {bit}, words of layer `{name}` are {format}");
        return Err(Error::new("bit", problem));
    }
    let stochastic = layer.mac().is_some_and(|mac| {
        let spec = mac.spec();
        [spec.product, spec.accumulator].iter().any(|cast| cast.rounding() == Rounding::Stochastic)
    });
    if fault.site == FaultSite::Accumulator && stochastic {
        return Err(Error::new(
            format_args!("layer `{name}`"),
            "rounds stochastically inside the loop, where accumulators cannot be broken",
        )
        .remedy("break its weights or activations, or choose another rounding"));
    }
    Ok(())
}
