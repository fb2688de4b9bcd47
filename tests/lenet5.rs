//! LeNet-5 on MNIST through the binary: figures that follow by hand, invariants of a run, and the
//! contract's JSON keys.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn bittrue(folder: &Path, arguments: &[&str]) -> Value {
    let json = folder.join("report.json");
    let output = Command::new(env!("CARGO_BIN_EXE_bittrue"))
        .arg("run")
        .args(arguments)
        .args(["--quiet", "--json"])
        .arg(&json)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap()
}

fn number(value: &Value, path: &str) -> f64 {
    let found = path.split('.').fold(value, |v, key| &v[key]);
    found.as_f64().unwrap_or_else(|| panic!("{path} is {found}"))
}

fn layer<'a>(report: &'a Value, name: &str) -> &'a Value {
    let layers = report["layers"].as_array().unwrap();
    layers.iter().find(|l| l["name"] == name).unwrap_or_else(|| panic!("no layer {name}"))
}

/// A multiply-accumulate layer of the 1998 layout: output pixels M, reduction K, channels N, and
/// the sizes of its maps.
struct Mac {
    name: &'static str,
    m: u64,
    k: u64,
    n: u64,
    ifmap: u64,
    ofmap: u64,
}

const fn mac(name: &'static str, m: u64, k: u64, n: u64, ifmap: u64) -> Mac {
    Mac { name, m, k, n, ifmap, ofmap: m * n }
}

/// 28×28 padded by 2, 5×5 kernels, 2×2 pooling.
const LAYERS: [Mac; 5] = [
    mac("conv1", 28 * 28, 25, 6, 28 * 28),
    mac("conv2", 10 * 10, 6 * 25, 16, 6 * 14 * 14),
    mac("fc1", 1, 16 * 5 * 5, 120, 400),
    mac("fc2", 1, 120, 84, 120),
    mac("fc3", 1, 84, 10, 84),
];

#[test]
fn dense_macs_follow_from_the_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let report = bittrue(folder.path(), &["lenet5", "--images", "3"]);
    for l in &LAYERS {
        assert_eq!(number(layer(&report, l.name), "macs.total"), (l.m * l.k * l.n) as f64);
    }
    assert_eq!(number(&report, "network.macs"), 416_520.0);
    assert_eq!(number(&report, "totals.macs.total"), 416_520.0);
    // Weights and biases: 6·25+6, 16·150+16, 120·400+120, 84·120+84, 10·84+10.
    assert_eq!(number(&report, "network.parameters"), 61_706.0);
}

/// Everything of LeNet-5 fits the buffers, so DRAM sees each word once: 8-bit activations and
/// weights, 32-bit biases.
#[test]
fn dram_traffic_is_compulsory() {
    let folder = tempfile::tempdir().unwrap();
    let report = bittrue(folder.path(), &["lenet5", "--images", "3"]);
    for l in &LAYERS {
        let traffic = &layer(&report, l.name)["traffic_bytes"]["dram"];
        assert_eq!(number(traffic, "read"), (l.ifmap + l.k * l.n + 4 * l.n) as f64, "{}", l.name);
        assert_eq!(number(traffic, "write"), l.ofmap as f64, "{}", l.name);
    }
    let pool = &layer(&report, "pool1")["traffic_bytes"]["dram"];
    assert_eq!((number(pool, "read"), number(pool, "write")), (6.0 * 784.0, 6.0 * 196.0));
}

