//! Matrices on the device.

use super::context::Gpu;
use super::layout::{Layout, PackedRow, RowWords};
use super::shader::GROUP_ROWS;
use crate::engine::model::MatrixInfo;
use crate::engine::weights::{RawTensor, type_name};
use crate::engine::{Error, Result};
use std::sync::Arc;

/// Bytes packed and uploaded at a time.
const CHUNK_BYTES: usize = 16 << 20;
/// Max bytes that wait for their upload. They are in memory twice.
const PENDING_BYTES: usize = 64 << 20;

/// A matrix `[rows, cols]`, or several stacked ones that read the same activations.
pub struct Matrix {
    pub cols: usize,
    pub parts: Vec<Part>,
    pub infos: Vec<MatrixInfo>,
}

/// Consecutive rows of a matrix with the same layout, in one buffer.
pub struct Part {
    pub layout: Layout,
    /// The first row in the matrix.
    pub first: usize,
    pub rows: usize,
    pub units: usize,
    words: RowWords,
    pub quants: wgpu::Buffer,
    /// Bits beyond the nibbles, then scales, then bases of super-blocks.
    pub extra: wgpu::Buffer,
}

/// Uploads matrices. Waits regularly, which bounds the memory for pending uploads.
pub struct Uploader<'a> {
    gpu: &'a Gpu,
    threads: usize,
    pending: usize,
}

/// Activations that a matrix product reads.
pub struct Activations {
    /// f32, `[rows][vectors]`.
    pub dense: wgpu::Buffer,
    /// Bytes, `[rows][2][blocks][16]`.
    pub bytes: wgpu::Buffer,
    /// Step and sum of each block, `[rows][blocks]`.
    pub info: wgpu::Buffer,
}

/// A matrix product with bound buffers.
pub struct Product {
    pub layout: Layout,
    pub add: bool,
    pub first: usize,
    pub rows: usize,
    pub group: wgpu::BindGroup,
}

/// Where a matrix product writes.
#[derive(Clone, Copy)]
pub enum Out<'a> {
    /// Stores to rows of this length.
    Store(&'a wgpu::Buffer, usize),
    /// Adds to the states, whose rows have this length.
    Add(usize),
}

impl<'a> Uploader<'a> {
    pub fn new(gpu: &'a Gpu, threads: usize) -> Self {
        Self {
            gpu,
            threads: threads.max(1),
            pending: 0,
        }
    }

