//! Every kernel against f64.

use super::super::context::Gpu;
use super::super::matrix::{Activations, Out, Uploader, padded};
use super::super::pass::{Batch, DeviceRow, MAX_ROWS, Recorder};
use super::super::round::{Choice, chooser};
use super::super::shader::{Kernel, ROW_COUNTS, Tile};
use super::{float_gpu, gpu};
use crate::engine::kernels::{Arena, Packed};
use crate::engine::model::{Ancestors, Row};
use crate::engine::sampling::noise::{PositionNoise, Stream, gumbel};
use crate::engine::splitmix::SplitMix64;
use crate::engine::weights::RawTensor;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use std::borrow::Cow;

const DTYPES: [GgmlDType; 11] = [
    GgmlDType::F32,
    GgmlDType::F16,
    GgmlDType::BF16,
    GgmlDType::Q8_0,
    GgmlDType::Q4_0,
    GgmlDType::Q4_1,
    GgmlDType::Q5_0,
    GgmlDType::Q5_1,
    GgmlDType::Q4K,
    GgmlDType::Q5K,
    GgmlDType::Q6K,
];

struct Random(SplitMix64);

impl Random {
    /// Uniform in −1..1.
    fn number(&mut self) -> f32 {
        (self.0.next_u64() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn numbers(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.number()).collect()
    }

    fn below(&mut self, n: usize) -> usize {
        (self.0.next_u64() % n as u64) as usize
    }

    fn tensor(&mut self, dtype: GgmlDType, rows: usize, cols: usize) -> RawTensor<'static> {
        let numbers = self.numbers(rows * cols);
        let tensor = Tensor::from_vec(numbers, (rows, cols), &Device::Cpu).unwrap();
        let data = QTensor::quantize(&tensor, dtype)
            .unwrap()
            .data()
            .unwrap()
            .into_owned();
        RawTensor {
            shape: vec![rows, cols],
            dtype,
            data: Cow::Owned(data),
        }
    }
}

/// The weights of a tensor, `[rows][cols]`.
fn weights(tensor: &RawTensor<'_>) -> Vec<f32> {
    let (rows, cols) = (tensor.shape[0], tensor.shape[1]);
    let mut arena = Arena::default();
    let packed = Packed::new("", tensor.dtype, rows, cols, &tensor.data, &mut arena).unwrap();
    let mut all = vec![0.0; rows * cols];
    for (row, out) in all.chunks_exact_mut(cols).enumerate() {
        packed.row(row, out);
    }
    all
}

/// Buffers and groups to run single kernels.
struct Bench<'a> {
    gpu: &'a Gpu,
    batches: wgpu::Buffer,
    rows: wgpu::Buffer,
    states: wgpu::Buffer,
}

impl<'a> Bench<'a> {
    fn new(gpu: &'a Gpu, states: &[f32]) -> Self {
        Self {
            gpu,
            batches: gpu.uniforms(256).unwrap(),
            rows: gpu.buffer(64 * 32, "rows").unwrap(),
            states: upload(gpu, states),
        }
    }

    fn rows(&self, rows: &[Row], len: usize) {
        let rows: Vec<_> = rows.iter().map(|row| DeviceRow::new(row, len)).collect();
        self.gpu
            .queue
            .write_buffer(&self.rows, 0, bytemuck::cast_slice(&rows));
    }

    fn run(&self, batch: Batch, work: impl FnOnce(&mut Recorder<'_>)) {
        self.gpu
            .queue
            .write_buffer(&self.batches, 0, bytemuck::bytes_of(&batch));
        let states = self.gpu.pass_group(&self.batches, &self.rows, &self.states);
        let (n, pages) = (batch.n as usize, batch.pages as usize);
        let mut recorder = Recorder::new(self.gpu, &states, n, pages);
        work(&mut recorder);
        self.gpu.submit(recorder.finish());
    }
}

fn upload<T: bytemuck::Pod>(gpu: &Gpu, numbers: &[T]) -> wgpu::Buffer {
    let bytes = bytemuck::cast_slice(numbers);
    let buffer = gpu.buffer(bytes.len() as u64, "a test").unwrap();
    gpu.queue.write_buffer(&buffer, 0, bytes);
    buffer
}

fn download<T: bytemuck::Pod>(gpu: &Gpu, buffer: &wgpu::Buffer, n: usize) -> Vec<T> {
    let bytes = (n * size_of::<T>()) as u64;
    let staging = gpu.staging(bytes).unwrap();
    let mut encoder = gpu.encoder();
    encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, Some(bytes));
    let mut all = Vec::new();
    gpu.read(encoder, &staging, bytes, |bytes| {
        all = bytemuck::pod_collect_to_vec(bytes);
    })
    .unwrap();
    all
}

