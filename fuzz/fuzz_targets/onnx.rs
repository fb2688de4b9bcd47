//! Bytes as an ONNX model; what is read is lowered.
#![no_main]

use std::path::Path;

use bittrue::network::onnx;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(model) = onnx::parse("fuzz", bytes, Path::new("/nonexistent")) {
        bittrue_fuzz::lower(&model);
    }
});
