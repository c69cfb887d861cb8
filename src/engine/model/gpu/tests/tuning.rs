//! Measurements for the choice of [`Tile`]s, on a real GPU: `cargo test --release --lib gpu::tests::tuning -- --ignored
//! --nocapture --test-threads 1`.

use super::super::GpuModel;
use super::super::bandwidth::read_bandwidth;
use super::super::context::Gpu;
use super::super::layout::Layout;
use super::super::matrix::{Activations, Matrix, Out, Part, Product, Uploader};
use super::super::pass::{Batch, DeviceRow, MAX_ROWS, Recorder};
use super::super::sequence::GpuSequence;
use super::super::shader::{Kernel, Tile};
use super::gpu;
use crate::engine::model::random::RandomModel;
use crate::engine::model::{Row, Sequence};
use crate::engine::splitmix::SplitMix64;
use candle_core::quantized::GgmlDType;
use std::sync::Arc;
use std::time::Instant;

/// Bytes of weights that a measurement cycles through, to defeat the cache.
const ROTATED: u64 = 400 << 20;
/// Bytes of weights that a measurement reads.
const READ: u64 = 4 << 30;

/// Shapes of 7B and 8B models and, from cache, one of SmolLM2-135M: [rows, columns].
const SHAPES: [[usize; 2]; 5] = [
    [4096, 4096],
    [6144, 4096],
    [28672, 4096],
    [4096, 14336],
    [576, 576],
];

fn tiles(m: usize) -> Vec<Tile> {
    let all = [
        (1, 1, 1),
        (1, 1, 4),
        (1, 2, 1),
        (1, 2, 4),
        (2, 2, 2),
        (2, 4, 1),
        (2, 4, 2),
        (4, 1, 4),
        (4, 2, 1),
        (4, 2, 2),
        (4, 2, 4),
        (4, 4, 1),
        (4, 4, 2),
        (8, 2, 2),
        (8, 2, 1),
        (8, 4, 1),
        (8, 4, 2),
        (4, 8, 1),
        (2, 8, 1),
        (1, 8, 1),
    ];
    let fits = |&(_, rows, unroll): &(usize, usize, usize)| {
        // Sums and loaded weights that fit the registers of a thread.
        rows * m + rows * unroll * 8 <= 160
    };
    let tile = |(teams, rows, unroll)| Tile {
        teams,
        rows,
        unroll,
    };
    all.into_iter().filter(fits).map(tile).collect()
}

/// Copies of a matrix of random words.
struct Copies {
    bytes: u64,
    parts: Vec<Part>,
    products: Vec<Product>,
}

fn words(random: &mut SplitMix64, n: usize) -> Vec<u32> {
    // Moderate numbers both as pairs of f16 and as bytes.
    let mut word = || random.next_u64() as u32 & 0xbfff_bfff | 0x2000_2000;
    (0..n).map(|_| word()).collect()
}

fn copies(gpu: &Arc<Gpu>, layout: Layout, [rows, cols]: [usize; 2], out: &wgpu::Buffer) -> Copies {
    let mut random = SplitMix64(3);
    let bytes = (rows * layout.row_words(cols).total() * 4) as u64;
    let count = ROTATED.div_ceil(bytes).min(64);
    let source = gpu.buffer(16 << 20, "a test").unwrap();
    let noise = words(&mut random, 4 << 20);
    gpu.queue
        .write_buffer(&source, 0, bytemuck::cast_slice(&noise));
    let x = Activations::new(gpu, MAX_ROWS, cols).unwrap();
    for buffer in [&x.dense, &x.bytes, &x.info] {
        let numbers: Vec<f32> = (0..buffer.size() / 4)
            .map(|_| (random.next_u64() >> 40) as f32 / (1 << 23) as f32 - 1.0)
            .collect();
        gpu.queue
            .write_buffer(buffer, 0, bytemuck::cast_slice(&numbers));
    }
    let (mut parts, mut products) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let uploader = Uploader::new(gpu, 1);
        let allocated = uploader.allocate(layout, 0, rows, cols).unwrap();
        let mut encoder = gpu.encoder();
        for part in &allocated {
            for buffer in [&part.quants, &part.extra] {
                let mut at = 0;
                while at < buffer.size() && buffer.size() > 256 {
                    let bytes = source.size().min(buffer.size() - at);
                    encoder.copy_buffer_to_buffer(&source, 0, buffer, at, Some(bytes));
                    at += bytes;
                }
            }
        }
        gpu.submit(encoder);
        let matrix = Matrix {
            cols,
            parts: allocated,
            infos: Vec::new(),
        };
        products.extend(matrix.products(gpu, &x, Out::Store(out, rows)).unwrap());
        parts.extend(matrix.parts);
    }
    gpu.wait().unwrap();
    Copies {
        bytes,
        parts,
        products,
    }
}

