//! Rotary embedding of a tile, and its conversion to the f16 that the cache stores.

use super::LANES;
use super::simd::{Isa, Kernel, Simd};

/// Rotates adjacent pairs of every row. The cosines and sines of row `i`, pair by pair, are
/// `rotations[i * stride..][..16]`.
pub fn rotate(isa: Isa, rows: &mut [[f32; LANES]], rotations: &[f32], stride: usize) {
    assert!(rows.is_empty() || rotations.len() >= (rows.len() - 1) * stride + LANES);
    // SAFETY: the kernel has no conditions: it is safe code.
    unsafe {
        isa.run(Rotate {
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
pub fn to_f16(isa: Isa, rows: &[[f32; LANES]], out: &mut [[u16; LANES]]) {
    assert!(rows.len() <= out.len());
    // SAFETY: the kernel has no conditions: it stays within its rows.
    unsafe { isa.run(ToF16 { rows, out }) }
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
            // SAFETY: the caller guarantees the instruction set; both rows have 16 elements.
            unsafe { S::store_f16(out.as_mut_ptr(), S::load(row.as_ptr())) };
        }
    }
}
