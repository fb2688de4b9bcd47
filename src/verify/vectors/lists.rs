//! Lists of files for simulators: plusargs by layer and image, and a FuseSoC core.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use super::manifest::{FileRef, LayerEntry};
use super::memory::write_text;
use crate::error::Result;
use crate::verify::package::PACKAGE;

/// Writes `plusargs.f` beside the files of an image: a `+memory=path` a line, paths in the folder of
/// the vectors.
pub(super) fn plusargs(root: &Path, layer: &LayerEntry, image: usize) -> Result<FileRef> {
    let of_image = layer.memories.iter().filter(|m| m.image.is_none_or(|i| i == image));
    let lines: String =
        of_image.map(|memory| format!("+{}={}\n", memory.memory, memory.hex.path)).collect();
    write_text(root, &format!("{}/image{image:04}/plusargs.f", layer.folder), &lines)
}

/// A FuseSoC core (CAPI2): the package as a source, the memories as files that a simulation finds at
/// their paths, and a plusarg for each memory.
pub(super) fn core(network: &str, layers: &[LayerEntry]) -> String {
    let name: String = (network.chars())
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' })
        .collect();
    let mut text = format!(
        "CAPI=2:\n\
         name: \"bittrue:vectors:{name}:{}\"\n\
         description: \"Golden vectors of {name}\"\n\
         filesets:\n  \
           package:\n    \
             files: [{PACKAGE}.sv]\n    \
             file_type: systemVerilogSource\n  \
           vectors:\n    \
             file_type: user\n    \
             files:\n",
        env!("CARGO_PKG_VERSION")
    );
    let memories = || layers.iter().flat_map(|layer| &layer.memories);
    // Writing to a String cannot fail.
    for memory in memories() {
        let path = &memory.hex.path;
        let _ = writeln!(text, "      - {path}: {{copyto: {path}}}");
    }
    let names: BTreeSet<&str> = memories().map(|memory| memory.memory.as_str()).collect();
    if names.is_empty() {
        text.truncate(text.len() - "    files:\n".len());
        text.push_str("    files: []\n");
    }
    let list: Vec<&str> = names.iter().copied().collect();
    text.push_str("parameters:\n");
    for name in &names {
        let _ = writeln!(
            text,
            "  {name}: {{datatype: file, paramtype: plusarg, description: \"hex file of {name}\"}}"
        );
    }
    if names.is_empty() {
        text.truncate(text.len() - "parameters:\n".len());
    }
    let _ = writeln!(
        text,
        "targets:\n  default:\n    filesets: [package, vectors]\n    parameters: [{}]",
        list.join(", ")
    );
    text
}
