//! The command line: what ships, bad input, exit codes.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;

const LENET5: &str = include_str!("../topologies/lenet5.toml");
const WEIGHTS: &[u8] = include_bytes!("../topologies/lenet5.safetensors");
const LANES: &str = include_str!("../hw_models/lanes_act_16x16.toml");

fn bittrue() -> Command {
    Command::new(env!("CARGO_BIN_EXE_bittrue"))
}

/// Runs `bittrue` in `folder` and expects exit code 1, one error that contains all `parts`, no
/// panic, nothing on stdout, and no new file.
fn refused(folder: &Path, arguments: &[&str], parts: &[&str]) {
    let files = || fs::read_dir(folder).unwrap().count();
    let before = files();
    let output = bittrue().current_dir(folder).args(arguments).output().unwrap();
    // The renderer wraps lines; compare without white space.
    let squeeze = |text: &str| text.replace(|c: char| c.is_whitespace() || c == '│', "");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    for part in parts {
        assert!(squeeze(&stderr).contains(&squeeze(part)), "no `{part}` in: {stderr}");
    }
    assert!(output.stdout.is_empty());
    assert_eq!(files(), before, "a file was left behind");
}

/// A folder with LeNet-5's topology and weights, each changed by the caller.
fn network(topology: &str, weights: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("net.toml"), topology).unwrap();
    fs::write(folder.path().join("lenet5.safetensors"), weights).unwrap();
    folder
}

#[test]
fn what_ships_is_listed() {
    bittrue().arg("list").assert().success().stdout(
        predicate::str::contains("lenet5")
            .and(predicate::str::contains("lanes_act_16x16"))
            .and(predicate::str::contains("int8"))
            .and(predicate::str::contains("mnist")),
    );
}

#[test]
fn everything_that_ships_can_be_shown() {
    for subject in ["lenet5", "lenet_caffe", "lanes_both_16x16", "systolic_os_16x16", "zynq7020"] {
        bittrue()
            .args(["show", subject])
            .assert()
            .success()
            .stdout(predicate::str::is_empty().not());
    }
    bittrue()
        .args(["show", "lenet5", "--plan", "acc12"])
        .assert()
        .success()
        .stdout(predicate::str::contains("accumulator").and(predicate::str::contains("s12")));
}

#[test]
fn wrong_usage_is_exit_code_2() {
    bittrue().args(["run", "lenet5", "--no-such-option"]).assert().code(2);
    bittrue().args(["run", "lenet5", "--synthetic", "1.5,0"]).assert().code(2);
}

#[test]
fn missing_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    refused(folder, &["run", "no_such"], &["no_such", "lenet5"]);
    refused(folder, &["run", "no_such.toml"], &["no_such.toml"]);
    refused(folder, &["run", "lenet5", "--hw", "no_such"], &["no_such", "lanes_act_16x16"]);
    refused(folder, &["run", "lenet5", "--plan", "no_such"], &["no_such", "int8"]);
    refused(folder, &["run", "lenet5", "--data", "no_such"], &["no_such", "mnist"]);
}

#[test]
fn a_truncated_idx_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let images = [0u8, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28, 1, 2, 3];
    fs::write(folder.path().join("t10k-images-idx3-ubyte"), images).unwrap();
    fs::write(folder.path().join("t10k-labels-idx1-ubyte"), [0, 0, 8, 1, 0, 0, 0, 2, 0, 1])
        .unwrap();
    refused(folder.path(), &["run", "lenet5", "--data", "."], &["t10k-images-idx3-ubyte"]);
}

#[test]
fn truncated_weights_are_refused() {
    let folder = network(LENET5, &WEIGHTS[..WEIGHTS.len() / 2]);
    refused(folder.path(), &["run", "net.toml"], &["lenet5.safetensors"]);
}

