//! A check on opening a device: whether a matrix product is batch-invariant, i.e. bitwise independent of the number of
//! rows.

use super::context::Gpu;
use super::matrix::{Activations, Out, Uploader};
use super::pass::{Batch, Recorder};
use super::shader::{Kernel, ROW_COUNTS, TEAM_ROWS, Tile};
use crate::engine::Result;
use crate::engine::splitmix::SplitMix64;
use crate::engine::weights::RawTensor;
use candle_core::quantized::GgmlDType;
use std::borrow::Cow;

const ROWS: usize = 40;
const COLS: usize = 1056;
/// Activation rows: as many as the largest kernel multiplies.
const N: usize = ROW_COUNTS[ROW_COUNTS.len() - 1];

/// `None` if all kernels give a row the same bits; otherwise the only row count to use.
///
/// # Errors
/// If the device fails.
pub fn only_rows(gpu: &Gpu) -> Result<Option<usize>> {
    for dtype in [GgmlDType::Q8_0, GgmlDType::F16] {
        let results = products(gpu, dtype)?;
        let (last, others) = results.split_last().unwrap_or((&results[0], &[]));
        let differs = |result: &Vec<u32>| result[..] != last[..result.len()];
        if others.iter().any(differs) {
            tracing::warn!(gpu = gpu.info.name, "rows depend on their number");
            return Ok(Some(TEAM_ROWS));
        }
    }
    Ok(None)
}

/// The bits of the first rows of a random product for each row count, `[rows][ROWS]`.
fn products(gpu: &Gpu, dtype: GgmlDType) -> Result<Vec<Vec<u32>>> {
    let mut random = SplitMix64(7);
    let bytes = COLS / dtype.block_size() * dtype.type_size();
    let mut data = Vec::with_capacity(ROWS * bytes);
    while data.len() < ROWS * bytes {
        // f16 numbers of moderate size, both as scales and as dense weights.
        let bits = random.next_u64() as u16 & 0xbfff | 0x2000;
        data.extend(bits.to_le_bytes());
    }
    data.truncate(ROWS * bytes);
    let tensor = RawTensor {
        shape: vec![ROWS, COLS],
        dtype,
        data: Cow::Owned(data),
    };
    let mut uploader = Uploader::new(gpu, 1);
    let matrix = uploader.matrix(&[("the check", tensor)], COLS)?;
    let x = Activations::new(gpu, N, COLS)?;
    let uniform = |n: usize, random: &mut SplitMix64| -> Vec<f32> {
        (0..n)
            .map(|_| (random.next_u64() >> 40) as f32 / (1 << 23) as f32 - 1.0)
            .collect()
    };
    let dense = uniform(N * COLS, &mut random);
    let info = uniform(N * COLS.div_ceil(32) * 2, &mut random);
    let words: Vec<u32> = (0..N * COLS / 4)
        .map(|_| random.next_u64() as u32)
        .collect();
    let write = |buffer: &wgpu::Buffer, bytes: &[u8]| gpu.queue.write_buffer(buffer, 0, bytes);
    write(&x.dense, bytemuck::cast_slice(&dense));
    write(&x.bytes, bytemuck::cast_slice(&words));
    write(&x.info, bytemuck::cast_slice(&info));

    let out = gpu.buffer((N * ROWS * 4) as u64, "results")?;
    let staging = gpu.staging(out.size())?;
    let batches = gpu.uniforms(256)?;
    let states = gpu.pass_group(&batches, &gpu.unread, &gpu.unwritten);
    let products = matrix.products(gpu, &x, Out::Store(&out, ROWS))?;
    let mut all = Vec::new();
    for rows in ROW_COUNTS {
        let batch = Batch {
            n: rows as u32,
            ..Batch::default()
        };
        gpu.queue
            .write_buffer(&batches, 0, bytemuck::bytes_of(&batch));
        let mut recorder = Recorder::new(gpu, &states, rows, 0);
        for product in &products {
            let tile = Tile::of(product.layout, rows);
            let kernel = Kernel::Multiply {
                layout: product.layout,
                rows,
                add: false,
                tile,
            };
            let groups = ROWS.div_ceil(tile.group_rows(rows)) as u32;
            recorder.run(kernel, &[&product.group], [groups, 1, 1]);
        }
        let mut encoder = recorder.finish();
        let bytes = (rows * ROWS * 4) as u64;
        encoder.copy_buffer_to_buffer(&out, 0, &staging, 0, Some(bytes));
        gpu.read(encoder, &staging, bytes, |bytes| {
            all.push(bytemuck::pod_collect_to_vec(bytes));
        })?;
    }
    Ok(all)
}
