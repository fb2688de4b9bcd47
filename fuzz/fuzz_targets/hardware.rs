//! Text as a hardware model, its energy file among those that ship; a small network runs on it.
#![no_main]

use std::path::Path;

use bittrue::hardware::Hardware;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(hardware) = Hardware::parse("fuzz.toml", text, Path::new("/nonexistent")) {
        bittrue_fuzz::hardware(&hardware);
    }
});
