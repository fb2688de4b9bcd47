//! The datapath of one output word, from operands to word, on its own: what a design's element and
//! requantizer are held against. The arithmetic is that of [`reference`](mod@reference) and nothing else.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::hardware::Datapath;
use crate::kernels::reference::{self, Accumulated, accumulate};
use crate::kernels::{Epilogue, LayerDraws, Mac, MacSpec, Site, Style, check_spec};
use crate::numeric::{Cast, CastWord, Constants, Format, Overflow, Requantizer, Rounding};
use crate::tensor::Words;

/// A format with the rounding and overflow of casts into it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CastSpec {
    /// Target format.
    pub format: Format,
    /// Rounding of dropped bits.
    pub rounding: Rounding,
    /// What happens to words out of range.
    pub overflow: Overflow,
}

/// A requantizer: its constants, and the range to which it saturates where that is narrower than
/// its format.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct RequantizerSpec {
    /// Multiplier and shift, or scale.
    #[serde(flatten)]
    pub constants: Constants,
    /// Smallest and largest word.
    pub range: Option<[i64; 2]>,
}

/// The datapath of one output word as data. In TOML for the C interface, in JSON in manifests.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainSpec {
    /// Where the chain loses bits; the hardware's, if left out.
    pub style: Option<Style>,
    /// Products that an adder tree sums exactly before each accumulation; the hardware's or 1.
    pub adder_tree: Option<usize>,
    /// Weight words.
    pub weights: Format,
    /// Activation words.
    pub activations: Format,
    /// Bias words, if there are any.
    pub bias: Option<Format>,
    /// Cast of a product, in the `product_cast` style.
    pub product: Option<CastSpec>,
    /// Cast into the accumulator.
    pub accumulator: CastSpec,
    /// Cast into the output word.
    pub output: CastSpec,
    /// Requantizer in place of the output's cast: none, one, or one by output channel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requantizer: Vec<RequantizerSpec>,
    /// Fused activation function: smallest and largest word.
    pub clamp: Option<[i64; 2]>,
}

impl From<Cast> for CastSpec {
    fn from(cast: Cast) -> Self {
        Self { format: cast.to(), rounding: cast.rounding(), overflow: cast.overflow() }
    }
}

impl CastSpec {
    fn cast(self, site: &str) -> Result<Cast> {
        Cast::new(self.format, self.rounding, self.overflow).map_err(|e| e.within(site))
    }
}

impl From<&Requantizer> for RequantizerSpec {
    fn from(requantizer: &Requantizer) -> Self {
        Self { constants: requantizer.constants(), range: Some(requantizer.range()) }
    }
}

impl ChainSpec {
    /// That of a multiply-accumulate layer.
    pub fn of(mac: &Mac) -> Self {
        let spec = &mac.spec;
        let own = spec.epilogue.requantizer.as_ref();
        let requantizers =
            mac.requantizers.iter().chain(own.filter(|_| mac.requantizers.is_empty()));
        Self {
            style: Some(spec.style),
            adder_tree: Some(spec.adder_tree),
            weights: spec.weights,
            activations: spec.activations,
            bias: mac.bias.map(|(format, _)| format),
            product: (spec.style == Style::ProductCast).then(|| spec.product.into()),
            accumulator: spec.accumulator.into(),
            output: spec.epilogue.cast.into(),
            requantizer: requantizers.map(RequantizerSpec::from).collect(),
            clamp: spec.epilogue.clamp.map(|(low, high)| [low, high]),
        }
    }

    /// The chain of output channel `channel`, completed from `datapath` where the description
    /// leaves style or adder tree open.
    ///
    /// # Errors
    /// If the sites do not fit together, or one of them rounds stochastically: its words depend on
    /// more than operands.
    pub fn chain(&self, datapath: Option<&Datapath>, channel: usize) -> Result<Chain> {
        let style = self.style.or(datapath.map(|datapath| datapath.style)).ok_or_else(|| {
            Error::new("style", "is not stated").remedy(
                "write style = \"fused\", \"product_cast\" or \"exact\", or give a hardware model",
            )
        })?;
        let accumulator = self.accumulator.cast("accumulator")?;
        let output = self.output.cast("output")?;
        let product = match (style, self.product) {
            (Style::ProductCast, Some(product)) => product.cast("product")?,
            (Style::ProductCast, None) => accumulator,
            (_, None) => accumulator,
            (_, Some(_)) => {
                return Err(Error::new("product", format_args!("the style {style} casts none"))
                    .remedy("remove the key, or use the style product_cast"));
            }
        };
        let requantizer = match &self.requantizer[..] {
            [] => None,
            several => Some(
                several
                    .get(channel)
                    .or(several.first().filter(|_| several.len() == 1))
                    .ok_or_else(|| {
                        Error::new(
                            format_args!("output channel {channel}"),
                            format_args!("there are requantizers for {} channels", several.len()),
                        )
                    })?,
            ),
        };
        let requantizer = requantizer.map(|spec| {
            let requantizer = Requantizer::from_constants(spec.constants, output)?;
            Ok(match spec.range {
                Some([low, high]) => requantizer.within(low, high),
                None => requantizer,
            })
        });
        let spec = MacSpec {
            style,
            adder_tree: self
                .adder_tree
                .or(datapath.map(|datapath| datapath.adder_tree))
                .unwrap_or(1),
            weights: self.weights,
            activations: self.activations,
            product,
            accumulator,
            epilogue: Epilogue {
                cast: output,
                requantizer: requantizer.transpose().map_err(|e: Error| e.within("requantizer"))?,
                clamp: self.clamp.map(|[low, high]| (low, high)),
            },
        };
        Chain::new(spec, self.bias)
    }
}

