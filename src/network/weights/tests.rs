use ndarray::{Array1, IxDyn};
use proptest::prelude::*;

use crate::network::Builder;
use crate::tensor::{Shape, Window};

use super::*;

/// A convolution [2, 1, 1, 2] with bias, then a batch normalization over its 2 channels.
fn network() -> Network {
    let mut builder = Builder::new("net");
    let input = builder.input("input", Shape::new(1, 1, 4)).unwrap();
    let window = Window { kernel: [1, 2], ..Window::POINT };
    let conv = builder.conv("conv", input, 2, window, 1, true).unwrap();
    builder.batch_norm("norm", conv, 1e-5).unwrap();
    builder.finish().unwrap()
}

fn parameters() -> Parameters {
    let shapes = network().parameter_shapes();
    let values = |shape: &[usize]| {
        let count = shape.iter().product::<usize>();
        let values = Array1::from_iter((0..count).map(|i| 0.5 + i as f32));
        values.into_shape_with_order(IxDyn(shape)).unwrap()
    };
    shapes.iter().map(|(name, shape)| (name.clone(), values(shape))).collect()
}

/// A tensor as it stands in a file.
struct Stored(Dtype, Vec<usize>, Vec<u8>);

impl Stored {
    fn f32(values: &ArrayD<f32>) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self(Dtype::F32, values.shape().to_vec(), bytes)
    }
}

/// The bytes of a file in which some tensors are replaced, added or (`None`) left out.
fn file(changes: Vec<(&str, Option<Stored>)>) -> Vec<u8> {
    let mut tensors: std::collections::BTreeMap<String, Stored> =
        parameters().iter().map(|(name, values)| (name.clone(), Stored::f32(values))).collect();
    for (name, change) in changes {
        match change {
            Some(tensor) => tensors.insert(name.to_owned(), tensor),
            None => tensors.remove(name),
        };
    }
    let views = tensors.iter().map(|(name, Stored(dtype, shape, bytes))| {
        (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize(views.collect::<Vec<_>>(), None).unwrap()
}

fn refused(bytes: &[u8], words: &[&str]) {
    let error = parse("w.safetensors", bytes, &network()).expect_err("must be refused");
    let message = format!("{error:?}");
    for word in ["w.safetensors"].iter().chain(words) {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    write(&path, &parameters()).unwrap();
    assert_eq!(read(&path, &network()).unwrap(), parameters());
}

#[test]
fn other_float_types_are_converted() {
    // 1.5, −2.0 and their bits by hand: sign, exponent with bias 15 or 127 or 1023, fraction 0.5.
    let half = [0x3e00u16, 0xc000].iter().flat_map(|b| b.to_le_bytes()).collect();
    let bfloat = [0x3fc0u16, 0xc000].iter().flat_map(|b| b.to_le_bytes()).collect();
    let double = [0x3ff8_0000_0000_0000u64, 0xc000_0000_0000_0000];
    let double = double.iter().flat_map(|b| b.to_le_bytes()).collect();
    for (dtype, bytes) in [(Dtype::F16, half), (Dtype::BF16, bfloat), (Dtype::F64, double)] {
        let bytes = file(vec![("conv.bias", Some(Stored(dtype, vec![2], bytes)))]);
        let read = parse("w.safetensors", &bytes, &network()).unwrap();
        assert_eq!(read["conv.bias"].as_slice().unwrap(), [1.5, -2.0], "{dtype:?}");
    }
}

#[test]
fn batch_counters_are_passed_over() {
    let counter = Stored(Dtype::I64, vec![], vec![0; 8]);
    let bytes = file(vec![("norm.num_batches_tracked", Some(counter))]);
    assert_eq!(parse("w.safetensors", &bytes, &network()).unwrap(), parameters());
}

#[test]
fn bad_tensors_are_named() {
    let vector = |values: &[f32]| Some(Stored::f32(&Array1::from(values.to_vec()).into_dyn()));
    let check = |name: &str, tensor: Option<Stored>, words: &[&str]| {
        refused(&file(vec![(name, tensor)]), &[&[&format!("`{name}`")[..]], words].concat());
    };
    check("conv.bias", None, &["missing"]);
    check("conv.bias", vector(&[1.0, 2.0, 3.0]), &["[3]", "expected [2]"]);
    check("conv.bias", vector(&[1.0, f32::NAN]), &["NaN at element 1"]);
    check("conv.bias", vector(&[f32::NEG_INFINITY, 1.0]), &["-inf at element 0"]);
    check("conv.bias", Some(Stored(Dtype::I8, vec![2], vec![0; 2])), &["I8", "F32"]);
    let too_large = [1e300f64, 0.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    check("conv.bias", Some(Stored(Dtype::F64, vec![2], too_large)), &["inf at element 0"]);
    check("norm.running_var", vector(&[1.0, -1.0]), &["negative variance"]);
    check("extra.weight", vector(&[1.0]), &["belongs to no layer"]);
}

#[test]
fn a_missing_file_is_named() {
    let error = read(Path::new("nowhere/w.safetensors"), &network()).unwrap_err();
    assert!(error.to_string().starts_with("nowhere/w.safetensors"));
}

#[test]
fn nothing_is_left_where_writing_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("w.safetensors");
    let error = write(&path, &parameters()).unwrap_err();
    assert!(error.to_string().contains("w.safetensors"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

proptest! {
    #[test]
    fn truncated_files_are_refused(keep in 0.0..1.0f64) {
        let bytes = file(vec![]);
        let keep = (bytes.len() as f64 * keep) as usize;
        refused(&bytes[..keep], &["not a whole safetensors file"]);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, at: usize, byte: u8) {
        let _ = parse("random", &bytes, &network());
        let mut changed = file(vec![]);
        let at = at % changed.len();
        changed[at] = byte;
        let _ = parse("random", &changed, &network());
    }
}
