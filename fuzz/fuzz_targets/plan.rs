//! Text as a plan, by which a small network is lowered.
#![no_main]

use bittrue::quantize::Plan;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(plan) = Plan::parse("fuzz.toml", text) {
        bittrue_fuzz::plan(&bittrue_fuzz::SMALL, &plan);
    }
});