/// The datapath of one output word, all sites resolved and without randomness.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Chain {
    spec: MacSpec,
    bias: Option<Format>,
}

impl Chain {
    /// A chain of these sites.
    ///
    /// # Errors
    /// As [`ChainSpec::chain`].
    pub fn new(spec: MacSpec, bias: Option<Format>) -> Result<Self> {
        check_spec(&spec)?;
        let point = spec.accumulator.to().frac();
        if bias.is_some_and(|bias| bias.bits() == Format::MAX_BITS && !bias.is_signed()) {
            return Err(Error::new("bias", "a bias of 64 bits is signed"));
        }
        let casts = [
            ("accumulator", spec.accumulator),
            ("product", spec.product),
            ("output", spec.epilogue.cast),
        ];
        if let Some((site, _)) =
            casts.iter().find(|(_, cast)| cast.rounding() == Rounding::Stochastic)
        {
            return Err(Error::new(
                site,
                "rounds stochastically, so that its words depend on draws",
            )
            .remedy("run the whole layer, which numbers the draws"));
        }
        if spec.epilogue.requantizer.is_none()
            && (spec.epilogue.cast.to().frac() - point).abs() > 512
        {
            return Err(Error::new("output", "its binary point is too far from the accumulator's"));
        }
        Ok(Self { spec, bias })
    }

    /// The chain of output channel `channel` of a layer.
    ///
    /// # Errors
    /// If a site rounds stochastically.
    pub fn of_channel(mac: &Mac, channel: usize) -> Result<Self> {
        let epilogue = mac.spec.epilogue.of_channel(mac.requantizers, channel);
        Self::new(MacSpec { epilogue, ..mac.spec }, mac.bias.map(|(format, _)| format))
    }

    /// The sites.
    pub fn spec(&self) -> &MacSpec {
        &self.spec
    }

    /// Format of the bias, if there is one.
    pub fn bias(&self) -> Option<Format> {
        self.bias
    }

    /// What the accumulator holds before the first product: the bias, cast. In the exact style at
    /// the binary point of [`exact_frac`](Self::exact_frac).
    pub fn start(&self, bias: i64) -> i128 {
        let first = self.accumulate(bias, &[]).raw;
        match self.spec.style {
            Style::Exact => first << (self.exact_frac() - self.spec.accumulator.to().frac()),
            Style::Fused | Style::ProductCast => first,
        }
    }

    /// The accumulator after one more accumulation, of the products of `operands`: one pair, or as
    /// many as the adder tree takes. In the exact style nothing is lost.
    pub fn step(&self, accumulator: i128, operands: &[(i64, i64)]) -> i128 {
        let product = |&(w, x): &(i64, i64)| reference::product(&self.spec, w, x, || 0).raw;
        let term: i128 = operands.iter().map(product).sum();
        match self.spec.style {
            Style::Exact => accumulator + (term << (self.exact_frac() - self.spec.product_frac())),
            Style::Fused | Style::ProductCast => {
                reference::add(&self.spec, accumulator, term, 0).raw
            }
        }
    }

    /// The accumulator after the loop: in the exact style its one cast.
    pub fn finish(&self, accumulator: i128) -> i128 {
        match self.spec.style {
            Style::Exact => self.spec.accumulator.apply(accumulator, self.exact_frac(), 0).raw,
            Style::Fused | Style::ProductCast => accumulator,
        }
    }

    /// The whole loop over (weight, activation) pairs in accumulation order.
    pub fn accumulate(&self, bias: i64, operands: &[(i64, i64)]) -> Accumulated {
        let bias = self.bias.map(|format| (format, bias));
        accumulate(&self.spec, bias, operands, 0, no_draws())
    }

    /// The output word of an accumulator.
    pub fn requantize(&self, accumulator: i128) -> CastWord {
        self.spec.epilogue.apply(accumulator, self.spec.accumulator.to().frac(), 0)
    }

