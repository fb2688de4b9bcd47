//! The peers' Python packages, in an environment of the build folder.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where models and results are kept.
pub fn folder() -> PathBuf {
    let folder = target().join("peers");
    std::fs::create_dir_all(&folder).expect("a writable build folder");
    folder
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a build folder").into()
}

/// A script of this folder, for the interpreter that has `packages`, which are installed at first.
pub fn script(name: &str, packages: &[&str]) -> Command {
    let environment = target().join("peers-venv");
    let python = environment.join("bin/python");
    if !python.exists() {
        check(Command::new("python3").args(["-m", "venv"]).arg(&environment));
    }
    check(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages));
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(name));
    command
}

/// Runs `command`, which must succeed.
pub fn check(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
