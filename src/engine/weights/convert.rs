//! Implements `--dtype`: converts dense matrices of safetensors to another dense type, or quantises them.

use super::Dtype;
use crate::engine::Result;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use half::{bf16, f16};
use std::borrow::Cow;
use std::ops::Range;

/// Number of elements that each thread converts to F32 at a time, which bounds the memory of a conversion.
const CHUNK: usize = 1 << 20;

/// The dense types of safetensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dense {
    F32,
    F16,
    BF16,
}

impl Dense {
    fn size(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }
}

impl From<Dense> for GgmlDType {
    fn from(dense: Dense) -> Self {
        match dense {
            Dense::F32 => Self::F32,
            Dense::F16 => Self::F16,
            Dense::BF16 => Self::BF16,
        }
    }
}

/// A dense matrix, `[rows, cols]` row-major.
pub struct Matrix<'a> {
    pub rows: usize,
    pub cols: usize,
    pub dense: Dense,
    pub data: Cow<'a, [u8]>,
}

/// The type that a matrix is converted to. If its rows do not divide into blocks of the requested type, it becomes
/// Q8_0, or stays dense if that does not fit either. Embedding and LM head are the most sensitive to quantisation and
/// get at least Q8_0.
pub fn target(name: &str, dtype: Dtype, dense: Dense, cols: usize) -> GgmlDType {
    let wanted = match dtype {
        Dtype::Auto => return dense.into(),
        Dtype::Typed(wanted) => wanted,
    };
    let is_dense = wanted.block_size() == 1;
    let outer = matches!(name, "token_embd.weight" | "output.weight");
    let wanted = if outer && !is_dense {
        GgmlDType::Q8_0
    } else {
        wanted
    };
    let fits = |dtype: GgmlDType| cols.is_multiple_of(dtype.block_size());
    [wanted, GgmlDType::Q8_0]
        .into_iter()
        .find(|&dtype| fits(dtype))
        .unwrap_or(dense.into())
}

/// Converts a matrix. A matrix that already has the type is borrowed, unless its elements are unaligned. The rows are
/// split across the cores; the split does not affect the result.
///
/// # Errors
///
/// If quantising fails.
pub fn convert<'a>(matrix: Matrix<'a>, to: GgmlDType) -> Result<(GgmlDType, Cow<'a, [u8]>)> {
    if to == matrix.dense.into() {
        let aligned = matrix
            .data
            .as_ptr()
            .addr()
            .is_multiple_of(matrix.dense.size());
        let data = if aligned {
            matrix.data
        } else {
            Cow::Owned(matrix.data.into_owned())
        };
        return Ok((to, data));
    }
    let width = matrix.cols / to.block_size() * to.type_size();
    let mut out = vec![0; matrix.rows * width];
    let share = matrix
        .rows
        .div_ceil(std::thread::available_parallelism().map_or(1, usize::from))
        .max(1);
    let matrix = &matrix;
    std::thread::scope(|scope| {
        let parts = out.chunks_mut((share * width).max(1)).enumerate();
        let workers: Vec<_> = parts
            .map(|(nth, part)| {
                scope.spawn(move || convert_part(matrix, nth * share, part, width, to))
            })
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    Ok((to, Cow::Owned(out)))
}

/// Converts rows starting at `first` until `out`, with `width` bytes per row, is full.
fn convert_part(
    matrix: &Matrix,
    first: usize,
    out: &mut [u8],
    width: usize,
    to: GgmlDType,
) -> Result<()> {
    let at_once = (CHUNK / matrix.cols.max(1)).max(1);
    let mut row = first;
    for part in out.chunks_mut((at_once * width).max(1)) {
        let rows = part.len() / width.max(1);
        part.copy_from_slice(&convert_rows(matrix, row..row + rows, to)?);
        row += rows;
    }
    Ok(())
}

fn convert_rows(matrix: &Matrix, rows: Range<usize>, to: GgmlDType) -> Result<Vec<u8>> {
    let width = matrix.cols * matrix.dense.size();
    let values = to_f32(
        &matrix.data[rows.start * width..rows.end * width],
        matrix.dense,
    );
    Ok(match to {
        GgmlDType::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        GgmlDType::F16 => values
            .iter()
            .flat_map(|&x| f16::from_f32(x).to_le_bytes())
            .collect(),
        GgmlDType::BF16 => values
            .iter()
            .flat_map(|&x| bf16::from_f32(x).to_le_bytes())
            .collect(),
        _ => {
            let tensor = Tensor::from_vec(values, (rows.len(), matrix.cols), &Device::Cpu)?;
            QTensor::quantize(&tensor, to)?.data()?.into_owned()
        }
    })
}

fn to_f32(data: &[u8], dense: Dense) -> Vec<f32> {
    let pairs = || data.as_chunks::<2>().0.iter();
    match dense {
        Dense::F32 => data
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&word| f32::from_le_bytes(word))
            .collect(),
        Dense::F16 => pairs()
            .map(|&pair| f16::from_le_bytes(pair).to_f32())
            .collect(),
        Dense::BF16 => pairs()
            .map(|&pair| bf16::from_le_bytes(pair).to_f32())
            .collect(),
    }
}

/// Elements as little-endian F32. Vectors (norms) are always converted to F32.
pub fn to_f32_bytes(data: &[u8], dense: Dense) -> Vec<u8> {
    to_f32(data, dense)
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantising_in_parts_equals_quantising_the_whole() {
        let (rows, cols) = (37, 512);
        let values: Vec<f32> = (0..rows * cols)
            .map(|i| ((i * 7919) % 1000) as f32 / 1000.0 - 0.5)
            .collect();
        let data: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let whole = Tensor::from_vec(values, (rows, cols), &Device::Cpu).unwrap();
        for dtype in [GgmlDType::Q4K, GgmlDType::Q5_1, GgmlDType::Q8_0] {
            let matrix = Matrix {
                rows,
                cols,
                dense: Dense::F32,
                data: Cow::Borrowed(&data),
            };
            let (made, parts) = convert(matrix, dtype).unwrap();
            let whole = QTensor::quantize(&whole, dtype).unwrap();
            assert_eq!((made, parts), (dtype, whole.data().unwrap()));
        }
    }

    #[test]
    fn empty_matrices_convert_to_nothing() {
        for (rows, cols) in [(0, 64), (3, 0), (0, 0)] {
            let matrix = Matrix {
                rows,
                cols,
                dense: Dense::F16,
                data: Cow::Borrowed(&[]),
            };
            assert!(convert(matrix, GgmlDType::Q8_0).unwrap().1.is_empty());
        }
    }
}
