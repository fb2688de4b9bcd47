//! The models of `tests/data/tflite` as graphs, and what is refused, by changing their bytes.

use super::*;
use crate::network::{FlattenOrder, Op, PoolKind};
use crate::tensor::Window;

const CONVOLUTIONS: &[u8] = include_bytes!("../../../tests/data/tflite/convolutions_int8.tflite");
const CLASSIFIER: &[u8] = include_bytes!("../../../tests/data/tflite/classifier_uint8.tflite");
const POOLS: &[u8] = include_bytes!("../../../tests/data/tflite/pools_int8.tflite");
const FLOAT_ENDS: &[u8] = include_bytes!("../../../tests/data/tflite/float_ends_int8.tflite");

fn read(bytes: &[u8]) -> Model {
    parse("model.tflite", "model", bytes).unwrap()
}

fn names(model: &Model) -> Vec<&str> {
    model.network.nodes.iter().map(|node| node.name.as_str()).collect()
}

/// The message of a model whose bytes `from`, which occur once, are `to`.
fn refused(bytes: &[u8], from: &[u8], to: &[u8]) -> String {
    let places: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(from)).collect();
    assert_eq!(places.len(), 1, "{places:?}");
    let mut bytes = bytes.to_vec();
    bytes[places[0]..][..to.len()].copy_from_slice(to);
    parse("model.tflite", "model", &bytes).unwrap_err().to_string()
}

/// SAME over 7 × 9 with stride 2: 4 × 5, (4 − 1) · 2 + 3 − 7 = 2 rows and 2 columns of padding.
#[test]
fn convolutions_have_their_windows() {
    let model = read(CONVOLUTIONS);
    let expected = [
        "input",
        "conv_2d_0",
        "conv_2d_0/relu6",
        "depthwise_conv_2d_1",
        "depthwise_conv_2d_1/relu_n1_to_1",
        "conv_2d_2",
        "depthwise_conv_2d_3",
        "depthwise_conv_2d_3/relu",
        "conv_2d_4",
        "depthwise_conv_2d_5",
    ];
    assert_eq!(names(&model), expected);
    let nodes = &model.network.nodes;
    let window = Window { kernel: [3, 3], stride: [2, 2], padding: [1, 1, 1, 1], dilation: [1, 1] };
    assert_eq!(nodes[1].op, Op::Conv { window, groups: 1, bias: true });
    assert_eq!(nodes[1].shape, Shape::new(6, 4, 5));
    let Op::Conv { groups, window, .. } = nodes[3].op else { panic!("{:?}", nodes[3]) };
    assert_eq!((groups, nodes[3].shape.channels, window.stride), (6, 12, [1, 1]));
    let Op::Conv { groups, window, .. } = nodes[8].op else { panic!("{:?}", nodes[8]) };
    assert_eq!((groups, window.dilation), (2, [2, 2]));
}

/// Encodings belong to what has the words: the activation function, not the layer before it.
#[test]
fn words_keep_their_encodings() {
    let model = read(CONVOLUTIONS);
    let quantization = model.quantization.unwrap();
    let encoded: Vec<NodeId> = quantization.outputs.keys().copied().collect();
    assert_eq!(encoded, [0, 2, 4, 5, 7, 8, 9]);
    assert_eq!(quantization.weights[&1].encoding.scales.len(), 6);
    assert_eq!(quantization.weights[&3].encoding.scales.len(), 12);
    assert!(quantization.takes_words && quantization.gives_words);
    let scale = quantization.outputs[&0].scale(0);
    let unit = scale * quantization.weights[&1].encoding.scale(2);
    let bias = &model.parameters.as_ref().unwrap()["conv_2d_0.bias"];
    assert_eq!(bias[2], quantization.biases[&1][2] as f32 * unit);
    let weights = &quantization.weights[&1];
    let value = model.parameters.as_ref().unwrap()["conv_2d_0.weight"][[2, 1, 0, 2]];
    let word = weights.words[((2 * 4 + 1) * 3) * 3 + 2];
    assert_eq!(value, word as f32 * weights.encoding.scale(2));
}

/// TFLite stores filters as output, row, column, input: input 1 of filter 2 at row 0, column 2.
#[test]
fn weights_are_brought_into_order() {
    let graph = Graph::parse(CONVOLUTIONS).unwrap();
    let filter = graph.operator(0).unwrap().inputs.iter().nth(1).unwrap();
    let file: Vec<i64> = graph.tensor(filter).unwrap().integers().unwrap().collect();
    let model = read(CONVOLUTIONS);
    let words = &model.quantization.unwrap().weights[&1].words;
    assert_eq!(words[((2 * 4 + 1) * 3) * 3 + 2], file[((2 * 3) * 3 + 2) * 4 + 1]);
}

#[test]
fn maps_are_flattened_row_by_row() {
    let model = read(CLASSIFIER);
    let nodes = &model.network.nodes;
    assert_eq!(nodes[1].op, Op::Flatten(FlattenOrder::ChannelsLast));
    assert_eq!(nodes[1].name, "fully_connected_0/flatten");
    assert_eq!(nodes[nodes.len() - 1].op, Op::Softmax);
    let pools = read(POOLS);
    let ops: Vec<&str> = pools.network.nodes.iter().map(|node| node.op.name()).collect();
    let expected = [
        "input",
        "pad",
        "max_pool",
        "clip",
        "average_pool",
        "average_pool",
        "relu",
        "max_pool",
        "flatten",
    ];
    assert_eq!(ops, expected);
    assert!(matches!(pools.network.nodes[4].op, Op::Pool { kind: PoolKind::Average, .. }));
}

#[test]
fn floats_at_the_ends_are_no_nodes() {
    let model = read(FLOAT_ENDS);
    assert_eq!(names(&model), ["input", "conv_2d_1"]);
    let quantization = model.quantization.unwrap();
    assert_eq!(quantization.outputs[&0].scales, [0.25]);
    assert!(!quantization.takes_words && !quantization.gives_words);
}

#[test]
fn what_is_not_supported_is_named() {
    let message = refused(CLASSIFIER, b"TFL3", b"TFL2");
    assert!(message.contains("model.tflite") && message.contains("TFL3"), "{message}");
    // FULLY_CONNECTED is code 9, SOFTMAX 25; LSTM is 16.
    let code = |code: u8| [code, 0, 0, 0];
    let graph = Graph::parse(CLASSIFIER).unwrap();
    assert_eq!(graph.operator(2).unwrap().name, "SOFTMAX");
    let at = CLASSIFIER.windows(4).position(|bytes| bytes == code(25)).unwrap();
    let mut bytes = CLASSIFIER.to_vec();
    bytes[at..at + 4].copy_from_slice(&code(44));
    let error = parse("model.tflite", "model", &bytes).unwrap_err().to_string();
    let expected = "operator 2 (UNIDIRECTIONAL_SEQUENCE_LSTM)";
    assert!(error.contains(expected) && error.contains("not supported"), "{error}");
    // A softmax of beta 2.
    let message = refused(CLASSIFIER, &1f32.to_le_bytes(), &2f32.to_le_bytes());
    assert!(message.contains("operator 2 (SOFTMAX), beta"), "{message}");
}

#[test]
fn a_file_that_is_cut_off_is_refused() {
    for length in 0..CLASSIFIER.len() {
        assert!(parse("model.tflite", "model", &CLASSIFIER[..length]).is_err(), "{length} bytes");
    }
}
