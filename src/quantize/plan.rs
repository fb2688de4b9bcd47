//! The plan: which quantizer stands at which site of which layer.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use globset::{Glob, GlobMatcher};
use serde::Deserialize;
use serde::de::{self, MapAccess, SeqAccess, Visitor, value};
use toml::Spanned;

use super::QuantizerSpec;
use crate::error::{Error, Result};
use crate::files;

macro_rules! shipped {
    ($($name:literal),*) => {
        /// The plans that ship with the project: names and texts.
        pub const SHIPPED: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("plans/", $name, ".toml")))),*];
    };
}

shipped!("int8", "int8_channel", "int8_channel_shift", "int16", "int4", "acc12");

/// How the binary point of a format that does not state it is chosen from the values seen.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Method {
    /// As many fractional bits as fit: no value seen overflows.
    #[default]
    Max,
    /// Of that and the choices with more fractional bits, the one with the least squared error.
    Mse,
    /// As many fractional bits as fit when only this percentage of the values, by magnitude,
    /// must not overflow.
    Percentile(f64),
    /// As many fractional bits as fit the threshold on magnitudes of least divergence.
    Entropy,
}

/// What becomes of batch normalizations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchNorm {
    /// Folded into the convolution or dense layer before them, where it has no other reader.
    #[default]
    Fold,
    /// Kept as 1×1 depthwise multiply-accumulate layers.
    Keep,
    /// Kept as four such layers, so that every intermediate is quantized: `centre` subtracts the
    /// mean, `scale` multiplies by 1/√(variance + ε), `gamma` by the factor, and the last, which
    /// keeps the name, adds the offset.
    Intrinsic,
}

/// A plan: calibration, and rules of which the last that matches a site holds.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Name, for reports.
    pub name: String,
    /// Training images of which the activations are calibrated.
    pub images: usize,
    /// How binary points are chosen.
    pub method: Method,
    /// What becomes of batch normalizations.
    pub batch_norm: BatchNorm,
    /// Whether the weights of layers that follow each other are equalized first.
    pub equalize: bool,
    /// Whether biases make up for the mean error of quantized weights.
    pub bias_correction: bool,
    /// Rules, the last match wins.
    pub rules: Vec<Rule>,
    source: Source,
}

/// Quantizers for the sites that a selector matches.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Glob over `layer.site`, as written.
    pub select: String,
    /// Quantizers, applied in order.
    pub quantizers: Vec<QuantizerSpec>,
    matcher: GlobMatcher,
    span: Range<usize>,
}

/// File name and text, for messages.
#[derive(Clone, Debug)]
struct Source {
    name: String,
    text: String,
}

impl Default for Plan {
    /// The shipped plan `int8`: 8-bit weights and activations with calibrated binary points, and a
    /// wide accumulator.
    fn default() -> Self {
        Self::open(Self::DEFAULT).expect("the shipped plans are valid")
    }
}

impl Plan {
    /// The plan that holds when none is named.
    pub const DEFAULT: &str = "int8";

    /// A shipped plan by name, or the plan in a `.toml` file.
    ///
    /// # Errors
    /// If there is no such plan, or it is refused by [`Self::parse`].
    pub fn open(name_or_path: &str) -> Result<Self> {
        Self::parse(name_or_path, &Self::text(name_or_path)?)
    }

