//! Matrix products by format and number of rows, and the cost of a phase with our thread pool and with rayon's.
//!
//! `cargo bench --bench kernels`; `SKIPLENS_SIMD=avx2` measures another instruction set.

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use divan::{
    Bencher, black_box,
    counter::{BytesCount, ItemsCount},
};
use skiplens::engine::kernels::{
    Activations, Arena, Attention, BLOCK, Combine, Isa, LANES, PAGE, Packed, Page, Queries, SCORES,
    Shared, TILE, Tail, ThreadPool, attend_page, combine, physical_cores, tile,
};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

fn main() {
    divan::main();
}

const ROWS: usize = 1536;
/// SmolLM2's rows; a multiple of 32, not of 256.
const COLS: usize = 576;

fn matrix(dtype: GgmlDType, cols: usize) -> Packed {
    let numbers: Vec<f32> = (0..ROWS * cols)
        .map(|i| (i * 7919 % 1009) as f32 / 1009.0 - 0.5)
        .collect();
    let tensor = Tensor::from_vec(numbers, (ROWS, cols), &Device::Cpu).unwrap();
    let data = QTensor::quantize(&tensor, dtype).unwrap();
    Packed::new(
        "w",
        dtype,
        ROWS,
        cols,
        &data.data().unwrap(),
        &mut Arena::default(),
    )
    .unwrap()
}

/// One matrix, in cache, on one thread.
fn product(bencher: Bencher, dtype: GgmlDType, cols: usize, rows: usize) {
    let (isa, weights, mut acts) = (Isa::detect(), matrix(dtype, cols), Activations::default());
    let view = acts.view(rows, cols);
    for row in 0..rows {
        // SAFETY: this is the only thread.
        unsafe {
            view.row(row)
                .iter_mut()
                .enumerate()
                .for_each(|(i, x)| *x = (i % 13) as f32 - 6.0);
            view.quantise(isa, row, 0, cols / BLOCK * BLOCK);
        }
    }
    let mut out = [[0.0; LANES]; TILE];
    bencher
        .counter(BytesCount::new(weights.bytes()))
        .bench_local(|| {
            for panel in 0..weights.panels() {
                // SAFETY: the activations were written above, by the only thread.
                unsafe { tile(isa, &weights, panel, &view, 0, rows, &mut out) };
                black_box(&mut out);
            }
        });
}

macro_rules! formats {
    ($($name:ident: $dtype:ident, $cols:expr;)*) => {$(
        #[divan::bench(args = [1, 2, 4, 8, 16])]
        fn $name(bencher: Bencher, rows: usize) {
            product(bencher, GgmlDType::$dtype, $cols, rows);
        }
    )*};
}

formats! {
    f32: F32, COLS;
    f16: F16, COLS;
    bf16: BF16, COLS;
    q8_0: Q8_0, COLS;
    q4_0: Q4_0, COLS;
    q4_1: Q4_1, COLS;
    q5_0: Q5_0, COLS;
    q5_1: Q5_1, COLS;
    q4_k: Q4K, 512;
    q5_k: Q5K, 512;
    q6_k: Q6K, 512;
}

/// Attention of some rows over the 128 positions before them, for one of SmolLM2's key-value heads with its three query
/// heads, in cache, on one thread.
#[divan::bench(args = [1, 2, 4, 8, 16])]
fn attention(bencher: Bencher, rows: usize) {
    const DIM: usize = 64;
    let (heads, positions, isa) = (3, 129, Isa::detect());
    let (mut q, mut out) = (vec![0.1; rows * heads * DIM], vec![0.0; rows * heads * DIM]);
    let (q, out) = (Shared::new(&mut q), Shared::new(&mut out));
    let page = Page::zeros(2 * PAGE * DIM).unwrap();
    let max = Queries::best_rows(rows, heads, 3, 2);
    let mut scores = vec![0.0; SCORES];
    let mut partials = vec![0.0; Queries::max_partials(heads, DIM, positions)];
    bencher.counter(ItemsCount::new(rows)).bench_local(|| {
        for row in (0..rows).step_by(max) {
            let (first, rows, positions) =
                (row * heads * DIM, max.min(rows - row), positions + row);
            let queries = Queries {
                first,
                stride: heads * DIM,
                rows,
                heads,
                head_dim: DIM,
                positions,
            };
            let (keys, values, scores, partials) = (0, PAGE * DIM, &mut scores, &mut partials);
            // SAFETY: the page holds all positions, and this is the only thread.
            unsafe {
                attend_page(
                    isa,
                    Attention {
                        queries,
                        q,
                        pages: std::slice::from_ref(&page),
                        tail: Tail::NONE,
                        start: 0,
                        keys,
                        values,
                        scores,
                        partials,
                    },
                );
                combine(
                    isa,
                    Combine {
                        queries,
                        partials,
                        out,
                    },
                );
            }
        }
    });
}

/// Phases of a forward pass of 30 layers.
const PHASES: usize = 180;

/// About a microsecond of work.
fn work(count: &AtomicUsize, item: usize) {
    count.fetch_add((0..200).fold(item, |a, b| black_box(a ^ b)), Relaxed);
}

#[divan::bench]
fn phases_of_the_pool(bencher: Bencher) {
    let (pool, count) = (ThreadPool::new(physical_cores()), AtomicUsize::new(0));
    bencher.bench_local(|| {
        pool.run(&|worker| {
            for _ in 0..PHASES {
                worker.parallel_for(16, 1, |items| items.for_each(|item| work(&count, item)));
            }
        });
    });
}

#[divan::bench]
fn phases_of_rayon(bencher: Bencher) {
    use rayon::prelude::*;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(physical_cores())
        .build()
        .unwrap();
    let count = AtomicUsize::new(0);
    bencher.bench_local(|| {
        pool.install(|| {
            for _ in 0..PHASES {
                (0..16usize)
                    .into_par_iter()
                    .for_each(|item| work(&count, item));
            }
        });
    });
}