#[test]
fn a_weight_that_is_not_a_number_is_refused() {
    let mut weights = WEIGHTS.to_vec();
    let last = weights.len() - 4;
    weights[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    let folder = network(LENET5, &weights);
    refused(folder.path(), &["run", "net.toml"], &["lenet5.safetensors", "NaN"]);
}

#[test]
fn a_cycle_is_refused() {
    let topology = LENET5.replacen("op = \"relu\"", "op = \"relu\"\ninputs = [\"fc1\"]", 1);
    let folder = network(&topology, WEIGHTS);
    refused(folder.path(), &["run", "net.toml"], &["net.toml", "cycle"]);
}

#[test]
fn a_shape_mismatch_is_refused() {
    let folder = network(&LENET5.replace("channels = 120", "channels = 121"), WEIGHTS);
    refused(folder.path(), &["run", "net.toml"], &["fc1.weight", "121"]);
    let folder = network(&LENET5.replace("[1, 28, 28]", "[1, 30, 30]"), WEIGHTS);
    refused(folder.path(), &["run", "net.toml"], &["mnist", "1×30×30"]);
}

#[test]
fn unknown_keys_are_refused() {
    let folder = network(&LENET5.replacen("kernel = 5", "kernle = 5", 1), WEIGHTS);
    refused(folder.path(), &["run", "net.toml"], &["net.toml", "kernle"]);
    let plan = folder.path().join("plan.toml");
    fs::write(&plan, "name = \"p\"\n[[rule]]\nselect = \"*.weights\"\nquantiser = 3\n").unwrap();
    refused(folder.path(), &["run", "lenet5", "--plan", "plan.toml"], &["plan.toml", "quantiser"]);
    fs::write(folder.path().join("hw.toml"), format!("colour = 1\n{LANES}")).unwrap();
    refused(folder.path(), &["run", "lenet5", "--hw", "hw.toml"], &["hw.toml", "colour"]);
}

#[test]
fn a_selector_that_matches_nothing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let plan = "name = \"p\"\n[[rule]]\nselect = \"conv9.weights\"\n\
                quantizer = { kind = \"fixed\", format = \"s8\" }\n";
    fs::write(folder.path().join("plan.toml"), plan).unwrap();
    refused(folder.path(), &["run", "lenet5", "--plan", "plan.toml"], &["conv9.weights"]);
}

#[test]
fn buffers_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let with_capacity = |bytes: &str| {
        let lines = LANES.lines().map(|line| match line.starts_with("capacity_bytes") {
            true => format!("capacity_bytes = {bytes}"),
            false => line.to_owned(),
        });
        let text: Vec<String> = lines.collect();
        fs::write(folder.path().join("hw.toml"), text.join("\n")).unwrap();
    };
    with_capacity("0");
    refused(folder.path(), &["run", "lenet5", "--hw", "hw.toml"], &["hw.toml", "capacity_bytes"]);
    with_capacity("8");
    refused(folder.path(), &["run", "lenet5", "--hw", "hw.toml"], &["conv1", "byte"]);
}

#[test]
fn words_have_1_to_64_bits() {
    let folder = tempfile::tempdir().unwrap();
    for format in ["s0f0", "u65f0"] {
        refused(
            folder.path(),
            &["cast", "--from", format, "--to", "s8f0", "1"],
            &[format, "1 to 64"],
        );
    }
    let plan = "name = \"p\"\n[[rule]]\nselect = \"*.weights\"\n\
                quantizer = { kind = \"fixed\", format = \"s65f3\" }\n";
    fs::write(folder.path().join("plan.toml"), plan).unwrap();
    refused(folder.path(), &["run", "lenet5", "--plan", "plan.toml"], &["s65f3"]);
}

#[test]
fn an_output_that_cannot_be_written_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // `/sys` takes no files from anybody, root included.
    for path in ["absent/report.json", "/sys/report.json"] {
        let arguments = ["run", "lenet5", "--images", "1", "--quiet", "--json", path];
        refused(folder.path(), &arguments, &[path]);
    }
}

#[test]
fn more_images_than_there_are_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), &["run", "lenet5", "--images", "10001"], &["10001", "10000"]);
    refused(folder.path(), &["run", "lenet5", "--images", "0"], &["--images"]);
}

#[test]
fn absurd_thread_counts_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for threads in ["0", "100000000"] {
        let arguments = ["run", "lenet5", "--images", "1", "--threads", threads];
        refused(folder.path(), &arguments, &["--threads", threads, "1024"]);
    }
}

#[test]
fn photos_without_labels_run_with_some_held_out_for_calibration() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("photos")).unwrap();
    for index in 0..5u8 {
        let pixel = |x: u32, y: u32| image::Luma([(x * 9 + y * u32::from(index)) as u8]);
        let photo = image::GrayImage::from_fn(28, 28, pixel);
        photo.save(folder.join(format!("photos/{index}.png"))).unwrap();
    }
    let text = "kind = \"images\"\npath = \"photos\"\ncalibration = { first = 2 }\n";
    fs::write(folder.join("photos.toml"), text).unwrap();
    let arguments = ["run", "lenet5", "--data", "photos.toml", "--json", "r.json"];
    bittrue().current_dir(folder).args(arguments).assert().success();
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("r.json")).unwrap()).unwrap();
    assert_eq!(report["dataset"], serde_json::json!({ "name": "photos", "images": 3 }));
    let accuracy = report["accuracy"].as_object().unwrap();
    assert_eq!(accuracy.keys().collect::<Vec<_>>(), ["agreement"]);
    // Without the description there is nothing to calibrate on.
    refused(folder, &["run", "lenet5", "--data", "photos"], &["calibrat"]);
    fs::write(folder.join("photos/labels.csv"), "file,label\n0.png,10\n").unwrap();
    refused(folder, &["run", "lenet5", "--data", "photos"], &["11 classes", "scores 10"]);
    fs::write(folder.join("photos/1.png"), "no image").unwrap();
    fs::write(folder.join("photos/labels.csv"), "file,label\n0.png,9\n1.png,3\n").unwrap();
    fs::write(folder.join("photos.toml"), text.replace('2', "1")).unwrap();
    refused(folder, &["run", "lenet5", "--data", "photos.toml"], &["1.png"]);
}

