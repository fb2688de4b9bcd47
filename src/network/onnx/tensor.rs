//! Constant tensors of a model: initializers and `Constant` nodes, external data included.

use std::path::{Component, Path};

use rten_onnx::onnx::{DataLocation, DataType, TensorProto};

use crate::error::{Error, Result};
use crate::files;
use crate::network::MAX_ELEMENTS;
use crate::numeric::Format;

/// A constant. Elements are row-major.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    /// Sizes; none for a scalar.
    pub dims: Vec<usize>,
    /// Elements.
    pub data: Data,
}

/// Elements by type.
#[derive(Clone, PartialEq, Debug)]
pub enum Data {
    /// Any float type.
    Float(Vec<f32>),
    /// An integer type and its words.
    Int(Format, Vec<i64>),
}

impl Tensor {
    /// A scalar or vector of indices.
    pub fn indices(dims: Vec<usize>, values: Vec<i64>) -> Self {
        Self { dims, data: Data::Int(int(true, 64), values) }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match &self.data {
            Data::Float(values) => values.len(),
            Data::Int(_, words) => words.len(),
        }
    }

    /// The elements as floats.
    pub fn floats(&self) -> Vec<f32> {
        match &self.data {
            Data::Float(values) => values.clone(),
            Data::Int(_, words) => words.iter().map(|&word| word as f32).collect(),
        }
    }

    /// The elements as integers, if they are.
    pub fn ints(&self) -> Result<&[i64]> {
        match &self.data {
            Data::Int(_, words) => Ok(words),
            Data::Float(_) => Err(Error::new("constant", "is of floats, integers were expected")),
        }
    }

    /// A function of each element, as floats.
    pub fn mapped(&self, function: impl Fn(f32) -> f32) -> Self {
        let values = self.floats().into_iter().map(function).collect();
        Self { dims: self.dims.clone(), data: Data::Float(values) }
    }

    /// The same elements with other sizes.
    pub fn reshaped(&self, dims: Vec<usize>) -> Result<Self> {
        if dims.iter().product::<usize>() != self.len() {
            return Err(Error::new(
                format_args!("constant of sizes {:?}", self.dims),
                format_args!("cannot have the sizes {dims:?}"),
            ));
        }
        Ok(Self { dims, data: self.data.clone() })
    }

    /// The elements at `indices`, as a tensor of `dims`.
    pub fn gathered(&self, dims: Vec<usize>, indices: impl Iterator<Item = usize>) -> Self {
        let data = match &self.data {
            Data::Float(values) => Data::Float(indices.map(|index| values[index]).collect()),
            Data::Int(format, words) => {
                Data::Int(*format, indices.map(|index| words[index]).collect())
            }
        };
        Self { dims, data }
    }

    /// The axes in another order: axis i of the result is axis `order[i]`.
    pub fn transposed(&self, order: &[usize]) -> Self {
        let mut strides = vec![1; self.dims.len()];
        for axis in (1..self.dims.len()).rev() {
            strides[axis - 1] = strides[axis] * self.dims[axis];
        }
        let dims: Vec<usize> = order.iter().map(|&axis| self.dims[axis]).collect();
        let index = |mut element: usize| {
            let mut index = 0;
            for (&axis, &size) in order.iter().zip(&dims).rev() {
                index += element % size * strides[axis];
                element /= size;
            }
            index
        };
        self.gathered(dims.clone(), (0..self.len()).map(index))
    }

    /// Reads a tensor; external data lies below `folder`.
    pub fn read(proto: &TensorProto, folder: &Path) -> Result<Self> {
        let name = proto.name.as_deref().unwrap_or("");
        Self::read_data(proto, folder).map_err(|e| e.within(format_args!("tensor `{name}`")))
    }

    fn read_data(proto: &TensorProto, folder: &Path) -> Result<Self> {
        let sizes: Option<Vec<usize>> =
            proto.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        let dims = sizes.ok_or_else(|| Error::new("dims", format_args!("{:?}", proto.dims)))?;
        let len = dims.iter().try_fold(1usize, |len, &dim| len.checked_mul(dim));
        let len = len.filter(|&len| len <= MAX_ELEMENTS).ok_or_else(|| {
            Error::new("dims", format_args!("{dims:?} has more than {MAX_ELEMENTS} elements"))
        })?;
        let kind = proto.data_type.unwrap_or(DataType(0));
        let external = proto.data_location == Some(DataLocation::EXTERNAL);
        let raw = if external {
            Some(external_data(proto, folder)?)
        } else {
            proto.raw_data.as_ref().map(std::cell::RefCell::take)
        };
        let data = match raw {
            Some(bytes) => from_bytes(kind, &bytes, len)?,
            None => from_fields(kind, proto)?,
        };
        let found = Self { dims, data };
        if found.len() != len {
            return Err(Error::new(
                "data",
                format_args!("has {} elements, its sizes {:?} make {len}", found.len(), found.dims),
            ));
        }
        Ok(found)
    }
}

/// An integer type of at most 64 bits.
pub fn int(signed: bool, bits: u32) -> Format {
    Format::new(signed, bits, 0).expect("1 to 64 bits are a format")
}

/// The format of an integer data type.
pub fn int_format(kind: DataType) -> Option<Format> {
    Some(match kind {
        DataType::INT4 => int(true, 4),
        DataType::UINT4 => int(false, 4),
        DataType::INT8 => int(true, 8),
        DataType::UINT8 => int(false, 8),
        DataType::INT16 => int(true, 16),
        DataType::UINT16 => int(false, 16),
        DataType::INT32 => int(true, 32),
        DataType::UINT32 => int(false, 32),
        DataType::INT64 => int(true, 64),
        DataType::BOOL => int(false, 1),
        _ => return None,
    })
}

