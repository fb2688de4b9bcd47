//! A multiply-accumulate layer on a datapath.

use crate::error::{Error, Result};
use crate::hardware::Datapath;
use crate::kernels::{
    Epilogue, LayerDraws, Mac, MacKernel, MacScratch, MacSpec, Patches, Site, SiteEvents, Style,
    elementwise,
};
use crate::mapping::{LayerProblem, OperandBits};
use crate::numeric::{Cast, Format, Requantizer, RequantizerKind};
use crate::quantize::{MacLayer, Output, Rescale};
use crate::simulate::words::{BoundLayer, epilogue};
use crate::tensor::Words;

/// The resolved sites of a multiply-accumulate layer, with its kernel.
#[derive(Clone, Debug)]
pub struct BoundMac {
    kernel: MacKernel,
    patches: Patches,
    /// Cast of the incoming words.
    activations: Option<Epilogue>,
    problem: LayerProblem,
}

impl BoundMac {
    /// Completes the sites of `layer` from the datapath. `input` is the layer that it reads.
    /// Refuses what does not fit, naming the site.
    pub(super) fn bind(
        layer: &MacLayer,
        output: &Output,
        input: &BoundLayer,
        datapath: &Datapath,
    ) -> Result<Self> {
        let incoming = input.format();
        let activations = layer.activations.map_or(incoming, |cast| cast.to());
        let weights = layer.weights.format();
        let accumulator = accumulator(layer, weights.frac() + activations.frac(), datapath)?;
        let product = layer.product.unwrap_or(accumulator);
        let bits = &datapath.bits;
        fits("weights", weights, bits.weights)?;
        // The zero point of a stored word is not the multiplier's: Σ w · z is a constant.
        let stored = input.affine.as_ref().filter(|_| layer.activations.is_none());
        fits("activations", stored.map_or(activations, |affine| affine.stored), bits.activations)?;
        fits("accumulator", accumulator.to(), bits.accumulator)?;
        match (datapath.style, layer.product) {
            (Style::ProductCast, _) => fits("product", product.to(), bits.product)?,
            (Style::Fused | Style::Exact, None) => {}
            (style, Some(cast)) => {
                return Err(Error::new(
                    "product",
                    format_args!(
                        "the plan casts products to {}, the datapath is {style} and has no \
                         such cast",
                        cast.to()
                    ),
                )
                .remedy(
                    "remove the site from the plan, or use hardware of the style product_cast",
                ));
            }
        }
        let channels = layer.geometry.output.channels;
        let point = accumulator.to().frac();
        let requantizers = match &layer.rescale {
            Some(rescale) => requantizers(rescale, channels, point, output, datapath)?,
            None => Vec::new(),
        };
        let requantizer = match datapath.requantizer {
            _ if output.affine.is_some() => None,
            RequantizerKind::Shift => None,
            kind => {
                let requantizer = Requantizer::new(kind, accumulator.to().frac(), output.cast);
                Some(requantizer.map_err(|e| e.within("output"))?)
            }
        };
        let spec = MacSpec {
            style: datapath.style,
            adder_tree: datapath.adder_tree,
            weights,
            activations,
            product,
            accumulator,
            epilogue: Epilogue { requantizer, ..epilogue(output) },
        };
        let geometry = layer.geometry;
        let bias = layer.bias.as_ref().map(|bias| (bias.format, &bias.raw[..]));
        let (order, weight_words) = (&datapath.order, &layer.weights);
        Ok(Self {
            kernel: MacKernel::new(Mac {
                spec,
                range: if layer.activations.is_some() {
                    spec.all_activations()
                } else {
                    input.range()
                },
                geometry,
                order,
                weights: weight_words,
                bias,
                requantizers: &requantizers,
            })?,
            patches: Patches::new(&geometry, order)?,
            activations: layer.activations.map(Epilogue::cast),
            problem: LayerProblem {
                geometry,
                bits: OperandBits {
                    weights: weights.bits(),
                    bias: bias.map_or(0, |(format, _)| format.bits()),
                    activations: input.stored_bits(),
                    accumulator: accumulator.to().bits(),
                    output: output.affine.as_ref().map_or(output.format(), |a| a.stored).bits(),
                },
            },
        })
    }

    /// The resolved formats, casts and style.
    pub fn spec(&self) -> &MacSpec {
        self.kernel.spec()
    }

    /// The packed kernel.
    pub fn kernel(&self) -> &MacKernel {
        &self.kernel
    }

