//! From a point's values to a network, a plan and an accelerator.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;
use toml::{Table, Value};

use super::key;
use super::space::Space;
use crate::error::{Error, Result};
use crate::files;
use crate::hardware::Hardware;
use crate::quantize::Plan;

/// A point of a space.
#[derive(Clone, Debug)]
pub struct Point {
    /// Its number in the space.
    pub number: u64,
    /// Values by key of the axes.
    pub values: Vec<serde_json::Value>,
    /// What they describe, or why there is no such thing.
    pub design: Result<Design, String>,
}

/// A network under a plan on an accelerator.
#[derive(Clone, Debug)]
pub struct Design {
    /// Network: shipped name or file.
    pub network: String,
    /// The plan; none if no part of the space names one.
    pub plan: Option<Arc<Plan>>,
    /// The plan's text, by which plans are told apart.
    pub plan_text: Arc<str>,
    /// The accelerator.
    pub hardware: Hardware,
}

/// The files that a space changes, parsed once.
struct Bases {
    hardware: BTreeMap<String, (Table, String, PathBuf)>,
    plans: BTreeMap<String, Table>,
}

/// One part of a key and where it leads.
enum Target {
    Network,
    Hardware(Vec<String>),
    Plan(Vec<String>),
}

fn target(key: &str) -> Result<Target> {
    let mut parts = key::parts(key)?;
    let rest = parts.split_off(1);
    match parts[0].as_str() {
        "hw" => Ok(Target::Hardware(rest)),
        "plan" => Ok(Target::Plan(rest)),
        _ if rest.is_empty() => Ok(Target::Network),
        _ => Err(Error::new(format_args!("axis `{key}`"), "leads into a network")
            .remedy("sweep `network` itself, over names or files")),
    }
}

/// The points `numbers` of a space. A point that the parsers of hardware models and plans refuse
/// has the refusal as its design.
///
/// # Errors
/// If an axis leads to no key of the files that it changes, or one of these cannot be read.
pub(super) fn points(space: &Space, numbers: &[u64]) -> Result<Vec<Point>> {
    let targets: Vec<Target> = space.axes.keys().map(target).collect::<Result<_>>()?;
    let mut bases = Bases { hardware: BTreeMap::new(), plans: BTreeMap::new() };
    let whole = |key: &str| space.axes.keys().position(|k| k == key);
    let named = |key: &str, default: Option<&str>| -> Result<Vec<String>> {
        let Some(index) = whole(key) else {
            return Ok(default.map(str::to_owned).into_iter().collect());
        };
        let mut names: Vec<String> = (numbers.iter())
            .map(|&number| text(key, space.axes.point(number)[index]).map(str::to_owned))
            .collect::<Result<_>>()?;
        names.sort();
        names.dedup();
        Ok(names)
    };
    for name in named("hw", Some(&space.hw))? {
        let (label, text, folder) = Hardware::text(&name)?;
        let table = files::parse_toml(&label, &text)?;
        bases.hardware.insert(name, (table, label, folder));
    }
    let into_plan = targets.iter().any(|target| matches!(target, Target::Plan(_)));
    let default = space.plan.as_deref().or(into_plan.then_some(Plan::DEFAULT));
    for name in named("plan", default)? {
        let table = files::parse_toml(&name, &Plan::text(&name)?)?;
        bases.plans.insert(name, table);
    }
    check_axes(space, &targets, &mut bases)?;
    let built: Vec<_> =
        numbers.par_iter().map(|&number| bases.build(space, &targets, number)).collect();
    // Plans are few: parsed once each, in order.
    let mut plans: BTreeMap<Arc<str>, Result<Arc<Plan>, String>> = BTreeMap::new();
    let mut points = Vec::with_capacity(numbers.len());
    for (&number, built) in numbers.iter().zip(built) {
        let values = space.axes.point(number).into_iter();
        let values = values.map(|v| serde_json::to_value(v).unwrap_or_default()).collect();
        let design = built.map_err(|e| e.to_string()).and_then(|(network, plan, hardware)| {
            let plan_text: Arc<str> = plan.as_ref().map_or("", |plan| plan.1.as_str()).into();
            let plan = match plan {
                Some((name, text)) => {
                    let parse =
                        || Plan::parse(&name, &text).map(Arc::new).map_err(|e| e.to_string());
                    Some(plans.entry(plan_text.clone()).or_insert_with(parse).clone()?)
                }
                None => None,
            };
            Ok(Design { network, plan, plan_text, hardware })
        });
        points.push(Point { number, values, design });
    }
    Ok(points)
}

/// Refuses axes that lead to no key of a base file.
fn check_axes(space: &Space, targets: &[Target], bases: &mut Bases) -> Result<()> {
    for (key, target) in space.axes.keys().zip(targets) {
        let (tables, parts): (Vec<(&String, &mut Table)>, _) = match target {
            Target::Hardware(parts) => {
                (bases.hardware.iter_mut().map(|(name, base)| (name, &mut base.0)).collect(), parts)
            }
            Target::Plan(parts) => (bases.plans.iter_mut().collect(), parts),
            Target::Network => continue,
        };
        for (name, table) in tables {
            if !parts.is_empty() && key::find(table, parts).is_none() {
                let choices = key::choices(table, parts);
                return Err(Error::new(
                    format_args!("{}, axis `{key}`", space.name),
                    format_args!("leads to no key of `{name}`"),
                )
                .remedy(format_args!(
                    "state the key in that file, or use one that is there: {}",
                    choices.join(", ")
                )));
            }
        }
    }
    Ok(())
}

fn text<'a>(key: &str, value: &'a Value) -> Result<&'a str> {
    value.as_str().ok_or_else(|| {
        Error::new(format_args!("axis `{key}`"), format_args!("`{value}` is no name or file"))
            .remedy("give texts in quotes")
    })
}

impl Bases {
    #[allow(clippy::type_complexity)]
    fn build(
        &self,
        space: &Space,
        targets: &[Target],
        number: u64,
    ) -> Result<(String, Option<(String, String)>, Hardware)> {
        let values = space.axes.point(number);
        let whole = |wanted: fn(&Target) -> bool| -> Option<&Value> {
            targets.iter().position(wanted).map(|index| values[index])
        };
        let name = |key: &str, value: Option<&Value>, default: &str| {
            value.map_or(Ok(default.to_owned()), |value| text(key, value).map(str::to_owned))
        };
        let network = whole(|target| matches!(target, Target::Network));
        let hw = whole(|target| matches!(target, Target::Hardware(parts) if parts.is_empty()));
        let plan = whole(|target| matches!(target, Target::Plan(parts) if parts.is_empty()));
        let network = name("network", network, &space.network)?;
        let (mut table, label, folder) = self.hardware[&name("hw", hw, &space.hw)?].clone();
        let default = space.plan.as_deref().unwrap_or(Plan::DEFAULT);
        let plan = name("plan", plan, default)?;
        let mut plan_table = self.plans.get(&plan).cloned();
        for (target, &value) in targets.iter().zip(&values) {
            let slot = match target {
                Target::Hardware(parts) => key::find(&mut table, parts),
                Target::Plan(parts) => plan_table.as_mut().and_then(|t| key::find(t, parts)),
                Target::Network => None,
            };
            if let Some(slot) = slot {
                *slot = value.clone();
            }
        }
        let write = |table: &Table| toml::to_string(table).map_err(|e| Error::new(&space.name, e));
        let plan = match plan_table {
            Some(table) => Some((plan, write(&table)?)),
            None => None,
        };
        Ok((network, plan, Hardware::parse(&label, &write(&table)?, &folder)?))
    }
}
