//! Bytes as a TFLite model; what is read is lowered.
#![no_main]

use bittrue::network::tflite;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(model) = tflite::parse("fuzz.tflite", "fuzz", bytes) {
        bittrue_fuzz::lower(&model);
    }
});
