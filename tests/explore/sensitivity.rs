//! `bittrue sensitivity`.

use std::fs;

use crate::{json, refused, run};

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

/// A binary point is one more value of the same experiment; the calibrated one gives the results without
/// the option.
#[test]
fn binary_points_are_varied() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let of = |points: &[&str]| {
        let small = ["sensitivity", "lenet5", "--images", "40", "--calibration", "32"];
        let kinds = ["--widths", "3..4", "--kinds", "weights,intrinsic", "--thresholds", "0.1"];
        let files = ["--json", "s.json", "--csv", "s.csv"];
        let printed = run(path, &[&small[..], &kinds, &files, points].concat());
        let found = json(&path.join("s.json"))["experiments"].as_array().unwrap().clone();
        (printed, found, fs::read_to_string(path.join("s.csv")).unwrap())
    };
    let (_, calibrated, _) = of(&[]);
    let (printed, all, csv) = of(&["--points", "-3..3"]);
    assert!(printed.contains("-3") && printed.contains("+3"), "{printed}");
    // Five layers and all of them; two kinds, two widths and seven points, and a threshold.
    assert_eq!(all.len(), 6 * (2 * 2 * 7 + 1));
    let own = |e: &&serde_json::Value| e["point"].is_null() || e["point"] == 0;
    assert_eq!(all.iter().filter(own).collect::<Vec<_>>(), calibrated.iter().collect::<Vec<_>>());
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    assert_eq!(header[..5], ["layer", "kind", "bits", "point", "rounding"]);
    // Weights of least squared error lose the least noise near the calibrated point.
    let sqnr = |point: i64| {
        let one = all.iter().find(|e| {
            e["layer"].is_null() && e["kind"] == "weights" && e["bits"] == 4 && e["point"] == point
        });
        one.unwrap()["score"]["sqnr_db"].as_f64().unwrap()
    };
    assert!(sqnr(0) > sqnr(-3).max(sqnr(3)) + 3.0, "{} {} {}", sqnr(-3), sqnr(0), sqnr(3));
    for (points, part) in [("2..-2", "no range"), ("-2..x", "no range"), ("-40..0", "-8 to 8")] {
        refused(path, &["sensitivity", "lenet5", "--points", points], &["--points", part]);
    }
    // Far from the calibrated point words are clipped or zero, and nothing else.
    let far = ["sensitivity", "lenet5", "--images", "4", "--calibration", "8", "--widths", "2"];
    run(path, &[&far[..], &["--points", "-8..8", "--kinds", "extrinsic,intrinsic"]].concat());
}