fn batch(n: usize) -> Batch {
    Batch {
        n: n as u32,
        ..Batch::default()
    }
}

/// Random activations on the device and as f64, `[MAX_ROWS][cols]`, as a product with weights of this type reads them.
fn activations(
    gpu: &Gpu,
    random: &mut Random,
    cols: usize,
    is_dense: bool,
) -> (Activations, Vec<f64>) {
    let x = Activations::new(gpu, MAX_ROWS, cols).unwrap();
    let write = |buffer: &wgpu::Buffer, bytes: &[u8]| gpu.queue.write_buffer(buffer, 0, bytes);
    if is_dense {
        let numbers = random.numbers(MAX_ROWS * cols);
        let mut rows = vec![0f32; MAX_ROWS * padded(cols)];
        for (row, numbers) in rows
            .chunks_mut(padded(cols))
            .zip(numbers.chunks_exact(cols))
        {
            row[..cols].copy_from_slice(numbers);
        }
        write(&x.dense, bytemuck::cast_slice(&rows));
        return (x, numbers.into_iter().map(f64::from).collect());
    }
    let blocks = cols / 32;
    let (mut bytes, mut info) = (
        vec![0i8; MAX_ROWS * cols],
        vec![[0f32; 2]; MAX_ROWS * blocks],
    );
    let mut exact = Vec::new();
    for row in 0..MAX_ROWS {
        for block in 0..blocks {
            let step = random.number().abs() / 100.0;
            let mut sum = 0.0;
            for i in 0..32 {
                let q = random.below(255) as i32 - 127;
                bytes[((row * 2 + i / 16) * blocks + block) * 16 + i % 16] = q as i8;
                sum += q as f32;
                exact.push(f64::from(q) * f64::from(step));
            }
            info[row * blocks + block] = [step, step * sum];
        }
    }
    write(&x.bytes, bytemuck::cast_slice(&bytes));
    write(&x.info, bytemuck::cast_slice(&info));
    (x, exact)
}

/// The largest error of a matrix product relative to the sum of the sizes of its terms.
fn product_error(out: &[f32], x: &[f64], w: &[f32], rows: usize, cols: usize) -> f64 {
    let mut largest = 0.0f64;
    for (i, out) in out.iter().enumerate() {
        let (m, row) = (i / rows, i % rows);
        let terms = x[m * cols..][..cols]
            .iter()
            .zip(&w[row * cols..][..cols])
            .map(|(x, w)| x * f64::from(*w));
        let (sum, size) = terms.fold((0.0, 1e-30), |(sum, size), term| {
            (sum + term, size + term.abs())
        });
        largest = largest.max((f64::from(*out) - sum).abs() / size);
    }
    largest
}

