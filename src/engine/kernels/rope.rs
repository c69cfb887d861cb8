//! Rotary embedding of a tile, and the step to f16 that the cache stores.

use super::{LANES, Level, level::Kernel, simd::Simd};

/// Rotates adjacent pairs of every row. Row `i` takes its cosines and sines, pair by pair, from
/// `rotations[i * stride..][..16]`.
pub fn rotate(level: Level, rows: &mut [[f32; LANES]], rotations: &[f32], stride: usize) {
    assert!(rows.is_empty() || rotations.len() >= (rows.len() - 1) * stride + LANES);
    // SAFETY: the kernel is safe code.
    unsafe {
        level.run(Rotate {
            rows,
            rotations,
            stride,
        })
    }
}

struct Rotate<'a> {
    rows: &'a mut [[f32; LANES]],
    rotations: &'a [f32],
    stride: usize,
}

impl Kernel for Rotate<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for (i, row) in self.rows.iter_mut().enumerate() {
            let rotation = &self.rotations[i * self.stride..][..LANES];
            for pair in 0..LANES / 2 {
                let [a, b] = [row[2 * pair], row[2 * pair + 1]];
                let [cos, sin] = [rotation[2 * pair], rotation[2 * pair + 1]];
                row[2 * pair] = a * cos - b * sin;
                row[2 * pair + 1] = a * sin + b * cos;
            }
        }
    }
}

/// Rows rounded to f16.
pub fn to_f16(level: Level, rows: &[[f32; LANES]], out: &mut [[u16; LANES]]) {
    assert!(rows.len() <= out.len());
    // SAFETY: the kernel reads and writes within its rows.
    unsafe { level.run(ToF16 { rows, out }) }
}

struct ToF16<'a> {
    rows: &'a [[f32; LANES]],
    out: &'a mut [[u16; LANES]],
}

impl Kernel for ToF16<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for (row, out) in self.rows.iter().zip(self.out) {
            // SAFETY: 16 elements each.
            unsafe { S::store_f16(out.as_mut_ptr(), S::load(row.as_ptr())) };
        }
    }
}
