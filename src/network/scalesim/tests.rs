use crate::network::Op;

use super::*;

const HEADER: &str = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, \
                      Channels, Num Filter, Strides,\n";
/// The convolutions of SCALE-Sim's own `alexnet` topology.
const ALEXNET: &str = "Conv1, 224, 224, 11, 11, 3, 96, 4,\n\
                       Conv2, 27, 27, 5, 5, 96, 256, 1,\n\
                       Conv3, 13, 13, 3, 3, 256, 384, 1,\n\
                       Conv4, 13, 13, 3, 3, 384, 384, 1,\n\
                       Conv5, 13, 13, 3, 3, 384, 256, 1,\n";

fn network(text: &str) -> Network {
    parse("net.csv", "net", text).unwrap()
}

fn refused(text: &str, words: &[&str]) {
    let message = format!("{:?}", parse("net.csv", "net", text).expect_err("must be refused"));
    for word in ["net.csv"].iter().chain(words) {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

#[test]
fn alexnet_has_its_macs_layer_by_layer() {
    let network = network(&format!("{HEADER}{ALEXNET}"));
    let layers: Vec<_> = (0..network.nodes.len()).filter_map(|id| network.geometry(id)).collect();
    // ⌈(H − Kh + s) / s⌉² pixels · Kh · Kw · channels · filters.
    let expected = [
        55 * 55 * (11 * 11 * 3) * 96,
        23 * 23 * (5 * 5 * 96) * 256,
        11 * 11 * (3 * 3 * 256) * 384,
        11 * 11 * (3 * 3 * 384) * 384,
        11 * 11 * (3 * 3 * 384) * 256,
    ];
    assert_eq!(layers.iter().map(|g| g.macs()).collect::<Vec<_>>(), expected);
    assert_eq!(network.macs(), expected.iter().sum::<u64>());
    // (224 − 11) % 4 = 1: three rows and columns more make the last window whole.
    assert_eq!(layers[0].window.padding, [0, 0, 3, 3]);
    assert_eq!(layers[1].window.padding, [0; 4]);
}

#[test]
fn every_layer_has_an_input_of_its_own() {
    let network = network(&format!("{HEADER}{ALEXNET}"));
    assert_eq!(network.nodes.len(), 10);
    for pair in network.nodes.chunks(2) {
        assert_eq!(pair[0].op, Op::Input);
        assert_eq!(pair[0].name, format!("{}.input", pair[1].name));
        assert!(matches!(pair[1].op, Op::Conv { groups: 1, bias: false, .. }));
    }
    assert_eq!(network.nodes[3].inputs, [2]);
}

#[test]
fn matrix_products_are_pointwise_convolutions() {
    let network = network("Layer, M, N, K,\nfc, 3, 5, 7,\n");
    let geometry = network.geometry(1).unwrap();
    assert_eq!(
        (geometry.pixels(), geometry.output.channels, geometry.reduction()),
        (3, 5, 7),
        "M, N, K"
    );
    assert_eq!(network.macs(), 3 * 5 * 7);
}

#[test]
fn spellings_that_are_understood() {
    let network = network(
        "LAYER NAME,ifmap height,IFMAP Width,Filter Height,Filter Width,Channels,Num Filter,\
         Stride Height,Stride Width\n\nconv,8,9,3,3,1,2,2,3\n conv , 8,9,3,3,1,2,2,3,,\n",
    );
    let names: Vec<_> = network.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["conv.input", "conv", "conv#2.input", "conv#2"]);
    // ⌈(8 − 3 + 2) / 2⌉ × ⌈(9 − 3 + 3) / 3⌉.
    assert_eq!(network.nodes[1].shape, Shape::new(2, 4, 3));
}

#[test]
fn bad_files_are_refused() {
    refused("", &["no layer"]);
    refused(HEADER, &["no layer"]);
    refused("Conv1, 224, 224, 11, 11, 3, 96, 4,\n", &["line 1", "header"]);
    refused("Layer, M, N, K, Sparsity,\nfc, 1, 2, 3, 1:2,\n", &["line 1", "header"]);
    refused(&format!("{HEADER}a, 8, 8, 3, 3, 1, 2,\n"), &["line 2", "6 numbers", "expected 7"]);
    refused(&format!("{HEADER}a, 8, 8, 3, 3, 1, 2, 0,\n"), &["line 2", "`0`", "positive"]);
    refused(&format!("{HEADER}a, 8, 8, 3, x, 1, 2, 1,\n"), &["line 2", "`x`"]);
    refused(&format!("{HEADER}a, 8, 8, 9, 3, 1, 2, 1,\n"), &["line 2", "layer `a`", "9×3"]);
    refused("Layer, M, N, K,\na, 9999999, 9999999, 9999999,\n", &["line 2", "elements"]);
    refused(&format!("{HEADER}a, 8, 8, 3, 3, 1, 2, 99999999999999999999,\n"), &["line 2"]);
}
