//! Text as a SCALE-Sim topology; what is read is counted and lowered.
#![no_main]

use bittrue::network::scalesim;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(network) = scalesim::parse("fuzz.csv", "fuzz", text) {
        bittrue_fuzz::count(&network);
    }
});
