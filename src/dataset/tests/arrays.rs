//! `.npy` arrays and CIFAR files, written by their specifications.

use super::*;

/// A file of NumPy's format, version 1.
fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A dataset of kind `npy` over the array, with further keys and files.
fn array(array: &[u8], keys: &str, files: &[(&str, &[u8])]) -> Result<(TempDir, DatasetSource)> {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("kind = \"npy\"\npath = \"images.npy\"\n{keys}");
    let own = [("d.toml", text.as_bytes()), ("images.npy", array)];
    for (name, content) in own.iter().chain(files) {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let source = open_folder(&folder.path().join("d.toml"))?;
    Ok((folder, source))
}

#[test]
fn arrays_of_three_types_and_two_layouts() {
    // Two images of 3 channels, 1 row, 2 columns.
    let bytes: Vec<u8> = (0..12).collect();
    let first = |file: &[u8], keys: &str| {
        let (_folder, source) = array(file, keys, &[]).unwrap();
        assert_eq!((source.test.len(), source.test.shape()), (2, Shape::new(3, 1, 2)));
        assert_eq!(source.test.label(0), None);
        values(&source.test)
    };
    let planes = npy("|u1", false, "(2, 3, 1, 2)", &bytes);
    let interleaved = npy("|u1", false, "(2, 1, 2, 3)", &bytes);
    assert_eq!(first(&planes, "scale = 1\n"), [0., 1., 2., 3., 4., 5.]);
    assert_eq!(first(&planes, "")[5], 5.0 / 255.0);
    assert_eq!(first(&interleaved, "scale = 1\nlayout = \"nhwc\"\n"), [0., 3., 1., 4., 2., 5.]);
    let bgr = "scale = 1\nlayout = \"nhwc\"\nchannel_order = \"bgr\"\n";
    assert_eq!(first(&interleaved, bgr), [2., 5., 1., 4., 0., 3.]);
    let signed: Vec<u8> = bytes.iter().map(|b| b.wrapping_sub(128)).collect();
    let signed = npy("|i1", false, "(2, 3, 1, 2)", &signed);
    assert_eq!(first(&signed, ""), [-128., -127., -126., -125., -124., -123.]);
    assert_eq!(first(&signed, "mean = -128\n"), [0., 1., 2., 3., 4., 5.]);
    let real: Vec<f32> = (0..12).map(|i| i as f32 - 0.5).collect();
    let real = npy("<f4", false, "(2, 3, 1, 2)", &floats(&real));
    assert_eq!(first(&real, ""), [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5]);
    assert_eq!(first(&real, "std = 2\nmean = 0.5\n"), [-0.5, 0.0, 0.5, 1.0, 1.5, 2.0]);
}

#[test]
fn an_array_is_a_dataset_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.npy");
    fs::write(&path, npy("|u1", false, "(1, 1, 1, 1)", &[255])).unwrap();
    let test = open_folder(&path).unwrap().test;
    assert_eq!((test.name(), values(&test)), ("one", vec![1.0]));
}

#[test]
fn labels_are_integers_of_any_width_or_csv() {
    let images = npy("|u1", false, "(2, 1, 1, 1)", &[1, 2]);
    let labels = |name: &str, file: &[u8]| {
        let keys = format!("labels = \"{name}\"\n");
        let (_folder, source) = array(&images, &keys, &[(name, file)]).unwrap();
        [0, 1].map(|index| source.test.label(index).unwrap())
    };
    let wide = [300i64, 7].map(i64::to_le_bytes).concat();
    assert_eq!(labels("l.npy", &npy("<i8", false, "(2,)", &wide)), [300, 7]);
    assert_eq!(labels("l.npy", &npy("|u1", false, "(2,)", &[255, 0])), [255, 0]);
    let short = [513u16, 2].map(u16::to_le_bytes).concat();
    assert_eq!(labels("l.npy", &npy("<u2", true, "(2,)", &short)), [513, 2]);
    assert_eq!(labels("l.csv", b"label\n3\n1\n"), [3, 1]);

    let refused = |name: &str, file: &[u8], problem: &str| {
        let keys = format!("labels = \"{name}\"\n");
        let error = array(&images, &keys, &[(name, file)]).unwrap_err();
        assert!(error.subject().ends_with(name), "{error}");
        assert!(error.to_string().contains(problem), "{error}");
    };
    let negative = [-1i32, 2].map(i32::to_le_bytes).concat();
    refused("l.npy", &npy("<i4", false, "(2,)", &negative), "label -1 of image 0");
    let huge = [1u64 << 40, 2].map(u64::to_le_bytes).concat();
    refused("l.npy", &npy("<u8", false, "(2,)", &huge), "label 1099511627776");
    refused("l.npy", &npy("<f4", false, "(2,)", &floats(&[0.0, 1.0])), "integers");
    refused("l.npy", &npy("|u1", false, "(2, 1)", &[0, 1]), "one axis");
    refused("l.npy", &npy("|u1", false, "(3,)", &[0, 1, 2]), "3 labels for 2 images");
    refused("l.csv", b"label\n3\n", "1 labels for 2 images");
    refused("l.csv", b"label\n3\nx\n", "`x`");
}

