//! Reads SCALE-Sim topology files: separate layers, one a line, as convolutions or as matrix
//! products.
//!
//! The layers are not connected: each gets an input of its own. SCALE-Sim has no padding and
//! rounds the output size up, ⌈(size − kernel + stride) / stride⌉; a convolution that does not
//! come out even is therefore padded at the bottom and right.

use std::path::Path;

use super::{Builder, Network};
use crate::error::{Error, Result};
use crate::files;
use crate::tensor::{Shape, Window};

/// Columns of the convolution form, after the name; `Strides` may be two columns.
const CONVOLUTION: [&str; 7] = [
    "ifmap height",
    "ifmap width",
    "filter height",
    "filter width",
    "channels",
    "num filter",
    "strides",
];
/// Columns of the matrix product form, after the name.
const PRODUCT: [&str; 3] = ["m", "n", "k"];

/// Reads a SCALE-Sim topology file; the network is named after it.
///
/// # Errors
///
/// If the file cannot be read or is refused by [`parse`].
pub fn read(path: &Path) -> Result<Network> {
    let text = files::read_text(path)?;
    let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into());
    parse(&path.display().to_string(), &name, &text)
}

/// Parses the text of the topology file `file` as the network `name`. The header tells the form:
/// `Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter,
/// Strides,` (or `Stride Height, Stride Width` for the last), or `Layer, M, N, K,` for the product
/// [M, K] · [K, N], which becomes a 1×1 convolution over M pixels. A layer whose name was used
/// before gets its number among these, `name#2`.
///
/// # Errors
///
/// If the header is neither form, a line has another number of columns or a field that is no
/// positive integer, or a layer cannot be (as [`Builder`] says).
pub fn parse(file: &str, name: &str, text: &str) -> Result<Network> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut form = None;
    let mut builder = Builder::new(name);
    let mut uses = std::collections::HashMap::<String, usize>::new();
    for record in reader.records() {
        let record = record.map_err(|e| Error::new(file, e))?;
        let line = record.position().map_or(0, |position| position.line());
        let at = format!("{file}, line {line}");
        let mut fields: Vec<&str> = record.iter().collect();
        while fields.last().is_some_and(|field| field.is_empty()) {
            fields.pop();
        }
        if fields.is_empty() {
            continue;
        }
        let Some(form) = form else {
            form = Some(Form::of(&at, &fields)?);
            continue;
        };
        let count = uses.entry(fields[0].to_owned()).and_modify(|count| *count += 1).or_insert(1);
        let layer = match count {
            1 => fields[0].to_owned(),
            _ => format!("{}#{count}", fields[0]),
        };
        let numbers = form.numbers(&at, &fields[1..])?;
        form.add(&mut builder, &layer, &numbers).map_err(|e| e.within(&at))?;
    }
    builder.finish_separate().map_err(|e| e.within(file))
}

#[derive(Clone, Copy)]
enum Form {
    Convolution { strides: usize },
    Product,
}

impl Form {
    /// The form that a header states.
    fn of(at: &str, header: &[&str]) -> Result<Self> {
        let columns: Vec<_> = header[1..].iter().map(|column| column.to_lowercase()).collect();
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        match &columns[..] {
            columns if columns == PRODUCT => Ok(Self::Product),
            columns if columns == CONVOLUTION => Ok(Self::Convolution { strides: 1 }),
            [sizes @ .., "stride height", "stride width"] if sizes == &CONVOLUTION[..6] => {
                Ok(Self::Convolution { strides: 2 })
            }
            _ => Err(Error::new(at, "is not the header of a SCALE-Sim topology").remedy(
                "begin with `Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, \
                 Channels, Num Filter, Strides,` or `Layer, M, N, K,`",
            )),
        }
    }

    fn numbers(self, at: &str, fields: &[&str]) -> Result<Vec<usize>> {
        let expected = match self {
            Self::Convolution { strides } => CONVOLUTION.len() - 1 + strides,
            Self::Product => PRODUCT.len(),
        };
        if fields.len() != expected {
            return Err(Error::new(
                at,
                format_args!("has {} numbers after the name, expected {expected}", fields.len()),
            )
            .remedy("give each layer the columns of the header"));
        }
        let number = |field: &&str| match field.parse() {
            Ok(0) | Err(_) => {
                Err(Error::new(at, format_args!("`{field}` is not a positive integer"))
                    .remedy("write sizes as whole numbers, at least 1"))
            }
            Ok(number) => Ok(number),
        };
        fields.iter().map(number).collect()
    }

    fn add(self, builder: &mut Builder, layer: &str, numbers: &[usize]) -> Result<()> {
        let input = format!("{layer}.input");
        match (self, numbers) {
            (Self::Convolution { .. }, &[height, width, rows, columns, channels, filters, ..]) => {
                let (vertical, horizontal) = (numbers[6], numbers[numbers.len() - 1]);
                let rest = |size: usize, kernel: usize, stride: usize| {
                    let beyond = size.saturating_sub(kernel) % stride;
                    if beyond == 0 { 0 } else { stride - beyond }
                };
                let window = Window {
                    kernel: [rows, columns],
                    stride: [vertical, horizontal],
                    padding: [0, 0, rest(height, rows, vertical), rest(width, columns, horizontal)],
                    dilation: [1, 1],
                };
                let input = builder.input(&input, Shape::new(channels, height, width))?;
                builder.conv(layer, input, filters, window, 1, false)?;
            }
            (_, numbers) => {
                let [m, n, k] = [numbers[0], numbers[1], numbers[2]];
                let input = builder.input(&input, Shape::new(k, m, 1))?;
                builder.conv(layer, input, n, Window::POINT, 1, false)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
