//! What ships is sound; what is not sound is refused with one clear message.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use miette::Diagnostic;

use super::*;
use crate::error::Error;
use crate::numeric::RequantizerKind;

const LANES: &str = include_str!("../../hw_models/lanes_both_16x16.toml");
const SYSTOLIC: &str = include_str!("../../hw_models/systolic_ws_16x16.toml");
const ZYNQ: &str = include_str!("../../hw_models/zynq7020.toml");
const TABLE: &str = include_str!("../../hw_models/energy/bitfusion_45nm.toml");

/// The message, and the text that it points at.
fn told(error: &Error, text: &str) -> (String, String) {
    let at = error.labels().and_then(|mut labels| labels.next()).expect("a place in the file");
    let place = text[at.offset()..at.offset() + at.len()].to_owned();
    assert!(error.help().is_some(), "{error}: no remedy");
    (error.to_string(), place)
}

/// A model in which `from` became `to` is refused with `message`, pointing at `place`.
fn refuses(model: &str, from: &str, to: &str, message: &str, place: &str) {
    assert!(model.contains(from), "{from}");
    let text = model.replacen(from, to, 1);
    let error = Hardware::parse("x.toml", &text, Path::new("")).expect_err(message);
    assert_eq!(told(&error, &text), (format!("x.toml: {message}"), place.to_owned()));
}

/// The same for an energy table.
fn refuses_table(from: &str, to: &str, message: &str, place: &str) {
    assert!(TABLE.contains(from), "{from}");
    let text = TABLE.replacen(from, to, 1);
    let error = EnergyTable::parse("x.toml", &text).expect_err(message);
    assert_eq!(told(&error, &text), (format!("x.toml: {message}"), place.to_owned()));
}

#[test]
fn shipped_models_bear_their_names_and_hold_what_plans_need() {
    let models = Hardware::shipped().unwrap();
    let names: BTreeSet<_> = models.iter().map(|m| m.name.as_str()).collect();
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("hw_models")).unwrap();
    let files: BTreeSet<_> = files
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .collect();
    assert_eq!(names, files.iter().map(String::as_str).collect());
    assert!(names.contains(Hardware::DEFAULT));
    for model in &models {
        assert_eq!(Hardware::open(&model.name).unwrap(), *model);
        let bits = model.datapath.bits;
        let operands = [bits.weights, bits.activations, bits.output];
        let needed = if model.fpga.is_some() { 8 } else { 16 };
        assert!(operands.iter().all(|&b| b >= needed), "{}", model.name);
    }
    let plain = |model: &&Hardware| {
        model.fpga.is_none() && model.datapath.requantizer == RequantizerKind::Shift
    };
    let datapaths: Vec<_> = models.iter().filter(plain).map(|model| &model.datapath).collect();
    assert!(datapaths.windows(2).all(|pair| pair[0] == pair[1]), "same plan, same words");
}

#[test]
fn the_default_model_reads_as_written() {
    let model = Hardware::open("lanes_act_16x16").unwrap();
    let array = Lanes {
        rows: 16,
        columns: 16,
        chunk: 16,
        macs_per_cycle: 1,
        empty_chunk_cycles: 1,
        broadcast_interval: 1,
        lookahead: 4,
        sync: SyncGroup::Array,
        drain: 4,
    };
    assert_eq!(model.array, Array::Lanes(array));
    assert_eq!(model.array.macs_per_cycle(), 256);
    assert_eq!(model.zeros, Zeros { activations: ZeroHandling::Skip, weights: ZeroHandling::Gate });
    assert_eq!(model.clock_hz, 5e8);
    assert_eq!(model.datapath.bits.product, 32, "exact unless stated");
    assert_eq!(model.memory[1].capacity_bytes, Some(128 * 1024));
    assert_eq!(model.energy.name, "horowitz_45nm");
}

#[test]
fn the_zynq_model_fits_its_device() {
    let model = Hardware::open("zynq7020").unwrap();
    assert_eq!(model.array.macs_per_cycle(), 14 * 14);
    // 128, 256 and 128 KB in block RAMs of 4 KB, divided evenly over four banks.
    let blocks: Vec<_> = model.memory.iter().map(MemoryLevel::bram36).collect();
    assert_eq!(blocks, [0, 32, 64, 32]);
    assert!(!model.energy.calibrated);
}

#[test]
fn a_bank_takes_whole_block_rams() {
    let mut level = Hardware::open("zynq7020").unwrap().memory.remove(1);
    // 3 banks of ⌈10 000 / 3⌉ = 3 334 bytes, then of 4 097 bytes.
    (level.capacity_bytes, level.banks) = (Some(10_000), 3);
    assert_eq!(level.bram36(), 3);
    level.capacity_bytes = Some(3 * 4097);
    assert_eq!(level.bram36(), 6);
}