#[test]
fn matrix_products_agree_with_f64_and_have_the_same_bits_for_any_number_of_rows() {
    let (Some(packed), Some(float)) = (gpu(), float_gpu()) else {
        return;
    };
    let mut random = Random(SplitMix64(1));
    for dtype in DTYPES {
        let block = dtype.block_size();
        for (rows, cols) in [
            (1, block.max(10)),
            (37, block * 3),
            (72, 576usize.next_multiple_of(block)),
            (19, 1536),
        ] {
            let tensor = random.tensor(dtype, rows, cols);
            let w = weights(&tensor);
            let mut bits: Option<Vec<u32>> = None;
            for gpu in [&packed, &float] {
                let raw = RawTensor {
                    shape: tensor.shape.clone(),
                    dtype,
                    data: Cow::Borrowed(&tensor.data),
                };
                let matrix = Uploader::new(gpu, 2).matrix(&[("w", raw)], cols).unwrap();
                let mut same = Random(SplitMix64(rows as u64));
                let (x, exact) = activations(gpu, &mut same, cols, block == 1);
                let out = gpu.buffer((MAX_ROWS * rows * 4) as u64, "a test").unwrap();
                let products = matrix.products(gpu, &x, Out::Store(&out, rows)).unwrap();
                let bench = Bench::new(gpu, &[0.0]);
                let layout = products[0].layout;
                for m in ROW_COUNTS {
                    let tile = Tile::of(layout, m);
                    bench.run(batch(m), |recorder| {
                        let kernel = Kernel::Multiply {
                            layout,
                            rows: m,
                            add: false,
                            tile,
                        };
                        let size = [rows.div_ceil(tile.group_rows(m)) as u32, 1, 1];
                        recorder.run(kernel, &[&products[0].group], size);
                    });
                    let got: Vec<f32> = download(gpu, &out, m * rows);
                    let error = product_error(&got, &exact, &w, rows, cols);
                    assert!(
                        error < 1e-6,
                        "{dtype:?} [{rows}, {cols}], {m} rows: {error}"
                    );
                    let got: Vec<u32> = got.into_iter().map(f32::to_bits).collect();
                    let all = bits.get_or_insert_with(|| got.clone());
                    let common = all.len().min(got.len());
                    assert!(
                        all[..common] == got[..common],
                        "{dtype:?} [{rows}, {cols}] differs for {m} rows"
                    );
                    if got.len() > all.len() {
                        *all = got;
                    }
                }
            }
        }
    }
}

#[test]
fn embeddings_are_the_dequantised_rows() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random(SplitMix64(2));
    for dtype in DTYPES {
        let cols = if dtype.block_size() == 1 { 30 } else { 512 };
        let stride = padded(cols);
        let tensor = random.tensor(dtype, 20, cols);
        let want = weights(&tensor);
        let matrix = Uploader::new(&gpu, 1)
            .matrix(&[("w", tensor)], cols)
            .unwrap();
        let bench = Bench::new(&gpu, &vec![7.0f32; 3 * stride]);
        let tokens = upload(&gpu, &[3u32, 19, 0]);
        let rows: Vec<Row> = Row::chain(&[3, 19, 0], 5).collect();
        bench.rows(&rows, 5);
        let part = &matrix.parts[0];
        let dims = gpu.uniform(&part.dims(stride)).unwrap();
        let group = gpu.multiply_group([
            &part.quants,
            &part.extra,
            &tokens,
            &gpu.unread,
            &gpu.unwritten,
            &dims,
        ]);
        bench.run(batch(3), |recorder| {
            let size = [part.units.div_ceil(64) as u32, 3, 1];
            recorder.run(Kernel::Embed(part.layout), &[&group], size);
        });
        let got: Vec<f32> = download(&gpu, &bench.states, 3 * stride);
        for (got, token) in got.chunks_exact(stride).zip([3, 19, 0]) {
            for (got, want) in got.iter().zip(&want[token * cols..][..cols]) {
                assert!((got - want).abs() <= want.abs() * 1e-6, "{dtype:?}");
            }
            assert!(got[cols..].iter().all(|&x| x == 0.0), "padding");
        }
    }
}

