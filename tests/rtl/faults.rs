//! Errors planted in the design: each is caught and located by `bittrue compare`.

use std::fs;
use std::path::Path;

use crate::arrays::{
    Array, Job, LANES_4X3, LANES_4X4, Network, Outcome, SYSTOLIC_8X4, Simulator, simulate,
};
use crate::tools::ready;

/// The words of a `$readmemh` file, comments left out.
fn words(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.starts_with("//")).map(str::to_owned).collect()
}

/// The first word that differs, found in the files alone: memory, channel, row and column.
fn first_difference(outcome: &Outcome) -> Option<String> {
    for layer in &outcome.manifest.layers {
        for memory in ["accumulator", "ofmap"] {
            let entry = layer.memory(memory, 0).unwrap();
            let [golden, dut] =
                [&outcome.golden, &outcome.dut].map(|folder| words(&folder.join(&entry.hex.path)));
            assert_eq!(golden.len(), dut.len());
            if let Some(index) = golden.iter().zip(&dut).position(|(a, b)| a != b) {
                // Row, column, channel.
                let [columns, channels] = [entry.shape[1], entry.shape[2]];
                let (channel, pixel) = (index % channels, index / channels);
                return Some(format!(
                    "layer {} ({}), memory {memory}, image 0, channel {channel}, row {}, column {}",
                    layer.name,
                    layer.op,
                    pixel / columns,
                    pixel % columns
                ));
            }
        }
    }
    None
}

fn check(name: &str, fault: usize, array: Array, layers: &[&str]) {
    let name = &format!("fault_{name}");
    if !ready(name, &["iverilog", "vvp"]) {
        return;
    }
    let (network, simulator) = (Network::LeNet5, Simulator::Icarus);
    let job = Job { network, array, simulator, images: 1, layers, fault };
    let outcome = simulate(name, &job);
    let place = first_difference(&outcome).expect("the planted error changes a word");
    let (equal, report) = outcome.compare();
    assert!(!equal, "{report}");
    let line = format!("first divergence: {place}");
    assert!(report.contains(&line), "{line}\nis not in\n{report}");
    println!("{name}: {line}");
}

#[test]
fn a_rounding_constant_off_by_one() {
    check("rounding_systolic", 1, SYSTOLIC_8X4, &["fc3"]);
    check("rounding_lanes", 1, LANES_4X3, &["conv1"]);
}

#[test]
fn a_saturation_bound_off_by_one() {
    check("saturation_systolic", 2, SYSTOLIC_8X4, &["fc3"]);
    check("saturation_lanes", 2, LANES_4X4, &["conv1"]);
}

#[test]
fn a_dropped_sign_extension() {
    check("sign_systolic", 3, SYSTOLIC_8X4, &["fc3"]);
    check("sign_lanes", 3, LANES_4X3, &["fc3"]);
}

#[test]
fn a_swapped_operand_order() {
    check("order_systolic", 4, SYSTOLIC_8X4, &["fc3"]);
    check("order_lanes", 4, LANES_4X3, &["fc3"]);
}
