//! The report as tables for a terminal.

use std::fmt::Write;

use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle};

use crate::report::{FaultReport, Figures, LayerReport, Report, Score};

/// What faults did: the sound network's accuracy, and the words that differ by layer.
fn fault_lines(faults: &FaultReport) -> String {
    let mut text = format!("faults     {}\n", faults.spec);
    // Writing to a String cannot fail.
    if let Some(sound) = &faults.sound {
        let _ = writeln!(text, "           {}", score("sound    ", sound));
    }
    let _ = writeln!(text, "           same class on {}\n", percent(faults.agreement));
    let mut table = ruled_table(&["layer", "words", "differing"], 1);
    for layer in &faults.layers {
        let words = grouped(layer.words as f64);
        table.add_row([layer.name.clone(), words, percent(layer.differing)]);
    }
    let _ = write!(text, "{table}");
    text
}

/// Who ran, accuracy, layers, totals; tables of at most 100 columns where layers have names of up to
/// 20 characters.
pub fn to_terminal(report: &Report) -> String {
    let mut out = String::new();
    let line = |out: &mut String, name: &str, text: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name:<10} {text}");
    };
    let (network, hardware) = (&report.network, &report.hardware);
    line(
        &mut out,
        "network",
        format!(
            "{} · {} parameters · {} MACs an image",
            network.name,
            grouped(network.parameters as f64),
            grouped(network.macs as f64)
        ),
    );
    line(&mut out, "hardware", format!("{} · {}", hardware.name, hardware.description));
    line(&mut out, "plan", report.plan.clone());
    line(
        &mut out,
        "data",
        format!(
            "{} · {} images, every word executed in {:.1} s",
            report.dataset.name,
            grouped(report.dataset.images as f64),
            report.elapsed_s
        ),
    );
    if let Some(accuracy) = &report.accuracy {
        out.push('\n');
        let lines = [
            accuracy.float.as_ref().map(|s| score("float    ", s)),
            accuracy.quantized.as_ref().map(|s| score("quantized", s)),
            accuracy.agreement.map(|fraction| format!("both agree on {}", percent(fraction))),
        ];
        for (index, text) in lines.into_iter().flatten().enumerate() {
            line(&mut out, if index == 0 { "accuracy" } else { "" }, text);
        }
    }
    if let Some(faults) = &report.faults {
        let _ = writeln!(out, "\n{}", fault_lines(faults));
    }
    let _ = writeln!(out, "\nPer image{}", if report.dataset.images > 1 { ", mean" } else { "" });
    let _ = writeln!(out, "{}\n", layers(report));
    let _ = writeln!(out, "{}\n", energy(report));
    let _ = writeln!(out, "{}\n", traffic(report));
    let totals = &report.totals;
    line(
        &mut out,
        "speed",
        format!(
            "{} µs an image · {} images/s · {} GOPS · {} GOPS/W · {} utilization",
            short(totals.latency_s * 1e6),
            grouped(totals.images_per_second),
            short(totals.gops),
            short(totals.gops_per_watt),
            percent(totals.utilization)
        ),
    );
    if totals.cycles_saved != 0.0 {
        line(
            &mut out,
            "skipping",
            format!(
                "{} of {} dense cycles saved ({})",
                grouped(totals.dense_cycles - totals.cycles),
                grouped(totals.dense_cycles),
                percent(totals.cycles_saved)
            ),
        );
    }
    overflows(&mut out, report);
    out
}

fn score(name: &str, score: &Score) -> String {
    format!(
        "{name} top-1 {} (95 % interval {} to {}) · top-5 {}",
        percent(score.top1),
        percent(score.ci95[0]),
        percent(score.ci95[1]),
        percent(score.top5)
    )
}

