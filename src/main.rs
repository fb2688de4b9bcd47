//! The `bittrue` binary.

fn main() {}
