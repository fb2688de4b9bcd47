//! Multiply-accumulate layers, prepared once and run for every image.
//!
//! Three ways lead to the same words, those of [`crate::kernels::reference`]:
//!
//! - exact sums, where no product loses bits and the accumulator is proven not to overflow, by
//!   the weights or else by the data, or wraps;
//! - the ordered loop on 64-bit lanes, for exactly the blocks of output words that need it;
//! - the reference itself, where a site inside the loop rounds stochastically or 64 bits are not
//!   enough.

use crate::error::{Error, Result};
use crate::kernels::bounds::{Interval, intervals};
use crate::kernels::dot::InstructionSet;
use crate::kernels::elementwise::LARGEST_SHIFT;
use crate::kernels::lanes::{Buffers, Prepared};
use crate::kernels::patches::PaddedMap;
use crate::kernels::{AccumulationOrder, LayerDraws, Mac, MacSpec, SiteEvents, Style, reference};
use crate::numeric::{Format, Requantizer};
use crate::tensor::{ConvGeometry, Words};

/// A layer with its weights packed.
#[derive(Clone, Debug)]
pub struct MacKernel {
    spec: MacSpec,
    geometry: ConvGeometry,
    order: AccumulationOrder,
    weights: Words,
    bias: Option<(Format, Vec<i64>)>,
    requantizers: Vec<Requantizer>,
    reach: Interval,
    path: Path,
}

#[derive(Clone, Debug)]
enum Path {
    I16(Box<Prepared<i16>>),
    I32(Box<Prepared<i32>>),
    Reference,
}

/// Memory that a kernel works in, kept from image to image. Made by [`MacKernel::scratch`] for
/// that kernel alone.
#[derive(Clone, Debug)]
pub struct MacScratch(Memory);

#[derive(Clone, Debug)]
enum Memory {
    I16(Buffers<i16>),
    I32(Buffers<i32>),
    None,
}

impl MacKernel {
    /// Packs the weights and proves what can be proven, for the fastest instruction set of this
    /// processor.
    ///
    /// Refuses operands that do not fit the geometry, operands of more than 32 bits, binary points
    /// too far apart, and a product with more fractional bits than the accumulator.
    pub fn new(mac: Mac<'_>) -> Result<Self> {
        Self::with(InstructionSet::best(), mac)
    }

    /// The same for a given instruction set.
    pub fn with(simd: InstructionSet, mac: Mac<'_>) -> Result<Self> {
        check_spec(&mac.spec)?;
        let map = PaddedMap::new(&mac.geometry)?;
        check_operands(&mac)?;
        let channels = intervals(&mac);
        let zero = Interval { low: 0, high: 0 };
        let reach = channels.iter().fold(zero, |reach, &channel| reach.union(channel));
        let path = if let Some(prepared) = Prepared::new(simd, &mac, &map, &channels) {
            Path::I16(Box::new(prepared))
        } else if let Some(prepared) = Prepared::new(simd, &mac, &map, &channels) {
            Path::I32(Box::new(prepared))
        } else {
            Path::Reference
        };
        Ok(Self {
            spec: mac.spec,
            geometry: mac.geometry,
            order: mac.order.clone(),
            weights: mac.weights.clone(),
            bias: mac.bias.map(|(format, raw)| (format, raw.to_vec())),
            requantizers: mac.requantizers.to_vec(),
            reach,
            path,
        })
    }

    /// The sites.
    pub fn spec(&self) -> &MacSpec {
        &self.spec
    }

    /// The shapes.
    pub fn geometry(&self) -> &ConvGeometry {
        &self.geometry
    }

    /// What any accumulator of the layer can reach, whatever the activations.
    pub fn reach(&self) -> Interval {
        self.reach
    }

    /// Memory for [`run`](Self::run).
    pub fn scratch(&self) -> MacScratch {
        MacScratch(match &self.path {
            Path::I16(prepared) => Memory::I16(prepared.buffers()),
            Path::I32(prepared) => Memory::I32(prepared.buffers()),
            Path::Reference => Memory::None,
        })
    }

