//! Every kernel against f64, and every instruction set against portable code.

use super::*;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use proptest::prelude::*;
use std::ops::Range;

/// Pseudo-random numbers in −1..1.
fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// A packed matrix, and its weights as candle dequantises them.
fn matrix(dtype: GgmlDType, rows: usize, cols: usize, seed: u64) -> (Packed, Vec<f32>) {
    let tensor = Tensor::from_vec(numbers(rows * cols, seed), (rows, cols), &Device::Cpu).unwrap();
    let quantised = QTensor::quantize(&tensor, dtype).unwrap();
    let plain = quantised
        .dequantize(&Device::Cpu)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap();
    let packed = Packed::new(
        "w",
        dtype,
        rows,
        cols,
        &quantised.data().unwrap(),
        &mut Arena::default(),
    )
    .unwrap();
    (packed, plain)
}

/// Activations, quantised.
fn acts(isa: Isa, rows: usize, cols: usize, x: &[f32]) -> (Activations, ActivationsView) {
    let mut acts = Activations::default();
    let view = acts.view(rows, cols);
    for row in 0..rows {
        // SAFETY: this is the only thread.
        unsafe {
            view.row(row)
                .copy_from_slice(&x[row * cols..(row + 1) * cols]);
            view.quantise(isa, row, 0, cols / BLOCK * BLOCK);
        }
    }
    (acts, view)
}

/// All products, `[row][output]`.
fn multiply(isa: Isa, w: &Packed, rows: usize, x: &[f32]) -> Vec<Vec<f32>> {
    let (_acts, view) = acts(isa, rows, w.cols, x);
    let mut out = vec![Vec::new(); rows];
    for panel in 0..w.panels() {
        let mut results: Tile = [[0.0; LANES]; TILE];
        // SAFETY: the activations were written above, by the only thread.
        unsafe { tile(isa, w, panel, &view, 0, rows, &mut results) };
        let lanes = LANES.min(w.rows - panel * LANES);
        out.iter_mut()
            .zip(results)
            .for_each(|(out, result)| out.extend_from_slice(&result[..lanes]));
    }
    out
}

