//! What plans resolve to, and the integer layers that come out. Words are computed in the tests by
//! the definitions, from the float values.

use super::*;
use crate::dataset::Dataset;
use crate::network::{Activation, Builder, FlattenOrder, NodeId, float, fold_batch_norm};
use crate::numeric::{Overflow, Rounding};
use crate::quantize::{Clamp, WordMap, cast_value, lower, synthetic};
use crate::tensor::Shape;

/// A number between −1 and 1 that looks random.
fn noise(index: usize) -> f32 {
    let hash = (index as u32).wrapping_mul(2_654_435_769) ^ 0x5bd1_e995;
    (hash.wrapping_mul(0x85eb_ca6b) >> 8) as f32 / (1 << 23) as f32 - 1.0
}

fn parameters(network: &Network) -> Parameters {
    let mut parameters = Parameters::new();
    for (seed, (name, shape)) in network.parameter_shapes().into_iter().enumerate() {
        let len = shape.iter().product();
        let sign = if name.ends_with("running_var") { f32::abs } else { |v| v };
        let values = (0..len).map(|i| sign(noise(seed * 7919 + i) * 0.4)).collect();
        parameters.insert(name, ndarray::ArrayD::from_shape_vec(shape, values).unwrap());
    }
    parameters
}

/// Convolution, batch normalization, ReLU, average pooling, dense, softmax.
fn small() -> Network {
    let mut b = Builder::new("small");
    let input = b.input("input", Shape::new(1, 28, 28)).unwrap();
    let window = Window { kernel: [5, 5], stride: [3, 3], ..Window::POINT };
    let conv = b.conv("conv1", input, 4, window, 1, true).unwrap();
    let norm = b.batch_norm("bn1", conv, 1e-5).unwrap();
    let relu = b.activation("relu1", norm, Activation::Relu).unwrap();
    let pool = Window { kernel: [2, 2], stride: [2, 2], ..Window::POINT };
    let pool = b.pool("pool1", relu, PoolKind::Average, pool).unwrap();
    let flat = b.flatten("flatten", pool, FlattenOrder::ChannelsFirst).unwrap();
    let dense = b.dense("fc1", flat, 10, true).unwrap();
    b.softmax("softmax", dense).unwrap();
    b.finish().unwrap()
}

fn plan(rules: &str) -> Plan {
    Plan::parse("plan.toml", &format!("name = \"test\"\n{rules}")).unwrap()
}

fn rule(select: &str, quantizer: &str) -> String {
    format!("[[rule]]\nselect = \"{select}\"\nquantizer = {quantizer}\n")
}

fn mnist() -> Dataset {
    crate::dataset::open("mnist").unwrap().calibration.unwrap().first(40)
}

fn lowered(network: &Network, plan: &Plan) -> Lowered {
    lower(network, &parameters(network), plan, Some(&mnist())).unwrap()
}

fn refused(network: &Network, plan: &Plan) -> String {
    lower(network, &parameters(network), plan, Some(&mnist())).unwrap_err().to_string()
}

fn layer<'a>(lowered: &'a Lowered, name: &str) -> &'a Layer {
    lowered.network.layers.iter().find(|layer| layer.name == name).unwrap()
}

fn mac<'a>(lowered: &'a Lowered, name: &str) -> &'a MacLayer {
    match &layer(lowered, name).operation {
        Operation::Mac(mac) => mac,
        other => panic!("{other:?}"),
    }
}

fn site<'a>(lowered: &'a Lowered, layer: &str, site: &str) -> &'a SiteRow {
    lowered.sites.iter().find(|row| row.layer == layer && row.site == site).unwrap()
}

/// The largest magnitude of a node's output over the calibration images.
fn reach(network: &Network, parameters: &Parameters, id: NodeId) -> f32 {
    let outputs = float::forward(network, parameters, mnist().batch(0..40).unwrap().view());
    outputs.unwrap()[id].iter().fold(0.0, |max, v| v.abs().max(max))
}

