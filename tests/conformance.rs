//! The backend cases of the `onnx` package, as `tests/conformance/collect.py` writes them, and the
//! table of them in `docs/conformance.md`.
//!
//! `make conformance` makes the cases and runs this test; without them it is skipped. With
//! `BITTRUE_UPDATE=1` it writes the table.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use bittrue::hardware::Hardware;
use bittrue::network::{self, Model, Op, float};
use bittrue::quantize::lower_encoded;
use bittrue::simulate::BoundNetwork;
use bittrue::{Error, Result};
use ndarray::{Array4, ArrayD};
use ndarray_npy::ReadNpyExt;

/// Tolerances of the package's own runner.
const RELATIVE: f32 = 1e-3;
const ABSOLUTE: f32 = 1e-7;

fn npy(path: &Path) -> ArrayD<f32> {
    ArrayD::read_npy(std::fs::File::open(path).unwrap()).unwrap()
}

/// Outputs of all images of a case, one after the other.
fn outputs(model: &Model, input: &ArrayD<f32>) -> Result<Vec<f32>> {
    let shape = model.network.nodes.iter().find(|node| node.op == Op::Input).unwrap().shape;
    let images = input.len() / shape.len();
    if images * shape.len() != input.len() || images == 0 {
        return Err(Error::new("input", "does not hold whole images"));
    }
    let values: Vec<f32> = input.iter().copied().collect();
    let parameters = model.parameters.as_ref().unwrap();
    let Some(quantization) = &model.quantization else {
        let dimensions = (images, shape.channels, shape.height, shape.width);
        let batch = Array4::from_shape_vec(dimensions, values).unwrap();
        return Ok(float::infer(&model.network, parameters, batch.view())?.into_iter().collect());
    };
    let lowered = lower_encoded(&model.network, parameters, quantization)?;
    let hardware = Hardware::open(Hardware::DEFAULT)?;
    let bound = BoundNetwork::bind(&lowered.network, &hardware.datapath, 0)?;
    let mut state = bound.state();
    let mut found = Vec::new();
    for (image, values) in values.chunks(shape.len()).enumerate() {
        bound.quantize_input(values, image, &mut state)?;
        bound.run_image(image, &mut state);
        found.extend(bound.outputs(&state));
    }
    Ok(found)
}

/// `passed`, or why a case is refused.
fn verdict(folder: &Path) -> std::result::Result<String, String> {
    let refused = |error: Error| format!("refused: {error}").replace('|', "\\|");
    let (input, expected) = (npy(&folder.join("input.npy")), npy(&folder.join("output.npy")));
    let bytes = std::fs::read(folder.join("model.onnx")).unwrap();
    let model = match network::onnx::parse("model", &bytes, folder) {
        Ok(model) => model,
        Err(error) => return Ok(refused(error)),
    };
    let found = match outputs(&model, &input) {
        Ok(found) => found,
        Err(error) => return Ok(refused(error)),
    };
    if found.len() != expected.len() {
        return Err(format!("{} outputs, {} expected", found.len(), expected.len()));
    }
    let near = |(found, expected): (&f32, &f32)| {
        (found - expected).abs() <= ABSOLUTE + RELATIVE * expected.abs() || found == expected
    };
    match found.iter().zip(&expected).position(|pair| !near(pair)) {
        None => Ok("passed".into()),
        Some(at) => {
            let expected = expected.iter().nth(at).unwrap();
            Err(format!("output {at} is {}, expected {expected}", found[at]))
        }
    }
}

fn table(verdicts: &BTreeMap<String, String>) -> String {
    let passed = verdicts.values().filter(|verdict| *verdict == "passed").count();
    let mut text = format!(
        "# Conformance\n\nThe backend cases of the `onnx` package 1.23.2 for the operators that are \
         read, each with its first input\nas the network's input and the others as initializers, \
         its first output alone, and a batch of one where\nits operator knows none \
         (`tests/conformance/collect.py`; `make conformance` makes the cases, and\n\
         `tests/conformance.rs` runs them and holds this table against them). {passed} of {} pass, none\n\
         fails, the others are refused for the reason given.\n\n\
         | case | |\n| --- | --- |\n",
        verdicts.len()
    );
    for (case, verdict) in verdicts {
        writeln!(text, "| {case} | {verdict} |").unwrap();
    }
    text
}

#[test]
fn the_table_is_true_and_no_case_fails() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let cases = std::env::var_os("BITTRUE_CONFORMANCE")
        .map_or_else(|| root.join("target/conformance"), PathBuf::from);
    let Ok(names) = std::fs::read_to_string(cases.join("cases.txt")) else {
        eprintln!("skipped: no cases; `make conformance` makes them");
        return;
    };
    let (mut verdicts, mut failures) = (BTreeMap::new(), Vec::new());
    for name in names.lines() {
        match verdict(&cases.join(name)) {
            Ok(verdict) => {
                verdicts.insert(name.to_owned(), verdict);
            }
            Err(problem) => failures.push(format!("{name}: {problem}")),
        }
    }
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
    let document = root.join("docs/conformance.md");
    let text = table(&verdicts);
    if std::env::var_os("BITTRUE_UPDATE").is_some() {
        std::fs::write(&document, &text).unwrap();
    }
    let found = std::fs::read_to_string(&document).unwrap_or_default();
    assert_eq!(found, text, "docs/conformance.md is out of date: run with BITTRUE_UPDATE=1");
}
