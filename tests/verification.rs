//! Golden vectors, comparison and faults, from the command line. Expected words are computed here
//! in plain 64-bit arithmetic from the operands of the vectors.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use ndarray::ArrayD;
use ndarray_npy::{ReadableElement, read_npy};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn bittrue() -> Command {
    Command::new(env!("CARGO_BIN_EXE_bittrue"))
}

/// Golden vectors of LeNet-5 in a folder of their own.
struct Vectors {
    place: tempfile::TempDir,
    manifest: Value,
}

impl Vectors {
    fn new(arguments: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut command = bittrue();
        command.current_dir(place.path()).args(["vectors", "lenet5", "--out", "golden", "--quiet"]);
        command.args(arguments).assert().success().stdout("");
        let text = fs::read_to_string(place.path().join("golden/manifest.json")).unwrap();
        Self { manifest: serde_json::from_str(&text).unwrap(), place }
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.place.path().join(relative)
    }

    fn layer(&self, name: &str) -> &Value {
        let layers = self.manifest["layers"].as_array().unwrap();
        layers.iter().find(|layer| layer["name"] == name).unwrap()
    }

    fn memory(&self, layer: &str, memory: &str) -> &Value {
        let memories = self.layer(layer)["memories"].as_array().unwrap();
        memories.iter().find(|entry| entry["memory"] == memory).unwrap()
    }

    /// The words of a memory from its array, in the order of the hex file.
    fn words(&self, layer: &str, memory: &str) -> Vec<i64> {
        let entry = self.memory(layer, memory);
        let path = self.path("golden").join(entry["npy"]["path"].as_str().unwrap());
        fn read<T: ReadableElement + Into<i64> + Copy>(path: &Path) -> Vec<i64> {
            let array: ArrayD<T> = read_npy(path).unwrap();
            array.iter().map(|&word| word.into()).collect()
        }
        match (entry["signed"].as_bool().unwrap(), entry["bits"].as_u64().unwrap()) {
            (true, ..=8) => read::<i8>(&path),
            (false, ..=8) => read::<u8>(&path),
            (true, ..=16) => read::<i16>(&path),
            (true, ..=32) => read::<i32>(&path),
            other => panic!("{other:?}"),
        }
    }

