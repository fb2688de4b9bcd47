//! Bytes as an image; the first says which format's name it has.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, bytes)) = bytes.split_first() else { return };
    let name = if kind % 2 == 0 { "a.png" } else { "a.jpg" };
    bittrue_fuzz::dataset(&[(name, bytes)], "");
});
