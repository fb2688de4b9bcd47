//! Bytes as an array of images.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bittrue_fuzz::dataset(&[("images.npy", bytes)], "images.npy"));
