use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;

mod arrays;
mod photos;

/// An IDX file as the MNIST page defines it.
fn idx(dimensions: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, dimensions.len() as u8];
    file.extend(dimensions.iter().flat_map(|d| d.to_be_bytes()));
    file.extend(elements);
    file
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A folder with two test images of 1×3 pixels and the given replacements.
fn folder(replace: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| fs::write(folder.path().join(name), content).unwrap();
    write("t10k-images-idx3-ubyte", &idx(&[2, 1, 3], &[0, 51, 255, 1, 2, 3]));
    write("t10k-labels-idx1-ubyte", &idx(&[2], &[4, 2]));
    for (name, content) in replace {
        write(name, content);
    }
    folder
}

fn open_folder(folder: &Path) -> Result<DatasetSource> {
    open(folder.to_str().unwrap())
}

/// The values of the first image.
fn values(dataset: &Dataset) -> Vec<f32> {
    dataset.image(0).unwrap().into_iter().collect()
}

/// The error of opening the folder with one file replaced; it must name that file.
fn refused(name: &str, content: Vec<u8>, problem: &str) {
    let folder = folder(&[(name, content)]);
    let error = open_folder(folder.path()).unwrap_err();
    assert!(error.subject().ends_with(name), "{error}");
    assert!(error.to_string().contains(problem), "{error}");
}

