//! bittrue beside itself and beside the processor: ratios of measurements in alternation.

use std::path::Path;

use bittrue::dataset;
use bittrue::hardware::Hardware;
use bittrue::kernels::ceiling::{Gemm, peak};
use bittrue::kernels::{
    AccumulationOrder, Epilogue, InstructionSet, LayerDraws, Mac, MacKernel, MacSpec, SiteEvents,
    Style,
};
use bittrue::network;
use bittrue::numeric::{Cast, Draws, Format, Overflow, Rounding};
use bittrue::quantize::{Plan, lower, synthetic};
use bittrue::simulate::{Run, Simulator};
use bittrue::tensor::{ConvGeometry, Shape, Window, Words};
use ndarray::Array3;
use rayon::ThreadPool;

use crate::Wanted;
use crate::timing::{alternate, seconds};

const ROUNDS: usize = 15;

/// Prints the ratios.
pub fn compare(_: &Path, wanted: &Wanted) {
    println!("| work | over | ratio |");
    println!("| --- | --- | ---: |");
    for (name, row) in [
        ("gemm", gemm as fn()),
        ("16_bit", sixteen_bits),
        ("saturating_24", saturating_24),
        ("threads", threads),
        ("lenet5", lenet5),
    ] {
        if wanted.contains(&format!("own/{name}")) {
            row();
        }
    }
}

fn pool(threads: usize) -> ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads")
}

/// The 8-bit micro-kernel, sums stored, over independent `vpdpbusd` on registers.
fn gemm() {
    let draws = Draws::new(1, 1);
    let input = |row: usize, k: usize| draws.at((row * 4096 + k) as u64) as u8;
    let weight =
        |column: usize, k: usize| draws.at(((1 << 40) + column * 4096 + k) as u64) as u8 as i8;
    let gemm = Gemm::new([256, 192, 1024], input, weight);
    let sets = InstructionSet::available();
    let (mut plain, mut sums) = (Vec::new(), Vec::new());
    gemm.run(sets[0], &mut plain);
    let best = InstructionSet::best();
    gemm.run(best, &mut sums);
    assert!(plain == sums, "sums of {}", best.name());
    const TIMES: usize = 40;
    let rounds = TIMES * gemm.macs() as usize / (24 * 64);
    let Some(most) = peak(1) else {
        println!("| 8-bit GEMM | the processor has no `vpdpbusd` | |");
        return;
    };
    let ours = || seconds(|| (0..TIMES).for_each(|_| gemm.run(best, &mut sums)));
    let [ours, theirs, ratio] = alternate(ROUNDS, ours, || {
        seconds(|| {
            peak(rounds);
        })
    });
    let speed = |macs: usize, seconds: f64| macs as f64 / seconds / 1e9;
    println!(
        "| 8-bit GEMM 256 × 1024 × 192, {:.0} GMAC/s | `vpdpbusd` peak, {:.0} GMAC/s | {ratio:.2} |",
        speed(TIMES * gemm.macs() as usize, ours),
        speed(rounds * most as usize, theirs),
    );
}

fn image(shape: Shape) -> Array3<f32> {
    let draws = Draws::new(1, 0);
    let value = |index: usize| (draws.at(index as u64) >> 40) as f32 / (1 << 24) as f32;
    let shape = [shape.channels, shape.height, shape.width];
    let len = shape.iter().product();
    Array3::from_shape_vec(shape, (0..len).map(value).collect()).expect("as many as the shape has")
}

/// ResNet-50 with synthetic weights by plan, on accumulators of so many bits.
fn resnet50(plan: &str, accumulator: u32) -> (Simulator, Array3<f32>) {
    let network = network::open("resnet_v1_50").expect("it ships").network;
    let plan = Plan::open(plan).expect("it ships");
    let lowered = synthetic(&network, &plan, 1.0, 1).expect("the plan fits");
    let mut hardware = Hardware::open("lanes_act_16x16").expect("it ships");
    hardware.datapath.bits.accumulator = accumulator;
    let simulator = Simulator::new(&lowered.network, &hardware, 0).expect("it fits");
    (simulator, image(network.nodes[0].shape))
}

fn format(text: &str) -> Format {
    text.parse().expect("a format")
}

/// Words of −`magnitude`..=`magnitude`.
fn uniform(of: &str, len: usize, site: u64, magnitude: i64) -> Words {
    let draws = Draws::new(1, site);
    let span = 2 * magnitude as u64 + 1;
    let word = |i: usize| (draws.at(i as u64) % span) as i64 - magnitude;
    Words::from_raw(format(of), (0..len).map(word))
}

/// 3×3 of `side`×`side` pixels.
fn convolution([inputs, outputs]: [usize; 2], side: usize) -> ConvGeometry {
    let window = Window { kernel: [3; 2], stride: [1; 2], padding: [1; 4], dilation: [1; 2] };
    let [input, output] = [inputs, outputs].map(|channels| Shape::new(channels, side, side));
    ConvGeometry { input, output, window, groups: 1 }
}

/// The kernel of a layer that saturates; activations are of the weights' format.
fn kernel(
    geometry: ConvGeometry,
    weights: &Words,
    accumulator: &str,
    product: &str,
    output: &str,
) -> MacKernel {
    let cast =
        |to: &str| Cast::new(format(to), Rounding::HalfUp, Overflow::Saturate).expect("a cast");
    let spec = MacSpec {
        style: Style::Fused,
        adder_tree: 1,
        weights: weights.format(),
        activations: weights.format(),
        product: cast(product),
        accumulator: cast(accumulator),
        epilogue: Epilogue::cast(cast(output)),
    };
    let (range, order) = (spec.all_activations(), &AccumulationOrder::default());
    let (bias, requantizers) = (None, &[][..]);
    let mac = Mac { spec, range, geometry, order, weights, bias, requantizers };
    MacKernel::new(mac).expect("a layer")
}