#[test]
fn the_default_plan() {
    let network = small();
    let lowered = lowered(&network, &Plan::default());
    let names: Vec<_> = lowered.network.layers.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["input", "conv1", "pool1", "flatten", "fc1", "softmax"]);
    // Pixels reach 1 = 128 · 2^−7, which is an unsigned 8-bit word and no signed one.
    assert_eq!(layer(&lowered, "input").output.format().to_string(), "u8f7");
    let (folded, parameters) = fold_batch_norm(&network, &parameters(&network)).unwrap();
    let conv = mac(&lowered, "conv1");
    let weights = &parameters["conv1.weight"];
    let largest = weights.iter().fold(0.0f32, |max, v| v.abs().max(max));
    let format = conv.weights.format();
    assert!((format.is_signed(), format.bits()) == (true, 8));
    let word = |v: f32, frac: i32| (f64::from(v) * 2f64.powi(frac)).round_ties_even();
    assert!(word(largest, format.frac()) <= 127.0 && word(largest, format.frac() + 1) > 127.0);
    for (index, &value) in weights.iter().enumerate() {
        assert_eq!(conv.weights.get(index) as f64, word(value, format.frac()));
    }
    let bias = conv.bias.as_ref().unwrap();
    assert_eq!((bias.format.bits(), bias.format.frac()), (32, format.frac() + 7));
    for (&raw, &value) in bias.raw.iter().zip(&parameters["conv1.bias"]) {
        assert_eq!(raw as f64, word(value, bias.format.frac()));
    }
    assert_eq!((conv.accumulator.format, conv.accumulator.overflow), (None, None));
    assert!(conv.activations.is_none() && conv.product.is_none());
    // The output is that of the ReLU: node 2 once the batch normalization is folded.
    let output = &layer(&lowered, "conv1").output;
    let largest = reach(&folded, &parameters, 2);
    let frac = output.format().frac();
    assert!(!output.format().is_signed());
    assert!(word(largest, frac) <= 255.0 && word(largest, frac + 1) > 255.0, "{largest} {frac}");
    assert_eq!(output.clamp, Some(Clamp { low: 0, high: 255 }));
    assert_eq!(site(&lowered, "conv1", "output").activation.as_deref(), Some("relu1"));
    assert!(layer(&lowered, "fc1").output.format().is_signed());
    let format = |name| layer(&lowered, name).output.format();
    assert_eq!(format("softmax"), format("fc1"));
    assert!(matches!(layer(&lowered, "pool1").operation, Operation::AveragePool { .. }));
}

#[test]
fn the_last_matching_rule_holds() {
    let rules = [
        rule("*.weights", "{ kind = \"fixed\", format = \"s8f4\" }"),
        rule("conv1.*t*s", "{ kind = \"fixed\", format = \"s6f3\", rounding = \"floor\" }"),
        rule("relu1.output", "{ kind = \"fixed\", format = \"u4f1\", overflow = \"wrap\" }"),
    ];
    let lowered = lowered(&small(), &plan(&rules.concat()));
    assert_eq!(mac(&lowered, "conv1").weights.format().to_string(), "s6f3");
    assert_eq!(mac(&lowered, "fc1").weights.format().to_string(), "s8f4");
    let cast = layer(&lowered, "conv1").output.cast;
    assert_eq!((cast.to().to_string().as_str(), cast.overflow()), ("u4f1", Overflow::Wrap));
    // `conv1.*t*s` also selects the activations of the layer.
    let cast = mac(&lowered, "conv1").activations.unwrap();
    assert_eq!((cast.to().to_string().as_str(), cast.rounding()), ("s6f3", Rounding::Floor));
    let row = site(&lowered, "conv1", "weights");
    assert_eq!(row.source, "rule 2 `conv1.*t*s`");
    assert_eq!(row.quantizer, "fixed s6f3, floor, saturate");
    assert_eq!(site(&lowered, "fc1", "output").source, "default");
    // Averages keep their input's format unless a rule says otherwise.
    assert_eq!(layer(&lowered, "pool1").output.format().to_string(), "u4f1");
}

