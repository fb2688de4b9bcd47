//! `bittrue search`.

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
