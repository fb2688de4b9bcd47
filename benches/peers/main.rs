//! bittrue beside its peers, on the same work, in alternation: `make peers`, or
//! `cargo bench --bench peers [-- PART...]`.
//!
//! Every ratio stands behind an assertion that both did the same: equal words or equal counts.
//! Without `--bench`, as in `cargo test`, nothing is run.

mod onnxruntime;
mod python;
mod timing;

use std::path::Path;

type Part = (&'static str, fn(&Path));

const PARTS: [Part; 1] = [("onnxruntime", onnxruntime::compare)];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if !args.iter().any(|arg| arg == "--bench") {
        println!("peers: run with `cargo bench --bench peers`");
        return;
    }
    let wanted: Vec<_> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let folder = python::folder();
    for (name, part) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| *wanted == name) {
            println!("\n## {name}\n");
            part(&folder);
        }
    }
}
