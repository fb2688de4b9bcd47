use crate::network::{Activation, Op, PoolKind};
use crate::tensor::{Shape, Window};

use super::*;

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

/// A file with an input of 2×8×8, these layers and blocks.
fn with_blocks(layers: &str, blocks: &str) -> String {
    format!("name = 'net'\ninput = [2, 8, 8]\nlayer = [\n{layers}\n]\n{blocks}")
}

const UNIT: &str = r#"
[[block]]
name = "unit"
parameters = ["width"]
defaults = { stride = 1, project = false }
layer = [
  { name = "conv", op = "conv", channels = "2*$width", kernel = 3, stride = "$stride", padding = 1 },
  { name = "shortcut", op = "conv", inputs = ["input"], channels = "2*$width", kernel = 1, stride = "$stride", when = "$project" },
  { name = "add", op = "add", inputs = ["conv", "shortcut"] },
]
"#;

/// Name, operator and the names of what it reads, by node.
fn described(text: &str) -> Vec<String> {
    let nodes = parse("net.toml", text).unwrap().network.nodes;
    let reads = |node: &crate::network::Node| {
        node.inputs.iter().map(|&i| nodes[i].name.as_str()).collect::<Vec<_>>().join(", ")
    };
    nodes.iter().skip(1).map(|n| format!("{}: {}({})", n.name, n.op.name(), reads(n))).collect()
}

/// The error of a file mentions all of `words` and points at `place`.
fn refused_at(text: &str, place: &str, words: &[&str]) {
    let error = parse("net.toml", text).expect_err("must be refused");
    let message = format!("{error:?}");
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
    let label = miette::Diagnostic::labels(&error).and_then(|mut labels| labels.next()).unwrap();
    let found = &text[label.offset()..][..label.len()];
    assert_eq!(found, place, "{message}");
}

#[test]
fn copies_of_a_block_follow_each_other() {
    let text = with_blocks(
        "{ name = 'stage', block = 'unit', repeat = 3, width = 4, first = { stride = 2, project = true } },
         { name = 'relu', op = 'relu' },",
        UNIT,
    );
    // Only the first copy has the projection and the stride; the others add their own input.
    let expected = [
        "stage.1.conv: conv(input)",
        "stage.1.shortcut: conv(input)",
        "stage.1.add: add(stage.1.conv, stage.1.shortcut)",
        "stage.2.conv: conv(stage.1.add)",
        "stage.2.add: add(stage.2.conv, stage.1.add)",
        "stage.3.conv: conv(stage.2.add)",
        "stage.3.add: add(stage.3.conv, stage.2.add)",
        "relu: relu(stage.3.add)",
    ];
    assert_eq!(described(&text), expected);
    let network = parse("net.toml", &text).unwrap().network;
    assert!(network.nodes[1..].iter().all(|node| node.shape == Shape::new(8, 4, 4)));
}

#[test]
fn first_and_last_hold_for_one_copy() {
    let block =
        "[[block]]\nname = 'b'\nparameters = ['op']\nlayer = [{ name = 'x', op = '$op' }]\n";
    let text = |repeat: u32| {
        let layer = format!(
            "{{ name = 'a', block = 'b', repeat = {repeat}, op = 'relu', first = {{ op = 'relu6' }}, \
             last = {{ op = 'flatten' }} }}"
        );
        with_blocks(
            &layer.replace("op =", "kind ="),
            &block.replace("['op']", "['kind']").replace("$op", "$kind"),
        )
    };
    let expected = ["a.1.x: relu6(input)", "a.2.x: relu(a.1.x)", "a.3.x: flatten(a.2.x)"];
    assert_eq!(described(&text(3)), expected);
    // The one copy is the first and the last; the last has the last word.
    assert_eq!(described(&text(1)), ["a.1.x: flatten(input)"]);
}

