//! Reading FlatBuffers, every offset and length checked against the file before it is used.
//!
//! A table begins with the distance back to its vtable: two lengths, then for each field its place
//! in the table, 0 if it is absent. What is not a number lies elsewhere, at the distance that the
//! field holds. (FlatBuffers internals; the official crate reads through `unsafe` functions.)

use std::marker::PhantomData;

use crate::error::{Error, Result};

/// A number of the format, little-endian.
pub trait Number: Copy {
    /// Bytes of one.
    const BYTES: usize;
    /// The number in `bytes`, of that length.
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl Number for $number {
            const BYTES: usize = size_of::<Self>();

            fn read(bytes: &[u8]) -> Self {
                bytes.try_into().map_or(Self::default(), Self::from_le_bytes)
            }
        })*
    };
}

numbers!(i8, u8, u16, i32, u32, i64, f32);

/// A table in a file.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    file: &'a [u8],
    at: usize,
    /// Places of the fields, two bytes each.
    fields: &'a [u8],
}

impl<'a> Table<'a> {
    /// The table that the file begins with.
    pub fn root(file: &'a [u8]) -> Result<Self> {
        Self::new(file, follow(file, 0)?)
    }

    fn new(file: &'a [u8], at: usize) -> Result<Self> {
        let back: i32 = number(file, at)?;
        let vtable = (at as i64).checked_sub(back.into()).and_then(|at| usize::try_from(at).ok());
        let vtable = vtable.ok_or_else(|| outside(at))?;
        let length: u16 = number(file, vtable)?;
        let fields = slice(file, vtable, length.into())?.get(4..).ok_or_else(|| outside(vtable))?;
        Ok(Self { file, at, fields })
    }

    /// Where field `slot` lies, if it is present.
    fn field(&self, slot: usize) -> Option<usize> {
        let place = u16::read(self.fields.get(2 * slot..2 * slot + 2)?);
        (place != 0).then(|| self.at + usize::from(place))
    }

    /// Whether field `slot` is present.
    pub fn has(&self, slot: usize) -> bool {
        self.field(slot).is_some()
    }

    /// The number in field `slot`, or its default.
    pub fn number<T: Number>(&self, slot: usize, default: T) -> Result<T> {
        self.field(slot).map_or(Ok(default), |at| number(self.file, at))
    }

    /// The table in field `slot`.
    pub fn table(&self, slot: usize) -> Result<Option<Self>> {
        let table = |at| Self::new(self.file, follow(self.file, at)?);
        self.field(slot).map(table).transpose()
    }

    /// The numbers in field `slot`; none if it is absent.
    pub fn numbers<T: Number>(&self, slot: usize) -> Result<Numbers<'a, T>> {
        let bytes = self.vector(slot, T::BYTES)?.1;
        Ok(Numbers { bytes, number: PhantomData })
    }

    /// The tables in field `slot`; none if it is absent.
    pub fn tables(&self, slot: usize) -> Result<Tables<'a>> {
        let (first, offsets) = self.vector(slot, u32::BYTES)?;
        Ok(Tables { file: self.file, first, length: offsets.len() / u32::BYTES })
    }

    /// The text in field `slot`, replacement characters for what is not UTF-8.
    pub fn text(&self, slot: usize) -> Result<String> {
        Ok(String::from_utf8_lossy(self.vector(slot, 1)?.1).into_owned())
    }

    /// Where the elements of the vector in field `slot` begin, and their bytes.
    fn vector(&self, slot: usize, element: usize) -> Result<(usize, &'a [u8])> {
        let Some(field) = self.field(slot) else { return Ok((0, &[])) };
        let at = follow(self.file, field)?;
        let length: u32 = number(self.file, at)?;
        let first = at + u32::BYTES;
        Ok((first, slice(self.file, first, (length as usize).saturating_mul(element))?))
    }
}

/// A vector of numbers.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a, T> {
    bytes: &'a [u8],
    number: PhantomData<T>,
}

impl<'a, T: Number> Numbers<'a, T> {
    /// How many.
    pub fn len(&self) -> usize {
        self.bytes.len() / T::BYTES
    }

    /// Their bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        self.bytes.chunks_exact(T::BYTES).map(T::read)
    }
}

/// A vector of tables.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a> {
    file: &'a [u8],
    first: usize,
    length: usize,
}

impl<'a> Tables<'a> {
    /// How many.
    pub fn len(&self) -> usize {
        self.length
    }

    /// The table at `index`, if there are so many.
    pub fn get(&self, index: usize) -> Option<Result<Table<'a>>> {
        let at = self.first + index * u32::BYTES;
        (index < self.length).then(|| Table::new(self.file, follow(self.file, at)?))
    }
}

/// Where the offset at `at` leads.
fn follow(file: &[u8], at: usize) -> Result<usize> {
    let offset: u32 = number(file, at)?;
    Ok(at.saturating_add(offset as usize))
}

fn number<T: Number>(file: &[u8], at: usize) -> Result<T> {
    slice(file, at, T::BYTES).map(T::read)
}

fn slice(file: &[u8], at: usize, length: usize) -> Result<&[u8]> {
    let end = at.checked_add(length).ok_or_else(|| outside(at))?;
    file.get(at..end).ok_or_else(|| outside(at))
}

fn outside(at: usize) -> Error {
    Error::new(format_args!("byte {at}"), "an offset or length leads out of the file")
        .remedy("the file is damaged or cut off: fetch or convert it again")
}
