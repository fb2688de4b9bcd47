//! Quantized networks in ONNX Runtime, one image at a time, one thread.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use bittrue::hardware::Hardware;
use bittrue::network;
use bittrue::quantize::lower_encoded;
use bittrue::simulate::Simulator;
use ndarray::{Array1, Array3, Array4, Axis};

use crate::timing::{alternate, seconds};
use crate::{Wanted, python};

const PACKAGES: [&str; 3] = ["numpy", "onnx==1.23.2", "onnxruntime==1.32"];
const ROUNDS: usize = 15;
/// Images of a measurement.
const IMAGES: usize = 4;

/// Prints the ratios.
pub fn compare(folder: &Path, wanted: &Wanted) {
    if !folder.join("mobilenet_v2.onnx").exists() {
        python::check(python::script("models.py", &PACKAGES).arg(folder));
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
    let mut runtime = Runtime::start(folder, &model);
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
        let mut state = simulator.words().state();
        let words = |state: &mut _| {
            simulator.words().quantize_input(image, 0, state).expect("an image");
            simulator.words().run_image(0, state);
        };
        words(&mut state);
        let same = simulator.words().outputs(&state) == runtime.output;
        assert!(same, "{name}: the outputs of ONNX Runtime");
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
        let [ours, theirs, ratio] = alternate(ROUNDS, run, || runtime.run());
        println!(
            "| {name} | {report} | {:.1} ms | {:.1} ms | {ratio:.2} |",
            1e3 * ours / IMAGES as f64,
            1e3 * theirs / IMAGES as f64
        );
    }
}

/// A Python process that runs a model when it is told to.
struct Runtime {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    output: Vec<f32>,
}

impl Runtime {
    fn start(folder: &Path, model: &Path) -> Self {
        let output: PathBuf = folder.join("output.npy");
        let mut command = python::script("runtime.py", &PACKAGES);
        command.arg(model).arg(folder.join("input.npy")).arg(&output).arg("1");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python");
        let requests = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let mut runtime = Self { child, requests, answers, output: Vec::new() };
        assert_eq!(runtime.answer(), "ready");
        let written: ndarray::Array2<f32> = ndarray_npy::read_npy(output).expect("an array");
        let written: Array1<f32> = written.index_axis_move(Axis(0), 0);
        runtime.output = written.to_vec();
        runtime
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        line.trim().into()
    }

    /// Seconds of a measurement.
    fn run(&mut self) -> f64 {
        writeln!(self.requests, "{IMAGES}").expect("the process lives");
        self.answer().parse().expect("seconds")
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
