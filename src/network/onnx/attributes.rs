//! The attributes of a node, typed; those that nobody asked for are refused.

use std::cell::RefCell;
use std::collections::BTreeSet;

use rten_onnx::onnx::{AttributeProto, NodeProto, TensorProto};

use crate::error::{Error, Result};

/// Attributes that change nothing here.
const IGNORED: &[&str] = &["doc_string"];

/// A node's attributes.
pub struct Attributes<'a> {
    node: &'a NodeProto,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Attributes<'a> {
    pub fn new(node: &'a NodeProto) -> Self {
        Self { node, asked: RefCell::default() }
    }

    fn find(&self, name: &'static str) -> Option<&'a AttributeProto> {
        self.asked.borrow_mut().insert(name);
        self.node.attribute.iter().find(|attribute| attribute.name.as_deref() == Some(name))
    }

    /// Whether the attribute is there.
    pub fn has(&self, name: &'static str) -> bool {
        self.find(name).is_some()
    }

    pub fn int(&self, name: &'static str, default: i64) -> i64 {
        self.find(name).map_or(default, |attribute| attribute.i.unwrap_or(0))
    }

    pub fn float(&self, name: &'static str, default: f32) -> f32 {
        self.find(name).map_or(default, |attribute| attribute.f.unwrap_or(0.0))
    }

    pub fn string(&self, name: &'static str, default: &'static str) -> &'a str {
        self.find(name).map_or(default, |attribute| attribute.s.as_deref().unwrap_or(""))
    }

    pub fn ints(&self, name: &'static str) -> Option<&'a [i64]> {
        self.find(name).map(|attribute| &attribute.ints[..])
    }

    pub fn floats(&self, name: &'static str) -> Option<&'a [f32]> {
        self.find(name).map(|attribute| &attribute.floats[..])
    }

    pub fn tensor(&self, name: &'static str) -> Option<&'a TensorProto> {
        self.find(name)?.t.as_ref()
    }

    /// Sizes: `default` where the attribute is absent, else as many numbers from `least` on.
    pub fn sizes(&self, name: &'static str, default: &[usize], least: usize) -> Result<Vec<usize>> {
        let Some(given) = self.ints(name) else { return Ok(default.to_vec()) };
        let sizes: Option<Vec<usize>> = given
            .iter()
            .map(|&size| usize::try_from(size).ok().filter(|&size| size >= least))
            .collect();
        sizes.filter(|sizes| sizes.len() == default.len()).ok_or_else(|| {
            Error::new(
                format_args!("attribute `{name}`"),
                format_args!("{given:?}, expected {} numbers of at least {least}", default.len()),
            )
        })
    }

    /// Refuses a value other than the one supported.
    pub fn only(&self, name: &'static str, value: i64) -> Result<()> {
        match self.int(name, value) {
            found if found == value => Ok(()),
            found => Err(Error::new(
                format_args!("attribute `{name}`"),
                format_args!("is {found}, only {value} is supported"),
            )),
        }
    }

    /// Refuses attributes that were not asked for.
    pub fn finish(&self) -> Result<()> {
        let asked = self.asked.borrow();
        let names = self.node.attribute.iter().map(|a| a.name.as_deref().unwrap_or(""));
        match names.into_iter().find(|name| !asked.contains(name) && !IGNORED.contains(name)) {
            None => Ok(()),
            Some(name) => Err(Error::new(format_args!("attribute `{name}`"), "is not supported")),
        }
    }
}
