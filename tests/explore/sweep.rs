//! `bittrue sweep`.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{bittrue, json, refused, run};

const SPACE: &str = include_str!("../data/spaces/lenet5_arrays.toml");

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
    let table = json(&path.join("table.json"));
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
        let report = json(&path.join("r.json"));
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
        let slices = report["resources"].as_array().unwrap();
        let array = slices.iter().find(|family| family["dsp"] == "DSP48E1").unwrap();
        for (name, key) in [("dsp", "dsps"), ("luts", "luts"), ("flip_flops", "ffs")] {
            assert_eq!(value(name), &array[key], "{plan} {hw} {name}");
        }
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

/// A Zynq-7020 has 220 DSP slices and 53 200 lookup tables (DS190). By the formulas of docs/hardware.md
/// an element of 4 bits with an accumulator of 32 that saturates takes 31 + 32 + 46 lookup tables and 52
/// flip-flops, one of 8 bits a slice, 46 and 36; each of 16 banks of 16 KB takes 4 blocks.
#[test]
fn what_does_not_fit_the_device_does_not_run() {
    let space = "plan = \"int4\"\nimages = 1\n[[linked]]\n\
                 keys = [\"hw.array.rows\", \"hw.array.columns\", \"hw.datapath.bits.weights\", \
                 \"hw.datapath.bits.activations\"]\n\
                 values = [[16, 30, 4, 4], [16, 31, 4, 4], [10, 22, 8, 8], [13, 17, 8, 8]]\n\
                 [[constraint]]\nfits = \"zynq7020\"\n";
    let folder = folder(space);
    let path = folder.path();
    run(path, &["sweep", "space.toml", "--json", "table.json", "--quiet"]);
    let table = json(&path.join("table.json"));
    assert_eq!(table["left_out"], 2);
    let columns = table["columns"].as_array().unwrap();
    let rows = table["rows"].as_array().unwrap().iter();
    let found: Vec<_> = rows
        .map(|row| {
            let value = |name: &str| {
                row["values"][columns.iter().position(|c| c["name"] == name).unwrap()].as_u64()
            };
            let area = ["dsp", "luts", "flip_flops", "bram36"].map(|name| value(name).unwrap());
            (row["point"].as_u64().unwrap(), area)
        })
        .collect();
    assert_eq!(found, [(0, [0, 52_320, 24_960, 64]), (2, [220, 10_120, 7_920, 64])]);
    let journal = fs::read_to_string(path.join("space.journal")).unwrap();
    assert_eq!(journal.lines().count(), 1 + 2, "{journal}");
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
