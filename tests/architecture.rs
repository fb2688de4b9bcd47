//! The folder tree is the architecture: rooms import only from rooms above them, and `unsafe`
//! lives in `kernels` and in the C interface alone.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, in the order in which data flows (`docs/architecture.md`).
const ROOMS: &[&str] = &[
    "error", "files", "numeric", "tensor", "kernels", "network", "dataset", "quantize", "hardware",
    "mapping", "simulate", "cost", "report", "explore", "page", "verify", "train", "cli",
];

fn sources() -> Vec<(String, PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&src, &mut paths);
    let room = |path: &Path| {
        let first = path.strip_prefix(&src).unwrap().components().next().unwrap();
        first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
    };
    paths
        .into_iter()
        .map(|path| (room(&path), fs::read_to_string(&path).unwrap(), path))
        .map(|(room, text, path)| (room, path, text))
        .collect()
}

#[test]
fn rooms_import_only_from_rooms_above() {
    let rank = |room: &str| ROOMS.iter().position(|r| *r == room);
    let mut checked = 0;
    for (room, path, text) in sources() {
        if room == "lib" || room == "main" {
            continue;
        }
        let own = rank(&room).unwrap_or_else(|| panic!("{}: unknown room", path.display()));
        for (at, _) in text.match_indices("crate::") {
            let name: String = text[at + 7..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            let Some(other) = rank(&name) else { continue };
            checked += 1;
            assert!(other <= own, "{}: `{room}` imports from `{name}` below it", path.display());
        }
    }
    assert!(checked > 50, "only {checked} imports found");
}

#[test]
fn every_room_is_in_the_list() {
    for (room, path, _) in sources() {
        let known = ["lib", "main"].contains(&room.as_str()) || ROOMS.contains(&room.as_str());
        assert!(known, "{} is in no room", path.display());
    }
}

#[test]
fn unsafe_code_is_in_kernels_and_the_c_interface_only_and_explained() {
    for (room, path, text) in sources() {
        let c_interface = path.parent().is_some_and(|folder| folder.ends_with("verify/capi"));
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            let unsafe_here =
                code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe");
            if !unsafe_here {
                continue;
            }
            let at = format!("{}:{}", path.display(), number + 1);
            assert!(room == "kernels" || c_interface, "{at}: unsafe outside kernels");
            if c_interface && code.trim() == "#[unsafe(no_mangle)]" {
                // Safe because no other library has the name.
                let named = lines[number + 1].contains("extern \"C\" fn bittrue_");
                assert!(named, "{at}: an exported name without the prefix bittrue_");
                continue;
            }
            let above: Vec<&str> = text.lines().take(number).collect();
            let explained =
                above.iter().rev().take(8).any(|l| l.contains("SAFETY:") || l.contains("# Safety"));
            assert!(explained, "{at}: unsafe without a SAFETY comment");
        }
    }
}
