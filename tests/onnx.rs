//! Small ONNX models, float and quantized, against ONNX Runtime 1.32 (`data/onnx/make.py`); damaged
//! copies of them; what models are refused for.
//!
//! With `BITTRUE_ONNX=folder`, the models of another folder made by the same script.

mod damage;

use std::path::{Path, PathBuf};

use bittrue::hardware::Hardware;
use bittrue::network::{Model, Op, float, onnx};
use bittrue::quantize::lower_encoded;
use bittrue::simulate::BoundNetwork;
use bittrue::{Error, Result};
use ndarray::{Array4, ArrayD};
use ndarray_npy::ReadNpyExt;

use damage::Damage;
use rten_onnx::onnx::{AttributeProto, AttributeType, ModelProto, TensorProto};

/// By how much a float output may differ, of the largest.
const FLOAT_TOLERANCE: f32 = 1e-5;
/// Steps by which a word of pairs may differ, and the scale's own rounding.
const STEPS: f32 = 1.001;

fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx")
}

/// Names of the models of a folder.
fn names(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let files = files.map(|name| name.into_string().unwrap());
    let mut names: Vec<String> =
        files.filter_map(|name| name.strip_suffix(".onnx").map(str::to_owned)).collect();
    names.sort();
    names
}

/// The values of a file of uint8 or float32, by image.
fn images(path: &Path) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let array = ArrayD::<f32>::read_npy(&bytes[..])
        .or_else(|_| ArrayD::<u8>::read_npy(&bytes[..]).map(|words| words.mapv(f32::from)))
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    array.outer_iter().map(|image| image.iter().copied().collect()).collect()
}

/// A network that is ready to run, as words or in float32.
enum Ready<'a> {
    Words(Box<BoundNetwork>),
    Float(&'a Model),
}

fn ready(model: &Model) -> Result<Ready<'_>> {
    let parameters = model.parameters.as_ref().unwrap();
    let Some(quantization) = &model.quantization else { return Ok(Ready::Float(model)) };
    let network = lower_encoded(&model.network, parameters, quantization)?.network;
    let datapath = Hardware::open(Hardware::DEFAULT)?.datapath;
    Ok(Ready::Words(Box::new(BoundNetwork::bind(&network, &datapath, 1)?)))
}

fn run(network: &Ready, image: Vec<f32>) -> Result<Vec<f32>> {
    match network {
        Ready::Words(network) => {
            let mut state = network.state();
            network.quantize_input(&image, 0, &mut state)?;
            network.run_image(0, &mut state);
            Ok(network.outputs(&state))
        }
        Ready::Float(model) => {
            let shape = input(model);
            let sizes = (1, shape.channels, shape.height, shape.width);
            let batch = Array4::from_shape_vec(sizes, image).unwrap();
            let parameters = model.parameters.as_ref().unwrap();
            let outputs = float::infer(&model.network, parameters, batch.view())?;
            Ok(outputs.into_iter().collect())
        }
    }
}

fn input(model: &Model) -> bittrue::tensor::Shape {
    model.network.nodes.iter().find(|node| node.op == Op::Input).unwrap().shape
}

/// An image as the network takes it: channels first, whatever the model's order.
fn channels_first(name: &str, model: &Model, image: &[f32]) -> Vec<f32> {
    let shape = input(model);
    let at = |at: usize| match name.starts_with("channels_last") {
        true => image[at % shape.pixels() * shape.channels + at / shape.pixels()],
        false => image[at],
    };
    (0..shape.len()).map(at).collect()
}

/// What is wrong with a model's outputs, if anything is.
fn compare(folder: &Path, name: &str) -> Result<()> {
    let model = onnx::read(&folder.join(format!("{name}.onnx")))?;
    let network = ready(&model)?;
    let base = name.split('-').next().unwrap();
    let expected = images(&folder.join(format!("{name}_output.npy")));
    let largest = expected.iter().flatten().fold(0f32, |most, value| most.max(value.abs()));
    let last = model.network.nodes.len() - 1;
    let step = match &model.quantization {
        None => FLOAT_TOLERANCE * largest,
        Some(quantization) if name.contains("pairs") => {
            STEPS * quantization.outputs[&last].scale(0)
        }
        Some(_) => 0.0,
    };
    let (mut wrong, mut apart, mut most) = (0, 0, 0f32);
    let inputs = images(&folder.join(format!("{base}_input.npy")));
    assert_eq!(inputs.len(), expected.len(), "{name}");
    for (image, expected) in inputs.iter().zip(&expected) {
        let found = run(&network, channels_first(name, &model, image))?;
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(expected) {
            let difference = (found - expected).abs();
            wrong += usize::from(difference > step || difference.is_nan());
            apart += usize::from(difference > 0.0);
            most = f32::max(most, difference);
        }
    }
    let outputs = expected.len() * expected[0].len();
    if model.quantization.is_some() && apart > 0 {
        println!("{name}: {apart} of {outputs} differ, by {most} at most (a step is {step})");
    }
    if wrong > 0 {
        let problem = format_args!("{wrong} of {outputs} outputs differ, by {most} at most");
        return Err(Error::new(name, problem));
    }
    Ok(())
}

