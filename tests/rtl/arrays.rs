//! Whole arrays on golden vectors of LeNet-5: every word and every cycle count.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bittrue::kernels::Style;
use bittrue::numeric::{Overflow, Rounding};
use bittrue::verify::CastSpec;
use bittrue::verify::vectors::{LayerEntry, MacEntry, Manifest};

use crate::tools::{Bench, ready, run, sources, text, work};

/// An array and the plan that runs on it.
#[derive(Clone, Copy)]
pub struct Array {
    /// Hardware model in `tests/rtl/hw`, or a shipped one.
    pub hardware: &'static str,
    /// Plan in `tests/rtl/plans`, or a shipped one.
    pub plan: &'static str,
}

pub const SYSTOLIC_8X4: Array = Array { hardware: "systolic_8x4", plan: "product_cast" };
pub const SYSTOLIC_5X7: Array = Array { hardware: "systolic_5x7", plan: "exact" };
pub const SYSTOLIC_6X6: Array = Array { hardware: "systolic_6x6", plan: "int16" };
pub const LANES_4X3: Array = Array { hardware: "lanes_4x3_row", plan: "fused" };
pub const LANES_3X5: Array = Array { hardware: "lanes_3x5_element", plan: "product_cast" };
pub const LANES_6X2: Array = Array { hardware: "lanes_6x2_column", plan: "int8" };
pub const LANES_4X4: Array = Array { hardware: "lanes_4x4_array", plan: "int8" };

/// A network and its operands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// LeNet-5 on digits.
    LeNet5,
    /// `tests/rtl/nets/grouped.toml` on synthetic operands.
    Grouped,
}

/// A simulator.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Simulator {
    Verilator,
    Icarus,
}

/// What is run.
pub struct Job<'a> {
    pub network: Network,
    pub array: Array,
    pub simulator: Simulator,
    pub images: usize,
    /// Layers; all if empty.
    pub layers: &'a [&'a str],
    /// Number of a planted error; 0 for none.
    pub fault: usize,
}

/// What came of it.
pub struct Outcome {
    pub manifest: Manifest,
    /// Golden vectors.
    pub golden: PathBuf,
    /// What the design wrote.
    pub dut: PathBuf,
    /// Layer, image and cycles of the design.
    pub cycles: Vec<(String, usize, u64)>,
    /// Time of the simulation.
    pub took: Duration,
}

impl Outcome {
    /// Cycles of the model.
    pub fn model_cycles(&self, layer: &str, image: usize) -> u64 {
        let layer = self.manifest.layers.iter().find(|entry| entry.name == layer).unwrap();
        layer.cycles.iter().find(|entry| entry.image == image).unwrap().compute
    }

    /// `bittrue compare` of what the design wrote: whether it found all equal, and what it says.
    pub fn compare(&self) -> (bool, String) {
        let replay = self.dut.with_file_name("replay");
        let output = Command::new(env!("CARGO_BIN_EXE_bittrue"))
            .arg("compare")
            .args([&self.golden, Path::new("--dut"), &self.dut, Path::new("--replay"), &replay])
            .output()
            .unwrap();
        (output.status.success(), text(&output))
    }
}

/// The file of a name in a folder of the designs, or else the name, which is a shipped one.
fn file_or_shipped(folder: &str, name: &str) -> String {
    let path = sources().join(folder).join(format!("{name}.toml"));
    if path.exists() { path.to_string_lossy().into_owned() } else { name.to_owned() }
}

/// Writes golden vectors, builds the bench for them, and runs it.
pub fn simulate(name: &str, job: &Job) -> Outcome {
    let folder = work(name);
    let golden = folder.join("golden");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bittrue"));
    command
        .args(["vectors", "--patches", "--quiet", "--images", &job.images.to_string()])
        .args(["--hw", &file_or_shipped("hw", job.array.hardware)])
        .args(["--plan", &file_or_shipped("plans", job.array.plan), "--out"])
        .arg(&golden);
    match job.network {
        Network::LeNet5 => command.arg("lenet5"),
        Network::Grouped => {
            command.arg(sources().join("nets/grouped.toml")).args(["--synthetic", "0.4,0.5"])
        }
    };
    if !job.layers.is_empty() {
        command.args(["--layers", &job.layers.join(",")]);
    }
    run(&mut command);
    let manifest = Manifest::read(&golden).unwrap();
    check_codes(&golden);

    let dut = folder.join("dut");
    let (mut jobs, mut parameters) = (String::new(), BTreeSet::new());
    for image in 0..job.images {
        for layer in &manifest.layers {
            let Some(mac) = &layer.mac else { continue };
            parameters.insert(plan_parameters(mac));
            write_job(&mut jobs, layer, mac, image, &golden, &dut);
        }
    }
    assert_eq!(parameters.len(), 1, "the formats of the plan are the same in all layers");
    let jobs_path = folder.join("jobs.txt");
    fs::write(&jobs_path, jobs).unwrap();

    let bench = Bench {
        top: "array",
        parameters: parameters.first().unwrap(),
        fault: job.fault,
        packages: &[golden.join("bittrue_params_pkg.sv")],
        library: None,
    };
    let mut command = match job.simulator {
        Simulator::Verilator => bench.verilator(&folder),
        Simulator::Icarus => bench.icarus(&folder),
    };
    let (text, took) = run(command.arg(format!("+jobs={}", jobs_path.display())));
    assert!(text.contains("\ndone"), "{text}");

    let mut table = String::from("layer,image,cycle\n");
    let mut cycles = Vec::new();
    for line in text.lines() {
        if let ["cycles", layer, image, count] = line.split_whitespace().collect::<Vec<_>>()[..] {
            writeln!(table, "{layer},{image},{count}").unwrap();
            cycles.push((layer.to_owned(), image.parse().unwrap(), count.parse().unwrap()));
        }
    }
    fs::write(dut.join("cycles.csv"), table).unwrap();
    Outcome { manifest, golden, dut, cycles, took }
}

