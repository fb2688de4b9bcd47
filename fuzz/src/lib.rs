//! What the fuzz targets share. `docs/validation.md` says how to run them.

use std::sync::LazyLock;

use bittrue::dataset;
use bittrue::hardware::Hardware;
use bittrue::network::{Model, Network, topology};
use bittrue::quantize::{Lowered, Plan, lower_encoded, synthetic};
use bittrue::simulate::{BoundNetwork, Simulator};

/// Elements of the largest map of a network that is still run.
const LARGEST_MAP: usize = 1 << 12;
/// Multiply-accumulates, about, of the largest layer that is still run.
const MOST_MACS: u64 = 1 << 20;

/// A network with a layer of most kinds.
pub static SMALL: LazyLock<Network> = LazyLock::new(|| {
    let text = "name = 'small'\ninput = [1, 4, 4]\n[[layer]]\nname = 'conv'\nop = 'conv'\n\
                channels = 2\nkernel = 3\n[[layer]]\nname = 'norm'\nop = 'batch_norm'\n\
                [[layer]]\nname = 'relu'\nop = 'relu'\n[[layer]]\nname = 'pool'\n\
                op = 'max_pool'\nkernel = 2\n[[layer]]\nname = 'flat'\nop = 'flatten'\n\
                [[layer]]\nname = 'dense'\nop = 'dense'\nchannels = 3\n";
    topology::parse("small.toml", text).expect("a topology").network
});

static HARDWARE: LazyLock<Hardware> =
    LazyLock::new(|| Hardware::open("lanes_scaled_16x16").expect("a hardware model"));

static LOWERED: LazyLock<Lowered> =
    LazyLock::new(|| synthetic(&SMALL, &Plan::default(), 0.5, 0).expect("a plan that fits"));

fn is_small(network: &Network) -> bool {
    (0..network.nodes.len()).all(|id| {
        let macs = network.geometry(id).map_or(0, |geometry| geometry.macs());
        network.nodes[id].shape.len() <= LARGEST_MAP && macs <= MOST_MACS
    })
}

/// Lowers a quantized network that was read, and runs it if it is small.
pub fn lower(model: &Model) {
    let (Some(parameters), Some(quantization)) = (&model.parameters, &model.quantization) else {
        return;
    };
    if !is_small(&model.network) {
        return;
    }
    let lowered = lower_encoded(&model.network, parameters, quantization);
    let Ok(Lowered { network, .. }) = lowered else { return };
    let Ok(bound) = BoundNetwork::bind(&network, &HARDWARE.datapath, 1) else { return };
    let mut state = bound.state();
    let image = vec![1.0; bound.layers()[0].shape().len()];
    if bound.quantize_input(&image, 0, &mut state).is_ok() {
        bound.run_image(0, &mut state);
        let _ = bound.outputs(&state);
    }
}

/// Counts a network that was read, and lowers it with synthetic operands if it is small.
pub fn count(network: &Network) {
    let _ = network.parameter_shapes();
    if is_small(network) {
        plan(network, &Plan::default());
    }
}

/// Lowers a network by a plan and binds it.
pub fn plan(network: &Network, plan: &Plan) {
    if let Ok(Lowered { network, .. }) = synthetic(network, plan, 0.5, 0) {
        let _ = BoundNetwork::bind(&network, &HARDWARE.datapath, 1);
    }
}

/// Maps and runs the small network on hardware that was read.
pub fn hardware(hardware: &Hardware) {
    if let Ok(simulator) = Simulator::new(&LOWERED.network, hardware, 0) {
        let _ = simulator.run_synthetic(1, 0.5, |_| ());
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