    /// The output word before the fused activation function.
    pub fn before_activation(&self, accumulator: i128) -> CastWord {
        let epilogue = Epilogue { clamp: None, ..self.spec.epilogue };
        epilogue.apply(accumulator, self.spec.accumulator.to().frac(), 0)
    }

    /// Products of one accumulation.
    pub fn products(&self) -> usize {
        match self.spec.style {
            Style::Exact => 1,
            Style::Fused | Style::ProductCast => self.spec.adder_tree,
        }
    }

    /// Calls `each` with what the accumulator holds at the start and after every accumulation; the
    /// last, [finished](Self::finish), is the accumulator of [`accumulate`](Self::accumulate).
    pub fn partial_sums(&self, bias: i64, operands: &[(i64, i64)], each: impl FnMut(i128)) {
        self.disturbed_sums(bias, operands, |_, sum| sum, each);
    }

    /// As [`partial_sums`](Self::partial_sums), where after so many accumulations `disturb` has
    /// changed what the accumulator holds.
    pub fn disturbed_sums(
        &self,
        bias: i64,
        operands: &[(i64, i64)],
        disturb: impl Fn(usize, i128) -> i128,
        mut each: impl FnMut(i128),
    ) {
        let mut accumulator = disturb(0, self.start(bias));
        each(accumulator);
        for (step, operands) in operands.chunks(self.products()).enumerate() {
            accumulator = disturb(step + 1, self.step(accumulator, operands));
            each(accumulator);
        }
    }

    /// Format of what [`partial_sums`](Self::partial_sums) gives: the accumulator's, or 64 bits for
    /// the sums of the exact style.
    pub fn partial_sum_format(&self) -> Result<Format> {
        match self.spec.style {
            Style::Exact => Format::new(true, Format::MAX_BITS, self.exact_frac()),
            Style::Fused | Style::ProductCast => Ok(self.spec.accumulator.to()),
        }
    }

    /// Fractional bits of the sums of the exact style.
    pub fn exact_frac(&self) -> i32 {
        self.spec.product_frac().max(self.spec.accumulator.to().frac())
    }
}

/// The (weight, activation) pairs of an output word in accumulation order.
pub fn ordered_operands(mac: &Mac, input: &Words, pixel: usize, channel: usize) -> Vec<(i64, i64)> {
    let [kh, kw] = mac.geometry.window.kernel;
    let order = mac.order.reduction(mac.geometry.group_inputs(), kh, kw);
    let canonical = reference::operands(&mac.geometry, mac.weights, input, pixel, channel);
    order.iter().map(|&k| canonical[k as usize]).collect()
}

/// One output word of a multiply-accumulate layer, by its accumulator, from the `input` of its
/// multipliers.
///
/// # Panics
///
/// If the input is not of the layer's size, or it has no such pixel or channel.
pub fn output_word(
    mac: &Mac,
    input: &Words,
    pixel: usize,
    channel: usize,
    draws: LayerDraws,
) -> (Accumulated, CastWord) {
    let operands = ordered_operands(mac, input, pixel, channel);
    let bias = mac.bias.map(|(format, raw)| (format, raw[channel]));
    let element = pixel * mac.geometry.output.channels + channel;
    let sum = accumulate(&mac.spec, bias, &operands, element, draws);
    let epilogue = mac.spec.epilogue.of_channel(mac.requantizers, channel);
    let random = draws.draw(Site::Output, element, 0);
    (sum, epilogue.apply(sum.raw, mac.spec.accumulator.to().frac(), random))
}