/// A line of the bench's jobs; makes the folders of what it writes.
fn write_job(
    jobs: &mut String,
    layer: &LayerEntry,
    mac: &MacEntry,
    image: usize,
    golden: &Path,
    dut: &Path,
) {
    let chain = &mac.chain;
    let path = |memory: &str| layer.memory(memory, image).map(|entry| entry.hex.path.as_str());
    let [weights, patches, ofmap, accumulator] =
        ["weights", "patches", "ofmap", "accumulator"].map(|memory| path(memory).unwrap());
    fs::create_dir_all(dut.join(ofmap).parent().unwrap()).unwrap();
    let output = chain.output.format;
    let relu = !output.is_signed() && chain.clamp.is_some_and(|[low, _]| low >= 0);
    let numbers = [
        image as i64,
        mac.groups as i64,
        mac.pixels as i64,
        mac.group_outputs as i64,
        mac.reduction as i64,
        chain.weights.bits().into(),
        chain.activations.bits().into(),
        chain.activations.is_signed().into(),
        chain.bias.is_some().into(),
        (chain.accumulator.format.frac() - output.frac()).into(),
        relu.into(),
        output.is_signed().into(),
    ];
    let numbers = numbers.map(|number| number.to_string()).join(" ");
    let bias = path("bias").unwrap_or("none");
    let read = [weights, bias, patches].map(|path| golden.join(path).display().to_string());
    let written = [ofmap, accumulator].map(|path| dut.join(path).display().to_string());
    writeln!(jobs, "{} {numbers} {} {}", layer.name, read.join(" "), written.join(" ")).unwrap();
}

fn rounding(cast: &CastSpec) -> i64 {
    Rounding::ALL.iter().position(|&mode| mode == cast.rounding).unwrap() as i64
}

fn overflow(cast: &CastSpec) -> i64 {
    Overflow::ALL.iter().position(|&mode| mode == cast.overflow).unwrap() as i64
}

