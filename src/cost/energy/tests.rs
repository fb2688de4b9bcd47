//! Energies by hand, and the laws that any counts obey.

use proptest::prelude::*;

use super::*;
use crate::cost::metrics;
use crate::hardware::Entry;
use crate::mapping::LayerProblem;
use crate::simulate::arrays::LanesScratch;
use crate::simulate::{Accesses, Cycles, LayerModel, Macs};
use crate::tensor::{Bitmap, ConvGeometry, Shape, Window};

const BITS: OperandBits =
    OperandBits { weights: 8, bias: 16, activations: 4, accumulator: 20, output: 8 };

fn hardware(name: &str) -> Hardware {
    Hardware::open(name).unwrap()
}

fn close(found: f64, expected: f64) {
    let scale = expected.abs().max(1e-300);
    assert!((found - expected).abs() <= 1e-9 * scale, "{found} found, {expected} expected");
}

#[test]
fn every_component_is_a_count_times_an_entry() {
    let mut hardware = hardware("lanes_act_16x16");
    hardware.energy.leakage = Some(Entry { value: 0.002, source: "test".into() });
    let counts = LayerCounts {
        cycles: Cycles { compute: 900, stall: 100, dense_compute: 5000, dense_stall: 0 },
        macs: Macs { total: 160, effectual: 50, gated: 100, skipped: 10 },
        memory: smallvec::smallvec![
            Accesses { read_bits: [100, 200, 0], write_bits: [0, 0, 20] },
            Accesses { read_bits: [64, 0, 36], write_bits: [50, 0, 50] },
            Accesses { read_bits: [0, 1000, 0], write_bits: [0, 200, 0] },
        ],
        register_bits: 3000,
        metadata_bits: 40,
        vector_operations: 7,
        ..LayerCounts::default()
    };
    let energy = energy(&counts, &BITS, &hardware);

    // A gated multiply-accumulate leaves 3 %: 50 + 3 active ones.
    // 0.002995 · 8 · 4 + 0.00104 · 6 = 0.09584 + 0.00624 = 0.10208 pJ; 0.003125 · 20 = 0.0625 pJ.
    // A bank of 128 KB / 8 = 16 KB lies halfway between the points 8 KB and 32 KB on the
    // logarithmic axis: the geometric mean of their energies, 6.1 and 17 (7.9 and 15.4) pJ a 64 bit.
    let read_pj = f64::sqrt(6.1 * 17.0) / 64.0;
    let write_pj = f64::sqrt(7.9 * 15.4) / 64.0;
    let expected = [
        ("adder", 53.0 * 0.0625),
        ("dram", 320.0 * 1300.0 / 64.0),
        ("global_buffer", 100.0 * read_pj + 100.0 * write_pj),
        // 2 mW for 1000 cycles of 2 ns: 4 nJ.
        ("leakage", 4000.0),
        ("metadata", 40.0 * read_pj),
        ("multiplier", 53.0 * 0.10208),
        ("register", 27.0),
        ("vector", 0.35),
        ("weight_buffer", 1000.0 * read_pj + 200.0 * write_pj),
    ];
    assert_eq!(energy.components().len(), expected.len());
    for ((found_name, found), (name, pj)) in energy.components().iter().zip(expected) {
        assert_eq!(found_name, name);
        close(*found, pj);
    }
    close(energy.total_pj(), expected.iter().map(|(_, pj)| pj).sum());
}

#[test]
fn multipliers_match_the_publications() {
    let pj = |name, w, a| hardware_with(name).energy.multiplier.value.pj(w, a);
    // Horowitz: 0.2 pJ at 8 bit, 3.1 pJ at 32 bit, both within the 0.1 % of the rounded fit.
    assert!((pj("horowitz_45nm", 8, 8) / 0.2 - 1.0).abs() < 1e-3);
    assert!((pj("horowitz_45nm", 32, 32) / 3.1 - 1.0).abs() < 1e-3);
    close(pj("aladdin_40nm", 32, 32), 12.68);
    close(pj("aladdin_40nm", 16, 8), 12.68 / 8.0);
    for (bits, expected) in [(2, 0.058), (4, 0.120), (8, 0.298), (16, 0.947)] {
        close(pj("bitfusion_45nm", bits, bits), expected);
    }
    // 16 × 4 bit has the partial products of 8 × 8 bit.
    close(pj("bitfusion_45nm", 16, 4), 0.298);
    assert_eq!(pj("bitfusion_45nm", 0, 8), 0.0);
}

/// The default model with another energy table.
fn hardware_with(table: &str) -> Hardware {
    let text = include_str!("../../../hw_models/lanes_act_16x16.toml");
    let text = text.replace("horowitz_45nm", table);
    Hardware::parse(table, &text, std::path::Path::new("")).unwrap()
}

