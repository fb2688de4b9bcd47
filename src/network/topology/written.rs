//! Layers and blocks as they are written in a topology file: their keys told apart, and every
//! reference to a parameter checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use toml::Spanned;

use super::Source;
use super::formula::{Factor, factors, is_parameter_name};
use super::value::{Keys, Value};
use crate::error::Result;

/// Most parameters of a block.
const MAX_PARAMETERS: usize = 64;

/// A `[[block]]` as TOML.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockText {
    name: Spanned<String>,
    #[serde(default)]
    parameters: Vec<Spanned<String>>,
    #[serde(default)]
    defaults: BTreeMap<Spanned<String>, Spanned<Value>>,
    #[serde(default, rename = "layer")]
    layers: Vec<Spanned<Keys>>,
}

/// A block: layers under one name, with parameters.
pub struct Block {
    /// Its name.
    pub name: Spanned<String>,
    /// Its parameters, and what they are if they are not given.
    pub parameters: BTreeMap<String, Option<Spanned<Value>>>,
    /// Its layers; the last one's result is the block's.
    pub layers: Vec<Layer>,
}

/// A `[[layer]]` of the file or of a block.
pub struct Layer {
    /// Its name among the layers beside it.
    pub name: Spanned<Value>,
    /// Operator or block.
    pub kind: Kind,
    /// Names that it reads, if it lists them.
    pub inputs: Option<Spanned<Value>>,
    /// Whether it is there.
    pub when: Option<Spanned<Value>>,
    /// The keys that its operator or block takes.
    pub keys: Keys,
}

/// What a layer is.
pub enum Kind {
    /// The node of an operator.
    Operator(Spanned<Value>),
    /// One or more copies of a block.
    Block(Box<Copies>),
}

/// Copies of a block, one after the other.
pub struct Copies {
    /// The block's name.
    pub block: Spanned<Value>,
    /// Number of copies; one if it is not stated.
    pub repeat: Option<Spanned<Value>>,
    /// Arguments of the first copy.
    pub first: Keys,
    /// Arguments of the last copy.
    pub last: Keys,
}

/// Keys of any layer, which are no parameters.
const COMMON: [&str; 8] = ["name", "op", "block", "inputs", "when", "repeat", "first", "last"];

impl Block {
    /// Tells the keys apart. Every parameter is used, and only parameters are.
    pub fn read(text: BlockText, source: Source) -> Result<Self> {
        let BlockText { name, parameters, defaults, layers } = text;
        let refuse = |span, problem: &dyn fmt::Display, remedy: &dyn fmt::Display| {
            Err(source.error(format_args!("block `{}`", name.get_ref()), span, problem, remedy))
        };
        let layers: Vec<_> =
            layers.into_iter().map(|keys| Layer::read(keys, source)).collect::<Result<_>>()?;
        let given = parameters.into_iter().map(|name| (name, None));
        let given = given.chain(defaults.into_iter().map(|(name, value)| (name, Some(value))));
        let (mut parameters, mut spans) = (BTreeMap::new(), Vec::new());
        for (parameter, default) in given {
            let (span, parameter) = (parameter.span(), parameter.into_inner());
            if !is_parameter_name(&parameter) || COMMON.contains(&&parameter[..]) {
                let problem = format!("cannot have a parameter `{parameter}`");
                let remedy = "name it in letters, digits and `_`, unlike the keys of every layer";
                return refuse(span, &problem, &remedy);
            }
            if parameters.insert(parameter.clone(), default).is_some() {
                let problem = format!("has the parameter `{parameter}` twice");
                let remedy = "list it under `parameters`, or give it a default";
                return refuse(span, &problem, &remedy);
            }
            spans.push((parameter, span));
        }
        if parameters.len() > MAX_PARAMETERS {
            let problem = format!("has more than {MAX_PARAMETERS} parameters");
            return refuse(name.span(), &problem, &"split it into smaller blocks");
        }
        for layer in &layers {
            layer.check_references(&parameters, source)?;
        }
        let used: BTreeSet<&str> = layers.iter().flat_map(Layer::references).collect();
        if let Some((unused, span)) = spans.into_iter().find(|(name, _)| !used.contains(&name[..]))
        {
            let problem = format!("has a parameter `{unused}` that no layer uses");
            return refuse(span, &problem, &format!("write `\"${unused}\"` in a layer"));
        }
        Ok(Self { name, parameters, layers })
    }
}

