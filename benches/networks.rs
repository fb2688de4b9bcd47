//! Whole networks on one thread, in images/s: words alone, and with the cycles, traffic and energy
//! of the lane arrays. Weights are synthetic, with 8-bit words; a third of the pixels is zero. Where
//! they are run once, as tests are, the large networks run words alone.

use std::cell::LazyCell;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use ndarray::Array3;

use bittrue::hardware::Hardware;
use bittrue::network;
use bittrue::numeric::Draws;
use bittrue::quantize::{Plan, synthetic};
use bittrue::simulate::Simulator;

/// Pixels of [0, 1).
fn image(shape: [usize; 3]) -> Array3<f32> {
    let draws = Draws::new(1, 0);
    let value = |index: usize| match draws.at(index as u64) {
        draw if draw % 3 == 0 => 0.0,
        draw => (draw >> 40) as f32 / (1 << 24) as f32,
    };
    let len = shape.iter().product();
    Array3::from_shape_vec(shape, (0..len).map(value).collect()).expect("as many as the shape has")
}

fn networks(criterion: &mut Criterion) {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    for (name, images) in [("lenet5", 32), ("resnet_v1_50", 1), ("mobilenet_v2", 1)] {
        let network = network::open(name).expect("it ships").network;
        let plan = Plan::open(Plan::DEFAULT).expect("it ships");
        let lowered = LazyCell::new(|| synthetic(&network, &plan, 1.0, 1).expect("the plan fits"));
        let shape = network.nodes[0].shape;
        let input = image([shape.channels, shape.height, shape.width]);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(images as u64));
        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        for (report, hardware) in [
            ("words", Hardware::DEFAULT),
            ("lanes_act", "lanes_act_16x16"),
            ("lanes_both", "lanes_both_16x16"),
        ] {
            if report != "words" && name != "lenet5" && !measured {
                continue;
            }
            let hardware = Hardware::open(hardware).expect("it ships");
            let simulator =
                LazyCell::new(|| Simulator::new(&lowered.network, &hardware, 0).expect("it fits"));
            group.bench_function(report, |bencher| {
                let simulator = &*simulator;
                let mut state = simulator.words().passing_state();
                pool.install(|| {
                    bencher.iter(|| {
                        if report == "words" {
                            let values = input.as_slice().expect("standard layout");
                            for _ in 0..images {
                                let words = simulator.words();
                                words.quantize_input(values, 0, &mut state).expect("an image");
                                words.run_image(0, &mut state);
                            }
                        } else {
                            let image = |_| Ok(input.clone());
                            simulator.run(images, None, image, |_, _| (), |_| ()).expect("images");
                        }
                    });
                });
            });
        }
    }
}

criterion_group!(benches, networks);
criterion_main!(benches);
