//! The pages of `--html`, made by the program and opened in a headless Chromium: `tests/page/browse.py`.
//! `make page` installs what that needs; where it is missing, the test says so and does nothing.

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
    [("run", 8), ("sweep", 1), ("sensitivity", 6), ("search", 6), ("sparsity", 10), ("hostile", 6)];

fn python() -> PathBuf {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    temporary.parent().expect("tmp is in the target folder").join("venv/bin/python")
}

/// The browser, if there is one and Python can drive it. `BITTRUE_PAGE` is `required` where nothing may
/// be missing, and `done` where another call runs this test.
fn browser() -> Option<PathBuf> {
    let mode = std::env::var("BITTRUE_PAGE").unwrap_or_default();
    if mode == "done" {
        println!("skipped: `make page` runs it");
        return None;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let chromium = std::env::split_paths(&path).map(|p| p.join("chromium")).find(|p| p.is_file());
    let driver = Command::new(python()).args(["-c", "import playwright"]).output();
    let missing = match (&chromium, driver) {
        (None, _) => "chromium",
        (_, Ok(output)) if output.status.success() => return chromium,
        _ => "playwright",
    };
    assert!(mode != "required", "{missing} is missing");
    println!("skipped: {missing} is missing; `make page` installs what this needs");
    None
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
    let Some(chromium) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("space.toml"), SPACE.replace("images = 200", "images = 20")).unwrap();
    fs::write(path.join("hostile.toml"), HOSTILE).unwrap();
    let page = |name: &str, arguments: &[&str]| {
        let (html, json) = (format!("{name}.html"), format!("{name}.json"));
        bittrue(path, &[arguments, &["--html", &html, "--json", &json]].concat());
    };
    page("run", &["run", "lenet5", "--images", "20"]);
    page("sweep", &["sweep", "space.toml", "--pareto", "accuracy,energy_pj"]);
    let sensitivity = ["--widths", "3..4", "--kinds", "extrinsic,intrinsic", "--thresholds", "0.1"];
    let small = ["lenet5", "--images", "10"];
    page(
        "sensitivity",
        &[&["sensitivity"], &small[..], &sensitivity, &["--calibration", "8"]].concat(),
    );
    let search = ["--generations", "1", "--population", "2", "--calibration", "8"];
    page("search", &[&["search"], &small[..], &search].concat());
    let sparsity = ["--prune", "0.5", "--thresholds", "--loss", "0.5"];
    page("sparsity", &[&["sparsity"], &small[..], &sparsity].concat());
    page("hostile", &["run", "hostile.toml"]);
    fs::write(path.join("fronts.json"), fronts(path).to_string()).unwrap();
    let figures: serde_json::Map<_, _> =
        FIGURES.iter().map(|&(name, count)| (name.to_owned(), json!(count))).collect();
    fs::write(path.join("figures.json"), Value::from(figures).to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page/browse.py");
    let output = Command::new(python()).arg(script).arg(path).arg(chromium).output().unwrap();
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{out}{err}");
    println!("{out}");
}