    /// The text of a shipped plan, or of the file at a path.
    ///
    /// # Errors
    /// If there is no such plan, or it cannot be read.
    pub fn text(name_or_path: &str) -> Result<Cow<'static, str>> {
        if let Some((_, text)) = SHIPPED.iter().find(|s| s.0 == name_or_path) {
            return Ok(Cow::Borrowed(text));
        }
        let path = Path::new(name_or_path);
        if !path.exists() {
            let names: Vec<_> = SHIPPED.iter().map(|s| s.0).collect();
            return Err(Error::new(name_or_path, "there is no such plan or file").remedy(
                format_args!("name a shipped plan ({}) or a .toml file", names.join(", ")),
            ));
        }
        Ok(Cow::Owned(files::read_text(path)?))
    }

    /// Parses the text of the plan file `file`.
    ///
    /// # Errors
    /// If it is not TOML of the form in `docs/quantizers.md`; the error points at the line.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let source = Source { name: file.to_owned(), text: text.to_owned() };
        let parsed: File = files::parse_toml(file, text)?;
        let (calibration, span) = match parsed.calibration {
            Some(calibration) => (calibration.get_ref().clone(), calibration.span()),
            None => (Calibration::default(), 0..0),
        };
        let rules: Result<Vec<_>> = parsed.rules.into_iter().map(|r| r.build(&source)).collect();
        Ok(Self {
            name: parsed.name,
            images: calibration.images,
            method: calibration.method().map_err(|e| source.at(e, span))?,
            batch_norm: parsed.batch_norm,
            equalize: parsed.equalize,
            bias_correction: parsed.bias_correction,
            rules: rules?,
            source,
        })
    }

    /// This plan with further rules, in the form of the file, which come last.
    ///
    /// # Errors
    /// If the rules are refused as [`Self::parse`] refuses them.
    pub fn extended(&self, rules: &str) -> Result<Self> {
        Self::parse(&self.source.name, &format!("{}\n{rules}", self.source.text))
    }

    /// The last rule that matches one of the names of a site, by its index.
    pub(super) fn last_match(&self, names: &[String]) -> Option<usize> {
        self.rules.iter().rposition(|rule| rule.matches(names))
    }

    /// An error at rule `index`.
    pub(super) fn error_at(&self, index: usize, problem: impl fmt::Display) -> Error {
        let rule = &self.rules[index];
        let error =
            Error::new(format_args!("{}, selector `{}`", self.source.name, rule.select), problem);
        self.source.at(error, rule.span.clone())
    }
}

impl Rule {
    /// Whether the selector matches one of the names of a site.
    pub(super) fn matches(&self, names: &[String]) -> bool {
        names.iter().any(|name| self.matcher.is_match(name))
    }
}

impl Source {
    fn at(&self, error: Error, span: Range<usize>) -> Error {
        error.at(&self.name, &self.text, span)
    }
}

/// A plan file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    calibration: Option<Spanned<Calibration>>,
    #[serde(default)]
    batch_norm: BatchNorm,
    #[serde(default)]
    equalize: bool,
    #[serde(default)]
    bias_correction: bool,
    #[serde(default, rename = "rule")]
    rules: Vec<RuleText>,
}

#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Calibration {
    images: usize,
    method: MethodName,
    percentile: Option<f64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MethodName {
    Max,
    Mse,
    Percentile,
    Entropy,
}

impl Default for Calibration {
    fn default() -> Self {
        Self { images: 512, method: MethodName::Max, percentile: None }
    }
}

impl Calibration {
    fn method(&self) -> Result<Method> {
        let error = |problem| Err(Error::new("calibration", problem));
        if self.images == 0 {
            return error("`images` is at least 1");
        }
        match (self.method, self.percentile) {
            (MethodName::Max, None) => Ok(Method::Max),
            (MethodName::Mse, None) => Ok(Method::Mse),
            (MethodName::Entropy, None) => Ok(Method::Entropy),
            (MethodName::Percentile, Some(p)) if p > 0.0 && p <= 100.0 => Ok(Method::Percentile(p)),
            (MethodName::Percentile, _) => {
                error("method `percentile` needs `percentile`, above 0 and at most 100")
            }
            (_, Some(_)) => error("`percentile` is for method = \"percentile\""),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    select: Spanned<String>,
    quantizer: Spanned<OneOrMore>,
}

impl RuleText {
    fn build(self, source: &Source) -> Result<Rule> {
        let (span, select) = (self.select.span(), self.select.into_inner());
        let glob =
            Glob::new(&select).map_err(|e| source.at(Error::new(&source.name, e), span.clone()))?;
        let at = self.quantizer.span();
        let OneOrMore(quantizers) = self.quantizer.into_inner();
        quantizers.iter().try_for_each(QuantizerSpec::check).map_err(|e| source.at(e, at))?;
        Ok(Rule { select, quantizers, matcher: glob.compile_matcher(), span })
    }
}

/// A quantizer or an array of at least one.
struct OneOrMore(Vec<QuantizerSpec>);

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMoreVisitor)
    }
}

struct OneOrMoreVisitor;