#[test]
fn keys_are_known_and_present() {
    refuses(
        LANES,
        "lookahead = 4",
        "lookahed = 4",
        "`array`: unknown field `lookahed`, expected \
        one of `family`, `rows`, `columns`, `chunk`, `macs_per_cycle`, `empty_chunk_cycles`, \
        `broadcast_interval`, `lookahead`, `sync`, `drain`",
        "lookahed",
    );
    let no_lanes = "drain = 4\ndataflow = \"weight_stationary\"";
    refuses(
        LANES,
        "drain = 4",
        no_lanes,
        "`array`: unknown field `dataflow`, expected \
        one of `family`, `rows`, `columns`, `chunk`, `macs_per_cycle`, `empty_chunk_cycles`, \
        `broadcast_interval`, `lookahead`, `sync`, `drain`",
        "dataflow",
    );
    refuses(LANES, "[vector]\nlanes = 16", "", "missing field `vector`", "");
    refuses(LANES, "family = \"lanes\"", "", "`array`: missing field `family`", "[array]");
    refuses(
        LANES,
        "\"lanes\"",
        "\"lane\"",
        "`array.family`: unknown variant `lane`, expected \
        `systolic` or `lanes`",
        "\"lane\"",
    );
    refuses(
        LANES,
        "style = \"fused\"",
        "style = \"fuse\"",
        "`datapath.style`: unknown variant \
        `fuse`, expected one of `product_cast`, `fused`, `exact`",
        "\"fuse\"",
    );
}