const DTYPES: [GgmlDType; 11] = {
    use GgmlDType::*;
    [F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4K, Q5K, Q6K]
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn products_match_f64(kind in 0..11usize, rows in 1..50usize, blocks in 1..4usize, m in 1..=16usize, seed: u64) {
        let dtype = DTYPES[kind];
        let cols = if dtype.block_size() == 1 { blocks * 37 } else { blocks * dtype.block_size() };
        let (w, plain) = matrix(dtype, rows, cols, seed);
        let x = numbers(m * cols, seed ^ 5);
        let portable = multiply(Isa::PORTABLE, &w, m, &x);
        for isa in Isa::available() {
            prop_assert_eq!(&multiply(isa, &w, m, &x), &portable, "{} differs", isa.name());
        }
        for (row, x) in portable.iter().zip(x.chunks_exact(cols)) {
            prop_assert_eq!(row, &multiply(Isa::PORTABLE, &w, 1, x)[0], "a row depends on its neighbours");
            for (out, w) in row.iter().zip(plain.chunks_exact(cols)) {
                let exact: f64 = w.iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
                let size: f64 = w.iter().map(|w| f64::from(w.abs())).sum();
                // Quantised activations are within half a step, and an octet, up to 8 in sum, has 251 steps.
                let max_error = if dtype.block_size() == 1 { 1e-6 } else { 4.0 / 251.0 + 1e-5 };
                prop_assert!((f64::from(*out) - exact).abs() <= max_error * size + 1e-6, "{} for {}", out, exact);
            }
        }
    }

    /// The bounds that 16-bit sums of products rely on, for every instruction set.
    #[test]
    fn magnitudes_sum_to_128_per_pair_and_255_per_octet_at_most(x in prop::collection::vec(-1e3f32..1e3, 64), power in -30..30i32) {
        let x: Vec<f32> = x.iter().enumerate().map(|(i, x)| if i < 32 { *x } else { x * (power as f32).exp2() }).collect();
        let run = |isa| {
            let (_acts, view) = acts(isa, 1, 64, &x);
            // SAFETY: this is the only thread.
            unsafe { (view.bytes.slice(0, 64).to_vec(), format!("{:?}", view.blocks.slice(0, 2))) }
        };
        let portable = run(Isa::PORTABLE);
        for pair in portable.0.chunks_exact(2) {
            prop_assert!(pair[0].unsigned_abs() as u32 + pair[1].unsigned_abs() as u32 <= 128, "{:?}", pair);
        }
        for half in portable.0.chunks_exact(16) {
            for first in [0, 2] {
                let octet = half.chunks_exact(4).flat_map(|four| &four[first..first + 2]);
                prop_assert!(octet.map(|q| u32::from(q.unsigned_abs())).sum::<u32>() <= 255, "{:?}", half);
            }
        }
        for isa in Isa::available() {
            prop_assert!(run(isa) == portable, "{} differs", isa.name());
        }
    }

    #[test]
    fn unpacked_rows_match_candle(kind in 0..11usize, rows in 1..40usize, seed: u64) {
        let (w, plain) = matrix(DTYPES[kind], rows, 256, seed);
        let ids: Vec<u32> = (0..rows as u32).rev().collect();
        let gathered = w.gather(&ids).unwrap();
        let mut out = vec![0.0; 256];
        for row in 0..rows {
            w.row(row, &mut out);
            prop_assert_eq!(&out, &plain[row * 256..(row + 1) * 256]);
            gathered.row(rows - 1 - row, &mut out);
            prop_assert_eq!(&out, &plain[row * 256..(row + 1) * 256]);
        }
    }

    #[test]
    fn norms_match_f64(n in 1..200usize, seed: u64) {
        let (x, weight) = (numbers(n, seed), numbers(n, seed ^ 1));
        let mean = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n as f64;
        for isa in Isa::available() {
            let mut out = vec![0.0; n];
            rms_norm(isa, &x, &weight, 1e-5, &mut out);
            for i in 0..n {
                let exact = f64::from(x[i]) / (mean + 1e-5).sqrt() * f64::from(weight[i]);
                prop_assert!((f64::from(out[i]) - exact).abs() <= 1e-6 * exact.abs() + 1e-9);
            }
        }
    }

    #[test]
    fn attention_matches_f64(
        heads in 1..9usize, half in 1..20usize, rows in 1..10usize, positions in 1..600usize, seed: u64,
    ) {
        let (dim, all) = (2 * half, positions + rows - 1);
        let mut q = numbers(rows * heads * dim, seed);
        let [k, mut v] = [1, 2].map(|i| numbers(all * dim, seed ^ i).into_iter().map(half::f16::from_f32).collect::<Vec<_>>());
        // A value that only the last query attends to must not affect the others.
        v[(all - 1) * dim] = half::f16::INFINITY;
        let pages = all.div_ceil(PAGE);
        let chunks = dim.div_ceil(LANES);
        // Gaps before the keys, and between them and the values.
        let (keys, values) = (5, 5 + PAGE * dim + 3);
        let pages: Vec<Page> = (0..pages).map(|_| Page::zeros(values + PAGE * chunks * LANES).unwrap()).collect();
        for (at, (k, v)) in k.chunks_exact(dim).zip(v.chunks_exact(dim)).enumerate() {
            let (page, at) = (at / PAGE, at % PAGE);
            for d in 0..dim {
                // SAFETY: this is the only thread.
                unsafe {
                    *pages[page].at(keys + (at / LANES * dim + d) * LANES + at % LANES) = k[d].to_bits();
                    *pages[page].at(values + (d / LANES * PAGE + at) * LANES + d % LANES) = v[d].to_bits();
                }
            }
        }
        let q = Shared::new(&mut q);
        let run = |isa, part: Range<usize>| {
            let (stride, mut out) = (heads * dim, vec![f32::NAN; rows * heads * dim]);
            let first = part.start * stride;
            let positions = positions + part.start;
            let queries = Queries { first, stride, rows: part.len(), heads, head_dim: dim, positions };
            let reached = (positions + part.len() - 1).div_ceil(PAGE);
            let (mut scores, mut partials) = (vec![f32::NAN; SCORES], vec![f32::NAN; reached * queries.partials()]);
            for (index, partials) in partials.chunks_exact_mut(queries.partials()).enumerate() {
                let (pages, start, tail, scores) = (&pages, index * PAGE, Tail::NONE, &mut scores);
                // SAFETY: the pages hold all positions, and this is the only thread.
                unsafe { attend_page(isa, Attention { queries, q, pages, start, tail, keys, values, scores, partials }) };
            }
            // SAFETY: this is the only thread.
            unsafe { combine(isa, Combine { queries, partials: &partials, out: Shared::new(&mut out) }) };
            out[part.start * stride..part.end * stride].iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        let portable = run(Isa::PORTABLE, 0..rows);
        for isa in Isa::available() {
            prop_assert_eq!(&run(isa, 0..rows), &portable, "{} differs", isa.name());
            for (row, alone) in portable.chunks_exact(heads * dim).enumerate() {
                prop_assert_eq!(&run(isa, row..row + 1), alone, "row {} of {} alone, {}", row, rows, isa.name());
            }
        }
        // SAFETY: this is the only thread.
        let q = unsafe { q.slice(0, rows * heads * dim) };
        for (i, (q, out)) in q.chunks_exact(dim).zip(portable.chunks_exact(dim)).enumerate() {
            let (row, positions) = (i / heads, positions + i / heads);
            let dot = |k: &[half::f16]| q.iter().zip(k).map(|(&q, k)| f64::from(q) * k.to_f64()).sum::<f64>();
            let weights: Vec<f64> =
                k.chunks_exact(dim).take(positions).map(|k| (dot(k) / (dim as f64).sqrt()).exp()).collect();
            let total: f64 = weights.iter().sum();
            for d in usize::from(row + 1 == rows)..dim {
                let exact: f64 = weights.iter().zip(v.chunks_exact(dim)).map(|(w, v)| w / total * v[d].to_f64()).sum();
                let out = f64::from(f32::from_bits(out[d]));
                prop_assert!((out - exact).abs() < 1e-5, "{} for {}", out, exact);
            }
        }
    }

    #[test]
    fn small_kernels_agree_on_all_instruction_sets(x in prop::collection::vec(-90.0f32..90.0, 32), seed: u64) {
        let run = |isa| {
            let (mut gate, mut gated) = ([[0.0; LANES]; 2], [[0.0; LANES]; 2]);
            gate.as_flattened_mut().copy_from_slice(&x);
            // First some of the lanes, which must not change the others.
            for lanes in [5, LANES] {
                let out = Shared::new(gated.as_flattened_mut());
                // SAFETY: this is the only thread.
                unsafe { swiglu(isa, &gate, &[[0.5; LANES]; 2], lanes, out, (0, LANES)) };
                assert!(lanes == LANES || gated.iter().all(|row| row[lanes..] == [0.0; LANES][lanes..]));
            }
            let mut rotated = gated;
            rotate(isa, &mut rotated, &numbers(40, seed), 24);
            let mut halves = [[0; LANES]; 2];
            to_f16(isa, &rotated, &mut halves);
            (gated, rotated, halves)
        };
        let portable = run(Isa::PORTABLE);
        for isa in Isa::available() {
            prop_assert!(run(isa) == portable, "{} differs", isa.name());
        }
        for (&x, gated) in x.iter().zip(portable.0.as_flattened()) {
            let exact = f64::from(x) / (1.0 + (-f64::from(x)).exp()) / 2.0;
            prop_assert!((f64::from(*gated) - exact).abs() <= 1e-6 * exact.abs() + 1e-30, "{} for {}", gated, exact);
        }
    }
}

#[test]
fn non_finite_activations_stay_in_bounds() {
    for isa in Isa::available() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e-42] {
            let mut x = numbers(64, 3);
            x[40] = bad;
            let (_acts, view) = acts(isa, 1, 64, &x);
            // SAFETY: this is the only thread.
            let bytes = unsafe { view.bytes.slice(0, 64) };
            assert!(bytes.iter().all(|&q| q >= -127), "{bad} on {}", isa.name());
        }
    }
}

