//! The cocotb example.

use std::fs;
use std::process::Command;

use crate::tools::{ready, run, sources, target, work};

#[test]
fn cocotb_reads_golden_vectors() {
    let python = target().join("venv/bin/python");
    let versions = fs::read_dir(target().join("venv/lib")).into_iter().flatten().flatten();
    let mut cocotb = versions.map(|version| version.path().join("site-packages/cocotb"));
    let cocotb = cocotb.find(|path| path.exists()).unwrap_or("venv/cocotb".into());
    let needs = [python, cocotb].map(|path| path.to_string_lossy().into_owned());
    if !ready("cocotb", &["iverilog", "vvp", &needs[0], &needs[1]]) {
        return;
    }
    let folder = work("cocotb");
    let golden = folder.join("golden");
    run(Command::new(env!("CARGO_BIN_EXE_bittrue"))
        .args(["vectors", "lenet5", "--layers", "conv2,fc3", "--quiet", "--out"])
        .arg(&golden));
    let script = sources().join("cocotb/run.py");
    let (text, took) = run(Command::new(&needs[0]).arg(script).args([&golden, &folder]));
    assert!(text.contains("1610 words"), "{text}");
    println!("cocotb: 1610 words equal in {:.1} s", took.as_secs_f64());
}
