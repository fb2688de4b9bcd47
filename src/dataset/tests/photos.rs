use flate2::Crc;
use image::{GrayImage, ImageFormat, Rgb, RgbImage};

use super::*;

/// 2 rows of 3 pixels, with red 10 · index, green one more, blue two more.
fn colours() -> RgbImage {
    RgbImage::from_fn(3, 2, |x, y| {
        let red = 10 * (3 * y + x) as u8;
        Rgb([red, red + 1, red + 2])
    })
}

/// The same image as channel planes.
fn planes(order: [u8; 3]) -> Vec<f32> {
    let plane = |add: u8| (0..6u8).map(move |index| f32::from(10 * index + add));
    order.into_iter().flat_map(plane).collect()
}

fn encoded(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A folder of the given files.
fn with(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn described(folder: &TempDir, keys: &str) -> Result<DatasetSource> {
    let path = folder.path().join("d.toml");
    fs::write(&path, format!("kind = \"images\"\npath = \".\"\n{keys}")).unwrap();
    open_folder(&path)
}

#[test]
fn a_folder_with_labels_is_a_dataset() {
    let png = encoded(&colours(), ImageFormat::Png);
    let csv = b"author,label,file\nada,7,b.png\n\"x, y\",0,a.png\n";
    let folder = with(&[("a.png", &png), ("b.png", &png), ("c.png", b"?"), ("labels.csv", csv)]);
    let test = open_folder(folder.path()).unwrap().test;
    assert_eq!((test.len(), test.shape(), test.classes()), (2, Shape::new(3, 2, 3), 8));
    assert_eq!((test.label(0), test.label(1)), (Some(7), Some(0)));
    let expected: Vec<f32> = planes([0, 1, 2]).iter().map(|pixel| pixel / 255.0).collect();
    assert_eq!(values(&test), expected);
}

#[test]
fn a_folder_without_labels_runs_by_name() {
    let png = encoded(&colours(), ImageFormat::Png);
    let grey = encoded(&RgbImage::from_pixel(3, 2, Rgb([9; 3])), ImageFormat::Png);
    let folder = with(&[("b.PNG", &grey), ("a.png", &png), ("notes.txt", b"")]);
    let test = open_folder(folder.path()).unwrap().test;
    assert_eq!((test.len(), test.label(0), test.classes()), (2, None, 0));
    assert!(!test.is_labelled());
    assert_eq!(test.image(1).unwrap()[[0, 0, 0]], 9.0 / 255.0);
}

#[test]
fn channels_are_ordered_and_normalized_as_described() {
    let folder = with(&[("a.png", &encoded(&colours(), ImageFormat::Png))]);
    let bgr = described(&folder, "channel_order = \"bgr\"\nscale = 1\n").unwrap().test;
    assert_eq!(values(&bgr), planes([2, 1, 0]));
    // Caffe: pixel − mean; means in the network's order.
    let keys = "channel_order = \"bgr\"\nscale = 1\nmean = [2, 1, 0]\n";
    assert_eq!(values(&described(&folder, keys).unwrap().test), planes([0, 0, 0]));
    // (pixel − 127) / 128.
    let test = described(&folder, "scale = 1\nmean = 127\nstd = 128\n").unwrap().test;
    assert_eq!(values(&test)[..2], [-127.0 / 128.0, -117.0 / 128.0]);
}

#[test]
fn grey_images_have_one_channel_unless_described() {
    let grey = GrayImage::from_fn(3, 2, |x, y| image::Luma([(3 * y + x) as u8]));
    let mut png = std::io::Cursor::new(Vec::new());
    grey.write_to(&mut png, ImageFormat::Png).unwrap();
    let colour = encoded(&colours(), ImageFormat::Png);
    let folder = with(&[("a.png", png.get_ref()), ("b.png", &colour)]);
    let one = described(&folder, "scale = 1\n").unwrap().test;
    assert_eq!((one.shape(), values(&one)), (Shape::new(1, 2, 3), vec![0., 1., 2., 3., 4., 5.]));
    let error = one.image(1).unwrap_err();
    assert!(error.subject().ends_with("b.png") && error.to_string().contains("coloured"));
    let three = described(&folder, "scale = 1\nchannel_order = \"rgb\"\n").unwrap().test;
    assert_eq!(values(&three)[6..], values(&one).repeat(2));
    assert_eq!(three.image(1).unwrap().into_raw_vec_and_offset().0, planes([0, 1, 2]));
}

#[test]
fn images_are_resized_to_the_stated_size_only() {
    let flat = RgbImage::from_pixel(8, 4, Rgb([50, 60, 70]));
    let png = encoded(&colours(), ImageFormat::Png);
    let folder = with(&[("a.png", &png), ("b.png", &encoded(&flat, ImageFormat::Png))]);
    let error = open_folder(folder.path()).unwrap().test.image(1).unwrap_err();
    assert!(error.subject().ends_with("b.png") && error.to_string().contains("4×8"), "{error}");
    let test = described(&folder, "scale = 1\nsize = [2, 5]\n").unwrap().test;
    assert_eq!(test.shape(), Shape::new(3, 2, 5));
    let [red, green, blue] = [50.0, 60.0, 70.0].map(|value| [value; 10]);
    assert_eq!(test.image(1).unwrap().into_raw_vec_and_offset().0, [red, green, blue].concat());
    // Halving a ramp with the triangle filter: an inner pixel becomes the mean around it.
    let ramp = RgbImage::from_fn(16, 1, |x, _| Rgb([10 * x as u8; 3]));
    let folder = with(&[("a.png", &encoded(&ramp, ImageFormat::Png))]);
    let test = described(&folder, "scale = 1\nsize = [1, 8]\n").unwrap().test;
    for (x, value) in values(&test)[1..7].iter().enumerate() {
        assert_eq!(*value, 20.0 * (x + 1) as f32 + 5.0);
    }
    for size in ["[0, 5]", "[5, 100000]"] {
        assert!(described(&folder, &format!("size = {size}\n")).is_err());
    }
}

#[test]
fn jpeg_is_decoded_and_refused_when_cut_off() {
    let flat = RgbImage::from_pixel(40, 24, Rgb([200, 100, 50]));
    let jpeg = encoded(&flat, ImageFormat::Jpeg);
    let folder = with(&[("a.jpg", &jpeg)]);
    let test = described(&folder, "scale = 1\n").unwrap().test;
    assert_eq!(test.shape(), Shape::new(3, 24, 40));
    let found = test.image(0).unwrap();
    for (channel, expected) in [200.0f32, 100.0, 50.0].into_iter().enumerate() {
        assert!(found.index_axis(Axis(0), channel).iter().all(|v| (v - expected).abs() <= 3.0));
    }
    for cut in [jpeg.len() / 2, jpeg.len() - 20, jpeg.len() - 1, 30] {
        fs::write(folder.path().join("a.jpg"), &jpeg[..cut]).unwrap();
        let error = test.image(0).unwrap_err();
        assert!(error.subject().ends_with("a.jpg"), "{error}");
        assert!(error.to_string().contains("truncated"), "{cut}: {error}");
    }
    fs::write(folder.path().join("a.jpg"), [&jpeg[..], b"more"].concat()).unwrap();
    assert!(test.image(0).is_ok());
}

/// The signature and the IHDR chunk of the PNG specification, 8-bit RGB.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend([width, height].map(u32::to_be_bytes).concat());
    chunk.extend([8, 2, 0, 0, 0]);
    let mut crc = Crc::new();
    crc.update(&chunk);
    let parts: [&[u8]; 4] =
        [b"\x89PNG\r\n\x1a\n", &13u32.to_be_bytes(), &chunk, &crc.sum().to_be_bytes()];
    parts.concat()
}

#[test]
fn sizes_of_a_header_are_checked_before_memory_is_taken() {
    let huge = png_header(1_000_000_000, 1_000_000_000);
    let error = open_folder(with(&[("a.png", &huge)]).path()).unwrap_err();
    assert!(error.subject().ends_with("a.png"), "{error}");
    let good = encoded(&colours(), ImageFormat::Png);
    // 16384 × 16384 is within the side's limit, its 800 MB are not.
    let large = png_header(1 << 14, 1 << 14);
    let mut jpeg = encoded(&colours(), ImageFormat::Jpeg);
    let start_of_frame = jpeg.windows(2).position(|m| m == [0xff, 0xc0]).unwrap();
    jpeg[start_of_frame + 5..][..4].fill(0xff);
    for bad in [&huge, &large, &jpeg] {
        let folder = with(&[("a.png", &good), ("b.png", bad)]);
        let test = open_folder(folder.path()).unwrap().test;
        let error = test.image(1).unwrap_err();
        assert!(error.subject().ends_with("b.png"), "{error}");
        assert!(error.to_string().contains("cannot be decoded"), "{error}");
    }
}

#[test]
fn broken_images_are_refused_by_name() {
    let good = encoded(&colours(), ImageFormat::Png);
    for bad in [&good[..good.len() / 2], b"", b"hello", &[&good[..40], &[7; 60]].concat()] {
        let folder = with(&[("a.png", &good), ("b.png", bad)]);
        let error = open_folder(folder.path()).unwrap().test.image(1).unwrap_err();
        assert!(error.subject().ends_with("b.png"), "{error}");
        let first = with(&[("a.png", bad)]);
        let refused = open_folder(first.path()).and_then(|source| source.test.image(0));
        assert!(refused.unwrap_err().subject().ends_with("a.png"));
    }
}

#[test]
fn bad_label_files_are_refused() {
    let png = encoded(&colours(), ImageFormat::Png);
    let check = |csv: &str, problem: &str| {
        let folder = with(&[("a.png", &png), ("labels.csv", csv.as_bytes())]);
        let error = open_folder(folder.path()).unwrap_err();
        assert!(error.subject().ends_with("labels.csv"), "{error}");
        assert!(error.to_string().contains(problem), "{error}");
    };
    check("file,label\na.png,cat\n", "line 2: label `cat`");
    check("file,label\na.png,0\na.png,-1\n", "line 3: label `-1`");
    check("file,label\na.png,4294967296\n", "4294967296");
    check("file,label\na.png,1.0\n", "`1.0`");
    check("file,label\nb.png,1\n", "b.png, which is not there");
    check("file,class\na.png,1\n", "no column `label`");
    check("a.png,1\n", "no column `file`");
    check("file,label\na.png\n", "");
    check("file,label\n", "nothing to run");
    let folder = with(&[("a.png", &png), ("labels.csv", b"file,label\na.png,10\n")]);
    let error = described(&folder, "classes = 10\n").unwrap_err();
    assert!(error.to_string().contains("label 10 of image 0 is out of range"), "{error}");
    assert!(described(&folder, "labels = \"none.csv\"\n").is_err());
}

#[test]
fn calibration_never_takes_test_images() {
    let png = encoded(&colours(), ImageFormat::Png);
    let folder = with(&[("a.png", &png)]);
    let train = folder.path().join("train");
    fs::create_dir(&train).unwrap();
    fs::write(train.join("x.png"), encoded(&RgbImage::new(3, 2), ImageFormat::Png)).unwrap();
    assert!(described(&folder, "").unwrap().calibration.is_none());
    let source = described(&folder, "calibration = \"train\"\nmean = 1\n").unwrap();
    assert_eq!(values(&source.calibration.unwrap()), [-1.0; 18]);
    let other = "kind = \"images\"\npath = \"train\"\nmean = 2\n";
    fs::write(folder.path().join("other.toml"), other).unwrap();
    let source = described(&folder, "calibration = \"other.toml\"\n").unwrap();
    assert_eq!(values(&source.calibration.unwrap()), [-2.0; 18]);
    for same in [".", "train/.."] {
        let error = described(&folder, &format!("calibration = \"{same}\"\n")).unwrap_err();
        assert!(error.to_string().contains("names the test images"), "{error}");
    }
    fs::write(train.join("x.png"), encoded(&RgbImage::new(4, 4), ImageFormat::Png)).unwrap();
    let error = described(&folder, "calibration = \"train\"\n").unwrap_err();
    assert!(error.to_string().contains("3×2×3 and of 3×4×4"), "{error}");
}

#[test]
fn several_threads_read_the_given_photos() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/nips17");
    if !folder.is_dir() {
        println!("skipped: {} is absent", folder.display());
        return;
    }
    use rayon::prelude::*;
    let test = open_folder(&folder).unwrap().test;
    assert_eq!((test.len(), test.shape()), (300, Shape::new(3, 224, 224)));
    let labels: Vec<_> = (0..2).map(|i| test.label(i)).collect();
    assert_eq!(labels, [Some(305), Some(243)]);
    let sums = || -> Vec<f32> {
        let sum = |index| test.image(index).unwrap().iter().sum::<f32>();
        (0..32).into_par_iter().map(sum).collect()
    };
    assert_eq!(sums(), sums());
}