#[test]
fn intrinsic_sites() {
    let rules = [
        rule("*.weights", "{ kind = \"fixed\", format = \"s8f6\" }"),
        rule("input.output", "{ kind = \"fixed\", format = \"u8f8\" }"),
        rule("conv1.activations", "{ kind = \"fixed\", format = \"4\" }"),
        rule("conv1.product", "{ kind = \"fixed\", format = \"s10\", overflow = \"wrap\" }"),
        rule("*.accumulator", "{ kind = \"fixed\", format = \"s12\", overflow = \"saturate\" }"),
        rule("fc1.accumulator", "{ kind = \"fixed\", overflow = \"wrap\" }"),
        rule("conv1.bias", "{ kind = \"fixed\", format = \"s8f2\" }"),
    ];
    let lowered = lowered(&small(), &plan(&rules.concat()));
    let conv = mac(&lowered, "conv1");
    // Pixels reach 1 = 8 · 2^−3, unsigned as the incoming words are.
    assert_eq!(conv.activations.unwrap().to().to_string(), "u4f3");
    // The binary point of an exact product: 6 + 3.
    assert_eq!(conv.product.unwrap().to().to_string(), "s10f9");
    assert_eq!(conv.accumulator.format.unwrap().to_string(), "s12f9");
    assert_eq!(conv.accumulator.overflow, Some(Overflow::Saturate));
    assert_eq!(conv.bias.as_ref().unwrap().format.to_string(), "s8f2");
    let fc1 = mac(&lowered, "fc1").accumulator;
    assert_eq!((fc1.format, fc1.overflow), (None, Some(Overflow::Wrap)));
}

#[test]
fn a_kept_batch_normalization_is_a_depthwise_layer() {
    let network = small();
    let lowered = lowered(&network, &plan("batch_norm = \"keep\"\n"));
    let parameters = parameters(&network);
    let norm = mac(&lowered, "bn1");
    assert_eq!((norm.geometry.groups, norm.geometry.reduction()), (4, 1));
    let bias = norm.bias.as_ref().unwrap();
    for (channel, &raw) in bias.raw.iter().enumerate() {
        let [gamma, beta, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
            .map(|name| f64::from(parameters[&format!("bn1.{name}")][channel]));
        let scale = gamma / (variance + f64::from(1e-5f32)).sqrt();
        let weight = norm.weights.format().value(norm.weights.get(channel).into());
        assert!((weight - scale).abs() <= f64::powi(2.0, -norm.weights.format().frac() - 1) * 1.01);
        let offset = bias.format.value(raw.into());
        assert!((offset - (beta - mean * scale)).abs() < 1e-3);
    }
    assert_eq!(site(&lowered, "bn1", "output").activation.as_deref(), Some("relu1"));
    assert!(layer(&lowered, "conv1").output.clamp.is_none());
}

#[test]
fn activation_functions_fuse_only_into_their_only_producer() {
    let mut b = Builder::new("branches");
    let input = b.input("input", Shape::new(1, 28, 28)).unwrap();
    let conv = b.conv("conv", input, 2, Window::POINT, 1, false).unwrap();
    let relu = b.activation("relu", conv, Activation::Relu6).unwrap();
    let clip = b.activation("clip", relu, Activation::Clip { low: -0.5, high: 0.3 }).unwrap();
    let sum = b.add("sum", &[conv, clip]).unwrap();
    let relu2 = b.activation("relu2", sum, Activation::Relu).unwrap();
    b.concat("concat", &[relu2, clip]).unwrap();
    let network = b.finish().unwrap();
    let rules = [
        rule("relu.output", "{ kind = \"fixed\", format = \"s8f3\" }"),
        rule("clip.output", "{ kind = \"fixed\", format = \"s8f4\" }"),
        rule("sum.output", "{ kind = \"fixed\", format = \"u9f5\" }"),
    ];
    let lowered = lowered(&network, &plan(&rules.concat()));
    let names: Vec<_> = lowered.network.layers.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["input", "conv", "relu", "clip", "sum", "concat"]);
    assert!(layer(&lowered, "conv").output.clamp.is_none());
    assert_eq!(layer(&lowered, "relu").output.clamp, Some(Clamp { low: 0, high: 48 }));
    // 0.3 · 16 = 4.8
    assert_eq!(layer(&lowered, "clip").output.clamp, Some(Clamp { low: -8, high: 5 }));
    assert_eq!(layer(&lowered, "sum").output.clamp, Some(Clamp { low: 0, high: 511 }));
    assert_eq!(layer(&lowered, "concat").inputs, [4, 3]);
    assert_eq!(layer(&lowered, "concat").output.format().to_string(), "s9f4");
}

