//! Nodes whose inputs are all constant: shape arithmetic, and weights on their way to an operator.

use std::path::Path;

use super::attributes::Attributes;
use super::graph::{Inputs, Value, unsupported};
use super::layout::place;
use super::quantized::{dequantize_constant, quantize_constant};
use super::tensor::{Data, Tensor, int_format};
use crate::error::{Error, Result};
use crate::network::MAX_ELEMENTS;

/// The value of operator `op` on constants.
pub fn fold(op: &str, attributes: &Attributes, inputs: Inputs, folder: &Path) -> Result<Value> {
    let tensor = match op {
        "Constant" => constant(attributes, folder)?,
        "ConstantOfShape" => constant_of_shape(attributes, inputs, folder)?,
        "Identity" | "Dropout" => return Ok(Value::Constant(inputs.constant(0)?.clone().into())),
        "Shape" => {
            let dims = &inputs.constant(0)?.tensor.dims;
            Tensor::indices(vec![dims.len()], dims.iter().map(|&size| size as i64).collect())
        }
        "Cast" => cast(attributes, inputs)?,
        "Gather" => gather(attributes, inputs)?,
        "Concat" => concat(attributes, inputs)?,
        "Slice" => slice(attributes, inputs)?,
        "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" => reshape(op, attributes, inputs)?,
        "Transpose" => {
            let tensor = &inputs.constant(0)?.tensor;
            let rank = tensor.dims.len();
            let reversed: Vec<i64> = (0..rank as i64).rev().collect();
            let order = attributes.ints("perm").unwrap_or(&reversed);
            let order: Vec<usize> = order.iter().map(|&a| place(a, rank)).collect::<Result<_>>()?;
            if (0..rank).any(|axis| !order.contains(&axis)) || order.len() != rank {
                return Err(Error::new("attribute `perm`", format_args!("{order:?}")));
            }
            tensor.transposed(&order)
        }
        "Add" | "Sub" | "Mul" | "Div" => arithmetic(op, inputs)?,
        "DequantizeLinear" => return dequantize_constant(attributes, inputs),
        "QuantizeLinear" => return quantize_constant(attributes, inputs),
        _ => return Err(unsupported(op).within("on constants")),
    };
    Ok(Value::constant(tensor))
}

fn constant(attributes: &Attributes, folder: &Path) -> Result<Tensor> {
    if let Some(proto) = attributes.tensor("value") {
        return Tensor::read(proto, folder);
    }
    let floats = |dims: Vec<usize>, values: Vec<f32>| Tensor { dims, data: Data::Float(values) };
    Ok(if attributes.has("value_float") {
        floats(Vec::new(), vec![attributes.float("value_float", 0.0)])
    } else if let Some(values) = attributes.floats("value_floats") {
        floats(vec![values.len()], values.to_vec())
    } else if attributes.has("value_int") {
        Tensor::indices(Vec::new(), vec![attributes.int("value_int", 0)])
    } else if let Some(values) = attributes.ints("value_ints") {
        Tensor::indices(vec![values.len()], values.to_vec())
    } else {
        return Err(Error::new("constant", "has no value that is supported"));
    })
}

fn constant_of_shape(attributes: &Attributes, inputs: Inputs, folder: &Path) -> Result<Tensor> {
    let sizes = inputs.constant(0)?.tensor.ints()?;
    let dims: Option<Vec<usize>> = sizes.iter().map(|&size| usize::try_from(size).ok()).collect();
    let len = dims.as_ref().and_then(|dims| dims.iter().try_fold(1usize, |p, &s| p.checked_mul(s)));
    let (Some(dims), Some(len)) = (dims, len.filter(|&len| len <= MAX_ELEMENTS / 64)) else {
        return Err(Error::new("sizes", format_args!("{sizes:?}")));
    };
    let value = match attributes.tensor("value") {
        Some(proto) => Tensor::read(proto, folder)?,
        None => Tensor { dims: vec![1], data: Data::Float(vec![0.0]) },
    };
    if value.len() != 1 {
        return Err(Error::new("attribute `value`", "has not one element"));
    }
    Ok(value.gathered(dims, (0..len).map(|_| 0)))
}

fn cast(attributes: &Attributes, inputs: Inputs) -> Result<Tensor> {
    let tensor = &inputs.constant(0)?.tensor;
    let _ = attributes.int("saturate", 1);
    let kind = rten_onnx::onnx::DataType(attributes.int("to", 1) as i32);
    let data = match (int_format(kind), &tensor.data) {
        (None, _) => Data::Float(tensor.floats()),
        (Some(format), Data::Int(_, words)) if words.iter().all(|&w| format.contains(w.into())) => {
            Data::Int(format, words.clone())
        }
        (Some(format), Data::Float(values)) => {
            let words: Vec<i64> = values.iter().map(|value| value.trunc() as i64).collect();
            if words.iter().any(|&word| !format.contains(word.into())) {
                return Err(Error::new("cast", format_args!("a value does not fit {format}")));
            }
            Data::Int(format, words)
        }
        (Some(format), _) => {
            return Err(Error::new("cast", format_args!("a word does not fit {format}")));
        }
    };
    Ok(Tensor { dims: tensor.dims.clone(), data })
}