/// Runs a kernel that writes activations of `n` rows in both forms, and compares them with the expected numbers.
fn check_emitted(
    bench: &Bench<'_>,
    kernel: Kernel,
    [input, weight]: [&wgpu::Buffer; 2],
    sizes: [u32; 4],
    cols: usize,
    batch: Batch,
    want: &[f64],
) {
    let (gpu, n) = (bench.gpu, batch.n as usize);
    let out = Activations::new(gpu, 64, cols).unwrap();
    let forms = if cols.is_multiple_of(32) { 3 } else { 1 };
    let [stride, head_dim, heads, eps] = sizes;
    let dims = gpu
        .uniform(&[
            cols as u32,
            (padded(cols) / 4) as u32,
            (cols / 32) as u32,
            forms,
            stride,
            head_dim,
            heads,
            eps,
        ])
        .unwrap();
    let group = gpu.emit_group([input, weight, &out.dense, &out.bytes, &out.info, &dims]);
    bench.run(batch, |recorder| {
        let size = [cols.div_ceil(1024) as u32, n as u32, 1];
        recorder.run(kernel, &[&group], size);
    });
    let dense: Vec<f32> = download(gpu, &out.dense, n * padded(cols));
    for (got, want) in dense
        .chunks_exact(padded(cols))
        .zip(want.chunks_exact(cols))
    {
        let size = want.iter().fold(0f64, |a, b| a.max(b.abs()));
        for (got, want) in got.iter().zip(want) {
            let error = (f64::from(*got) - want).abs();
            assert!(error < 2e-5 * size, "{kernel:?}: {got} for {want}");
        }
        assert!(got[cols..].iter().all(|&x| x == 0.0), "padding");
    }
    if forms == 1 {
        return;
    }
    let blocks = cols / 32;
    let bytes: Vec<i8> = download(gpu, &out.bytes, n * cols);
    let info: Vec<[f32; 2]> = download(gpu, &out.info, n * blocks);
    for row in 0..n {
        for block in 0..blocks {
            let [step, sum] = info[row * blocks + block];
            let numbers = &dense[row * padded(cols) + block * 32..][..32];
            let largest = numbers.iter().fold(0f32, |a, b| a.max(b.abs()));
            assert!((step - largest / 127.0).abs() <= step * 1e-6);
            let mut total = 0;
            for (i, x) in numbers.iter().enumerate() {
                let q = bytes[((row * 2 + i / 16) * blocks + block) * 16 + i % 16];
                total += i32::from(q);
                let error = (f32::from(q) * step - x).abs();
                assert!(error <= step * 0.50001, "{q} × {step} for {x}");
            }
            assert!((sum - step * total as f32).abs() <= step * 1e-3);
        }
    }
}

#[test]
fn norms_agree_with_f64() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random(SplitMix64(3));
    for cols in [30, 64, 576, 1120, 4096] {
        let stride = padded(cols);
        let mut states = random.numbers(4 * stride);
        let mut weight = random.numbers(stride);
        for row in states.chunks_exact_mut(stride).chain([&mut weight[..]]) {
            row[cols..].fill(0.0);
        }
        let bench = Bench::new(&gpu, &states);
        // The second row of the batch is in the fourth state.
        let rows: Vec<Row> = [9, 6, 8]
            .iter()
            .flat_map(|&slot| Row::chain(&[0], slot))
            .collect();
        bench.rows(&rows, 5);
        let eps = 1e-5f32;
        let mut want = Vec::new();
        for row in &rows {
            let at = (row.slot - 5).min(3) * stride;
            let x = &states[at..at + cols];
            let mean: f64 = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / cols as f64;
            let scale = 1.0 / (mean + f64::from(eps)).sqrt();
            want.extend(
                x.iter()
                    .zip(&weight)
                    .map(|(&x, &w)| f64::from(x) * scale * f64::from(w)),
            );
        }
        let batch = Batch {
            first: 1,
            ..batch(2)
        };
        let weight = upload(&gpu, &weight);
        let sizes = [stride as u32, 2, 1, eps.to_bits()];
        let want = &want[cols..];
        check_emitted(
            &bench,
            Kernel::Norm,
            [&gpu.unread, &weight],
            sizes,
            cols,
            batch,
            want,
        );
    }
}