/// Weights and activations of the max magnitude, of one sign or of both: no sum of products overflows.
#[test]
fn the_largest_products_do_not_overflow() {
    let signed = |every: usize| {
        move |i: usize| {
            if i.is_multiple_of(every) {
                1.0f32
            } else {
                -1.0f32
            }
        }
    };
    for dtype in DTYPES {
        for (weights, activations) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            let (n, cols) = (LANES * 256, 256);
            let tensor = Tensor::from_vec(
                (0..n).map(signed(weights)).collect(),
                (LANES, cols),
                &Device::Cpu,
            )
            .unwrap();
            let data = QTensor::quantize(&tensor, dtype).unwrap();
            let w = Packed::new(
                "w",
                dtype,
                LANES,
                cols,
                &data.data().unwrap(),
                &mut Arena::default(),
            )
            .unwrap();
            agree(
                &w,
                &(0..8 * cols).map(signed(activations)).collect::<Vec<f32>>(),
            );
        }
    }
    // Bytes of −128, which no quantiser writes, mixed with others, and activations of one sign, of both, and rounded up.
    for seed in 0..64 {
        let extreme = numbers(LANES * 64, seed);
        let q = |i: usize| {
            if extreme[i] > 0.0 && seed % 4 > 0 {
                127
            } else {
                128 + (seed as u8 & 1)
            }
        };
        let mut data = Vec::new();
        for block in 0..LANES * 2 {
            data.extend([0, 0x3C]);
            data.extend((0..32).map(|i| q(block * 32 + i)));
        }
        let w = Packed::new(
            "w",
            GgmlDType::Q8_0,
            LANES,
            64,
            &data,
            &mut Arena::default(),
        )
        .unwrap();
        let signs = numbers(8 * 64, seed ^ 9);
        let size = |i: usize| {
            if i % 64 / 32 == 0 {
                1.0f32
            } else {
                [127.0, 0.0, 62.5, 31.5][(i + seed as usize) % 4]
            }
        };
        let x = |i: usize| {
            if seed % 2 == 0 {
                size(i)
            } else {
                size(i).copysign(signs[i])
            }
        };
        agree(&w, &(0..8 * 64).map(x).collect::<Vec<f32>>());
    }
}

