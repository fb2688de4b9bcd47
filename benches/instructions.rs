//! Instructions of the portable and the AVX2 paths, counted by valgrind's callgrind and held
//! against `benches/instructions.toml`: `make instructions`. (valgrind hides AVX-512.)
//!
//! The program runs itself under callgrind, each case once and twice: the difference is one run.
//! `--write` takes what is counted as the new figures. Without `--bench`, as in `cargo test`,
//! nothing is run.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde::Deserialize;

use bittrue::hardware::Hardware;
use bittrue::kernels::{
    AccumulationOrder, Epilogue, InstructionSet, LayerDraws, Mac, MacKernel, MacSpec, Patches,
    SiteEvents, Style,
};
use bittrue::mapping::{LayerProblem, OperandBits};
use bittrue::numeric::{Cast, Draws, Format, Overflow, Rounding};
use bittrue::simulate::arrays::{ArrayModel, LanesScratch};
use bittrue::tensor::{ConvGeometry, Shape, Window, Words};

const SETS: [&str; 2] = ["portable", "AVX2"];
const CASES: [&str; 6] =
    ["8 bit, proven", "11 bit, proven", "16 bit, exact", "product_cast", "bitmaps", "lanes"];

/// Figures by `instruction set/case`.
type Figures = BTreeMap<String, f64>;