fn gather(attributes: &Attributes, inputs: Inputs) -> Result<Tensor> {
    let (tensor, indices) = (&inputs.constant(0)?.tensor, &inputs.constant(1)?.tensor);
    let axis = place(attributes.int("axis", 0), tensor.dims.len())?;
    let picked: Vec<usize> =
        indices.ints()?.iter().map(|&i| place(i, tensor.dims[axis])).collect::<Result<_>>()?;
    let dims = [&tensor.dims[..axis], &indices.dims, &tensor.dims[axis + 1..]].concat();
    Ok(picked_along(tensor, axis, dims, &picked))
}

/// The slices `picked` along an axis.
fn picked_along(tensor: &Tensor, axis: usize, dims: Vec<usize>, picked: &[usize]) -> Tensor {
    let inner: usize = tensor.dims[axis + 1..].iter().product();
    let outer: usize = tensor.dims[..axis].iter().product();
    let size = tensor.dims[axis];
    let elements = (0..outer).flat_map(|o| {
        picked.iter().flat_map(move |&p| (0..inner).map(move |i| (o * size + p) * inner + i))
    });
    tensor.gathered(dims, elements)
}

fn concat(attributes: &Attributes, inputs: Inputs) -> Result<Tensor> {
    let parts: Vec<&Tensor> =
        (0..inputs.len()).map(|i| Ok(&inputs.constant(i)?.tensor)).collect::<Result<_>>()?;
    let Some(first) = parts.first() else { return Err(Error::new("inputs", "are none")) };
    let axis = place(attributes.int("axis", 0), first.dims.len())?;
    let same = |part: &&Tensor| {
        part.dims.len() == first.dims.len()
            && (0..part.dims.len()).all(|a| a == axis || part.dims[a] == first.dims[a])
    };
    if !parts.iter().all(same) {
        return Err(Error::new("inputs", "have sizes that do not join"));
    }
    let mut dims = first.dims.clone();
    dims[axis] = parts.iter().map(|part| part.dims[axis]).sum();
    let outer: usize = dims[..axis].iter().product();
    let run = |part: &&Tensor| part.dims[axis..].iter().product::<usize>();
    let data = match &first.data {
        Data::Float(_) => {
            let all: Vec<Vec<f32>> = parts.iter().map(|part| part.floats()).collect();
            let rows = (0..outer).flat_map(|o| {
                parts
                    .iter()
                    .zip(&all)
                    .flat_map(move |(p, all)| all[o * run(p)..][..run(p)].to_vec())
            });
            Data::Float(rows.collect())
        }
        Data::Int(format, _) => {
            let all: Vec<&[i64]> = parts.iter().map(|p| p.ints()).collect::<Result<_>>()?;
            let rows = (0..outer).flat_map(|o| {
                parts
                    .iter()
                    .zip(&all)
                    .flat_map(move |(p, all)| all[o * run(p)..][..run(p)].to_vec())
            });
            Data::Int(*format, rows.collect())
        }
    };
    Ok(Tensor { dims, data })
}

fn slice(attributes: &Attributes, inputs: Inputs) -> Result<Tensor> {
    let mut tensor = inputs.constant(0)?.tensor.clone();
    let list = |index: usize, name: &'static str| -> Result<Option<Vec<i64>>> {
        match inputs.optional(index)? {
            Some(constant) => Ok(Some(constant.tensor.ints()?.to_vec())),
            None => Ok(attributes.ints(name).map(<[i64]>::to_vec)),
        }
    };
    let (starts, ends) =
        (list(1, "starts")?.unwrap_or_default(), list(2, "ends")?.unwrap_or_default());
    let axes = list(3, "axes")?.unwrap_or((0..starts.len() as i64).collect());
    let steps = list(4, "steps")?.unwrap_or(vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|&len| len != starts.len()) {
        return Err(Error::new("slice", "has lists of different lengths"));
    }
    for (((start, end), axis), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        if *step < 1 {
            return Err(Error::new("steps", format_args!("{step} is not supported")));
        }
        let axis = place(*axis, tensor.dims.len())?;
        let size = tensor.dims[axis] as i64;
        let bound = |index: i64| {
            (if index < 0 { index.saturating_add(size) } else { index }).clamp(0, size)
        };
        let picked: Vec<usize> =
            (bound(*start)..bound(*end)).step_by(*step as usize).map(|i| i as usize).collect();
        let mut dims = tensor.dims.clone();
        dims[axis] = picked.len();
        tensor = picked_along(&tensor, axis, dims, &picked);
    }
    Ok(tensor)
}

