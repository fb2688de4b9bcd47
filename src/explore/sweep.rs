//! A sweep: the points of a space, evaluated into a journal, and the table of what came out.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::design::{Point, points};
use super::device::Area;
use super::evaluate::{Observer, Subjects, groups, networks};
use super::journal::{self, Identity, Journal, Outcome, Record};
use super::space::{Constraint, Space};
use super::subject::Data;
use super::table::{RESULT_COLUMNS, Refused, Row, Table, satisfies};
use crate::error::{Error, Result};
use crate::network;
use crate::quantize::Plan;

/// Records of one batch, at most: what one synchronisation of the journal covers.
const BATCH: usize = 4096;

/// A space with its points and inputs, ready to run.
#[derive(Debug)]
pub struct Sweep {
    space: Space,
    /// Points that satisfy the constraints on what is known before they run.
    points: Vec<Point>,
    left_out: usize,
    subjects: Subjects,
    identity: Identity,
}

/// A part of a space's points: `part` of `parts`, from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shard {
    /// Which part.
    pub part: usize,
    /// Of how many.
    pub parts: usize,
}

impl Shard {
    /// All points.
    pub const WHOLE: Self = Self { part: 1, parts: 1 };

    fn of<'a>(&self, points: &'a [Point]) -> &'a [Point] {
        let end = |part: usize| (part as u128 * points.len() as u128 / self.parts as u128) as usize;
        &points[end(self.part - 1)..end(self.part)]
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('/').and_then(|(part, parts)| {
            let (part, parts) = (part.parse().ok()?, parts.parse().ok()?);
            (1..=parts).contains(&part).then_some(Self { part, parts })
        });
        parts.ok_or_else(|| {
            Error::new(format_args!("shard `{text}`"), "is no part of a whole")
                .remedy("write 1/4 for the first of four")
        })
    }
}

impl Sweep {
    /// Reads a space file and all that it names.
    ///
    /// # Errors
    /// If the space, a file that it names or its data is refused, an axis leads to no key, or no
    /// point satisfies the constraints.
    pub fn open(path: &Path) -> Result<Self> {
        Self::new(Space::open(path)?)
    }

    /// A sweep of `space`. Errors as [`Self::open`].
    pub fn new(space: Space) -> Result<Self> {
        let numbers =
            space.axes.numbers(space.sample, space.seed).map_err(|e| e.within(&space.name))?;
        let mut points = points(&space, &numbers)?;
        let total = points.len();
        retain(&space, &mut points)?;
        if points.is_empty() {
            let constraints: Vec<_> = space.constraints.iter().map(ToString::to_string).collect();
            return Err(Error::new(
                &space.name,
                format_args!("none of {total} points satisfies: {}", constraints.join(", ")),
            )
            .remedy("loosen a constraint, or widen an axis"));
        }
        let mut subjects = Subjects::new();
        for name in networks(&points) {
            let model = network::open(name)?;
            let data = Data::open(&model, space.data.as_deref(), space.images, space.synthetic)
                .map_err(|e| e.within(&space.name))?;
            subjects.insert(name.to_owned(), (model, data));
        }
        let identity = Identity::new(hash(&space, &points, &subjects)?, total as u64);
        let left_out = total - points.len();
        Ok(Self { space, points, left_out, subjects, identity })
    }

    /// The space.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// What tells this sweep from others.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Points of a shard, and how many of them `journal` lacks.
    pub fn pending(&self, journal: &Journal, shard: Shard) -> [usize; 2] {
        let points = shard.of(&self.points);
        let done = |point: &&Point| journal.records().contains_key(&point.number);
        [points.len(), points.len() - points.iter().filter(done).count()]
    }

    /// Evaluates the points of `shard` that `journal` lacks.
    ///
    /// # Errors
    /// If an image cannot be had or the journal cannot be written; finished points are kept.
    pub fn run(&self, journal: &mut Journal, shard: Shard, observer: &dyn Observer) -> Result<()> {
        let pending: Vec<&Point> = (shard.of(&self.points).iter())
            .filter(|point| !journal.records().contains_key(&point.number))
            .collect();
        let groups = groups(pending.iter().copied());
        let stop = AtomicBool::new(false);
        let (sender, receiver) = mpsc::channel::<Record>();
        std::thread::scope(|scope| {
            let stop = &stop;
            let writer = scope.spawn(move || {
                let written = write(journal, &receiver, observer);
                stop.store(written.is_err(), Ordering::Relaxed);
                written
            });
            let evaluate = || -> Result<()> {
                for point in &pending {
                    if let Err(reason) = &point.design {
                        let outcome = Outcome::Refused(reason.clone());
                        // The writer listens until it fails, and then its error counts.
                        let _ = sender.send(Record { point: point.number, outcome });
                    }
                }
                for (number, group) in groups.iter().enumerate() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let (model, data) = &self.subjects[&group.members[0].1.network];
                    observer.quantization(number, groups.len(), data.images());
                    let finished = |record| {
                        let _ = sender.send(record);
                    };
                    group.evaluate(model, data, self.space.seed, observer, stop, finished)?;
                }
                Ok(())
            };
            let evaluated = evaluate();
            drop(sender);
            let written = writer.join().map_err(|_| Error::new("journal", "its writer failed"))?;
            written.and(evaluated)
        })
    }

    /// The table of the finished points of a shard, without those that do not satisfy the
    /// constraints.
    ///
    /// # Errors
    /// If a constraint names no column, no row satisfies all, or every finished point was refused.
    pub fn table(&self, journal: &Journal, shard: Shard) -> Result<Table> {
        let mut table = Table {
            schema_version: Table::VERSION,
            space: self.space.name.clone(),
            constraints: Vec::new(),
            columns: Table::columns(self.space.axes.keys()),
            axes: self.space.axes.keys().count(),
            pareto: Vec::new(),
            refused: Vec::new(),
            left_out: self.left_out,
            rows: Vec::new(),
        };
        for point in shard.of(&self.points) {
            match journal.records().get(&point.number) {
                Some(Outcome::Values(results)) => {
                    let values = [&point.values[..], results].concat();
                    table.rows.push(Row { point: point.number, values, front: false });
                }
                Some(Outcome::Refused(reason)) => {
                    table.refused.push(Refused { point: point.number, reason: reason.clone() });
                }
                None => {}
            }
        }
        let finished = table.rows.len();
        if let (0, Some(first)) = (finished, table.refused.first()) {
            let problem = format_args!(
                "all {} finished points were refused; point {}: {}",
                table.refused.len(),
                first.point,
                first.reason
            );
            return Err(Error::new(&self.space.name, problem)
                .remedy("correct the axis that it names, and begin a new journal"));
        }
        table.constrain(&self.space.constraints).map_err(|e| e.within(&self.space.name))?;
        if finished > 0 && table.rows.is_empty() {
            return Err(Error::new(
                &self.space.name,
                format_args!(
                    "none of {finished} finished points satisfies: {}",
                    table.constraints.join(", ")
                ),
            )
            .remedy(
                "loosen a constraint; its points are in the journal, but under the old space",
            ));
        }
        Ok(table)
    }
}

