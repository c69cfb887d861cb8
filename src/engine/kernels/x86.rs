//! AVX2 and AVX-512.
//!
//! Functions here are inlined into entry points with the level's features; they are called from nowhere else.

use super::simd::Simd;
use std::arch::x86_64::*;

/// AVX2, FMA and F16C: two registers of 8 lanes.
#[derive(Clone, Copy)]
pub struct Avx2;

/// AVX-512 F, BW and VNNI: one register of 16 lanes.
#[derive(Clone, Copy)]
pub struct Avx512;

/// 16 lanes of i32 as two registers.
type Pair = [__m256i; 2];

/// The two halves (8 rows each) of group `group` of 4 columns.
#[inline(always)]
unsafe fn halves(p: *const u8, group: usize) -> Pair {
    // SAFETY: the caller's blocks are whole.
    unsafe {
        let p = p.add(group * 64).cast::<__m256i>();
        [_mm256_loadu_si256(p), _mm256_loadu_si256(p.add(1))]
    }
}

/// 4 activations in every lane.
#[inline(always)]
unsafe fn four(x: *const i8, group: usize) -> __m256i {
    // SAFETY: the caller's 32 activations.
    unsafe { _mm256_set1_epi32(x.add(group * 4).cast::<i32>().read_unaligned()) }
}

/// Sums of pairs of i16, added to `sum`.
#[inline(always)]
unsafe fn widen(sum: Pair, x: Pair) -> Pair {
    // SAFETY: the level's features.
    unsafe {
        let ones = _mm256_set1_epi16(1);
        std::array::from_fn(|i| _mm256_add_epi32(sum[i], _mm256_madd_epi16(x[i], ones)))
    }
}

#[inline(always)]
unsafe fn start(init: i32) -> Pair {
    // SAFETY: the level's features.
    unsafe { [_mm256_set1_epi32(init); 2] }
}

/// Dot products of unsigned bytes of at most 63 with the groups from `from` to `to`. Two products of pairs fit an i16.
#[inline(always)]
unsafe fn small(p: *const u8, x: *const i8, init: i32, from: usize, to: usize) -> Pair {
    // SAFETY: the caller's blocks are whole.
    unsafe {
        let mut sum = start(init);
        for group in (from..to).step_by(2) {
            let (a, b) = (halves(p, group), halves(p, group + 1));
            let (xa, xb) = (four(x, group), four(x, group + 1));
            let pairs = std::array::from_fn(|i| {
                _mm256_add_epi16(_mm256_maddubs_epi16(a[i], xa), _mm256_maddubs_epi16(b[i], xb))
            });
            sum = widen(sum, pairs);
        }
        sum
    }
}

impl Simd for Avx2 {
    type F = [__m256; 2];
    type I = Pair;
    /// The weights stay where they are: there are not registers enough to hold them.
    type W = *const u8;
    const SIGNED_BIAS: i32 = 0;

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
        unsafe { [0, 8].map(|i| _mm256_cvtph_ps(_mm_loadu_si128(p.add(i).cast()))) }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self::F {
        unsafe {
            [0, 8].map(|i| {
                let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.add(i).cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
            })
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
    /// |w| × sign(w)·x: at most 2 · 128 · 127 a pair, which fits an i16.
    #[inline(always)]
    unsafe fn dot_signed(w: &Self::W, x: *const i8, init: i32) -> Self::I {
        unsafe {
            (0..8).fold(start(init), |sum, group| {
                let x = four(x, group);
                let pairs = halves(*w, group).map(|w| _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)));
                widen(sum, pairs)
            })
        }
    }
    #[inline(always)]
    unsafe fn dot_halves(w: &Self::W, x: *const i8, init: [i32; 2]) -> [Self::I; 2] {
        unsafe { [small(*w, x, init[0], 0, 4), small(*w, x, init[1], 4, 8)] }
    }
    #[inline(always)]
    unsafe fn dot_small(w: &Self::W, x: *const i8, init: i32) -> Self::I {
        unsafe { small(*w, x, init, 0, 8) }
    }
    /// All eight products of pairs, 30480 at most, fit an i16.
    #[inline(always)]
    unsafe fn dot_nibbles(w: &Self::W, x: *const i8, init: i32) -> Self::I {
        unsafe {
            let mask = _mm256_set1_epi8(15);
            let mut pairs = [_mm256_setzero_si256(); 2];
            for group in 0..4 {
                let (low, high) = (four(x, group), four(x, group + 4));
                let bytes = halves(*w, group);
                for i in 0..2 {
                    let lows = _mm256_and_si256(bytes[i], mask);
                    let highs = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes[i]), mask);
                    let both = _mm256_add_epi16(_mm256_maddubs_epi16(lows, low), _mm256_maddubs_epi16(highs, high));
                    pairs[i] = _mm256_add_epi16(pairs[i], both);
                }
            }
            widen(start(init), pairs)
        }
    }
}

/// Adds products of unsigned weights and 4 activations of each group to the sums.
#[inline(always)]
unsafe fn vnni(w: &[__m512i], x: *const i8, init: i32) -> __m512i {
    // SAFETY: the level's features, and the caller's activations.
    unsafe {
        let mut sum = _mm512_set1_epi32(init);
        for (group, &w) in w.iter().enumerate() {
            sum = _mm512_dpbusd_epi32(sum, w, _mm512_set1_epi32(x.add(group * 4).cast::<i32>().read_unaligned()));
        }
        sum
    }
}

impl Simd for Avx512 {
    type F = __m512;
    type I = __m512i;
    type W = [__m512i; 8];
    /// VNNI multiplies unsigned with signed bytes, so signed weights become unsigned ones.
    const SIGNED_BIAS: i32 = 128;

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
    unsafe fn load_signed(p: *const u8) -> Self::W {
        unsafe {
            let offset = _mm512_set1_epi8(-128);
            std::array::from_fn(|i| _mm512_xor_si512(_mm512_loadu_si512(p.add(i * 64).cast()), offset))
        }
    }
    #[inline(always)]
    unsafe fn load_small(p: *const u8) -> Self::W {
        unsafe { std::array::from_fn(|i| _mm512_loadu_si512(p.add(i * 64).cast())) }
    }
    #[inline(always)]
    unsafe fn load_nibbles(p: *const u8) -> Self::W {
        unsafe {
            let mask = _mm512_set1_epi8(15);
            std::array::from_fn(|i| {
                let bytes = _mm512_loadu_si512(p.add(i % 4 * 64).cast());
                let bytes = if i < 4 { bytes } else { _mm512_srli_epi16::<4>(bytes) };
                _mm512_and_si512(bytes, mask)
            })
        }
    }
    #[inline(always)]
    unsafe fn dot_signed(w: &Self::W, x: *const i8, init: i32) -> Self::I {
        unsafe { vnni(w, x, init) }
    }
    #[inline(always)]
    unsafe fn dot_halves(w: &Self::W, x: *const i8, init: [i32; 2]) -> [Self::I; 2] {
        unsafe { [vnni(&w[..4], x, init[0]), vnni(&w[4..], x.add(16), init[1])] }
    }
    #[inline(always)]
    unsafe fn dot_small(w: &Self::W, x: *const i8, init: i32) -> Self::I {
        unsafe { vnni(w, x, init) }
    }
    #[inline(always)]
    unsafe fn dot_nibbles(w: &Self::W, x: *const i8, init: i32) -> Self::I {
        unsafe { vnni(w, x, init) }
    }
}
