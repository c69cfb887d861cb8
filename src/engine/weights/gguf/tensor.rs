//! Tensor descriptions of a GGUF file.

use super::cursor::{Cursor, Fault};
use crate::engine::weights::dtype::{type_name, type_of};
use candle_core::quantized::GgmlDType;
use std::ops::Range;

/// Max number of dimensions in ggml.
const MAX_DIMS: u32 = 4;
/// Max bytes of a tensor name; ggml's own limit is 64.
const MAX_NAME: usize = 256;

/// Description of a tensor and its position in the file.
#[derive(Debug, Clone)]
pub struct TensorInfo {
    /// Row-major, which is the reverse of the file's order.
    pub shape: Vec<usize>,
    pub dtype: GgmlDType,
    /// Bytes from the start of the data section.
    offset: u64,
    /// Bytes of the elements.
    size: u64,
}

impl TensorInfo {
    /// Reads one description: name, dimensions, type, offset.
    pub fn read(cursor: &mut Cursor) -> Result<(String, Self), Fault> {
        let name = cursor.short_string(MAX_NAME, "tensor name")?.to_owned();
        let dims = cursor.u32("number of dimensions")?;
        if dims == 0 || dims > MAX_DIMS {
            return Err(format!(
                "tensor {name} has {dims} dimensions, not 1 to {MAX_DIMS}"
            ));
        }
        let mut shape = Vec::with_capacity(dims as usize);
        for _ in 0..dims {
            shape.push(usize::try_from(cursor.u64("dimension")?).map_err(|e| e.to_string())?);
        }
        shape.reverse();
        let dtype = type_of(cursor.u32("tensor type")?)
            .map_err(|what| format!("tensor {name} is {what}"))?;
        let offset = cursor.u64("tensor offset")?;
        let size = byte_size(&shape, dtype).ok_or_else(|| {
            format!(
                "tensor {name}: no {} tensor can have the shape {shape:?}",
                type_name(dtype)
            )
        })?;
        Ok((
            name,
            Self {
                shape,
                dtype,
                offset,
                size,
            },
        ))
    }

    /// The range of the elements in a file of `length` bytes whose data section begins at `start`.
    pub fn range(&self, start: u64, alignment: u64, length: u64) -> Result<Range<usize>, Fault> {
        if !self.offset.is_multiple_of(alignment) {
            return Err(format!(
                "offset {} is not a multiple of the alignment {alignment}",
                self.offset
            ));
        }
        let begin = start.checked_add(self.offset);
        let end = begin
            .and_then(|begin| begin.checked_add(self.size))
            .filter(|&end| end <= length);
        match (begin, end) {
            (Some(begin), Some(end)) => Ok(begin as usize..end as usize),
            _ => Err(format!(
                "{} bytes at offset {} of the data are outside of the file of {length} bytes; is it complete?",
                self.size, self.offset
            )),
        }
    }
}

/// Bytes of a tensor; `None` if the shape overflows, is empty or does not divide into blocks.
pub fn byte_size(shape: &[usize], dtype: GgmlDType) -> Option<u64> {
    let block = dtype.block_size();
    if !shape.last()?.is_multiple_of(block) {
        return None;
    }
    let count = shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .filter(|&n| n > 0)?;
    (count / block)
        .checked_mul(dtype.type_size())
        .map(|n| n as u64)
}