#[test]
fn swiglu_agrees_with_f64() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random(SplitMix64(4));
    for cols in [50, 96, 1536, 3072] {
        let numbers: Vec<f32> = random
            .numbers(3 * 2 * cols)
            .iter()
            .map(|x| x * 8.0)
            .collect();
        let mut want = Vec::new();
        for row in numbers.chunks_exact(2 * cols) {
            let (gate, up) = row.split_at(cols);
            want.extend(gate.iter().zip(up).map(|(&gate, &up)| {
                let gate = f64::from(gate);
                gate / (1.0 + (-gate).exp()) * f64::from(up)
            }));
        }
        let bench = Bench::new(&gpu, &[0.0]);
        let input = upload(&gpu, &numbers);
        let sizes = [2 * cols as u32, 2, 1, 0];
        let batch = batch(3);
        check_emitted(
            &bench,
            Kernel::Swiglu,
            [&input, &gpu.unread],
            sizes,
            cols,
            batch,
            &want,
        );
    }
}

/// Rotates, caches and attends over several pages, with chains and trees, and several shapes of heads.
#[test]
fn attention_agrees_with_f64() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random(SplitMix64(5));
    for (heads, kv_heads, dim, kept) in [
        (6, 2, 16, 20),
        (3, 3, 10, 254),
        (8, 1, 64, 520),
        (9, 3, 64, 300),
        (2, 1, 128, 270),
        (4, 4, 256, 3),
    ] {
        let (all, pairs) = (heads + 2 * kv_heads, dim / 2);
        let slots = kept + 4;
        let q_rows = slots;
        let qkv = random.numbers(q_rows * all * dim);
        let angles: Vec<f64> = (0..slots * pairs)
            .map(|i| (i / pairs) as f64 * 0.37f64.powi((i % pairs) as i32 % 8))
            .collect();
        // A chain, then a tree of four nodes: 0 ← 1, 0 ← 2 ← 3.
        let mut rows: Vec<Row> = Row::chain(&vec![0; kept], 0).collect();
        for (i, mask) in [0u64, 0b1, 0b1, 0b101].into_iter().enumerate() {
            rows.push(Row {
                token: 0,
                position: kept + mask.count_ones() as usize,
                slot: kept + i,
                ancestors: Ancestors::Tree(mask),
                depth: 0,
            });
        }
        let rotated = |row: usize, head: usize| -> Vec<f64> {
            let x = &qkv[(row * all + head) * dim..][..dim];
            if head >= heads + kv_heads {
                return x.iter().map(|&x| f64::from(x)).collect();
            }
            let position = rows[row].position;
            let pair = |i: usize| {
                let (sin, cos) = angles[position * pairs + i].sin_cos();
                let [a, b] = [f64::from(x[2 * i]), f64::from(x[2 * i + 1])];
                [a * cos - b * sin, a * sin + b * cos]
            };
            (0..pairs).flat_map(pair).collect()
        };
        // [slot][key or value head]
        let stored: Vec<Vec<f64>> = (0..slots * 2 * kv_heads)
            .map(|i| rotated(i / (2 * kv_heads), heads + i % (2 * kv_heads)))
            .collect();

        let bench = Bench::new(&gpu, &[0.0]);
        let pages = slots.div_ceil(256);
        let cache = gpu
            .buffer((pages * kv_heads * dim * 512 * 2) as u64, "a test")
            .unwrap();
        let cache_group = gpu.cache_group(&cache);
        let q = gpu.buffer((64 * heads * dim * 4) as u64, "a test").unwrap();
        let rope_dims = [heads, kv_heads, pairs, 0].map(|n| n as u32);
        let rope_dims = gpu.uniform(&rope_dims).unwrap();
        let group = super::super::shader::attention_group(heads / kv_heads, dim);
        let scale = 1.0 / (dim as f32).sqrt();
        let groups = heads / kv_heads / group;
        let attend_dims = [
            heads as u32,
            kv_heads as u32,
            groups as u32,
            scale.to_bits(),
        ];
        let attend_dims = gpu.uniform(&attend_dims).unwrap();
        let partials = gpu
            .buffer((64 * heads * pages * (dim + 2) * 4) as u64, "a test")
            .unwrap();
        let attend_group = gpu.attend_group([&q, &partials, &attend_dims]);

        for start in (0..rows.len()).step_by(64) {
            let part = &rows[start..rows.len().min(start + 64)];
            let n = part.len();
            // Rows are stored as if nothing else were in flight.
            let device: Vec<_> = part.iter().map(|row| DeviceRow::new(row, 0)).collect();
            gpu.queue
                .write_buffer(&bench.rows, 0, bytemuck::cast_slice(&device));
            let rotations: Vec<f32> = part
                .iter()
                .flat_map(|row| &angles[row.position * pairs..][..pairs])
                .flat_map(|angle| [angle.cos() as f32, angle.sin() as f32])
                .collect();
            let rotations = upload(&gpu, &rotations);
            let input = upload(&gpu, &qkv[start * all * dim..][..n * all * dim]);
            let rope_group = gpu.rope_group([&input, &rotations, &q, &rope_dims]);
            let batch = Batch {
                kept: kept as u32,
                pages: pages as u32,
                ..batch(n)
            };
            bench.run(batch, |recorder| {
                let size = [(all * pairs).div_ceil(64) as u32, n as u32, 1];
                recorder.run(Kernel::Rope, &[&rope_group, &cache_group], size);
                let kernel = Kernel::Attend {
                    head_dim: dim,
                    group,
                };
                let size = [(heads / group) as u32, n as u32, pages as u32];
                recorder.run(kernel, &[&attend_group, &cache_group], size);
            });
            let mut want = Vec::new();
            for (i, row) in part.iter().enumerate() {
                let visible = |slot: &usize| match row.ancestors {
                    Ancestors::Chain => *slot <= row.slot,
                    Ancestors::Tree(mask) => {
                        *slot < kept || *slot == row.slot || mask >> (slot - kept) & 1 == 1
                    }
                };
                // Few rows are enough, and f64 is slow.
                if start + i < kept && i % 16 != 3 {
                    want.extend(vec![f64::NAN; heads * dim]);
                    continue;
                }
                for head in 0..heads {
                    let kv = head / (heads / kv_heads);
                    let query = rotated(start + i, head);
                    let slots: Vec<usize> = (0..rows.len()).filter(visible).collect();
                    let scores: Vec<f64> = slots
                        .iter()
                        .map(|&slot| {
                            let key = &stored[slot * 2 * kv_heads + kv];
                            let dot: f64 = query.iter().zip(key).map(|(a, b)| a * b).sum();
                            dot * f64::from(scale)
                        })
                        .collect();
                    let most = scores.iter().fold(f64::MIN, |a, b| a.max(*b));
                    let total: f64 = scores.iter().map(|score| (score - most).exp()).sum();
                    let mut out = vec![0.0; dim];
                    for (slot, score) in slots.iter().zip(&scores) {
                        let value = &stored[(slot * 2 + 1) * kv_heads + kv];
                        for (out, value) in out.iter_mut().zip(value) {
                            *out += (score - most).exp() / total * value;
                        }
                    }
                    want.extend(out);
                }
            }
            let got = combined(&bench, &partials, batch, heads, dim);
            for (got, want) in got.iter().zip(&want).filter(|(_, want)| !want.is_nan()) {
                // Keys and values are f16.
                let error = (f64::from(*got) - want).abs();
                assert!(
                    error < 1e-3,
                    "{heads}/{kv_heads} heads of {dim}: {got} for {want}"
                );
            }
        }
    }
}

