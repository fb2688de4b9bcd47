//! Real networks of other toolchains, word for word against their own runtimes.

use std::path::{Path, PathBuf};

use bittrue::dataset;
use bittrue::hardware::Hardware;
use bittrue::network;
use bittrue::quantize::lower_encoded;
use bittrue::simulate::BoundNetwork;
use ndarray::Array2;
use ndarray_npy::ReadNpyExt;
use rayon::prelude::*;

/// A file for tests that is not part of the project; `None`, with the reason printed, without it.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {name} is not there");
    None
}

fn npy(path: &Path) -> Array2<f32> {
    Array2::read_npy(std::fs::File::open(path).unwrap()).unwrap()
}

/// For each photo the outputs of a quantized SqueezeNet and those of ONNX Runtime; `None` without the
/// files.
fn squeezenet(kind: &str) -> Option<Vec<[Vec<f32>; 2]>> {
    let model = shared(&format!("models/squeezenet1_1_{kind}.onnx"))?;
    let logits = shared(&format!("models/squeezenet1_1_{kind}_logits.npy"))?;
    let photos = shared("data/nips17")?;
    let expected = npy(&logits);
    let folder = tempfile::tempdir().unwrap();
    let description = folder.path().join("photos.toml");
    let text = format!(
        "kind = \"images\"\npath = {:?}\nchannel_order = \"bgr\"\nscale = 1\n\
         mean = [103.939, 116.779, 123.68]\n",
        photos.canonicalize().unwrap()
    );
    std::fs::write(&description, text).unwrap();
    let data = dataset::open(description.to_str().unwrap()).unwrap().test;
    let model = network::open(model.to_str().unwrap()).unwrap();
    let lowered =
        lower_encoded(&model.network, &model.parameters.unwrap(), &model.quantization.unwrap())
            .unwrap();
    let hardware = Hardware::open(Hardware::DEFAULT).unwrap();
    let bound = BoundNetwork::bind(&lowered.network, &hardware.datapath, 0).unwrap();
    let run = |image: usize| {
        let mut state = bound.state();
        let pixels: Vec<f32> = data.image(image).unwrap().iter().copied().collect();
        bound.quantize_input(&pixels, image, &mut state).unwrap();
        bound.run_image(image, &mut state);
        let found = bound.outputs(&state);
        let expected = expected.row(image).to_vec();
        assert_eq!(found.len(), expected.len());
        [found, expected]
    };
    Some((0..expected.nrows()).into_par_iter().map(run).collect())
}

fn first(scores: &[f32]) -> usize {
    let scores = scores.iter().enumerate();
    let best = scores.reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.unwrap().0
}

/// The words are those of ONNX Runtime up to the last DequantizeLinear; the mean after it is taken
/// here in integers, there in float32.
#[test]
fn a_qlinear_network_gives_the_words_of_onnx_runtime() {
    for [found, expected] in squeezenet("qlinear").unwrap_or_default() {
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }
}

/// Executed as integers, where the golden outputs come from float32 between quantized tensors.
#[test]
fn a_qdq_network_ranks_as_in_onnx_runtime() {
    for [found, expected] in squeezenet("qdq").unwrap_or_default() {
        assert_eq!(first(&found), first(&expected));
    }
}