#[test]
fn what_is_no_array_of_images_is_refused() {
    let refused = |file: &[u8], problem: &str| {
        let error = array(file, "", &[]).unwrap_err();
        assert!(error.subject().ends_with("images.npy"), "{error}");
        assert!(error.to_string().contains(problem), "{error}");
    };
    refused(&npy("|u1", false, "(2, 3)", &[0; 6]), "four axes");
    refused(&npy("|u1", false, "()", &[0]), "four axes");
    refused(&npy("<f8", false, "(1, 1, 1, 1)", &[0; 8]), "`<f8`");
    refused(&npy("<i4", false, "(1, 1, 1, 1)", &[0; 4]), "`<i4`");
    refused(&npy(">f4", false, "(1, 1, 1, 1)", &[0; 4]), "`>f4`");
    refused(&npy("|b1", false, "(1, 1, 1, 1)", &[0; 1]), "`|b1`");
    refused(&npy("|O", false, "(1, 1, 1, 1)", &[0; 8]), "`|O`");
    refused(&npy("|u1", true, "(1, 2, 1, 1)", &[0; 2]), "Fortran");
    refused(&npy("|u1", false, "(0, 2, 1, 1)", &[]), "nothing to run");
    refused(&npy("|u1", false, "(2, 0, 1, 1)", &[]), "nothing to run");
    refused(&npy("|u1", false, "(2, 1, 1, 1)", &[0]), "truncated");
    refused(&npy("|u1", false, "(2, 1, 1, 1)", &[0; 3]), "the file has");
    refused(&npy("|u1", false, "(-2, 1, 1, 1)", &[0; 2]), "no NumPy array");
    let huge = "(4294967296, 4294967296, 4294967296, 3)";
    refused(&npy("|u1", false, huge, &[0; 2]), "header claims");
    refused(&npy("|u1", false, "(1000000000, 1000, 1000, 3)", &[0; 2]), "truncated");
    refused(b"", "no NumPy array");
    refused(b"PK\x03\x04 a zip file", "no NumPy array");
    let whole = npy("|u1", false, "(1, 1, 1, 1)", &[0]);
    refused(&whole[..40], "no NumPy array");
    // Version 2 with a header of 4 GiB, and brackets without end.
    refused(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{'descr'", "too long");
    let nested = ["(".repeat(900), ")".repeat(900)].concat();
    refused(&npy("|u1", false, &nested[..950], &[0]), "no NumPy array");
}

#[test]
fn the_calibration_of_an_array_is_another_or_held_out() {
    let images = npy("|u1", false, "(3, 1, 1, 1)", &[1, 2, 3]);
    let train = npy("|i1", false, "(1, 1, 1, 1)", &[0xff]);
    let files: [(&str, &[u8]); 1] = [("train.npy", &train)];
    let (_folder, source) =
        array(&images, "scale = 1\ncalibration = \"train.npy\"\n", &files).unwrap();
    assert_eq!(values(&source.calibration.unwrap()), [-1.0]);
    assert_eq!(source.test.len(), 3);
    let (_folder, source) =
        array(&images, "scale = 1\ncalibration = { first = 2 }\n", &[]).unwrap();
    assert_eq!((source.calibration.unwrap().len(), values(&source.test)), (2, vec![3.0]));
    let error = array(&images, "calibration = \"images.npy\"\n", &[]).unwrap_err();
    assert!(error.to_string().contains("names the test images"), "{error}");
}

/// Records of CIFAR: labels, then 1024 red, green and blue pixels of the stated values.
fn cifar(records: &[(&[u8], [u8; 3])]) -> Vec<u8> {
    let record = |&(labels, colour): &(&[u8], [u8; 3])| {
        [labels, &colour.map(|value| [value; 1024]).concat()].concat()
    };
    records.iter().flat_map(record).collect()
}

fn cifar_folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

#[test]
fn cifar_10_has_training_batches() {
    let folder = cifar_folder(&[
        ("test_batch.bin", cifar(&[(&[3], [0, 51, 255]), (&[9], [1, 2, 3])])),
        ("data_batch_1.bin", cifar(&[(&[0], [4; 3]), (&[1], [5; 3])])),
        ("data_batch_3.bin", cifar(&[(&[2], [6; 3])])),
    ]);
    let source = open_folder(folder.path()).unwrap();
    assert_eq!((source.test.len(), source.test.shape()), (2, Shape::new(3, 32, 32)));
    assert_eq!((source.test.label(0), source.test.label(1)), (Some(3), Some(9)));
    let image = values(&source.test);
    assert_eq!((image[0], image[1024], image[3071]), (0.0, 0.2, 1.0));
    let train = source.train.unwrap();
    let labels: Vec<_> = (0..3).map(|index| train.label(index)).collect();
    assert_eq!(labels, [Some(0), Some(1), Some(2)]);
    assert_eq!(train.image(2).unwrap()[[0, 0, 0]], 6.0 / 255.0);
    assert_eq!(source.calibration.unwrap().len(), 3);
    let text = "kind = \"cifar10\"\npath = \"test_batch.bin\"\nscale = 1\ncalibration = \".\"\n\
                channel_order = \"bgr\"\n";
    fs::write(folder.path().join("d.toml"), text).unwrap();
    let source = open_folder(&folder.path().join("d.toml")).unwrap();
    assert_eq!((source.test.classes(), source.calibration.unwrap().len()), (10, 3));
    assert_eq!(values(&source.test)[0], 255.0);
}

#[test]
fn cifar_100_has_fine_labels() {
    let folder = cifar_folder(&[("test.bin", cifar(&[(&[19, 49], [7; 3])]))]);
    let source = open_folder(folder.path()).unwrap();
    assert_eq!(source.test.label(0), Some(49));
    assert_eq!(values(&source.test), [7.0 / 255.0; 3072]);
    assert!(source.train.is_none());
}

#[test]
fn cifar_files_of_a_wrong_length_or_label_are_refused() {
    let whole = cifar(&[(&[3], [0; 3])]);
    for bad in [&whole[..3000], &[], &[&whole[..], &[0]].concat()] {
        let folder = cifar_folder(&[("test_batch.bin", bad.to_vec())]);
        let error = open_folder(folder.path()).unwrap_err();
        assert!(error.subject().ends_with("test_batch.bin"), "{error}");
        assert!(error.to_string().contains("not whole records of 3073 bytes"), "{error}");
    }
    let folder = cifar_folder(&[("test_batch.bin", whole.clone()), ("d.toml", Vec::new())]);
    let path = folder.path().join("d.toml");
    for keys in ["labels = \"x\"", "layout = \"nhwc\"", "channel_order = \"grey\"", "classes = 3"] {
        fs::write(&path, format!("kind = \"cifar10\"\npath = \".\"\n{keys}\n")).unwrap();
        assert!(open_folder(&path).is_err(), "{keys}");
    }
    let folder = cifar_folder(&[("test.bin", cifar(&[(&[0, 100], [0; 3])]))]);
    fs::write(folder.path().join("d.toml"), "kind = \"cifar100\"\npath = \".\"\n").unwrap();
    let error = open_folder(&folder.path().join("d.toml")).unwrap_err();
    assert!(error.to_string().contains("label 100 of image 0"), "{error}");
}
