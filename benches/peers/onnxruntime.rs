//! Quantized networks in ONNX Runtime, one image at a time, one thread.

use std::path::Path;

use bittrue::hardware::{Array, Hardware, Lanes};
use bittrue::kernels::InstructionSet;
use bittrue::network;
use bittrue::quantize::{Operation, QuantizedNetwork, lower_encoded};
use bittrue::simulate::arrays::{Sizes, Skip, reference_cycles};
use bittrue::simulate::{ImageState, Simulator};
use ndarray::{Array2, Array3, Array4, Axis};

use crate::peer::Peer;
use crate::timing::{alternate, seconds};
use crate::{Wanted, python};

const ENVIRONMENT: &str = "peers-venv";
const PACKAGES: [&str; 3] = ["numpy", "onnx==1.23.2", "onnxruntime==1.32"];
const ROUNDS: usize = 9;
/// Images of a measurement, so many that the memory for the first one weighs little: a session of ONNX
/// Runtime keeps its own.
const IMAGES: usize = 16;

/// Prints the ratios.
pub fn compare(folder: &Path, wanted: &Wanted) {
    if !folder.join("mobilenet_v2.onnx").exists() {
        python::check(python::script(ENVIRONMENT, "models.py", &PACKAGES).arg(folder));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    println!("| network | report | ours | ONNX Runtime | images/s over theirs |");
    println!("| --- | --- | ---: | ---: | ---: |");
    for name in ["resnet50", "mobilenet_v2"] {
        if wanted.contains(&format!("onnxruntime/{name}")) {
            pool.install(|| network_beside(folder, name, wanted));
        }
    }
}

fn network_beside(folder: &Path, name: &str, wanted: &Wanted) {
    let model = folder.join(format!("{name}.onnx"));
    let (mut runtime, expected) = runtime(folder, &model);
    let opened = network::open(&model.display().to_string()).expect("a readable model");
    let (Some(parameters), Some(quantization)) = (&opened.parameters, &opened.quantization) else {
        panic!("{name} is quantized");
    };
    let lowered =
        lower_encoded(&opened.network, parameters, quantization).expect("supported operators");
    let input: Array4<f32> = ndarray_npy::read_npy(folder.join("input.npy")).expect("an array");
    let input: Array3<f32> = input.index_axis_move(Axis(0), 0);
    let image = input.as_slice().expect("standard layout");
    for report in ["words", "lanes_act_16x16", "lanes_both_16x16"] {
        if !wanted.contains(&format!("onnxruntime/{name}/{report}")) {
            continue;
        }
        let hardware = if report == "words" { Hardware::DEFAULT } else { report };
        let hardware = Hardware::open(hardware).expect("it ships");
        let simulator = Simulator::new(&lowered.network, &hardware, 0).expect("it fits");
        let mut state = simulator.words().passing_state();
        let words = |state: &mut _| {
            simulator.words().quantize_input(image, 0, state).expect("an image");
            simulator.words().run_image(0, state);
        };
        words(&mut state);
        let same = simulator.words().outputs(&state) == expected;
        assert!(same, "{name}: the outputs of ONNX Runtime");
        if let Array::Lanes(lanes) = &hardware.array {
            let mut kept = simulator.words().state();
            words(&mut kept);
            check_cycles(&lowered.network, lanes, &hardware, &simulator, &kept);
        }
        let run = || {
            seconds(|| {
                if report == "words" {
                    (0..IMAGES).for_each(|_| words(&mut state));
                } else {
                    let image = |_| Ok(input.clone());
                    simulator.run(IMAGES, None, image, |_, _| (), |_| ()).expect("images");
                }
            })
        };
        let [ours, theirs, ratio] = alternate(ROUNDS, run, || runtime.run(IMAGES));
        println!(
            "| {name} | {report} | {:.1} ms | {:.1} ms | {ratio:.2} |",
            1e3 * ours / IMAGES as f64,
            1e3 * theirs / IMAGES as f64
        );
    }
}

/// Starts ONNX Runtime on `model`; its output for the input.
/// Asserts the cycles of every layer against the recurrence of the lanes, element by element.
fn check_cycles(
    network: &QuantizedNetwork,
    lanes: &Lanes,
    hardware: &Hardware,
    simulator: &Simulator,
    state: &ImageState,
) {
    let plain = InstructionSet::available()[0];
    for (index, layer) in network.layers.iter().enumerate() {
        let Operation::Mac(source) = &layer.operation else { continue };
        let bound = simulator.words().layers()[index].mac().expect("a layer of the array");
        let read = simulator.words().operands(index, state).expect("it has run");
        let (patches, sizes) = (bound.patches(), Sizes::from(&source.geometry));
        let mut activations = patches.empty_bitmaps();
        patches.activation_bitmaps_with(plain, read, &mut patches.scratch(), &mut activations);
        let weights = patches.weight_bitmaps(&source.weights);
        let skip = Skip::from(hardware.zeros);
        let expected = reference_cycles(lanes, skip, &sizes, &activations, &weights);
        let cycles = simulator.count_layer(index, None, state).cycles.compute;
        assert_eq!(cycles, expected, "cycles of {}", layer.name);
    }
}

fn runtime(folder: &Path, model: &Path) -> (Peer, Vec<f32>) {
    let output = folder.join("output.npy");
    let mut command = python::script(ENVIRONMENT, "runtime.py", &PACKAGES);
    command.arg(model).arg(folder.join("input.npy")).arg(&output).arg("1");
    let peer = Peer::start(&mut command);
    let written: Array2<f32> = ndarray_npy::read_npy(output).expect("an array");
    (peer, written.index_axis_move(Axis(0), 0).to_vec())
}
