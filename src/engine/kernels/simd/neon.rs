//! NEON: four registers of 4 lanes.

use super::{Layout, Q8Rows, Quantised, Simd, groups};
use crate::engine::kernels::layout::HIGH_BITS;
use std::arch::aarch64::*;

/// NEON, which every 64-bit ARM has.
#[derive(Clone, Copy)]
pub struct Neon;

/// Adds the products of 16 rows × 4 columns to the sums. Row `i` of register `r` is row `4r + i`.
///
/// # Safety
/// The CPU supports NEON.
#[inline(always)]
unsafe fn add_products(sum: &mut [int32x4_t; 4], w: [int8x16_t; 4], x: int8x16_t) {
    // SAFETY: the caller guarantees NEON, and the operations are on registers.
    unsafe {
        for r in 0..4 {
            // Products of bytes fit an i16; they are added as i32.
            let low = vpaddlq_s16(vmull_s8(vget_low_s8(w[r]), vget_low_s8(x)));
            let high = vpaddlq_s16(vmull_high_s8(w[r], x));
            sum[r] = vaddq_s32(sum[r], vpaddq_s32(low, high));
        }
    }
}

/// Shifts bytes left by `by`, or right if that is negative.
///
/// # Safety
/// The CPU supports NEON.
#[inline(always)]
unsafe fn shift(bytes: uint8x16_t, by: i8) -> uint8x16_t {
    // SAFETY: the caller guarantees NEON, and the operations are on registers.
    unsafe { vshlq_u8(bytes, vdupq_n_s8(by)) }
}

/// The 4 × 16 weights of a group.
///
/// # Safety
/// The CPU supports NEON, and `w` points to a whole block.
#[inline(always)]
unsafe fn weights<W: Quantised>(w: *const u8, group: usize) -> [int8x16_t; 4] {
    // SAFETY: the caller guarantees NEON and a whole block, within which all offsets lie.
    unsafe {
        let mut out = [vdupq_n_s8(0); 4];
        for (r, out) in out.iter_mut().enumerate() {
            if W::BITS == 8 {
                *out = vreinterpretq_s8_u8(vld1q_u8(w.add(group * 64 + r * 16)));
                continue;
            }
            let bytes = vld1q_u8(w.add(group % 4 * 64 + r * 16));
            let nibbles = if group < 4 {
                vandq_u8(bytes, vdupq_n_u8(15))
            } else {
                vshrq_n_u8::<4>(bytes)
            };
            let high = match W::BITS {
                4 => vdupq_n_u8(0),
                5 => {
                    let bits = vld1q_u8(w.add(HIGH_BITS + r * 16));
                    vandq_u8(shift(bits, 4 - group as i8), vdupq_n_u8(16))
                }
                _ => {
                    let bits = vld1q_u8(w.add(HIGH_BITS + group / 4 * 64 + r * 16));
                    vandq_u8(shift(bits, 4 - (group % 4 * 2) as i8), vdupq_n_u8(48))
                }
            };
            *out = vreinterpretq_s8_u8(vorrq_u8(nibbles, high));
        }
        out
    }
}

#[inline(always)]
fn each(f: impl FnMut(usize) -> float32x4_t) -> [float32x4_t; 4] {
    std::array::from_fn(f)
}

impl Simd for Neon {
    type F = [float32x4_t; 4];
    type I = [int32x4_t; 4];

    fn max_rows(_layout: Layout) -> usize {
        4
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::F {
        // SAFETY: the caller guarantees NEON, and the operation is on registers.
        unsafe { [vdupq_n_f32(x); 4] }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::F {
        // SAFETY: the caller guarantees NEON and 16 readable elements.
        unsafe { each(|i| vld1q_f32(p.add(i * 4))) }
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self::F {
        // Exact for every number, like the hardware conversion: a multiplication rebiases the exponent, and infinities
        // and NaN get the max exponent back.
        // SAFETY: the caller guarantees NEON and 16 readable elements.
        unsafe {
            each(|i| {
                let wide = vmovl_u16(vld1_u16(p.add(i * 4)));
                let sign = vshlq_n_u32::<16>(vandq_u32(wide, vdupq_n_u32(0x8000)));
                let size = vshlq_n_u32::<13>(vandq_u32(wide, vdupq_n_u32(0x7FFF)));
                let scaled = vmulq_f32(
                    vreinterpretq_f32_u32(size),
                    vdupq_n_f32(f32::from_bits(0x7780_0000)),
                );
                let special = vcgeq_u32(size, vdupq_n_u32(0x0F80_0000));
                let top = vandq_u32(special, vdupq_n_u32(0x7F80_0000));
                vreinterpretq_f32_u32(vorrq_u32(
                    vorrq_u32(vreinterpretq_u32_f32(scaled), top),
                    sign,
                ))
            })
        }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self::F {
        // SAFETY: the caller guarantees NEON and 16 readable elements.
        unsafe { each(|i| vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(p.add(i * 4))))) }
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const i8) -> Self::F {
        // SAFETY: the caller guarantees NEON and 16 readable elements.
        unsafe {
            let bytes = vld1q_s8(p);
            let halves = [vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes)];
            each(|i| {
                let quarter = if i % 2 == 0 {
                    vget_low_s16(halves[i / 2])
                } else {
                    vget_high_s16(halves[i / 2])
                };
                vcvtq_f32_s32(vmovl_s16(quarter))
            })
        }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, x: Self::F) {
        for (i, x) in x.into_iter().enumerate() {
            // SAFETY: the caller guarantees NEON and room for 16 elements.
            unsafe { vst1q_f32(p.add(i * 4), x) }
        }
    }
    #[inline(always)]
    unsafe fn store_f16(p: *mut u16, x: Self::F) {
        let mut lanes = [0.0f32; 16];
        // SAFETY: the caller guarantees NEON and room for 16 elements.
        unsafe {
            Self::store(lanes.as_mut_ptr(), x);
            for (i, lane) in lanes.into_iter().enumerate() {
                *p.add(i) = half::f16::from_f32(lane).to_bits();
            }
        }
    }
    #[inline(always)]
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the caller guarantees NEON, and the operation is on registers.
        unsafe { each(|i| vaddq_f32(a[i], b[i])) }
    }
    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the caller guarantees NEON, and the operation is on registers.
        unsafe { each(|i| vmulq_f32(a[i], b[i])) }
    }
    #[inline(always)]
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: the caller guarantees NEON, and the operation is on registers.
        unsafe { each(|i| vfmaq_f32(c[i], a[i], b[i])) }
    }
    #[inline(always)]
    unsafe fn to_f(x: Self::I) -> Self::F {
        // SAFETY: the caller guarantees NEON, and the operation is on registers.
        unsafe { each(|i| vcvtq_f32_s32(x[i])) }
    }
    #[inline(always)]
    unsafe fn dot<const M: usize, W: Quantised, const SUB: usize>(
        w: *const u8,
        acts: Q8Rows,
    ) -> [Self::I; M] {
        // SAFETY: the caller guarantees NEON, a whole block of weights and `M` rows of activations.
        unsafe {
            let mut sums = [[vdupq_n_s32(0); 4]; M];
            for row in 0..M {
                sums[row] = [vdupq_n_s32(acts.init::<W, SUB>(row)); 4];
            }
            let groups = groups::<W, SUB>();
            for group in groups.clone() {
                let w = weights::<W>(w, group);
                for row in 0..M {
                    let x = vdupq_n_s32(acts.four(row, group - groups.start));
                    add_products(&mut sums[row], w, vreinterpretq_s8_s32(x));
                }
            }
            sums
        }
    }
}
