//! `bittrue list`: what ships.

use std::fmt::Write;

use crate::cli::output;
use crate::error::Result;
use crate::hardware::Hardware;
use crate::{dataset, network, quantize};

/// Prints the names that `run` and `show` take.
pub fn run() -> Result<()> {
    let mut text = String::from("networks\n");
    // Writing to a String cannot fail.
    for name in network::shipped() {
        let network = network::open(name)?.network;
        let (parameters, macs) = (network.parameter_count(), network.macs());
        let _ = writeln!(text, "  {name:<20} {parameters} parameters, {macs} MACs");
    }
    text.push_str("hardware models\n");
    for hardware in Hardware::shipped()? {
        let _ = writeln!(text, "  {:<20} {}", hardware.name, hardware.description);
    }
    text.push_str("plans\n");
    for (name, _) in quantize::SHIPPED {
        let _ = writeln!(text, "  {name}");
    }
    text.push_str("datasets\n");
    for name in dataset::SHIPPED {
        let _ = writeln!(text, "  {name}");
    }
    output::print(&text)
}
