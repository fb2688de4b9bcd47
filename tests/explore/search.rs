//! `bittrue search`.

use std::fs;

use crate::{json, refused, run};

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

/// A threshold is a fraction of the largest word, rounded up to a word. The plan that states it gives the
/// accuracy of the search, and more zeros and fewer cycles than the same plan without thresholds.
#[test]
fn thresholds_that_are_found_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let files = ["--out", "found.toml", "--json", "s.json", "--quiet"];
    let search = |cost: &str, generations: &str| {
        let what = ["search", "lenet5", "--cost", cost, "--thresholds", "--narrowest", "5"];
        let few = ["--images", "200", "--loss", "0.05", "--calibration", "32"];
        let short = ["--generations", generations, "--population", "4"];
        run(path, &[&what[..], &few, &short, &files].concat());
        json(&path.join("s.json"))
    };
    let found = search("energy", "1");
    let [eight, chosen] = [&found["eight_bits"], &found["chosen"]];
    assert!(chosen["energy_pj"].as_f64() < eight["energy_pj"].as_f64());
    let sites = found["sites"].as_array().unwrap();
    let fractions = chosen["thresholds"].as_array().unwrap();
    assert_eq!(fractions.len(), sites.len());
    let mut thresholds = 0;
    for (site, fraction) in sites.iter().zip(fractions) {
        let fraction = fraction.as_f64().unwrap();
        let Some(value) = site["threshold"].as_f64() else {
            assert_eq!(fraction, 0.0, "{site}");
            continue;
        };
        assert!(site["site"] == "output" && site["layer"] != "fc3", "{site}");
        assert!([64.0, 32.0, 16.0, 8.0, 4.0].contains(&(1.0 / fraction)), "{fraction}");
        let (bits, point) = site["format"].as_str().unwrap()[1..].split_once('f').unwrap();
        let signed = site["format"].as_str().unwrap().starts_with('s');
        let largest = 2f64.powi(bits.parse::<i32>().unwrap() - i32::from(signed)) - 1.0;
        let word = value * 2f64.powi(point.parse().unwrap());
        assert!(word.fract() == 0.0 && word > 1.0, "{site}");
        let exact = fraction * largest;
        assert!(word - 1.0 < exact && exact <= word, "{site} {fraction}");
        thresholds += 1;
    }
    assert!(thresholds > 0);

    let plan = fs::read_to_string(path.join("found.toml")).unwrap();
    assert_eq!(plan.matches("\"threshold\"").count(), thresholds);
    // Without the second quantizer of each list.
    let dense: String = (plan.lines())
        .map(|line| match line.split_once(", { kind = \"threshold\"") {
            Some((fixed, _)) => format!("{}\n", fixed.replacen('[', "", 1)),
            None => format!("{line}\n"),
        })
        .collect();
    fs::write(path.join("dense.toml"), dense).unwrap();
    let reports = ["found.toml", "dense.toml"].map(|plan| {
        let run_plan = ["run", "lenet5", "--plan", plan, "--images", "200", "--quiet"];
        run(path, &[&run_plan[..], &["--json", "r.json"]].concat());
        json(&path.join("r.json"))
    });
    let hits = ["tuning", "held_out"].map(|split| chosen[split]["hits"].as_u64().unwrap());
    let top1 = reports[0]["accuracy"]["quantized"]["top1"].as_f64().unwrap();
    assert_eq!((top1 * 200.0).round() as u64, hits.iter().sum::<u64>());
    let [sparse, dense] = [0, 1].map(|plan| &reports[plan]["totals"]);
    let zeros = |totals: &serde_json::Value| totals["sparsity"]["activations"].as_f64();
    assert!(zeros(sparse) > zeros(dense));
    assert!(sparse["cycles"].as_f64() < dense["cycles"].as_f64());

    let found = search("cycles", "0");
    assert!(found["chosen"]["cycles"].as_f64() < found["eight_bits"]["cycles"].as_f64());
}

#[test]
fn thresholds_that_save_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let thresholds = ["search", "lenet5", "--thresholds"];
    for (more, parts) in [
        (&[][..], &["--thresholds", "no bits", "--cost energy"][..]),
        (
            &["--cost", "energy", "--hw", "zynq7020"],
            &["--thresholds", "multiplies", "lanes_act_16x16"],
        ),
        (&["--cost", "cycles", "--hw", "systolic_ws_16x16"], &["no cycles", "--cost energy"]),
    ] {
        refused(folder.path(), &[&thresholds[..], more].concat(), parts);
    }
}
