//! Energy tables from TOML, whole or as overrides inside a hardware model.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::Deserialize;
use toml::Spanned;

use crate::error::Result;
use crate::hardware::curve::Curve;
use crate::hardware::energy::{EnergyTable, Entry, Multiplier, ReadWrite, Sram};
use crate::hardware::source::Source;

const REMEDY: &str = "docs/hardware.md describes the keys of an energy table";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableFile {
    name: Spanned<String>,
    description: String,
    technology: Spanned<String>,
    #[serde(default = "calibrated")]
    calibrated: bool,
    multiplier: MultiplierFile,
    gating: GatingFile,
    adder: PerBitFile,
    register: PerBitFile,
    sram: SramFile,
    dram: ReadWriteFile,
    vector: VectorFile,
    leakage: Option<LeakageFile>,
}

fn calibrated() -> bool {
    true
}

/// Entries that a hardware model replaces, and energies of single memory levels.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    multiplier: Option<MultiplierFile>,
    gating: Option<GatingFile>,
    adder: Option<PerBitFile>,
    register: Option<PerBitFile>,
    sram: Option<SramFile>,
    dram: Option<ReadWriteFile>,
    vector: Option<VectorFile>,
    leakage: Option<LeakageFile>,
    #[serde(default)]
    memory: BTreeMap<Spanned<String>, ReadWriteFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MultiplierFile {
    quadratic_pj: Option<Spanned<f64>>,
    linear_pj: Option<Spanned<f64>>,
    points: Option<Spanned<Vec<MultiplierPoint>>>,
    source: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MultiplierPoint {
    bits: f64,
    pj: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SramFile {
    points: Spanned<Vec<SramPoint>>,
    source: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SramPoint {
    capacity_bytes: f64,
    access_bits: f64,
    read_pj: f64,
    write_pj: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadWriteFile {
    read_pj_per_bit: Spanned<f64>,
    write_pj_per_bit: Spanned<f64>,
    source: Spanned<String>,
}

/// An entry of one figure under `$key`, checked by the method `$check` of [`Source`].
macro_rules! figure_file {
    ($name:ident: $key:ident, $check:ident) => {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct $name {
            $key: Spanned<f64>,
            source: Spanned<String>,
        }

        impl $name {
            fn check(self, source: Source, key: &str) -> Result<Entry<f64>> {
                let value = source.$check(Key(key, stringify!($key)), &self.$key)?;
                entry(value, source, key, &self.source)
            }
        }
    };
}

figure_file!(GatingFile: fraction, fraction);
figure_file!(PerBitFile: pj_per_bit, not_negative);
figure_file!(VectorFile: pj_per_operation, not_negative);
figure_file!(LeakageFile: watts, not_negative);

impl EnergyTable {
    /// Reads a table from TOML. `name` is the file's name in messages.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let source = Source { name, text, remedy: REMEDY };
        let file: TableFile = source.parse()?;
        Ok(Self {
            name: source.words("name", &file.name)?,
            description: file.description,
            technology: source.words("technology", &file.technology)?,
            calibrated: file.calibrated,
            multiplier: file.multiplier.check(source, "multiplier")?,
            gating: file.gating.check(source, "gating")?,
            adder: file.adder.check(source, "adder")?,
            register: file.register.check(source, "register")?,
            sram: file.sram.check(source, "sram")?,
            dram: file.dram.check(source, "dram")?,
            vector: file.vector.check(source, "vector")?,
            leakage: file.leakage.map(|entry| entry.check(source, "leakage")).transpose()?,
            memory: BTreeMap::new(),
        })
    }

    /// Replaces the entries that `overrides`, from the text `source`, gives anew. `levels` are
    /// the memory levels of the model.
    pub fn replace(&mut self, overrides: Overrides, source: Source, levels: &[&str]) -> Result<()> {
        macro_rules! replace {
            ($($entry:ident),*) => {
                $(if let Some(entry) = overrides.$entry {
                    self.$entry = entry.check(source, concat!("energy_override.", stringify!($entry)))?;
                })*
            };
        }
        replace!(multiplier, gating, adder, register, sram, dram, vector);
        if let Some(entry) = overrides.leakage {
            self.leakage = Some(entry.check(source, "energy_override.leakage")?);
        }
        for (level, entry) in overrides.memory {
            let key = format!("energy_override.memory.{}", level.get_ref());
            if !levels.contains(&level.get_ref().as_str()) {
                let known = levels.join(", ");
                let problem = format_args!("no such memory level, one of {known} expected");
                return Err(source.error(key, level.span(), problem));
            }
            let entry = entry.check(source, &key)?;
            self.memory.insert(level.into_inner(), entry);
        }
        Ok(())
    }
}

impl MultiplierFile {
    fn check(self, source: Source, key: &str) -> Result<Entry<Multiplier>> {
        let value = match (self.quadratic_pj, self.linear_pj, self.points) {
            (Some(quadratic), Some(linear), None) => Multiplier::Fit {
                quadratic_pj: source.not_negative(Key(key, "quadratic_pj"), &quadratic)?,
                linear_pj: source.not_negative(Key(key, "linear_pj"), &linear)?,
            },
            (None, None, Some(points)) => {
                let known = points.get_ref().iter().map(|p| (p.bits, p.pj)).collect();
                let curve = Curve::new(known).filter(Curve::never_falls).ok_or_else(|| {
                    source.error(
                        Key(key, "points"),
                        points.span(),
                        "points with increasing bits and pj, all above 0, expected",
                    )
                })?;
                Multiplier::Points(curve)
            }
            _ => {
                let problem = "either `quadratic_pj` and `linear_pj`, or `points` expected";
                return Err(source.error(key, self.source.span(), problem));
            }
        };
        entry(value, source, key, &self.source)
    }
}

impl SramFile {
    fn check(self, source: Source, key: &str) -> Result<Entry<Sram>> {
        let points = self.points.get_ref();
        let curve = |pj: fn(&SramPoint) -> f64| {
            Curve::new(points.iter().map(|p| (p.capacity_bytes, pj(p) / p.access_bits)).collect())
        };
        match (curve(|p| p.read_pj), curve(|p| p.write_pj)) {
            (Some(read), Some(write)) => entry(Sram { read, write }, source, key, &self.source),
            _ => Err(source.error(
                Key(key, "points"),
                self.points.span(),
                "points with increasing capacity_bytes, all figures above 0, expected",
            )),
        }
    }
}

impl ReadWriteFile {
    fn check(self, source: Source, key: &str) -> Result<Entry<ReadWrite>> {
        let at = |name, value| source.not_negative(Key(key, name), value);
        let value = ReadWrite {
            read_pj_per_bit: at("read_pj_per_bit", &self.read_pj_per_bit)?,
            write_pj_per_bit: at("write_pj_per_bit", &self.write_pj_per_bit)?,
        };
        entry(value, source, key, &self.source)
    }
}

/// A key inside a section.
struct Key<'a>(&'a str, &'static str);

impl Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

fn entry<T>(value: T, source: Source, key: &str, origin: &Spanned<String>) -> Result<Entry<T>> {
    Ok(Entry { value, source: source.words(Key(key, "source"), origin)? })
}
