//! The operands of output pixels: where they lie in a feature map, and which of them are zero.

mod gather;
mod map;
mod spread;

use gather::Gather;
pub(crate) use map::PaddedMap;
use spread::{Spread, SpreadScratch};

use crate::error::Result;
use crate::kernels::dot::{Simd, Work};
use crate::kernels::{AccumulationOrder, InstructionSet};
use crate::tensor::{Bitmap, ConvGeometry, Words};

/// The operands of a layer in accumulation order, as nonzero bits: per group a matrix
/// M pixels × K for the activations and N output channels × K for the weights.
#[derive(Clone, Debug)]
pub struct Patches {
    geometry: ConvGeometry,
    order: Vec<u32>,
    way: Way,
}

/// How bitmaps are put together.
#[derive(Clone, Debug)]
enum Way {
    Spread(Spread),
    Gather(Gather),
}

/// Memory that [`Patches`] works in, kept from image to image.
#[derive(Clone, Debug)]
pub struct PatchScratch(Memory);

#[derive(Clone, Debug)]
enum Memory {
    Spread(SpreadScratch),
    Gather(Vec<u8>),
}

impl Patches {
    /// The operands of a layer of `geometry` whose products are accumulated in `order`.
    pub fn new(geometry: &ConvGeometry, order: &AccumulationOrder) -> Result<Self> {
        let map = PaddedMap::new(geometry)?;
        let [kh, kw] = geometry.window.kernel;
        let order = order.reduction(geometry.group_inputs(), kh, kw);
        let way = match Spread::new(geometry, &order) {
            Some(spread) => Way::Spread(spread),
            None => Way::Gather(Gather::new(geometry, map, &order)),
        };
        Ok(Self { geometry: *geometry, order, way })
    }

    /// The canonical reduction index of each accumulation step.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Memory for [`activation_bitmaps`](Self::activation_bitmaps).
    pub fn scratch(&self) -> PatchScratch {
        PatchScratch(match &self.way {
            Way::Spread(spread) => Memory::Spread(spread.scratch()),
            Way::Gather(gather) => Memory::Gather(gather.scratch()),
        })
    }

    /// Empty bitmaps for [`activation_bitmaps`](Self::activation_bitmaps), one per group.
    pub fn empty_bitmaps(&self) -> Vec<Bitmap> {
        vec![Bitmap::zeros(self.geometry.pixels(), self.geometry.reduction()); self.geometry.groups]
    }

    /// Marks the nonzero activations of `input` (channels-last): bit k of row m of group g is the
    /// operand of pixel m in accumulation step k. Padding is zero.
    pub fn activation_bitmaps(
        &self,
        input: &Words,
        scratch: &mut PatchScratch,
        bitmaps: &mut [Bitmap],
    ) {
        self.activation_bitmaps_with(InstructionSet::best(), input, scratch, bitmaps);
    }

    /// The same with a given instruction set.
    pub fn activation_bitmaps_with(
        &self,
        simd: InstructionSet,
        input: &Words,
        scratch: &mut PatchScratch,
        bitmaps: &mut [Bitmap],
    ) {
        simd.run(Image { way: &self.way, input, memory: &mut scratch.0, bitmaps });
    }

    /// Marks the nonzero weights: bit k of row n of group g is the weight of the group's output
    /// channel n in accumulation step k.
    pub fn weight_bitmaps(&self, weights: &Words) -> Vec<Bitmap> {
        let (n, k) = (self.geometry.group_outputs(), self.geometry.reduction());
        let mut bitmaps = vec![Bitmap::zeros(n, k); self.geometry.groups];
        for channel in 0..self.geometry.output.channels {
            for (step, &canonical) in self.order.iter().enumerate() {
                if weights.get(channel * k + canonical as usize) != 0 {
                    bitmaps[channel / n].set(channel % n, step);
                }
            }
        }
        bitmaps
    }
}

/// One image, as work to be compiled per instruction set.
struct Image<'a> {
    way: &'a Way,
    input: &'a Words,
    memory: &'a mut Memory,
    bitmaps: &'a mut [Bitmap],
}