#[test]
fn outputs_take_further_quantizers_as_maps() {
    let chain = "[{ kind = \"fixed\", format = \"u6f3\" }, { kind = \"power_of_two\", bits = 3, \
                 max_exponent = 1 }, { kind = \"top_k\", fraction = 0.5 }]";
    let lowered = lowered(&small(), &plan(&rule("conv1.output", chain)));
    let output = &layer(&lowered, "conv1").output;
    let [WordMap::Table { words, format }, WordMap::TopK { keep: 128 }] = &output.maps[..] else {
        panic!("{:?}", output.maps)
    };
    // Eight codes: zero and 2^1 … 2^−5.
    assert_eq!((format.to_string().as_str(), words.len()), ("u7f5", 64));
    assert_eq!((words[0], words[1], words[3], words[8], words[63]), (0, 4, 16, 32, 64));
}

#[test]
fn plans_that_do_not_fit_are_refused() {
    let network = small();
    let fixed = "{ kind = \"fixed\", format = \"s8\" }";
    let half = "{ kind = \"float\", exponent = 5, mantissa = 10 }";
    for (select, quantizer, problem) in [
        ("conv9.weights", fixed, "`conv9.weights`: matches no site"),
        ("flatten.output", fixed, "`flatten.output`: matches no site"),
        ("bn1.weights", fixed, "matches no site"),
        ("input.weights", fixed, "matches no site"),
        ("fc1.weights", half, "values only"),
        ("fc1.output", half, "begin with a fixed-point"),
        ("fc1.activations", half, "one fixed-point quantizer"),
        ("fc1.output", &format!("[{fixed}, {half}]"), "values only"),
        ("fc1.weights", "{ kind = \"fixed\", format = \"s33\" }", "at most 32 bits"),
        ("fc1.output", "{ kind = \"fixed\", format = \"s33\" }", "at most 32 bits"),
        ("fc1.weights", "{ kind = \"fixed\" }", "no `format`"),
    ] {
        let error = refused(&network, &plan(&rule(select, quantizer)));
        assert!(error.contains(problem), "{select}: {error}");
    }
}

#[test]
fn without_images_only_stated_formats_are_possible() {
    let network = small();
    let parameters = parameters(&network);
    let error = lower(&network, &parameters, &Plan::default(), None).unwrap_err();
    assert_eq!(error.subject(), "input.output");
    assert!(error.to_string().contains("calibration"), "{error}");
    let stated = plan(&rule("*.output", "{ kind = \"fixed\", format = \"s8f4\" }"));
    assert!(lower(&network, &parameters, &stated, None).is_ok());
}

#[test]
fn nan_and_infinity_are_refused_by_name() {
    let network = small();
    let mut broken = parameters(&network);
    broken.get_mut("fc1.weight").unwrap()[[3, 1]] = f32::NAN;
    let error = lower(&network, &broken, &Plan::default(), Some(&mnist())).unwrap_err();
    assert!(error.to_string().contains("fc1"), "{error}");
    let mut huge = parameters(&network);
    huge.get_mut("fc1.weight").unwrap().fill(f32::MAX);
    let error = lower(&network, &huge, &Plan::default(), Some(&mnist())).unwrap_err();
    assert!(error.to_string().contains("fc1"), "{error}");
}

#[test]
fn calibration_does_not_depend_on_the_threads() {
    let network = small();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| format!("{:?}", lowered(&network, &Plan::default())))
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn a_bias_too_large_for_the_products_binary_point_gets_a_coarser_one() {
    let network = small();
    let mut parameters = parameters(&network);
    parameters.get_mut("fc1.bias").unwrap()[0] = 3000.0;
    let lowered = lower(&network, &parameters, &Plan::open("int16").unwrap(), Some(&mnist()));
    let lowered = lowered.unwrap();
    let bias = mac(&lowered, "fc1").bias.as_ref().unwrap();
    // 3000 · 2^19 < 2^31 ≤ 3000 · 2^20
    assert_eq!(bias.format.to_string(), "s32f19");
    assert_eq!(bias.raw[0], 3000 << 19);
}

