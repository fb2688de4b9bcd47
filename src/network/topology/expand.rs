//! Expands blocks: from layers as written to the flat list of operators with full names.
//!
//! A copy `stage2.1` of a block is its layers under the names `stage2.1.…`. Beside layers there are
//! aliases: the block's own input, its result, and layers that are left out.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use toml::Spanned;

use super::formula::{Arguments, evaluate};
use super::value::{FromValue, Keys, Value};
use super::written::{Block, Copies, Kind, Layer};
use super::{INPUT, Source};
use crate::error::{Error, Result};

/// Most layers and copies of blocks that a file describes.
const MAX_LAYERS: usize = 100_000;
/// Longest full name of a layer, in bytes.
const MAX_NAME: usize = 1000;

/// The block that a layer stands in, and the values of its parameters.
#[derive(Default)]
struct Scope<'a> {
    block: Option<&'a str>,
    arguments: Arguments<'a>,
}

/// A layer with its full name and the values of its parameters.
#[derive(Clone)]
pub struct Instance<'a> {
    name: String,
    layer: &'a Layer,
    scope: Rc<Scope<'a>>,
    source: Source<'a>,
}

impl<'a> Instance<'a> {
    /// The full name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the layer's name is written.
    pub fn span(&self) -> Range<usize> {
        self.layer.name.span()
    }

    /// The operator, as it is written.
    pub fn operator(&self) -> &'a Spanned<Value> {
        match &self.layer.kind {
            Kind::Operator(operator) => operator,
            Kind::Block(copies) => &copies.block,
        }
    }

    /// Keys that only some operators take, with the places of their values.
    pub fn keys(&self) -> impl Iterator<Item = (&'a str, Range<usize>)> + use<'a> {
        self.layer.keys.iter().map(|(key, value)| (key.as_str(), value.span()))
    }

    /// The value of a key of the operator, if it is given.
    pub fn get<T: FromValue>(&self, key: &str) -> Result<Option<T>> {
        self.layer.keys.get(key).map(|value| self.read(key, value)).transpose()
    }

    /// A value as a `T`, parameters replaced.
    pub fn read<T: FromValue>(&self, key: &str, value: &'a Spanned<Value>) -> Result<T> {
        let found = self.evaluate(value)?;
        T::from_value(found.get_ref()).ok_or_else(|| {
            let (value, expected) = (found.get_ref(), T::EXPECTED);
            let problem = format!("`{key}` is `{value}`, expected {expected}");
            self.error(found.span(), problem, "correct the value")
        })
    }

    /// An error about the layer, at `span`.
    pub fn error(
        &self,
        span: Range<usize>,
        problem: impl fmt::Display,
        remedy: impl fmt::Display,
    ) -> Error {
        let subject = format!("layer `{}`", self.name);
        self.locate(Error::new(subject, problem).remedy(remedy), span)
    }

    /// Adds to an error about the layer the block that it stands in and, unless it has one, the
    /// place `span`.
    pub fn locate(&self, error: Error, span: Range<usize>) -> Error {
        let error = match self.scope.block {
            Some(block) => error.within(format_args!("block `{block}`")),
            None => error,
        };
        self.source.at(error, span)
    }

    fn evaluate(&self, value: &'a Spanned<Value>) -> Result<Cow<'a, Spanned<Value>>> {
        evaluate(value, &self.scope.arguments)
            .map_err(|problem| self.error(value.span(), problem, "correct the `$parameters`"))
    }
}

/// A full name that a layer reads, and where that is written.
struct Reference {
    name: String,
    span: Range<usize>,
}

/// What a full name stands for.
enum Entry<'a> {
    /// A node, and what it reads.
    Node(Instance<'a>, Vec<Reference>),
    /// What another name stands for.
    Alias {
        /// The name.
        name: String,
        /// The layer that makes it one.
        layer: Instance<'a>,
        /// The other name.
        to: Reference,
    },
}

impl<'a> Entry<'a> {
    fn name(&self) -> &str {
        match self {
            Self::Node(layer, _) => &layer.name,
            Self::Alias { name, .. } => name,
        }
    }

    fn layer(&self) -> &Instance<'a> {
        match self {
            Self::Node(layer, _) | Self::Alias { layer, .. } => layer,
        }
    }
}