/// The combined partial results, `[n][heads][dim]`.
fn combined(
    bench: &Bench<'_>,
    partials: &wgpu::Buffer,
    batch: Batch,
    heads: usize,
    dim: usize,
) -> Vec<f32> {
    let (gpu, n, cols) = (bench.gpu, batch.n as usize, heads * dim);
    let out = Activations::new(gpu, n, cols).unwrap();
    let dims = [cols, padded(cols) / 4, cols / 32, 1, 0, dim, heads, 0].map(|n| n as u32);
    let dims = gpu.uniform(&dims).unwrap();
    let group = gpu.emit_group([
        partials,
        &gpu.unread,
        &out.dense,
        &out.bytes,
        &out.info,
        &dims,
    ]);
    bench.run(batch, |recorder| {
        let size = [cols.div_ceil(1024) as u32, n as u32, 1];
        recorder.run(Kernel::Combine, &[&group], size);
    });
    let all: Vec<f32> = download(gpu, &out.dense, n * padded(cols));
    all.chunks_exact(padded(cols))
        .flat_map(|row| row[..cols].to_vec())
        .collect()
}

#[test]
fn noise_equals_the_hosts_in_all_bits() {
    let Some(gpu) = gpu() else { return };
    const TOKENS: usize = 49_152;
    let bench = Bench::new(&gpu, &[0.0]);
    for (seed, position) in [(0, 0), (42, 7), (u64::MAX, 1_000_000)] {
        let noise = PositionNoise::new(seed, position, Stream::Gumbel);
        let bits = noise.bits();
        let input = upload(&gpu, &[bits as u32, (bits >> 32) as u32]);
        let out = gpu.buffer(TOKENS as u64 * 16, "a test").unwrap();
        let group = gpu.read_group([&input, &out]);
        bench.run(batch(1), |recorder| {
            recorder.run(Kernel::Noise, &[&group], [(TOKENS / 64) as u32, 1, 1]);
        });
        let got: Vec<[u32; 4]> = download(&gpu, &out, TOKENS);
        for (id, [low, high, value, _]) in got.into_iter().enumerate() {
            let want = noise.token_bits(id as u32);
            assert_eq!(u64::from(low) | u64::from(high) << 32, want, "token {id}");
            let want = gumbel(noise.uniform(id as u32));
            let error = (f64::from(f32::from_bits(value)) - want).abs();
            assert!(error < 1e-5 * want.abs().max(1.0), "{want}");
        }
    }
}