/// Words and events of a layer of 16-bit words over their whole range: those of the plain loops.
fn check_sixteen_bits() {
    let geometry = convolution([512, 64], 7);
    let weights = uniform("s16f15", geometry.weights(), 1, 32_767);
    let activations = uniform("s16f15", geometry.input.len(), 2, 32_767);
    let kernel = kernel(geometry, &weights, "s48f30", "s32f30", "s16f8");
    let run = |plain: bool| {
        let mut output = Words::zeros(format("s16f8"), geometry.output.len());
        let (mut events, draws) = (SiteEvents::default(), LayerDraws::new(0, 0, 0));
        if plain {
            kernel.run_reference(&activations, &mut output, draws, &mut events);
        } else {
            kernel.run(&activations, &mut output, &mut kernel.scratch(), draws, &mut events);
        }
        (output, events)
    };
    assert!(run(false) == run(true), "words and events of 16 bits");
}

fn sixteen_bits() {
    check_sixteen_bits();
    let mut states = Vec::new();
    let networks = [resnet50("int16", 48), resnet50(Plan::DEFAULT, 32)];
    for (simulator, _) in &networks {
        states.push(simulator.words().passing_state());
    }
    let [wide_state, narrow_state] = &mut states[..] else { unreachable!("two networks") };
    let words = |(simulator, image): &(Simulator, Array3<f32>), state: &mut _| {
        seconds(|| {
            let values = image.as_slice().expect("standard layout");
            simulator.words().quantize_input(values, 0, state).expect("an image");
            simulator.words().run_image(0, state);
        })
    };
    let [wide, narrow, ratio] = pool(1).install(|| {
        alternate(ROUNDS, || words(&networks[0], wide_state), || words(&networks[1], narrow_state))
    });
    println!(
        "| ResNet-50, 16-bit words in 48-bit accumulators, {:.1} ms | 8-bit words, {:.1} ms | {:.2} |",
        1e3 * wide,
        1e3 * narrow,
        1.0 / ratio
    );
}

/// 64 to 64 channels of 14×14, 3×3.
fn saturating_24() {
    let geometry = convolution([64; 2], 14);
    let weights = uniform("s8f7", geometry.weights(), 1, 40);
    let activations = uniform("s8f7", geometry.input.len(), 2, 127);
    let kernels = ["s24f14", "s32f14"]
        .map(|accumulator| kernel(geometry, &weights, accumulator, "s16f14", "s8f3"));
    let run = |kernel: &MacKernel| {
        let mut scratch = kernel.scratch();
        let mut output = Words::zeros(format("s8f3"), geometry.output.len());
        let mut events = SiteEvents::default();
        let time = seconds(|| {
            for _ in 0..50 {
                let draws = LayerDraws::new(0, 0, 0);
                kernel.run(&activations, &mut output, &mut scratch, draws, &mut events);
            }
        });
        (time, output)
    };
    assert!(run(&kernels[0]).1 == run(&kernels[1]).1, "words of the saturating accumulator");
    let [narrow, wide, ratio] = alternate(ROUNDS, || run(&kernels[0]).0, || run(&kernels[1]).0);
    println!(
        "| 24-bit saturating accumulator that the proof covers, {:.2} ms | 32 bits, {:.2} ms | {:.2} |",
        1e3 * narrow / 50.0,
        1e3 * wide / 50.0,
        1.0 / ratio
    );
}

fn run(simulator: &Simulator, images: usize, image: &Array3<f32>) -> Run {
    simulator.run(images, None, |_| Ok(image.clone()), |_, _| (), |_| ()).expect("images")
}

/// Two threads over one, for many images and for one, whose layers are shared out.
fn threads() {
    let (simulator, image) = resnet50(Plan::DEFAULT, 32);
    let [one, two] = [1, 2].map(pool);
    for images in [16, 1] {
        let counts = |pool: &ThreadPool| pool.install(|| run(&simulator, images, &image));
        assert!(counts(&one) == counts(&two), "counts of one and two threads");
        let time = |pool: &ThreadPool| {
            seconds(|| {
                counts(pool);
            })
        };
        let [two, one, ratio] = alternate(ROUNDS, || time(&two), || time(&one));
        println!(
            "| ResNet-50, full report of {images}, 2 threads, {:.1} images/s | 1 thread, {:.1} images/s | {ratio:.2} |",
            images as f64 / two,
            images as f64 / one
        );
    }
}

fn lenet5() {
    let model = network::open("lenet5").expect("it ships");
    let data = dataset::open("mnist").expect("it ships");
    let parameters = model.parameters.as_ref().expect("it is trained");
    let plan = Plan::default();
    let calibration = data.calibration.as_ref();
    let lowered = lower(&model.network, parameters, &plan, calibration).expect("the plan fits");
    let hardware = Hardware::open("lanes_act_16x16").expect("it ships");
    let simulator = Simulator::new(&lowered.network, &hardware, 0).expect("it fits");
    let images = data.test.len();
    let pool = pool(2);
    let digits = |with_float: bool| {
        let baseline = lowered.baseline.as_ref().filter(|_| with_float);
        let image = |index| data.test.image(index);
        pool.install(|| {
            seconds(|| {
                simulator.run(images, baseline, image, |_, _| (), |_| ()).expect("images");
            })
        })
    };
    let [without, with, ratio] = alternate(5, || digits(false), || digits(true));
    println!(
        "| LeNet-5, {images} digits, full report, 2 threads, {:.0} images/s | with the float network, {:.0} images/s | {ratio:.2} |",
        images as f64 / without,
        images as f64 / with
    );
}