/// An operator of the network.
pub struct Node<'a> {
    /// The layer.
    pub instance: Instance<'a>,
    /// Indices of the nodes that it reads; `None` is the network input.
    pub inputs: Vec<Option<usize>>,
}

/// The nodes of a file's layers, in the order in which they are written.
pub fn expand<'a>(
    layers: &'a [Layer],
    blocks: &'a [Block],
    source: Source<'a>,
) -> Result<Vec<Node<'a>>> {
    let mut by_name = HashMap::new();
    for block in blocks {
        if by_name.insert(block.name.get_ref().as_str(), block).is_some() {
            let subject = format!("block `{}`", block.name.get_ref());
            let remedy = "give every block its own name";
            return Err(source.error(subject, block.name.span(), "is defined twice", remedy));
        }
    }
    let mut expansion =
        Expansion { source, blocks: by_name, entries: Vec::new(), size: 0, open: Vec::new() };
    expansion.layers(layers, "", &Rc::default())?;
    resolve(expansion.entries)
}

struct Expansion<'a> {
    source: Source<'a>,
    blocks: HashMap<&'a str, &'a Block>,
    entries: Vec<Entry<'a>>,
    /// Entries and inputs so far.
    size: usize,
    /// The blocks that are being expanded.
    open: Vec<&'a str>,
}

impl<'a> Expansion<'a> {
    /// Expands layers whose names begin with `prefix`. Returns the full name of the last, or of
    /// their input if there are none.
    fn layers(
        &mut self,
        layers: &'a [Layer],
        prefix: &str,
        scope: &Rc<Scope<'a>>,
    ) -> Result<String> {
        let mut last = format!("{prefix}{INPUT}");
        for layer in layers {
            let name = format!("{prefix}{}", layer.name.get_ref());
            let source = self.source;
            let mut instance = Instance { name, layer, scope: scope.clone(), source };
            let name: String = instance.read("name", &layer.name)?;
            instance.name = format!("{prefix}{name}");
            if name.is_empty() || instance.name.len() > MAX_NAME {
                let problem = format_args!("its name is empty or longer than {MAX_NAME} bytes");
                return Err(instance.error(instance.span(), problem, "choose a short name"));
            }
            let inputs = match &layer.inputs {
                None => vec![Reference { name: last, span: instance.span() }],
                Some(listed) => inputs(&instance, listed, prefix)?,
            };
            last = instance.name.clone();
            self.layer(instance, inputs)?;
        }
        Ok(last)
    }

    fn layer(&mut self, instance: Instance<'a>, mut inputs: Vec<Reference>) -> Result<()> {
        let there = match &instance.layer.when {
            Some(value) => instance.read("when", value)?,
            None => true,
        };
        let one = |inputs: &mut Vec<Reference>, what: &str| match inputs.is_empty() {
            false => Ok(inputs.swap_remove(0)),
            true => Err(instance.error(
                instance.span(),
                format_args!("{what} and lists no input"),
                "list one, or leave `inputs` out to read the layer before",
            )),
        };
        match &instance.layer.kind {
            _ if !there => {
                let to = one(&mut inputs, "is left out")?;
                self.push(Entry::Alias { name: instance.name.clone(), layer: instance, to })
            }
            Kind::Operator(_) => self.push(Entry::Node(instance, inputs)),
            Kind::Block(copies) => {
                if inputs.len() > 1 {
                    let problem =
                        format_args!("lists {} inputs, but a block reads one", inputs.len());
                    let remedy = "list one layer, or leave `inputs` out to read the layer before";
                    return Err(instance.error(instance.span(), problem, remedy));
                }
                let input = one(&mut inputs, "is a block")?;
                self.copies(instance, copies, input)
            }
        }
    }

