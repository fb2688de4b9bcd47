//! Exploration by the command line: sweeps that survive being killed, shards, fronts; sensitivity, search,
//! zeros; bad input.

mod search;
mod sensitivity;
mod sparsity;
mod sweep;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

fn bittrue(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bittrue"));
    command.current_dir(folder).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs and expects success; what it printed.
fn run(folder: &Path, arguments: &[&str]) -> String {
    let output = bittrue(folder, arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs and expects exit code 1 and an error that contains all `parts`.
fn refused(folder: &Path, arguments: &[&str], parts: &[&str]) {
    let output = bittrue(folder, arguments).output().unwrap();
    // The renderer wraps lines; compare without white space.
    let squeeze = |text: &str| text.replace(|c: char| c.is_whitespace() || c == '│', "");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    for part in parts {
        assert!(squeeze(&stderr).contains(&squeeze(part)), "no `{part}` in: {stderr}");
    }
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}