fn unsupported(kind: DataType) -> Error {
    let name = kind.name().map_or_else(|| kind.0.to_string(), str::to_owned);
    Error::new("data type", format_args!("{name} is not supported"))
        .remedy("use float32, float16, bfloat16, double or integers of 4 to 64 bits")
}

fn from_bytes(kind: DataType, bytes: &[u8], len: usize) -> Result<Data> {
    fn chunks<const N: usize, T>(bytes: &[u8], of: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks::<N>().0.iter().map(|&chunk| of(chunk)).collect()
    }
    let width = match kind {
        DataType::INT4 | DataType::UINT4 => {
            let packed = bytes.iter().flat_map(|byte| [byte & 15, byte >> 4]);
            let words = packed.take(len).map(|word| match kind {
                DataType::INT4 => i64::from((word << 4) as i8 >> 4),
                _ => i64::from(word),
            });
            let whole = bytes.len() == len.div_ceil(2);
            let words = if whole { words.collect() } else { Vec::new() };
            return Ok(Data::Int(int_format(kind).ok_or_else(|| unsupported(kind))?, words));
        }
        DataType::INT8 | DataType::UINT8 | DataType::BOOL => 1,
        DataType::INT16 | DataType::UINT16 | DataType::FLOAT16 | DataType::BFLOAT16 => 2,
        DataType::FLOAT | DataType::INT32 | DataType::UINT32 => 4,
        DataType::DOUBLE | DataType::INT64 => 8,
        _ => return Err(unsupported(kind)),
    };
    if !bytes.len().is_multiple_of(width) {
        let problem = format!("has {} bytes, no multiple of {width}", bytes.len());
        return Err(Error::new("data", problem));
    }
    let words = match kind {
        DataType::FLOAT => return Ok(Data::Float(chunks(bytes, f32::from_le_bytes))),
        DataType::DOUBLE => {
            return Ok(Data::Float(chunks(bytes, |b| f64::from_le_bytes(b) as f32)));
        }
        DataType::FLOAT16 => {
            return Ok(Data::Float(chunks(bytes, |b| half::f16::from_le_bytes(b).to_f32())));
        }
        DataType::BFLOAT16 => {
            return Ok(Data::Float(chunks(bytes, |b| half::bf16::from_le_bytes(b).to_f32())));
        }
        DataType::INT8 => chunks(bytes, |b| i64::from(i8::from_le_bytes(b))),
        DataType::INT16 => chunks(bytes, |b| i64::from(i16::from_le_bytes(b))),
        DataType::UINT16 => chunks(bytes, |b| i64::from(u16::from_le_bytes(b))),
        DataType::INT32 => chunks(bytes, |b| i64::from(i32::from_le_bytes(b))),
        DataType::UINT32 => chunks(bytes, |b| i64::from(u32::from_le_bytes(b))),
        DataType::INT64 => chunks(bytes, i64::from_le_bytes),
        _ => bytes.iter().map(|&byte| i64::from(byte)).collect(),
    };
    Ok(Data::Int(int_format(kind).ok_or_else(|| unsupported(kind))?, words))
}

/// Elements in the typed fields of the message.
fn from_fields(kind: DataType, proto: &TensorProto) -> Result<Data> {
    let half = |to: fn(u16) -> f32| proto.int32_data.iter().map(|&w| to(w as u16)).collect();
    Ok(match kind {
        DataType::FLOAT => Data::Float(proto.float_data.clone()),
        DataType::DOUBLE => Data::Float(proto.double_data.iter().map(|&v| v as f32).collect()),
        DataType::FLOAT16 => Data::Float(half(|word| half::f16::from_bits(word).to_f32())),
        DataType::BFLOAT16 => Data::Float(half(|word| half::bf16::from_bits(word).to_f32())),
        DataType::INT64 => Data::Int(int(true, 64), proto.int64_data.clone()),
        DataType::INT4 | DataType::UINT4 => {
            let bytes: Vec<u8> = proto.int32_data.iter().map(|&word| word as u8).collect();
            let len = proto.dims.iter().product::<i64>().max(0) as usize;
            return from_bytes(kind, &bytes, len);
        }
        _ => {
            let format = int_format(kind).ok_or_else(|| unsupported(kind))?;
            let words: Vec<i64> = proto.int32_data.iter().map(|&word| word.into()).collect();
            if let Some(word) = words.iter().find(|&&word| !format.contains(word.into())) {
                return Err(Error::new("data", format_args!("{word} is no {format}")));
            }
            Data::Int(format, words)
        }
    })
}

/// The bytes of a tensor in another file, which lies in the model's folder or below it.
fn external_data(proto: &TensorProto, folder: &Path) -> Result<Vec<u8>> {
    let entry = |key: &str| {
        let found = proto.external_data.iter().find(|entry| entry.key.as_deref() == Some(key));
        found.and_then(|entry| entry.value.as_deref())
    };
    let Some(location) = entry("location") else {
        return Err(Error::new("external data", "has no location"));
    };
    let path = Path::new(location);
    if !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(Error::new(
            "external data",
            format_args!("`{location}` is not below the model's folder"),
        )
        .remedy("save the model with its data beside it"));
    }
    let number = |key: &str| match entry(key).map(str::parse::<u64>) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(Error::new("external data", format_args!("`{key}` is no number"))),
    };
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    let (root, file) = (folder.canonicalize(), folder.join(path).canonicalize());
    if let (Ok(root), Ok(file)) = (root.or_else(|_| Path::new(".").canonicalize()), &file)
        && !file.starts_with(root)
    {
        return Err(Error::new(
            "external data",
            format_args!("`{location}` leads out of the folder"),
        ));
    }
    files::read_part(&folder.join(path), offset, length)
}
