//! Memory is taken for the first image and kept.

use allocation_counter::measure;
use ndarray::Array3;

use bittrue::hardware::Hardware;
use bittrue::network;
use bittrue::quantize::{Plan, synthetic};
use bittrue::simulate::Simulator;

fn simulator(plan: &str, hardware: &str) -> Simulator {
    let network = network::open("lenet5").expect("it ships").network;
    let plan = Plan::open(plan).expect("it ships");
    let lowered = synthetic(&network, &plan, 1.0, 1).expect("the plan fits");
    let hardware = Hardware::open(hardware).expect("it ships");
    Simulator::new(&lowered.network, &hardware, 0).expect("it fits")
}

fn image() -> Array3<f32> {
    Array3::from_shape_fn([1, 28, 28], |(_, y, x)| (y * x % 7) as f32 / 8.0)
}

/// 8-bit words that are proven, and accumulators that saturate in their order.
#[test]
fn words_of_a_second_image_take_no_memory() {
    for plan in ["int8", "acc12"] {
        let simulator = simulator(plan, Hardware::DEFAULT);
        let (words, image) = (simulator.words(), image());
        let values = image.as_slice().expect("standard layout");
        let mut state = words.passing_state();
        let mut run = |image: usize| {
            measure(|| {
                words.quantize_input(values, image, &mut state).expect("an image");
                words.run_image(image, &mut state);
            })
        };
        assert!(run(0).count_total > 0, "{plan}: the first image fills its memory");
        assert_eq!(run(1).count_total, 0, "{plan}");
    }
}

/// With the cycles of zeros skipped, each image takes its pixels and its outputs.
#[test]
fn counts_of_more_images_take_no_memory() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    for hardware in ["lanes_act_16x16", "lanes_both_16x16"] {
        let (simulator, image) = (simulator("int8", hardware), image());
        let allocations = |images: usize| {
            let image = |_| Ok(image.clone());
            pool.install(|| {
                measure(|| {
                    simulator.run(images, None, image, |_, _| (), |_| ()).expect("images");
                })
            })
            .count_total
        };
        let more = allocations(128) - allocations(96);
        assert_eq!(more, 2 * 32, "{hardware}");
    }
}
