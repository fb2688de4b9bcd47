//! Multiply-accumulate layers, prepared once and run for every image.
//!
//! Three ways lead to the same words, those of [`crate::kernels::reference`]:
//!
//! - exact sums in tiles of pixels × channels, where the weights prove that the accumulator never
//!   overflows: of 32 bits where they are enough, the path of nearly every layer, else of 64;
//! - exact sums, where no product loses bits and the accumulator is proven not to overflow, by
//!   the weights or else by the data, or wraps;
//! - the ordered loop on lanes, for exactly the blocks of output words that need it;
//! - the reference itself, where a site inside the loop rounds stochastically or 64 bits are not
//!   enough.

use crate::error::{Error, Result};
use crate::kernels::bounds::{Interval, intervals};
use crate::kernels::dot::InstructionSet;
use crate::kernels::elementwise::LARGEST_SHIFT;
use crate::kernels::lanes::{Buffers, Prepared};
use crate::kernels::patches::PaddedMap;
use crate::kernels::proven::{Direct, Proven, Wide};
use crate::kernels::{AccumulationOrder, LayerDraws, Mac, MacSpec, SiteEvents, Style, reference};
use crate::numeric::{Format, Requantizer};
use crate::tensor::{ConvGeometry, Word, Words, with_words};

/// A layer with its weights packed.
#[derive(Clone, Debug)]
pub struct MacKernel {
    spec: MacSpec,
    geometry: ConvGeometry,
    order: AccumulationOrder,
    range: [i64; 2],
    weights: Words,
    bias: Option<(Format, Vec<i64>)>,
    requantizers: Vec<Requantizer>,
    reach: Interval,
    path: Path,
}

#[derive(Clone, Debug)]
enum Path {
    Bytes(Box<Proven<Direct<u8>>>),
    Halves(Box<Proven<Direct<i16>>>),
    WideBytes(Box<Proven<Wide<u8>>>),
    WideHalves(Box<Proven<Wide<i16>>>),
    I16(Box<Prepared<i16>>),
    I32(Box<Prepared<i32>>),
    Reference,
}

/// Memory that a kernel works in, kept from image to image. Made by [`MacKernel::scratch`] for
/// that kernel alone.
#[derive(Clone, Debug)]
pub struct MacScratch {
    memory: Memory,
    threads: usize,
}

#[derive(Clone, Debug)]
enum Memory {
    Bytes(Vec<u8>),
    Halves(Vec<i16>),
    WideBytes((Vec<i16>, Vec<u8>)),
    WideHalves((Vec<i16>, Vec<i16>)),
    I16(Buffers<i16>),
    I32(Buffers<i32>),
    None,
}