/// Fold formulas of SCALE-Sim 3.0.0 on 16×16.
#[test]
fn systolic_cycles_follow_from_the_fold_formulas() {
    let folder = tempfile::tempdir().unwrap();
    let folds = |size: u64| size.div_ceil(16);
    let weight_stationary = |l: &Mac| folds(l.k) * folds(l.n) * (2 * 16 + 16 + l.m - 2);
    let output_stationary = |l: &Mac| folds(l.m) * folds(l.n) * (16 + 16 + l.k - 2);
    for hardware in ["systolic_ws_16x16", "systolic_os_16x16"] {
        let cycles = |l: &Mac| match hardware {
            "systolic_ws_16x16" => weight_stationary(l),
            _ => output_stationary(l),
        };
        let report = bittrue(folder.path(), &["lenet5", "--images", "2", "--hw", hardware]);
        for l in &LAYERS {
            let figures = layer(&report, l.name);
            assert_eq!(
                number(figures, "compute_cycles"),
                cycles(l) as f64,
                "{hardware} {}",
                l.name
            );
            let sum = number(figures, "compute_cycles") + number(figures, "stall_cycles");
            assert_eq!(number(figures, "cycles"), sum);
        }
    }
}

#[test]
fn quantized_accuracy_is_near_float_on_all_digits() {
    let folder = tempfile::tempdir().unwrap();
    let report = bittrue(folder.path(), &["lenet5"]);
    assert_eq!(number(&report, "dataset.images"), 10_000.0);
    let (float, quantized) =
        (number(&report, "accuracy.float.top1"), number(&report, "accuracy.quantized.top1"));
    assert!(float >= 0.989, "float {float}");
    assert!((float - quantized).abs() <= 0.003, "float {float}, quantized {quantized}");
    let (cycles, dense) =
        (number(&report, "totals.cycles"), number(&report, "totals.dense_cycles"));
    assert!(cycles < dense, "{cycles} of {dense}");
    assert!((number(&report, "totals.cycles_saved") - (1.0 - cycles / dense)).abs() < 1e-12);
}

#[test]
fn a_narrow_accumulator_loses_accuracy_and_the_report_shows_where() {
    let folder = tempfile::tempdir().unwrap();
    let wide = bittrue(folder.path(), &["lenet5", "--images", "1000"]);
    let narrow = bittrue(folder.path(), &["lenet5", "--images", "1000", "--plan", "acc12"]);
    let top1 = |report| number(report, "accuracy.quantized.top1");
    assert!(top1(&narrow) < top1(&wide) - 0.05, "{} against {}", top1(&narrow), top1(&wide));
    let saturated = |report: &Value| -> f64 {
        let layers = report["layers"].as_array().unwrap();
        layers.iter().map(|l| number(l, "overflow.sites.accumulator.saturated")).sum()
    };
    assert_eq!(saturated(&wide), 0.0);
    assert!(saturated(&narrow) > 0.0);
    for l in narrow["layers"].as_array().unwrap() {
        if number(l, "overflow.sites.accumulator.saturated") > 0.0 {
            assert!(number(l, "accumulator_bits_needed") > 12.0);
        }
    }
}

/// A bit more of every word halves the steps, hence 6.02 dB; 3 of them are 18 dB.
#[test]
fn noise_falls_with_the_width_of_the_words() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("wide.toml");
    let rule = |site, bits| {
        format!(
            "[[rule]]\nselect = \"*.{site}\"\n\
             quantizer = {{ kind = \"fixed\", format = \"{bits}\" }}\n"
        )
    };
    let text = ["name = \"wide\"\n".into(), rule("weights", "s11"), rule("output", "11")].concat();
    std::fs::write(&plan, text).unwrap();
    let run = |arguments: &[&str]| {
        let images = ["lenet5", "--images", "100"];
        bittrue(folder.path(), &[&images, arguments].concat())
    };
    let (narrow, wide) = (run(&[]), run(&["--plan", plan.to_str().unwrap()]));
    for l in narrow["layers"].as_array().unwrap() {
        let name = l["name"].as_str().unwrap();
        let (narrow, wide) = (number(l, "sqnr_db"), number(layer(&wide, name), "sqnr_db"));
        assert!(narrow > 25.0, "{name}: {narrow} dB");
        assert!((wide - narrow - 18.0).abs() < 6.0, "{name}: {narrow} and {wide} dB");
    }
    let synthetic = run(&["--synthetic", "1,1"]);
    assert!(synthetic["layers"].as_array().unwrap().iter().all(|l| l["sqnr_db"].is_null()));
}

