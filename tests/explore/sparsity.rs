//! `bittrue sparsity`.

use crate::{json, refused, run};

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