/// A rule under the header, nothing else.
const RULED: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// An empty table with a rule under its header; columns from `left` on are numbers, to the right.
pub fn ruled_table(header: &[&str], left: usize) -> Table {
    let mut table = Table::new();
    table.load_style(RULED).set_header(header);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if index >= left {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn layers(report: &Report) -> Table {
    let header = [
        "layer",
        "op",
        "output",
        "MACs",
        "zero\nact%",
        "zero\nw%",
        "cycles",
        "saved\n%",
        "stall\n%",
        "util\n%",
        "acc\nbits",
        "SQNR\ndB",
    ];
    let compared = report.layers.iter().any(|layer| layer.sqnr_db.is_some());
    let columns = if compared { header.len() } else { header.len() - 1 };
    let mut table = ruled_table(&header[..columns], 3);
    let row = |name: &str, op: &str, shape: String, figures: &Figures, last: [String; 2]| {
        let mac = figures.macs.total > 0.0;
        let if_mac = |text: String| if mac { text } else { String::new() };
        let mut cells = vec![
            Cell::new(name),
            Cell::new(op),
            Cell::new(shape),
            Cell::new(if_mac(scaled(figures.macs.total))),
            Cell::new(if_mac(tenths(figures.sparsity.activations))),
            Cell::new(if_mac(tenths(figures.sparsity.weights))),
            Cell::new(grouped(figures.cycles)),
            Cell::new(if_mac(tenths(figures.cycles_saved))),
            Cell::new(tenths(figures.stall_cycles / figures.cycles.max(1.0))),
            Cell::new(if_mac(tenths(figures.utilization))),
        ];
        cells.extend(last.map(Cell::new));
        cells.truncate(columns);
        cells
    };
    for layer in &report.layers {
        let [c, h, w] = layer.output_shape;
        let bits = layer.accumulator_bits_needed.map_or(String::new(), |b| b.to_string());
        let sqnr = layer.sqnr_db.map_or(String::new(), |db| format!("{db:.1}"));
        let shape = format!("{c}×{h}×{w}");
        let op = match layer.op.as_str() {
            "depthwise_conv" => "depthwise",
            "average_pool" => "avg_pool",
            op => op,
        };
        table.add_row(row(&layer.name, op, shape, &layer.figures, [bits, sqnr]));
    }
    table.add_row(row("total", "", String::new(), &report.totals, Default::default()));
    table
}

fn energy(report: &Report) -> Table {
    let components: Vec<&String> =
        report.totals.energy_pj.keys().filter(|name| *name != "total").collect();
    let broken: Vec<String> = components.iter().map(|name| broken(name)).collect();
    let header: Vec<&str> = ["energy, nJ"]
        .into_iter()
        .chain(broken.iter().map(String::as_str))
        .chain(["total"])
        .collect();
    let mut table = ruled_table(&header, 1);
    let row = |name: &str, figures: &Figures| -> Vec<String> {
        let value = |key: &str| figures.energy_pj.get(key).copied().unwrap_or(0.0) / 1e3;
        let values = components.iter().map(|c| value(c)).chain([value("total")]);
        [name.to_owned()].into_iter().chain(values.map(short)).collect()
    };
    for layer in &report.layers {
        table.add_row(row(&layer.name, &layer.figures));
    }
    table.add_row(row("total", &report.totals));
    table
}

fn traffic(report: &Report) -> Table {
    let levels: Vec<&String> = report.totals.traffic_bytes.keys().collect();
    let mut header = vec!["traffic, bytes".to_owned()];
    for level in levels.iter().map(|level| broken(level)) {
        header.extend([format!("{level}\nread"), format!("{level}\nwrite")]);
    }
    let mut table = ruled_table(&header.iter().map(String::as_str).collect::<Vec<_>>(), 1);
    let row = |name: &str, figures: &Figures| -> Vec<String> {
        let mut cells = vec![name.to_owned()];
        for &level in &levels {
            let traffic = figures.traffic_bytes.get(level).copied().unwrap_or_default();
            cells.extend([grouped(traffic.read), grouped(traffic.write)]);
        }
        cells
    };
    for layer in &report.layers {
        table.add_row(row(&layer.name, &layer.figures));
    }
    table.add_row(row("total", &report.totals));
    table
}

fn overflows(out: &mut String, report: &Report) {
    let accumulator = |l: &LayerReport| {
        let events = l.overflow.sites.accumulator;
        events.wrapped + events.saturated
    };
    let words = |l: &LayerReport| {
        report.dataset.images as f64 * l.output_shape.iter().product::<usize>() as f64
    };
    for layer in report.layers.iter().filter(|l| accumulator(l) > 0) {
        let format = layer.formats.get("accumulator").map_or("", String::as_str);
        let needed = layer
            .accumulator_bits_needed
            .map_or(String::new(), |bits| format!("; {bits} bits are proven safe"));
        let _ = writeln!(
            out,
            "overflow   {}: the {format} accumulator overflowed in {} of {} output words ({}){needed}",
            layer.name,
            grouped(accumulator(layer) as f64),
            grouped(words(layer)),
            percent(accumulator(layer) as f64 / words(layer)),
        );
    }
}

/// The name of a component or level on several lines, for headers of narrow columns.
fn broken(name: &str) -> String {
    match name {
        "multiplier" => "multi-\nplier".into(),
        "metadata" => "meta-\ndata".into(),
        name => name.replace('_', "\n"),
    }
}

fn percent(fraction: f64) -> String {
    format!("{:.2} %", 100.0 * fraction)
}

/// A percentage for columns whose header says so.
fn tenths(fraction: f64) -> String {
    format!("{:.1}", 100.0 * fraction)
}

/// A count, rounded, with its digits in groups of three.
fn grouped(count: f64) -> String {
    let digits = format!("{:.0}", count.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    if count <= -0.5 { format!("-{text}") } else { text }
}

/// Three significant digits and the thousands.
fn scaled(count: f64) -> String {
    for (scale, unit) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if count >= scale {
            return format!("{} {unit}", short(count / scale));
        }
    }
    grouped(count)
}

/// About four significant digits.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        v if v >= 1000.0 => grouped(value),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_in_threes() {
        for (count, text) in
            [(0.0, "0"), (999.4, "999"), (416_520.0, "416 520"), (-1e6, "-1 000 000")]
        {
            assert_eq!(grouped(count), text);
        }
    }

    #[test]
    fn large_counts_are_short() {
        for (count, text) in
            [(840.0, "840"), (10_080.0, "10.1 k"), (117_600.0, "118 k"), (1.0838e7, "10.8 M")]
        {
            assert_eq!(scaled(count), text);
        }
    }
}
