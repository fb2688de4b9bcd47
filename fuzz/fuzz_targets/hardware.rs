//! Text as a hardware model, its energy file among those that ship.
#![no_main]

use std::path::Path;

use bittrue::hardware::Hardware;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = Hardware::parse("fuzz.toml", text, Path::new("/nonexistent"));
});
