use proptest::prelude::*;

use super::*;
use crate::kernels::{InstructionSet, Work};
use crate::mapping::OperandBits;
use crate::tensor::{Shape, Window};

#[derive(Clone, Debug)]
struct Case {
    lanes: Lanes,
    sizes: Sizes,
    activations: Vec<Bitmap>,
    weights: Vec<Bitmap>,
}

impl Case {
    fn zeros(skip: Skip) -> Zeros {
        let handling = |skip| if skip { ZeroHandling::Skip } else { ZeroHandling::None };
        Zeros { activations: handling(skip.activations), weights: handling(skip.weights) }
    }

    fn model(&self, skip: Skip) -> LanesModel {
        let Sizes { groups, pixels, channels, reduction } = self.sizes;
        let geometry = ConvGeometry {
            input: Shape::new(groups * reduction, pixels, 1),
            output: Shape::new(groups * channels, pixels, 1),
            window: Window::POINT,
            groups,
        };
        let bits = OperandBits { weights: 8, bias: 0, activations: 8, accumulator: 32, output: 8 };
        let problem = LayerProblem { geometry, bits };
        LanesModel::new(&problem, &self.lanes, Self::zeros(skip), &self.weights, 1)
            .expect("a short look-ahead")
    }

    fn reference(&self, skip: Skip) -> u64 {
        reference_cycles(&self.lanes, skip, &self.sizes, &self.activations, &self.weights)
    }
}

/// Cycles of one image, which every instruction set agrees on.
fn cycles(model: &LanesModel, activations: &[Bitmap], scratch: &mut LanesScratch) -> u64 {
    struct Counting<'a> {
        model: &'a LanesModel,
        activations: &'a [Bitmap],
        scratch: &'a mut LanesScratch,
        cycles: &'a mut Vec<u64>,
    }
    impl Work for Counting<'_> {
        fn run<S: Simd>(self, simd: S) {
            self.cycles.push(self.model.cycles(simd, self.activations, self.scratch));
        }
    }
    let mut cycles = Vec::new();
    for set in InstructionSet::available() {
        set.run(Counting { model, activations, scratch, cycles: &mut cycles });
    }
    assert!(cycles.iter().all(|&c| c == cycles[0]), "{cycles:?}");
    cycles[0]
}

const SKIPS: [Skip; 4] = [
    Skip { activations: false, weights: false },
    Skip { activations: true, weights: false },
    Skip { activations: false, weights: true },
    Skip { activations: true, weights: true },
];

fn bitmap(rows: usize, columns: usize) -> impl Strategy<Value = Bitmap> {
    (1_u32..8, proptest::collection::vec(0_u32..8, rows * columns)).prop_map(
        move |(density, draws)| {
            let mut map = Bitmap::zeros(rows, columns);
            for (index, draw) in draws.into_iter().enumerate() {
                if draw < density {
                    map.set(index / columns, index % columns);
                }
            }
            map
        },
    )
}

fn lanes() -> impl Strategy<Value = Lanes> {
    let sync = prop_oneof![
        Just(SyncGroup::Element),
        Just(SyncGroup::Row),
        Just(SyncGroup::Column),
        Just(SyncGroup::Array)
    ];
    let side = || prop_oneof![1_usize..6, Just(16), Just(18)];
    let chunk = prop_oneof![1_usize..=64, Just(16)];
    let sizes = (side(), side(), chunk, prop_oneof![1_usize..6, Just(1)]);
    let times = (0_u64..5, 0_u64..7, 1_usize..7, 0_u64..9);
    (sizes, times, sync).prop_map(
        |((rows, columns, chunk, macs_per_cycle), (empty, interval, lookahead, drain), sync)| {
            Lanes {
                rows,
                columns,
                chunk,
                macs_per_cycle,
                empty_chunk_cycles: empty,
                broadcast_interval: interval,
                lookahead,
                sync,
                drain,
            }
        },
    )
}

fn case() -> impl Strategy<Value = Case> {
    let sizes = (1_usize..3, 1_usize..40, 1_usize..40, 1_usize..140);
    (lanes(), sizes).prop_flat_map(|(lanes, (groups, pixels, channels, reduction))| {
        let maps = |rows| proptest::collection::vec(bitmap(rows, reduction), groups);
        (maps(pixels), maps(channels)).prop_map(move |(activations, weights)| Case {
            lanes: lanes.clone(),
            sizes: Sizes { groups, pixels, channels, reduction },
            activations,
            weights,
        })
    })
}

