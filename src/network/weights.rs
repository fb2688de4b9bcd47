//! Parameters in safetensors files, with the names and layouts of PyTorch state dicts: convolution
//! weight [N, C/groups, kernel rows, kernel columns], dense weight [N, K], bias `[N]`, batch
//! normalization weight, bias, running_mean and running_var `[C]`.

use std::path::Path;

use half::{bf16, f16};
use ndarray::ArrayD;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::{Network, Parameters, check_parameters};
use crate::error::{Error, Result};
use crate::files;

/// The suffix of PyTorch's batch counters, which mean nothing to inference and are passed over.
const BATCH_COUNTER: &str = ".num_batches_tracked";

/// Reads the parameters of `network`.
///
/// # Errors
///
/// If the file cannot be read or is refused by [`parse`].
pub fn read(path: &Path, network: &Network) -> Result<Parameters> {
    parse(&path.display().to_string(), &files::read_bytes(path)?, network)
}

/// Parses the bytes of the safetensors file `file`. Tensors of f16, bf16, f32 or f64 are converted
/// to f32.
///
/// # Errors
///
/// If the bytes are not a whole safetensors file, or a tensor is missing, is surplus, has another
/// type or shape than `network` needs, holds a NaN or an infinity (in f32), or is a negative
/// variance.
pub fn parse(file: &str, bytes: &[u8], network: &Network) -> Result<Parameters> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| {
        Error::new(file, format_args!("is not a whole safetensors file: {e}"))
            .remedy("it may be truncated or of another format; copy or make it again")
    })?;
    let mut parameters = Parameters::new();
    for (name, tensor) in tensors.iter().filter(|(name, _)| !name.ends_with(BATCH_COUNTER)) {
        parameters.insert(name.to_owned(), convert(file, name, &tensor)?);
    }
    check_parameters(network, &parameters).map_err(|e| e.within(file))?;
    Ok(parameters)
}

/// Writes parameters as f32 tensors; the file is complete or not there.
///
/// # Errors
///
/// If the file cannot be written.
pub fn write(path: &Path, parameters: &Parameters) -> Result<()> {
    let bytes: Vec<(&String, &[usize], Vec<u8>)> = parameters
        .iter()
        .map(|(name, values)| {
            (name, values.shape(), values.iter().flat_map(|v| v.to_le_bytes()).collect())
        })
        .collect();
    let refused = |e| Error::new(path.display(), format_args!("cannot hold these tensors: {e}"));
    let views = bytes
        .iter()
        .map(|(name, shape, bytes)| {
            Ok((*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).map_err(refused)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let file = safetensors::serialize(views, None).map_err(refused)?;
    files::write_atomically(path, |to| to.write_all(&file))
}

fn convert(file: &str, name: &str, tensor: &TensorView) -> Result<ArrayD<f32>> {
    let subject = || format!("{file}, tensor `{name}`");
    let bytes = tensor.data();
    let values = match tensor.dtype() {
        Dtype::F32 => numbers(bytes, f32::from_le_bytes),
        Dtype::F64 => numbers(bytes, |b| f64::from_le_bytes(b) as f32),
        Dtype::F16 => numbers(bytes, |b| f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => numbers(bytes, |b| bf16::from_le_bytes(b).to_f32()),
        other => {
            return Err(Error::new(subject(), format_args!("has type {other}"))
                .remedy("store it as F32, F64, F16 or BF16"));
        }
    };
    if let Some((at, value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        return Err(Error::new(subject(), format_args!("holds {value} at element {at}"))
            .remedy("weights must be finite float32 numbers; train or export them again"));
    }
    if name.ends_with(".running_var") && values.iter().any(|&value| value < 0.0) {
        return Err(Error::new(subject(), "holds a negative variance")
            .remedy("train or export the weights again"));
    }
    ArrayD::from_shape_vec(tensor.shape(), values)
        .map_err(|e| Error::new(subject(), format_args!("has an impossible shape: {e}")))
}

fn numbers<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| number(*bytes)).collect()
}

#[cfg(test)]
mod tests;
