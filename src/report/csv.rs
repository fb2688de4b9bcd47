//! The report as CSV: a row a layer and a last one for the totals.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::report::{Figures, LayerReport, Report};

/// Columns that not every layer has, and the total has not.
const OPTIONAL: [&str; 4] =
    ["sqnr_db", "accumulator_bits_needed", "imbalance_cycles", "operations_per_byte"];

/// Rows with the columns of the JSON's keys, joined by dots; units are in the names.
pub fn to_csv(report: &Report) -> Result<String> {
    let components: BTreeSet<&str> = keys(report, |f| f.energy_pj.keys());
    let levels: BTreeSet<&str> = keys(report, |f| f.traffic_bytes.keys());

    let mut header: Vec<String> =
        ["name", "op", "input_shape", "output_shape"].map(Into::into).into();
    header.extend(
        [
            "cycles",
            "compute_cycles",
            "dense_cycles",
            "stall_cycles",
            "cycles_saved",
            "macs.total",
            "macs.effectual",
            "macs.gated",
            "macs.skipped",
            "sparsity.weights",
            "sparsity.activations",
        ]
        .map(Into::into),
    );
    header.extend(components.iter().map(|c| format!("energy_pj.{c}")));
    for level in &levels {
        header.extend(["read", "write"].map(|way| format!("traffic_bytes.{level}.{way}")));
    }
    header.extend(
        ["latency_s", "images_per_second", "gops", "gops_per_watt", "utilization"].map(Into::into),
    );
    header.extend(["wrapped", "saturated", "underflowed"].map(|event| format!("overflow.{event}")));
    header.extend(OPTIONAL.map(Into::into));

    let figures = |f: &Figures| -> Vec<String> {
        let mut row = vec![
            f.cycles,
            f.compute_cycles,
            f.dense_cycles,
            f.stall_cycles,
            f.cycles_saved,
            f.macs.total,
            f.macs.effectual,
            f.macs.gated,
            f.macs.skipped,
            f.sparsity.weights,
            f.sparsity.activations,
        ];
        row.extend(components.iter().map(|&c| f.energy_pj.get(c).copied().unwrap_or(0.0)));
        for &level in &levels {
            let traffic = f.traffic_bytes.get(level).copied().unwrap_or_default();
            row.extend([traffic.read, traffic.write]);
        }
        row.extend([f.latency_s, f.images_per_second, f.gops, f.gops_per_watt, f.utilization]);
        row.iter().map(f64::to_string).collect()
    };

    let mut writer = csv::Writer::from_writer(Vec::new());
    let fail = |e: csv::Error| Error::new("report as CSV", e);
    writer.write_record(&header).map_err(fail)?;
    for layer in &report.layers {
        let mut row = names(layer);
        row.extend(figures(&layer.figures));
        let events = layer.overflow.sum;
        row.extend([events.wrapped, events.saturated, events.underflowed].map(|n| n.to_string()));
        let figures = [
            layer.sqnr_db,
            layer.accumulator_bits_needed.map(f64::from),
            layer.imbalance_cycles,
            layer.operations_per_byte,
        ];
        row.extend(figures.map(|figure| figure.map_or(String::new(), |f| f.to_string())));
        writer.write_record(&row).map_err(fail)?;
    }
    let mut total: Vec<String> = ["total", "", "", ""].map(Into::into).into();
    total.extend(figures(&report.totals));
    total.extend([
        sum(report, |l| l.overflow.sum.wrapped),
        sum(report, |l| l.overflow.sum.saturated),
        sum(report, |l| l.overflow.sum.underflowed),
    ]);
    total.extend(OPTIONAL.map(|_| String::new()));
    writer.write_record(&total).map_err(fail)?;
    let bytes = writer.into_inner().map_err(|e| Error::new("report as CSV", e))?;
    String::from_utf8(bytes).map_err(|e| Error::new("report as CSV", e))
}

fn keys<'a, K: Iterator<Item = &'a String>>(
    report: &'a Report,
    of: impl Fn(&'a Figures) -> K,
) -> BTreeSet<&'a str> {
    let layers = report.layers.iter().map(|l| &l.figures);
    layers.chain([&report.totals]).flat_map(of).map(String::as_str).collect()
}

fn names(layer: &LayerReport) -> Vec<String> {
    let shape = |s: [usize; 3]| format!("{}x{}x{}", s[0], s[1], s[2]);
    vec![layer.name.clone(), layer.op.clone(), shape(layer.input_shape), shape(layer.output_shape)]
}

fn sum(report: &Report, of: impl Fn(&LayerReport) -> u64) -> String {
    report.layers.iter().map(of).sum::<u64>().to_string()
}
