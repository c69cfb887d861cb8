//! NEON: four registers of 4 lanes.

use super::simd::Simd;
use std::arch::aarch64::*;

/// NEON, which every 64-bit ARM has.
#[derive(Clone, Copy)]
pub struct Neon;

/// Sums of rows' products of 4 columns, for `groups` of columns. Row `i` of register `r` is row `4r + i`.
#[inline(always)]
unsafe fn dot(w: *const u8, shift: i32, mask: u8, x: *const i8, sum: [int32x4_t; 4], groups: usize) -> [int32x4_t; 4] {
    // SAFETY: the caller's blocks are whole.
    unsafe {
        (0..groups).fold(sum, |sum, group| {
            let x = vreinterpretq_s8_s32(vdupq_n_s32(x.add(group * 4).cast::<i32>().read_unaligned()));
            std::array::from_fn(|r| {
                let bytes = vld1q_u8(w.add(group * 64 + r * 16));
                let bytes = vandq_u8(vshlq_u8(bytes, vdupq_n_s8(-(shift as i8))), vdupq_n_u8(mask));
                let w = vreinterpretq_s8_u8(bytes);
                // Products of bytes fit an i16, and are added as i32.
                let low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(x)));
                let high = vpaddlq_s16(vmull_high_s8(w, x));
                vaddq_s32(sum[r], vpaddq_s32(low, high))
            })
        })
    }
}

#[inline(always)]
unsafe fn start(init: i32) -> [int32x4_t; 4] {
    // SAFETY: every 64-bit ARM has it.
    unsafe { [vdupq_n_s32(init); 4] }
}

#[inline(always)]
unsafe fn each(f: impl FnMut(usize) -> float32x4_t) -> [float32x4_t; 4] {
    std::array::from_fn(f)
}

impl Simd for Neon {
    type F = [float32x4_t; 4];
    type I = [int32x4_t; 4];
    /// The weights stay where they are.
    type W = *const u8;
    const SIGNED_BIAS: i32 = 0;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::F {
        unsafe { [vdupq_n_f32(x); 4] }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::F {
        unsafe { each(|i| vld1q_f32(p.add(i * 4))) }
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self::F {
        // Exact, like the instruction, for every number: the exponent is moved by a multiplication, and what was
        // infinite or not a number gets the greatest exponent back.
        unsafe {
            each(|i| {
                let wide = vmovl_u16(vld1_u16(p.add(i * 4)));
                let sign = vshlq_n_u32::<16>(vandq_u32(wide, vdupq_n_u32(0x8000)));
                let size = vshlq_n_u32::<13>(vandq_u32(wide, vdupq_n_u32(0x7FFF)));
                let scaled = vmulq_f32(vreinterpretq_f32_u32(size), vdupq_n_f32(f32::from_bits(0x7780_0000)));
                let special = vcgeq_u32(size, vdupq_n_u32(0x0F80_0000));
                let top = vandq_u32(special, vdupq_n_u32(0x7F80_0000));
                vreinterpretq_f32_u32(vorrq_u32(vorrq_u32(vreinterpretq_u32_f32(scaled), top), sign))
            })
        }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self::F {
        unsafe { each(|i| vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(p.add(i * 4))))) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, x: Self::F) {
        for (i, x) in x.into_iter().enumerate() {
            unsafe { vst1q_f32(p.add(i * 4), x) }
        }
    }
    #[inline(always)]
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
        unsafe { each(|i| vaddq_f32(a[i], b[i])) }
    }
    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        unsafe { each(|i| vmulq_f32(a[i], b[i])) }
    }
    #[inline(always)]
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { each(|i| vfmaq_f32(c[i], a[i], b[i])) }
    }
    #[inline(always)]
    unsafe fn to_f(x: Self::I) -> Self::F {
        unsafe { each(|i| vcvtq_f32_s32(x[i])) }
    }
    #[inline(always)]
    unsafe fn load_signed(p: *const u8) -> Self::W {
        p
    }
    #[inline(always)]
    unsafe fn load_small(p: *const u8) -> Self::W {
        p
    }
    #[inline(always)]
    unsafe fn load_nibbles(p: *const u8) -> Self::W {
        p
    }
    #[inline(always)]
    unsafe fn dot_signed(w: &Self::W, x: *const i8, init: i32) -> Self::I {
        unsafe { dot(*w, 0, 255, x, start(init), 8) }
    }
    #[inline(always)]
    unsafe fn dot_halves(w: &Self::W, x: *const i8, init: [i32; 2]) -> [Self::I; 2] {
        unsafe { [dot(*w, 0, 255, x, start(init[0]), 4), dot(w.add(256), 0, 255, x.add(16), start(init[1]), 4)] }
    }
    #[inline(always)]
    unsafe fn dot_small(w: &Self::W, x: *const i8, init: i32) -> Self::I {
        unsafe { dot(*w, 0, 255, x, start(init), 8) }
    }
    #[inline(always)]
    unsafe fn dot_nibbles(w: &Self::W, x: *const i8, init: i32) -> Self::I {
        unsafe {
            let sum = dot(*w, 0, 15, x, start(init), 4);
            dot(*w, 4, 15, x.add(16), sum, 4)
        }
    }
}
