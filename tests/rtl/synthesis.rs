//! Resources of the element by Yosys, beside the committed table and the estimate of `cost`.

use std::fs;
use std::process::Command;

use bittrue::cost::{DspSlice, element};

use crate::tools::{ready, run, sources, work};

/// A line of `synthesis.csv`.
struct Row {
    bits: u32,
    accumulator: u32,
    /// `wrap` or `saturate`.
    overflow: String,
    /// DSP, LUT, FF, CARRY4.
    counts: [u32; 4],
}

fn table() -> Vec<Row> {
    let text = fs::read_to_string(sources().join("synthesis.csv")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |field: usize| fields[field].parse().unwrap();
        Row {
            bits: number(0),
            accumulator: number(1),
            overflow: fields[2].to_owned(),
            counts: [3, 4, 5, 6].map(number),
        }
    };
    lines.map(row).collect()
}

/// Cells of the last `stat` of a log, by name.
fn cells(log: &str) -> [u32; 4] {
    let start = log.rfind("Number of cells").expect("stat prints cells");
    let mut counts = [0; 4];
    for line in log[start..].lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [name, count] = fields[..] else { continue };
        let Ok(count) = count.parse::<u32>() else { continue };
        let kind = match name {
            "DSP48E1" => 0,
            "LUT1" | "LUT2" | "LUT3" | "LUT4" | "LUT5" | "LUT6" | "INV" => 1,
            _ if name.starts_with("FD") => 2,
            "CARRY4" => 3,
            _ => continue,
        };
        counts[kind] += count;
    }
    counts
}

#[test]
fn yosys_gives_the_committed_table() {
    if !ready("synthesis", &["yosys"]) {
        return;
    }
    let folder = work("synthesis");
    let design = sources().join("design");
    let version = run(Command::new("yosys").arg("-V")).0;
    let committed = fs::read_to_string(sources().join("synthesis.csv")).unwrap();
    let made_by = committed.split("Yosys ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    if !version.starts_with(&format!("Yosys {made_by} ")) {
        println!("skipped: the table is of Yosys {made_by}, this is {version}");
        return;
    }
    for row in table() {
        let mode = usize::from(row.overflow == "saturate");
        let log = folder.join(format!("{}_{}.log", row.bits, row.overflow));
        let script = format!(
            "read_verilog -sv codes_pkg.sv round_up.sv fit.sv cast.sv multiply.sv accumulate.sv \
             bias_cast.sv finish.sv mac.sv synth.sv; chparam -set BITS {} -set OVERFLOW {mode} \
             synth; synth_xilinx -family xc7 -flatten -top synth; tee -o {} stat",
            row.bits,
            log.display()
        );
        run(Command::new("yosys").current_dir(&design).args(["-q", "-p", &script]));
        let found = cells(&fs::read_to_string(log).unwrap());
        assert_eq!(found, row.counts, "{} bits, {}", row.bits, row.overflow);
    }
}

/// The error that `docs/hardware.md` states.
#[test]
fn the_estimate_is_within_its_stated_error() {
    for row in table() {
        let overflow = row.overflow.parse().unwrap();
        let estimate = element(&DspSlice::E1, [row.bits, row.bits, row.accumulator], overflow);
        let [dsp, lut, ff, _] = row.counts;
        let luts = estimate.element_luts;
        println!("{} bits, {overflow}: {luts} of {lut} LUT", row.bits);
        assert_eq!([estimate.element_dsps, estimate.element_ffs], [dsp, ff]);
        assert!(100 * luts.abs_diff(lut) <= 6 * lut, "{luts} of {lut} LUT");
    }
}
