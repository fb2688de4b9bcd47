//! What the fuzz targets share. `docs/validation.md` says how to run them.

use bittrue::dataset;
use bittrue::hardware::Hardware;
use bittrue::network::Model;
use bittrue::quantize::lower_encoded;
use bittrue::simulate::BoundNetwork;

/// Elements of the largest map of a network that is still run.
const LARGEST_MAP: usize = 1 << 12;
/// Multiply-accumulates, about, of the largest layer that is still run.
const MOST_MACS: u64 = 1 << 20;

/// Lowers a quantized network that was read, and runs it if it is small.
pub fn lower(model: &Model) {
    let (Some(parameters), Some(quantization)) = (&model.parameters, &model.quantization) else {
        return;
    };
    let network = &model.network;
    let small = (0..network.nodes.len()).all(|id| {
        let macs = network.geometry(id).map_or(0, |geometry| geometry.macs());
        network.nodes[id].shape.len() <= LARGEST_MAP && macs <= MOST_MACS
    });
    if !small {
        return;
    }
    let Ok(lowered) = lower_encoded(network, parameters, quantization) else { return };
    let Ok(hardware) = Hardware::open("lanes_act_16x16") else { return };
    let Ok(bound) = BoundNetwork::bind(&lowered.network, &hardware.datapath, 1) else { return };
    let mut state = bound.state();
    let image = vec![1.0; bound.layers()[0].shape().len()];
    if bound.quantize_input(&image, 0, &mut state).is_ok() {
        bound.run_image(0, &mut state);
        let _ = bound.outputs(&state);
    }
}

/// Opens the dataset `name` of a folder with `files` and reads its first image.
pub fn dataset(files: &[(&str, &[u8])], name: &str) {
    let Ok(folder) = tempfile::tempdir() else { return };
    for (name, bytes) in files {
        if std::fs::write(folder.path().join(name), bytes).is_err() {
            return;
        }
    }
    let path = folder.path().join(name);
    if let Ok(source) = dataset::open(&path.to_string_lossy()) {
        let _ = source.test.image(0);
    }
}