#[test]
fn mnist_ships() {
    let source = open("mnist").unwrap();
    let test = &source.test;
    assert_eq!((test.len(), test.classes(), test.shape()), (10_000, 10, Shape::new(1, 28, 28)));
    // The number of digits of each class in the test set (LeCun, Bottou, Bengio, Haffner 1998).
    let mut classes = [0; 10];
    (0..test.len()).for_each(|i| classes[test.label(i).unwrap()] += 1);
    assert_eq!(classes, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    let calibration = source.calibration.unwrap();
    let labels: Vec<_> = (0..10).map(|i| calibration.label(i).unwrap()).collect();
    assert_eq!((calibration.len(), labels), (1000, vec![5, 0, 4, 1, 9, 2, 1, 3, 1, 4]));
    assert!(source.train.is_none());
}

#[test]
fn values_are_normalized_bytes() {
    let folder = folder(&[]);
    fs::write(
        folder.path().join("d.toml"),
        "name = \"three\"\nkind = \"idx\"\npath = \".\"\nclasses = 6\nmean = 0.2\nstd = [0.5]\n",
    )
    .unwrap();
    let plain = open_folder(folder.path()).unwrap().test;
    assert_eq!(plain.image(0).unwrap().into_raw_vec_and_offset().0, [0.0, 0.2, 1.0]);
    assert_eq!((plain.classes(), plain.label(0), plain.label(1)), (5, Some(4), Some(2)));
    let described = open_folder(&folder.path().join("d.toml")).unwrap().test;
    assert_eq!((described.name(), described.classes()), ("three", 6));
    let values = described.batch(0..1).unwrap();
    let expected: [f32; 3] = [-0.2 / 0.5, 0.0, 0.8 / 0.5];
    for (value, expected) in values.iter().zip(expected) {
        assert!((value - expected).abs() < 1e-6, "{values}");
    }
    assert!(described.image(2).is_err());
    assert!(described.first(1).image(1).is_err());
}

#[test]
fn gzip_is_found_by_its_content_and_training_images_calibrate() {
    let images = idx(&[3, 1, 3], &[9; 9]);
    let folder = folder(&[
        ("t10k-labels-idx1-ubyte", gzip(&idx(&[2], &[4, 2]))),
        ("train-images-idx3-ubyte.gz", images),
        ("train-labels-idx1-ubyte.gz", gzip(&idx(&[3], &[0, 1, 7]))),
    ]);
    let source = open_folder(folder.path()).unwrap();
    assert_eq!(source.train.unwrap().len(), 3);
    assert_eq!(source.calibration.unwrap().label(2), Some(7));
    assert_eq!(source.test.classes(), 8);
}

#[test]
fn malformed_files_are_refused_by_name() {
    let (images, labels) = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte");
    let whole = idx(&[2, 1, 3], &[7; 6]);
    let zipped = gzip(&whole);
    refused(images, whole[..whole.len() - 1].to_vec(), "truncated");
    refused(images, whole[..9].to_vec(), "truncated");
    refused(images, Vec::new(), "truncated");
    refused(images, zipped[..zipped.len() - 9].to_vec(), "truncated");
    refused(images, idx(&[2, 1, 3], &[7; 7]), "bytes follow");
    refused(images, gzip(&idx(&[2, 1, 3], &[7; 1 << 20])), "bytes follow");
    refused(images, [&zipped[..], b"rest"].concat(), "");
    refused(images, idx(&[2], &[4, 2]), "3 axes");
    refused(images, idx(&[u32::MAX; 3], &[]), "at most");
    refused(images, idx(&[1 << 15, 1 << 8, 1 << 8], &[1]), "truncated");
    refused(images, idx(&[0, 1, 3], &[]), "nothing to run");
    refused(images, idx(&[2, 0, 3], &[]), "nothing to run");
    refused(labels, idx(&[3], &[1, 2, 3]), "3 labels for 2 images");
    refused(labels, b"PK\x03\x04".to_vec(), "50 4b 03 04");
    refused(labels, vec![0, 0, 0x0d, 1, 0, 0, 0, 0], "unsigned bytes");
}

#[test]
fn descriptions_are_checked() {
    let check = |text: &str, problem: &str| {
        let folder = folder(&[("d.toml", text.as_bytes().to_vec())]);
        let error = open_folder(&folder.path().join("d.toml")).unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
    };
    let idx = "kind = \"idx\"\npath = \".\"\n";
    check(&format!("{idx}colour = 1\n"), "unknown field");
    check(&format!("{idx}classes = 4\n"), "label 4 of image 0 is out of range");
    check(&format!("{idx}size = [28, 28]\n"), "28×28");
    check(&format!("{idx}std = 0\n"), "std");
    check(&format!("{idx}std = nan\n"), "std");
    check(&format!("{idx}mean = [0, 0, 0]\n"), "3 entries for 1 channels");
    check(&format!("{idx}channel_order = \"bgr\"\n"), "channel_order");
    check(&format!("{idx}labels = \"x\"\n"), "labels");
    check(&format!("{idx}calibration = \"none\"\n"), "none");
    check(&format!("{idx}layout = \"nhwc\"\n"), "layout");
    check(&format!("{idx}scale = 0\n"), "scale 0");
    check(&format!("{idx}calibration = {{ first = 2 }}\n"), "first 2 of 2 images");
    check(&format!("{idx}calibration = {{ first = 0 }}\n"), "first 0 of 2 images");
    check(&format!("{idx}calibration = {{ last = 1 }}\n"), "a path, or { first = N }");
    check("kind = \"tfrecord\"\npath = \".\"\n", "tfrecord");
    check("kind = \"idx\"\npath = \"none\"\n", "none");
}

#[test]
fn held_out_images_calibrate_and_are_not_tested() {
    let description = b"kind = \"idx\"\npath = \".\"\nscale = 1\ncalibration = { first = 1 }\n";
    let folder = folder(&[("d.toml", description.to_vec())]);
    let source = open_folder(&folder.path().join("d.toml")).unwrap();
    let calibration = source.calibration.unwrap();
    assert_eq!((calibration.len(), calibration.label(0)), (1, Some(4)));
    assert_eq!(values(&calibration), [0.0, 51.0, 255.0]);
    assert_eq!((source.test.len(), source.test.label(0)), (1, Some(2)));
    assert_eq!(values(&source.test), [1.0, 2.0, 3.0]);
    assert!(source.test.image(1).is_err());
}

#[test]
fn what_is_not_there_is_named() {
    for name in ["no-such-dataset", "no-such.toml"] {
        assert_eq!(open(name).unwrap_err().subject(), name);
    }
    let empty = tempfile::tempdir().unwrap();
    let error = open_folder(empty.path()).unwrap_err();
    assert!(error.to_string().contains("holds no images"), "{error}");
    let lone = folder(&[("train-images-idx3-ubyte", idx(&[1, 1, 3], &[0; 3]))]);
    let error = open_folder(lone.path()).unwrap_err();
    assert!(error.to_string().contains("no label file"), "{error}");
}

#[test]
fn fashion_mnist_of_debian_loads() {
    let folder = Path::new("/usr/share/datasets/fashion-mnist");
    if !folder.is_dir() {
        println!("skipped: the package dataset-fashion-mnist is not installed");
        return;
    }
    let source = open_folder(folder).unwrap();
    assert_eq!((source.test.len(), source.test.classes()), (10_000, 10));
    assert_eq!(source.train.unwrap().len(), 60_000);
}