impl Layer {
    /// Tells the keys apart.
    pub fn read(keys: Spanned<Keys>, source: Source) -> Result<Self> {
        let (span, mut keys) = (keys.span(), keys.into_inner());
        let named = match keys.get("name") {
            Some(name) => format!("layer `{}`", name.get_ref()),
            None => "a layer".into(),
        };
        let error = |span, problem: &str, remedy: &str| source.error(&named, span, problem, remedy);
        let Some(name) = keys.remove("name") else {
            return Err(error(span, "has no `name`", "name every layer"));
        };
        let mut arguments = |key| match keys.remove(key).map(|value| (value.span(), value)) {
            None => Ok(Keys::new()),
            Some((span, value)) => match value.into_inner() {
                Value::Table(arguments) => Ok(arguments),
                _ => Err(error(span, &format!("`{key}` is no table"), "write { key = value }")),
            },
        };
        let (first, last) = (arguments("first")?, arguments("last")?);
        let repeat = keys.remove("repeat");
        let varied = first.values().chain(last.values()).next().map(Spanned::span);
        let copied = repeat.as_ref().map(Spanned::span);
        let kind = match (keys.remove("op"), keys.remove("block")) {
            (Some(operator), None) => match varied.or(copied) {
                None => Kind::Operator(operator),
                Some(span) => {
                    let problem = "is an operator, of which there are no copies";
                    let remedy = "leave `repeat`, `first` and `last` to layers with `block`";
                    return Err(error(span, problem, remedy));
                }
            },
            (None, Some(block)) => match varied.filter(|_| repeat.is_none()) {
                None => Kind::Block(Box::new(Copies { block, repeat, first, last })),
                Some(span) => {
                    let remedy = "add `repeat`, or move the keys of `first` and `last` out";
                    return Err(error(span, "has a first or last copy, but no `repeat`", remedy));
                }
            },
            _ => {
                let remedy = "state `op` for an operator or `block` for a block";
                return Err(error(name.span(), "needs either `op` or `block`", remedy));
            }
        };
        let (inputs, when) = (keys.remove("inputs"), keys.remove("when"));
        Ok(Self { name, kind, inputs, when, keys })
    }

    /// Refuses references to what is not among `parameters`.
    pub fn check_references(
        &self,
        parameters: &BTreeMap<String, Option<Spanned<Value>>>,
        source: Source,
    ) -> Result<()> {
        for (text, value) in self.values().into_iter().flat_map(texts) {
            let problem = match factors(text) {
                None => continue,
                Some(Err(problem)) => problem,
                Some(Ok(factors)) => {
                    let missing = |factor| match factor {
                        Factor::Parameter(name) if !parameters.contains_key(name) => Some(name),
                        _ => None,
                    };
                    match factors.into_iter().find_map(missing) {
                        None => continue,
                        Some(name) => format!("refers to `${name}`, which is no parameter here"),
                    }
                }
            };
            let subject = format!("layer `{}`", self.name.get_ref());
            let remedy = match parameters.is_empty() {
                true => "only layers of a block with `parameters` or `defaults` have `$parameters`"
                    .to_owned(),
                false => {
                    let names: Vec<_> =
                        parameters.keys().map(|name| format!("`${name}`")).collect();
                    format!("use a product of numbers and {}", names.join(", "))
                }
            };
            return Err(source.error(subject, value.span(), problem, remedy));
        }
        Ok(())
    }

    fn references(&self) -> Vec<&str> {
        let texts = self.values().into_iter().flat_map(texts);
        let factors = texts.filter_map(|(text, _)| factors(text)?.ok()).flatten();
        let names = factors.filter_map(|factor| match factor {
            Factor::Parameter(name) => Some(name),
            Factor::Number(_) => None,
        });
        names.collect()
    }

    fn values(&self) -> Vec<&Spanned<Value>> {
        let mut values: Vec<_> = [Some(&self.name), self.inputs.as_ref(), self.when.as_ref()]
            .into_iter()
            .flatten()
            .chain(self.keys.values())
            .collect();
        match &self.kind {
            Kind::Operator(operator) => values.push(operator),
            Kind::Block(copies) => {
                values.push(&copies.block);
                values.extend(&copies.repeat);
                values.extend(copies.first.values().chain(copies.last.values()));
            }
        }
        values
    }
}

/// The texts of a value and of a list's elements.
fn texts(value: &Spanned<Value>) -> Vec<(&str, &Spanned<Value>)> {
    match value.get_ref() {
        Value::Text(text) => vec![(text, value)],
        Value::List(list) => list.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}