    /// Computes the output words of one image, channels-last, of the epilogue's format, from
    /// `input` words of the activation format; adds up what happened.
    ///
    /// # Panics
    ///
    /// If the words are not of the kernel's shapes, or `scratch` is another kernel's.
    pub fn run(
        &self,
        input: &Words,
        output: &mut Words,
        scratch: &mut MacScratch,
        draws: LayerDraws,
        events: &mut SiteEvents,
    ) {
        assert_eq!(input.len(), self.geometry.input.len(), "input words of the layer's shape");
        assert_eq!(output.len(), self.geometry.output.len(), "output words of the layer's shape");
        match (&self.path, &mut scratch.0) {
            (Path::I16(prepared), Memory::I16(buffers)) => {
                prepared.run(input, output, buffers, draws, events);
            }
            (Path::I32(prepared), Memory::I32(buffers)) => {
                prepared.run(input, output, buffers, draws, events);
            }
            _ => self.run_reference(input, output, draws, events),
        }
    }

    /// As [`run`](Self::run), by the plain loops that specify it.
    pub fn run_reference(
        &self,
        input: &Words,
        output: &mut Words,
        draws: LayerDraws,
        events: &mut SiteEvents,
    ) {
        reference::mac_layer(&self.mac(), input, output, draws, events);
    }

    /// The layer that was prepared.
    pub fn mac(&self) -> Mac<'_> {
        Mac {
            spec: self.spec,
            geometry: self.geometry,
            order: &self.order,
            weights: &self.weights,
            bias: self.bias.as_ref().map(|(format, raw)| (*format, &raw[..])),
            requantizers: &self.requantizers,
        }
    }
}

/// Checks that the sites fit together.
pub(crate) fn check_spec(spec: &MacSpec) -> Result<()> {
    let operands = [("weights", spec.weights), ("activations", spec.activations)];
    for (site, format) in operands {
        if format.bits() > 32 {
            return Err(Error::new(
                format_args!("{site} {format}"),
                "operands of a multiplier have 32 bits at most",
            ));
        }
    }
    let accumulator = spec.accumulator.to();
    if !accumulator.is_signed() && accumulator.bits() == Format::MAX_BITS {
        return Err(Error::new(
            format_args!("accumulator {accumulator}"),
            "an accumulator of 64 bits is signed",
        ));
    }
    if spec.adder_tree == 0 {
        return Err(Error::new("adder tree", "sums at least 1 product, not 0"));
    }
    let (term, grid) = (spec.term_frac(), accumulator.frac());
    if spec.style == Style::ProductCast && term > grid {
        let product = spec.product.to();
        return Err(Error::new(
            format_args!("product {product}"),
            format_args!("has {term} fractional bits, the accumulator {accumulator} has {grid}"),
        )
        .remedy(format_args!("drop the bits in the product: at most {grid} fractional bits")));
    }
    if (term - grid).abs() > LARGEST_SHIFT || (term - spec.product_frac()).abs() > Format::MAX_FRAC
    {
        return Err(Error::new(
            format_args!("accumulator {accumulator}"),
            format_args!(
                "its {grid} fractional bits are more than {} away from the {term} of what is added",
                LARGEST_SHIFT
            ),
        )
        .remedy("choose binary points that are closer together"));
    }
    Ok(())
}

/// Checks that the operands have the geometry's sizes.
fn check_operands(mac: &Mac<'_>) -> Result<()> {
    let Mac { spec, geometry, weights, bias, requantizers, .. } = mac;
    if !requantizers.is_empty() && requantizers.len() != geometry.output.channels {
        return Err(Error::new(
            format_args!("{} requantizers", requantizers.len()),
            format_args!("the layer has {} output channels", geometry.output.channels),
        ));
    }
    let expected = geometry.output.channels.checked_mul(geometry.reduction());
    if Some(weights.len()) != expected || weights.format() != spec.weights {
        return Err(Error::new(
            format_args!("{} weights {}", weights.len(), weights.format()),
            format_args!(
                "each output channel has {} weights {}",
                geometry.reduction(),
                spec.weights
            ),
        ));
    }
    match bias {
        Some((_, raw)) if raw.len() != geometry.output.channels => Err(Error::new(
            format_args!("{} bias words", raw.len()),
            format_args!("the layer has {} output channels", geometry.output.channels),
        )),
        _ => Ok(()),
    }
}
