//! AVX-512 with VNNI.
//!
//! Functions here are inlined into entry points with the level's features; they are called from nowhere else.

use super::form::Form;
use super::simd::{self, Rows, Simd};
use super::{BLOCK, avx2};
use std::arch::x86_64::*;

/// AVX-512 F, BW and VNNI: one register of 16 lanes.
#[derive(Clone, Copy)]
pub struct Avx512;

/// Of a byte for each weight, the bits beyond the nibble of `group`, where they belong.
#[inline(always)]
unsafe fn beyond<const KIND: u8>(bits: __m512i, group: usize) -> __m512i {
    let (at, mask) = if matches!(KIND, simd::FIVES | simd::FIVES16) {
        (group, 16)
    } else {
        (group % 4 * 2, 48)
    };
    // SAFETY: the level's features.
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
#[inline(always)]
unsafe fn load(p: *const u8) -> __m512i {
    // SAFETY: the caller's blocks are whole.
    unsafe { _mm512_loadu_si512(p.cast()) }
}

/// 16 × 4 weights of a group, as unsigned bytes.
#[inline(always)]
unsafe fn unpack<const KIND: u8>(w: *const u8, group: usize) -> __m512i {
    // SAFETY: the caller's blocks are whole.
    unsafe {
        if KIND == simd::BYTES {
            return load(w.add(group * 64));
        }
        let bytes = load(w.add(group % 4 * 64));
        let moved = if group < 4 {
            bytes
        } else {
            _mm512_srli_epi16::<4>(bytes)
        };
        let nibbles = _mm512_and_si512(moved, _mm512_set1_epi8(15));
        match KIND {
            simd::NIBBLES | simd::NIBBLES8 => nibbles,
            simd::FIVES | simd::FIVES16 => {
                _mm512_or_si512(nibbles, beyond::<KIND>(load(w.add(simd::BITS)), group))
            }
            _ => _mm512_or_si512(
                nibbles,
                beyond::<KIND>(load(w.add(simd::BITS + group / 4 * 64)), group),
            ),
        }
    }
}

impl Simd for Avx512 {
    type F = __m512;
    type I = __m512i;

    fn rows(_form: Form) -> usize {
        8
    }
    #[inline(always)]
    unsafe fn prefetch(p: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::F {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::F {
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self::F {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(p.cast())) }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self::F {
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const i8) -> Self::F {
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p.cast()))) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, x: Self::F) {
        unsafe { _mm512_storeu_ps(p, x) }
    }
    #[inline(always)]
    unsafe fn store_f16(p: *mut u16, x: Self::F) {
        unsafe { _mm256_storeu_si256(p.cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x)) }
    }
    #[inline(always)]
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn to_f(x: Self::I) -> Self::F {
        unsafe { _mm512_cvtepi32_ps(x) }
    }
    #[inline(always)]
    unsafe fn greatest(x: &[f32; BLOCK]) -> f32 {
        unsafe { avx2::greatest(x) }
    }
    #[inline(always)]
    unsafe fn round(x: &[f32; BLOCK], factor: f32, bytes: &mut [i8; BLOCK]) -> [[i32; 2]; 2] {
        unsafe { avx2::round(x, factor, bytes) }
    }
    #[inline(always)]
    unsafe fn dot<const M: usize, const KIND: u8>(w: *const u8, acts: Rows) -> [Self::I; M] {
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [_mm512_setzero_si512(); M];
            for row in 0..M {
                sums[row] = _mm512_set1_epi32(acts.init::<KIND>(row));
            }
            // Rows within groups: the sums of the rows are chains that do not wait for each other.
            let start = simd::groups::<KIND>().start;
            for group in simd::groups::<KIND>() {
                let w = unpack::<KIND>(w, group);
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
