//! AVX-512 with VNNI.
//!
//! Everything here is inlined into [`Isa::run`](super::Isa::run)'s entry point with these features, and called from
//! nowhere else.

use super::{BLOCK, Layout, Q8Rows, Quantised, Simd, avx2, groups};
use crate::engine::kernels::layout::HIGH_BITS;
use std::arch::x86_64::*;

/// AVX-512 F, BW and VNNI: one register of 16 lanes.
#[derive(Clone, Copy)]
pub struct Avx512;

/// From one byte per weight, the bits beyond the nibble of `group`, shifted to their place in the number.
///
/// # Safety
/// The CPU supports AVX-512 BW.
#[inline(always)]
unsafe fn high_bits<const BITS: usize>(bits: __m512i, group: usize) -> __m512i {
    let (at, mask) = if BITS == 5 {
        (group, 16)
    } else {
        (group % 4 * 2, 48)
    };
    // SAFETY: the caller guarantees the features, and the operations are on registers.
    unsafe {
        let moved = match at {
            0 => _mm512_slli_epi16::<4>(bits),
            1 => _mm512_slli_epi16::<3>(bits),
            2 => _mm512_slli_epi16::<2>(bits),
            3 => _mm512_slli_epi16::<1>(bits),
            4 => bits,
            5 => _mm512_srli_epi16::<1>(bits),
            6 => _mm512_srli_epi16::<2>(bits),
            _ => _mm512_srli_epi16::<3>(bits),
        };
        _mm512_and_si512(moved, _mm512_set1_epi8(mask))
    }
}

/// 64 weights.
///
/// # Safety
/// The CPU supports AVX-512, and 64 bytes can be read.
#[inline(always)]
unsafe fn load(p: *const u8) -> __m512i {
    // SAFETY: the caller guarantees the feature and 64 readable bytes; the load is unaligned.
    unsafe { _mm512_loadu_si512(p.cast()) }
}

/// 16 × 4 weights of a group, as unsigned bytes.
///
/// # Safety
/// The CPU supports AVX-512 BW, and `w` points to a whole block.
#[inline(always)]
unsafe fn unpack<W: Quantised>(w: *const u8, group: usize) -> __m512i {
    // SAFETY: the caller guarantees the features and a whole block, within which all offsets lie.
    unsafe {
        if W::BITS == 8 {
            return load(w.add(group * 64));
        }
        let bytes = load(w.add(group % 4 * 64));
        let moved = if group < 4 {
            bytes
        } else {
            _mm512_srli_epi16::<4>(bytes)
        };
        let nibbles = _mm512_and_si512(moved, _mm512_set1_epi8(15));
        match W::BITS {
            4 => nibbles,
            5 => _mm512_or_si512(nibbles, high_bits::<5>(load(w.add(HIGH_BITS)), group)),
            _ => _mm512_or_si512(
                nibbles,
                high_bits::<6>(load(w.add(HIGH_BITS + group / 4 * 64)), group),
            ),
        }
    }
}

impl Simd for Avx512 {
    type F = __m512;
    type I = __m512i;

    fn max_rows(_layout: Layout) -> usize {
        8
    }
    #[inline(always)]
    unsafe fn prefetch(p: *const u8) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::F {
        // SAFETY: the caller guarantees AVX-512, and the operation is on registers.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::F {
        // SAFETY: the caller guarantees AVX-512 and 16 readable elements.
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self::F {
        // SAFETY: the caller guarantees AVX-512 and 16 readable elements.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(p.cast())) }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self::F {
        // SAFETY: the caller guarantees AVX-512 and 16 readable elements.
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const i8) -> Self::F {
        // SAFETY: the caller guarantees AVX-512 and 16 readable elements.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p.cast()))) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, x: Self::F) {
        // SAFETY: the caller guarantees AVX-512 and room for 16 elements.
        unsafe { _mm512_storeu_ps(p, x) }
    }
    #[inline(always)]
    unsafe fn store_f16(p: *mut u16, x: Self::F) {
        // SAFETY: the caller guarantees AVX-512 and room for 16 elements.
        unsafe { _mm256_storeu_si256(p.cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x)) }
    }
    #[inline(always)]
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the caller guarantees AVX-512, and the operation is on registers.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the caller guarantees AVX-512, and the operation is on registers.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: the caller guarantees AVX-512, and the operation is on registers.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn to_f(x: Self::I) -> Self::F {
        // SAFETY: the caller guarantees AVX-512, and the operation is on registers.
        unsafe { _mm512_cvtepi32_ps(x) }
    }
    #[inline(always)]
    unsafe fn max_pair_sum(x: &[f32; BLOCK]) -> f32 {
        // SAFETY: the caller guarantees AVX-512, which includes AVX2.
        unsafe { avx2::max_pair_sum(x) }
    }
    #[inline(always)]
    unsafe fn round(x: &[f32; BLOCK], factor: f32, bytes: &mut [i8; BLOCK]) -> [[i32; 2]; 2] {
        // SAFETY: the caller guarantees AVX-512, which includes AVX2.
        unsafe { avx2::round(x, factor, bytes) }
    }
    #[inline(always)]
    unsafe fn dot<const M: usize, W: Quantised, const SUB: usize>(
        w: *const u8,
        acts: Q8Rows,
    ) -> [Self::I; M] {
        // SAFETY: the caller guarantees the features, a whole block of weights and `M` rows of activations.
        unsafe {
            let mut sums = [_mm512_setzero_si512(); M];
            for row in 0..M {
                sums[row] = _mm512_set1_epi32(acts.init::<W, SUB>(row));
            }
            // Rows in the inner loop: their sums are independent chains, which hide the latency of the instruction.
            let start = groups::<W, SUB>().start;
            for group in groups::<W, SUB>() {
                let w = unpack::<W>(w, group);
                for row in 0..M {
                    sums[row] = _mm512_dpbusd_epi32(
                        sums[row],
                        w,
                        _mm512_set1_epi32(acts.four(row, group - start)),
                    );
                }
            }
            sums
        }
    }
}
