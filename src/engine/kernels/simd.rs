//! Sixteen lanes of numbers, whatever registers the machine has for them.

use super::LANES;

/// Vector operations of one level. Every implementation gives the same bits, lane by lane.
///
/// # Safety
/// The machine must have the level, and pointers must be valid for what is read or written: 16 elements of a vector,
/// or the whole block of 16 rows and 32 columns of weights and 32 activations.
pub trait Simd: Copy {
    /// 16 × f32.
    type F: Copy;
    /// 16 × i32.
    type I: Copy;
    /// Weights of 16 rows and 32 columns, ready for dot products.
    type W: Copy;
    /// What dot products with signed weights are too large by, as a multiple of the sum of the activations.
    const SIGNED_BIAS: i32;

    unsafe fn splat(x: f32) -> Self::F;
    unsafe fn load(p: *const f32) -> Self::F;
    unsafe fn load_f16(p: *const u16) -> Self::F;
    unsafe fn load_bf16(p: *const u16) -> Self::F;
    unsafe fn store(p: *mut f32, x: Self::F);
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once.
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    unsafe fn to_f(x: Self::I) -> Self::F;

    /// Signed bytes: 8 × (16 rows × 4 columns).
    unsafe fn load_signed(p: *const u8) -> Self::W;
    /// Unsigned bytes of at most 63, in the same order.
    unsafe fn load_small(p: *const u8) -> Self::W;
    /// 4 × (16 rows × 4 columns); the low nibbles are columns 0..16, the high ones columns 16..32.
    unsafe fn load_nibbles(p: *const u8) -> Self::W;
    /// Dot products of signed bytes with the 32 activations, started at `init`.
    unsafe fn dot_signed(w: &Self::W, x: *const i8, init: i32) -> Self::I;
    /// Dot products of columns 0..16 and 16..32 apart.
    unsafe fn dot_halves(w: &Self::W, x: *const i8, init: [i32; 2]) -> [Self::I; 2];
    unsafe fn dot_small(w: &Self::W, x: *const i8, init: i32) -> Self::I;
    unsafe fn dot_nibbles(w: &Self::W, x: *const i8, init: i32) -> Self::I;
}

/// No vector instructions asked for: arrays, for any machine and for reference.
#[derive(Clone, Copy)]
pub struct Portable;

#[inline(always)]
fn lanes<T>(f: impl FnMut(usize) -> T) -> [T; LANES] {
    std::array::from_fn(f)
}

/// Adds to each row's sum the products of the column groups `groups` (4 columns each).
#[inline(always)]
unsafe fn dot(w: *const i16, x: *const i8, init: i32, groups: std::ops::Range<usize>) -> [i32; LANES] {
    lanes(|row| {
        groups.clone().fold(init, |sum, group| {
            (0..4).fold(sum, |sum, i| {
                // SAFETY: the caller's blocks are whole.
                let (w, x) = unsafe { (*w.add(group * 64 + row * 4 + i), *x.add(group * 4 + i)) };
                sum + i32::from(w) * i32::from(x)
            })
        })
    })
}

impl Simd for Portable {
    type F = [f32; LANES];
    type I = [i32; LANES];
    type W = [i16; LANES * 32];
    const SIGNED_BIAS: i32 = 0;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::F {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::F {
        // SAFETY: the caller's.
        lanes(|i| unsafe { *p.add(i) })
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self::F {
        // SAFETY: the caller's.
        lanes(|i| half::f16::from_bits(unsafe { *p.add(i) }).to_f32())
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self::F {
        // SAFETY: the caller's.
        lanes(|i| f32::from_bits(u32::from(unsafe { *p.add(i) }) << 16))
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, x: Self::F) {
        // SAFETY: the caller's.
        unsafe { std::ptr::copy_nonoverlapping(x.as_ptr(), p, LANES) }
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
    unsafe fn load_signed(p: *const u8) -> Self::W {
        // SAFETY: the caller's.
        std::array::from_fn(|i| i16::from(unsafe { *p.add(i) } as i8))
    }
    #[inline(always)]
    unsafe fn load_small(p: *const u8) -> Self::W {
        // SAFETY: the caller's.
        std::array::from_fn(|i| i16::from(unsafe { *p.add(i) }))
    }
    #[inline(always)]
    unsafe fn load_nibbles(p: *const u8) -> Self::W {
        std::array::from_fn(|i| {
            // SAFETY: the caller's.
            let byte = unsafe { *p.add(i % 256) };
            i16::from(if i < 256 { byte & 15 } else { byte >> 4 })
        })
    }
    #[inline(always)]
    unsafe fn dot_signed(w: &Self::W, x: *const i8, init: i32) -> Self::I {
        // SAFETY: the caller's.
        unsafe { dot(w.as_ptr(), x, init, 0..8) }
    }
    #[inline(always)]
    unsafe fn dot_halves(w: &Self::W, x: *const i8, init: [i32; 2]) -> [Self::I; 2] {
        // SAFETY: the caller's.
        unsafe { [dot(w.as_ptr(), x, init[0], 0..4), dot(w.as_ptr(), x, init[1], 4..8)] }
    }
    #[inline(always)]
    unsafe fn dot_small(w: &Self::W, x: *const i8, init: i32) -> Self::I {
        // SAFETY: the caller's.
        unsafe { dot(w.as_ptr(), x, init, 0..8) }
    }
    #[inline(always)]
    unsafe fn dot_nibbles(w: &Self::W, x: *const i8, init: i32) -> Self::I {
        // SAFETY: the caller's.
        unsafe { dot(w.as_ptr(), x, init, 0..8) }
    }
}