/// Choices over a vocabulary, greedy and with noise, with every filter and with several of them.
#[test]
fn choices_equal_those_of_the_host() {
    use crate::engine::sampling::{Distribution, Pick, Sampler, Sampling};
    let Some(gpu) = gpu() else { return };
    const VOCAB: usize = 5000;
    let mut random = Random(SplitMix64(6));
    let logits: Vec<f32> = random.numbers(2 * VOCAB).iter().map(|x| x * 9.0).collect();
    let bench = Bench::new(&gpu, &[0.0]);
    let (buffer, tokens) = (upload(&gpu, &logits), upload(&gpu, &[0u32; 4]));
    let ids: Vec<u32> = (0..VOCAB as u32).collect();
    let ids = upload(&gpu, &ids);
    let dims = gpu.uniform(&[VOCAB as u32, VOCAB as u32, 0, 0]).unwrap();
    let mut distribution = Distribution::default();
    let settings = [
        (0.0, 0, 1.0, 0.0),
        (0.7, 0, 1.0, 0.0),
        (1.0, 0, 1.0, 0.3),
        (2.5, 0, 1.0, 0.05),
        (0.7, 0, 0.9, 0.0),
        (4.0, 0, 0.5, 0.0),
        (9.0, 40, 1.0, 0.0),
        (20.0, 1, 1.0, 0.0),
        (30.0, 300, 0.8, 0.01),
        (100.0, 4999, 0.999, 0.0),
        (0.01, 3, 0.1, 0.9),
    ];
    for (i, (temperature, top_k, top_p, min_p)) in
        settings.into_iter().cycle().take(110).enumerate()
    {
        let sampling = Sampling {
            temperature,
            top_k,
            top_p,
            min_p,
            seed: i as u64,
            ..Sampling::default()
        };
        let choice = Choice::new(&sampling, 11);
        let choices = upload(&gpu, &[choice, choice]);
        let group = gpu.choose_group([&buffer, &ids, &choices, &tokens, &dims]);
        let batch = Batch {
            out_row: 1,
            step: 1,
            first: 2,
            ..batch(1)
        };
        bench.run(batch, |recorder| {
            recorder.run(chooser(&sampling, VOCAB), &[&group], [1, 1, 1])
        });
        distribution
            .fill(&logits[VOCAB..], None, &sampling)
            .unwrap();
        let sampler = Sampler {
            sampling: &sampling,
            position: 11,
        };
        let got: Vec<u32> = download(&gpu, &tokens, 4);
        assert_eq!(
            got[3],
            sampler.pick(&distribution, Pick::Draft),
            "{sampling:?}"
        );
    }
}
