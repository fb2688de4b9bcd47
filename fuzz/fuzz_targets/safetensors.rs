//! Bytes as the parameters of a small network.
#![no_main]

use bittrue::network::weights;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = weights::parse("fuzz.safetensors", bytes, &bittrue_fuzz::SMALL);
});