/// `benches/instructions.toml`.
#[derive(Deserialize)]
struct Known {
    /// Fraction by which a figure may lie above.
    tolerance: f64,
    /// Instructions for 1000 multiply-accumulates of the layer.
    instructions: Figures,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["case", set, case, runs] => {
            let runs = runs.parse().expect("a number of runs");
            let set = InstructionSet::available().into_iter().find(|known| known.name() == set);
            return match set {
                Some(set) => {
                    run(set, case, runs);
                    ExitCode::SUCCESS
                }
                None => ExitCode::FAILURE,
            };
        }
        _ if !args.contains(&"--bench") => {
            println!("instructions: run with `make instructions`");
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.toml");
    let text = std::fs::read_to_string(&path).expect("the figures");
    let known: Known = toml::from_str(&text).expect("figures");
    let counted = count();
    println!("instructions for 1000 multiply-accumulates\n");
    println!("| path | known | counted | change |");
    println!("| --- | ---: | ---: | ---: |");
    let mut fits = counted.len() == known.instructions.len();
    for (name, &figure) in &counted {
        let expected = known.instructions.get(name).copied().unwrap_or(0.0);
        let change = figure / expected - 1.0;
        println!("| {name} | {expected:.1} | {figure:.1} | {:+.1} % |", 100.0 * change);
        fits &= change <= known.tolerance;
    }
    if args.contains(&"--write") {
        write(&path, &text, &counted);
    } else if !fits {
        println!("\nmore than {:.0} % above a known figure,", 100.0 * known.tolerance);
        println!("or not the same paths: {}", path.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Replaces the figures of the file; its head stays.
fn write(path: &Path, text: &str, counted: &Figures) {
    let table = "[instructions]\n";
    let head = text.find(table).map_or(text, |at| &text[..at]);
    let mut text = format!("{head}{table}");
    for (name, figure) in counted {
        writeln!(text, "{name:?} = {figure:.1}").expect("memory");
    }
    let written = path.with_extension("toml.new");
    std::fs::write(&written, text).expect("a writable folder");
    std::fs::rename(written, path).expect("a writable folder");
}

/// Every case of every instruction set under callgrind.
fn count() -> Figures {
    let macs = geometry().macs() as f64;
    let mut figures = Figures::new();
    for set in SETS {
        for case in CASES {
            let [once, twice] = [1, 2].map(|runs| collected(set, case, runs));
            figures.insert(format!("{set}/{case}"), 1e3 * (twice - once) as f64 / macs);
        }
    }
    figures
}

/// Instructions of this program with `runs` of a case.
fn collected(set: &str, case: &str, runs: usize) -> u64 {
    let program = std::env::current_exe().expect("a program");
    let profile: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("callgrind.out");
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind");
    command.arg(format!("--callgrind-out-file={}", profile.display()));
    command.arg(program).args(["case", set, case, &runs.to_string()]);
    let output = command.output().expect("valgrind, which `make instructions` installs");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{set}/{case}: {log}");
    let total = log.lines().find_map(|line| line.split("Collected :").nth(1));
    total.and_then(|total| total.trim().parse().ok()).expect("what callgrind collected")
}

/// 64 to 64 channels of 14×14, 3×3.
fn geometry() -> ConvGeometry {
    let shape = Shape::new(64, 14, 14);
    let window = Window { kernel: [3; 2], stride: [1; 2], padding: [1; 4], dilation: [1; 2] };
    ConvGeometry { input: shape, output: shape, window, groups: 1 }
}

fn format(text: &str) -> Format {
    text.parse().expect("a format")
}

/// Uniform words of `format`, a half of them zero.
fn words(format: Format, len: usize, site: u64) -> Words {
    let draws = Draws::new(1, site);
    let span = (format.max() - format.min() + 1) as u64;
    let word = |element: usize| match draws.at(element as u64) {
        draw if draw >> 63 == 0 => 0,
        draw => (draw % span) as i64 + format.min() as i64,
    };
    Words::from_raw(format, (0..len).map(word))
}

fn run(set: InstructionSet, case: &str, runs: usize) {
    match case {
        "8 bit, proven" => multiply(set, ["s8f7", "u8f8", "s32f15"], Style::Fused, runs),
        "11 bit, proven" => multiply(set, ["s11f10", "u10f8", "s32f18"], Style::Fused, runs),
        "16 bit, exact" => multiply(set, ["s16f15", "s16f8", "s48f23"], Style::Exact, runs),
        "product_cast" => multiply(set, ["s16f15", "s16f8", "s24f15"], Style::ProductCast, runs),
        "bitmaps" | "lanes" => count_zeros(set, case == "lanes", runs),
        _ => panic!("{case}: no such case"),
    }
}

/// The layer with words of the formats of weights, activations and accumulator.
fn multiply(set: InstructionSet, formats: [&str; 3], style: Style, runs: usize) {
    let [weights, activations, accumulator] = formats.map(format);
    let cast = |to| Cast::new(to, Rounding::HalfUp, Overflow::Saturate).expect("a cast");
    let spec = MacSpec {
        style,
        adder_tree: 1,
        weights,
        activations,
        product: cast(accumulator),
        accumulator: cast(accumulator),
        epilogue: Epilogue::cast(cast(format("u8f4"))),
    };
    let geometry = geometry();
    let mac = Mac {
        spec,
        range: spec.all_activations(),
        geometry,
        order: &AccumulationOrder::default(),
        weights: &words(weights, geometry.weights(), 1),
        bias: None,
        requantizers: &[],
    };
    let image = words(activations, geometry.input.len(), 2);
    let kernel = MacKernel::with(set, mac).expect("a valid layer");
    let (mut scratch, mut events) = (kernel.scratch(), SiteEvents::default());
    let mut output = Words::zeros(spec.epilogue.cast.to(), geometry.output.len());
    for _ in 0..runs {
        kernel.run(&image, &mut output, &mut scratch, LayerDraws::new(0, 0, 0), &mut events);
    }
}

/// Nonzero bitmaps of the layer's activations, or what a skipping lane array takes for them.
fn count_zeros(set: InstructionSet, lanes: bool, runs: usize) {
    let geometry = geometry();
    let patches = Patches::new(&geometry, &AccumulationOrder::default()).expect("a valid layer");
    let image = words(format("u8f8"), geometry.input.len(), 2);
    let (mut scratch, mut activations) = (patches.scratch(), patches.empty_bitmaps());
    let mut mark = || patches.activation_bitmaps_with(set, &image, &mut scratch, &mut activations);
    if !lanes {
        return (0..runs).for_each(|_| mark());
    }
    mark();
    let hardware = Hardware::open("lanes_both_16x16").expect("it ships");
    let bits = OperandBits { weights: 8, bias: 32, activations: 8, accumulator: 32, output: 8 };
    let weights = patches.weight_bitmaps(&words(format("s8f7"), geometry.weights(), 1));
    let model = ArrayModel::new(&LayerProblem { geometry, bits }, &hardware, &weights, 1);
    let model = model.expect("it fits");
    let mut scratch = LanesScratch::default();
    for _ in 0..runs {
        model.count_with(set, &activations, &mut scratch);
    }
}
