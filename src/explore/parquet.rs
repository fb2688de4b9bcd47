//! The table of a sweep as Parquet: the rows and columns of the CSV, with their types.

use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::Result as Written;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;
use serde_json::Value;

use super::table::{Table, cell};
use crate::error::{Error, Result};

type Group<'a> = SerializedRowGroupWriter<'a, Vec<u8>>;

impl Table {
    /// A Parquet file of the columns of [`Table::to_csv`] in its order, one row group, uncompressed:
    /// `point` and columns of whole numbers as INT64, other numbers as DOUBLE, truth values as BOOLEAN,
    /// texts and what is mixed as UTF-8; null where there is no value.
    ///
    /// # Errors
    /// If the format refuses the table.
    pub fn to_parquet(&self) -> Result<Vec<u8>> {
        let columns = self.typed_columns();
        write(&columns).map_err(|e| Error::new("table as Parquet", e))
    }

    fn typed_columns(&self) -> Vec<(&str, Kind, Vec<Value>)> {
        let points = self.rows.iter().map(|row| row.point.into()).collect();
        let mut columns = vec![("point", Kind::Integer, points)];
        for (index, column) in self.columns.iter().enumerate() {
            let values: Vec<Value> =
                self.rows.iter().map(|row| row.values[index].clone()).collect();
            columns.push((&column.name, Kind::of(&values), values));
        }
        if !self.pareto.is_empty() {
            let front = self.rows.iter().map(|row| row.front.into()).collect();
            columns.push(("front", Kind::Truth, front));
        }
        columns
    }
}

/// The type of a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Integer,
    Real,
    Truth,
    Text,
}

impl Kind {
    /// The narrowest type of all values that are there; [`Kind::Real`] where none is.
    fn of(values: &[Value]) -> Self {
        let all = |is: fn(&Value) -> bool| values.iter().all(|value| value.is_null() || is(value));
        if all(Value::is_null) {
            Self::Real
        } else if all(Value::is_i64) {
            Self::Integer
        } else if all(Value::is_number) {
            Self::Real
        } else if all(Value::is_boolean) {
            Self::Truth
        } else {
            Self::Text
        }
    }

    fn field(self, name: &str) -> Written<Type> {
        let (physical, logical) = match self {
            Self::Integer => (Physical::INT64, None),
            Self::Real => (Physical::DOUBLE, None),
            Self::Truth => (Physical::BOOLEAN, None),
            Self::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        Type::primitive_type_builder(name, physical)
            .with_logical_type(logical)
            .with_repetition(Repetition::OPTIONAL)
            .build()
    }
}

fn write(columns: &[(&str, Kind, Vec<Value>)]) -> Written<Vec<u8>> {
    let fields = columns.iter().map(|(name, kind, _)| Ok(Arc::new(kind.field(name)?)));
    let schema =
        Type::group_type_builder("sweep").with_fields(fields.collect::<Written<_>>()?).build()?;
    let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::default())?;
    let mut group = file.next_row_group()?;
    for (_, kind, values) in columns {
        match kind {
            Kind::Integer => column::<Int64Type>(&mut group, values, Value::as_i64)?,
            Kind::Real => column::<DoubleType>(&mut group, values, Value::as_f64)?,
            Kind::Truth => column::<BoolType>(&mut group, values, Value::as_bool)?,
            Kind::Text => column::<ByteArrayType>(&mut group, values, |value| {
                (!value.is_null()).then(|| ByteArray::from(cell(value).into_bytes()))
            })?,
        }
    }
    group.close()?;
    file.into_inner()
}

/// Writes the next column; a definition level of 0 stands for null.
fn column<T: DataType>(
    group: &mut Group,
    values: &[Value],
    of: impl Fn(&Value) -> Option<T::T>,
) -> Written<()> {
    let values: Vec<Option<T::T>> = values.iter().map(of).collect();
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let present: Vec<T::T> = values.into_iter().flatten().collect();
    if let Some(mut writer) = group.next_column()? {
        writer.typed::<T>().write_batch(&present, Some(&levels), None)?;
        writer.close()?;
    }
    Ok(())
}
