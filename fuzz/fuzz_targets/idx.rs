//! Bytes as images of an IDX file, the rest as its labels: the first byte says where they part.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&part, bytes)) = bytes.split_first() else { return };
    let (images, labels) = bytes.split_at(bytes.len() * usize::from(part) / 256);
    let files = [("t10k-images-idx3-ubyte", images), ("t10k-labels-idx1-ubyte", labels)];
    bittrue_fuzz::dataset(&files, "");
});
