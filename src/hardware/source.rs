//! Checks of single values of a TOML file, whose errors name the key, what was found, what is
//! expected and the remedy, and point at the line.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};

use serde::de::DeserializeOwned;
use toml::Spanned;

use crate::error::{Error, Result};
use crate::files::parse_toml;

/// The text of a file, under its name in messages.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Name in messages.
    pub name: &'a str,
    /// Content.
    pub text: &'a str,
    /// Where the keys are documented.
    pub remedy: &'static str,
}

impl Source<'_> {
    /// Reads the whole text as `T`.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T> {
        parse_toml(self.name, self.text).map_err(|e| e.remedy(self.remedy))
    }

    /// An error about the value of `key` at `span`.
    pub fn error(self, key: impl Display, span: Range<usize>, problem: impl Display) -> Error {
        Error::new(self.name, format_args!("`{key}`: {problem}"))
            .remedy(self.remedy)
            .at(self.name, self.text, span)
    }

    /// An integer in `range`.
    pub fn integer<T>(
        self,
        key: impl Display,
        value: &Spanned<i64>,
        range: RangeInclusive<T>,
    ) -> Result<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let found = *value.get_ref();
        T::try_from(found).ok().filter(|v| range.contains(v)).ok_or_else(|| {
            let (low, high) = (range.start(), range.end());
            self.error(key, value.span(), format_args!("{found} found, {low} to {high} expected"))
        })
    }

    /// A finite number above zero.
    pub fn positive(self, key: impl Display, value: &Spanned<f64>) -> Result<f64> {
        self.number(key, value, |v| v > 0.0, "a finite number above 0")
    }

    /// A finite number that is not negative.
    pub fn not_negative(self, key: impl Display, value: &Spanned<f64>) -> Result<f64> {
        self.number(key, value, |v| v >= 0.0, "a finite number of 0 or more")
    }

    /// A number from 0 to 1.
    pub fn fraction(self, key: impl Display, value: &Spanned<f64>) -> Result<f64> {
        self.number(key, value, |v| (0.0..=1.0).contains(&v), "a number from 0 to 1")
    }

    fn number(
        self,
        key: impl Display,
        value: &Spanned<f64>,
        accept: impl Fn(f64) -> bool,
        expected: &str,
    ) -> Result<f64> {
        let found = *value.get_ref();
        if found.is_finite() && accept(found) {
            return Ok(found);
        }
        Err(self.error(key, value.span(), format_args!("{found} found, {expected} expected")))
    }

    /// A text that is not blank.
    pub fn words(self, key: impl Display, value: &Spanned<String>) -> Result<String> {
        if value.get_ref().trim().is_empty() {
            return Err(self.error(key, value.span(), "blank, some words expected"));
        }
        Ok(value.get_ref().clone())
    }
}