/// Joins the journals of shards into `to`; how many of how many points it has.
///
/// # Errors
/// If they are of different sweeps, damaged, disagree, or `to` exists.
pub fn merge(to: &Path, journals: &[PathBuf]) -> Result<(usize, u64)> {
    journal::merge(to, journals)
}

/// Writes records as they come, all that wait at a time.
fn write(
    journal: &mut Journal,
    receiver: &mpsc::Receiver<Record>,
    observer: &dyn Observer,
) -> Result<()> {
    while let Ok(first) = receiver.recv() {
        let mut batch = vec![first];
        batch.extend(receiver.try_iter().take(BATCH - 1));
        journal.append(&batch)?;
        observer.points(batch.len() as u64);
    }
    Ok(())
}

/// Keeps the points that satisfy what can be told of them before they run.
fn retain(space: &Space, points: &mut Vec<Point>) -> Result<()> {
    let keys: Vec<&str> = space.axes.keys().collect();
    let columns = Table::columns(keys.iter().copied());
    for constraint in &space.constraints {
        let known = match constraint {
            Constraint::Fits(_) => true,
            Constraint::Column { column, .. } => {
                keys.contains(&column.as_str()) || Area::COLUMNS.contains(&column.as_str())
            }
        };
        let holds = satisfies(&columns, constraint).map_err(|e| e.within(&space.name))?;
        if !known {
            continue;
        }
        points.retain(|point| {
            let Ok(design) = &point.design else { return true };
            let area = Area::of(&design.hardware).values();
            let result = |name: &str| {
                let index = Area::COLUMNS.iter().position(|column| *column == name);
                index.map_or(Value::Null, |index| area[index].into())
            };
            let results = columns[keys.len()..].iter().map(|column| result(&column.name));
            let values: Vec<Value> = point.values.iter().cloned().chain(results).collect();
            holds(&values)
        });
    }
    Ok(())
}

/// SHA-256 of everything that results depend on: the program's version and columns, the space, networks
/// and weights, plans, hardware models, images and labels.
fn hash(space: &Space, points: &[Point], subjects: &Subjects) -> Result<String> {
    let mut hash = Hash::default();
    hash.text(env!("CARGO_PKG_VERSION"));
    RESULT_COLUMNS.iter().for_each(|column| hash.text(column.0));
    hash.text(&space.text);
    let mut calibrated = 0;
    for point in points {
        hash.text(&point.number.to_string());
        match &point.design {
            Ok(design) => {
                hash.text(&design.network);
                hash.text(&design.plan_text);
                hash.text(&format!("{:?}", design.hardware));
                let images =
                    design.plan.as_ref().map_or_else(|| Plan::default().images, |p| p.images);
                calibrated = calibrated.max(images);
            }
            Err(reason) => hash.text(reason),
        }
    }
    for (name, (model, data)) in subjects {
        hash.text(name);
        hash.text(&format!("{:?} {:?}", model.network, model.quantization));
        for (name, values) in model.parameters.iter().flatten() {
            hash.text(name);
            hash.values(values.iter().copied());
        }
        if let Data::Images { source, images } = data {
            let calibration = source.calibration.as_ref().map(|images| images.first(calibrated));
            for dataset in [Some(source.test.first(*images)), calibration].into_iter().flatten() {
                hash.text(dataset.name());
                for index in 0..dataset.len() {
                    hash.text(&format!("{:?}", dataset.label(index)));
                    hash.values(dataset.image(index)?.into_iter());
                }
            }
        }
    }
    Ok(hash.hex())
}

#[derive(Default)]
struct Hash(Sha256);

impl Hash {
    fn text(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
    }

    fn values(&mut self, values: impl Iterator<Item = f32>) {
        let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn hex(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
