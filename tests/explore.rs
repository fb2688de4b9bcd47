//! Exploration by the command line: sweeps that survive being killed, shards, fronts, bad input.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SPACE: &str = include_str!("data/spaces/lenet5_arrays.toml");

fn bittrue(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bittrue"));
    command.current_dir(folder).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs and expects success; what it printed.
fn run(folder: &Path, arguments: &[&str]) -> String {
    let output = bittrue(folder, arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs and expects exit code 1 and an error that contains all `parts`.
fn refused(folder: &Path, arguments: &[&str], parts: &[&str]) {
    let output = bittrue(folder, arguments).output().unwrap();
    // The renderer wraps lines; compare without white space.
    let squeeze = |text: &str| text.replace(|c: char| c.is_whitespace() || c == '│', "");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    for part in parts {
        assert!(squeeze(&stderr).contains(&squeeze(part)), "no `{part}` in: {stderr}");
    }
}

fn folder(space: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("space.toml"), space).unwrap();
    folder
}

fn rows(csv: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(csv.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// Every figure of a point is that of `bittrue run` on the same design.
#[test]
fn a_point_has_the_figures_of_a_run() {
    let space = "images = 50\n[axes]\nplan = [\"int8\", \"acc12\"]\nhw = [\"lanes_act_16x16\", \
                 \"lanes_both_16x16\", \"systolic_ws_16x16\"]\n";
    let folder = folder(space);
    let path = folder.path();
    run(path, &["sweep", "space.toml", "--json", "table.json", "--quiet"]);
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(path.join(name)).unwrap()).unwrap()
    };
    let table = read("table.json");
    let columns = table["columns"].as_array().unwrap();
    let index = |name: &str| columns.iter().position(|column| column["name"] == name).unwrap();
    let rows = table["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 6);
    for row in rows {
        let value = |name: &str| &row["values"][index(name)];
        let (plan, hw) = (value("plan").as_str().unwrap(), value("hw").as_str().unwrap());
        run(
            path,
            &[
                "run", "lenet5", "--plan", plan, "--hw", hw, "--images", "50", "--json", "r.json",
                "--quiet",
            ],
        );
        let report = read("r.json");
        let totals = &report["totals"];
        for name in [
            "cycles",
            "compute_cycles",
            "stall_cycles",
            "dense_cycles",
            "cycles_saved",
            "latency_s",
            "images_per_second",
            "gops",
            "gops_per_watt",
            "utilization",
        ] {
            assert_eq!(value(name), &totals[name], "{plan} {hw} {name}");
        }
        assert_eq!(value("energy_pj"), &totals["energy_pj"]["total"]);
        assert_eq!(value("accuracy"), &report["accuracy"]["quantized"]["top1"]);
        assert_eq!(value("accuracy_low"), &report["accuracy"]["quantized"]["ci95"][0]);
        assert_eq!(value("float_accuracy"), &report["accuracy"]["float"]["top1"]);
        assert_eq!(value("agreement"), &report["accuracy"]["agreement"]);
        let dram = &totals["traffic_bytes"]["dram"];
        let bytes = dram["read"].as_f64().unwrap() + dram["write"].as_f64().unwrap();
        assert_eq!(value("dram_bytes").as_f64(), Some(bytes));
        assert_eq!(value("sparsity_activations"), &totals["sparsity"]["activations"]);
    }
}

/// Killed twenty times at moments spread over its run, a sweep that is resumed gives the bytes of
/// one that was left alone.
#[test]
fn a_killed_sweep_loses_nothing() {
    let folder = folder(SPACE);
    let path = folder.path();
    let start = Instant::now();
    run(path, &["sweep", "space.toml", "--out", "whole.journal", "--csv", "whole.csv", "--quiet"]);
    let whole = start.elapsed();
    let mut finished = Vec::new();
    for kill in 0..20_u32 {
        let mut child = bittrue(
            path,
            &["sweep", "space.toml", "--out", "killed.journal", "--resume", "--quiet"],
        )
        .spawn()
        .unwrap();
        // From at once to nearly done; in steps that share no rhythm with the work.
        let wait = whole.mul_f64(f64::from(kill * 7 % 20) / 20.0);
        std::thread::sleep(wait.min(Duration::from_secs(20)));
        child.kill().unwrap();
        child.wait().unwrap();
        let journal = fs::read(path.join("killed.journal")).unwrap_or_default();
        finished.push(journal.iter().filter(|&&byte| byte == b'\n').count());
    }
    assert!(finished.windows(2).all(|pair| pair[0] <= pair[1]), "{finished:?}");
    run(
        path,
        &[
            "sweep",
            "space.toml",
            "--out",
            "killed.journal",
            "--resume",
            "--csv",
            "killed.csv",
            "--quiet",
        ],
    );
    let read = |name: &str| fs::read(path.join(name)).unwrap();
    assert_eq!(read("whole.csv"), read("killed.csv"));
    // On any number of threads.
    run(
        path,
        &[
            "sweep",
            "space.toml",
            "--out",
            "one.journal",
            "--csv",
            "one.csv",
            "--quiet",
            "--threads",
            "1",
        ],
    );
    assert_eq!(read("whole.csv"), read("one.csv"));
    let table = rows(&String::from_utf8(read("whole.csv")).unwrap());
    assert_eq!(table.len(), 1 + 2 * 3 * 6 * 3);
}

#[test]
fn shards_merge_to_the_whole() {
    let folder = folder(SPACE);
    let path = folder.path();
    run(path, &["sweep", "space.toml", "--csv", "whole.csv", "--quiet"]);
    for shard in ["1/3", "2/3", "3/3"] {
        let out = format!("{}.journal", &shard[..1]);
        run(path, &["sweep", "space.toml", "--shard", shard, "--out", &out, "--quiet"]);
    }
    let printed =
        run(path, &["sweep", "merge", "all.journal", "3.journal", "1.journal", "2.journal"]);
    assert!(printed.contains("108 of 108"), "{printed}");
    run(
        path,
        &["sweep", "space.toml", "--out", "all.journal", "--resume", "--csv", "all.csv", "--quiet"],
    );
    let read = |name: &str| fs::read(path.join(name)).unwrap();
    assert_eq!(read("whole.csv"), read("all.csv"));
    refused(path, &["sweep", "merge", "all.journal", "1.journal"], &["exists already"]);
}

/// The front of the table is what no row of it beats.
#[test]
fn the_front_is_marked() {
    let folder = folder(SPACE);
    let path = folder.path();
    let printed =
        run(path, &["sweep", "space.toml", "--csv", "t.csv", "--pareto", "cycles,energy_pj"]);
    assert!(printed.contains("on the Pareto front"), "{printed}");
    let table = rows(&fs::read_to_string(path.join("t.csv")).unwrap());
    let index = |name: &str| table[0].iter().position(|column| column == name).unwrap();
    let (cycles, energy, front) = (index("cycles"), index("energy_pj"), index("front"));
    let pair = |row: &Vec<String>| [cycles, energy].map(|i| row[i].parse::<f64>().unwrap());
    for row in &table[1..] {
        let beaten = table[1..].iter().map(pair).any(|other| {
            let own = pair(row);
            other[0] <= own[0] && other[1] <= own[1] && other != own
        });
        assert_eq!(row[front] == "true", !beaten);
    }
    refused(path, &["sweep", "space.toml", "--resume", "--pareto", "cycles,colour"], &["`colour`"]);
    refused(path, &["sweep", "space.toml", "--resume", "--pareto", "cycles"], &["two or three"]);
}

#[test]
fn what_cannot_be_swept_is_refused() {
    for (space, parts) in [
        ("[axes]\nhw.array.rowz = [1]", &["axis `hw.array.rowz`", "leads to no key", "rows"][..]),
        ("[axes]\nhw.memory.cache.banks = [1]", &["hw.memory.cache.banks", "global_buffer"]),
        ("[axes]\nplan.rule.\"*.weights\".quantizer.bits = [1]", &["quantizer.bits", "format"]),
        (
            "[axes]\nhw.array.rows = [8]\n[[constraint]]\nrequire = \"dsp <= 1\"",
            &["none of 1 points", "dsp <= 1"],
        ),
        (
            "images = 1\n[axes]\nhw.array.rows = [8]\n[[constraint]]\nrequire = \"cycles <= 1\"",
            &["none of 1 finished", "cycles <= 1"],
        ),
        (
            "[axes]\nhw.array.rows = [8]\n[[constraint]]\nrequire = \"colour <= 1\"",
            &["column `colour`", "energy_pj"],
        ),
        (
            "images = 1\n[axes]\nhw.array.rows = [0, -3]",
            &["all 2 finished points were refused", "point 0", "rows"],
        ),
        ("network = \"lenet6\"", &["lenet6"]),
        ("images = 20000", &["20000", "10000"]),
        ("[axes]\nhw = [3]", &["`hw`", "no name or file"]),
        ("[axes", &["space.toml"]),
    ] {
        let folder = folder(space);
        refused(folder.path(), &["sweep", "space.toml"], parts);
    }
    let folder = folder("images = 1\n[axes]\nhw.array.rows = [8]");
    let path = folder.path();
    refused(path, &["sweep", "absent.toml"], &["absent.toml"]);
    refused(path, &["sweep", "space.toml", "--out", "absent/journal"], &["absent/journal"]);
    refused(path, &["sweep", "space.toml", "--shard", "3/2"], &["shard `3/2`"]);
    run(path, &["sweep", "space.toml", "--quiet"]);
    refused(path, &["sweep", "space.toml"], &["already", "--resume"]);
    fs::write(path.join("space.toml"), "images = 2\n[axes]\nhw.array.rows = [8]").unwrap();
    refused(path, &["sweep", "space.toml", "--resume"], &["another sweep"]);
}

/// Where the disk is full the sweep ends with an error, what was finished stays, and with room again
/// it goes on. A limit on the size of files stands in for the disk.
#[cfg(unix)]
#[test]
fn a_full_disk_keeps_what_was_finished() {
    let folder = folder(SPACE);
    let path = folder.path();
    let sweep = format!(
        "trap '' XFSZ; ulimit -f 16; exec {} sweep space.toml --resume --quiet",
        env!("CARGO_BIN_EXE_bittrue")
    );
    let output = Command::new("sh").args(["-c", &sweep]).current_dir(path).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("space.journal") && stderr.contains("--resume"), "{stderr}");
    let journal = fs::read(path.join("space.journal")).unwrap();
    run(path, &["sweep", "space.toml", "--resume", "--csv", "t.csv", "--quiet"]);
    assert!(fs::read(path.join("space.journal")).unwrap().starts_with(&whole_lines(&journal)));
    assert_eq!(rows(&fs::read_to_string(path.join("t.csv")).unwrap()).len(), 1 + 108);
}

/// The bytes up to the last end of a line.
fn whole_lines(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    bytes[..end].to_vec()
}

/// A device has no end that could be read to.
#[cfg(unix)]
#[test]
fn a_device_is_no_journal() {
    let folder = folder("images = 1\n[axes]\nhw.array.rows = [8]");
    for device in ["/dev/zero", "/dev/null"] {
        let arguments = ["sweep", "space.toml", "--out", device, "--resume"];
        refused(folder.path(), &arguments, &[device, "no regular file"]);
    }
}

#[test]
fn points_that_are_no_design_are_told_and_the_others_run() {
    let space = "images = 5\n[axes]\nhw = [\"systolic_ws_16x16\", \"lanes_act_16x16\"]\n\
                 \"hw.zeros.activations\" = [\"gate\", \"skip\"]\n";
    let folder = folder(space);
    let printed = run(folder.path(), &["sweep", "space.toml"]);
    assert!(printed.contains("3 finished, 1 refused") && printed.contains("lockstep"), "{printed}");
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// LeNet-5 has 61 470 weights and 236 biases; half of each layer's weights pruned are half of all,
/// and what rounds to zero besides.
#[test]
fn zeros_are_counted_and_pruned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let printed = run(
        path,
        &[
            "sparsity",
            "lenet5",
            "--images",
            "20",
            "--prune",
            "0.5",
            "--thresholds",
            "--loss",
            "0.1",
            "--json",
            "s.json",
            "--csv",
            "s.csv",
        ],
    );
    assert!(printed.contains("as it is") && printed.contains("pruned to"), "{printed}");
    let found = json(&path.join("s.json"));
    let total = &found["total"];
    assert_eq!(
        (total["weights"]["words"].as_u64(), total["bias"]["words"].as_u64()),
        (Some(61_470), Some(236))
    );
    // Of each image conv1 reads 28², conv2 6 · 14², and the dense layers 400, 120 and 84 words.
    assert_eq!(total["activations"]["words"].as_u64(), Some(20 * (784 + 1176 + 400 + 120 + 84)));
    for operand in ["weights", "bias", "activations"] {
        let counts = &total[operand];
        let histogram: u64 =
            counts["histogram"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(Some(histogram), counts["words"].as_u64());
        assert_eq!(counts["histogram"][0], counts["zeros"]);
    }
    for layer in found["layers"].as_array().unwrap() {
        let mean = |key: &str| {
            let values: Vec<f64> =
                layer[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        let fraction = |operand: &str| {
            layer[operand]["zeros"].as_f64().unwrap() / layer[operand]["words"].as_f64().unwrap()
        };
        for (operand, by) in [
            ("weights", "weight_zeros_by_channel"),
            ("weights", "weight_zeros_by_position"),
            ("activations", "activation_zeros_by_channel"),
            ("activations", "activation_zeros_by_position"),
        ] {
            assert!((mean(by) - fraction(operand)).abs() < 1e-12, "{by}");
        }
    }
    let pruned = &found["pruned"];
    assert!(pruned["weights"].as_f64().unwrap() >= 0.5);
    assert!(found["takes"]["energy_pj"].as_f64() > pruned["takes"]["energy_pj"].as_f64());
    let thresholds = &found["thresholds"];
    let tuned = thresholds["tuning"]["hits"].as_u64().unwrap();
    for layer in thresholds["layers"].as_array().unwrap() {
        assert!(layer["score"]["hits"].as_u64().unwrap() + 1 >= tuned, "at most one of ten lost");
        assert!(layer["word"].as_u64().unwrap() >= 1);
    }
    assert!(thresholds["takes"]["cycles"].as_f64() < found["takes"]["cycles"].as_f64());
    refused(path, &["sparsity", "lenet5", "--prune", "2"], &["--prune"]);
    refused(path, &["sparsity", "fcnet", "--thresholds"], &["--thresholds", "images"]);
}

#[test]
fn sensitivity_has_every_layer_and_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let arguments = [
        "sensitivity",
        "lenet5",
        "--images",
        "40",
        "--widths",
        "2..3",
        "--kinds",
        "extrinsic,intrinsic",
        "--roundings",
        "half_even,floor",
        "--thresholds",
        "0.05",
        "--calibration",
        "32",
        "--json",
        "s.json",
    ];
    let printed = run(path, &arguments);
    assert!(printed.contains("conv1") && printed.contains("intrinsic"), "{printed}");
    let found = json(&path.join("s.json"));
    let experiments = found["experiments"].as_array().unwrap();
    // Five layers and all of them; two kinds, widths and roundings, and a threshold.
    assert_eq!(experiments.len(), 6 * (2 * 2 * 2 + 1));
    let sqnr = |layer: Option<&str>, bits: u64| {
        let one = experiments.iter().find(|e| {
            e["layer"].as_str() == layer
                && e["bits"] == bits
                && e["kind"] == "extrinsic"
                && e["rounding"] == "half_even"
        });
        one.unwrap()["score"]["sqnr_db"].as_f64().unwrap()
    };
    let base = found["base"]["sqnr_db"].as_f64().unwrap();
    for layer in [Some("conv1"), Some("conv2"), Some("fc1"), Some("fc2"), Some("fc3"), None] {
        assert!(base > sqnr(layer, 3).max(sqnr(layer, 2)), "{layer:?}");
    }
    // One layer's error can pass the later ones better by chance; not that of all.
    assert!(sqnr(None, 3) > sqnr(None, 2));
    let again = run(path, &arguments);
    assert_eq!(printed, again);
    refused(path, &["sensitivity", "lenet5", "--widths", "8..2"], &["--widths"]);
    refused(path, &["sensitivity", "lenet5", "--kinds", "all"], &["`all`", "extrinsic"]);
    refused(path, &["sensitivity", "fcnet"], &["fcnet"]);
}

/// The plan that the search writes gives the accuracy that it states, accumulators narrowed and all.
#[test]
fn the_plan_that_is_found_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    run(
        path,
        &[
            "search",
            "lenet5",
            "--images",
            "200",
            "--loss",
            "0.05",
            "--generations",
            "1",
            "--population",
            "4",
            "--calibration",
            "32",
            "--narrowest",
            "3",
            "--out",
            "found.toml",
            "--json",
            "s.json",
            "--quiet",
        ],
    );
    let found = json(&path.join("s.json"));
    let (eight, chosen) = (&found["eight_bits"], &found["chosen"]);
    let bits = |c: &serde_json::Value| {
        c["weight_bits"].as_u64().unwrap() + c["activation_bits"].as_u64().unwrap()
    };
    assert!(bits(chosen) < bits(eight));
    assert_eq!(eight["weight_bits"].as_u64(), Some(61_470 * 8));
    run(
        path,
        &[
            "run",
            "lenet5",
            "--plan",
            "found.toml",
            "--images",
            "200",
            "--json",
            "r.json",
            "--quiet",
        ],
    );
    let report = json(&path.join("r.json"));
    let hits = ["tuning", "held_out"].map(|split| chosen[split]["hits"].as_u64().unwrap());
    let top1 = report["accuracy"]["quantized"]["top1"].as_f64().unwrap();
    assert_eq!((top1 * 200.0).round() as u64, hits.iter().sum::<u64>());
    for layer in report["layers"].as_array().unwrap() {
        assert_eq!(layer["overflow"]["sites"]["accumulator"]["saturated"].as_u64(), Some(0));
    }
    refused(path, &["search", "fcnet"], &["fcnet"]);
    refused(path, &["search", "lenet5", "--cost", "money"], &["money", "energy"]);
}
