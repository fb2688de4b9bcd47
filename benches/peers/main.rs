//! bittrue beside its peers, on the same work, in alternation: `make peers`, or
//! `cargo bench --bench peers [-- ROW...]`, where a row is a path like
//! `onnxruntime/resnet50/words`, or begins one.
//!
//! Every ratio stands behind an assertion that both did the same: equal words or equal counts.
//! Without `--bench`, as in `cargo test`, nothing is run.

mod ap_fixed;
mod onnxruntime;
mod own;
mod peer;
mod python;
mod scalesim;
mod timing;

use std::path::Path;

type Part = (&'static str, fn(&Path, &Wanted));

const PARTS: [Part; 4] = [
    ("onnxruntime", onnxruntime::compare),
    ("own", own::compare),
    ("ap_fixed", ap_fixed::compare),
    ("scalesim", scalesim::compare),
];

/// Rows to measure; all if there are none.
pub struct Wanted(Vec<String>);

impl Wanted {
    /// Whether `path`, or something below it, is to be measured.
    pub fn contains(&self, path: &str) -> bool {
        let wanted = |row: &String| path.starts_with(row.as_str()) || row.starts_with(path);
        self.0.is_empty() || self.0.iter().any(wanted)
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if !args.iter().any(|arg| arg == "--bench") {
        println!("peers: run with `cargo bench --bench peers`");
        return;
    }
    let wanted = Wanted(args.into_iter().filter(|arg| !arg.starts_with('-')).collect());
    let folder = python::folder();
    for (name, part) in PARTS.into_iter().filter(|(name, _)| wanted.contains(name)) {
        println!("\n## {name}\n");
        part(&folder, &wanted);
    }
}
