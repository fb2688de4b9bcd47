//! Quantizers one after another.

use std::sync::Arc;

use super::exact::word_of;
use super::{Layout, Quantizer, QuantizerSpec, Seen, WordFormat};
use crate::error::{Error, Result};
use crate::numeric::Format;
use crate::quantize::WordMap;
use crate::tensor::{Shape, Words};

/// Widest words for which a quantizer is tabulated.
const TABLE_BITS: u32 = 16;

/// Settled quantizers, applied in order.
#[derive(Clone, Debug)]
pub struct Chain {
    site: String,
    quantizers: Vec<Arc<dyn Quantizer>>,
}

impl Chain {
    /// Settles `specs`, each on the values that the ones before it give.
    ///
    /// # Errors
    /// As [`QuantizerSpec::fit`].
    pub fn fit(specs: &[QuantizerSpec], seen: &Seen) -> Result<Self> {
        let mut distribution = seen.distribution.cloned();
        let mut quantizers: Vec<Arc<dyn Quantizer>> = Vec::with_capacity(specs.len());
        for spec in specs {
            let quantizer = spec.fit(&Seen { distribution: distribution.as_ref(), ..*seen })?;
            if quantizers.len() + 1 < specs.len() && quantizer.on_map(Shape::vector(1)).is_none() {
                distribution =
                    distribution.map(|d| d.map(|v| quantizer.quantize(v, Layout::vector(1))));
            }
            quantizers.push(quantizer);
        }
        Ok(Self { site: seen.site.to_owned(), quantizers })
    }

    /// The format of the words that the values are, at most 32 bits wide.
    ///
    /// # Errors
    /// If the chain quantizes values only.
    pub fn format(&self) -> Result<Format> {
        let format =
            self.quantizers.iter().fold(None, |format, quantizer| match quantizer.words() {
                WordFormat::Exact(format) => Some(format),
                WordFormat::Kept => format,
                WordFormat::ValuesOnly => None,
            });
        format.filter(|f| f.bits() <= 32).ok_or_else(|| {
            Error::new(
                &self.site,
                format_args!(
                    "`{}` quantizes values only: they have no exact words of at most 32 bits",
                    self.describe()
                ),
            )
            .remedy("follow it by a quantizer that has words, such as a fixed-point one")
        })
    }

    /// Quantizes all values of a tensor in place.
    pub fn quantize(&self, values: &mut [f64], layout: Layout) {
        self.quantizers.iter().for_each(|quantizer| quantizer.quantize(values, layout));
    }

    /// The words of a tensor's values.
    ///
    /// # Errors
    /// If the chain quantizes values only.
    pub fn words(&self, mut values: Vec<f64>, layout: Layout) -> Result<Words> {
        let format = self.format()?;
        self.quantize(&mut values, layout);
        let raw: Result<Vec<i64>> = values.iter().map(|&v| self.word(format, v)).collect();
        Ok(Words::from_raw(format, raw?.into_iter()))
    }

    /// Refuses a quantizer whose values are not the words that it says.
    fn word(&self, format: Format, value: f64) -> Result<i64> {
        word_of(format, value).ok_or_else(|| {
            Error::new(
                &self.site,
                format_args!("`{}` gave {value}, no word of {format}", self.describe()),
            )
        })
    }

    /// The chain on the words `from` of a feature map of `shape`.
    ///
    /// # Errors
    /// If the chain quantizes values only, or `from` is too wide to tabulate.
    pub fn maps(&self, from: Format, shape: Shape) -> Result<Vec<WordMap>> {
        let mut maps = Vec::new();
        let mut format = from;
        let mut start = 0;
        for end in 0..=self.quantizers.len() {
            let map = self.quantizers.get(end).and_then(|q| q.on_map(shape));
            if map.is_none() && end < self.quantizers.len() {
                continue;
            }
            if start < end {
                let part = Self {
                    site: self.site.clone(),
                    quantizers: self.quantizers[start..end].to_vec(),
                };
                let table = part.table(format)?;
                format = table.1;
                maps.push(WordMap::Table { words: table.0.into(), format });
            }
            maps.extend(map);
            start = end + 1;
        }
        Ok(maps)
    }

    /// The result of every word of `from`, element by element, and its format.
    fn table(&self, from: Format) -> Result<(Vec<i64>, Format)> {
        if from.bits() > TABLE_BITS {
            return Err(Error::new(
                &self.site,
                format_args!(
                    "`{}` on words of {from}: at most {TABLE_BITS} bits are supported",
                    self.describe()
                ),
            )
            .remedy("narrow the fixed-point format before it"));
        }
        let kept = self.quantizers.iter().all(|q| q.words() == WordFormat::Kept);
        let format = if kept { from } else { self.format()? };
        let words = (from.min()..=from.max()).map(|raw| {
            let mut value = [from.value(raw)];
            self.quantize(&mut value, Layout::vector(1));
            self.word(format, value[0])
        });
        Ok((words.collect::<Result<_>>()?, format))
    }

    /// What it does, for people.
    pub fn describe(&self) -> String {
        let parts: Vec<_> = self.quantizers.iter().map(|q| q.describe()).collect();
        parts.join(" → ")
    }
}
