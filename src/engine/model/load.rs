//! Reads tensors of a checkpoint and checks their shapes against its config.

use crate::engine::kernels::{Arena, Packed};
use crate::engine::weights::{RawTensor, TensorSource, type_name};
use crate::engine::{Error, Result};
use candle_core::quantized::GgmlDType;

/// The tensor `name`, checked to have `shape`.
///
/// # Errors
/// [`Error::Model`] if it is missing or has another shape.
pub fn raw<'a>(source: &'a dyn TensorSource, name: &str, shape: &[usize]) -> Result<RawTensor<'a>> {
    let Some(tensor) = source.tensor(name)? else {
        return Err(Error::Model(format!("the model has no tensor {name}")));
    };
    if tensor.shape != shape {
        return Err(Error::Model(format!(
            "{name} has shape {:?}, but the model's config requires {shape:?}",
            tensor.shape
        )));
    }
    Ok(tensor)
}

/// A matrix, packed for the CPU kernels.
///
/// # Errors
/// As [`raw`], or if its type is not supported or memory cannot be allocated.
pub fn matrix(
    source: &dyn TensorSource,
    name: &str,
    rows: usize,
    cols: usize,
    arena: &mut Arena,
) -> Result<Packed> {
    let tensor = raw(source, name, &[rows, cols])?;
    Packed::new(name, tensor.dtype, rows, cols, &tensor.data, arena)
}

/// A vector as f32.
///
/// # Errors
/// As [`raw`], or if it is quantised.
pub fn vector(source: &dyn TensorSource, name: &str, n: usize) -> Result<Vec<f32>> {
    let tensor = raw(source, name, &[n])?;
    if !matches!(
        tensor.dtype,
        GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16
    ) {
        return Err(Error::Model(format!(
            "{name} is of type {}; vectors must be F32, F16 or BF16",
            type_name(tensor.dtype)
        )));
    }
    let mut out = vec![0.0; n];
    Packed::new(
        name,
        tensor.dtype,
        1,
        n,
        &tensor.data,
        &mut Arena::default(),
    )?
    .row(0, &mut out);
    Ok(out)
}
