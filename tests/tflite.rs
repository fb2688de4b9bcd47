//! TFLite models against the words of LiteRT 2.3.0's reference kernels (`BUILTIN_REF`): small ones
//! of every operator (`data/tflite/make.py`), and two of MLPerf Tiny where they are present. Damaged
//! files are refused or run, and never bring the program down.

mod damage;

use std::path::{Path, PathBuf};

use bittrue::hardware::Hardware;
use bittrue::network::{Model, tflite};
use bittrue::quantize::lower_encoded;
use bittrue::simulate::BoundNetwork;
use ndarray::ArrayD;
use ndarray_npy::{ReadNpyExt, ReadableElement};

use damage::Damage;

const SMALL: [&str; 11] = [
    "convolutions",
    "classifier",
    "halves",
    "pools",
    "branches",
    "reshapes",
    "functions",
    "softmax",
    "logistic",
    "float_ends",
    "other_ends",
];

fn small() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tflite")
}

/// The values of a file of int8, uint8 or float32, by image.
fn images(path: &Path) -> Vec<Vec<f32>> {
    fn read<T: ReadableElement + Copy>(
        bytes: &[u8],
        of: impl Fn(T) -> f32,
    ) -> Option<Vec<Vec<f32>>> {
        let array = ArrayD::<T>::read_npy(bytes).ok()?;
        let images = array.outer_iter();
        Some(images.map(|image| image.iter().map(|&value| of(value)).collect()).collect())
    }
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    read(&bytes, f32::from as fn(i8) -> f32)
        .or_else(|| read(&bytes, f32::from as fn(u8) -> f32))
        .or_else(|| read(&bytes, |value: f32| value))
        .unwrap_or_else(|| panic!("{}: an unknown type", path.display()))
}

fn bind(model: &Model) -> bittrue::Result<BoundNetwork> {
    let (parameters, quantization) = (&model.parameters, &model.quantization);
    let (parameters, quantization) = (parameters.as_ref().unwrap(), quantization.as_ref().unwrap());
    let network = lower_encoded(&model.network, parameters, quantization)?.network;
    let hardware = Hardware::open("lanes_act_16x16")?;
    BoundNetwork::bind(&network, &hardware.datapath, 1)
}

/// The output of a network for an image, both channels-last.
fn run(network: &BoundNetwork, image: &[f32]) -> bittrue::Result<Vec<f32>> {
    let layers = network.layers();
    let from = layers[0].shape();
    let to = layers[layers.len() - 1].shape();
    let pixels = from.pixels();
    let first = |at: usize| image[at % pixels * from.channels + at / pixels];
    let values: Vec<f32> = (0..from.len()).map(first).collect();
    let mut state = network.state();
    network.quantize_input(&values, 0, &mut state)?;
    network.run_image(0, &mut state);
    let outputs = network.outputs(&state);
    let last = |at: usize| outputs[at % to.channels * to.pixels() + at / to.channels];
    Ok((0..to.len()).map(last).collect())
}

/// Compares every word of every image.
fn compare(folder: &Path, name: &str) {
    let model = tflite::read(&folder.join(format!("{name}.tflite"))).unwrap();
    let network = bind(&model).unwrap();
    let inputs = images(&folder.join(format!("{name}_input.npy")));
    let expected = images(&folder.join(format!("{name}_output.npy")));
    assert_eq!(inputs.len(), expected.len());
    for (image, (input, expected)) in inputs.iter().zip(&expected).enumerate() {
        assert_eq!(run(&network, input).unwrap(), *expected, "{name}, image {image}");
    }
}

#[test]
fn every_operator_gives_the_words_of_the_reference_kernels() {
    for name in SMALL {
        for kind in ["int8", "uint8"] {
            compare(&small(), &format!("{name}_{kind}"));
        }
    }
}

#[test]
fn networks_of_mlperf_tiny_give_the_words_of_the_reference_kernels() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/models");
    for name in ["resnet8_int8", "vww_96_int8"] {
        if folder.join(format!("{name}.tflite")).exists() {
            compare(&folder, name);
        } else {
            println!("skipped: {name}.tflite is not in {}", folder.display());
        }
    }
}

/// Reads a damaged model and, if it is still one and small, runs it; whether it was.
fn survives(bytes: &[u8]) -> bool {
    const LARGEST: usize = 1 << 16;
    let Ok(model) = tflite::parse("damaged.tflite", "damaged", bytes) else { return false };
    if model.network.nodes.iter().any(|node| node.shape.len() > LARGEST) {
        return false;
    }
    let image = vec![0.0; model.network.nodes[0].shape.len()];
    bind(&model).and_then(|network| run(&network, &image)).is_ok()
}

/// Bytes flipped in every region, four at a time set to extremes, files cut off anywhere.
#[test]
fn damaged_models_are_refused_or_run() {
    let mut damage = Damage::new();
    let (mut alive, mut refused) = (0, 0);
    for name in SMALL {
        let whole = std::fs::read(small().join(format!("{name}_int8.tflite"))).unwrap();
        for round in 0..whole.len() {
            let mut bytes = whole.clone();
            match round % 3 {
                0 => bytes[round] ^= 1 << damage.below(8),
                1 => bytes.truncate(damage.below(whole.len())),
                _ => {
                    let at = damage.below(whole.len() / 4) * 4;
                    let word = [0, 1, 0x7fff_ffff, 0xffff_ffff, 0x8000_0000][damage.below(5)];
                    bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(word));
                }
            }
            *(if survives(&bytes) { &mut alive } else { &mut refused }) += 1;
        }
    }
    assert!(alive > 500 && refused > 500, "{alive} ran, {refused} were refused");
}