/// Parameters of the bench: formats of the plan, binary points relative to the accumulator's.
fn plan_parameters(mac: &MacEntry) -> Vec<(String, i64)> {
    let chain = &mac.chain;
    let accumulator = chain.accumulator.format;
    let relative = |frac: i32| i64::from(frac - accumulator.frac());
    let product = relative(chain.weights.frac() + chain.activations.frac());
    let bias = chain.bias.unwrap_or(accumulator);
    let mut parameters = vec![
        ("PRODUCT_FRAC", product),
        ("ACCUMULATOR_BITS", accumulator.bits().into()),
        ("SUM_ROUNDING", rounding(&chain.accumulator)),
        ("SUM_OVERFLOW", overflow(&chain.accumulator)),
        ("BIAS_BITS", bias.bits().into()),
        ("BIAS_FRAC", relative(bias.frac())),
        ("OUT_BITS", chain.output.format.bits().into()),
        ("OUT_ROUNDING", rounding(&chain.output)),
        ("OUT_OVERFLOW", overflow(&chain.output)),
    ];
    if let Some(product) = &chain.product {
        parameters.extend([
            ("CAST_BITS", product.format.bits().into()),
            ("CAST_FRAC", relative(product.format.frac())),
            ("CAST_ROUNDING", rounding(product)),
            ("CAST_OVERFLOW", overflow(product)),
        ]);
    }
    if chain.style == Some(Style::Exact) {
        // The longest reduction of LeNet-5 is 400 products of 16 bits, whose sum takes 25 bits.
        parameters.push(("SUM_BITS", i64::from(accumulator.bits()) + product.max(0) + 12));
    }
    parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The codes of the designs are those of the generated package.
fn check_codes(golden: &Path) {
    let codes = |path: PathBuf| -> Vec<(String, String)> {
        let text = fs::read_to_string(path).unwrap();
        let lines = text.lines().filter_map(|line| {
            let (name, value) = line.trim().strip_prefix("localparam int ")?.split_once(" = ")?;
            Some((name.to_owned(), value.trim_end_matches(';').to_owned()))
        });
        lines.collect()
    };
    let generated = codes(golden.join("bittrue_params_pkg.sv"));
    let own = codes(sources().join("design/codes_pkg.sv"));
    assert_eq!(own.len(), 19);
    for (name, value) in own {
        let of_name = |prefix: &str| (format!("{prefix}{name}"), value.clone());
        let known = ["", "ROUND_", "OVERFLOW_", "STYLE_"].map(of_name);
        assert!(known.iter().any(|code| generated.contains(code)), "{name} = {value}");
    }
}

/// Runs a job without planted error, of which nothing may differ.
fn check(name: &str, job: &Job) {
    let needs: &[&str] = match job.simulator {
        Simulator::Verilator => &["verilator"],
        Simulator::Icarus => &["iverilog", "vvp"],
    };
    if !ready(name, needs) {
        return;
    }
    let outcome = simulate(name, job);
    let (equal, report) = outcome.compare();
    assert!(equal, "{name}\n{report}");
    let macs = outcome.manifest.layers.iter().filter(|layer| layer.mac.is_some()).count();
    assert_eq!(outcome.cycles.len(), macs * job.images);
    let mut lines = String::new();
    for (layer, image, cycles) in &outcome.cycles {
        assert_eq!(
            *cycles,
            outcome.model_cycles(layer, *image),
            "cycles of {layer}, image {image}"
        );
        if *image == 0 {
            write!(lines, " {layer} {cycles}").unwrap();
        }
    }
    let total: u64 = outcome.cycles.iter().map(|(_, _, cycles)| cycles).sum();
    println!(
        "{name}: {} layers and images equal in words and cycles; {total} cycles in {:.1} s; cycles \
         of image 0:{lines}",
        outcome.cycles.len(),
        outcome.took.as_secs_f64(),
    );
}

fn verilator(name: &str, array: Array) {
    let simulator = Simulator::Verilator;
    let network = Network::LeNet5;
    check(name, &Job { network, array, simulator, images: 10, layers: &[], fault: 0 });
}

fn icarus(name: &str, array: Array, layers: &[&str], images: usize) {
    let (network, simulator) = (Network::LeNet5, Simulator::Icarus);
    check(name, &Job { network, array, simulator, images, layers, fault: 0 });
}

#[test]
fn systolic_8x4_in_verilator() {
    verilator("systolic_8x4_verilator", SYSTOLIC_8X4);
}

#[test]
fn systolic_5x7_in_verilator() {
    verilator("systolic_5x7_verilator", SYSTOLIC_5X7);
}

#[test]
fn systolic_6x6_in_verilator() {
    verilator("systolic_6x6_verilator", SYSTOLIC_6X6);
}

#[test]
fn lanes_4x3_in_verilator() {
    verilator("lanes_4x3_verilator", LANES_4X3);
}

#[test]
fn lanes_3x5_in_verilator() {
    verilator("lanes_3x5_verilator", LANES_3X5);
}

#[test]
fn lanes_6x2_in_verilator() {
    verilator("lanes_6x2_verilator", LANES_6X2);
}

#[test]
fn lanes_4x4_in_verilator() {
    verilator("lanes_4x4_verilator", LANES_4X4);
}

#[test]
fn systolic_8x4_in_icarus() {
    icarus("systolic_8x4_icarus", SYSTOLIC_8X4, &["conv2", "fc3"], 1);
}

#[test]
fn systolic_5x7_in_icarus() {
    icarus("systolic_5x7_icarus", SYSTOLIC_5X7, &["conv1", "fc3"], 1);
}

#[test]
fn systolic_6x6_in_icarus() {
    icarus("systolic_6x6_icarus", SYSTOLIC_6X6, &["fc2", "fc3"], 1);
}

#[test]
fn lanes_4x3_in_icarus() {
    icarus("lanes_4x3_icarus", LANES_4X3, &["conv2", "fc3"], 1);
}

#[test]
fn lanes_3x5_in_icarus() {
    icarus("lanes_3x5_icarus", LANES_3X5, &["fc2", "fc3"], 1);
}

#[test]
fn lanes_4x4_in_icarus() {
    icarus("lanes_4x4_icarus", LANES_4X4, &["fc2", "fc3"], 2);
}

/// Groups, strides and a depthwise layer, which LeNet-5 has not.
#[test]
fn groups_in_icarus() {
    for (name, array) in [
        ("groups_systolic_5x7", SYSTOLIC_5X7),
        ("groups_lanes_4x3", LANES_4X3),
        ("groups_lanes_3x5", LANES_3X5),
        ("groups_lanes_6x2", LANES_6X2),
    ] {
        let (network, simulator) = (Network::Grouped, Simulator::Icarus);
        check(name, &Job { network, array, simulator, images: 1, layers: &[], fault: 0 });
    }
}

/// The shipped models of 16 × 16 elements, which take minutes to build.
#[test]
#[ignore = "minutes; for the table of docs/rtl.md"]
fn shipped_models_in_verilator() {
    for (name, hardware) in [
        ("systolic_ws_16x16", "systolic_ws_16x16"),
        ("lanes_act_16x16", "lanes_act_16x16"),
        ("lanes_both_16x16", "lanes_both_16x16"),
    ] {
        verilator(name, Array { hardware, plan: "int8" });
    }
}
