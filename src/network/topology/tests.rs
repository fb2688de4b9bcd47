use crate::network::{Activation, Op, PoolKind};
use crate::tensor::{Shape, Window};

use super::*;

mod blocks;

/// A file with an input of 2×8×8 and these layers.
fn file(layers: &str) -> String {
    format!("name = \"net\"\ninput = [2, 8, 8]\n{layers}")
}

fn layer(text: &str) -> String {
    format!("[[layer]]\n{}\n", text.replace("; ", "\n"))
}

fn network(layers: &[&str]) -> Network {
    let layers: String = layers.iter().map(|text| layer(text)).collect();
    parse("net.toml", &file(&layers)).unwrap().network
}

/// The error of a file with these layers mentions all of `words`, and points at the text.
fn refused(layers: &[&str], words: &[&str]) {
    let layers: String = layers.iter().map(|text| layer(text)).collect();
    let error = parse("net.toml", &file(&layers)).expect_err("must be refused");
    let message = format!("{error:?}");
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
    assert!(error.has_span(), "{message}");
}

const CONV: &str = "name = 'conv'; op = 'conv'; channels = 4; kernel = 3";

#[test]
fn shapes_follow_from_the_layers() {
    let network = network(&[
        "name = 'a'; op = 'conv'; channels = 6; kernel = [3, 1]; stride = [1, 2]; padding = [1, 0]",
        "name = 'b'; op = 'batch_norm'",
        "name = 'c'; op = 'relu6'",
        "name = 'd'; op = 'max_pool'; kernel = 2",
        "name = 'e'; op = 'conv'; inputs = ['d']; channels = 6; kernel = 1; groups = 3; bias = false",
        "name = 'f'; op = 'add'; inputs = ['d', 'e']",
        "name = 'g'; op = 'concat'; inputs = ['f', 'd']",
        "name = 'h'; op = 'clip'; low = -1.0; high = 1.0",
        "name = 'i'; op = 'average_pool'; kernel = 3; stride = 1; padding = 1",
        "name = 'j'; op = 'flatten'",
        "name = 'k'; op = 'dense'; channels = 5",
        "name = 'l'; op = 'softmax'",
    ]);
    let shapes: Vec<_> = network.nodes.iter().map(|n| (n.name.as_str(), n.shape)).collect();
    // 8×8 by 3×1 strides 1×2 and one row above and below: 8 × ⌊7/2⌋+1.
    let map = Shape::new(6, 8, 4);
    let pooled = Shape::new(6, 4, 2);
    let joined = Shape::new(12, 4, 2);
    let expected = [
        ("input", Shape::new(2, 8, 8)),
        ("a", map),
        ("b", map),
        ("c", map),
        ("d", pooled),
        ("e", pooled),
        ("f", pooled),
        ("g", joined),
        ("h", joined),
        ("i", joined),
        ("j", Shape::vector(96)),
        ("k", Shape::vector(5)),
        ("l", Shape::vector(5)),
    ];
    assert_eq!(shapes, expected);
    assert_eq!(network.nodes[3].op, Op::Activation(Activation::Relu6));
    assert_eq!(network.nodes[2].op, Op::BatchNorm { epsilon: 1e-5 });
    let Op::Pool { kind, window } = network.nodes[4].op else { panic!("a pool") };
    assert_eq!((kind, window.stride), (PoolKind::Max, [2, 2]));
    // Weights 6·2·3, 2·6 of the batch normalization, 6·2 in groups, 5·96, and biases 6 and 5.
    assert_eq!(network.parameter_count(), 36 + 6 + 12 + 12 + 480 + 5);
    // MACs: 32 pixels · 36, 8 · 12, 480; the batch normalization does not count.
    assert_eq!(network.macs(), 32 * 36 + 8 * 12 + 480);
}

#[test]
fn layers_may_be_written_in_any_order() {
    let network = network(&[
        "name = 'sum'; op = 'add'; inputs = ['left', 'right']",
        "name = 'left'; op = 'relu'; inputs = ['input']",
        "name = 'right'; op = 'relu6'; inputs = ['left']",
    ]);
    let names: Vec<_> = network.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["input", "left", "right", "sum"]);
    assert_eq!(network.nodes[3].inputs, [1, 2]);
}

