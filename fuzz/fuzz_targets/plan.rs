//! Text as a plan.
#![no_main]

use bittrue::quantize::Plan;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = Plan::parse("fuzz.toml", text);
});
