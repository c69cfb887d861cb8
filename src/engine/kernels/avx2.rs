//! AVX2, with and without AVX-VNNI.
//!
//! Functions here are inlined into entry points with the level's features; they are called from nowhere else.

use super::simd::{self, Rows, Simd};
use std::arch::x86_64::*;

/// AVX2, FMA and F16C, and where `VNNI` the dot products of AVX-VNNI: two registers of 8 lanes.
#[derive(Clone, Copy)]
pub struct Avx2<const VNNI: bool>;

/// 16 lanes of i32 as two registers.
type Pair = [__m256i; 2];

/// The sums of neighbours among 16 i16, added to `sum`.
#[inline(always)]
unsafe fn widen(sum: __m256i, x: __m256i) -> __m256i {
    // SAFETY: the level's features.
    unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(x, _mm256_set1_epi16(1))) }
}

/// Products of unsigned weights and four signed activations, neighbours added. The weights are small enough for an i16.
#[inline(always)]
unsafe fn maddubs(w: __m256i, x: i32) -> __m256i {
    // SAFETY: the level's features.
    unsafe { _mm256_maddubs_epi16(w, _mm256_set1_epi32(x)) }
}

/// 32 weights.
#[inline(always)]
unsafe fn load(p: *const u8) -> __m256i {
    // SAFETY: the caller's blocks are whole.
    unsafe { _mm256_loadu_si256(p.cast()) }
}

// The functions below add the dot products of eight of the sixteen lanes, whose weights begin at `w`, to `sums`. One
// register a row leaves room for eight rows.

/// |w| × sign(w)·x: at most 2 · 128 · 127 a pair, which fits an i16, while two such pairs do not. So 32 products take
/// four instructions, where VNNI takes one: on this level eight rows of Q8_0 are bound by arithmetic, not by memory.
#[inline(always)]
unsafe fn signed<const M: usize>(w: *const u8, acts: Rows, sums: &mut [__m256i; M]) {
    // SAFETY: the caller's.
    unsafe {
        for group in 0..8 {
            let w = load(w.add(group * 64));
            let size = _mm256_abs_epi8(w);
            for row in 0..M {
                let x = _mm256_set1_epi32(acts.four(row, group));
                sums[row] = widen(sums[row], _mm256_maddubs_epi16(size, _mm256_sign_epi8(x, w)));
            }
        }
    }
}

/// Of a byte for each weight, the bits beyond the nibble of `group`, where they belong.
#[inline(always)]
unsafe fn beyond<const KIND: u8>(bits: __m256i, group: usize) -> __m256i {
    let (at, mask) = if KIND == simd::FIVES { (group, 16) } else { (group % 4 * 2, 48) };
    // SAFETY: the level's features. What 16-bit shifts bring over from the other byte, the mask takes off.
    unsafe {
        let moved = match at {
            0 => _mm256_slli_epi16::<4>(bits),
            1 => _mm256_slli_epi16::<3>(bits),
            2 => _mm256_slli_epi16::<2>(bits),
            3 => _mm256_slli_epi16::<1>(bits),
            4 => bits,
            5 => _mm256_srli_epi16::<1>(bits),
            6 => _mm256_srli_epi16::<2>(bits),
            _ => _mm256_srli_epi16::<3>(bits),
        };
        _mm256_and_si256(moved, _mm256_set1_epi8(mask))
    }
}

/// 8 × 4 weights of a group; not of [`simd::SIGNED`].
#[inline(always)]
unsafe fn unpack<const KIND: u8>(w: *const u8, group: usize) -> __m256i {
    // SAFETY: the caller's.
    unsafe {
        let mask = _mm256_set1_epi8(15);
        let bytes = load(w.add(group % 4 * 64));
        let moved = if group < 4 { bytes } else { _mm256_srli_epi16::<4>(bytes) };
        let nibbles = _mm256_and_si256(moved, mask);
        match KIND {
            simd::NIBBLES => nibbles,
            simd::FIVES => _mm256_or_si256(nibbles, beyond::<KIND>(load(w.add(simd::BITS)), group)),
            _ => _mm256_or_si256(nibbles, beyond::<KIND>(load(w.add(simd::BITS + group / 4 * 64)), group)),
        }
    }
}