    /// Where the operands lie, for nonzero bitmaps and counts.
    pub fn patches(&self) -> &Patches {
        &self.patches
    }

    /// What the mapper is asked to map.
    pub fn problem(&self) -> &LayerProblem {
        &self.problem
    }

    /// The narrowest signed accumulator, in bits, that is proven never to overflow.
    pub fn accumulator_bits_needed(&self) -> u32 {
        self.kernel.reach().bits()
    }

    /// Whether incoming words are cast before the multipliers.
    pub fn recasts(&self) -> bool {
        self.activations.is_some()
    }

    /// Memory for the incoming words after their cast, if there is one.
    pub(super) fn operands(&self) -> Option<Words> {
        let cast = self.activations?.cast;
        Some(Words::zeros(cast.to(), self.problem.geometry.input.len()))
    }

    pub(super) fn run(
        &self,
        input: &Words,
        output: &mut Words,
        operands: Option<&mut Words>,
        scratch: &mut MacScratch,
        draws: LayerDraws,
        events: &mut SiteEvents,
    ) {
        let input = match (&self.activations, operands) {
            (Some(cast), Some(operands)) => {
                let site = Site::Activations;
                elementwise::cast(cast, site, input, operands, draws, &mut events.activations);
                &*operands
            }
            _ => input,
        };
        self.kernel.run(input, output, scratch, draws, events);
    }
}

/// The requantizers of `channels` output channels from results with `frac` fractional bits.
pub(super) fn requantizers(
    rescale: &Rescale,
    channels: usize,
    frac: i32,
    output: &Output,
    datapath: &Datapath,
) -> Result<Vec<Requantizer>> {
    let to = output.cast.to();
    let kind = datapath.requantizer;
    let (low, high) = output.clamp.map_or((i64::MIN, i64::MAX), |clamp| (clamp.low, clamp.high));
    let [low, high] = match &output.affine {
        Some(affine) => affine.range(),
        None => [low, high],
    };
    let of_scale = |scale: f64| match kind {
        RequantizerKind::Shift if scale.log2().fract() == 0.0 => {
            Requantizer::new(kind, frac - scale.log2() as i32, output.cast)
        }
        RequantizerKind::Shift => Err(Error::new(
            "output",
            format_args!("an accumulator is worth {scale} of its words, the hardware only shifts"),
        )
        .remedy(
            "use hardware whose requantizer is multiplier_shift or float32, such as \
             lanes_scaled_16x16, or quantizers with scale = \"power_of_two\"",
        )),
        RequantizerKind::MultiplierShift => Requantizer::scaled(scale * 2f64.powi(-frac), to),
        RequantizerKind::Float32 => Requantizer::float32((scale * 2f64.powi(-frac)) as f32, to),
    };
    let requantizers = match rescale {
        Rescale::Scales(scales) => {
            scales.iter().map(|&scale| of_scale(scale)).collect::<Result<_>>()?
        }
        Rescale::Requantizers(requantizers) => requantizers.clone(),
    };
    let of_channel = |channel: usize| requantizers.get(channel).or(requantizers.first());
    let within = |requantizer: &Requantizer| requantizer.within(low, high);
    Ok((0..channels).filter_map(of_channel).map(within).collect())
}

/// The accumulator's cast: the plan's, or the widest signed word at the product's binary point.
fn accumulator(layer: &MacLayer, product_frac: i32, datapath: &Datapath) -> Result<Cast> {
    let site = &layer.accumulator;
    let overflow = datapath.accumulator_overflow;
    if let Some(planned) = site.overflow
        && planned != overflow
    {
        return Err(Error::new(
            "accumulator",
            format_args!("the plan has overflow {planned}, the hardware's is {overflow}"),
        )
        .remedy("leave the accumulator's overflow out of the plan, or use other hardware"));
    }
    let format = match site.format {
        Some(format) => Ok(format),
        None => Format::new(true, datapath.bits.accumulator, product_frac),
    };
    format
        .and_then(|format| Cast::new(format, site.rounding, overflow))
        .map_err(|e| e.within("accumulator"))
}

/// Refuses a word that is wider than the hardware's.
pub(super) fn fits(site: &str, format: Format, widest: u32) -> Result<()> {
    if format.bits() <= widest {
        return Ok(());
    }
    Err(Error::new(
        site,
        format_args!("{format} has {} bits, the hardware holds {widest}", format.bits()),
    )
    .remedy("choose a narrower format in the plan, or hardware with wider words"))
}
