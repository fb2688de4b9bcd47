//! `bittrue show`: a network's layers, the sites of a plan on it, or a hardware model.

use std::fmt::Write;
use std::path::Path;

use comfy_table::Table;

use crate::cli::output;
use crate::cost::{DspSlice, resources};
use crate::dataset;
use crate::error::{Error, Result};
use crate::hardware::Hardware;
use crate::network::{self, Model, Op};
use crate::quantize::{Plan, SiteRow, lower, lower_encoded, synthetic};
use crate::report::ruled_table;
use crate::verify::package;

/// What to show.
#[derive(clap::Args)]
pub struct Args {
    /// A network or a hardware model: shipped name or file.
    #[arg(value_name = "NETWORK|HW")]
    subject: String,
    /// Show what every site of the network resolves to under this plan.
    #[arg(long, value_name = "NAME|FILE")]
    plan: Option<String>,
    /// Print the parameters of a hardware model as a SystemVerilog package.
    #[arg(long, conflicts_with = "plan")]
    sv: bool,
}

/// Prints the tables.
pub fn run(args: &Args) -> Result<()> {
    if args.sv {
        return output::print(&package(&Hardware::open(&args.subject)?, &[]));
    }
    if let Some(plan) = &args.plan {
        let model = network::open(&args.subject)?;
        return output::print(&format!("{}\n", sites(&resolve(&model, plan)?)));
    }
    output::print(&match shown(&args.subject)? {
        Shown::Network(model) => match (&model.quantization, &model.parameters) {
            (Some(quantization), Some(parameters)) => {
                let lowered = lower_encoded(&model.network, parameters, quantization)?;
                format!("{}\n{}\n", layers(&model), sites(&lowered.sites))
            }
            _ => layers(&model),
        },
        Shown::Hardware(hardware) => describe(&hardware),
    })
}

enum Shown {
    Network(Box<Model>),
    Hardware(Box<Hardware>),
}

/// A name is a shipped network's or else a hardware model's; a `.toml` file is a hardware model if
/// it has an array.
fn shown(subject: &str) -> Result<Shown> {
    let network = || Ok(Shown::Network(Box::new(network::open(subject)?)));
    let hardware = || Ok(Shown::Hardware(Box::new(Hardware::open(subject)?)));
    if network::shipped().any(|name| name == subject) {
        return network();
    }
    let path = Path::new(subject);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv" | "onnx" | "tflite") => network(),
        Some("toml") => {
            let text = crate::files::read_text(path)?;
            let file: toml::Table = crate::files::parse_toml(subject, &text)?;
            if file.contains_key("array") { hardware() } else { network() }
        }
        _ if Hardware::shipped()?.iter().any(|shipped| shipped.name == subject) => hardware(),
        _ => Err(Error::new(subject, "there is no such network or hardware model")
            .remedy("`bittrue list` names those that ship; or give a .toml or .csv file")),
    }
}

/// What the sites of a network resolve to, calibrated on its dataset where it has weights.
fn resolve(model: &Model, plan: &str) -> Result<Vec<SiteRow>> {
    let plan = Plan::open(plan)?;
    let lowered = match (&model.parameters, &model.dataset) {
        (Some(parameters), Some(name)) => {
            let calibration = dataset::open(name)?.calibration;
            lower(&model.network, parameters, &plan, calibration.as_ref())?
        }
        (Some(parameters), None) => lower(&model.network, parameters, &plan, None)?,
        (None, _) => synthetic(&model.network, &plan, 1.0, 0)?,
    };
    Ok(lowered.sites)
}

fn sites(rows: &[SiteRow]) -> Table {
    let mut table = ruled_table(&["layer", "site", "format", "quantizer", "from"], 5);
    for row in rows {
        let layer = match &row.activation {
            Some(activation) => format!("{} + {activation}", row.layer),
            None => row.layer.clone(),
        };
        let format = row.format.map_or("from the hardware".into(), |format| format.to_string());
        table.add_row([layer.as_str(), row.site, &format, &row.quantizer, &row.source]);
    }
    table
}

