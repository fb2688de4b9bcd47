//! Points that share a quantization: one run of the words, then every point's cost.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use serde_json::Value;

use super::design::{Design, Point};
use super::device::Area;
use super::journal::{Outcome, Record};
use super::subject::Data;
use super::table::RESULT_COLUMNS;
use super::takes::totals;
use crate::error::{Error, Result};
use crate::hardware::Hardware;
use crate::mapping::{Catalog, CatalogKey};
use crate::network::Model;
use crate::quantize::Operation;
use crate::report::{Accuracy, Figures, Overflows, Tally};
use crate::simulate::{BoundNetwork, Survey, Surveyed};

/// What is told while points are evaluated.
pub trait Observer: Sync {
    /// A quantization begins: its number from 0, of how many, and its images.
    fn quantization(&self, number: usize, of: usize, images: usize);
    /// Images of it were run.
    fn images(&self, images: u64);
    /// Points are on the disk.
    fn points(&self, points: u64);
}

/// Points of one network, plan and datapath.
pub(super) struct Group<'a> {
    pub members: Vec<(&'a Point, &'a Design)>,
}

/// Points that share a quantization, in the order of their first points.
pub(super) fn groups<'a>(points: impl Iterator<Item = &'a Point>) -> Vec<Group<'a>> {
    let mut index = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for point in points {
        let Ok(design) = &point.design else { continue };
        let datapath = format!("{:?}", design.hardware.datapath);
        let key = (design.network.as_str(), &design.plan_text, datapath);
        let at = *index.entry(key).or_insert_with(|| {
            groups.push(Group { members: Vec::new() });
            groups.len() - 1
        });
        groups[at].members.push((point, design));
    }
    groups
}

/// A quantization that has run on every array of its points.
struct Ran<'a> {
    survey: &'a Survey<'a>,
    surveyed: Surveyed,
    accuracy: Option<Accuracy>,
    catalogs: HashMap<CatalogKey, Catalog>,
    weight_bits: u64,
    activation_bits: u64,
}

impl Group<'_> {
    /// Evaluates every point and hands its record to `finished`, until `stop`.
    ///
    /// # Errors
    /// If an image cannot be had. What a point itself is refused for is its outcome.
    pub fn evaluate(
        &self,
        model: &Model,
        data: &Data,
        seed: u64,
        observer: &dyn Observer,
        stop: &AtomicBool,
        finished: impl Fn(Record) + Sync,
    ) -> Result<()> {
        let refuse_all = |error: Error| {
            for (point, _) in &self.members {
                let outcome = Outcome::Refused(error.to_string());
                finished(Record { point: point.number, outcome });
            }
            Ok(())
        };
        let design = self.members[0].1;
        let plan = match (&design.plan, &model.quantization) {
            (Some(plan), Some(_)) => {
                let problem =
                    format_args!("is quantized already, plan `{}` is not needed", plan.name);
                return refuse_all(Error::new(&design.network, problem));
            }
            (Some(plan), None) => plan.as_ref().clone(),
            (None, _) => Default::default(),
        };
        let lowered = match data.lower(model, &plan, seed) {
            Ok(lowered) => lowered,
            Err(error) => return refuse_all(error),
        };
        let mut arrays: Vec<&Hardware> = Vec::new();
        let mut array_of = Vec::with_capacity(self.members.len());
        let mut known = HashMap::new();
        for (_, design) in &self.members {
            let hardware = &design.hardware;
            let key = format!("{:?} {:?}", hardware.array, hardware.zeros);
            array_of.push(*known.entry(key).or_insert_with(|| {
                arrays.push(hardware);
                arrays.len() - 1
            }));
        }
        let survey = match Survey::new(&lowered.network, arrays, seed) {
            Ok(survey) => survey,
            Err(error) => return refuse_all(error),
        };
        let done = |images| observer.images(images);
        let (surveyed, accuracy) = match data {
            Data::Synthetic { activations, images, .. } => {
                (survey.run_synthetic(*images, *activations, done)?, None)
            }
            Data::Images { source, images } => {
                let mut tally = Tally::default();
                let image = |index| source.test.image(index);
                let baseline = lowered.baseline.as_ref();
                let surveyed = survey.run(
                    *images,
                    baseline,
                    image,
                    |index, outputs| {
                        let label = source.test.label(index);
                        tally.add(label, &outputs.quantized, outputs.float.as_deref());
                    },
                    done,
                )?;
                (surveyed, Some(tally.accuracy()))
            }
        };
        let ran = Ran {
            surveyed,
            accuracy,
            catalogs: self.catalogs(&survey)?,
            weight_bits: weight_bits(survey.words()),
            activation_bits: activation_bits(survey.words(), &lowered.network.layers),
            survey: &survey,
        };
        self.members.par_iter().zip(&array_of).for_each(|((point, design), &array)| {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let outcome = match ran.values(array, &design.hardware) {
                Ok(values) => Outcome::Values(values),
                Err(error) => Outcome::Refused(error.to_string()),
            };
            finished(Record { point: point.number, outcome });
        });
        Ok(())
    }

    /// The catalogs of tilings of every layer on every array.
    fn catalogs(&self, survey: &Survey) -> Result<HashMap<CatalogKey, Catalog>> {
        let layers = survey.words().layers().len();
        let problems: Vec<_> = (0..layers).filter_map(|layer| survey.problem(layer)).collect();
        let mut wanted = HashMap::new();
        for (_, design) in &self.members {
            for problem in &problems {
                let key = CatalogKey::new(problem, &design.hardware);
                wanted.entry(key).or_insert((*problem, &design.hardware));
            }
        }
        let wanted: Vec<_> = wanted.into_iter().collect();
        wanted
            .into_par_iter()
            .map(|(key, (problem, hardware))| Ok((key, Catalog::new(problem, hardware)?)))
            .collect()
    }
}

