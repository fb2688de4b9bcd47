//! Text as labels, up to an empty line, and as the description of a dataset: a small array, or images
//! that the labels list.
#![no_main]

use libfuzzer_sys::fuzz_target;

/// Two images of 1 × 2 × 2 bytes.
const ARRAY: &[u8] = b"\x93NUMPY\x01\x00\x4a\x00{'descr': '|u1', 'fortran_order': False, \
    'shape': (2, 1, 2, 2), }        \n\x01\x02\x03\x04\x05\x06\x07\x08";

fuzz_target!(|text: &str| {
    let (labels, text) = text.split_once("\n\n").unwrap_or(("", text));
    let files = [("a.npy", ARRAY), ("labels.csv", labels.as_bytes()), ("d.toml", text.as_bytes())];
    bittrue_fuzz::dataset(&files, "d.toml");
});
