//! `bittrue sensitivity`.

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
