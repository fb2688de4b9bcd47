//! The parts of a TFLite model that the reader uses, by the field numbers of the TFLite schema
//! (version 3, file identifier `TFL3`).

use super::flatbuffer::{Numbers, Table, Tables};
use super::names;
use crate::error::{Error, Result};
use crate::network::{Encoding, MAX_ELEMENTS};
use crate::numeric::Format;

/// Most dimensions of a tensor.
const MAX_RANK: usize = 8;

/// The only subgraph of a model.
#[derive(Clone, Debug)]
pub struct Graph<'a> {
    codes: Tables<'a>,
    buffers: Tables<'a>,
    tensors: Tables<'a>,
    operators: Tables<'a>,
    /// The tensor that the model is given.
    pub input: i32,
    /// The tensor that it gives.
    pub output: i32,
}

impl<'a> Graph<'a> {
    /// The graph of a model of one subgraph with one input and one output.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        if bytes.get(4..8) != Some(b"TFL3") {
            return Err(Error::new("bytes 4 to 7", "are not TFL3, which TFLite models begin with")
                .remedy("give a TFLite model of schema version 3"));
        }
        let model = Table::root(bytes)?;
        let version: u32 = model.number(0, 0)?;
        if version != 3 {
            return Err(Error::new(format_args!("schema version {version}"), "3 was expected")
                .remedy("convert the model with a current TensorFlow or LiteRT"));
        }
        let subgraphs = model.tables(2)?;
        let (1, Some(subgraph)) = (subgraphs.len(), subgraphs.get(0)) else {
            return Err(Error::new(
                "subgraphs",
                format_args!("{} of them, 1 was expected", subgraphs.len()),
            )
            .remedy("control flow is not supported: convert a model without it"));
        };
        let subgraph = subgraph?;
        Ok(Self {
            codes: model.tables(1)?,
            buffers: model.tables(4)?,
            tensors: subgraph.tables(0)?,
            operators: subgraph.tables(3)?,
            input: only("inputs", subgraph.numbers(1)?)?,
            output: only("outputs", subgraph.numbers(2)?)?,
        })
    }

    /// How many operators there are.
    pub fn operators(&self) -> usize {
        self.operators.len()
    }

    /// The operator at `index`, in the order of execution.
    pub fn operator(&self, index: usize) -> Result<Operator<'a>> {
        let table = element("operator", &self.operators, index)?;
        let number: u32 = table.number(0, 0)?;
        let code = element("operator code", &self.codes, number as usize)?;
        let (old, new): (i8, i32) = (code.number(0, 0)?, code.number(3, 0)?);
        let code_number = new.max(old.into());
        let name = match names::name(code_number) {
            Some("CUSTOM") => format!("CUSTOM {}", code.text(1)?),
            Some(name) => name.to_owned(),
            None => format!("code {code_number}"),
        };
        Ok(Operator {
            name,
            inputs: table.numbers(1)?,
            outputs: table.numbers(2)?,
            options: table
                .table(4)?
                .map(|options| Ok::<_, Error>((table.number(3, 0)?, options)))
                .transpose()?,
        })
    }

    /// The tensor at `index`.
    pub fn tensor(&self, index: i32) -> Result<Tensor<'a>> {
        let table = usize::try_from(index)
            .map_err(|_| absent("tensor", index, self.tensors.len()))
            .and_then(|index| element("tensor", &self.tensors, index))?;
        let subject = format!("tensor `{}`", table.text(3)?);
        self.fields(table).map_err(|e| e.within(subject))
    }

    fn fields(&self, table: Table<'a>) -> Result<Tensor<'a>> {
        let shape = shape(table.numbers(0)?)?;
        let kind = Kind::of(table.number(1, 0)?)?;
        if table.number(5, 0u8)? != 0 || table.has(6) || table.has(9) {
            return Err(Error::new("tensor", "is a variable, sparse or a variant")
                .remedy("convert a model without them"));
        }
        let number: u32 = table.number(2, 0)?;
        let buffer = element("buffer", &self.buffers, number as usize)?;
        if buffer.number(1, 0i64)? != 0 {
            return Err(Error::new(
                "buffer",
                "lies outside of the FlatBuffer, as in models of \
                                             2 GB and more, which are not supported",
            ));
        }
        let data = buffer.numbers::<u8>(0)?.bytes();
        let bytes = shape.iter().product::<usize>() * kind.bytes();
        if !data.is_empty() && data.len() != bytes {
            return Err(Error::new(
                "buffer",
                format_args!("has {} bytes, its shape {shape:?} takes {bytes}", data.len()),
            ));
        }
        let data = (!data.is_empty()).then_some(data);
        Ok(Tensor { shape, kind, data, quantization: table.table(4)? })
    }
}

/// An operator.
#[derive(Clone, Debug)]
pub struct Operator<'a> {
    /// Its name in the schema.
    pub name: String,
    /// Tensors that it reads, −1 for one that is left out.
    pub inputs: Numbers<'a, i32>,
    /// Tensors that it writes.
    pub outputs: Numbers<'a, i32>,
    /// Its options, and which table of the schema they are.
    pub options: Option<(u8, Table<'a>)>,
}

/// A tensor.
#[derive(Clone, Debug)]
pub struct Tensor<'a> {
    /// Sizes, each at least 1, together at most [`MAX_ELEMENTS`].
    pub shape: Vec<usize>,
    /// Type of the elements.
    pub kind: Kind,
    /// Its elements, if it is a constant: as many bytes as the shape takes.
    pub data: Option<&'a [u8]>,
    quantization: Option<Table<'a>>,
}

