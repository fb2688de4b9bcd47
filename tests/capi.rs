//! The C interface: its header is that of the code, and a C program finds what Rust finds.

use std::path::{Path, PathBuf};
use std::process::Command;

const HEADER: &str = "src/verify/capi/bittrue.h";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The header as `cbindgen` makes it of the sources of the room.
fn generated() -> String {
    let mut builder = cbindgen::Builder::new().with_config(
        cbindgen::Config::from_file(root().join("src/verify/capi/cbindgen.toml")).unwrap(),
    );
    for file in ["mod", "guard", "cast", "chain", "model", "layer"] {
        builder = builder.with_src(root().join(format!("src/verify/capi/{file}.rs")));
    }
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    String::from_utf8(text).unwrap()
}

/// With BITTRUE_UPDATE set, writes the header instead.
#[test]
fn the_header_is_that_of_the_code() {
    let path = root().join(HEADER);
    let generated = generated();
    if std::env::var_os("BITTRUE_UPDATE").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(
        committed == generated,
        "{HEADER} is stale: run `BITTRUE_UPDATE=1 cargo test --test capi`"
    );
}

/// Every function of the header is in the package or C only, and every import of the package is in
/// the header.
#[test]
fn the_package_imports_what_the_header_declares() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let names = |text: &str| -> Vec<String> {
        let before = text.split('(').map(|piece| {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            piece.rsplit(|c| !is_name(c)).next().unwrap_or_default()
        });
        before.filter(|name| name.starts_with("bittrue_")).map(str::to_owned).collect()
    };
    let header = names(&read(HEADER));
    let package = names(&read("src/verify/capi/bittrue_pkg.sv"));
    assert!(package.len() >= 25, "only {} imports", package.len());
    let called_in_the_package = "bittrue_check";
    for name in package.iter().filter(|name| *name != called_in_the_package) {
        assert!(header.contains(name), "the package imports {name}, which is not in the header");
    }
    // Pointers to pointers and structures are C's; arrays have lengths of the testbench's own.
    let c_only = [
        "bittrue_chain_run",
        "bittrue_layer_info",
        "bittrue_output_word",
        "bittrue_layer_map",
        "bittrue_layer_run",
        "bittrue_layer_run32",
    ];
    for name in &header {
        let known = package.contains(name) || c_only.contains(&name.as_str());
        assert!(known, "{name} is in the header and not in the package");
    }
}

/// The static library, as `make capi` builds it.
fn library() -> PathBuf {
    let build = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["rustc", "--locked", "--profile", "capi", "--lib"])
        .args(["--crate-type", "staticlib,cdylib"])
        .output()
        .unwrap();
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    // target/<profile>/deps/<this test>
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().join("capi/libbittrue.a")
}

/// Compiles and runs `tests/capi/check.c`, which checks against words worked out by hand.
#[test]
fn a_c_program_agrees() {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    if Command::new(&compiler).arg("--version").output().is_err() {
        println!("skipped: there is no C compiler `{compiler}`");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("check");
    let compiled = Command::new(&compiler)
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pthread", "-I"])
        .arg(root().join("src/verify/capi"))
        .arg(root().join("tests/capi/check.c"))
        .arg(library())
        .args(["-lm", "-ldl", "-o"])
        .arg(&program)
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let run = Command::new(&program).output().unwrap();
    let text = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{text}");
    print!("{}", String::from_utf8_lossy(&run.stdout));
}
