//! The shipped topologies against published numbers of parameters and multiply-accumulates, and
//! the small ones on synthetic operands.
//!
//! TF-slim figures were taken from the graphs that its model functions build (tf_slim 1.1,
//! TensorFlow 2.15): `trainable_variables`, and the sizes of every Conv2D, DepthwiseConv2dNative and
//! MatMul. Keras figures are those of its documentation (`count_params`), their multiply-accumulates
//! taken from the graphs in the same way. torchvision figures stand in its documentation.

use std::collections::HashSet;
use std::path::Path;

use bittrue::hardware::Hardware;
use bittrue::network::{self, Network, Op};
use bittrue::quantize::{Plan, synthetic};
use bittrue::simulate::Simulator;
use bittrue::tensor::Shape;

/// What a published number of parameters counts beside weights, biases and the betas of batch
/// normalizations.
#[derive(Clone, Copy)]
enum Counts {
    /// Gammas: all that is trained.
    Gammas,
    /// Nothing: the source has no gammas.
    NoGammas,
    /// Gammas, running means and variances.
    Everything,
    /// Running means and variances: the source has no gammas.
    Statistics,
}

use Counts::{Everything, Gammas, NoGammas, Statistics};

/// Name, what is counted, parameters, multiply-accumulates.
type Row = (&'static str, Counts, u64, u64);

const PUBLISHED: &[Row] = &[
    // By hand: 28²·25·6 + 10²·150·16 + 400·120 + 120·84 + 84·10.
    ("lenet5", Gammas, 156 + 2416 + 48_120 + 10_164 + 850, 416_520),
    // Caffe's MNIST example; by hand: 24²·25·20 + 8²·500·50 + 800·500 + 500·10.
    ("lenet_caffe", Gammas, 431_080, 288_000 + 1_600_000 + 400_000 + 5_000),
    // By hand.
    ("fcnet", Gammas, 785 * 1024 + 1025 * 10, 784 * 1024 + 1024 * 10),
    // By hand from TF-slim's nets/cifarnet.py: 5×5 of 3 and of 64 channels on 32×32 and 16×16, then
    // 8·8·64 to 384, 192, 10.
    (
        "cifarnet",
        Gammas,
        76 * 64 + 1601 * 64 + 4097 * 384 + 385 * 192 + 193 * 10,
        1024 * 75 * 64 + 256 * 1600 * 64 + 4096 * 384 + 384 * 192 + 192 * 10,
    ),
    // TF-slim alexnet_v2.
    ("alexnet", Gammas, 50_303_912, 736_555_776),
    // TF-slim.
    ("overfeat", Gammas, 145_704_424, 2_647_011_328),
    // torchvision vgg11, vgg16, vgg19: 7.61, 15.47 and 19.63 G; exact from TF-slim.
    ("vgg_a", Gammas, 132_863_336, 7_609_090_048),
    ("vgg16", Gammas, 138_357_544, 15_470_264_320),
    ("vgg19", Gammas, 143_667_240, 19_632_062_464),
    // torchvision googlenet: 6 624 904 and 1.50 G; exact from TF-slim, which has no gammas. Its
    // inception_v1_test has 5 607 184 with statistics, without the last layer.
    ("inception_v1", Gammas, 6_624_904, 1_498_376_192),
    ("inception_v1", Statistics, 5_607_184 + 1_025_000, 1_498_376_192),
    // TF-slim; its inception_v2_test has 10 173 112 with statistics, without the last layer.
    ("inception_v2", NoGammas, 11_178_336, 1_934_857_216),
    ("inception_v2", Statistics, 10_173_112 + 1_025_000, 1_934_857_216),
    // Keras InceptionV3; torchvision: 5.71 G with the same layers.
    ("inception_v3", Statistics, 23_851_784, 5_713_216_096),
    // timm inception_v4; multiply-accumulates from the layers of TF-slim's nets/inception_v4.py.
    ("inception_v4", Gammas, 42_679_816, 12_253_974_624),
    // Keras InceptionResNetV2.
    ("inception_resnet_v2", Statistics, 55_873_736, 13_155_794_016),
    // By hand. Convolutions of n = 2 or 3 units a stage: 432 + 2n·2304, 4608 + (2n − 1)·9216,
    // 18432 + (2n − 1)·36864, projections 512 and 2048, on 32², 16² and 8² pixels; 650 of the dense
    // layer. He et al. state 0.27 M parameters for 20 layers, with shortcuts that have none.
    ("resnet_v1_14", Gammas, 9_648 + 32_256 + 129_024 + 2_560 + 650 + 1_120, 26_657_408),
    ("resnet_v1_20", Gammas, 14_256 + 50_688 + 202_752 + 2_560 + 650 + 1_568, 40_813_184),
    // torchvision resnet50, resnet101, resnet152: parameters. Multiply-accumulates of Keras ResNet50,
    // ResNet101, ResNet152, with the stride in the first 1×1 convolution; He et al. state 3.8, 7.6
    // and 11.3 G.
    ("resnet_v1_50", Gammas, 25_557_032, 3_857_973_248),
    ("resnet_v1_101", Gammas, 44_549_160, 7_570_194_432),
    ("resnet_v1_152", Gammas, 60_192_808, 11_282_415_616),
    // TF-slim resnet_v1_200: parameters. Multiply-accumulates of Keras' ResNet with 3, 24, 36 and 3
    // units.
    ("resnet_v1_200", Gammas, 64_673_832, 14_776_270_848),
    // Keras ResNet50V2, ResNet101V2, ResNet152V2; TF-slim resnet_v2_200.
    ("resnet_v2_50", Everything, 25_613_800, 3_482_255_360),
    ("resnet_v2_101", Everything, 44_675_560, 7_194_476_544),
    ("resnet_v2_152", Everything, 60_380_648, 10_906_697_728),
    ("resnet_v2_200", Gammas, 64_726_120, 14_400_552_960),
    // torchvision: 1 235 496 and 0.35 G; exact from its layers in TensorFlow.
    ("squeezenet1_1", Gammas, 1_235_496, 349_151_936),
    // Keras MobileNet; Howard et al. state 569 M.
    ("mobilenet_v1", Everything, 4_253_864, 568_740_352),
    // torchvision mobilenet_v2: parameters; Keras MobileNetV2; Sandler et al. state 300 M.
    ("mobilenet_v2", Gammas, 3_504_872, 300_774_272),
    ("mobilenet_v2", Everything, 3_538_984, 300_774_272),
    // timm efficientnet_lite0: 4.65 M; exact from its layers in TensorFlow. TensorFlow's TPU models
    // state 4.7 M and 407 M, which counts more than convolutions and the dense layer.
    ("efficientnet_lite0", Gammas, 4_652_008, 385_187_552),
];

fn open(name: &str) -> Network {
    network::open(name).unwrap_or_else(|e| panic!("{name}: {e:?}")).network
}

fn parameters(network: &Network, counts: Counts) -> u64 {
    let skipped: &[&str] = match counts {
        Gammas => &["running_mean", "running_var"],
        NoGammas => &["running_mean", "running_var", "weight"],
        Everything => &[],
        Statistics => &["weight"],
    };
    let norms = network.nodes.iter().filter(|node| matches!(node.op, Op::BatchNorm { .. }));
    let skipped: HashSet<String> = norms
        .flat_map(|node| skipped.iter().map(|name| network::parameter_name(&node.name, name)))
        .collect();
    let shapes = network.parameter_shapes();
    let counted = shapes.iter().filter(|(name, _)| !skipped.contains(name));
    counted.map(|(_, shape)| shape.iter().product::<usize>() as u64).sum()
}

#[test]
fn topologies_have_the_published_sizes() {
    for name in network::shipped() {
        assert!(PUBLISHED.iter().any(|row| row.0 == name), "{name} is in the table");
    }
    for &(name, counts, expected, macs) in PUBLISHED {
        let network = open(name);
        assert_eq!(network.name, name);
        assert_eq!(parameters(&network, counts), expected, "parameters of {name}");
        assert_eq!(network.parameter_count(), parameters(&network, Gammas), "{name}");
        assert_eq!(network.macs(), macs, "multiply-accumulates of {name}");
    }
}

#[test]
fn topologies_end_in_classes() {
    for name in network::shipped() {
        let network = open(name);
        let cifar_or_mnist = network.nodes[0].shape.height <= 32;
        let classes = network.nodes.last().unwrap().shape.len();
        assert_eq!(classes, if cifar_or_mnist { 10 } else { 1000 }, "{name}");
    }
}

/// Feature maps that the sources state: TF-slim's end points, He et al. table 1, Howard et al. table 1,
/// Sandler et al. table 2.
#[test]
fn feature_maps_have_the_published_shapes() {
    let expected = [
        ("alexnet", "pool5", [256, 5, 5]),
        ("overfeat", "pool5", [1024, 6, 6]),
        ("vgg16", "pool5", [512, 7, 7]),
        ("inception_v1", "4e.concat", [832, 14, 14]),
        ("inception_v1", "5b.concat", [1024, 7, 7]),
        ("inception_v2", "3c.concat", [576, 14, 14]),
        ("inception_v2", "5b.concat", [1024, 7, 7]),
        ("inception_v3", "5.3.concat", [288, 35, 35]),
        ("inception_v3", "6d.concat", [768, 17, 17]),
        ("inception_v3", "7b.2.concat", [2048, 8, 8]),
        ("inception_v4", "5b.4.concat", [384, 35, 35]),
        ("inception_v4", "6b.7.concat", [1024, 17, 17]),
        ("inception_v4", "7b.3.concat", [1536, 8, 8]),
        ("inception_resnet_v2", "block35.10.relu", [320, 35, 35]),
        ("inception_resnet_v2", "block17.20.relu", [1088, 17, 17]),
        ("inception_resnet_v2", "block8.10.add", [2080, 8, 8]),
        ("resnet_v1_20", "stage3.3.relu", [64, 8, 8]),
        ("resnet_v1_152", "stage2.8.relu", [512, 28, 28]),
        ("resnet_v1_152", "stage4.3.relu", [2048, 7, 7]),
        ("resnet_v2_152", "stage1.unit.3.add", [256, 28, 28]),
        ("resnet_v2_152", "stage4.unit.3.add", [2048, 7, 7]),
        ("squeezenet1_1", "fire9.concat", [512, 13, 13]),
        ("mobilenet_v1", "conv13.pointwise_post.relu", [1024, 7, 7]),
        ("mobilenet_v2", "stage6.3.add", [160, 7, 7]),
        ("efficientnet_lite0", "stage7.project_bn", [320, 7, 7]),
    ];
    for (name, layer, [channels, height, width]) in expected {
        let network = open(name);
        let node = network.nodes.iter().find(|node| node.name == layer);
        let node = node.unwrap_or_else(|| panic!("{name} has no layer {layer}"));
        assert_eq!(node.shape, Shape::new(channels, height, width), "{name}, {layer}");
    }
}

/// The convolutions and dense layers of the ONNX models of the same networks.
#[test]
fn topologies_are_those_of_the_onnx_models() {
    for name in ["squeezenet1_1", "efficientnet_lite0"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../shared/models")
            .join(format!("{name}.onnx"));
        if !path.exists() {
            println!("skipped {name}: {} is not there", path.display());
            continue;
        }
        let layers = |network: &Network| -> Vec<_> {
            let geometry = |id: usize| match network.nodes[id].op {
                Op::Conv { .. } | Op::Dense { .. } => network.geometry(id),
                _ => None,
            };
            (0..network.nodes.len()).filter_map(geometry).collect()
        };
        assert_eq!(layers(&open(name)), layers(&open(path.to_str().unwrap())), "{name}");
    }
}

/// A repeated block is written once: no file is longer than its blocks are many.
#[test]
fn topologies_are_not_unrolled() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies");
    for name in network::shipped() {
        let text = std::fs::read_to_string(folder.join(format!("{name}.toml"))).unwrap();
        assert!(text.lines().count() <= 160, "{name}");
    }
}

#[test]
fn small_topologies_run_on_synthetic_operands() {
    let hardware = Hardware::open(Hardware::DEFAULT).unwrap();
    for name in ["fcnet", "cifarnet", "resnet_v1_14", "resnet_v1_20", "squeezenet1_1"] {
        let network = open(name);
        let lowered = synthetic(&network, &Plan::default(), 0.4, 7).unwrap();
        let simulator = Simulator::new(&lowered.network, &hardware, 7).unwrap();
        let run = simulator.run_synthetic(1, 0.6, |_| ()).unwrap();
        // Batch normalizations fold into the layers before them, so these are all.
        let macs: u64 = run.layers.iter().map(|layer| layer.macs.total).sum();
        assert_eq!(macs, network.macs(), "{name}");
    }
}