/// Float networks to the rounding of their sums. Quantized operators: the runtime's words. Pairs are
/// float32 in the runtime, integers here: a word may be one step away (`docs/runtimes.md`).
#[test]
fn outputs_are_those_of_the_runtime() {
    let folder = std::env::var_os("BITTRUE_ONNX").map_or_else(own, PathBuf::from);
    let names = names(&folder);
    assert!(names.len() >= 50, "{} models", names.len());
    let failures: Vec<String> = (names.iter())
        .filter_map(|name| compare(&folder, name).err().map(|error| format!("{name}: {error}")))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Reads a damaged model and, if it is still one and small, runs it; whether it was.
fn survives(bytes: &[u8]) -> bool {
    const LARGEST: usize = 1 << 14;
    match onnx::parse("damaged", bytes, &own()) {
        Ok(model) => {
            let sizes = model.network.nodes.iter().map(|node| node.shape.len());
            let len = input(&model).len();
            sizes.max() <= Some(LARGEST)
                && ready(&model).and_then(|network| run(&network, vec![0.5; len])).is_ok()
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// A bit flipped in every byte, files cut off at every fifth.
#[test]
fn damaged_models_are_refused_or_run() {
    let mut damage = Damage::new();
    let (mut alive, mut refused) = (0, 0);
    for name in ["line-u8s8", "paddings-pairs-u8s8c", "branches-float", "constants", "data"] {
        let whole = std::fs::read(own().join(format!("{name}.onnx"))).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            match place % 5 {
                0 => bytes.truncate(place),
                _ => bytes[place] ^= 1 << damage.below(8),
            }
            if survives(&bytes) { alive += 1 } else { refused += 1 }
        }
        assert!(survives(&whole), "{name}");
    }
    assert!(alive > 1000 && refused > 1000, "{alive} ran, {refused} were refused");
}

/// The model `name`, changed, must be refused in `folder` with a message that has `words`.
fn refused(name: &str, folder: &Path, change: impl Fn(&mut ModelProto), words: &[&str]) {
    let bytes = std::fs::read(own().join(format!("{name}.onnx"))).unwrap();
    let mut model = ModelProto::parse_buf(&bytes).unwrap();
    change(&mut model);
    let result = onnx::parse(name, &model.write_buf().unwrap(), folder);
    let message = format!("{:?}", miette::Report::from(result.expect_err("must be refused")));
    // The message may be broken over lines.
    let message: Vec<&str> = message.split_whitespace().filter(|word| *word != "│").collect();
    let message = message.join(" ");
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

#[test]
fn an_unknown_operator_is_named_with_its_node() {
    let rename = |model: &mut ModelProto| {
        let node = &mut model.graph.as_mut().unwrap().node[2];
        node.op_type = Some("NonMaxSuppression".into());
        node.name = Some("boxes".into());
    };
    refused("line-float", &own(), rename, &["boxes", "NonMaxSuppression", "not supported"]);
    let domain = |model: &mut ModelProto| {
        let node = &mut model.graph.as_mut().unwrap().node[0];
        node.domain = Some("org.example".into());
        node.name = Some("first".into());
    };
    refused("line-float", &own(), domain, &["first", "org.example"]);
    let opset = |model: &mut ModelProto| model.opset_import[0].version = Some(8);
    refused("line-float", &own(), opset, &["opset 8"]);
}

/// A pooling of every fourth of 22 values: 6 windows of one value, the last at 20. The runtime
/// refuses it too, or from opset 19 on begins before the map.
#[test]
fn windows_that_fall_short_of_the_map_are_refused() {
    let pool = |model: &mut ModelProto| {
        let nodes = &mut model.graph.as_mut().unwrap().node;
        let pool = nodes.iter_mut().find(|n| n.op_type.as_deref() == Some("MaxPool")).unwrap();
        pool.attribute.retain(|attribute| attribute.name.as_deref() != Some("pads"));
        for attribute in &mut pool.attribute {
            match attribute.name.as_deref() {
                Some("kernel_shape") => attribute.ints = vec![1],
                _ => attribute.ints = vec![4],
            }
        }
        pool.attribute.push(AttributeProto {
            name: Some("auto_pad".into()),
            s: Some("SAME_UPPER".into()),
            r#type: Some(AttributeType::STRING),
            ..AttributeProto::default()
        });
    };
    refused("line-float", &own(), pool, &["MaxPool", "auto_pad"]);
}

/// Sets an entry of every tensor's external data.
fn external(key: &'static str, value: &str) -> impl Fn(&mut ModelProto) {
    let value = value.to_owned();
    let set = move |tensor: &mut TensorProto| {
        for entry in tensor.external_data.iter_mut().filter(|e| e.key.as_deref() == Some(key)) {
            entry.value = Some(value.clone());
        }
    };
    move |model| model.graph.as_mut().unwrap().initializer.iter_mut().for_each(&set)
}

#[test]
fn external_data_lies_below_the_model() {
    for location in ["/etc/passwd", "../onnx/data.bin", "a/../../onnx/data.bin"] {
        let words = [location, "not below the model's folder"];
        refused("data", &own(), external("location", location), &words);
    }
    refused("data", &own(), external("location", "none.bin"), &["none.bin"]);
    #[cfg(unix)]
    {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(own().join("data.bin"), folder.path().join("data.bin")).unwrap();
        refused("data", folder.path(), |_| (), &["data.bin", "leads out of the folder"]);
    }
}

#[test]
fn external_data_has_the_length_of_its_tensor() {
    refused("data", &own(), external("length", "3"), &["tensor", "elements"]);
    refused("data", &own(), external("length", "99999999999"), &["data.bin", "bytes"]);
    refused("data", &own(), external("length", "-1"), &["length", "no number"]);
    refused("data", &own(), external("offset", "18446744073709551615"), &["data.bin", "bytes"]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data.bin"), [0; 40]).unwrap();
    refused("data", folder.path(), |_| (), &["data.bin", "has 40 bytes"]);
}