impl Work for Image<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match (self.way, self.memory) {
            (Way::Spread(spread), Memory::Spread(memory)) => {
                spread.run(simd, self.input, memory, self.bitmaps);
            }
            (Way::Gather(gather), Memory::Gather(memory)) => {
                gather.run(simd, self.input, memory, self.bitmaps);
            }
            _ => unreachable!("the memory of other patches"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::reference::operands;
    use crate::kernels::testing::{geometries, orders, s, words};
    use crate::tensor::{Shape, Window};

    /// Layers whose rows of pixels fill several vectors and whose reductions fill several blocks.
    fn wide_geometries() -> impl Strategy<Value = ConvGeometry> {
        let channels = prop_oneof![(Just(1_usize), 1_usize..=70), (1_usize..=12, Just(1))];
        let window = (1_usize..=5, 1_usize..=3, 0_usize..=2, 1_usize..=2);
        (channels, window, 9_usize..=40).prop_map(
            |((groups, inputs), (kernel, stride, padding, dilation), width)| {
                let window = Window {
                    kernel: [1 + kernel / 2, kernel],
                    stride: [1 + stride / 2, stride],
                    padding: [padding, 1, 0, padding],
                    dilation: [1, dilation],
                };
                let input = Shape::new(groups * inputs, 5, width);
                let [rows, columns] = window.output(input).expect("a wide map");
                let output = Shape::new(groups, rows, columns);
                ConvGeometry { input, output, window, groups }
            },
        )
    }

    fn layers(
        geometries: impl Strategy<Value = ConvGeometry>,
    ) -> impl Strategy<Value = (ConvGeometry, AccumulationOrder, Words, Words)> {
        (geometries, orders()).prop_flat_map(|(g, o)| {
            (Just(g), Just(o), words(s(4, 0), g.weights()), words(s(4, 0), g.input.len()))
        })
    }

    /// Bit by bit against the operands of the plain loop, whatever the instruction set.
    fn check((geometry, order, weights, input): (ConvGeometry, AccumulationOrder, Words, Words)) {
        let patches = Patches::new(&geometry, &order).expect("a consistent geometry");
        let weight_maps = patches.weight_bitmaps(&weights);
        for set in InstructionSet::available() {
            let (mut scratch, mut maps) = (patches.scratch(), patches.empty_bitmaps());
            // Whatever an earlier image left must not show.
            let full = Words::from_raw(s(4, 0), (0..input.len()).map(|_| 1));
            patches.activation_bitmaps_with(set, &full, &mut scratch, &mut maps);
            patches.activation_bitmaps_with(set, &input, &mut scratch, &mut maps);
            for channel in 0..geometry.output.channels {
                let group = channel / geometry.group_outputs();
                for pixel in 0..geometry.pixels() {
                    let pairs = operands(&geometry, &weights, &input, pixel, channel);
                    for (step, &k) in patches.order().iter().enumerate() {
                        let (weight, activation) = pairs[k as usize];
                        let row = channel % geometry.group_outputs();
                        assert_eq!(maps[group].get(pixel, step), activation != 0);
                        assert_eq!(weight_maps[group].get(row, step), weight != 0);
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn bitmaps_mark_the_operands_of_the_loop(layer in layers(geometries())) {
            check(layer);
        }

        #[test]
        fn bitmaps_of_wide_maps_do_as_well(layer in layers(wide_geometries())) {
            check(layer);
        }
    }

    #[test]
    fn shapes_that_do_not_follow_are_refused() {
        let good = ConvGeometry {
            input: Shape::new(2, 4, 4),
            output: Shape::new(4, 4, 4),
            window: Window::POINT,
            groups: 2,
        };
        let refused = |geometry: ConvGeometry| {
            Patches::new(&geometry, &AccumulationOrder::default()).is_err()
        };
        assert!(!refused(good));
        assert!(refused(ConvGeometry { groups: 0, ..good }));
        assert!(refused(ConvGeometry { groups: 4, ..good }));
        assert!(refused(ConvGeometry { output: Shape::new(4, 3, 4), ..good }));
        assert!(refused(ConvGeometry { input: Shape::new(0, 4, 4), ..good }));
        let window = Window { kernel: [0, 1], ..Window::POINT };
        assert!(refused(ConvGeometry { window, ..good }));
        let window = Window { padding: [usize::MAX, 0, 0, 1], ..Window::POINT };
        assert!(refused(ConvGeometry { window, ..good }));
        let window = Window { padding: [1 << 20, 1 << 20, 0, 0], ..Window::POINT };
        assert!(refused(ConvGeometry { window, ..good }));
    }
}
