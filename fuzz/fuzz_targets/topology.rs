//! Text as a topology, its blocks repeated; what is read is counted and lowered.
#![no_main]

use bittrue::network::topology;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(topology) = topology::parse("fuzz.toml", text) {
        bittrue_fuzz::count(&topology.network);
    }
});
