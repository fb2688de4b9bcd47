//! Dotted keys into TOML tables.

use toml::{Table, Value};

use crate::error::{Error, Result};

/// The parts of a dotted key, written as TOML writes it: `memory.dram.word_bits`,
/// `rule."*.weights".quantizer`.
pub(super) fn parts(key: &str) -> Result<Vec<String>> {
    let refuse = || {
        Error::new(format_args!("`{key}`"), "is no dotted key")
            .remedy("write it as TOML does: hw.array.rows, plan.rule.\"*.weights\".quantizer")
    };
    let parsed: Table = toml::from_str(&format!("{key} = 0")).map_err(|_| refuse())?;
    let mut parts = Vec::new();
    let mut table = &parsed;
    loop {
        let mut entries = table.iter();
        let (Some((part, value)), None) = (entries.next(), entries.next()) else {
            return Err(refuse());
        };
        parts.push(part.clone());
        match value {
            Value::Table(inner) => table = inner,
            _ => return Ok(parts),
        }
    }
}

/// The value at `parts`; an element of an array of tables goes by its `name`, its `select` or its
/// number from 0.
pub(super) fn find<'a>(table: &'a mut Table, parts: &[String]) -> Option<&'a mut Value> {
    let (first, rest) = parts.split_first()?;
    rest.iter().try_fold(table.get_mut(first)?, |value, part| match value {
        Value::Table(table) => table.get_mut(part),
        Value::Array(elements) => {
            let named = |element: &Value| {
                ["name", "select"]
                    .iter()
                    .any(|key| element.get(key).and_then(Value::as_str) == Some(part))
            };
            let index = elements.iter().position(named).or_else(|| part.parse().ok())?;
            elements.get_mut(index)
        }
        _ => None,
    })
}

/// What may stand in the place of the last part of a key that leads nowhere.
pub(super) fn choices(table: &mut Table, parts: &[String]) -> Vec<String> {
    let known = (0..parts.len()).rev().find_map(|len| match len {
        0 => Some(table.keys().cloned().collect()),
        _ => match find(table, &parts[..len])? {
            Value::Table(table) => Some(table.keys().cloned().collect()),
            Value::Array(elements) => Some(
                (elements.iter())
                    .filter_map(|e| e.get("name").or(e.get("select"))?.as_str().map(str::to_owned))
                    .collect(),
            ),
            _ => Some(Vec::new()),
        },
    });
    known.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_through_tables_and_named_elements() {
        let mut table: Table = toml::from_str(
            "[array]\nrows = 4\n[[memory]]\nname = \"dram\"\nbits = 1\n[[memory]]\nname = \"buf\"\n\
             bits = 2\n[[rule]]\nselect = \"*.weights\"\nquantizer = { format = \"s8\" }\n",
        )
        .unwrap();
        let mut at = |key: &str| find(&mut table, &parts(key).unwrap()).cloned();
        assert_eq!(at("array.rows"), Some(Value::Integer(4)));
        assert_eq!(at("memory.buf.bits"), Some(Value::Integer(2)));
        assert_eq!(at("memory.0.bits"), Some(Value::Integer(1)));
        assert_eq!(at("rule.\"*.weights\".quantizer.format"), Some(Value::String("s8".into())));
        assert_eq!(at("array.rowz"), None);
        assert_eq!(at("array.rows.deep"), None);
        assert_eq!(at("memory.9.bits"), None);
        let wrong = parts("array.rowz").unwrap();
        assert_eq!(choices(&mut table, &wrong), ["rows"]);
        let wrong = parts("memory.cache.bits").unwrap();
        assert_eq!(choices(&mut table, &wrong), ["dram", "buf"]);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for key in ["", "a.", "a b", "a = 1\nb", ".", "a..b"] {
            assert!(parts(key).is_err(), "{key}");
        }
    }
}