#[test]
fn blocks_use_blocks_and_join_branches() {
    let text = with_blocks(
        "{ name = 'mixed', block = 'mixed', op_ = 'max_pool' },
         { name = 'sum', op = 'add', inputs = ['mixed', 'mixed.right'] },",
        "[[block]]
         name = 'mixed'
         parameters = ['op_']
         layer = [
           { name = 'join', op = 'add', inputs = ['left', 'right', 'pool'] },
           { name = 'left', block = 'twice', inputs = ['input'] },
           { name = 'right', block = 'nothing', inputs = ['input'] },
           { name = 'pool', op = '$op_', inputs = ['input'], kernel = [3, 1], stride = 1, padding = [1, 0] },
           { name = 'out', op = 'relu', inputs = ['join'] },
         ]
         [[block]]
         name = 'twice'
         [[block.layer]]
         name = 'relu'
         block = 'relu'
         repeat = 2
         [[block]]
         name = 'relu'
         layer = [{ name = 'relu', op = 'relu' }]
         [[block]]
         name = 'nothing'",
    );
    // A block without layers stands for its input; a name inside a block can be read from outside.
    let expected = [
        "mixed.left.relu.1.relu: relu(input)",
        "mixed.left.relu.2.relu: relu(mixed.left.relu.1.relu)",
        "mixed.pool: max_pool(input)",
        "mixed.join: add(mixed.left.relu.2.relu, input, mixed.pool)",
        "mixed.out: relu(mixed.join)",
        "sum: add(mixed.out, input)",
    ];
    assert_eq!(described(&text), expected);
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

#[test]
fn errors_name_block_and_layer_and_point_at_the_line() {
    let stage = |rest: &str| {
        with_blocks(&format!("{{ name = 's', block = 'unit', repeat = 2, {rest} }},"), UNIT)
    };
    let first = "block `unit`, layer `s.1.conv`";
    // The second copy's convolution has 8 channels, its input, which it adds, 4.
    let error = "block `unit`, layer `s.2.add`";
    refused_at(&stage("width = 4, first = { width = 2, project = true }"), "\"add\"", &[error]);
    refused_at(&stage("width = 'wide'"), "\"2*$width\"", &[first, "`wide`", "whole number"]);
    refused_at(&stage("width = 4, stride = 'same'"), "'same'", &[first, "`stride` is `same`"]);
    refused_at(&stage("width = 4, strode = 2"), "2", &["layer `s`", "`strode`", "stride, width"]);
    refused_at(&stage("stride = 2"), "'s'", &["layer `s`", "no `width`", "block `unit`"]);
    refused_at(&stage("width = 4, project = 1"), "1", &["layer `s.1.shortcut`", "true or false"]);
    refused_at(&stage("width = 9000000000000000000"), "\"2*$width\"", &[first, "overflows"]);
    refused_at(
        &stage("width = 4, inputs = ['a', 'b']"),
        "'s'",
        &["layer `s`", "a block reads one"],
    );
    refused_at(
        &stage("width = 4, inputs = ['x']"),
        "'x'",
        &["layer `s`", "`x`, which is no layer"],
    );
    refused_at(&stage("width = 4, when = 'no'"), "'no'", &["layer `s`", "true or false"]);

    let one = |layer: &str| with_blocks(&format!("{{ name = 's', {layer} }},"), UNIT);
    refused_at(&one("block = 'unite', width = 4"), "'unite'", &["layer `s`", "not defined"]);
    refused_at(&one("block = 'unit', width = '$w'"), "'$w'", &["layer `s`", "no parameter"]);
    refused_at(&one("block = 'unit', width = 1, repeat = 0"), "'s'", &["layer `s`", "0 times"]);
    refused_at(&one("block = 'unit', first = { width = 1 }"), "1", &["layer `s`", "no `repeat`"]);
    refused_at(&one("block = 'unit', op = 'relu'"), "'s'", &["layer `s`", "`op` or `block`"]);
    refused_at(&one("op = 'relu', repeat = 2"), "2", &["layer `s`", "no copies"]);
    refused_at(&one("op = 'relu', when = false, inputs = []"), "'s'", &["layer `s`", "no input"]);
    refused_at(&one("op = 'relu', inputs = 'input'"), "'input'", &["layer `s`", "list of names"]);
}

#[test]
fn bad_blocks_are_refused_at_the_line() {
    let block = |body: &str| {
        let relu = "{ name = 'r', op = 'relu' },";
        with_blocks(relu, &format!("[[block]]\nname = 'b'\n{body}\n"))
    };
    let layer = |keys: &str| format!("layer = [{{ name = 'x', {keys} }}]");
    let refused = |body: &str, place: &str, words: &[&str]| refused_at(&block(body), place, words);
    refused("repeat = 2", "repeat", &["net.toml", "repeat"]);
    refused("parameters = ['a']", "'a'", &["block `b`", "`a`", "no layer uses"]);
    refused("defaults = { a = 1 }", "a", &["block `b`", "`a`", "no layer uses"]);
    refused("parameters = ['name']", "'name'", &["block `b`", "`name`"]);
    refused("parameters = ['a b']", "'a b'", &["block `b`", "letters"]);
    refused(&layer("op = '$a'"), "'$a'", &["layer `x`", "`$a`, which is no parameter"]);
    let twice = format!("parameters = ['a']\ndefaults = {{ a = 1 }}\n{}", layer("op = '$a'"));
    refused(&twice, "a", &["block `b`", "twice"]);
    let product = |text: &str| format!("parameters = ['a']\n{}", layer(&format!("op = '{text}'")));
    refused(&product("$a+1"), "'$a+1'", &["layer `x`", "`$a+1`", "product of numbers"]);
    refused(&product("2**$a"), "'2**$a'", &["layer `x`", "``"]);
    let two = block("\n[[block]]\nname = 'b'");
    let error = parse("net.toml", &two).unwrap_err();
    assert!(format!("{error:?}").contains("block `b`: is defined twice"), "{error:?}");
}

#[test]
fn blocks_do_not_contain_themselves() {
    let text = with_blocks(
        "{ name = 's', block = 'a' },",
        "[[block]]
         name = 'a'
         layer = [{ name = 'x', block = 'b' }]
         [[block]]
         name = 'b'
         layer = [{ name = 'y', block = 'a', repeat = 2 }]",
    );
    refused_at(&text, "'a'", &["block `b`, layer `s.x.y`", "`a` → `b` → `a`"]);
    // A layer that is left out and reads itself, and a block without layers that reads itself.
    let left_out = "{ name = 'a', op = 'relu', inputs = ['a'], when = false },
                    { name = 'r', op = 'relu' },";
    refused_at(&with_blocks(left_out, ""), "'a'", &["layer `a`", "cycle"]);
    let empty = "{ name = 'a', block = 'e', inputs = ['a'] }, { name = 'r', op = 'relu' },";
    refused_at(&with_blocks(empty, "[[block]]\nname = 'e'"), "'a'", &["layer `a`", "cycle"]);
}

#[test]
fn expansion_is_bounded() {
    let relu = "[[block]]\nname = 'b0'\nlayer = [{ name = 'x', op = 'relu' }]\n";
    let layer = |rest: &str| format!("{{ name = 's', {rest} }},");
    for repeat in [100_000i64, i64::MAX] {
        let text = with_blocks(&layer(&format!("block = 'b0', repeat = {repeat}")), relu);
        refused_at(&text, "'x'", &["beyond 100000 layers", "block `b0`"]);
        let text = with_blocks(
            &layer(&format!("block = 'e', repeat = {repeat}")),
            "[[block]]\nname = 'e'",
        );
        refused_at(&text, "'s'", &["beyond 100000 layers"]);
    }
    // Blocks in blocks: 10^12 layers, and a list of arguments that would double in each.
    let mut blocks = relu.to_owned();
    for depth in 1..12 {
        blocks += &format!(
            "[[block]]\nname = 'b{depth}'\nlayer = [{{ name = 'x', block = 'b{}', repeat = 10 }}]\n",
            depth - 1
        );
    }
    refused_at(&with_blocks(&layer("block = 'b11'"), &blocks), "'x'", &["beyond 100000 layers"]);
    let doubling = "[[block]]\nname = 'd'\nparameters = ['a']\n\
                    layer = [{ name = 'x', block = 'e', b = ['$a', '$a'] }]\n\
                    [[block]]\nname = 'e'\nparameters = ['b']\n\
                    layer = [{ name = 'x', op = 'relu', inputs = '$b' }]\n";
    let text = with_blocks(&layer("block = 'd', a = ['input', 'input']"), doubling);
    refused_at(&text, "['$a', '$a']", &["cannot hold a list"]);
    let long = "x".repeat(1001);
    let text = with_blocks(&format!("{{ name = '{long}', op = 'relu' }},"), "");
    assert!(parse("net.toml", &text).unwrap_err().to_string().contains("1000 bytes"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(name|input|\\[\\[layer\\]\\]|op|kernel|'conv'|=|\\[|\\]|,|[0-9]|\\n| |'a')*") {
        let _ = parse("random.toml", &text);
    }

    #[test]
    fn no_block_makes_the_reader_panic(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "block = 'b', ", "block = 'c', ", "op = 'relu', ", "op = 'add', ", "op = '$p', ",
                "repeat = 3, ", "repeat = '$p', ", "when = false, ", "when = '$p', ",
                "inputs = ['input'], ", "inputs = ['a'], ", "inputs = ['$p', 'a'], ", "p = 2, ",
                "p = '$p', ", "p = 'c', ", "p = 'a', ", "first = { p = '$p*$p' }, ",
                "} , { name = 'a', ", "} , { name = 'c', ", "} , { name = '$p', ",
                "} ]\n[[block]]\nname = 'b'\nparameters = ['p']\nlayer = [ { name = 'a', ",
                "} ]\n[[block]]\nname = 'c'\ndefaults = { p = 'relu' }\nlayer = [ { name = 'a', ",
            ]),
            1..16,
        ),
    ) {
        let text: String = words.concat();
        let _ = parse("random.toml", &with_blocks(&format!("{{ name = 'l', {text} }}"), ""));
    }

    #[test]
    fn no_numbers_make_the_reader_panic(
        sizes in proptest::collection::vec(
            proptest::prop_oneof![0u64..5, proptest::prelude::Just(1 << 15), 0u64..1 << 63], 15,
        ),
    ) {
        let text = format!(
            "name = 'n'\ninput = {:?}\n[[layer]]\nname = 'c'\nop = 'conv'\nchannels = {}\nkernel = {:?}\n\
             stride = {:?}\npadding = {:?}\ndilation = {:?}\n[[layer]]\nname = 'p'\nop = 'max_pool'\nkernel = {}",
            &sizes[..3], sizes[3], &sizes[4..6], &sizes[6..8], &sizes[8..12], &sizes[12..14], sizes[14],
        );
        let _ = parse("random.toml", &text);
    }
}
