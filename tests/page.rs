//! What others open, made by the program: the pages of `--html` in a headless Chromium,
//! `tests/page/browse.py`, and tables as Parquet in DuckDB, `tests/page/parquet.py`. `make page` installs
//! what that needs; where it is missing, a test says so and does nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

const SPACE: &str = include_str!("data/spaces/lenet5_arrays.toml");

/// Layers whose names are markup.
const HOSTILE: &str = r#"
name = "</title><script>alert(1)</script>"
input = [1, 8, 8]

[[layer]]
name = "</script><script>alert(2)</script>"
op = "conv"
channels = 4
kernel = 3

[[layer]]
name = "<img src=x onerror=alert(3)>"
op = "max_pool"
kernel = 2
stride = 2

[[layer]]
name = "flatten"
op = "flatten"

[[layer]]
name = "a\"'&amp;<b>{{data}}"
op = "dense"
channels = 10
"#;

/// Charts of each page.
const FIGURES: [(&str, usize); 6] =
    [("run", 8), ("sweep", 1), ("sensitivity", 8), ("search", 8), ("sparsity", 10), ("hostile", 6)];

fn python() -> PathBuf {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    temporary.parent().expect("tmp is in the target folder").join("venv/bin/python")
}

/// Whether the Python module `module` is there, and `program` if it needs one. `BITTRUE_PAGE` is
/// `required` where nothing may be missing, and `done` where another call runs these tests.
fn ready(module: &str, program: Option<&Path>) -> bool {
    let mode = std::env::var("BITTRUE_PAGE").unwrap_or_default();
    if mode == "done" {
        println!("skipped: `make page` runs it");
        return false;
    }
    let import = Command::new(python()).args(["-c", &format!("import {module}")]).output();
    let missing = match program {
        Some(program) if !program.is_file() => program.display().to_string(),
        _ if import.is_ok_and(|output| output.status.success()) => return true,
        _ => module.to_owned(),
    };
    assert!(mode != "required", "{missing} is missing");
    println!("skipped: {missing} is missing; `make page` installs what this needs");
    false
}

/// Where `chromium` is, or would be.
fn chromium() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|p| p.join("chromium")).find(|p| p.is_file());
    found.unwrap_or_else(|| "chromium".into())
}

/// Runs a script of `tests/page` that must succeed, and prints what it says.
fn script(name: &str, arguments: &[&Path]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page").join(name);
    let output = Command::new(python()).arg(script).args(arguments).output().unwrap();
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{out}{err}");
    println!("{out}");
}

fn bittrue(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bittrue"));
    let output = command.current_dir(folder).args(arguments).arg("--quiet").output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Point numbers of the fronts of other columns, as `sweep --pareto` marks them.
fn fronts(folder: &Path) -> Value {
    let pairs =
        ["cycles,utilization", "energy_pj,utilization", "buffer_bytes,dsp", "dram_bytes,bram36"];
    let mut fronts = serde_json::Map::new();
    for pair in pairs {
        let resume = ["sweep", "space.toml", "--resume", "--pareto", pair, "--json", "front.json"];
        bittrue(folder, &resume);
        let text = fs::read_to_string(folder.join("front.json")).unwrap();
        let table: Value = serde_json::from_str(&text).unwrap();
        let rows = table["rows"].as_array().unwrap().iter();
        let front = rows.filter(|row| row["front"] == true).map(|row| row["point"].clone());
        fronts.insert(pair.to_owned(), front.collect());
    }
    fronts.into()
}

#[test]
fn pages_work_in_a_browser() {
    let chromium = chromium();
    if !ready("playwright", Some(&chromium)) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("space.toml"), SPACE.replace("images = 200", "images = 5")).unwrap();
    fs::write(path.join("hostile.toml"), HOSTILE).unwrap();
    let page = |name: &str, arguments: &[&str]| {
        let (html, json) = (format!("{name}.html"), format!("{name}.json"));
        bittrue(path, &[arguments, &["--html", &html, "--json", &json]].concat());
    };
    page("run", &["run", "lenet5", "--images", "10"]);
    page("sweep", &["sweep", "space.toml", "--pareto", "accuracy,energy_pj"]);
    let sensitivity = ["--widths", "3..4", "--kinds", "extrinsic,intrinsic", "--thresholds", "0.1"];
    let points = ["--points", "-1..1", "--calibration", "8"];
    let small = ["lenet5", "--images", "6"];
    page("sensitivity", &[&["sensitivity"], &small[..], &sensitivity, &points].concat());
    let search = ["--generations", "1", "--population", "2", "--calibration", "8"];
    let thresholds = ["--thresholds", "--cost", "energy"];
    page("search", &[&["search"], &small[..], &search, &thresholds].concat());
    let sparsity = ["--prune", "0.5", "--thresholds", "--loss", "0.5"];
    page("sparsity", &[&["sparsity"], &small[..], &sparsity].concat());
    page("hostile", &["run", "hostile.toml"]);
    fs::write(path.join("fronts.json"), fronts(path).to_string()).unwrap();
    let figures: serde_json::Map<_, _> =
        FIGURES.iter().map(|&(name, count)| (name.to_owned(), json!(count))).collect();
    fs::write(path.join("figures.json"), Value::from(figures).to_string()).unwrap();
    script("browse.py", &[path, &chromium]);
}

#[test]
fn parquet_has_the_cells_of_the_csv() {
    if !ready("duckdb", None) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    // Synthetic operands have no accuracy, so that its columns are null.
    for (number, data) in ["images = 2", "synthetic = [0.5, 0.5]"].into_iter().enumerate() {
        let space = SPACE.replace("images = 200", data).replace("from = 4096", "from = 65536");
        let name = format!("space{number}.toml");
        fs::write(path.join(&name), space).unwrap();
        let table = ["sweep", &name, "--resume", "--pareto", "cycles,energy_pj"];
        bittrue(path, &[&table[..], &["--parquet", "a.parquet", "--csv", "table.csv"]].concat());
        bittrue(path, &[&table[..], &["--parquet", "b.parquet", "--threads", "1"]].concat());
        let read = |name: &str| fs::read(path.join(name)).unwrap();
        assert!(read("a.parquet") == read("b.parquet"));
        script("parquet.py", &[&path.join("a.parquet"), &path.join("table.csv")]);
    }
}
