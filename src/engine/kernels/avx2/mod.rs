//! AVX2, with and without AVX-VNNI.
//!
//! Functions here are inlined into entry points with the level's features; they are called from nowhere else.

mod bytes;
mod round;

use super::BLOCK;
use super::form::Form;
use super::simd::{self, Rows, Simd};
pub use round::{greatest, round};
use std::arch::x86_64::*;

/// AVX2, FMA and F16C, and where `VNNI` the dot products of AVX-VNNI: two registers of 8 lanes.
#[derive(Clone, Copy)]
pub struct Avx2<const VNNI: bool>;

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

/// Of a byte for each weight, the bits beyond the nibble of `group`, where they belong.
#[inline(always)]
unsafe fn beyond<const KIND: u8>(bits: __m256i, group: usize) -> __m256i {
    let (at, mask) = if matches!(KIND, simd::FIVES | simd::FIVES16) {
        (group, 16)
    } else {
        (group % 4 * 2, 48)
    };
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

/// 8 × 4 weights of a group, as unsigned bytes.
#[inline(always)]
unsafe fn unpack<const KIND: u8>(w: *const u8, group: usize) -> __m256i {
    // SAFETY: the caller's.
    unsafe {
        if KIND == simd::BYTES {
            return load(w.add(group * 64));
        }
        let bytes = load(w.add(group % 4 * 64));
        let moved = if group < 4 {
            bytes
        } else {
            _mm256_srli_epi16::<4>(bytes)
        };
        let nibbles = _mm256_and_si256(moved, _mm256_set1_epi8(15));
        match KIND {
            simd::NIBBLES | simd::NIBBLES8 => nibbles,
            simd::FIVES | simd::FIVES16 => {
                _mm256_or_si256(nibbles, beyond::<KIND>(load(w.add(simd::BITS)), group))
            }
            _ => _mm256_or_si256(
                nibbles,
                beyond::<KIND>(load(w.add(simd::BITS + group / 4 * 64)), group),
            ),
        }
    }
}

/// Adds the products of group `GROUP` to `products`, as i16.
#[inline(always)]
unsafe fn add_narrow<const M: usize, const KIND: u8, const GROUP: usize>(
    w: *const u8,
    acts: Rows,
    products: &mut [[__m256i; 2]; M],
) {
    // SAFETY: the caller's.
    unsafe {
        let mut weights = [_mm256_setzero_si256(); 2];
        for half in 0..2 {
            weights[half] = unpack::<KIND>(w.add(half * 32), GROUP);
        }
        for row in 0..M {
            let x = acts.four(row, GROUP - const { simd::groups::<KIND>().start });
            for half in 0..2 {
                products[row][half] =
                    _mm256_add_epi16(products[row][half], maddubs(weights[half], x));
            }
        }
    }
}

/// Adds the products of groups `LOW` and `HIGH`, where the kind has them.
#[inline(always)]
unsafe fn quarter<const M: usize, const KIND: u8, const LOW: usize, const HIGH: usize>(
    w: *const u8,
    acts: Rows,
    products: &mut [[__m256i; 2]; M],
) {
    // SAFETY: the caller's.
    unsafe {
        if KIND != simd::SIXES_HIGH {
            add_narrow::<M, KIND, LOW>(w, acts, products);
        }
        if KIND != simd::SIXES_LOW {
            add_narrow::<M, KIND, HIGH>(w, acts, products);
        }
    }
}

/// Adds the dot products of weights of less than eight bits to `sums`. Those are so small that all products fit an i16:
/// eight pairs of at most 31 · 128, or four of 63 · 128.
#[inline(always)]
unsafe fn add_dots<const M: usize, const KIND: u8>(
    w: *const u8,
    acts: Rows,
    sums: &mut [[__m256i; 2]; M],
) {
    // SAFETY: the caller's.
    unsafe {
        let mut products = [[_mm256_setzero_si256(); 2]; M];
        // Groups that share their bytes follow each other.
        quarter::<M, KIND, 0, 4>(w, acts, &mut products);
        quarter::<M, KIND, 1, 5>(w, acts, &mut products);
        quarter::<M, KIND, 2, 6>(w, acts, &mut products);
        quarter::<M, KIND, 3, 7>(w, acts, &mut products);
        for row in 0..M {
            for half in 0..2 {
                sums[row][half] = widen(sums[row][half], products[row][half]);
            }
        }
    }
}

/// Adds the dot products of any kind by AVX-VNNI, one half of the lanes after the other: both would want more registers
/// than there are.
#[inline(always)]
unsafe fn add_dots_vnni<const M: usize, const KIND: u8>(
    w: *const u8,
    acts: Rows,
    sums: &mut [[__m256i; 2]; M],
) {
    // SAFETY: the caller's.
    unsafe {
        let start = simd::groups::<KIND>().start;
        for half in 0..2 {
            let mut lanes = [_mm256_setzero_si256(); M];
            for row in 0..M {
                lanes[row] = sums[row][half];
            }
            for group in simd::groups::<KIND>() {
                let w = unpack::<KIND>(w.add(half * 32), group);
                for row in 0..M {
                    let x = _mm256_set1_epi32(acts.four(row, group - start));
                    lanes[row] = _mm256_dpbusd_avx_epi32(lanes[row], w, x);
                }
            }
            for row in 0..M {
                sums[row][half] = lanes[row];
            }
        }
    }
}

impl<const VNNI: bool> Simd for Avx2<VNNI> {
    type F = [__m256; 2];
    type I = [__m256i; 2];

    fn rows(form: Form) -> usize {
        if !VNNI && form == Form::Signed { 8 } else { 4 }
    }
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
        unsafe {
            [
                _mm256_cvtph_ps(_mm_loadu_si128(p.cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(p.add(8).cast())),
            ]
        }
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
            _mm_storeu_si128(
                p.add(8).cast(),
                _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x[1]),
            );
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
        unsafe {
            [
                _mm256_fmadd_ps(a[0], b[0], c[0]),
                _mm256_fmadd_ps(a[1], b[1], c[1]),
            ]
        }
    }
    #[inline(always)]
    unsafe fn to_f(x: Self::I) -> Self::F {
        unsafe { [_mm256_cvtepi32_ps(x[0]), _mm256_cvtepi32_ps(x[1])] }
    }
    #[inline(always)]
    unsafe fn greatest(x: &[f32; BLOCK]) -> f32 {
        unsafe { greatest(x) }
    }
    #[inline(always)]
    unsafe fn round(x: &[f32; BLOCK], factor: f32, bytes: &mut [i8; BLOCK]) -> [[i32; 2]; 2] {
        unsafe { round(x, factor, bytes) }
    }
    #[inline(always)]
    unsafe fn accumulate<const M: usize, const KIND: u8>(
        w: *const u8,
        scale: Self::F,
        acts: Rows,
        sums: &mut [Self::F; M],
    ) {
        // SAFETY: the caller's.
        unsafe {
            if VNNI || KIND != simd::BYTES || !M.is_multiple_of(2) {
                return simd::accumulate::<Self, M, KIND>(w, scale, acts, sums);
            }
            for (i, sums) in sums.as_chunks_mut().0.iter_mut().enumerate() {
                bytes::accumulate_two(w, &scale, acts, 2 * i, sums);
            }
        }
    }
    #[inline(always)]
    unsafe fn dot<const M: usize, const KIND: u8>(w: *const u8, acts: Rows) -> [Self::I; M] {
        // SAFETY: the caller's.
        unsafe {
            // Loops rather than closures, which would not get the level's features.
            let mut pairs = [[_mm256_setzero_si256(); 2]; M];
            if !VNNI && KIND == simd::BYTES {
                for row in 0..M {
                    pairs[row] = bytes::dot_one(w, acts, row);
                }
                return pairs;
            }
            for row in 0..M {
                pairs[row] = [_mm256_set1_epi32(acts.init::<KIND>(row)); 2];
            }
            match VNNI {
                true => add_dots_vnni::<M, KIND>(w, acts, &mut pairs),
                false => add_dots::<M, KIND>(w, acts, &mut pairs),
            }
            pairs
        }
    }
}
