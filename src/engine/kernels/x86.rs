//! AVX2 and AVX-512.
//!
//! Functions here are inlined into entry points with the level's features; they are called from nowhere else.

use super::simd::{self, Rows, Simd};
use std::arch::x86_64::*;

/// AVX2, FMA and F16C: two registers of 8 lanes.
#[derive(Clone, Copy)]
pub struct Avx2;

/// AVX-512 F, BW and VNNI: one register of 16 lanes.
#[derive(Clone, Copy)]
pub struct Avx512;

/// 16 lanes of i32, or of pairs of i16, as two registers.
type Pair = [__m256i; 2];

/// The sums of neighbours among 2 × 16 i16, added to `sum`.
#[inline(always)]
unsafe fn widen(sum: &mut Pair, x: Pair) {
    // SAFETY: the level's features.
    unsafe {
        let ones = _mm256_set1_epi16(1);
        sum[0] = _mm256_add_epi32(sum[0], _mm256_madd_epi16(x[0], ones));
        sum[1] = _mm256_add_epi32(sum[1], _mm256_madd_epi16(x[1], ones));
    }
}

/// Products of unsigned weights and signed activations, neighbours added. The weights are small enough for an i16.
#[inline(always)]
unsafe fn maddubs(w: Pair, x: __m256i) -> Pair {
    // SAFETY: the level's features.
    unsafe { [_mm256_maddubs_epi16(w[0], x), _mm256_maddubs_epi16(w[1], x)] }
}

#[inline(always)]
unsafe fn add16(a: Pair, b: Pair) -> Pair {
    // SAFETY: the level's features.
    unsafe { [_mm256_add_epi16(a[0], b[0]), _mm256_add_epi16(a[1], b[1])] }
}

#[inline(always)]
unsafe fn load_pair(p: *const u8) -> Pair {
    // SAFETY: the caller's blocks are whole.
    unsafe { [_mm256_loadu_si256(p.cast()), _mm256_loadu_si256(p.add(32).cast())] }
}

/// |w| × sign(w)·x: at most 2 · 128 · 127 a pair, which fits an i16.
#[inline(always)]
unsafe fn signed<const M: usize>(w: *const u8, acts: Rows, sums: &mut [Pair; M]) {
    // SAFETY: the caller's.
    unsafe {
        for group in 0..8 {
            let w = load_pair(w.add(group * 64));
            let size = [_mm256_abs_epi8(w[0]), _mm256_abs_epi8(w[1])];
            for row in 0..M {
                let x = _mm256_set1_epi32(acts.four(row, group));
                let low = _mm256_maddubs_epi16(size[0], _mm256_sign_epi8(x, w[0]));
                let high = _mm256_maddubs_epi16(size[1], _mm256_sign_epi8(x, w[1]));
                widen(&mut sums[row], [low, high]);
            }
        }
    }
}

/// Two products of pairs of weights of at most 63 fit an i16.
#[inline(always)]
unsafe fn small<const M: usize>(w: *const u8, acts: Rows, groups: usize, sums: &mut [Pair; M]) {
    // SAFETY: the caller's.
    unsafe {
        for group in (0..groups).step_by(2) {
            let (a, b) = (load_pair(w.add(group * 64)), load_pair(w.add(group * 64 + 64)));
            for row in 0..M {
                let (xa, xb) = (acts.four(row, group), acts.four(row, group + 1));
                let pairs = add16(maddubs(a, _mm256_set1_epi32(xa)), maddubs(b, _mm256_set1_epi32(xb)));
                widen(&mut sums[row], pairs);
            }
        }
    }
}

/// All eight products of pairs, 30480 at most, fit an i16.
#[inline(always)]
unsafe fn nibbles<const M: usize>(w: *const u8, acts: Rows, sums: &mut [Pair; M]) {
    // SAFETY: the caller's.
    unsafe {
        let mask = _mm256_set1_epi8(15);
        let mut pairs = [[_mm256_setzero_si256(); 2]; M];
        for group in 0..4 {
            let w = load_pair(w.add(group * 64));
            let low = [_mm256_and_si256(w[0], mask), _mm256_and_si256(w[1], mask)];
            let shifted = [_mm256_srli_epi16::<4>(w[0]), _mm256_srli_epi16::<4>(w[1])];
            let high = [_mm256_and_si256(shifted[0], mask), _mm256_and_si256(shifted[1], mask)];
            for row in 0..M {
                let (xa, xb) = (acts.four(row, group), acts.four(row, group + 4));
                let both = add16(maddubs(low, _mm256_set1_epi32(xa)), maddubs(high, _mm256_set1_epi32(xb)));
                pairs[row] = add16(pairs[row], both);
            }
        }
        for row in 0..M {
            widen(&mut sums[row], pairs[row]);
        }
    }
}

