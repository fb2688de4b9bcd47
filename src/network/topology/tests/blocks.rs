//! Blocks of layers, and files that have them.

use super::*;

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
