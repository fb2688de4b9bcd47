//! Chains of the `product_cast` style in the C simulation of `ap_fixed`, with the headers that
//! hls4ml bundles, one thread.
//!
//! Operands are s16f10; each product is cast to s24f12, half up and saturating, and added to an
//! accumulator s24f12 that saturates: `acc = acc + ap_fixed<24, 12, AP_RND, AP_SAT>(w * x)`.

use std::path::{Path, PathBuf};
use std::process::Command;

use bittrue::kernels::{
    AccumulationOrder, Epilogue, LayerDraws, Mac, MacKernel, MacSpec, SiteEvents, Style,
};
use bittrue::numeric::{Cast, Draws, Format, Overflow, Rounding};
use bittrue::tensor::{ConvGeometry, Shape, Window, Words};

use crate::peer::Peer;
use crate::timing::{alternate, seconds};
use crate::{Wanted, python};

const ENVIRONMENT: &str = "peers-venv";
const PACKAGES: [&str; 2] = ["--no-deps", "hls4ml==1.3.0"];
const ROUNDS: usize = 9;
/// Runs of ours in a measurement, which has one of theirs.
const RUNS: usize = 10;

/// Prints the ratio.
pub fn compare(folder: &Path, _: &Wanted) {
    let input = Shape::new(576, 14, 14);
    let output = Shape::new(64, 14, 14);
    let geometry = ConvGeometry { input, output, window: Window::POINT, groups: 1 };
    let format = |text: &str| text.parse::<Format>().expect("a format");
    let operand = format("s16f10");
    let word = Cast::new(format("s24f12"), Rounding::HalfUp, Overflow::Saturate).expect("a cast");
    // Weights of ±4; activations of 0 to 32, half of them zero: some chains saturate.
    let weights = draw(operand, geometry.weights(), 1, |draw| (draw % 8192) as i64 - 4096);
    let image = draw(operand, input.len(), 2, |draw| (draw % 32768 * (draw >> 63)) as i64);
    let spec = MacSpec {
        style: Style::ProductCast,
        adder_tree: 1,
        weights: operand,
        activations: operand,
        product: word,
        accumulator: word,
        epilogue: Epilogue::cast(word),
    };
    let mac = Mac {
        spec,
        range: spec.all_activations(),
        geometry,
        order: &AccumulationOrder::default(),
        weights: &weights,
        bias: None,
        requantizers: &[],
    };
    let kernel = MacKernel::new(mac).expect("a valid layer");
    let (mut scratch, mut events) = (kernel.scratch(), SiteEvents::default());
    let mut words = Words::zeros(word.to(), output.len());
    let mut run = || {
        kernel.run(&image, &mut words, &mut scratch, LayerDraws::new(0, 0, 0), &mut events);
    };
    run();

    let operands = folder.join("ap_fixed.operands");
    let sizes = [geometry.pixels(), output.channels, input.channels];
    let mut bytes: Vec<u8> = sizes.iter().flat_map(|&size| (size as u32).to_le_bytes()).collect();
    for word in weights.to_vec().into_iter().chain(image.to_vec()) {
        bytes.extend((word as i16).to_le_bytes());
    }
    std::fs::write(&operands, bytes).expect("a writable build folder");
    let results = folder.join("ap_fixed.words");
    let mut peer = Peer::start(Command::new(program(folder)).arg(operands).arg(&results));

    let [ours, theirs, ratio] = alternate(
        ROUNDS,
        || seconds(|| (0..RUNS).for_each(|_| run())) / RUNS as f64,
        || peer.run(1),
    );
    let bytes = std::fs::read(results).expect("their words");
    let expected: Vec<i64> =
        bytes.as_chunks().0.iter().map(|&word| i32::from_le_bytes(word).into()).collect();
    assert!(words.to_vec() == expected, "the words of ap_fixed");
    let ends = [word.to().min(), word.to().max()].map(|end| end as i64);
    let saturated = expected.iter().filter(|word| ends.contains(word)).count();
    assert!(saturated > 0, "chains that saturate");

    let rate = |seconds: f64| geometry.macs() as f64 / seconds / 1e6;
    println!("{} chains of {}, {saturated} end saturated", expected.len(), input.channels);
    println!();
    println!("| chain | ours, MMAC/s | ap_fixed, MMAC/s | over theirs |");
    println!("| --- | ---: | ---: | ---: |");
    println!(
        "| s16f10 × s16f10 → s24f12, saturating s24f12 | {:.0} | {:.1} | {ratio:.1} |",
        rate(ours),
        rate(theirs)
    );
}

/// Words of `format` from draws.
fn draw(format: Format, len: usize, site: u64, word: impl Fn(u64) -> i64) -> Words {
    let draws = Draws::new(1, site);
    Words::from_raw(format, (0..len).map(|element| word(draws.at(element as u64))))
}

/// Compiles their program.
fn program(folder: &Path) -> PathBuf {
    let program = folder.join("ap_fixed");
    let locate = "import importlib.util; print(importlib.util.find_spec('hls4ml').origin)";
    let mut command = python::interpreter(ENVIRONMENT, &PACKAGES);
    let found = command.args(["-c", locate]).output().expect("python");
    let package = String::from_utf8(found.stdout).expect("a path");
    let package = Path::new(package.trim()).parent().expect("a package");
    let headers = package.join("templates/vivado/ap_types");
    // One of their assertions fires wrongly where more bits are dropped than a word has.
    let flags = ["-std=c++17", "-O3", "-march=native", "-DNDEBUG", "-w", "-isystem"];
    let mut compiler = Command::new("g++");
    compiler.args(flags).arg(headers).arg(python::source("ap_fixed.cpp"));
    python::check(compiler.arg("-o").arg(&program));
    program
}