impl Simd for Avx2 {
    type F = [__m256; 2];
    type I = Pair;
    const SIGNED_BIAS: bool = false;
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn prefetch(p: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::F {
        unsafe { [_mm256_set1_ps(x); 2] }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::F {
        unsafe { [_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))] }
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self::F {
        unsafe { [_mm256_cvtph_ps(_mm_loadu_si128(p.cast())), _mm256_cvtph_ps(_mm_loadu_si128(p.add(8).cast()))] }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self::F {
        unsafe {
            let wide = [_mm_loadu_si128(p.cast()), _mm_loadu_si128(p.add(8).cast())];
            let low = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(wide[0]));
            let high = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(wide[1]));
            [_mm256_castsi256_ps(low), _mm256_castsi256_ps(high)]
        }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, x: Self::F) {
        unsafe {
            _mm256_storeu_ps(p, x[0]);
            _mm256_storeu_ps(p.add(8), x[1]);
        }
    }
    #[inline(always)]
    unsafe fn store_f16(p: *mut u16, x: Self::F) {
        unsafe {
            _mm_storeu_si128(p.cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x[0]));
            _mm_storeu_si128(p.add(8).cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x[1]));
        }
    }
    #[inline(always)]
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }
    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }
    #[inline(always)]
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }
    #[inline(always)]
    unsafe fn to_f(x: Self::I) -> Self::F {
        unsafe { [_mm256_cvtepi32_ps(x[0]), _mm256_cvtepi32_ps(x[1])] }
    }
    #[inline(always)]
    unsafe fn dot<const M: usize, const KIND: u8>(w: *const u8, acts: Rows) -> [Self::I; M] {
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [[_mm256_setzero_si256(); 2]; M];
            for row in 0..M {
                sums[row] = [_mm256_set1_epi32(acts.init(row)); 2];
            }
            match KIND {
                simd::SIGNED => signed(w, acts, &mut sums),
                simd::NIBBLES => nibbles(w, acts, &mut sums),
                simd::HALF => small(w, acts, 4, &mut sums),
                _ => small(w, acts, 8, &mut sums),
            }
            sums
        }
    }
}

impl Simd for Avx512 {
    type F = __m512;
    type I = __m512i;
    /// VNNI multiplies unsigned with signed bytes, so signed weights become unsigned ones.
    const SIGNED_BIAS: bool = true;
    const ROWS: usize = 8;

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
    unsafe fn dot<const M: usize, const KIND: u8>(w: *const u8, acts: Rows) -> [Self::I; M] {
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [_mm512_setzero_si512(); M];
            for row in 0..M {
                sums[row] = _mm512_set1_epi32(acts.init(row));
            }
            // Rows within groups: the sums of the rows are chains that do not wait for each other.
            for group in 0..if matches!(KIND, simd::HALF | simd::NIBBLES) { 4 } else { 8 } {
                let mut bytes = _mm512_loadu_si512(w.add(group * 64).cast());
                if KIND == simd::SIGNED {
                    bytes = _mm512_xor_si512(bytes, _mm512_set1_epi8(-128));
                }
                let mask = _mm512_set1_epi8(15);
                let low = if KIND == simd::NIBBLES { _mm512_and_si512(bytes, mask) } else { bytes };
                for row in 0..M {
                    sums[row] = _mm512_dpbusd_epi32(sums[row], low, _mm512_set1_epi32(acts.four(row, group)));
                }
                if KIND == simd::NIBBLES {
                    let high = _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), mask);
                    for row in 0..M {
                        sums[row] = _mm512_dpbusd_epi32(sums[row], high, _mm512_set1_epi32(acts.four(row, group + 4)));
                    }
                }
            }
            sums
        }
    }
}
