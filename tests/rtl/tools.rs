//! The programs that these tests run, and where they work.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The folder of the designs and benches.
pub fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rtl")
}

/// The target folder.
pub fn target() -> PathBuf {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    temporary.parent().expect("tmp is in the target folder").to_owned()
}

/// An empty folder to work in.
pub fn work(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rtl").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Whether `what` is to be tested, given what it needs: files, or programs by name. `BITTRUE_RTL` is
/// `required` where nothing may be missing, and `done` where another call runs these tests.
pub fn ready(what: &str, needs: &[&str]) -> bool {
    let mode = std::env::var("BITTRUE_RTL").unwrap_or_default();
    if mode == "done" {
        println!("skipped: {what}: `make rtl` runs it");
        return false;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |need: &str| {
        if need.contains('/') {
            Path::new(need).exists()
        } else {
            std::env::split_paths(&path).any(|folder| folder.join(need).is_file())
        }
    };
    let missing: Vec<_> = needs.iter().filter(|need| !found(need)).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(mode != "required", "{what}: {missing:?} missing");
    println!("skipped: {what}: {missing:?} missing; `make rtl` installs and builds what it needs");
    false
}

/// Runs a program that must succeed; its output and how long it took.
pub fn run(command: &mut Command) -> (String, Duration) {
    let begun = Instant::now();
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let took = begun.elapsed();
    assert!(output.status.success(), "{command:?}\n{}", text(&output));
    (text(&output), took)
}

/// Everything that a program printed.
pub fn text(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{out}{err}")
}

/// The files of the designs.
pub fn designs() -> Vec<PathBuf> {
    let folder = sources().join("design");
    let list = fs::read_to_string(folder.join("files.f")).unwrap();
    list.lines().map(|file| folder.join(file)).collect()
}

/// A bench that is built and run.
pub struct Bench<'a> {
    /// Top module, in the file of its name.
    pub top: &'a str,
    /// Parameters of the top module.
    pub parameters: &'a [(String, i64)],
    /// Number of a planted error; 0 for none.
    pub fault: usize,
    /// Packages that come first.
    pub packages: &'a [PathBuf],
    /// What is linked, beside the bench.
    pub library: Option<&'a Path>,
}

impl Bench<'_> {
    fn files(&self) -> Vec<PathBuf> {
        let bench = sources().join(format!("bench/{}.sv", self.top));
        self.packages.iter().cloned().chain(designs()).chain([bench]).collect()
    }

    /// Builds it with Verilator in `folder`; the command that runs it.
    pub fn verilator(&self, folder: &Path) -> Command {
        let object = folder.join("obj");
        let mut command = Command::new("verilator");
        command
            .args(["--binary", "--timing", "-O3", "--x-assign", "fast", "--x-initial", "fast"])
            .args(["--noassert", "-Wno-fatal", "-Wno-lint", "-Wno-WIDTH", "--top-module", self.top])
            .arg(format!("-I{}", sources().join("design").display()))
            .arg("-y")
            .arg(sources().join("bench"))
            .arg(format!("-DFAULT={}", self.fault))
            .args(["-MAKEFLAGS", "OPT_FAST=-O2 OPT_SLOW=-O0 OPT_GLOBAL=-O1"])
            // A program named like the bench would stand in the way of C++ headers.
            .args(["-o", "simulation", "--Mdir"])
            .arg(&object);
        command.args(self.parameters.iter().map(|(name, value)| format!("-G{name}={value}")));
        if let Some(library) = self.library {
            command.arg("-LDFLAGS").arg(format!("{} -lpthread -ldl -lm", library.display()));
        }
        run(command.args(self.files()));
        Command::new(object.join("simulation"))
    }

    /// Builds it with Icarus Verilog in `folder`; the command that runs it.
    pub fn icarus(&self, folder: &Path) -> Command {
        let program = folder.join("simulation.vvp");
        let mut command = Command::new("iverilog");
        command
            .args(["-g2012", "-s", self.top])
            .arg(format!("-I{}", sources().join("design").display()))
            .arg(format!("-DFAULT={}", self.fault))
            .arg("-o")
            .arg(&program);
        let top = self.top;
        command.args(self.parameters.iter().map(|(name, value)| format!("-P{top}.{name}={value}")));
        run(command.args(self.files()));
        let mut simulate = Command::new("vvp");
        simulate.arg("-n").arg(program);
        simulate
    }
}