    /// Expands the copies of a block that `instance` asks for.
    fn copies(
        &mut self,
        instance: Instance<'a>,
        copies: &'a Copies,
        input: Reference,
    ) -> Result<()> {
        let name: String = instance.read("block", &copies.block)?;
        let Some(&block) = self.blocks.get(&name[..]) else {
            let problem = format!("is a block `{name}`, which is not defined");
            let remedy = "add a [[block]] of this name, or correct the name";
            return Err(instance.error(copies.block.span(), problem, remedy));
        };
        let name = block.name.get_ref().as_str();
        if let Some(start) = self.open.iter().position(|&open| open == name) {
            let path: Vec<_> =
                self.open[start..].iter().chain([&name]).map(|name| format!("`{name}`")).collect();
            let problem = format!("a block contains itself: {}", path.join(" → "));
            let remedy = "let no block use itself, however deep";
            return Err(instance.error(copies.block.span(), problem, remedy));
        }
        let repeat =
            copies.repeat.as_ref().map(|value| instance.read("repeat", value)).transpose()?;
        if repeat == Some(0) {
            let remedy = "repeat it at least once, or leave it out with `when = false`";
            return Err(instance.error(instance.span(), "is repeated 0 times", remedy));
        }
        self.open.push(name);
        let count = repeat.unwrap_or(1);
        let alias = |name, to| Entry::Alias { name, layer: instance.clone(), to };
        let output = |name| Reference { name, span: instance.span() };
        let mut result = input;
        for copy in 1..=count {
            let prefix = match repeat {
                Some(_) => format!("{}.{copy}", instance.name),
                None => instance.name.clone(),
            };
            let first = (copy == 1).then_some(&copies.first);
            let last = (copy == count).then_some(&copies.last);
            let scope = arguments(&instance, block, [Some(&instance.layer.keys), first, last])?;
            self.push(alias(format!("{prefix}.{INPUT}"), result))?;
            let last = self.layers(&block.layers, &format!("{prefix}."), &Rc::new(scope))?;
            result = match repeat {
                Some(_) => {
                    self.push(alias(prefix.clone(), output(last)))?;
                    output(prefix)
                }
                None => output(last),
            };
        }
        self.open.pop();
        self.push(alias(instance.name.clone(), result))
    }

    /// Adds an entry while there is room.
    fn push(&mut self, entry: Entry<'a>) -> Result<()> {
        self.size += match &entry {
            Entry::Node(_, inputs) => inputs.len().max(1),
            Entry::Alias { .. } => 1,
        };
        if self.size > MAX_LAYERS {
            let layer = entry.layer();
            return Err(layer.error(
                layer.span(),
                format_args!("takes the file beyond {MAX_LAYERS} layers"),
                "repeat less",
            ));
        }
        self.entries.push(entry);
        Ok(())
    }
}

/// The full names of the layers that a layer beside them lists.
fn inputs<'a>(
    instance: &Instance<'a>,
    listed: &'a Spanned<Value>,
    prefix: &str,
) -> Result<Vec<Reference>> {
    let Value::List(list) = listed.get_ref() else {
        let remedy = "write inputs = [\"name\"]";
        return Err(instance.error(listed.span(), "`inputs` is no list of names", remedy));
    };
    let input = |value: &'a Spanned<Value>| {
        let name: String = instance.read("inputs", value)?;
        if name.len() > MAX_NAME {
            let problem = format!("reads a name of more than {MAX_NAME} bytes, which is no layer");
            return Err(instance.error(value.span(), problem, "name a layer"));
        }
        Ok(Reference { name: format!("{prefix}{name}"), span: value.span() })
    };
    list.iter().map(input).collect()
}