#[test]
fn padding_has_four_spellings() {
    let window = |padding: &str| -> Window {
        let conv =
            format!("name = 'c'; op = 'conv'; channels = 1; kernel = 4; stride = 3; {padding}");
        match network(&[&conv]).nodes[1].op {
            Op::Conv { window, .. } => window,
            _ => panic!("a convolution"),
        }
    };
    assert_eq!(window("padding = 1").padding, [1, 1, 1, 1]);
    assert_eq!(window("padding = [2, 1]").padding, [2, 1, 2, 1]);
    assert_eq!(window("padding = [1, 2, 3, 0]").padding, [1, 2, 3, 0]);
    // ⌈8 / 3⌉ = 3 outputs need (3 − 1) · 3 + 4 = 10 pixels: one above, one below.
    assert_eq!(window("padding = 'same'").padding, [1, 1, 1, 1]);
    // With dilation 2 the kernel spans 7, so 13 pixels are needed: two above, three below.
    assert_eq!(window("padding = 'same'; dilation = 2").padding, [2, 2, 3, 3]);
}

#[test]
fn the_shipped_lenets_have_the_published_sizes() {
    let read = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies").join(name);
        super::read(&path).unwrap()
    };
    let lenet5 = read("lenet5.toml");
    assert_eq!(lenet5.weights.as_deref(), Some("lenet5.safetensors"));
    assert_eq!(lenet5.dataset.as_deref(), Some("mnist"));
    // 28²·25·6 + 10²·150·16 + 400·120 + 120·84 + 84·10.
    assert_eq!(lenet5.network.macs(), 117_600 + 240_000 + 48_000 + 10_080 + 840);
    assert_eq!(lenet5.network.parameter_count(), 156 + 2416 + 48_120 + 10_164 + 850);
    let caffe = read("lenet_caffe.toml").network;
    assert_eq!(caffe.macs(), 576 * 25 * 20 + 64 * 500 * 50 + 800 * 500 + 500 * 10);
    assert_eq!(caffe.parameter_count(), 431_080);
}

#[test]
fn cycles_are_named() {
    refused(
        &[
            "name = 'a'; op = 'relu'",
            "name = 'b'; op = 'add'; inputs = ['a', 'd']",
            "name = 'c'; op = 'relu'",
            "name = 'd'; op = 'relu'",
            "name = 'e'; op = 'relu'",
        ],
        &["cycle", "`b` → `c` → `d` → `b`"],
    );
    refused(&["name = 'a'; op = 'relu'; inputs = ['a']"], &["cycle", "`a` → `a`"]);
}

#[test]
fn bad_files_are_refused_at_the_line() {
    refused(&["name = 'a'; op = 'gelu'"], &["layer `a`", "gelu", "operator"]);
    refused(&["op = 'relu'"], &["a layer", "`name`"]);
    refused(&["name = 'a'"], &["layer `a`", "`op` or `block`"]);
    refused(&["name = 'a'; op = 'relu'; kernal = 3"], &["kernal"]);
    refused(&["name = 'a'; op = 'relu'; kernel = 3"], &["layer `a`", "`kernel`", "remove it"]);
    refused(&["name = 'a'; op = 'conv'; kernel = 3"], &["layer `a`", "`channels`"]);
    refused(&["name = 'a'; op = 'conv'; channels = 1; kernel = 'big'"], &["expected a size"]);
    refused(&["name = 'a'; op = 'relu'; inputs = ['b']"], &["layer `a`", "`b`, which is no layer"]);
    refused(&["name = 'a'; op = 'relu'", "name = 'a'; op = 'relu'"], &["layer `a`", "another"]);
    refused(&["name = 'input'; op = 'relu'"], &["layer `input`", "another"]);
    refused(&["name = 'a'; op = 'relu'; inputs = []"], &["layer `a`", "0 inputs"]);
    refused(&["name = 'a'; op = 'add'"], &["layer `a`", "two or more"]);
    refused(&[CONV, "name = 'd'; op = 'dense'; channels = 2"], &["layer `d`", "4×6×6", "flatten"]);
    refused(
        &[CONV, "name = 'a'; op = 'add'; inputs = ['conv', 'input']"],
        &["layer `a`", "`conv` (4×6×6)", "`input` (2×8×8)"],
    );
    refused(
        &[CONV, "name = 'a'; op = 'concat'; inputs = ['conv', 'input']"],
        &["layer `a`", "heights or widths"],
    );
    refused(
        &[CONV, "name = 'r'; op = 'relu'; inputs = ['input']"],
        &["network `net`", "2 outputs (`conv`, `r`)"],
    );
    refused(&[], &["network `net`", "no layer"]);
    assert!(parse("net.toml", "name = 'n'\ninput = [0, 1, 1]").is_err());
}

