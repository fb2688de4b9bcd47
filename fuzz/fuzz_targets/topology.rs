//! Text as a topology.
#![no_main]

use bittrue::network::topology;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = topology::parse("fuzz.toml", text);
});