proptest! {
    #[test]
    fn the_fast_path_equals_the_reference(case in case()) {
        // The scratch is not fresh: state of an earlier layer must not matter.
        let mut scratch = LanesScratch::default();
        for skip in SKIPS {
            let cycles = cycles(&case.model(skip), &case.activations, &mut scratch);
            prop_assert_eq!(cycles, case.reference(skip), "{:?}", skip);
        }
    }

    #[test]
    fn long_chunks_fall_back_to_the_reference(case in case(), empty in 60_000_u64..70_000) {
        let case = Case { lanes: Lanes { empty_chunk_cycles: empty, ..case.lanes }, ..case };
        let mut scratch = LanesScratch::default();
        for skip in SKIPS {
            let cycles = cycles(&case.model(skip), &case.activations, &mut scratch);
            prop_assert_eq!(cycles, case.reference(skip), "{:?}", skip);
        }
    }

    #[test]
    fn skipping_never_takes_longer(case in case()) {
        let mut scratch = LanesScratch::default();
        for skip in SKIPS {
            let model = case.model(skip);
            prop_assert!(cycles(&model, &case.activations, &mut scratch) <= model.dense_cycles());
        }
    }

    #[test]
    fn one_element_takes_a_cycle_per_effectual_pair(case in case(), lookahead in 1_usize..5) {
        let lanes = Lanes {
            rows: 1, columns: 1, macs_per_cycle: 1, empty_chunk_cycles: 0, broadcast_interval: 0,
            drain: 0, lookahead, ..case.lanes
        };
        let case = Case { lanes, ..case };
        let mut expected = 0;
        for (activations, weights) in case.activations.iter().zip(&case.weights) {
            for pixel in 0..case.sizes.pixels {
                for k in 0..case.sizes.reduction {
                    let column = (0..case.sizes.channels).filter(|&n| weights.get(n, k)).count();
                    expected += if activations.get(pixel, k) { column as u64 } else { 0 };
                }
            }
        }
        let cycles = cycles(&case.model(SKIPS[3]), &case.activations, &mut LanesScratch::default());
        prop_assert_eq!(cycles, expected);
    }
}

/// Two rows of one element each, four chunks of four: row 0 has 4, 1, 1, 1 effectual pairs, row 1
/// has 1, 1, 1, 4.
fn two_rows(sync: SyncGroup, lookahead: usize, broadcast_interval: u64) -> u64 {
    let mut activations = Bitmap::zeros(2, 16);
    for (row, column) in [(0, 1), (0, 2), (0, 3), (1, 13), (1, 14), (1, 15)] {
        activations.set(row, column);
    }
    for (row, chunk) in [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3)] {
        activations.set(row, 4 * chunk);
    }
    let lanes = Lanes {
        rows: 2,
        columns: 1,
        chunk: 4,
        macs_per_cycle: 1,
        empty_chunk_cycles: 1,
        broadcast_interval,
        lookahead,
        sync,
        drain: 3,
    };
    let sizes = Sizes { groups: 1, pixels: 2, channels: 1, reduction: 16 };
    let case =
        Case { lanes, sizes, activations: vec![activations], weights: vec![Bitmap::zeros(1, 16)] };
    cycles(&case.model(SKIPS[1]), &case.activations, &mut LanesScratch::default())
}

#[test]
fn lookahead_evens_out_what_synchronization_costs() {
    // Apart, each row has 7 cycles of work.
    assert_eq!(two_rows(SyncGroup::Element, 1, 1), 7 + 3);
    // In lockstep each chunk takes the slower row's: 4 + 1 + 1 + 4.
    assert_eq!(two_rows(SyncGroup::Array, 1, 1), 10 + 3);
    // Chunks are sent at 0, 1, 4, 5 with one in reserve; row 1 takes the last at 5 until 9.
    assert_eq!(two_rows(SyncGroup::Array, 2, 1), 9 + 3);
    // At 0, 1, 2, 4 with two: until 8.
    assert_eq!(two_rows(SyncGroup::Array, 3, 1), 8 + 3);
    // A broadcast every 5 cycles: the last is sent at 15, until 19.
    assert_eq!(two_rows(SyncGroup::Array, 1, 5), 19 + 3);
}

#[test]
fn a_look_ahead_beyond_memory_is_refused() {
    let lanes = Lanes {
        rows: 1 << 10,
        columns: 1 << 10,
        chunk: 1,
        macs_per_cycle: 1,
        empty_chunk_cycles: 1,
        broadcast_interval: 1,
        lookahead: 1 << 20,
        sync: SyncGroup::Element,
        drain: 0,
    };
    let sizes = Sizes { groups: 1, pixels: 1 << 12, channels: 1 << 12, reduction: 64 };
    let error = check_lookahead(&lanes, &sizes).expect_err("1024 chunks for 2^20 groups");
    assert_eq!(error.subject(), "array.lookahead");
    check_lookahead(&Lanes { lookahead: 16, ..lanes }, &sizes).expect("2^24 times");
}
