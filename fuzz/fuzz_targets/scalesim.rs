//! Text as a SCALE-Sim topology.
#![no_main]

use bittrue::network::scalesim;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = scalesim::parse("fuzz.csv", "fuzz", text);
});
