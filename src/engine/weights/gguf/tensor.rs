//! Tensor descriptions of a GGUF file.

use super::cursor::{Cursor, Fault};
use candle_core::quantized::GgmlDType;
use std::ops::Range;

/// ggml knows no more dimensions.
const MAX_DIMS: u32 = 4;
/// Longest tensor name; ggml's own limit is 64.
const MAX_NAME: usize = 256;

/// Where a tensor lies in the file and what it is.
#[derive(Debug, Clone)]
pub struct TensorInfo {
    /// Row-major: the file's order turned round.
    pub shape: Vec<usize>,
    pub dtype: GgmlDType,
    /// Bytes from the start of the data section.
    offset: u64,
    /// Bytes of the elements.
    size: u64,
}

impl TensorInfo {
    /// Read one description: name, dimensions, type, offset.
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
        let dtype = tensor_type(cursor.u32("tensor type")?)
            .map_err(|what| format!("tensor {name} is {what}"))?;
        let offset = cursor.u64("tensor offset")?;
        let size = byte_size(&shape, dtype).ok_or_else(|| {
            format!(
                "tensor {name}: no {} tensor can have the shape {shape:?}",
                super::type_name(dtype)
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

    /// Where the elements lie in a file of `length` bytes whose data begin at `start`.
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
                "{} bytes at offset {} of the data lie outside of the file of {length} bytes; is it complete?",
                self.size, self.offset
            )),
        }
    }
}

/// Bytes of a tensor; none where the shape overflows, is empty or does not divide into blocks.
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

/// The type of that number in ggml, or what it is called where we cannot read it.
fn tensor_type(number: u32) -> Result<GgmlDType, String> {
    Ok(match number {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        _ => return Err(unsupported(number)),
    })
}

fn unsupported(number: u32) -> String {
    const READABLE: &str = "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K";
    let name = match number {
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24..=27 => "of integers",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => return format!("of the unknown type {number}; skiplens reads {READABLE}"),
    };
    format!("{name}, which skiplens does not read; it reads {READABLE}")
}