/// The worked example of `ap_fixed` rounding: −2.5 and 2.5 to integers.
#[test]
fn cast_prints_raw_words_in_hex() {
    let cast = |rounding: &str| {
        let arguments = ["cast", "--from", "s8f1", "--to", "s4f0", "--overflow", "saturate"];
        let output = bittrue()
            .args(arguments)
            .args(["--rounding", rounding, "fb", "05", "7f", "80"])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(cast("floor"), "d 2 7 8");
    assert_eq!(cast("half_up"), "e 3 7 8");
    assert_eq!(cast("half_away"), "d 3 7 8");
    assert_eq!(cast("half_even"), "e 2 7 8");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_bittrue"))
        .arg("list")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}

/// SCALE-Sim's own `alexnet` topology, without padding.
const ALEXNET: &str = "\
Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,
Conv1, 224, 224, 11, 11, 3, 96, 4,
Conv2, 27, 27, 5, 5, 96, 256, 1,
Conv3, 13, 13, 3, 3, 256, 384, 1,
Conv4, 13, 13, 3, 3, 384, 384, 1,
Conv5, 13, 13, 3, 3, 384, 256, 1,
";

/// Totals that SCALE-Sim 3.0.0 prints for 32×32, and its formula for 16×16; it prints one cycle
/// less a layer than its formula.
#[test]
fn scalesim_topologies_give_scalesim_cycles() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("alexnet.csv"), ALEXNET).unwrap();
    for (hardware, printed) in [
        ("systolic_ws_32x32", 1_136_239),
        ("systolic_ws_16x16", 3_823_825),
        ("systolic_os_16x16", 3_333_583),
        ("systolic_is_16x16", 3_920_991),
    ] {
        bittrue()
            .current_dir(folder.path())
            .args(["run", "alexnet.csv", "--hw", hardware, "--json", "r.json", "--quiet"])
            .assert()
            .success();
        let report: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.path().join("r.json")).unwrap()).unwrap();
        assert_eq!(report["totals"]["compute_cycles"].as_f64(), Some(f64::from(printed + 5)));
        assert!(report.get("accuracy").is_none());
    }
}

#[test]
fn synthetic_operands_have_the_stated_densities() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["run", "lenet5", "--synthetic", "0.4,0.25", "--images", "20", "--seed", "7"];
    bittrue()
        .current_dir(folder.path())
        .args(arguments)
        .args(["--json", "r.json", "--csv", "r.csv", "--quiet"])
        .assert()
        .success();
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("r.json")).unwrap()).unwrap();
    let sparsity = |operand: &str| report["totals"]["sparsity"][operand].as_f64().unwrap();
    // 61 470 weights and 20 · 2 564 activations: standard deviations of 0.002.
    assert!((sparsity("weights") - 0.6).abs() < 0.01, "{}", sparsity("weights"));
    assert!((sparsity("activations") - 0.75).abs() < 0.01, "{}", sparsity("activations"));
    assert_eq!(report["dataset"]["name"], "synthetic");
    let csv = fs::read_to_string(folder.path().join("r.csv")).unwrap();
    assert!(csv.lines().last().unwrap().starts_with("total,"));
}

#[test]
fn tables_fit_100_columns() {
    let plan = ["--plan", "int8_channel", "--hw", "lanes_scaled_16x16"];
    for arguments in [
        [&["run", "lenet5", "--images", "1"][..], &plan].concat(),
        ["run", "resnet_v1_20", "--synthetic", "0.5,0.5"].to_vec(),
    ] {
        let output = bittrue().args(arguments).output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let tables = text.lines().skip_while(|line| !line.starts_with("Per image"));
        let widest = tables.map(|line| line.trim_end().chars().count()).max();
        assert!(widest <= Some(100), "{widest:?} columns:\n{text}");
    }
}