impl Tensor<'_> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The encoding of words with one scale, or one by index along dimension `axis`.
    pub fn encoding(&self, axis: usize) -> Result<Encoding> {
        let Some(table) = self.quantization else {
            return Err(Error::new("quantization", "is missing")
                .remedy("convert the whole model to int8 or uint8"));
        };
        let format = self.kind.format()?;
        let (scales, zeros) = (table.numbers::<f32>(2)?, table.numbers::<i64>(3)?);
        let channels = self.shape.get(axis).copied().unwrap_or(1);
        let by_channel = scales.len() == channels && table.number(6, 0i32)? as usize == axis;
        if scales.len() != 1 && !by_channel {
            return Err(Error::new(
                "quantization",
                format_args!(
                    "has {} scales along dimension {}, one was expected or {channels} along \
                     dimension {axis}",
                    scales.len(),
                    table.number(6, 0i32)?
                ),
            ));
        }
        if zeros.len() > 1 && zeros.len() != scales.len() {
            return Err(Error::new(
                "quantization",
                format_args!("has {} zero points for {} scales", zeros.len(), scales.len()),
            ));
        }
        if let Some(scale) = scales.iter().find(|scale| !(scale.is_normal() && *scale > 0.0)) {
            return Err(Error::new("quantization", format_args!("has scale {scale}"))
                .remedy("scales are positive"));
        }
        if let Some(zero) = zeros.iter().find(|&zero| !format.contains(zero.into())) {
            return Err(Error::new("quantization", format_args!("has zero point {zero}"))
                .remedy(format_args!("zero points are words of {format}")));
        }
        let zero_points = if zeros.len() == 0 { vec![0] } else { zeros.iter().collect() };
        Ok(Encoding { format, scales: scales.iter().collect(), zero_points })
    }

    /// The elements of a constant of integers.
    pub fn integers(&self) -> Result<impl ExactSizeIterator<Item = i64> + '_> {
        let data = self.data.ok_or_else(|| {
            Error::new("tensor", "is computed, a constant was expected")
                .remedy("convert a model whose weights and shapes are constants")
        })?;
        let signed = match self.kind {
            Kind::Float32 => return Err(Error::new("tensor", "holds floats, not integers")),
            kind => kind != Kind::Uint8,
        };
        Ok(data.chunks_exact(self.kind.bytes()).map(move |bytes| {
            let negative = signed && bytes[bytes.len() - 1] >= 0x80;
            let mut word = if negative { [0xff; 8] } else { [0; 8] };
            word[..bytes.len()].copy_from_slice(bytes);
            i64::from_le_bytes(word)
        }))
    }
}

/// Types of elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Real values.
    Float32,
    /// Biases and shapes.
    Int32,
    /// Shapes.
    Int64,
    /// Words.
    Int8,
    /// Words.
    Uint8,
}

impl Kind {
    fn of(code: i8) -> Result<Self> {
        match code {
            0 => Ok(Self::Float32),
            2 => Ok(Self::Int32),
            3 => Ok(Self::Uint8),
            4 => Ok(Self::Int64),
            9 => Ok(Self::Int8),
            _ => Err(Error::new("tensor", format_args!("has elements of type {code}"))
                .remedy("convert the model to int8 or uint8")),
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Int8 | Self::Uint8 => 1,
            Self::Float32 | Self::Int32 => 4,
            Self::Int64 => 8,
        }
    }

    /// Whether feature maps and weights have words of this type.
    pub fn is_word(self) -> bool {
        matches!(self, Self::Int8 | Self::Uint8)
    }

    fn format(self) -> Result<Format> {
        Format::new(self != Self::Uint8, 8 * self.bytes() as u32, 0)
    }
}

fn shape(sizes: Numbers<i32>) -> Result<Vec<usize>> {
    if sizes.len() > MAX_RANK {
        return Err(Error::new("shape", format_args!("has {} dimensions", sizes.len()))
            .remedy(format_args!("at most {MAX_RANK} are supported")));
    }
    let sizes: Vec<i32> = sizes.iter().collect();
    let positive = |&size: &i32| usize::try_from(size).ok().filter(|&size| size > 0);
    let shape: Option<Vec<usize>> = sizes.iter().map(positive).collect();
    let elements = |shape: &Vec<usize>| {
        let product = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        product.is_some_and(|elements| elements <= MAX_ELEMENTS)
    };
    shape.filter(elements).ok_or_else(|| {
        Error::new("shape", format_args!("{sizes:?}"))
            .remedy(format_args!("sizes are positive, and at most {MAX_ELEMENTS} elements allowed"))
    })
}

/// The only number of a list.
fn only(what: &str, numbers: Numbers<i32>) -> Result<i32> {
    match (numbers.len(), numbers.iter().next()) {
        (1, Some(number)) => Ok(number),
        (length, _) => Err(Error::new(what, format_args!("{length} of them, 1 was expected"))
            .remedy("convert a model with one input and one output")),
    }
}

fn element<'a>(what: &str, tables: &Tables<'a>, index: usize) -> Result<Table<'a>> {
    tables.get(index).ok_or_else(|| absent(what, index, tables.len()))?
}

fn absent(what: &str, index: impl std::fmt::Display, length: usize) -> Error {
    Error::new(format_args!("{what} {index}"), format_args!("does not exist, there are {length}"))
        .remedy("the file is damaged or cut off: fetch or convert it again")
}
