//! Cycles of ResNet-50 on systolic arrays, layer by layer, in SCALE-Sim 3.0.0.

use std::path::Path;
use std::process::Command;

use bittrue::hardware::{Array, Dataflow, Hardware, Systolic, ZeroHandling, Zeros};
use bittrue::mapping::{LayerProblem, OperandBits};
use bittrue::network::{self, Op};
use bittrue::simulate::LayerModel;
use bittrue::simulate::arrays::LanesScratch;
use bittrue::tensor::ConvGeometry;

use crate::timing::{median, seconds};
use crate::{Wanted, python};

const ENVIRONMENT: &str = "peers-scalesim";
/// It fails with NumPy 2; what else it names, it does not import.
const PACKAGES: [&str; 4] = ["--no-deps", "scalesim==3.0.0", "numpy==1.26.4", "tqdm==4.67.1"];
/// Its time grows with the square of the folds where outputs or inputs are stationary.
const MOST_FOLDS: u64 = 1000;
/// Measurements of ours.
const ROUNDS: usize = 9;

/// A shape of a layer and how many layers have it.
type Layer = (ConvGeometry, usize);

/// Prints cycles and ratios.
pub fn compare(folder: &Path, wanted: &Wanted) {
    let layers = layers();
    let all: usize = layers.iter().map(|(_, count)| count).sum();
    println!("| array | layers | cycles | its array | ours | over its | whole tool, one layer |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for size in [32, 16] {
        for (name, dataflow) in [
            ("ws", Dataflow::WeightStationary),
            ("os", Dataflow::OutputStationary),
            ("is", Dataflow::InputStationary),
        ] {
            if wanted.contains(&format!("scalesim/{name}_{size}x{size}")) {
                let array = Systolic { rows: size, columns: size, dataflow };
                print!("| {name} {size}×{size} |");
                array_beside(folder, name, array, &layers, all);
            }
        }
    }
}

/// The convolutions and the dense layer of ResNet-50.
fn layers() -> Vec<Layer> {
    let network = network::open("resnet_v1_50").expect("it ships").network;
    let mut layers: Vec<Layer> = Vec::new();
    for (id, node) in network.nodes.iter().enumerate() {
        if let (Op::Conv { .. } | Op::Dense { .. }, Some(geometry)) =
            (&node.op, network.geometry(id))
        {
            match layers.iter_mut().find(|(known, _)| *known == geometry) {
                Some((_, count)) => *count += 1,
                None => layers.push((geometry, 1)),
            }
        }
    }
    layers
}

fn array_beside(folder: &Path, name: &str, array: Systolic, layers: &[Layer], all: usize) {
    let layers: Vec<Layer> = match array.dataflow {
        Dataflow::WeightStationary => layers.to_vec(),
        _ => {
            layers.iter().copied().filter(|(layer, _)| folds(&array, layer) <= MOST_FOLDS).collect()
        }
    };
    let shipped = Hardware::open(Hardware::DEFAULT).expect("it ships");
    let none = ZeroHandling::None;
    let hardware = Hardware {
        array: Array::Systolic(array.clone()),
        zeros: Zeros { activations: none, weights: none },
        ..shipped
    };
    let count = || layers.iter().map(|(layer, _)| cycles(layer, &hardware)).collect();
    let ours: Vec<u64> = count();
    let time = median((0..ROUNDS).map(|_| seconds(|| drop(count()))).collect());

    // The tool as a whole only for the layer with the fewest cycles.
    let least = (0..ours.len()).min_by_key(|&layer| ours[layer]).expect("a layer");
    let theirs = run(folder, name, &array, &layers, least);
    let (mut array_seconds, mut whole_seconds, mut answers) = (0.0, 0.0, theirs.into_iter());
    for (index, &cycles) in ours.iter().enumerate() {
        let (theirs, seconds) = answers.next().expect("an answer for each layer");
        assert_eq!(theirs, cycles, "{name}: cycles of layer {:?}", layers[index].0);
        array_seconds += seconds;
        if index == least {
            let (theirs, seconds) = answers.next().expect("an answer of the whole tool");
            assert_eq!(theirs + 1, cycles, "{name}: what the tool reports");
            whole_seconds = seconds;
        }
    }
    let total: u64 =
        ours.iter().zip(&layers).map(|(cycles, (_, count))| cycles * *count as u64).sum();
    let compared: usize = layers.iter().map(|(_, count)| count).sum();
    println!(
        " {compared} of {all} | {total} | {array_seconds:.1} s | {:.2} ms | {:.0} | {} cycles, {whole_seconds:.1} s |",
        1e3 * time,
        array_seconds / time,
        ours[least],
    );
}

/// Folds of a layer onto an array (docs/cycles.md).
fn folds(array: &Systolic, layer: &ConvGeometry) -> u64 {
    let [m, k, n] = [layer.pixels(), layer.reduction(), layer.output.channels];
    let [on_rows, on_columns] = match array.dataflow {
        Dataflow::WeightStationary => [k, n],
        Dataflow::OutputStationary => [m, n],
        Dataflow::InputStationary => [k, m],
    };
    (on_rows.div_ceil(array.rows) * on_columns.div_ceil(array.columns)) as u64
}

/// Maps a layer and counts it: cycles without stalls.
fn cycles(layer: &ConvGeometry, hardware: &Hardware) -> u64 {
    let bits = OperandBits { weights: 8, bias: 32, activations: 8, accumulator: 32, output: 8 };
    let problem = LayerProblem { geometry: *layer, bits };
    let model = LayerModel::new("layer", &problem, hardware, &[]).expect("it fits");
    model.count(&[], 0, &mut LanesScratch::default()).cycles.compute
}

/// Cycles and seconds that it takes for each layer, and once more for layer `whole`, by the tool as
/// a whole.
fn run(
    folder: &Path,
    dataflow: &str,
    array: &Systolic,
    layers: &[Layer],
    whole: usize,
) -> Vec<(u64, f64)> {
    let mut topology = String::from(
        "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, \
         Num Filter, Strides,\n",
    );
    for (index, (layer, _)) in layers.iter().enumerate() {
        let ([kh, kw], [stride, _]) = (layer.window.kernel, layer.window.stride);
        // It knows no padding: the ifmap is what the windows cover.
        let covered = |outputs: usize, kernel: usize| (outputs - 1) * stride + kernel;
        let [height, width] = [covered(layer.output.height, kh), covered(layer.output.width, kw)];
        let [inputs, outputs] = [layer.input.channels, layer.output.channels];
        topology +=
            &format!("{index}, {height}, {width}, {kh}, {kw}, {inputs}, {outputs}, {stride},\n");
    }
    let path = folder.join("resnet50.csv");
    std::fs::write(&path, topology).expect("a writable build folder");
    let mut command: Command = python::script(ENVIRONMENT, "systolic.py", &PACKAGES);
    command.arg(path).arg(dataflow);
    command.args([array.rows, array.columns, whole].map(|number| number.to_string()));
    let output = command.stderr(std::process::Stdio::inherit()).output().expect("python");
    assert!(output.status.success(), "{command:?}: {}", output.status);
    let answer = |line: &str| {
        let [_, cycles, seconds] = line.split(',').collect::<Vec<_>>()[..] else {
            panic!("{line}: not layer,cycles,seconds");
        };
        (cycles.parse().expect("cycles"), seconds.parse().expect("seconds"))
    };
    String::from_utf8(output.stdout).expect("text").lines().map(answer).collect()
}
