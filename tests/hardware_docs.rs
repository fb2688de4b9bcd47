//! The examples of `docs/hardware.md` are read as a user's files would be.

use std::path::Path;

use bittrue::hardware::{EnergyTable, Hardware};

const DOCS: &str = include_str!("../docs/hardware.md");

#[test]
fn examples_parse() {
    let blocks: Vec<&str> =
        DOCS.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let [model, overrides, table] = blocks[..] else { panic!("{} examples", blocks.len()) };

    let hardware = Hardware::parse("model", model, Path::new("")).unwrap();
    assert_eq!(hardware.name, "small");
    let overridden = format!("{model}\n{overrides}");
    let overridden = Hardware::parse("overrides", &overridden, Path::new("")).unwrap();
    assert_eq!(overridden.energy.memory["global_buffer"].value.read_pj_per_bit, 0.21);
    assert_eq!(EnergyTable::parse("table", table).unwrap().name, "mine_28nm");
}

#[test]
fn every_shipped_model_and_table_is_listed() {
    for model in Hardware::shipped().unwrap() {
        for name in [&model.name, &model.energy.name] {
            assert!(DOCS.contains(&format!("`{name}`")), "{name}");
        }
    }
}
