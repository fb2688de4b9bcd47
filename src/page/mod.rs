//! Results as one HTML file with charts, which opens without a network.
//!
//! A page is a frame, the results as the JSON that `--json` writes, a chart library and our scripts,
//! which draw what the JSON has. Names come from files: they are escaped here, and the scripts put
//! them into the document as text, never as markup.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::explore::{Search, Sensitivity, Sparsity, Table};
use crate::report::Report;

const FRAME: &str = include_str!("assets/page.html");
const STYLE: &str = include_str!("assets/page.css");
/// Apache ECharts 6.1.0.
const LIBRARY: &str = include_str!("vendor/echarts.min.js");
/// What all pages use, in the order of use.
const COMMON: [&str; 4] = [
    include_str!("assets/base.js"),
    include_str!("assets/table.js"),
    include_str!("assets/chart.js"),
    include_str!("assets/shapes.js"),
];

/// Results that have a page.
pub trait Page: Serialize {
    /// The script that draws them.
    const SCRIPT: &'static str;

    /// One line that says what they are.
    fn title(&self) -> String;
}

impl Page for Report {
    const SCRIPT: &'static str = include_str!("assets/run.js");

    fn title(&self) -> String {
        format!("{} on {}", self.network.name, self.hardware.name)
    }
}

impl Page for Table {
    const SCRIPT: &'static str = include_str!("assets/sweep.js");

    fn title(&self) -> String {
        format!("Sweep of {}", self.space)
    }
}

impl Page for Sensitivity {
    const SCRIPT: &'static str = include_str!("assets/sensitivity.js");

    fn title(&self) -> String {
        format!("Sensitivity of {} to word widths", self.network)
    }
}

impl Page for Search {
    const SCRIPT: &'static str = include_str!("assets/search.js");

    fn title(&self) -> String {
        format!("Formats for {}", self.network)
    }
}

impl Page for Sparsity {
    const SCRIPT: &'static str = include_str!("assets/sparsity.js");

    fn title(&self) -> String {
        format!("Zeros of {}", self.network)
    }
}

/// The page of `results`; the same bytes for the same results.
///
/// # Errors
/// If they cannot be written as JSON.
pub fn to_html<P: Page>(results: &P) -> Result<String> {
    let json = serde_json::to_string(results).map_err(|e| Error::new("results as JSON", e))?;
    // Within JSON, `<` stands in strings only; without it no tag or comment can begin or end.
    let json = json.replace('<', "\\u003c");
    let script = COMMON.into_iter().chain([P::SCRIPT]).collect::<Vec<_>>().join("\n");
    let title = escaped(&results.title());
    let version = env!("CARGO_PKG_VERSION");
    let parts = [
        ("title", title.as_str()),
        ("style", STYLE),
        ("version", version),
        ("data", &json),
        ("library", LIBRARY),
        ("script", &script),
    ];
    Ok(filled(FRAME, &parts))
}

/// The frame with each `{{name}}` replaced once, so that what is filled in is never read as a frame.
fn filled(frame: &str, parts: &[(&str, &str)]) -> String {
    let length = frame.len() + parts.iter().map(|(_, text)| text.len()).sum::<usize>();
    let mut page = String::with_capacity(length);
    let mut rest = frame;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        page.extend(parts.iter().filter(|part| part.0 == name).map(|part| part.1));
        rest = after;
    }
    page + rest
}

/// Text as it stands in an element.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