/// The values of a block's parameters: of several `given`, those that come later.
fn arguments<'a>(
    instance: &Instance<'a>,
    block: &'a Block,
    given: [Option<&'a Keys>; 3],
) -> Result<Scope<'a>> {
    let mut arguments: Arguments = block
        .parameters
        .iter()
        .filter_map(|(name, default)| Some((name.as_str(), Cow::Borrowed(default.as_ref()?))))
        .collect();
    let name = block.name.get_ref();
    for (key, value) in given.into_iter().flatten().flatten() {
        if !block.parameters.contains_key(key) {
            let names: Vec<_> = block.parameters.keys().map(String::as_str).collect();
            let problem = format!("`{key}` is no parameter of block `{name}`");
            let remedy = match &names[..] {
                [] => "remove it; this block has no parameters".into(),
                names => format!("remove it; this block takes {}", names.join(", ")),
            };
            return Err(instance.error(value.span(), problem, remedy));
        }
        arguments.insert(key, instance.evaluate(value)?);
    }
    match block.parameters.keys().find(|parameter| !arguments.contains_key(&parameter[..])) {
        None => Ok(Scope { block: Some(name), arguments }),
        Some(missing) => Err(instance.error(
            instance.span(),
            format_args!("has no `{missing}`, which block `{name}` needs"),
            format_args!("add `{missing} = …`"),
        )),
    }
}

/// Finds out which nodes the names lead to.
fn resolve(entries: Vec<Entry>) -> Result<Vec<Node>> {
    let mut names: HashMap<&str, Option<usize>> = HashMap::from([(INPUT, None)]);
    let mut found: Vec<Option<Option<usize>>> = Vec::with_capacity(entries.len());
    let mut nodes = 0;
    for (index, entry) in entries.iter().enumerate() {
        if names.insert(entry.name(), Some(index)).is_some() {
            let problem = format!("`{}` is another layer's name, or the input's", entry.name());
            let remedy = "give every layer its own name";
            return Err(entry.layer().error(entry.layer().span(), problem, remedy));
        }
        found.push(matches!(entry, Entry::Node(..)).then_some(Some(nodes)));
        nodes += usize::from(matches!(entry, Entry::Node(..)));
    }
    let mut follow =
        |instance, reference| follow(&entries, &names, &mut found, instance, reference);
    let mut inputs = Vec::with_capacity(nodes);
    for entry in &entries {
        if let Entry::Node(instance, read) = entry {
            let read = read.iter().map(|reference| follow(instance, reference));
            inputs.push(read.collect::<Result<Vec<_>>>()?);
        }
    }
    let instances = entries.into_iter().filter_map(|entry| match entry {
        Entry::Node(instance, _) => Some(instance),
        Entry::Alias { .. } => None,
    });
    Ok(instances.zip(inputs).map(|(instance, inputs)| Node { instance, inputs }).collect())
}

/// The node that a reference of `instance` leads to, `None` for the network input. Notes it in
/// `found` for every alias on the way.
fn follow<'e, 'a>(
    entries: &'e [Entry<'a>],
    names: &HashMap<&str, Option<usize>>,
    found: &mut [Option<Option<usize>>],
    mut instance: &'e Instance<'a>,
    mut reference: &'e Reference,
) -> Result<Option<usize>> {
    let mut path = Vec::new();
    let end = loop {
        let Some(&index) = names.get(&reference.name[..]) else {
            let problem = format!("reads `{}`, which is no layer", reference.name);
            let remedy = format_args!("name a layer beside it, or `{INPUT}`");
            return Err(instance.error(reference.span.clone(), problem, remedy));
        };
        match index.map(|index| (index, found[index], &entries[index])) {
            None => break None,
            Some((_, Some(node), _)) => break node,
            Some((index, None, Entry::Alias { layer, to, .. })) if path.len() < entries.len() => {
                path.push(index);
                (instance, reference) = (layer, to);
            }
            Some((_, None, entry)) => {
                let remedy = "let no layer read its own result";
                return Err(entry.layer().error(entry.layer().span(), "is in a cycle", remedy));
            }
        }
    };
    path.into_iter().for_each(|index| found[index] = Some(end));
    Ok(end)
}