#[test]
fn synthetic_weights_follow_the_plan_and_the_density() {
    let network = small();
    let lowered = synthetic(&network, &Plan::default(), 0.25, 5).unwrap();
    let words = &mac(&lowered, "fc1").weights;
    let share = words.nonzero() as f64 / words.len() as f64;
    assert!((share - 0.25).abs() < 5.0 * (0.25 * 0.75 / words.len() as f64).sqrt(), "{share}");
    assert_eq!(words.format().bits(), 8);
    assert_eq!(layer(&lowered, "input").output.format().to_string(), "u8f8");
    assert_eq!(mac(&lowered, "fc1").bias.as_ref().unwrap().raw, [0; 10]);
    let ternary = plan(&rule("*.weights", "{ kind = \"ternary\" }"));
    let lowered = synthetic(&network, &ternary, 0.5, 5).unwrap();
    let mut words = mac(&lowered, "fc1").weights.to_vec();
    words.sort_unstable();
    words.dedup();
    assert!(words.len() == 3 && words[0] == -words[2] && words[1] == 0, "{words:?}");
    let again = synthetic(&network, &ternary, 0.5, 5).unwrap();
    assert_eq!(mac(&lowered, "fc1").weights, mac(&again, "fc1").weights);
    assert!(synthetic(&network, &ternary, 2.0, 5).is_err());
}

/// The words of an image's first convolution, by the definition, are near its float output.
#[test]
fn words_stand_for_the_float_values() {
    let network = small();
    let lowered = lowered(&network, &Plan::open("int16").unwrap());
    let (folded, parameters) = fold_batch_norm(&network, &parameters(&network)).unwrap();
    let image = mnist().batch(3..4).unwrap();
    let float = float::forward(&folded, &parameters, image.view()).unwrap().remove(2);
    let conv = mac(&lowered, "conv1");
    let (input, output) = (layer(&lowered, "input").output.cast, &layer(&lowered, "conv1").output);
    let words = image.mapv(|v| cast_value(input, v.into(), 0).raw);
    let frac = conv.weights.format().frac() + input.to().frac();
    for ((_, n, y, x), &value) in float.indexed_iter() {
        let bias = conv.bias.as_ref().unwrap();
        let mut sum = i128::from(bias.raw[n]) << (frac - bias.format.frac());
        for (ky, kx) in (0..5).flat_map(|ky| (0..5).map(move |kx| (ky, kx))) {
            let weight = i128::from(conv.weights.get((n * 5 + ky) * 5 + kx));
            sum += weight * words[[0, 0, 3 * y + ky, 3 * x + kx]];
        }
        let word = output.cast.apply(sum, frac, 0).raw.max(0);
        let error = output.format().value(word) - f64::from(value);
        assert!(error.abs() < 2e-3, "{value} {error}");
    }
}

/// Weights by output channel: each has its own scale, and the largest becomes ±127. The output's
/// zero point is a word that stands for 0, and words stand for the float values.
#[test]
fn affine_words_stand_for_the_float_values() {
    let network = small();
    let plan = plan(
        &[
            rule("*.weights", "{ kind = \"affine\", bits = 8, granularity = \"channel\" }"),
            rule("*.output", "{ kind = \"affine\", bits = 12 }"),
            rule("conv1.accumulator", "{ kind = \"fixed\", format = \"s30\" }"),
        ]
        .concat(),
    );
    let lowered = lowered(&network, &plan);
    let conv = mac(&lowered, "conv1");
    for channel in conv.weights.to_vec().chunks(25) {
        assert_eq!(channel.iter().map(|word| word.abs()).max(), Some(127));
    }
    assert_eq!(conv.accumulator.format.unwrap().to_string(), "s30f0");
    let affine = |name: &str| layer(&lowered, name).output.affine.clone().unwrap();
    assert_eq!(affine("conv1").zero_point, 0, "a ReLU's words begin at 0");
    assert!(affine("fc1").zero_point > 0);
    assert_eq!(affine("pool1"), affine("conv1"));
    let (folded, parameters) = fold_batch_norm(&network, &parameters(&network)).unwrap();
    let image = mnist().batch(3..4).unwrap();
    let float = float::forward(&folded, &parameters, image.view()).unwrap().remove(2);
    let (input, output) = (affine("input"), affine("conv1"));
    let words = image.mapv(|v| (v / input.scale(0)).round_ties_even() as i64);
    for ((_, n, y, x), &value) in float.indexed_iter() {
        let mut sum = conv.bias.as_ref().unwrap().raw[n];
        for (ky, kx) in (0..5).flat_map(|ky| (0..5).map(move |kx| (ky, kx))) {
            sum += conv.weights.get((n * 5 + ky) * 5 + kx) * words[[0, 0, 3 * y + ky, 3 * x + kx]];
        }
        let Some(crate::quantize::Rescale::Scales(scales)) = &conv.rescale else { panic!() };
        let word = (sum as f64 * scales[n]).round_ties_even().max(0.0);
        let error = word * f64::from(output.scale(0)) - f64::from(value);
        // 25 weights off by at most half of 0.4 / 127, pixels of at most 1.
        assert!(error.abs() < 25.0 * 0.2 / 127.0 + 0.01, "{value} {error}");
    }
}

