//! Matrix products with dense weights.

use super::acts::ActsView;
use super::{LANES, Packed, simd::Simd};

/// Columns by which weights are asked for before they are needed.
const AHEAD: usize = 128;

/// As [`super::tile`] for f32 (`KIND` 0), f16 (1) and bf16 (2) weights. Even and odd columns are summed apart, which
/// halves the chain of additions.
#[inline(always)]
pub unsafe fn dense_tile<S: Simd, const M: usize, const KIND: u8>(
    w: &Packed,
    panel: usize,
    acts: &ActsView,
    first: usize,
    out: &mut [[f32; LANES]],
) {
    let cols = w.cols;
    // SAFETY: panels and rows are whole, which `tile` and its caller saw to.
    unsafe {
        let x = acts.dense.slice(first * cols, M * cols).as_ptr();
        let data = w.panel(panel);
        let mut sums = [[S::splat(0.0); 2]; M];
        for col in (0..cols - cols % 2).step_by(2) {
            let bytes = LANES * if KIND == 0 { 4 } else { 2 };
            S::prefetch(data.wrapping_add((col + AHEAD) * bytes));
            S::prefetch(data.wrapping_add((col + AHEAD + 1) * bytes));
            let pair = [load::<S, KIND>(data, col), load::<S, KIND>(data, col + 1)];
            for (row, sum) in sums.iter_mut().enumerate() {
                let x = x.add(row * cols + col);
                sum[0] = S::fma(pair[0], S::splat(*x), sum[0]);
                sum[1] = S::fma(pair[1], S::splat(*x.add(1)), sum[1]);
            }
        }
        for (row, (out, mut sum)) in out.iter_mut().zip(sums).enumerate() {
            if cols % 2 == 1 {
                sum[0] = S::fma(
                    load::<S, KIND>(data, cols - 1),
                    S::splat(*x.add(row * cols + cols - 1)),
                    sum[0],
                );
            }
            S::store(out.as_mut_ptr(), S::add(sum[0], sum[1]));
        }
    }
}

/// Column `col` of a panel.
#[inline(always)]
unsafe fn load<S: Simd, const KIND: u8>(data: *const u8, col: usize) -> S::F {
    // SAFETY: the caller's.
    unsafe {
        match KIND {
            0 => S::load(data.cast::<f32>().add(col * LANES)),
            1 => S::load_f16(data.cast::<u16>().add(col * LANES)),
            _ => S::load_bf16(data.cast::<u16>().add(col * LANES)),
        }
    }
}