impl Ran<'_> {
    /// The results of a point, in the order of [`RESULT_COLUMNS`].
    fn values(&self, array: usize, hardware: &Hardware) -> Result<Vec<Value>> {
        let survey = self.survey;
        let layers =
            survey.counts(&self.surveyed, array, hardware, |layer, problem, buffers| {
                self.catalogs[&CatalogKey::new(problem, hardware)].map(layer, hardware, buffers)
            })?;
        let totals = totals(survey, &layers, hardware);
        let images = self.surveyed.images();
        let figures = Figures::new(&totals.counts, &totals.energy, images, hardware);
        let events = Overflows::from(totals.counts.sites).sum;
        let area = Area::of(hardware);
        let bytes = |level: &crate::hardware::MemoryLevel| {
            figures.traffic_bytes.get(&level.name).map_or(0.0, |t| t.read + t.write)
        };
        let score = |of: fn(&Accuracy) -> Option<f64>| {
            self.accuracy.as_ref().and_then(of).map_or(Value::Null, Value::from)
        };
        let result = |name: &str| -> Value {
            match name {
                "accuracy" => score(|a| Some(a.quantized.as_ref()?.top1)),
                "accuracy_low" => score(|a| Some(a.quantized.as_ref()?.ci95[0])),
                "accuracy_high" => score(|a| Some(a.quantized.as_ref()?.ci95[1])),
                "float_accuracy" => score(|a| Some(a.float.as_ref()?.top1)),
                "agreement" => score(|a| a.agreement),
                "cycles" => figures.cycles.into(),
                "compute_cycles" => figures.compute_cycles.into(),
                "stall_cycles" => figures.stall_cycles.into(),
                "dense_cycles" => figures.dense_cycles.into(),
                "cycles_saved" => figures.cycles_saved.into(),
                "energy_pj" => figures.energy_pj.get("total").copied().into(),
                "latency_s" => figures.latency_s.into(),
                "images_per_second" => figures.images_per_second.into(),
                "gops" => figures.gops.into(),
                "gops_per_watt" => figures.gops_per_watt.into(),
                "utilization" => figures.utilization.into(),
                "dram_bytes" => bytes(&hardware.memory[0]).into(),
                "buffer_bytes" => hardware.memory[1..].iter().map(bytes).sum::<f64>().into(),
                "sparsity_weights" => figures.sparsity.weights.into(),
                "sparsity_activations" => figures.sparsity.activations.into(),
                "weight_bits" => self.weight_bits.into(),
                "activation_bits" => self.activation_bits.into(),
                "overflows" => (events.wrapped + events.saturated).into(),
                "dsp" => area.dsp.into(),
                "bram36" => area.bram36.into(),
                "luts" => area.luts.into(),
                "flip_flops" => area.flip_flops.into(),
                _ => Value::Null,
            }
        };
        Ok(RESULT_COLUMNS.iter().map(|column| result(column.0)).collect())
    }
}

/// Bits of all weight words as stored.
pub(super) fn weight_bits(words: &BoundNetwork) -> u64 {
    let problems = words.layers().iter().filter_map(|layer| Some(layer.mac()?.problem()));
    problems.map(|p| p.geometry.weights() as u64 * u64::from(p.bits.weights)).sum()
}

/// Bits of all feature maps of an image as stored; views of another map do not count again.
pub(super) fn activation_bits(words: &BoundNetwork, layers: &[crate::quantize::Layer]) -> u64 {
    let stored = layers.iter().zip(words.layers());
    let own = stored.filter(|(layer, bound)| {
        let view = matches!(
            layer.operation,
            Operation::Flatten(_) | Operation::Pad(_) | Operation::Constant(_)
        );
        bound.writes_words() && !view
    });
    own.map(|(_, bound)| bound.shape().len() as u64 * u64::from(bound.stored_bits())).sum()
}

/// Names of the networks of some points.
pub(super) fn networks(points: &[Point]) -> BTreeSet<&str> {
    let designs = points.iter().filter_map(|point| point.design.as_ref().ok());
    designs.map(|design| design.network.as_str()).collect()
}

/// Networks and what they run on, by name.
pub(super) type Subjects = BTreeMap<String, (Model, Data)>;
