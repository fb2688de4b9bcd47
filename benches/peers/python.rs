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

/// The interpreter of `environment`, which has `packages`; they are installed at first.
pub fn interpreter(environment: &str, packages: &[&str]) -> Command {
    let environment = target().join(environment);
    let python = environment.join("bin/python");
    if !python.exists() {
        check(Command::new("python3").args(["-m", "venv"]).arg(&environment));
    }
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    check(Command::new(&python).args(install).args(packages));
    Command::new(python)
}

/// A script of this folder for that interpreter.
pub fn script(environment: &str, name: &str, packages: &[&str]) -> Command {
    let mut command = interpreter(environment, packages);
    command.arg(source(name));
    command
}

/// A file of this folder.
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(name)
}

/// Runs `command`, which must succeed.
pub fn check(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