/// Two products of pairs of weights of at most 63 fit an i16.
#[inline(always)]
unsafe fn unsigned<const M: usize, const KIND: u8>(w: *const u8, acts: Rows, sums: &mut [__m256i; M]) {
    // SAFETY: the caller's.
    unsafe {
        let start = simd::groups::<KIND>().start;
        for group in simd::groups::<KIND>().step_by(2) {
            let (a, b) = (unpack::<KIND>(w, group), unpack::<KIND>(w, group + 1));
            for row in 0..M {
                let (xa, xb) = (acts.four(row, group - start), acts.four(row, group + 1 - start));
                sums[row] = widen(sums[row], _mm256_add_epi16(maddubs(a, xa), maddubs(b, xb)));
            }
        }
    }
}

/// AVX-VNNI takes all kinds alike.
#[inline(always)]
unsafe fn vnni<const M: usize, const KIND: u8>(w: *const u8, acts: Rows, sums: &mut [__m256i; M]) {
    // SAFETY: the caller's.
    unsafe {
        let start = simd::groups::<KIND>().start;
        for group in simd::groups::<KIND>() {
            let w = match KIND {
                simd::SIGNED => _mm256_xor_si256(load(w.add(group * 64)), _mm256_set1_epi8(-128)),
                _ => unpack::<KIND>(w, group),
            };
            for row in 0..M {
                sums[row] = _mm256_dpbusd_avx_epi32(sums[row], w, _mm256_set1_epi32(acts.four(row, group - start)));
            }
        }
    }
}

/// Nibbles for all sixteen lanes: with so little arithmetic, loading activations twice would cost as much. All eight
/// products of pairs, 30480 at most, fit an i16.
#[inline(always)]
unsafe fn nibbles<const M: usize>(w: *const u8, acts: Rows, sums: &mut [Pair; M]) {
    // SAFETY: the caller's.
    unsafe {
        let mask = _mm256_set1_epi8(15);
        let mut products = [[_mm256_setzero_si256(); 2]; M];
        for group in 0..4 {
            let w = [load(w.add(group * 64)), load(w.add(group * 64 + 32))];
            let low = [_mm256_and_si256(w[0], mask), _mm256_and_si256(w[1], mask)];
            let shifted = [_mm256_srli_epi16::<4>(w[0]), _mm256_srli_epi16::<4>(w[1])];
            let high = [_mm256_and_si256(shifted[0], mask), _mm256_and_si256(shifted[1], mask)];
            for row in 0..M {
                let (xa, xb) = (acts.four(row, group), acts.four(row, group + 4));
                for half in 0..2 {
                    let both = _mm256_add_epi16(maddubs(low[half], xa), maddubs(high[half], xb));
                    products[row][half] = _mm256_add_epi16(products[row][half], both);
                }
            }
        }
        for row in 0..M {
            for half in 0..2 {
                sums[row][half] = widen(sums[row][half], products[row][half]);
            }
        }
    }
}

impl<const VNNI: bool> Simd for Avx2<VNNI> {
    type F = [__m256; 2];
    type I = Pair;
    /// VNNI multiplies unsigned with signed bytes, so signed weights become unsigned ones.
    const SIGNED_BIAS: bool = VNNI;
    const ROWS: usize = if VNNI { 4 } else { 8 };
    const NIBBLE_ROWS: usize = 4;

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
    unsafe fn load_i8(p: *const i8) -> Self::F {
        unsafe {
            let low = _mm256_cvtepi8_epi32(_mm_loadl_epi64(p.cast()));
            let high = _mm256_cvtepi8_epi32(_mm_loadl_epi64(p.add(8).cast()));
            [_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high)]
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
            // Loops rather than closures, which would not get the level's features.
            let mut pairs = [[_mm256_setzero_si256(); 2]; M];
            for row in 0..M {
                pairs[row] = [_mm256_set1_epi32(acts.init(row)); 2];
            }
            if !VNNI && KIND == simd::NIBBLES {
                nibbles(w, acts, &mut pairs);
                return pairs;
            }
            for half in 0..2 {
                let (w, mut sums) = (w.add(half * 32), [_mm256_setzero_si256(); M]);
                for row in 0..M {
                    sums[row] = pairs[row][half];
                }
                match KIND {
                    _ if VNNI => vnni::<M, KIND>(w, acts, &mut sums),
                    simd::SIGNED => signed(w, acts, &mut sums),
                    _ => unsigned::<M, KIND>(w, acts, &mut sums),
                }
                for row in 0..M {
                    pairs[row][half] = sums[row];
                }
            }
            pairs
        }
    }
}
