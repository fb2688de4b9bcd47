//! The formats that calibration gives every site at every width, and plans that choose among them.

use std::collections::BTreeMap;
use std::fmt::Write;

use toml::Value;

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::network::Model;
use crate::numeric::{Format, Rounding};
use crate::quantize::{Lowered, Plan, Prepared};

/// Width of what is not to lose accuracy: products of two such words, summed, stay within 32 bits in all
/// but the longest reductions, and their kernels are the fast ones.
pub(super) const WIDE: u32 = 12;

/// A network prepared for plans of stated formats.
pub(super) struct Formats {
    prepared: Prepared,
    /// Layers with weights, in order.
    layers: Vec<String>,
    /// By width, then (layer, site).
    formats: BTreeMap<u32, BTreeMap<(String, &'static str), Format>>,
}

/// Which rule to write for a site.
pub(super) struct Rule<'a> {
    pub layer: &'a str,
    pub site: &'a str,
    pub format: Format,
    pub rounding: Option<Rounding>,
    /// Values below it in magnitude become zero.
    pub threshold: Option<f64>,
}

impl Rule<'_> {
    /// In the form of a plan file.
    pub fn write(&self, text: &mut String) {
        let select = Value::String(format!("{}.{}", globset::escape(self.layer), self.site));
        let rounding =
            self.rounding.map_or(String::new(), |r| format!(", rounding = \"{}\"", r.name()));
        let fixed = format!("{{ kind = \"fixed\", format = \"{}\"{rounding} }}", self.format);
        let quantizer = match self.threshold {
            Some(threshold) => {
                format!("[{fixed}, {{ kind = \"threshold\", threshold = {threshold:?} }}]")
            }
            None => fixed,
        };
        // Writing to a String cannot fail.
        let _ = write!(text, "[[rule]]\nselect = {select}\nquantizer = {quantizer}\n");
    }
}

impl Formats {
    /// Calibrates `model` at `widths` and [`WIDE`], by least squared error on `images` of
    /// `calibration`.
    ///
    /// # Errors
    /// If the network has no weights or brings its own quantization, or cannot be calibrated.
    pub fn new(
        model: &Model,
        widths: &[u32],
        calibration: Option<&Dataset>,
        images: usize,
    ) -> Result<Self> {
        let name = &model.network.name;
        let Some(parameters) = &model.parameters else {
            return Err(Error::new(format_args!("network `{name}`"), "has no weights")
                .remedy("use a network with weights, such as lenet5"));
        };
        if model.quantization.is_some() {
            return Err(Error::new(format_args!("network `{name}`"), "is quantized already")
                .remedy("use the float network"));
        }
        let plan = |bits: u32| {
            let text = format!(
                "name = \"{bits} bits\"\n[calibration]\nimages = {images}\nmethod = \"mse\"\n\
                 [[rule]]\nselect = \"*.weights\"\nquantizer = {{ kind = \"fixed\", format = \"s{bits}\" }}\n\
                 [[rule]]\nselect = \"*.output\"\nquantizer = {{ kind = \"fixed\", format = \"{bits}\" }}\n"
            );
            Plan::parse("calibration", &text)
        };
        let prepared = Prepared::new(&model.network, parameters, &plan(WIDE)?, calibration)?;
        let (mut formats, mut layers) = (BTreeMap::new(), Vec::new());
        for &bits in widths.iter().chain([&WIDE]) {
            let lowered = prepared.lower(&plan(bits)?)?;
            let rows = lowered.sites.iter().filter(|row| ["weights", "output"].contains(&row.site));
            let sites: BTreeMap<_, _> =
                rows.filter_map(|row| Some(((row.layer.clone(), row.site), row.format?))).collect();
            if bits == WIDE {
                let rows = lowered.sites.iter().filter(|row| row.site == "weights");
                layers = rows.map(|row| row.layer.clone()).collect();
            }
            formats.insert(bits, sites);
        }
        Ok(Self { prepared, layers, formats })
    }

    /// Layers with weights, in order.
    pub fn layers(&self) -> &[String] {
        &self.layers
    }

    /// The network.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// The calibrated format of a site.
    pub fn at(&self, layer: &str, site: &'static str, bits: u32) -> Option<Format> {
        self.formats.get(&bits)?.get(&(layer.to_owned(), site)).copied()
    }

    /// The rules of every site at `bits`, with `offset` more fractional bits than calibrated.
    ///
    /// # Errors
    /// If there is no such format.
    pub fn uniform(&self, bits: u32, offset: i32, rounding: Option<Rounding>) -> Result<String> {
        let mut text = String::new();
        for ((layer, site), format) in self.formats.get(&bits).into_iter().flatten() {
            let format = format.with_frac(format.frac() + offset)?;
            Rule { layer, site, format, rounding, threshold: None }.write(&mut text);
        }
        Ok(text)
    }

    /// The sites that have a format at `bits`, layer by layer.
    pub fn sites(&self, bits: u32) -> Vec<(String, &'static str)> {
        self.formats.get(&bits).into_iter().flat_map(|sites| sites.keys().cloned()).collect()
    }

    /// The network under a plan of these rules.
    ///
    /// # Errors
    /// If the rules are refused.
    pub fn lower(&self, rules: &str) -> Result<Lowered> {
        self.prepared.lower(&Plan::parse("explored", &format!("name = \"explored\"\n\n{rules}"))?)
    }
}

/// The widest format of `bits` for values up to `largest` in magnitude, with as many fractional bits
/// as fit.
pub(super) fn signed(bits: u32, largest: f64) -> Result<Format> {
    let reach = if largest > 0.0 { largest } else { 1.0 };
    let top = 2f64.powi(bits as i32 - 1) - 1.0;
    let frac = if top > 0.0 { (top / reach).log2().floor() } else { (1.0 / reach).log2().floor() };
    Format::new(true, bits, frac as i32)
}