impl<'de> Visitor<'de> for OneOrMoreVisitor {
    type Value = OneOrMore;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a quantizer { kind = … } or an array of them")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        QuantizerSpec::deserialize(value::MapAccessDeserializer::new(map))
            .map(|q| OneOrMore(vec![q]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut quantizers = Vec::new();
        while let Some(quantizer) = sequence.next_element()? {
            quantizers.push(quantizer);
        }
        if quantizers.is_empty() {
            return Err(de::Error::invalid_length(0, &"at least one quantizer"));
        }
        Ok(OneOrMore(quantizers))
    }
}

#[cfg(test)]
mod tests {
    use miette::Diagnostic;

    use super::*;

    #[test]
    fn shipped_plans_are_plans() {
        for (name, _) in SHIPPED {
            assert_eq!(Plan::open(name).unwrap().name, *name);
        }
        assert_eq!(Plan::default().name, "int8");
    }

    #[test]
    fn a_plan_reads_as_written() {
        let plan = Plan::parse(
            "p.toml",
            r#"
            name = "p"
            batch_norm = "keep"
            [calibration]
            images = 9
            method = "percentile"
            percentile = 99.9
            [[rule]]
            select = "conv?.weights"
            quantizer = [{ kind = "float", exponent = 5, mantissa = 10 }, { kind = "fixed", format = "s8" }]
            [[rule]]
            select = "*.output"
            quantizer = { kind = "fixed", format = "8", rounding = "floor", overflow = "wrap" }
            "#,
        )
        .unwrap();
        assert_eq!((plan.images, plan.method), (9, Method::Percentile(99.9)));
        assert_eq!(plan.batch_norm, BatchNorm::Keep);
        let lengths: Vec<_> = plan.rules.iter().map(|r| r.quantizers.len()).collect();
        assert_eq!(lengths, [2, 1]);
        assert_eq!(plan.last_match(&["conv1.weights".into()]), Some(0));
        assert_eq!(plan.last_match(&["fc.bias".into(), "relu.output".into()]), Some(1));
        assert_eq!(plan.last_match(&["conv10.weights".into()]), None);
    }

    /// The problem, and the text that the error points at.
    fn refused(text: &str) -> (String, String) {
        let error = Plan::parse("p.toml", text).unwrap_err();
        let span = error
            .labels()
            .into_iter()
            .flatten()
            .next()
            .map(|l| text[l.offset()..l.offset() + l.len()].to_owned());
        (error.to_string(), span.unwrap_or_default())
    }

    #[test]
    fn errors_point_at_the_line() {
        let rule = |rule: &str| format!("name = \"p\"\n[[rule]]\n{rule}\n");
        for (text, problem, place) in [
            ("name = \"p\"\ncolour = 1\n".into(), "unknown field", "colour"),
            ("[calibration]\n".into(), "missing field `name`", ""),
            ("name = \"p\"\n[calibration]\nimages = 0\n".into(), "at least 1", "[calibration]"),
            ("name = \"p\"\n[calibration]\npercentile = 9\n".into(), "percentile", "[calibration]"),
            ("name = \"p\"\n[calibration]\nmethod = \"best\"\n".into(), "unknown variant", "best"),
            (rule("select = \"[\"\nquantizer = { kind = \"none\" }"), "unclosed", "\"[\""),
            (rule("select = \"*\"\nquantizer = []"), "at least one quantizer", "[]"),
            (rule("select = \"*\"\nquantizer = 8"), "a quantizer", "8"),
            (rule("select = \"*\"\nquantizer = { kind = \"log\" }"), "unknown variant", "log"),
            (
                rule("select = \"*\"\nquantizer = { kind = \"fixed\", format = \"s65\" }"),
                "1 to 64 bits",
                "s65",
            ),
            (
                rule("select = \"*\"\nquantizer = { kind = \"fixed\", format = \"s8\", sign = 1 }"),
                "unknown field",
                "sign",
            ),
            (
                rule("select = \"*\"\nquantizer = { kind = \"top_k\", fraction = 2 }"),
                "at most 1",
                "fraction = 2",
            ),
        ] {
            let (found, span) = refused(&text);
            assert!(found.contains(problem), "{text}: {found}");
            assert!(span.contains(place), "{text}: {found}, at `{span}`");
        }
    }

    #[test]
    fn a_plan_that_is_not_there_is_named() {
        assert_eq!(Plan::open("int9").unwrap_err().subject(), "int9");
    }
}