/// Draws for what draws nothing.
fn no_draws() -> LayerDraws {
    LayerDraws::new(0, 0, 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spec(style: &str, tree: usize) -> ChainSpec {
        let product = if style == "product_cast" {
            "product = { format = \"s9f4\", rounding = \"half_up\", overflow = \"wrap\" }"
        } else {
            ""
        };
        toml::from_str(&format!(
            "style = \"{style}\"\nadder_tree = {tree}\nweights = \"s8f5\"\nactivations = \"s8f3\"\n\
             bias = \"s12f6\"\n{product}\n\
             accumulator = {{ format = \"s14f5\", rounding = \"half_even\", overflow = \"saturate\" }}\n\
             output = {{ format = \"s8f2\", rounding = \"half_up\", overflow = \"saturate\" }}\n\
             clamp = [0, 127]"
        ))
        .unwrap()
    }

    proptest! {
        /// Step by step it is the loop of the specification.
        #[test]
        fn partial_sums_end_in_the_accumulator(
            style in prop::sample::select(vec!["product_cast", "fused", "exact"]),
            tree in 1_usize..4,
            bias in -2048_i64..2048,
            operands in prop::collection::vec((-128_i64..128, -128_i64..128), 0..40),
        ) {
            let chain = spec(style, tree).chain(None, 0).unwrap();
            let mut sums = Vec::new();
            chain.partial_sums(bias, &operands, |sum| sums.push(sum));
            prop_assert_eq!(sums.len(), 1 + operands.len().div_ceil(chain.products()));
            let last = chain.finish(sums[sums.len() - 1]);
            prop_assert_eq!(last, chain.accumulate(bias, &operands).raw);
        }
    }

    fn formats() -> impl Strategy<Value = Format> {
        let frac = prop_oneof![8 => -4_i32..40, 1 => Just(-512), 1 => Just(512)];
        (any::<bool>(), 1_u32..=64, frac).prop_map(|(s, w, f)| Format::new(s, w, f).unwrap())
    }

    fn casts() -> impl Strategy<Value = CastSpec> {
        let modes = (prop::sample::select(Rounding::ALL), prop::sample::select(Overflow::ALL));
        (formats(), modes).prop_map(|(format, (rounding, overflow))| CastSpec {
            format,
            rounding,
            overflow,
        })
    }

    fn specs() -> impl Strategy<Value = ChainSpec> {
        let styles = prop::sample::select(vec![Style::ProductCast, Style::Fused, Style::Exact]);
        let operands = (formats(), formats(), prop::option::of(formats()));
        let sites = (prop::option::of(casts()), casts(), casts());
        let rest = (1_usize..5, prop::option::of(any::<[i64; 2]>()));
        (styles, operands, sites, rest).prop_map(
            |(style, (weights, activations, bias), (product, accumulator, output), rest)| {
                ChainSpec {
                    style: Some(style),
                    adder_tree: Some(rest.0),
                    weights,
                    activations,
                    bias,
                    product: product.filter(|_| style == Style::ProductCast),
                    accumulator,
                    output,
                    requantizer: Vec::new(),
                    clamp: rest.1,
                }
            },
        )
    }

    proptest! {
        /// Whatever a description states: it is refused, or its accumulators are words of their
        /// format, step by step those of the loop.
        #[test]
        fn a_description_that_is_taken_works(
            spec in specs(),
            bias in any::<i64>(),
            operands in prop::collection::vec(any::<(i64, i64)>(), 0..6),
        ) {
            let Ok(chain) = spec.chain(None, 0) else { return Ok(()) };
            let word = |format: Format, word: i64| {
                format.raw(format.pattern(word.into())).unwrap() as i64
            };
            let pair = |&(w, x): &(i64, i64)| (word(spec.weights, w), word(spec.activations, x));
            let operands: Vec<_> = operands.iter().map(pair).collect();
            let bias = spec.bias.map_or(0, |format| word(format, bias));
            let sum = chain.accumulate(bias, &operands).raw;
            prop_assert!(spec.accumulator.format.contains(sum));
            let mut last = 0;
            chain.partial_sums(bias, &operands, |sum| last = sum);
            prop_assert_eq!(chain.finish(last), sum);
            if spec.clamp.is_none() {
                prop_assert!(spec.output.format.contains(chain.requantize(sum).raw));
            }
        }
    }

    /// 8 · 8 products of s8f5 · s8f3 words: 0.25 · 1 = 0.25 in f8; the accumulator in f5 holds 8
    /// for each, beside the bias of 1.5 = 48.
    #[test]
    fn a_chain_by_hand() {
        let chain = spec("fused", 1).chain(None, 0).unwrap();
        let operands = [(8, 8); 4];
        let mut sums = Vec::new();
        chain.partial_sums(96, &operands, |sum| sums.push(sum));
        assert_eq!(sums, [48, 56, 64, 72, 80]);
        // 80 / 32 = 2.5 is 10 in f2.
        assert_eq!(chain.requantize(80).raw, 10);
        assert_eq!(chain.requantize(-80).raw, 0);
        assert_eq!(chain.before_activation(-80).raw, -10);
    }

    #[test]
    fn a_description_is_read_back() {
        let spec = spec("product_cast", 2);
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<ChainSpec>(&text).unwrap(), spec);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut open = spec("fused", 1);
        open.style = None;
        assert_eq!(open.chain(None, 0).unwrap_err().subject(), "style");
        let mut stochastic = spec("fused", 1);
        stochastic.accumulator.rounding = Rounding::Stochastic;
        assert_eq!(stochastic.chain(None, 0).unwrap_err().subject(), "accumulator");
        let mut tree = spec("fused", 1);
        tree.adder_tree = Some(0);
        assert_eq!(tree.chain(None, 0).unwrap_err().subject(), "adder tree");
        let mut wide = spec("fused", 1);
        wide.weights = "s33f0".parse().unwrap();
        assert!(wide.chain(None, 0).is_err());
    }
}