/// Asserts that every instruction set agrees with portable code, for 8 rows together and for one.
fn agree(w: &Packed, x: &[f32]) {
    let portable = multiply(Isa::PORTABLE, w, 8, x);
    for isa in Isa::available() {
        assert_eq!(
            multiply(isa, w, 8, x),
            portable,
            "{:?} on {}",
            w.dtype,
            isa.name()
        );
        assert_eq!(
            multiply(isa, w, 1, &x[..w.cols])[0],
            portable[0],
            "one row of {:?} on {}",
            w.dtype,
            isa.name()
        );
    }
}

#[test]
fn invalid_shapes_are_rejected() {
    let pack = |dtype, rows, cols, bytes| {
        Packed::new(
            "w",
            dtype,
            rows,
            cols,
            &vec![0; bytes],
            &mut Arena::default(),
        )
    };
    assert!(pack(GgmlDType::Q8_0, 2, 64, 4 * 34).is_ok());
    assert!(pack(GgmlDType::Q8_0, 2, 64, 4 * 34 - 1).is_err());
    assert!(pack(GgmlDType::Q8_0, 2, 48, 4 * 34).is_err());
    assert!(pack(GgmlDType::Q4K, 1, 64, 144).is_err());
    assert!(pack(GgmlDType::F32, 0, 64, 0).is_err());
    assert!(pack(GgmlDType::F32, usize::MAX, 64, 256).is_err());
    assert!(pack(GgmlDType::Q2K, 1, 256, 84).is_err());
}