#[test]
fn a_level_with_its_own_entry_uses_it() {
    let mut hardware = hardware("lanes_act_16x16");
    let own = ReadWrite { read_pj_per_bit: 0.5, write_pj_per_bit: 0.75 };
    let entry = Entry { value: own, source: "test".into() };
    hardware.energy.memory.insert("weight_buffer".into(), entry);
    let [_, global, weight] = hardware.memory.as_slice() else { panic!() };
    assert_eq!(level_energy(&hardware, weight), own);
    assert_ne!(level_energy(&hardware, global), own);
}

/// The second convolution of LeNet-5, 5×5 over 6×14×14 to 16×10×10, without any zero word.
#[test]
fn shipped_models_run_a_layer_at_the_energy_of_its_shapes() {
    let window = Window { kernel: [5, 5], ..Window::POINT };
    let (input, output) = (Shape::new(6, 14, 14), Shape::new(16, 10, 10));
    let geometry = ConvGeometry { input, output, window, groups: 1 };
    let full = |rows: usize| {
        let mut bitmap = Bitmap::zeros(rows, 150);
        (0..rows * 150).for_each(|i| bitmap.set(i / 150, i % 150));
        [bitmap]
    };
    for hardware in Hardware::shipped().unwrap() {
        let accumulator = hardware.datapath.bits.accumulator;
        let bits = OperandBits { weights: 8, bias: 16, activations: 8, accumulator, output: 8 };
        let problem = LayerProblem { geometry, bits };
        let layer = LayerModel::new("conv2", &problem, &hardware, &full(16)).unwrap();
        let counts = layer.count(&full(100), 6 * 14 * 14, &mut LanesScratch::default());
        let energy = energy(&counts, &bits, &hardware);

        // 100 pixels × 150 products × 16 channels.
        let table = &hardware.energy;
        close(energy.components()["multiplier"], 240_000.0 * table.multiplier.value.pj(8, 8));
        // All words once: 1176 + 2400 + 16 biases of 16 bit + 1600.
        let compulsory_bits = f64::from(8 * (1176 + 2400 + 1600) + 16 * 16);
        let dram_pj = compulsory_bits * table.dram.value.read_pj_per_bit;
        assert!(energy.components()["dram"] >= dram_pj * (1.0 - 1e-12), "{}", hardware.name);
        let speed = metrics(&counts, &energy, 1, &hardware);
        assert!((0.0..=1.0).contains(&speed.utilization) && speed.utilization > 0.1);
    }
}

fn counts() -> impl Strategy<Value = LayerCounts> {
    let figures = proptest::collection::vec(0u64..1 << 40, 14);
    figures.prop_map(|f| LayerCounts {
        cycles: Cycles { compute: f[0], stall: f[1], ..Cycles::default() },
        macs: Macs { total: f[2] + f[3] + f[4], effectual: f[2], gated: f[3], skipped: f[4] },
        memory: smallvec::smallvec![
            Accesses { read_bits: [f[5], f[6], 0], write_bits: [0, 0, f[7]] },
            Accesses { read_bits: [f[8], 0, f[9]], write_bits: [f[10], 0, f[9]] },
            Accesses { read_bits: [0, f[6], 0], write_bits: [0, f[7], 0] },
        ],
        register_bits: f[11],
        metadata_bits: f[12],
        vector_operations: f[13],
        ..LayerCounts::default()
    })
}

fn bits() -> impl Strategy<Value = OperandBits> {
    (1u32..=32, 1u32..=32, 1u32..=64).prop_map(|(weights, activations, accumulator)| OperandBits {
        weights,
        bias: accumulator,
        activations,
        accumulator,
        output: activations,
    })
}

fn tables() -> impl Strategy<Value = Hardware> {
    let names = ["horowitz_45nm", "bitfusion_45nm", "aladdin_40nm", "fpga_uncalibrated"];
    proptest::sample::select(names.map(hardware_with).to_vec())
}

proptest! {
    #[test]
    fn energy_of_a_sum_is_the_sum_of_energies(
        a in counts(), b in counts(), bits in bits(), hardware in tables(),
    ) {
        let mut both = a.clone();
        both += &b;
        let mut sum = energy(&a, &bits, &hardware);
        sum += &energy(&b, &bits, &hardware);
        let whole = energy(&both, &bits, &hardware);
        prop_assert_eq!(whole.components().len(), sum.components().len());
        for (component, pj) in whole.components() {
            close(sum.components()[component], *pj);
        }
        close(sum.total_pj(), whole.total_pj());
    }

    #[test]
    fn no_energy_is_negative_and_wider_words_never_take_less(
        counts in counts(), bits in bits(), grow in (0u32..4, 0u32..4, 0u32..4), hardware in tables(),
    ) {
        let wider = OperandBits {
            weights: bits.weights + grow.0,
            activations: bits.activations + grow.1,
            accumulator: bits.accumulator + grow.2,
            ..bits
        };
        let narrow = energy(&counts, &bits, &hardware);
        let wide = energy(&counts, &wider, &hardware);
        for (component, pj) in narrow.components() {
            prop_assert!(*pj >= 0.0 && pj.is_finite());
            prop_assert!(wide.components()[component] >= *pj * (1.0 - 1e-12), "{}", component);
        }
    }
}