/// Best seconds of three runs of `work`, in one submission or several: until the host has recorded it, and in all.
fn time(
    gpu: &Gpu,
    states: &wgpu::BindGroup,
    once: bool,
    work: &dyn Fn(&mut Recorder<'_>),
) -> [f64; 2] {
    let mut best = [f64::INFINITY; 2];
    for _ in 0..3 {
        let started = Instant::now();
        let mut recorder = Recorder::new(gpu, states, 1, 1);
        if once {
            recorder.submit_once();
        }
        work(&mut recorder);
        let commands = recorder.finish().finish();
        let recorded = started.elapsed().as_secs_f64();
        gpu.queue.submit([commands]);
        gpu.wait().unwrap();
        let all = started.elapsed().as_secs_f64();
        best = [best[0].min(recorded), best[1].min(all)];
    }
    best
}

#[test]
#[ignore = "measures for a minute on a real GPU"]
fn products_by_tile() {
    let Some(gpu) = gpu() else { return };
    let read = read_bandwidth(&gpu).unwrap();
    println!("{}: reads {:.0} GB/s", gpu.info.name, read / 1e9);
    let out = gpu.buffer(64 * 28672 * 4, "a test").unwrap();
    let batches = gpu.uniforms(256).unwrap();
    let rows = gpu.buffer(64 * 32, "rows").unwrap();
    let all: Vec<DeviceRow> = vec![bytemuck::Zeroable::zeroed(); 64];
    gpu.queue.write_buffer(&rows, 0, bytemuck::cast_slice(&all));
    let states_buffer = gpu.buffer(1 << 20, "states").unwrap();
    let states = gpu.pass_group(&batches, &rows, &states_buffer);
    for layout in [Layout::F16, Layout::Q8_0, Layout::Q4_0] {
        for shape in SHAPES {
            let copies = copies(&gpu, layout, shape, &out);
            assert_eq!(copies.parts.len(), copies.products.len());
            let dispatches = (READ / copies.bytes).clamp(4, 400);
            for m in [1, 2, 4, 8, 16, 64] {
                let batch = Batch {
                    n: m as u32,
                    ..Batch::default()
                };
                gpu.queue
                    .write_buffer(&batches, 0, bytemuck::bytes_of(&batch));
                let candidates = match m {
                    64 => vec![Tile::of(layout, 64)],
                    _ => tiles(m),
                };
                let mut results: Vec<(f64, Tile)> = Vec::new();
                for tile in candidates {
                    let kernel = Kernel::Multiply {
                        layout,
                        rows: m,
                        add: false,
                        tile,
                    };
                    let size = [shape[0].div_ceil(tile.group_rows(m)) as u32, 1, 1];
                    let [recorded, all] = time(&gpu, &states, true, &|recorder| {
                        for i in 0..dispatches as usize {
                            let product = &copies.products[i % copies.products.len()];
                            recorder.run(kernel, &[&product.group], size);
                        }
                    });
                    results.push(((all - recorded) / dispatches as f64, tile));
                }
                results.sort_by(|a, b| a.0.total_cmp(&b.0));
                let now = Tile::of(layout, m);
                let text: Vec<String> = results
                    .iter()
                    .enumerate()
                    .filter(|(i, (_, tile))| *i < 7 || *tile == now)
                    .map(|(_, (seconds, t))| {
                        format!("{}/{}/{} {:.2}", t.teams, t.rows, t.unroll, seconds * 1e6)
                    })
                    .collect();
                let speed = copies.bytes as f64 / results[0].0 / 1e9;
                println!(
                    "{layout:?} {shape:?} m {m}: {speed:.0} GB/s; µs: {}",
                    text.join(", ")
                );
            }
        }
    }
}

#[test]
#[ignore = "measures on a real GPU"]
fn dispatches() {
    let Some(gpu) = gpu() else { return };
    let batches = gpu.uniforms(256).unwrap();
    let rows = gpu.buffer(64 * 32, "rows").unwrap();
    let states_buffer = gpu.buffer(1 << 20, "states").unwrap();
    let states = gpu.pass_group(&batches, &rows, &states_buffer);
    let batch = Batch {
        n: 1,
        ..Batch::default()
    };
    gpu.queue
        .write_buffer(&batches, 0, bytemuck::bytes_of(&batch));
    let moves = gpu.buffer(4096, "a test").unwrap();
    let dims = gpu.uniform(&[64, 0, 0, 0]).unwrap();
    let group = gpu.moves_group([&moves, &dims]);
    for (count, once) in [(1usize, true), (1000, true), (1000, false)] {
        let [recorded, all] = time(&gpu, &states, once, &|recorder| {
            for _ in 0..count {
                recorder.run(Kernel::MoveStates, &[&group], [1, 1, 1]);
            }
        });
        println!(
            "{count} dependent dispatches, in one submission {once}: recorded in {:.1} µs, done in {:.1}",
            recorded * 1e6,
            all * 1e6
        );
    }
    let staging = gpu.staging(1 << 20).unwrap();
    for bytes in [4096u64, 513 << 10] {
        let mut best = f64::INFINITY;
        for _ in 0..10 {
            let started = Instant::now();
            let mut encoder = gpu.encoder();
            encoder.copy_buffer_to_buffer(&states_buffer, 0, &staging, 0, Some(bytes));
            gpu.read(encoder, &staging, bytes, |_| ()).unwrap();
            best = best.min(started.elapsed().as_secs_f64());
        }
        println!("read of {bytes} bytes: {:.1} µs", best * 1e6);
    }
}

#[test]
#[ignore = "measures on a real GPU"]
fn kernels_of_a_layer() {
    const POSITIONS: usize = 200;
    const TIMES: usize = 100;
    let Some(gpu) = gpu() else { return };
    for (name, dtype) in [
        ("llama3-8b", GgmlDType::Q8_0),
        ("llama2-7b", GgmlDType::F16),
        ("smollm2-135m", GgmlDType::Q8_0),
    ] {
        let random: RandomModel = name.parse().unwrap();
        let checkpoint = random.checkpoint(dtype, 1.0).unwrap();
        let model = GpuModel::load_layers(&checkpoint, gpu.clone(), 0..3, &mut |_| ()).unwrap();
        let weights = model.0.clone();
        let mut sequence = GpuSequence::new(weights.clone(), 1024).unwrap();
        let prompt: Vec<Row> = Row::chain(&[5; POSITIONS], 0).collect();
        sequence.forward(&prompt, 3).unwrap();
        sequence.keep(&(0..POSITIONS).collect::<Vec<_>>()).unwrap();
        for n in [1, 8] {
            let rows: Vec<Row> = Row::chain(&vec![7; n], POSITIONS).collect();
            sequence.reserve(POSITIONS + n).unwrap();
            let batch = Batch {
                n: n as u32,
                kept: POSITIONS as u32,
                pages: 1,
                ..Batch::default()
            };
            let mut scratch = GpuSequence::scratch(&weights);
            weights
                .upload(&mut scratch, &rows, POSITIONS, &[batch])
                .unwrap();
            let config = &weights.config;
            let measure = |what: &str, work: &dyn Fn(&mut Recorder<'_>, usize)| {
                let mut best = f64::INFINITY;
                for _ in 0..3 {
                    let mut recorder = sequence.recorder(n, 1);
                    recorder.submit_once();
                    for i in 0..TIMES {
                        work(&mut recorder, i);
                    }
                    let commands = recorder.finish().finish();
                    let started = Instant::now();
                    gpu.queue.submit([commands]);
                    gpu.wait().unwrap();
                    best = best.min(started.elapsed().as_secs_f64());
                }
                println!(
                    "{name} {n} rows: {what} {:.1} µs",
                    best / TIMES as f64 * 1e6
                );
            };
            let layer = &weights.layers[0];
            let cache = sequence.cache.group(0);
            measure("norm", &|recorder, _| recorder.emit(&layer.attn_norm));
            let pairs = (config.num_heads + 2 * config.num_kv_heads) * config.head_dim / 2;
            let size = [pairs.div_ceil(64) as u32, n as u32, 1];
            measure("rope", &|recorder, _| {
                recorder.run(Kernel::Rope, &[&weights.rope_group, cache], size);
            });
            measure("attention", &|recorder, _| {
                weights.attend(recorder, &scratch.partials, cache);
            });
            measure("SwiGLU", &|recorder, _| recorder.emit(&layer.swiglu));
            let each = |i: usize| &weights.layers[i % 3];
            measure("q, k, v", &|recorder, i| {
                recorder.multiply(&each(i).qkv, usize::MAX);
            });
            measure("attention output", &|recorder, i| {
                recorder.multiply(&each(i).attn_output, usize::MAX);
            });
            measure("gate, up", &|recorder, i| {
                recorder.multiply(&each(i).gate_up, usize::MAX);
            });
            measure("down", &|recorder, i| {
                recorder.multiply(&each(i).down, usize::MAX);
            });
            measure("layer", &|recorder, i| {
                weights.layer(recorder, &scratch, i % 3, sequence.cache.group(i % 3));
            });
            measure("head", &|recorder, _| {
                weights.head(recorder, &weights.head, usize::MAX);
            });
        }
    }
}