#[test]
fn values_are_checked() {
    let cases = [
        (
            LANES,
            "rows = 16",
            r#"rows = "16""#,
            r#"`array.rows`: invalid type: string "16", expected i64"#,
            r#""16""#,
        ),
        (LANES, "rows = 16", "rows = 0", "`array.rows`: 0 found, 1 to 4096 expected", "0"),
        (LANES, "rows = 16", "rows = -1", "`array.rows`: -1 found, 1 to 4096 expected", "-1"),
        (
            LANES,
            "rows = 16\ncolumns = 16",
            "rows = 4096\ncolumns = 4096",
            "`array.columns`: 16777216 processing elements found, at most 1048576 expected",
            "4096",
        ),
        (LANES, "chunk = 16", "chunk = 65", "`array.chunk`: 65 found, 1 to 64 expected", "65"),
        (
            LANES,
            "macs_per_cycle = 1",
            "macs_per_cycle = 0",
            "`array.macs_per_cycle`: 0 found, 1 to 16 expected",
            "0",
        ),
        (
            LANES,
            "lookahead = 4",
            "lookahead = 0",
            "`array.lookahead`: 0 found, 1 to 1048576 expected",
            "0",
        ),
        (LANES, "drain = 4", "drain = -4", "`array.drain`: -4 found, 0 to 1048576 expected", "-4"),
        (
            LANES,
            "frequency_hz = 500e6",
            "frequency_hz = nan",
            "`clock.frequency_hz`: NaN found, a finite number above 0 expected",
            "nan",
        ),
        (
            LANES,
            "frequency_hz = 500e6",
            "frequency_hz = inf",
            "`clock.frequency_hz`: inf found, a finite number above 0 expected",
            "inf",
        ),
        (LANES, "lanes = 16", "lanes = 0", "`vector.lanes`: 0 found, 1 to 1048576 expected", "0"),
        (
            LANES,
            "weights = 16",
            "weights = 0",
            "`datapath.bits.weights`: 0 found, 1 to 32 expected",
            "0",
        ),
        (
            LANES,
            "accumulator = 32",
            "accumulator = 65",
            "`datapath.bits.accumulator`: 65 found, 1 to 64 expected",
            "65",
        ),
        (
            LANES,
            "output = 16",
            "output = 33",
            "`datapath.bits.output`: 33 found, 1 to 32 expected",
            "33",
        ),
        (
            LANES,
            "adder_tree = 1",
            "adder_tree = 0",
            "`datapath.adder_tree`: 0 found, 1 to 1024 expected",
            "0",
        ),
        (
            LANES,
            r#""fused""#,
            r#""product_cast""#,
            "`datapath.bits.product`: missing, the width of products expected with style `product_cast`",
            "16",
        ),
        (
            SYSTOLIC,
            r#"activations = "gate""#,
            r#"activations = "skip""#,
            "`zeros.activations`: skip found, none or gate expected: a systolic array moves in lockstep",
            r#""skip""#,
        ),
        (
            SYSTOLIC,
            "adder_tree = 1",
            "adder_tree = 4",
            "`datapath.adder_tree`: 1 expected: a systolic element adds one product at a time",
            "4",
        ),
        (
            SYSTOLIC,
            "bandwidth_bits_per_cycle = 204.8",
            "bandwidth_bits_per_cycle = -204.8",
            "`memory[0].bandwidth_bits_per_cycle`: -204.8 found, a finite number above 0 expected",
            "-204.8",
        ),
        (
            SYSTOLIC,
            "capacity_bytes = 65_536",
            "capacity_bytes = 0",
            "`memory[1].capacity_bytes`: 0 found, 1 to 1099511627776 expected",
            "0",
        ),
        (
            SYSTOLIC,
            "banks = 8",
            "banks = 0",
            "`memory[1].banks`: 0 found, 1 to 65536 expected",
            "0",
        ),
        (
            SYSTOLIC,
            "word_bits = 64",
            "word_bits = 0",
            "`memory[0].word_bits`: 0 found, 1 to 65536 expected",
            "0",
        ),
        (
            SYSTOLIC,
            "word_bits = 64",
            "word_bits = 64\ncapacity_bytes = 8",
            "`memory[0].capacity_bytes`: none expected: the first level is DRAM, which holds everything",
            "8",
        ),
        (
            SYSTOLIC,
            r#""weight_buffer""#,
            r#""ifmap_buffer""#,
            "`memory[2].name`: the name ifmap_buffer is taken, another one expected",
            r#""ifmap_buffer""#,
        ),
        (
            SYSTOLIC,
            r#""weight_buffer""#,
            r#""adder""#,
            "`memory[2].name`: the name adder is taken, another one expected",
            r#""adder""#,
        ),
        (SYSTOLIC, r#""dram""#, r#"" ""#, "`memory[0].name`: blank, some words expected", r#"" ""#),
        (
            SYSTOLIC,
            r#"["ifmap", "weights", "ofmap"]"#,
            r#"["ifmap", "weights"]"#,
            "`memory[0].holds`: `ifmap`, `weights` and `ofmap` expected in DRAM",
            r#"["ifmap", "weights"]"#,
        ),
        (
            SYSTOLIC,
            r#"holds = ["ifmap"]"#,
            "holds = []",
            "`memory[1].holds`: empty, at least one operand expected",
            "[]",
        ),
        (
            SYSTOLIC,
            r#"holds = ["ifmap"]"#,
            r#"holds = ["ifmap", "ifmap"]"#,
            "`memory[1].holds`: an operand is named twice",
            r#"["ifmap", "ifmap"]"#,
        ),
        (
            ZYNQ,
            "columns = 14",
            "columns = 16",
            "`fpga.dsp_slices`: 220 found, but the model needs 224",
            "220",
        ),
        (
            ZYNQ,
            "capacity_bytes = 262_144",
            "capacity_bytes = 524_288",
            "`fpga.bram36`: 140 found, but the model needs 192",
            "140",
        ),
    ];
    for (model, from, to, message, place) in cases {
        refuses(model, from, to, message, place);
    }
}

#[test]
fn a_buffer_has_a_capacity() {
    let text = SYSTOLIC.replacen("capacity_bytes = 65_536\n", "", 1);
    let error = Hardware::parse("x.toml", &text, Path::new("")).unwrap_err();
    let message = "x.toml: `memory[1].capacity_bytes`: missing, expected of an on-chip buffer";
    assert_eq!(error.to_string(), message);
}

#[test]
fn each_operand_is_in_one_buffer() {
    for (holds, count) in [(r#"["ifmap", "weights"]"#, 2), (r#"["ofmap"]"#, 0)] {
        let text = LANES.replacen(r#"holds = ["ifmap", "ofmap"]"#, &format!("holds = {holds}"), 1);
        let error = Hardware::parse("x.toml", &text, Path::new("")).unwrap_err().to_string();
        let operand = if count == 2 { "weights" } else { "ifmap" };
        let message = format!("`memory`: {count} buffers hold `{operand}`, exactly one expected");
        assert_eq!(error, format!("x.toml: {message}"));
    }
}

#[test]
fn a_requantizer_that_takes_32_bits_gets_no_more() {
    let text = LANES.replace("accumulator = 32", "accumulator = 33");
    assert!(Hardware::parse("x.toml", &text, Path::new("")).is_ok());
    let message = "`datapath.bits.accumulator`: 33 found, at most 32 expected: this requantizer \
        takes accumulators of 32 bits";
    for requantizer in ["\"float32\"", "\"multiplier_shift\""] {
        refuses(&text, "\"shift\"", requantizer, message, "33");
    }
}

#[test]
fn unknown_names_are_answered_with_those_that_ship() {
    let error = Hardware::open("lanes").unwrap_err();
    assert_eq!(error.to_string(), "`lanes`: no hardware model of this name ships");
    let remedy = error.help().unwrap().to_string();
    assert!(remedy.contains("lanes_act_16x16, lanes_scaled_16x16, lanes_both"), "{remedy}");

    let text = LANES.replace("horowitz_45nm", "horowitz");
    let error = Hardware::parse("x.toml", &text, Path::new("")).unwrap_err();
    let (message, place) = told(&error, &text);
    assert_eq!(message, "`horowitz`: no energy table of this name ships");
    assert_eq!(place, "\"horowitz\"");
    assert!(error.help().unwrap().to_string().contains("aladdin_40nm"));
}

#[test]
fn a_missing_file_is_named() {
    let error = Hardware::open("no_such_folder/model.toml").unwrap_err();
    assert!(error.to_string().starts_with("no_such_folder/model.toml: "), "{error}");
}

#[test]
fn an_energy_table_is_found_beside_its_model() {
    let folder = tempfile::tempdir().unwrap();
    let table = TABLE.replace("bitfusion_45nm", "mine");
    fs::write(folder.path().join("mine.toml"), table).unwrap();
    let model = folder.path().join("model.toml");
    fs::write(&model, LANES.replace("horowitz_45nm", "mine.toml")).unwrap();
    let hardware = Hardware::open(model.to_str().unwrap()).unwrap();
    assert_eq!(hardware.energy.name, "mine");
}

#[test]
fn overrides_replace_single_entries() {
    let overrides = r#"
        [energy_override.dram]
        read_pj_per_bit = 8
        write_pj_per_bit = 8
        source = "LPDDR4"

        [energy_override.leakage]
        watts = 0.01
        source = "power report"

        [energy_override.memory.weight_buffer]
        read_pj_per_bit = 0.25
        write_pj_per_bit = 0.5
        source = "memory compiler"
    "#;
    let text = format!("{LANES}{overrides}");
    let changed = Hardware::parse("x.toml", &text, Path::new("")).unwrap().energy;
    let shipped = Hardware::open("lanes_both_16x16").unwrap().energy;
    assert_eq!(changed.dram.value, ReadWrite { read_pj_per_bit: 8.0, write_pj_per_bit: 8.0 });
    assert_eq!(changed.leakage, Some(Entry { value: 0.01, source: "power report".into() }));
    assert_eq!(changed.memory["weight_buffer"].value.write_pj_per_bit, 0.5);
    assert_eq!((changed.multiplier, changed.sram), (shipped.multiplier, shipped.sram));

    refuses(
        &text,
        "memory.weight_buffer",
        "memory.weights",
        "`energy_override.memory.weights`: no \
        such memory level, one of dram, global_buffer, weight_buffer expected",
        "weights",
    );
    refuses(
        &text,
        "watts = 0.01",
        "watts = -1",
        "`energy_override.leakage.watts`: -1 found, a \
        finite number of 0 or more expected",
        "-1",
    );
}

#[test]
fn energy_tables_are_checked() {
    refuses_table(
        "fraction = 0.03",
        "fraction = 1.5",
        "`gating.fraction`: 1.5 found, a number \
        from 0 to 1 expected",
        "1.5",
    );
    refuses_table(
        "pj_per_bit = 0.009",
        "pj_per_bit = inf",
        "`register.pj_per_bit`: inf found, a \
        finite number of 0 or more expected",
        "inf",
    );
    refuses_table(
        "source = \"LPDDR4, 8 pJ per bit in public energy tables; writes as reads\"",
        "source = \"\"",
        "`dram.source`: blank, some words expected",
        "\"\"",
    );
    refuses_table(
        "pj_per_bit = 0.009\nsource",
        "pj_per_bit = 0.009\nsauce",
        "`register`: unknown \
        field `sauce`, expected `pj_per_bit` or `source`",
        "sauce",
    );
    for (from, to) in [("bits = 4,", "bits = 2,"), ("pj = 0.120", "pj = 0.05")] {
        let error = EnergyTable::parse("x.toml", &TABLE.replace(from, to)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "x.toml: `multiplier.points`: points with increasing bits \
            and pj, all above 0, expected"
        );
    }
    for to in ["access_bits = 0, ", "access_bits = -64, ", "access_bits = nan, "] {
        let text = TABLE.replacen("access_bits = 64, ", to, 1);
        let error = EnergyTable::parse("x.toml", &text).unwrap_err();
        assert_eq!(
            error.to_string(),
            "x.toml: `sram.points`: points with increasing \
            capacity_bytes, all figures above 0, expected"
        );
    }
    let text = TABLE.replacen("[multiplier]", "[multiplier]\nlinear_pj = 1.0", 1);
    let error = EnergyTable::parse("x.toml", &text).unwrap_err();
    assert_eq!(
        error.to_string(),
        "x.toml: `multiplier`: either `quadratic_pj` and `linear_pj`, or \
        `points` expected"
    );
}