/// An accumulator that saturates in one layer shows as a fall of the ratio there.
#[test]
fn noise_shows_the_first_bad_layer() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("narrow.toml");
    let text = "name = \"narrow\"\n[[rule]]\nselect = \"conv2.accumulator\"\n\
                quantizer = { kind = \"fixed\", format = \"s12\", overflow = \"saturate\" }\n";
    std::fs::write(&plan, text).unwrap();
    let run = |plan: &str| bittrue(folder.path(), &["lenet5", "--images", "100", "--plan", plan]);
    let (whole, narrow) = (run("int8"), run(plan.to_str().unwrap()));
    let fall =
        |name| number(layer(&whole, name), "sqnr_db") - number(layer(&narrow, name), "sqnr_db");
    assert_eq!((fall("conv1"), fall("pool1")), (0.0, 0.0));
    assert!(fall("conv2") > 6.0 && fall("fc3") > 6.0, "{} {}", fall("conv2"), fall("fc3"));
}

#[test]
fn totals_are_the_sums_of_the_layers() {
    let folder = tempfile::tempdir().unwrap();
    for hardware in ["lanes_act_16x16", "lanes_both_16x16", "systolic_ws_16x16", "zynq7020"] {
        let report = bittrue(folder.path(), &["lenet5", "--images", "20", "--hw", hardware]);
        let layers = report["layers"].as_array().unwrap();
        let keys = [
            "cycles",
            "dense_cycles",
            "stall_cycles",
            "macs.total",
            "macs.effectual",
            "macs.gated",
            "macs.skipped",
            "energy_pj.total",
            "energy_pj.dram",
            "traffic_bytes.dram.read",
        ];
        for key in keys {
            let sum: f64 = layers.iter().map(|l| number(l, key)).sum();
            let total = number(&report["totals"], key);
            assert!((sum - total).abs() <= 1e-9 * total.abs(), "{hardware} {key}: {sum} {total}");
        }
        for figures in layers.iter().chain([&report["totals"]]) {
            let macs = |class: &str| number(figures, &format!("macs.{class}"));
            let sum = macs("effectual") + macs("gated") + macs("skipped");
            assert!((sum - macs("total")).abs() < 1e-6);
            let energy = figures["energy_pj"].as_object().unwrap();
            let components: f64 = energy
                .iter()
                .filter(|(k, _)| *k != "total")
                .map(|(_, v)| v.as_f64().unwrap())
                .sum();
            assert!((components - number(figures, "energy_pj.total")).abs() <= 1e-9 * components);
        }
    }
}

/// Every shipped ASIC model has the same datapath, so the same plan gives the same outputs.
#[test]
fn words_do_not_depend_on_cost() {
    let folder = tempfile::tempdir().unwrap();
    let outputs = |hardware: &str| {
        let path = folder.path().join("outputs.npy");
        let path = path.to_str().unwrap();
        bittrue(folder.path(), &["lenet5", "--images", "50", "--hw", hardware, "--outputs", path]);
        std::fs::read(path).unwrap()
    };
    let expected = outputs("lanes_act_16x16");
    assert_eq!(expected.len(), 128 + 50 * 10 * 4);
    for hardware in ["lanes_both_16x16", "systolic_ws_16x16", "systolic_os_16x16"] {
        assert!(outputs(hardware) == expected, "{hardware}");
    }
}

#[test]
fn threads_do_not_change_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let report = |threads: &str| {
        let arguments = ["lenet5", "--images", "300", "--threads", threads];
        let mut report = bittrue(folder.path(), &arguments);
        report["elapsed_s"] = Value::Null;
        report
    };
    assert_eq!(report("1"), report("2"));
    assert_eq!(report("2"), report("5"));
}