    /// Writes what a design made of the words of a memory, of `digits` digits.
    fn dut(&self, layer: &str, memory: &str, words: &[i64]) {
        let entry = self.memory(layer, memory);
        let bits = entry["bits"].as_u64().unwrap();
        let path = self.path("dut").join(entry["hex"]["path"].as_str().unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let (mask, digits) = (u64::MAX >> (64 - bits), bits.div_ceil(4) as usize);
        let lines = words.iter().map(|&w| format!("{:0digits$x}\n", w as u64 & mask));
        fs::write(path, lines.collect::<String>()).unwrap();
    }

    /// Compares; the exit code and what was printed.
    fn compare(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = bittrue();
        command.current_dir(self.place.path()).args(["compare", "golden", "--dut"]);
        let output = command.args(arguments).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    fn replay(&self) -> Value {
        let text = fs::read_to_string(self.path("bittrue-replay/replay.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

fn size(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

/// Bias and operand pairs of every output word, channels-last, from `patches`, `weights`, `bias`.
fn chains(vectors: &Vectors, layer: &str) -> Vec<(i64, Vec<(i64, i64)>)> {
    let mac = &vectors.layer(layer)["mac"];
    let (m, k, n) = (size(&mac["pixels"]), size(&mac["reduction"]), size(&mac["group_outputs"]));
    let [weights, bias, patches] =
        ["weights", "bias", "patches"].map(|memory| vectors.words(layer, memory));
    assert_eq!((weights.len(), patches.len()), (n * k, m * k));
    (0..m * n)
        .map(|element| {
            let (pixel, channel) = (element / n, element % n);
            let pairs = weights[channel * k..].iter().zip(&patches[pixel * k..]).take(k);
            (bias[channel], pairs.map(|(&w, &x)| (w, x)).collect())
        })
        .collect()
}

#[test]
fn the_manifest_names_every_file_and_its_checksum() {
    let vectors = Vectors::new(&["--partial-sums", "--patches", "--layers", "conv1,pool1,fc3"]);
    let manifest = &vectors.manifest;
    assert_eq!(manifest["schema_version"], 1);
    let mut files = BTreeMap::new();
    let mut named = |file: &Value| {
        files.insert(file["path"].as_str().unwrap().to_owned(), file["sha256"].clone());
    };
    ["hardware_file", "package", "core"].iter().for_each(|key| named(&manifest[key]));
    for layer in manifest["layers"].as_array().unwrap() {
        for memory in layer["memories"].as_array().unwrap() {
            named(&memory["hex"]);
            named(&memory["npy"]);
            let words: usize = memory["shape"].as_array().unwrap().iter().map(size).product();
            assert_eq!(words, size(&memory["words"]));
            let path = vectors.path("golden").join(memory["hex"]["path"].as_str().unwrap());
            let text = fs::read_to_string(path).unwrap();
            let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("//")).collect();
            assert_eq!(lines.len(), words);
            let digits = size(&memory["bits"]).div_ceil(4);
            assert!(lines.iter().all(|line| line.len() == digits));
        }
    }
    assert!(files.len() > 30, "only {} files", files.len());
    for (path, sum) in &files {
        let bytes = fs::read(vectors.path("golden").join(path)).unwrap();
        let found: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(sum, &found, "{path}");
    }
    // conv1: 6 channels of 5 × 5 over 28 × 28 pixels; an accumulation for each product.
    for (memory, shape) in [
        ("weights", vec![6, 25]),
        ("bias", vec![6]),
        ("ifmap", vec![28, 28, 1]),
        ("patches", vec![1, 784, 25]),
        ("partial_sums", vec![28, 28, 6, 26]),
        ("accumulator", vec![28, 28, 6]),
        ("ofmap", vec![28, 28, 6]),
    ] {
        assert_eq!(vectors.memory("conv1", memory)["shape"], serde_json::json!(shape), "{memory}");
    }
}

/// In the plan acc12 accumulators of 12 bits saturate at every step.
#[test]
fn partial_sums_are_those_of_the_plain_loop() {
    let vectors =
        Vectors::new(&["--plan", "acc12", "--partial-sums", "--patches", "--layers", "conv2"]);
    let chain = &vectors.layer("conv2")["mac"]["chain"];
    assert_eq!((&chain["style"], &chain["adder_tree"]), (&"fused".into(), &1.into()));
    assert_eq!(chain["accumulator"]["overflow"], "saturate");
    // The same binary point all the way, so that nothing is rounded.
    let frac = |format: &Value| -> i64 {
        format.as_str().unwrap().split_once('f').unwrap().1.parse().unwrap()
    };
    let product = frac(&chain["weights"]) + frac(&chain["activations"]);
    assert_eq!((product, frac(&chain["bias"])), (frac(&chain["accumulator"]["format"]), product));
    let clamp = |sum: i64| sum.clamp(-2048, 2047);
    let (mut sums, mut last, mut saturated) = (Vec::new(), Vec::new(), 0);
    for (bias, pairs) in chains(&vectors, "conv2") {
        let mut sum = clamp(bias);
        sums.push(sum);
        for (w, x) in pairs {
            saturated += u32::from(clamp(sum + w * x) != sum + w * x);
            sum = clamp(sum + w * x);
            sums.push(sum);
        }
        last.push(sum);
    }
    assert!(saturated > 100, "{saturated} steps saturate");
    assert_eq!(vectors.words("conv2", "partial_sums"), sums);
    assert_eq!(vectors.words("conv2", "accumulator"), last);
}

/// gemmlowp: the rounding doubling high half of the product, then a rounding shift, halves away from
/// zero; here in plain 64-bit arithmetic.
#[test]
fn affine_words_follow_from_accumulators_and_multipliers() {
    let vectors = Vectors::new(&[
        "--plan",
        "int8_channel",
        "--hw",
        "lanes_scaled_16x16",
        "--layers",
        "conv1",
    ]);
    let chain = &vectors.layer("conv1")["mac"]["chain"];
    let constants: Vec<[i64; 2]> = (chain["requantizer"].as_array().unwrap().iter())
        .map(|r| [&r["multiplier"], &r["shift"]].map(|value| value.as_i64().unwrap()))
        .collect();
    assert_eq!(constants.len(), 6);
    // Shift in 8 bits over the multiplier in 32.
    let path = vectors.memory("conv1", "requantizer")["hex"]["path"].as_str().unwrap();
    let text = fs::read_to_string(vectors.path("golden").join(path)).unwrap();
    let lines: Vec<&str> = text.lines().skip(1).collect();
    for ([multiplier, shift], line) in constants.iter().zip(&lines) {
        assert_eq!(*line, format!("{:02x}{multiplier:08x}", shift & 0xff));
        assert!(*shift < 0);
    }
    let expected = |(element, acc): (usize, i64)| {
        let [multiplier, shift] = constants[element % 6];
        let high = (acc * multiplier + (1 << 30)) >> 31;
        let magnitude = (high.abs() + (1 << (-shift - 1))) >> -shift;
        (high.signum() * magnitude).clamp(0, 255)
    };
    let words: Vec<i64> =
        vectors.words("conv1", "accumulator").into_iter().enumerate().map(expected).collect();
    assert!(words.iter().filter(|&&word| word > 0).count() > 500);
    assert_eq!(vectors.words("conv1", "ofmap"), words);
}

/// What is drawn for a word of a run is drawn for it in the vectors too.
#[test]
fn stochastic_words_are_those_of_the_run() {
    let place = tempfile::tempdir().unwrap();
    let plan = place.path().join("plan.toml");
    let rule = "select = \"conv1.output\"\nquantizer = { kind = \"fixed\", format = \"8\", \
                rounding = \"stochastic\" }\n";
    fs::write(&plan, format!("name = \"p\"\n[[rule]]\n{rule}")).unwrap();
    let of_seed = |seed: &str| {
        let plan = plan.to_str().unwrap();
        Vectors::new(&["--plan", plan, "--seed", seed, "--layers", "conv1"])
    };
    let (one, two) = (of_seed("1"), of_seed("2"));
    assert_eq!(one.words("conv1", "accumulator"), two.words("conv1", "accumulator"));
    assert_ne!(one.words("conv1", "ofmap"), two.words("conv1", "ofmap"));
    // An unsigned output has no words for the activation function to cut off.
    assert_eq!(one.words("conv1", "ofmap"), one.words("conv1", "requantized"));
}

/// SCALE-Sim's fold formula (docs/cycles.md) for conv1 and fc3 of LeNet-5 on 16 × 16 weight-
/// stationary elements: ⌈25/16⌉ · ⌈6/16⌉ folds of 2·16 + 16 + 784 − 2 cycles, and ⌈84/16⌉ · 1 folds of
/// 2·16 + 16 + 1 − 2.
#[test]
fn cycles_are_those_of_the_formula() {
    let vectors = Vectors::new(&["--hw", "systolic_ws_16x16", "--layers", "conv1,fc3"]);
    for (layer, cycles) in [("conv1", 2 * 830), ("fc3", 6 * 47)] {
        assert_eq!(vectors.layer(layer)["cycles"][0]["compute"], cycles, "{layer}");
    }
    let trace = |conv1: u64| format!("layer,cycle\nconv1,{conv1}\nfc3,282\n");
    fs::write(vectors.path("t.csv"), trace(1660)).unwrap();
    assert_eq!(vectors.compare(&["t.csv"]).0, 0);
    fs::write(vectors.path("t.csv"), trace(1663)).unwrap();
    let (code, text) = vectors.compare(&["t.csv"]);
    assert!(code == 1 && text.contains("1663"), "{text}");
    assert_eq!(vectors.compare(&["t.csv", "--tolerance-cycles", "2"]).0, 1);
    assert_eq!(vectors.compare(&["t.csv", "--tolerance-cycles", "3"]).0, 0);
}

/// What a design makes of a bias and operand pairs.
type Word<'a> = dyn Fn(i64, &[(i64, i64)]) -> i64 + 'a;

/// Words of a design with one thing wrong, and what the comparison says of it.
#[test]
fn planted_errors_are_located_and_explained() {
    let vectors = Vectors::new(&["--plan", "acc12", "--patches", "--layers", "conv2"]);
    let chain = &vectors.layer("conv2")["mac"]["chain"];
    let frac = |text: &str| -> i64 { text.split_once('f').unwrap().1.parse().unwrap() };
    let output = chain["output"]["format"].as_str().unwrap();
    assert!(output.starts_with("u8f") && chain["output"]["rounding"] == "half_even");
    let shift = frac(chain["accumulator"]["format"].as_str().unwrap()) - frac(output);
    assert!(shift > 1);
    let half = 1 << (shift - 1);
    let half_even = |acc: i64| (acc + half - 1 + (acc >> shift & 1)) >> shift;
    let half_up = |acc: i64| (acc + half) >> shift;
    let clamp = |sum: i64| sum.clamp(-2048, 2047);
    let loop_of = |bias: i64, pairs: &[(i64, i64)]| {
        pairs.iter().fold(clamp(bias), |sum, (w, x)| clamp(sum + w * x))
    };
    let chains = chains(&vectors, "conv2");
    let words = |word: &Word| -> Vec<i64> {
        chains.iter().map(|(bias, pairs)| word(*bias, pairs)).collect()
    };
    let sound = words(&|bias, pairs| half_even(loop_of(bias, pairs)).clamp(0, 255));
    vectors.dut("conv2", "ofmap", &sound);
    assert_eq!(vectors.compare(&["dut"]).0, 0);

    let check_in = |memory: &str, planted: Vec<i64>, cause: &str| {
        let sound = vectors.words("conv2", memory);
        let first = (0..sound.len()).find(|&i| sound[i] != planted[i]).expect(cause);
        fs::remove_dir_all(vectors.path("dut")).unwrap();
        vectors.dut("conv2", memory, &planted);
        let (code, text) = vectors.compare(&["dut"]);
        assert_eq!(code, 1, "{text}");
        let replay = vectors.replay();
        // conv2 writes 16 channels of 10 × 10 pixels.
        for (key, expected) in [
            ("index", first),
            ("channel", first % 16),
            ("row", first / 16 / 10),
            ("column", first / 16 % 10),
        ] {
            assert_eq!(replay[key], expected, "{cause}: {key}");
        }
        assert_eq!(replay["layer"], "conv2");
        assert_eq!(replay["expected"]["raw"], sound[first]);
        assert_eq!(replay["actual"]["raw"], planted[first]);
        let (bias, pairs) = &chains[first];
        assert_eq!(replay["chain"]["accumulator"], loop_of(*bias, pairs));
        let weights: Vec<i64> = pairs.iter().map(|pair| pair.0).collect();
        assert_eq!(replay["chain"]["weights"], serde_json::json!(weights));
        let causes: Vec<&str> =
            replay["causes"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
        assert!(causes.contains(&cause), "{cause} is not among {causes:?}");
        assert!(text.contains(cause), "{text}");
    };
    let check = |planted: Vec<i64>, cause: &str| check_in("ofmap", planted, cause);
    check(
        words(&|bias, pairs| half_up(loop_of(bias, pairs)).clamp(0, 255)),
        "the output rounds half_up instead of half_even",
    );
    check(
        words(&|bias, pairs| half_even(loop_of(bias, pairs) + 1).clamp(0, 255)),
        "the constant added to round the output is one too large",
    );
    check_in(
        "accumulator",
        words(&|bias, pairs| {
            let clamp = |sum: i64| sum.clamp(-2047, 2047);
            pairs.iter().fold(clamp(bias), |sum, (w, x)| clamp(sum + w * x))
        }),
        "the accumulator saturates one above its smallest word",
    );
    check(
        words(&|bias, pairs| {
            let unsigned: Vec<_> = pairs.iter().map(|&(w, x)| (w & 0xff, x)).collect();
            half_even(loop_of(bias, &unsigned)).clamp(0, 255)
        }),
        "weights are not sign-extended",
    );
    check_in(
        "accumulator",
        words(&|bias, pairs| {
            let reversed: Vec<_> = pairs.iter().rev().copied().collect();
            loop_of(bias, &reversed)
        }),
        "products are accumulated in reverse order",
    );
    check(words(&|_, pairs| half_even(loop_of(0, pairs)).clamp(0, 255)), "the bias is missing");
}

#[test]
fn files_of_a_design_are_read_in_every_form() {
    let vectors = Vectors::new(&["--layers", "conv1,fc3"]);
    let words = vectors.words("fc3", "ofmap");
    let line = |index: usize, word: i64| format!("fc3,{index},{:02x}\n", word as u8);
    let lines: String = words.iter().enumerate().map(|(i, &w)| line(i, w)).collect();
    fs::write(vectors.path("t.csv"), format!("layer,index,word\n{lines}")).unwrap();
    assert_eq!(vectors.compare(&["t.csv"]).0, 0);
    let json = |(index, &word): (usize, &i64)| {
        format!("{{\"layer\": \"fc3\", \"index\": {index}, \"word\": \"0x{:x}\"}}\n", word as u8)
    };
    let lines: String = words.iter().enumerate().map(json).collect();
    fs::write(vectors.path("t.jsonl"), lines).unwrap();
    assert_eq!(vectors.compare(&["t.jsonl"]).0, 0);

    let hex = |words: &[i64], more: &str| -> String {
        words.iter().map(|&w| format!("{:02x}\n", w as u8)).collect::<String>() + more
    };
    fs::write(vectors.path("fc3.mem"), hex(&words, "")).unwrap();
    let single = ["fc3.mem", "--layer", "fc3"];
    assert_eq!(vectors.compare(&single).0, 0);
    assert!(vectors.compare(&["fc3.mem"]).1.contains("--layer"));
    // A word that is not there and one with unknown digits differ.
    fs::write(vectors.path("fc3.mem"), hex(&words[..9], "")).unwrap();
    let (code, text) = vectors.compare(&single);
    assert!(code == 1 && text.contains("channel 9") && text.contains("not written"), "{text}");
    fs::write(vectors.path("fc3.mem"), hex(&words[..4], "xx\n")).unwrap();
    let (code, text) = vectors.compare(&single);
    assert!(code == 1 && text.contains("channel 4") && text.contains("6 of 10"), "{text}");
    fs::write(vectors.path("fc3.mem"), hex(&words, "00\n")).unwrap();
    let (code, text) = vectors.compare(&single);
    assert!(code == 1 && text.contains("line 11") && !text.contains("panicked"), "{text}");

    for (trace, problem) in [
        ("layer,index,word\nfc9,0,00\n", "no such layer"),
        ("layer,index,word\nfc3,10,00\n", "10 words"),
        ("layer,index,word\nfc3,0,100\n", "8 bits"),
        ("layer,index,colour\nfc3,0,1\n", "colour"),
        ("layer,index,word\nfc3,,00\n", "index"),
        ("layer,image,cycle\nfc3,7,1\n", "no image 7"),
        ("layer,index,word\n", "nothing"),
    ] {
        fs::write(vectors.path("t.csv"), trace).unwrap();
        let (code, text) = vectors.compare(&["t.csv"]);
        let squeezed = text.replace(|c: char| c.is_whitespace() || c == '│', "");
        assert!(code == 1 && squeezed.contains(&problem.replace(' ', "")), "{trace}: {text}");
    }
    // The golden files themselves are held against their checksums.
    let golden = vectors.memory("fc3", "ofmap")["hex"]["path"].as_str().unwrap().to_owned();
    fs::write(vectors.path("golden").join(golden), hex(&words, "")).unwrap();
    fs::write(vectors.path("fc3.mem"), hex(&words, "")).unwrap();
    assert!(vectors.compare(&single).1.contains("SHA-256"));
}

#[test]
fn a_folder_is_made_whole_or_not_at_all() {
    let place = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = bittrue();
        command.current_dir(place.path()).args(["vectors", "lenet5", "--layers"]);
        command.args(arguments).output().unwrap().status.code()
    };
    assert_eq!(run(&["fc9", "--out", "v"]), Some(1));
    assert_eq!(run(&["fc3", "--out", "v", "--images", "99999999"]), Some(1));
    assert_eq!(run(&["fc3", "--out", "v", "--images", "0"]), Some(1));
    assert_eq!(run(&["fc3", "--out", "none/v"]), Some(1));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    assert_eq!(run(&["fc3", "--out", "v"]), Some(0));
    assert_eq!(run(&["fc3", "--out", "v"]), Some(1));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn a_weight_and_an_accumulator_break_where_they_are_told_to() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("faults.toml");
    let text = |fault: &str| format!("[[fault]]\nkind = \"flip\"\nlayer = \"conv2\"\n{fault}\n");
    let broken = |fault: &str| {
        fs::write(&file, text(fault)).unwrap();
        Vectors::new(&["--layers", "conv2,fc1", "--inject", file.to_str().unwrap()])
    };
    let sound = Vectors::new(&["--layers", "conv2,fc1"]);
    let changed = |broken: &Vectors, memory: &str| -> Vec<(usize, i64)> {
        let pairs = sound.words("conv2", memory).into_iter().zip(broken.words("conv2", memory));
        pairs.enumerate().filter(|(_, (a, b))| a != b).map(|(i, (a, b))| (i, a ^ b)).collect()
    };
    // Word 307 is step 7 of output channel 2, of 150 steps.
    let weight = broken("site = \"weights\"\nelement = 307\nbit = 5");
    assert_eq!(changed(&weight, "weights"), [(307, 1 << 5)]);
    let channels: Vec<usize> =
        changed(&weight, "accumulator").iter().map(|(element, _)| element % 16).collect();
    assert!(!channels.is_empty() && channels.iter().all(|&channel| channel == 2));
    assert_eq!(weight.manifest["faults"]["fault"][0]["element"], 307);

    let accumulator = broken("site = \"accumulator\"\nelement = 35\nbit = 12");
    assert_eq!(changed(&accumulator, "accumulator"), [(35, 1 << 12)]);
    assert!(changed(&accumulator, "ofmap").len() <= 1);
    assert!(changed(&accumulator, "weights").is_empty());

    let map = broken("site = \"activations\"\nelement = 35\nbit = 7");
    // 128 more than it was: the largest of its window, so that pooling keeps it.
    assert_eq!(changed(&map, "ofmap"), [(35, 1 << 7)]);
    assert!(map.words("conv2", "ofmap")[35] > 127);
    assert!(changed(&map, "accumulator").is_empty());
    assert_ne!(sound.words("fc1", "accumulator"), map.words("fc1", "accumulator"));
}

#[test]
fn a_run_says_what_faults_did() {
    let place = tempfile::tempdir().unwrap();
    let json = place.path().join("r.json");
    let run = |spec: &str| -> Value {
        let json = json.to_str().unwrap();
        let arguments = ["run", "lenet5", "--images", "40", "--quiet", "--json", json, "--inject"];
        bittrue().args(arguments).arg(spec).assert().success();
        serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap()
    };
    let differing = |report: &Value, layer: &str| -> f64 {
        let layers = report["faults"]["layers"].as_array().unwrap();
        let found = layers.iter().find(|entry| entry["name"] == layer).unwrap();
        found["differing"].as_f64().unwrap()
    };
    let none = run("weights:flip:0");
    assert_eq!(none["faults"]["agreement"], 1.0);
    assert!(["conv1", "fc3"].iter().all(|layer| differing(&none, layer) == 0.0));

    // Every weight of conv2 inverted; what comes before it is sound.
    let all = run("weights:flip:1:conv2");
    assert_eq!(differing(&all, "pool1"), 0.0);
    assert!(differing(&all, "conv2") > 0.3);
    assert!(all["faults"]["agreement"].as_f64().unwrap() < 0.9);
    assert!(
        all["faults"]["sound"]["top1"].as_f64() > all["accuracy"]["quantized"]["top1"].as_f64()
    );

    // All bits of all words stuck at 0: every word that was not 0 differs.
    let stuck = run("activations:stuck_at_0:1:conv1");
    assert!(differing(&stuck, "conv1") > 0.1);
    let few = run("accumulator:flip:1e-3");
    assert!(differing(&few, "conv1") > 0.0 && differing(&few, "conv1") < 0.05);
    let mut again = run("accumulator:flip:1e-3");
    again["elapsed_s"] = few["elapsed_s"].clone();
    assert_eq!(again, few);

    for (spec, problem) in [
        ("weights:flip:2", "between 0 and 1"),
        ("weights:flip:0.1:fc9", "fc9"),
        ("no.toml", "no.toml"),
    ] {
        let output = bittrue().args(["run", "--inject", spec]).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && text.contains(problem), "{text}");
    }
}

#[test]
fn the_package_of_a_hardware_model_is_printed() {
    let output = bittrue().args(["show", "lanes_act_16x16", "--sv"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("package bittrue_params_pkg;") && text.contains("int HW_CHUNK = 16;"));
    let vectors = Vectors::new(&["--layers", "fc3"]);
    let package = fs::read_to_string(vectors.path("golden/bittrue_params_pkg.sv")).unwrap();
    assert!(package.starts_with(text.split("\nendpackage").next().unwrap()));
    // fc3: 84 inputs, 10 outputs.
    assert!(package.contains("_K = 84;") && package.contains("_N = 10;"));
}
