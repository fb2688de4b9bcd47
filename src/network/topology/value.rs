//! A value in a topology file, with the place where it is written.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

/// Keys of a table and their values.
pub type Keys = BTreeMap<String, Spanned<Value>>;

/// What TOML can say, dates aside.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Value>>),
    Table(Keys),
}

/// What a key's value is read as.
pub trait FromValue: Sized {
    /// What is expected, for messages.
    const EXPECTED: &'static str;

    /// The value, if it is one of these.
    fn from_value(value: &Value) -> Option<Self>;
}

impl FromValue for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Boolean(value) => Some(*value),
            _ => None,
        }
    }
}

impl FromValue for usize {
    const EXPECTED: &'static str = "a whole number";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }
}

impl FromValue for f32 {
    const EXPECTED: &'static str = "a number";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(value) => Some(*value as f32),
            Value::Float(value) => Some(*value as f32),
            _ => None,
        }
    }
}

impl FromValue for String {
    const EXPECTED: &'static str = "a name";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(value) => Some(value.clone()),
            _ => None,
        }
    }
}

/// A size by axis: height, width.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair(pub [usize; 2]);

impl FromValue for Pair {
    const EXPECTED: &'static str = "a size or [height, width]";

    fn from_value(value: &Value) -> Option<Self> {
        match sizes(value)?[..] {
            [both] => Some(Self([both, both])),
            [height, width] => Some(Self([height, width])),
            _ => None,
        }
    }
}

/// Padding at the top, left, bottom and right, or as much as `same` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Padding {
    Sides([usize; 4]),
    Same,
}

impl FromValue for Padding {
    const EXPECTED: &'static str =
        "a size, [vertical, horizontal], [top, left, bottom, right] or \"same\"";

    fn from_value(value: &Value) -> Option<Self> {
        if matches!(value, Value::Text(word) if word == "same") {
            return Some(Self::Same);
        }
        match sizes(value)?[..] {
            [all] => Some(Self::Sides([all; 4])),
            [vertical, horizontal] => {
                Some(Self::Sides([vertical, horizontal, vertical, horizontal]))
            }
            [top, left, bottom, right] => Some(Self::Sides([top, left, bottom, right])),
            _ => None,
        }
    }
}

/// One size, or two to four of a list.
fn sizes(value: &Value) -> Option<Vec<usize>> {
    match value {
        Value::List(list) if (2..=4).contains(&list.len()) => {
            list.iter().map(|size| usize::from_value(size.get_ref())).collect()
        }
        _ => Some(vec![usize::from_value(value)?]),
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
            Self::List(_) => "a list".fmt(f),
            Self::Table(_) => "a table".fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Boolean(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(Value::Integer(value))
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
                i64::try_from(value).map(Value::Integer).map_err(|_| E::custom("is too large"))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(Value::Float(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(Value::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(Value::List(values))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Value, A::Error> {
                let mut keys = Keys::new();
                while let Some((key, value)) = table.next_entry::<String, _>()? {
                    if keys.insert(key, value).is_some() {
                        return Err(A::Error::custom("has the same key twice"));
                    }
                }
                Ok(Value::Table(keys))
            }
        }

        deserializer.deserialize_any(Any)
    }
}