#[test]
fn affine_plans_are_all_of_a_kind() {
    let mixed = [
        rule("*.weights", "{ kind = \"affine\", bits = 8 }"),
        rule("fc1.output", "{ kind = \"fixed\", format = \"8\" }"),
    ];
    assert!(refused(&small(), &plan(&mixed.concat())).contains("affine"));
    let by_channel = rule("*.output", "{ kind = \"affine\", bits = 8, granularity = \"channel\" }");
    assert!(refused(&small(), &plan(&by_channel)).contains("one scale"));
    let corrected = format!("bias_correction = true\n{}", rule("*.output", "{ kind = \"none\" }"));
    assert!(refused(&small(), &plan(&corrected)).contains("corrects biases"));
}

/// With ternary-like coarse weights the mean output is off by Σ (ŵ − w) · E\[x\]; corrected biases
/// take that back.
#[test]
fn corrected_biases_keep_the_mean() {
    let weights = rule("*.weights", "{ kind = \"affine\", bits = 2, granularity = \"tensor\" }");
    let of = |correct: bool| {
        let text = format!("bias_correction = {correct}\n{weights}");
        let lowered = lowered(&small(), &plan(&text));
        mac(&lowered, "conv1").bias.as_ref().unwrap().raw.clone()
    };
    let (plain, corrected) = (of(false), of(true));
    let network = small();
    let lowered = lowered(&network, &plan(&weights));
    let conv = mac(&lowered, "conv1");
    let (folded, parameters) = fold_batch_norm(&network, &parameters(&network)).unwrap();
    let _ = folded;
    let input = layer(&lowered, "input").output.affine.clone().unwrap().scale(0);
    let batch = mnist().batch(0..40).unwrap();
    let mean = batch.iter().map(|&v| f64::from(v)).sum::<f64>() / batch.len() as f64;
    let values = &parameters["conv1.weight"];
    let scale = values.iter().fold(0.0f32, |max, v| max.max(v.abs()));
    for n in 0..4 {
        let shift: f64 = (0..25)
            .map(|k| {
                let value = values.as_slice().unwrap()[n * 25 + k];
                conv.weights.get(n * 25 + k) as f64 * f64::from(scale) - f64::from(value)
            })
            .sum::<f64>()
            * mean;
        let words = shift / f64::from(input * scale);
        assert!(((plain[n] - corrected[n]) as f64 - words).abs() <= 1.0, "{n}: {words}");
    }
}

/// Every intermediate of a batch normalization has an output site of its own; the ReLU after it is
/// computed in its last step.
#[test]
fn an_intrinsic_batch_normalization_quantizes_every_step() {
    let rules = rule("bn1.scale.output", "{ kind = \"fixed\", format = \"s12\" }");
    let lowered = lowered(&small(), &plan(&format!("batch_norm = \"intrinsic\"\n{rules}")));
    let names: Vec<_> = lowered.network.layers.iter().map(|l| l.name.as_str()).collect();
    let steps = ["bn1.centre", "bn1.scale", "bn1.gamma", "bn1"];
    assert_eq!(names[..6], [&["input", "conv1"][..], &steps].concat());
    for step in steps {
        assert_eq!(mac(&lowered, step).geometry.groups, 4, "a factor by channel");
    }
    assert_eq!(layer(&lowered, "bn1.scale").output.format().bits(), 12);
    assert_eq!(site(&lowered, "bn1", "output").activation.as_deref(), Some("relu1"));
}