#[test]
fn absurd_sizes_are_refused() {
    let conv = |rest: &str| format!("name = 'c'; op = 'conv'; {rest}");
    let refused_conv = |rest: &str, word: &str| refused(&[&conv(rest)], &["layer `c`", word]);
    let max = i64::MAX;
    refused_conv("channels = 4; kernel = 9", "9×9");
    refused_conv("channels = 4; kernel = 0", "at least 1");
    refused_conv("channels = 4; kernel = 3; stride = 0", "at least 1");
    refused_conv("channels = 4; kernel = 3; groups = 0", "groups");
    refused_conv("channels = 4; kernel = 3; groups = 4", "groups");
    refused_conv("channels = 0; kernel = 3", "no element");
    refused_conv(&format!("channels = {max}; kernel = 3"), "elements");
    refused_conv(&format!("channels = 4; kernel = {max}"), "at most");
    refused_conv(&format!("channels = 4; kernel = {max}; padding = 'same'"), "at most");
    refused_conv(&format!("channels = 4; kernel = 3; padding = {max}"), "at most");
    refused_conv(
        &format!("channels = 4; kernel = 2; dilation = {max}; padding = 'same'"),
        "at most",
    );
    let pool = "name = 'p'; op = 'max_pool'; kernel = 2; padding = 2";
    refused(&[pool], &["layer `p`", "padding"]);
    refused(&["name = 'c'; op = 'clip'; low = 1.0; high = 1.0"], &["layer `c`", "low below high"]);
    refused(&["name = 'c'; op = 'clip'; low = nan; high = 1.0"], &["layer `c`", "finite"]);
    refused(&["name = 'b'; op = 'batch_norm'; epsilon = 0.0"], &["layer `b`", "epsilon"]);
    let huge = format!("name = 'n'\ninput = [{max}, {max}, {max}]\n");
    assert!(parse("n.toml", &huge).unwrap_err().to_string().contains("elements"));
}

#[test]
fn convolutions_multiply_their_channels() {
    let network = network(&[
        "name = 'a'; op = 'conv'; multiplier = 6; kernel = 1",
        "name = 'b'; op = 'depthwise_conv'; kernel = 3; padding = 'same'; bias = false",
        "name = 'c'; op = 'depthwise_conv'; multiplier = 2; kernel = 3; padding = 'same'",
    ]);
    let channels: Vec<_> = network.nodes.iter().map(|node| node.shape.channels).collect();
    assert_eq!(channels, [2, 12, 12, 24]);
    // 2·12 + 12; 12·9; 24·9 + 24.
    assert_eq!(network.parameter_count(), 36 + 108 + 240);
    refused(
        &["name = 'a'; op = 'conv'; channels = 4; multiplier = 2; kernel = 1"],
        &["layer `a`", "both"],
    );
    let max = i64::MAX;
    refused(&[&format!("name = 'a'; op = 'conv'; multiplier = {max}; kernel = 1")], &["elements"]);
}

#[test]
fn operators_take_their_keys() {
    let network = network(&[
        "name = 'a'; op = 'lrn'; size = 5; alpha = 1e-4; beta = 0.75",
        "name = 'b'; op = 'pad'; padding = [1, 0, 1, 0]",
        "name = 'c'; op = 'leaky_relu'; slope = 0.1",
        "name = 'd'; op = 'hard_sigmoid'; alpha = 0.2; beta = 0.5",
        "name = 'e'; op = 'average_pool'; kernel = 2; count_padding = true",
        "name = 'f'; op = 'mul'; inputs = ['e', 'e']",
    ]);
    let Op::Lrn(lrn) = network.nodes[1].op else { panic!("a normalization") };
    assert_eq!((lrn.size, lrn.bias), (5, 1.0));
    assert_eq!(network.nodes[2].shape, Shape::new(2, 10, 8));
    let kind = PoolKind::PaddedAverage;
    assert!(matches!(network.nodes[5].op, Op::Pool { kind: found, .. } if found == kind));
    refused(&["name = 'a'; op = 'pad'; padding = 'same'"], &["layer `a`", "same"]);
    refused(&["name = 'a'; op = 'mul'"], &["layer `a`", "multiplies two"]);
}
