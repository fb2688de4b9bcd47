//! Bytes as the parameters of a small network.
#![no_main]

use std::sync::LazyLock;

use bittrue::network::{Network, topology, weights};
use libfuzzer_sys::fuzz_target;

static NETWORK: LazyLock<Network> = LazyLock::new(|| {
    let text = "name = 'small'\ninput = [1, 4, 4]\n[[layer]]\nname = 'conv'\nop = 'conv'\n\
                channels = 2\nkernel = 3\n[[layer]]\nname = 'norm'\nop = 'batch_norm'\n";
    topology::parse("small.toml", text).expect("a topology").network
});

fuzz_target!(|bytes: &[u8]| {
    let _ = weights::parse("fuzz.safetensors", bytes, &NETWORK);
});