fn layers(model: &Model) -> String {
    let network = &model.network;
    let mut table = ruled_table(&["layer", "op", "reads", "output", "parameters", "MACs"], 4);
    let shapes = network.parameter_shapes();
    for (id, node) in network.nodes.iter().enumerate() {
        let reads: Vec<&str> =
            node.inputs.iter().map(|&i| network.nodes[i].name.as_str()).collect();
        let prefix = format!("{}.", node.name);
        let parameters: usize = (shapes.iter())
            .filter(|(name, _)| name.starts_with(&prefix))
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum();
        let macs = match node.op {
            Op::Conv { .. } | Op::Dense { .. } => network.geometry(id).map_or(0, |g| g.macs()),
            _ => 0,
        };
        let number = |n: u64| if n == 0 { String::new() } else { n.to_string() };
        table.add_row([
            node.name.clone(),
            node.op.name().to_owned(),
            reads.join(", "),
            node.shape.to_string(),
            number(parameters as u64),
            number(macs),
        ]);
    }
    let weights = if model.parameters.is_some() { "trained weights" } else { "no weights" };
    format!(
        "{}: {} parameters, {} MACs an image, {weights}\n\n{table}\n",
        network.name,
        network.parameter_count(),
        network.macs()
    )
}

fn describe(hardware: &Hardware) -> String {
    let datapath = &hardware.datapath;
    let order: Vec<String> = datapath.order.clone().into();
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key:<12} {value}");
    };
    let [rows, columns] = hardware.array.size();
    line("name", format!("{}: {}", hardware.name, hardware.description));
    line("clock", format!("{} MHz", hardware.clock_hz / 1e6));
    line("array", format!("{rows}×{columns}, {} MACs a cycle", hardware.array.macs_per_cycle()));
    line("", written(&hardware.array));
    line("zeros", written(&hardware.zeros));
    line(
        "datapath",
        format!(
            "{} style, order {}, adder tree {}",
            datapath.style,
            order.join(" > "),
            datapath.adder_tree
        ),
    );
    line(
        "",
        format!(
            "accumulator overflow {}, requantizer {}",
            datapath.accumulator_overflow,
            written(&datapath.requantizer)
        ),
    );
    let bits = &datapath.bits;
    line(
        "widest words",
        format!(
            "weights {}, activations {}, product {}, accumulator {}, output {} bits",
            bits.weights, bits.activations, bits.product, bits.accumulator, bits.output
        ),
    );
    line("vector unit", format!("{} operations a cycle", hardware.vector.lanes));
    line("energy", format!("{}: {}", hardware.energy.name, hardware.energy.description));
    for dsp in &DspSlice::ALL {
        let resources = resources(hardware, dsp);
        line(
            resources.dsp.as_str(),
            format!(
                "{} slices, {} LUTs, {} FFs in the elements of the array ({}, {}, {} in one); \
                 products that fit a slice: {}",
                resources.dsps,
                resources.luts,
                resources.ffs,
                resources.element_dsps,
                resources.element_luts,
                resources.element_ffs,
                resources.products_per_dsp
            ),
        );
    }
    let mut table =
        ruled_table(&["memory", "bytes", "word bits", "banks", "bits/cycle", "holds"], 1);
    for level in &hardware.memory {
        let holds: Vec<String> = level.holds.iter().map(ToString::to_string).collect();
        table.add_row([
            level.name.clone(),
            level.capacity_bytes.map_or("off-chip".into(), |bytes| bytes.to_string()),
            level.word_bits.to_string(),
            level.banks.to_string(),
            level.bandwidth_bits_per_cycle.to_string(),
            holds.join(", "),
        ]);
    }
    let _ = writeln!(text, "\n{table}");
    text
}

/// A part of a hardware model in the words of its file: `lanes, rows 16, columns 16, …`.
fn written(part: &impl serde::Serialize) -> String {
    fn text(value: &serde_json::Value) -> String {
        match value {
            serde_json::Value::String(name) => name.clone(),
            serde_json::Value::Object(fields) => {
                let field = |(key, value): (&String, &serde_json::Value)| {
                    let separator = if value.is_object() { ": " } else { " " };
                    format!("{key}{separator}{}", text(value))
                };
                fields.iter().map(field).collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        }
    }
    serde_json::to_value(part).map_or_else(|error| error.to_string(), |value| text(&value))
}