impl MacScratch {
    /// The same for an image that may take up to `threads` threads of the pool. Words and events do
    /// not depend on it.
    pub fn on(self, threads: usize) -> Self {
        Self { threads, ..self }
    }
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
        let path = Path::new(simd, &mac, &map, &channels);
        Ok(Self {
            spec: mac.spec,
            geometry: mac.geometry,
            range: mac.range,
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
        let memory = match &self.path {
            Path::Bytes(_) => Memory::Bytes(Vec::new()),
            Path::Halves(_) => Memory::Halves(Vec::new()),
            Path::WideBytes(_) => Memory::WideBytes(Default::default()),
            Path::WideHalves(_) => Memory::WideHalves(Default::default()),
            Path::I16(prepared) => Memory::I16(prepared.buffers()),
            Path::I32(prepared) => Memory::I32(prepared.buffers()),
            Path::Reference => Memory::None,
        };
        MacScratch { memory, threads: 1 }
    }

    /// Computes the output words of one image, channels-last, of the epilogue's format, from
    /// `input` words of the activation format; adds up what happened. Words beyond the range that
    /// the kernel was made for take the plain loops.
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
        if self.range != self.spec.all_activations() && !within(input, self.range) {
            return self.run_reference(input, output, draws, events);
        }
        let threads = scratch.threads;
        match (&self.path, &mut scratch.memory) {
            (Path::Bytes(proven), Memory::Bytes(map)) => {
                proven.run(input, output, map, (threads, draws), events);
            }
            (Path::Halves(proven), Memory::Halves(map)) => {
                proven.run(input, output, map, (threads, draws), events);
            }
            (Path::WideBytes(proven), Memory::WideBytes(maps)) => {
                proven.run(input, output, maps, (threads, draws), events);
            }
            (Path::WideHalves(proven), Memory::WideHalves(maps)) => {
                proven.run(input, output, maps, (threads, draws), events);
            }
            (Path::I16(prepared), Memory::I16(buffers)) => {
                prepared.run(input, output, buffers, (threads, draws), events);
            }
            (Path::I32(prepared), Memory::I32(buffers)) => {
                prepared.run(input, output, buffers, (threads, draws), events);
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
            range: self.range,
            geometry: self.geometry,
            order: &self.order,
            weights: &self.weights,
            bias: self.bias.as_ref().map(|(format, raw)| (*format, &raw[..])),
            requantizers: &self.requantizers,
        }
    }
}

impl Path {
    /// The fastest that holds; `reach` are the intervals of the output channels.
    fn new(simd: InstructionSet, mac: &Mac<'_>, map: &PaddedMap, reach: &[Interval]) -> Self {
        if simd.has_bytes()
            && let Some(proven) = Proven::new(simd, mac, map, reach)
        {
            Self::Bytes(Box::new(proven))
        } else if let Some(proven) = Proven::new(simd, mac, map, reach) {
            Self::Halves(Box::new(proven))
        } else if simd.has_bytes()
            && let Some(proven) = Proven::new(simd, mac, map, reach)
        {
            Self::WideBytes(Box::new(proven))
        } else if let Some(proven) = Proven::new(simd, mac, map, reach) {
            Self::WideHalves(Box::new(proven))
        } else if let Some(prepared) = Prepared::new(simd, mac, map, reach) {
            Self::I16(Box::new(prepared))
        } else if let Some(prepared) = Prepared::new(simd, mac, map, reach) {
            Self::I32(Box::new(prepared))
        } else {
            Self::Reference
        }
    }
}

/// Whether all words lie in `range`.
fn within(words: &Words, [low, high]: [i64; 2]) -> bool {
    with_words!(words.buffer(), words => {
        let first = words.first().copied().unwrap_or_default();
        let (mut least, mut most) = (first, first);
        for &word in words {
            (least, most) = (least.min(word), most.max(word));
        }
        low <= least.raw() && most.raw() <= high
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Epilogue;
    use crate::kernels::testing::s;
    use crate::numeric::{Cast, Overflow, Rounding};
    use crate::tensor::{Shape, Window};

    /// Two products of a signed byte, 2 · 128 · 128 = 2^15, take 17 bits; of two words of 16 bits,
    /// 2 · 2^30 = 2^31, they take 33.
    #[test]
    fn what_is_proven_takes_the_tiles() {
        let path = |weights: u32, activations: u32, accumulator: u32| {
            let cast = Cast::new(s(accumulator, 0), Rounding::Floor, Overflow::Saturate);
            let cast = cast.expect("a valid cast");
            let output = Cast::new(s(16, 0), Rounding::Floor, Overflow::Saturate);
            let output = output.expect("a valid cast");
            let spec = MacSpec {
                style: Style::Fused,
                adder_tree: 1,
                weights: s(weights, 0),
                activations: s(activations, 0),
                product: cast,
                accumulator: cast,
                epilogue: Epilogue::cast(output),
            };
            let (input, output) = (Shape::vector(2), Shape::vector(1));
            let geometry = ConvGeometry { input, output, window: Window::POINT, groups: 1 };
            let weights = Words::from_raw(spec.weights, [spec.weights.min() as i64; 2].into_iter());
            let order = &AccumulationOrder::default();
            let (weights, bias, requantizers) = (&weights, None, &[][..]);
            let range = spec.all_activations();
            let mac = Mac { spec, range, geometry, order, weights, bias, requantizers };
            let kernels = InstructionSet::available().into_iter().map(move |set| {
                let kernel = MacKernel::with(set, mac).expect("a valid layer");
                match kernel.path {
                    Path::Bytes(_) => 8,
                    Path::Halves(_) => 16,
                    Path::WideBytes(_) | Path::WideHalves(_) => 24,
                    _ => 0,
                }
            });
            kernels.collect::<Vec<u32>>()
        };
        let bytes =
            InstructionSet::available().into_iter().map(|set| 8 << u32::from(!set.has_bytes()));
        assert_eq!(path(8, 8, 17), bytes.collect::<Vec<u32>>());
        assert!(path(8, 9, 18).iter().all(|&bits| bits == 16));
        assert!(path(8, 8, 16).iter().all(|&bits| bits == 0));
        assert!(path(16, 16, 33).iter().all(|&bits| bits == 24));
        assert!(path(16, 16, 32).iter().all(|&bits| bits == 0));
    }

    /// Words of −5..=250 are offset to u8; others of the same nine bits still count.
    #[test]
    fn words_beyond_the_range_take_the_plain_loops() {
        let cast = Cast::new(s(20, 0), Rounding::Floor, Overflow::Saturate).expect("a valid cast");
        let spec = MacSpec {
            style: Style::Fused,
            adder_tree: 1,
            weights: s(8, 0),
            activations: s(9, 0),
            product: cast,
            accumulator: cast,
            epilogue: Epilogue::cast(cast),
        };
        let (input, output) = (Shape::vector(2), Shape::vector(1));
        let geometry = ConvGeometry { input, output, window: Window::POINT, groups: 1 };
        let weights = Words::from_raw(spec.weights, [3, -7].into_iter());
        let order = &AccumulationOrder::default();
        let (weights, bias, requantizers) = (&weights, None, &[][..]);
        let range = [-5, 250];
        let mac = Mac { spec, range, geometry, order, weights, bias, requantizers };
        for set in InstructionSet::available() {
            let kernel = MacKernel::with(set, mac).expect("a valid layer");
            assert_eq!(matches!(kernel.path, Path::Bytes(_)), set.has_bytes());
            for [a, b] in [[-5, 250], [-6, 251], [-256, 255]] {
                let input = Words::from_raw(spec.activations, [a, b].into_iter());
                let mut words = Words::zeros(spec.epilogue.cast.to(), 1);
                let (mut scratch, mut events) = (kernel.scratch(), SiteEvents::default());
                let draws = LayerDraws::new(0, 0, 0);
                kernel.run(&input, &mut words, &mut scratch, draws, &mut events);
                assert_eq!(words.get(0), 3 * a - 7 * b);
            }
        }
    }
}