fn reshape(op: &str, attributes: &Attributes, inputs: Inputs) -> Result<Tensor> {
    let tensor = &inputs.constant(0)?.tensor;
    let listed = || -> Result<Option<Vec<i64>>> {
        match (attributes.ints("axes"), inputs.optional(1)?) {
            (Some(axes), _) => Ok(Some(axes.to_vec())),
            (None, Some(axes)) => Ok(Some(axes.tensor.ints()?.to_vec())),
            (None, None) => Ok(None),
        }
    };
    let rank = tensor.dims.len();
    let dims = match op {
        "Flatten" => {
            let axis = attributes.int("axis", 1).clamp(0, rank as i64) as usize;
            let (outer, inner) = tensor.dims.split_at(axis);
            vec![outer.iter().product(), inner.iter().product()]
        }
        "Squeeze" => {
            let axes = match listed()? {
                Some(axes) => axes.iter().map(|&a| place(a, rank)).collect::<Result<Vec<_>>>()?,
                None => (0..rank).filter(|&axis| tensor.dims[axis] == 1).collect(),
            };
            (0..rank).filter(|axis| !axes.contains(axis)).map(|axis| tensor.dims[axis]).collect()
        }
        "Unsqueeze" => {
            let axes = listed()?.unwrap_or_default();
            let rank = rank + axes.len();
            let axes: Vec<usize> = axes.iter().map(|&a| place(a, rank)).collect::<Result<_>>()?;
            let mut rest = tensor.dims.iter();
            let size = |axis: usize| match axes.contains(&axis) {
                true => Some(1),
                false => rest.next().copied(),
            };
            (0..rank).map_while(size).collect()
        }
        _ => {
            attributes.only("allowzero", 0)?;
            let given = inputs.constant(1)?.tensor.ints()?;
            let known: i64 = given.iter().enumerate().fold(1i64, |product, (place, &size)| {
                product.saturating_mul(match size {
                    -1 => 1,
                    0 => tensor.dims.get(place).map_or(0, |&size| size as i64),
                    size => size,
                })
            });
            let size = |(place, &size): (usize, &i64)| match size {
                -1 if known > 0 => tensor.len() / known as usize,
                0 => tensor.dims.get(place).copied().unwrap_or(0),
                size => usize::try_from(size).unwrap_or(0),
            };
            given.iter().enumerate().map(size).collect()
        }
    };
    let fits = dims.iter().try_fold(1usize, |p, &size| p.checked_mul(size)) == Some(tensor.len());
    if fits { tensor.reshaped(dims) } else { Err(Error::new("sizes", format_args!("{dims:?}"))) }
}

/// Element by element, one of the two broadcast if it has one element.
fn arithmetic(op: &str, inputs: Inputs) -> Result<Tensor> {
    let (a, b) = (&inputs.constant(0)?.tensor, &inputs.constant(1)?.tensor);
    let larger = if a.len() >= b.len() { a } else { b };
    if a.len().min(b.len()) != 1 && a.dims != b.dims {
        return Err(Error::new(
            "constants",
            format_args!("of sizes {:?} and {:?}", a.dims, b.dims),
        ));
    }
    let at = |index: usize, len: usize| if len == 1 { 0 } else { index };
    let elements = 0..larger.len();
    let data = match (&a.data, &b.data) {
        (Data::Int(format, x), Data::Int(_, y)) => {
            let of = |index: usize| {
                let (x, y) = (x[at(index, a.len())], y[at(index, b.len())]);
                match op {
                    "Add" => x.checked_add(y),
                    "Sub" => x.checked_sub(y),
                    "Mul" => x.checked_mul(y),
                    _ => x.checked_div(y),
                }
                .filter(|&word| format.contains(word.into()))
                .ok_or_else(|| {
                    Error::new("constants", format_args!("{op} of {x} and {y} overflows"))
                })
            };
            Data::Int(*format, elements.map(of).collect::<Result<_>>()?)
        }
        _ => {
            let (x, y) = (a.floats(), b.floats());
            let of = |index: usize| {
                let (x, y) = (x[at(index, a.len())], y[at(index, b.len())]);
                match op {
                    "Add" => x + y,
                    "Sub" => x - y,
                    "Mul" => x * y,
                    _ => x / y,
                }
            };
            Data::Float(elements.map(of).collect())
        }
    };
    Ok(Tensor { dims: larger.dims.clone(), data })
}
