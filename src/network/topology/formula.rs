//! Values that refer to a block's parameters: `"$width"`, or a product such as `"4*$width"`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use toml::Spanned;

use super::value::Value;

/// The values of a block's parameters.
pub type Arguments<'a> = BTreeMap<&'a str, Cow<'a, Spanned<Value>>>;

/// A factor of a formula.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Factor<'a> {
    Number(i64),
    Parameter(&'a str),
}

/// The factors of a text that refers to parameters; `None` if it does not, an error if it is no
/// product.
pub fn factors(text: &str) -> Option<Result<Vec<Factor<'_>>, String>> {
    if !text.contains('$') {
        return None;
    }
    Some(text.split('*').map(|text| factor(text.trim())).collect())
}

fn factor(text: &str) -> Result<Factor<'_>, String> {
    match (text.strip_prefix('$'), text.parse()) {
        (Some(name), _) if is_parameter_name(name) => Ok(Factor::Parameter(name)),
        (_, Ok(number)) => Ok(Factor::Number(number)),
        _ => Err(format!("`{text}` is neither a number nor a `$parameter`")),
    }
}

/// Whether `$name` can be a factor.
pub fn is_parameter_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `value` with its parameters replaced by `arguments`; what is wrong if that cannot be.
pub fn evaluate<'a>(
    value: &'a Spanned<Value>,
    arguments: &Arguments<'a>,
) -> Result<Cow<'a, Spanned<Value>>, String> {
    match value.get_ref() {
        Value::Text(text) => match factors(text) {
            Some(factors) => product(value, text, &factors?, arguments),
            None => Ok(Cow::Borrowed(value)),
        },
        Value::List(list) if list.iter().any(refers) => {
            let element = |element| match evaluate(element, arguments)?.into_owned() {
                list if matches!(list.get_ref(), Value::List(_) | Value::Table(_)) => {
                    Err("a list cannot hold a list or a table".into())
                }
                element => Ok(element),
            };
            let list: Result<_, String> = list.iter().map(element).collect();
            Ok(Cow::Owned(Spanned::new(value.span(), Value::List(list?))))
        }
        _ => Ok(Cow::Borrowed(value)),
    }
}

fn refers(value: &Spanned<Value>) -> bool {
    matches!(value.get_ref(), Value::Text(text) if text.contains('$'))
}

fn product<'a>(
    value: &'a Spanned<Value>,
    text: &str,
    factors: &[Factor],
    arguments: &Arguments<'a>,
) -> Result<Cow<'a, Spanned<Value>>, String> {
    let argument = |name: &str| {
        arguments.get(name).cloned().ok_or_else(|| format!("there is no parameter `${name}` here"))
    };
    if let [Factor::Parameter(name)] = factors {
        return argument(name);
    }
    let mut product = 1i64;
    for factor in factors {
        let number = match factor {
            Factor::Number(number) => *number,
            Factor::Parameter(name) => match argument(name)?.get_ref() {
                Value::Integer(number) => *number,
                other => return Err(format!("`${name}` is `{other}`, expected a whole number")),
            },
        };
        product =
            product.checked_mul(number).ok_or_else(|| format!("the product `{text}` overflows"))?;
    }
    Ok(Cow::Owned(Spanned::new(value.span(), Value::Integer(product))))
}
