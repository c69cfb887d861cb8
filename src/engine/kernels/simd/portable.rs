//! Plain Rust, for any machine and as the reference that the vector versions are tested against.

use super::{LANES, Layout, Q8_0_OFFSET, Q8Rows, Quantised, Simd, groups};
use crate::engine::kernels::layout::HIGH_BITS;

/// Arrays, which the compiler may vectorise for the target.
#[derive(Clone, Copy)]
pub struct Portable;

#[inline(always)]
fn lanes<T>(f: impl FnMut(usize) -> T) -> [T; LANES] {
    std::array::from_fn(f)
}

impl Simd for Portable {
    type F = [f32; LANES];
    type I = [i32; LANES];

    fn max_rows(_layout: Layout) -> usize {
        1
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::F {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::F {
        // SAFETY: the caller guarantees 16 elements.
        lanes(|i| unsafe { *p.add(i) })
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self::F {
        // SAFETY: the caller guarantees 16 elements.
        lanes(|i| half::f16::from_bits(unsafe { *p.add(i) }).to_f32())
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self::F {
        // SAFETY: the caller guarantees 16 elements.
        lanes(|i| f32::from_bits(u32::from(unsafe { *p.add(i) }) << 16))
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const i8) -> Self::F {
        // SAFETY: the caller guarantees 16 elements.
        lanes(|i| f32::from(unsafe { *p.add(i) }))
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, x: Self::F) {
        // SAFETY: the caller guarantees room for 16 elements, which cannot overlap the local `x`.
        unsafe { std::ptr::copy_nonoverlapping(x.as_ptr(), p, LANES) }
    }
    #[inline(always)]
    unsafe fn store_f16(p: *mut u16, x: Self::F) {
        for (i, x) in x.into_iter().enumerate() {
            // SAFETY: the caller guarantees room for 16 elements.
            unsafe { *p.add(i) = half::f16::from_f32(x).to_bits() }
        }
    }
    #[inline(always)]
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
        lanes(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        lanes(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        lanes(|i| a[i].mul_add(b[i], c[i]))
    }
    #[inline(always)]
    unsafe fn to_f(x: Self::I) -> Self::F {
        lanes(|i| x[i] as f32)
    }
    #[inline(always)]
    unsafe fn dot<const M: usize, W: Quantised, const SUB: usize>(
        w: *const u8,
        acts: Q8Rows,
    ) -> [Self::I; M] {
        // SAFETY: the caller guarantees a whole block, and `at` is below its size.
        let byte = |at: usize| i32::from(unsafe { *w.add(at) });
        let stored = |group: usize, i: usize| {
            let nibble = || byte(group % 4 * 64 + i) >> (group / 4 * 4) & 15;
            match W::BITS {
                8 if Q8_0_OFFSET == 0 => i32::from(byte(group * 64 + i) as u8 as i8),
                8 => byte(group * 64 + i),
                6 => nibble() | (byte(HIGH_BITS + group / 4 * 64 + i) >> (group % 4 * 2) & 3) << 4,
                5 => nibble() | (byte(HIGH_BITS + i) >> group & 1) << 4,
                _ => nibble(),
            }
        };
        std::array::from_fn(|row| {
            // SAFETY: the caller guarantees `M` rows.
            let mut sums = [unsafe { acts.init::<W, SUB>(row) }; LANES];
            for group in groups::<W, SUB>() {
                // SAFETY: the caller guarantees the part's activations in each of the rows.
                let x = unsafe { acts.four(row, group - groups::<W, SUB>().start) }.to_ne_bytes();
                for i in 0..64 {
                    sums[i / 4] += stored(group, i) * i32::from(x[i % 4] as i8);
                }
            }
            sums
        })
    }
}