    /// Stacks tensors of `cols` columns into one matrix. Adjacent tensors with the same layout share buffers.
    ///
    /// # Errors
    /// If a type is not supported, a size does not match, or the device is out of memory.
    pub fn matrix(&mut self, tensors: &[(&str, RawTensor<'_>)], cols: usize) -> Result<Matrix> {
        let mut matrix = Matrix {
            cols,
            parts: Vec::new(),
            infos: Vec::new(),
        };
        let mut stacked = Vec::new();
        for (name, tensor) in tensors {
            let layout = check(name, tensor, cols)?;
            stacked.push((layout, tensor));
        }
        let mut first = 0;
        for run in stacked.chunk_by(|a, b| a.0 == b.0) {
            let layout = run[0].0;
            let rows: usize = run.iter().map(|(_, tensor)| tensor.shape[0]).sum();
            let mut parts = self.allocate(layout, first, rows, cols)?;
            first += rows;
            self.fill(&parts, run)?;
            matrix.parts.append(&mut parts);
            for (_, tensor) in run {
                matrix.infos.push(MatrixInfo {
                    dtype: tensor.dtype,
                    weights: tensor.shape[0] * cols,
                    bytes: (tensor.shape[0] * layout.row_words(cols).total() * 4) as u64,
                });
            }
        }
        Ok(matrix)
    }

    /// Buffers for rows of one layout; several if the device's limits require it.
    pub(super) fn allocate(
        &self,
        layout: Layout,
        first: usize,
        rows: usize,
        cols: usize,
    ) -> Result<Vec<Part>> {
        let words = layout.row_words(cols);
        let limits = &self.gpu.limits;
        let max_bytes = limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size)
            // Word offsets have 32 bits.
            .min(u64::from(u32::MAX));
        let max_rows = (max_bytes / (words.quants as u64 * 4)) as usize / GROUP_ROWS * GROUP_ROWS;
        let max_rows = max_rows.max(GROUP_ROWS);
        let mut parts = Vec::new();
        let mut done = 0;
        while done < rows {
            let count = max_rows.min(rows - done);
            let bytes = |words: usize| (count * words * 4) as u64;
            let extra = words.extra();
            parts.push(Part {
                layout,
                first: first + done,
                rows: count,
                units: layout.units(cols),
                words,
                quants: self.gpu.buffer(bytes(words.quants), "the weights")?,
                extra: match extra {
                    0 => self.gpu.unread.clone(),
                    _ => self.gpu.buffer(bytes(extra), "the weights")?,
                },
            });
            done += count;
        }
        Ok(parts)
    }

    /// Packs and uploads the rows of stacked tensors.
    fn fill(&mut self, parts: &[Part], tensors: &[(Layout, &RawTensor<'_>)]) -> Result<()> {
        let rows: Vec<(&RawTensor<'_>, usize)> = tensors
            .iter()
            .flat_map(|(_, tensor)| (0..tensor.shape[0]).map(move |row| (*tensor, row)))
            .collect();
        let start = parts[0].first;
        for part in parts {
            let chunk = (CHUNK_BYTES / (part.words.total() * 4)).max(1);
            let mut at = 0;
            while at < part.rows {
                let count = chunk.min(part.rows - at);
                let from = part.first - start + at;
                let packed = pack(part, &rows[from..from + count], self.threads);
                self.write(part, at, &packed)?;
                at += count;
            }
        }
        Ok(())
    }

    fn write(&mut self, part: &Part, row: usize, packed: &[Vec<u32>; 4]) -> Result<()> {
        let regions = part.regions();
        for (region, words) in regions.into_iter().zip(packed) {
            if !words.is_empty() {
                let offset = (region.at + row * region.stride) as u64 * 4;
                let bytes = bytemuck::cast_slice(words);
                self.gpu.queue.write_buffer(region.buffer, offset, bytes);
                self.pending += bytes.len();
            }
        }
        if self.pending > PENDING_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Waits until everything is on the device.
    ///
    /// # Errors
    /// If the device failed.
    pub fn flush(&mut self) -> Result<()> {
        self.pending = 0;
        self.gpu.queue.submit([]);
        self.gpu.wait()
    }

    /// A buffer of f32.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn vector(&mut self, numbers: &[f32]) -> Result<wgpu::Buffer> {
        let buffer = self.gpu.buffer(numbers.len() as u64 * 4, "the weights")?;
        self.gpu
            .queue
            .write_buffer(&buffer, 0, bytemuck::cast_slice(numbers));
        Ok(buffer)
    }
}

fn check(name: &str, tensor: &RawTensor<'_>, cols: usize) -> Result<Layout> {
    let dtype = tensor.dtype;
    let Some(layout) = Layout::of(dtype) else {
        return Err(Error::Model(format!(
            "{name}: weights of type {} are not supported",
            type_name(dtype)
        )));
    };
    let (rows, block) = (tensor.shape[0], dtype.block_size());
    let expected = (cols / block)
        .checked_mul(dtype.type_size())
        .and_then(|row| row.checked_mul(rows));
    if rows == 0 || cols == 0 || !cols.is_multiple_of(block) || expected != Some(tensor.data.len())
    {
        return Err(Error::Model(format!(
            "{name}: {} bytes do not make [{rows}, {cols}] of {}",
            tensor.data.len(),
            type_name(dtype)
        )));
    }
    Ok(layout)
}

/// Packs rows into the regions of a part: quants, high bits, scales, bases.
fn pack(part: &Part, rows: &[(&RawTensor<'_>, usize)], threads: usize) -> [Vec<u32>; 4] {
    let words = part.words;
    let sizes = [words.quants, words.high, words.scales, words.bases];
    let mut packed = sizes.map(|size| vec![0u32; rows.len() * size]);
    let share = rows.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let mut rest = packed.each_mut().map(|region| region.as_mut_slice());
        for rows in rows.chunks(share) {
            let mut mine: [&mut [u32]; 4] = Default::default();
            for ((mine, rest), size) in mine.iter_mut().zip(&mut rest).zip(sizes) {
                (*mine, *rest) = std::mem::take(rest).split_at_mut(rows.len() * size);
            }
            let work = move || {
                let [quants, high, scales, bases] = mine;
                for (i, (tensor, row)) in rows.iter().enumerate() {
                    let size = tensor.data.len() / tensor.shape[0];
                    let slice = |region: usize| i * sizes[region]..(i + 1) * sizes[region];
                    let packed = PackedRow {
                        quants: &mut quants[slice(0)],
                        high: &mut high[slice(1)],
                        scales: &mut scales[slice(2)],
                        bases: &mut bases[slice(3)],
                    };
                    let bytes = &tensor.data[row * size..(row + 1) * size];
                    part.layout.pack(tensor.dtype, bytes, packed);
                }
            };
            if share >= rows.len() && threads == 1 {
                work();
            } else {
                scope.spawn(work);
            }
        }
    });
    packed
}

/// One of the regions of a part, in words.
struct Region<'a> {
    buffer: &'a wgpu::Buffer,
    at: usize,
    stride: usize,
}

impl Part {
    fn regions(&self) -> [Region<'_>; 4] {
        let RowWords {
            quants,
            high,
            scales,
            bases,
        } = self.words;
        let extra = |at, stride| Region {
            buffer: &self.extra,
            at,
            stride,
        };
        [
            Region {
                buffer: &self.quants,
                at: 0,
                stride: quants,
            },
            extra(0, high),
            extra(self.rows * high, scales),
            extra(self.rows * (high + scales), bases),
        ]
    }

    /// `Dims` of weights.wgsl, for output rows of length `out_stride`.
    pub fn dims(&self, out_stride: usize) -> [u32; 12] {
        let [_, high, scales, bases] = self.regions();
        [
            self.rows,
            self.units,
            self.first,
            out_stride,
            high.stride,
            scales.at,
            scales.stride,
            bases.at,
            bases.stride,
            0,
            0,
            0,
        ]
        .map(|size| size as u32)
    }
}

impl Matrix {
    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.infos.iter().map(|info| info.bytes).sum()
    }

    /// Whether products read f32 activations, and whether they read quantised ones, as bits 0 and 1.
    pub fn forms(&self) -> u32 {
        let parts = self.parts.iter();
        parts.fold(0, |forms, part| forms | part.layout.form())
    }

    /// Products of this matrix with some activations.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn products(&self, gpu: &Gpu, x: &Activations, out: Out<'_>) -> Result<Vec<Product>> {
        let product = |part: &Part| {
            let (add, buffer, stride) = match out {
                Out::Store(buffer, stride) => (false, buffer, stride),
                Out::Add(stride) => (true, &gpu.unwritten, stride),
            };
            let dims = gpu.uniform(&part.dims(stride))?;
            let x_buffer = match part.layout.is_dense() {
                true => &x.dense,
                false => &x.bytes,
            };
            Ok(Product {
                layout: part.layout,
                add,
                first: part.first,
                rows: part.rows,
                group: gpu.multiply_group([
                    &part.quants,
                    &part.extra,
                    x_buffer,
                    &x.info,
                    buffer,
                    &dims,
                ]),
            })
        };
        self.parts.iter().map(product).collect()
    }

    /// A matrix of the rows `ids`, in that order.
    ///
    /// # Errors
    /// If the device is out of memory or fails.
    pub fn gather(&self, gpu: &Arc<Gpu>, ids: &[u32]) -> Result<Self> {
        const COPIES: usize = 4096;
        let uploader = Uploader::new(gpu, 1);
        let layout = self.parts[0].layout;
        let parts = uploader.allocate(layout, 0, ids.len(), self.cols)?;
        for part in &parts {
            for at in (0..part.rows).step_by(COPIES) {
                let mut encoder = gpu.encoder();
                for row in at..part.rows.min(at + COPIES) {
                    let id = ids[part.first + row] as usize;
                    let holds = |part: &&Part| (part.first..part.first + part.rows).contains(&id);
                    let Some(source) = self.parts.iter().find(holds) else {
                        continue;
                    };
                    for (from, to) in source.regions().into_iter().zip(part.regions()) {
                        if to.stride > 0 {
                            encoder.copy_buffer_to_buffer(
                                from.buffer,
                                ((from.at + (id - source.first) * from.stride) * 4) as u64,
                                to.buffer,
                                ((to.at + row * to.stride) * 4) as u64,
                                Some(to.stride as u64 * 4),
                            );
                        }
                    }
                }
                gpu.submit(encoder);
            }
        }
        gpu.wait()?;
        Ok(Self {
            cols: self.cols,
            parts,
            infos: Vec::new(),
        })
    }
}

impl RowWords {
    /// Words of a row in the second buffer.
    fn extra(self) -> usize {
        self.high + self.scales + self.bases
    }

    /// Words of a row.
    pub(super) fn total(self) -> usize {
        self.quants + self.extra()
    }
}

impl Activations {
    /// Buffers for `rows` rows of `cols` columns.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn new(gpu: &Gpu, rows: usize, cols: usize) -> Result<Self> {
        let what = "activations";
        Ok(Self {
            dense: gpu.buffer((rows * padded(cols) * 4) as u64, what)?,
            bytes: gpu.buffer((rows * cols.next_multiple_of(32)) as u64, what)?,
            info: gpu.buffer((rows * cols.div_ceil(32) * 8) as u64, what)?,
        })
    }
}

/// Length of an f32 row on the device: whole units of dense weights.
pub fn padded(cols: usize) -> usize {
    cols.next_multiple_of(8)
}
