//! AVX2, with and without AVX-VNNI.
//!
//! Everything here is inlined into [`Isa::run`](super::Isa::run)'s entry points with these features, and called from
//! nowhere else.

mod q8_0;
mod round;

use super::{BLOCK, Layout, Q8Rows, Quantised, Simd, accumulate_dots, groups};
use crate::engine::kernels::layout::HIGH_BITS;
pub use round::{max_pair_sum, round};
use std::arch::x86_64::*;

/// AVX2, FMA and F16C, and with `VNNI` the dot products of AVX-VNNI: two registers of 8 lanes.
#[derive(Clone, Copy)]
pub struct Avx2<const VNNI: bool>;

/// Adds the sums of neighbours among 16 i16 to `sum`.
///
/// # Safety
/// The CPU supports AVX2.
#[inline(always)]
unsafe fn widen(sum: __m256i, x: __m256i) -> __m256i {
    // SAFETY: the caller guarantees AVX2, and the operations are on registers.
    unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(x, _mm256_set1_epi16(1))) }
}

/// Products of unsigned weights and four signed activations, neighbours added. The weights must be small enough for the
/// sums to fit an i16.
///
/// # Safety
/// The CPU supports AVX2.
#[inline(always)]
unsafe fn maddubs(w: __m256i, x: i32) -> __m256i {
    // SAFETY: the caller guarantees AVX2, and the operations are on registers.
    unsafe { _mm256_maddubs_epi16(w, _mm256_set1_epi32(x)) }
}

/// 32 weights.
///
/// # Safety
/// The CPU supports AVX2, and 32 bytes can be read.
#[inline(always)]
unsafe fn load(p: *const u8) -> __m256i {
    // SAFETY: the caller guarantees AVX2 and 32 readable bytes; the load is unaligned.
    unsafe { _mm256_loadu_si256(p.cast()) }
}

/// From one byte per weight, the bits beyond the nibble of `group`, shifted to their place in the number.
///
/// # Safety
/// The CPU supports AVX2.
#[inline(always)]
unsafe fn high_bits<const BITS: usize>(bits: __m256i, group: usize) -> __m256i {
    let (at, mask) = if BITS == 5 {
        (group, 16)
    } else {
        (group % 4 * 2, 48)
    };
    // SAFETY: the caller guarantees AVX2, and the operations are on registers. The mask removes what 16-bit shifts carry
    // over from the other byte.
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
///
/// # Safety
/// The CPU supports AVX2, and `w` points to a whole block, or to the second half of its lanes.
#[inline(always)]
unsafe fn unpack<W: Quantised>(w: *const u8, group: usize) -> __m256i {
    // SAFETY: the caller guarantees AVX2 and the block, within which all offsets lie.
    unsafe {
        if W::BITS == 8 {
            return load(w.add(group * 64));
        }
        let bytes = load(w.add(group % 4 * 64));
        let moved = if group < 4 {
            bytes
        } else {
            _mm256_srli_epi16::<4>(bytes)
        };
        let nibbles = _mm256_and_si256(moved, _mm256_set1_epi8(15));
        match W::BITS {
            4 => nibbles,
            5 => _mm256_or_si256(nibbles, high_bits::<5>(load(w.add(HIGH_BITS)), group)),
            _ => _mm256_or_si256(
                nibbles,
                high_bits::<6>(load(w.add(HIGH_BITS + group / 4 * 64)), group),
            ),
        }
    }
}

/// Adds the products of group `GROUP` to `products`, as i16.
///
/// # Safety
/// The CPU supports AVX2; `w` points to a whole block, and `acts` to `M` rows of part `SUB`.
#[inline(always)]
unsafe fn add_narrow<const M: usize, W: Quantised, const SUB: usize, const GROUP: usize>(
    w: *const u8,
    acts: Q8Rows,
    products: &mut [[__m256i; 2]; M],
) {
    // SAFETY: the caller guarantees the features, the block and the rows.
    unsafe {
        let mut weights = [_mm256_setzero_si256(); 2];
        for half in 0..2 {
            weights[half] = unpack::<W>(w.add(half * 32), GROUP);
        }
        for row in 0..M {
            let x = acts.four(row, GROUP - const { groups::<W, SUB>().start });
            for half in 0..2 {
                products[row][half] =
                    _mm256_add_epi16(products[row][half], maddubs(weights[half], x));
            }
        }
    }
}

/// Adds the products of groups `LOW` and `HIGH`, of those that belong to part `SUB`.
///
/// # Safety
/// As [`add_narrow`].
#[inline(always)]
unsafe fn add_two<
    const M: usize,
    W: Quantised,
    const SUB: usize,
    const LOW: usize,
    const HIGH: usize,
>(
    w: *const u8,
    acts: Q8Rows,
    products: &mut [[__m256i; 2]; M],
) {
    // SAFETY: the caller guarantees the features, the block and the rows.
    unsafe {
        if const { groups::<W, SUB>().start <= LOW && LOW < groups::<W, SUB>().end } {
            add_narrow::<M, W, SUB, LOW>(w, acts, products);
        }
        if const { groups::<W, SUB>().start <= HIGH && HIGH < groups::<W, SUB>().end } {
            add_narrow::<M, W, SUB, HIGH>(w, acts, products);
        }
    }
}

/// Adds the dot products of weights of less than eight bits to `sums`. They are so small that the sum of all products
/// fits an i16: eight pairs of at most 31 · 128, or four of 63 · 128.
///
/// # Safety
/// As [`add_narrow`].
#[inline(always)]
unsafe fn add_dots<const M: usize, W: Quantised, const SUB: usize>(
    w: *const u8,
    acts: Q8Rows,
    sums: &mut [[__m256i; 2]; M],
) {
    // SAFETY: the caller guarantees the features, the block and the rows.
    unsafe {
        let mut products = [[_mm256_setzero_si256(); 2]; M];
        // Groups that share bytes are handled together.
        add_two::<M, W, SUB, 0, 4>(w, acts, &mut products);
        add_two::<M, W, SUB, 1, 5>(w, acts, &mut products);
        add_two::<M, W, SUB, 2, 6>(w, acts, &mut products);
        add_two::<M, W, SUB, 3, 7>(w, acts, &mut products);
        for row in 0..M {
            for half in 0..2 {
                sums[row][half] = widen(sums[row][half], products[row][half]);
            }
        }
    }
}

/// Adds the dot products of any layout by AVX-VNNI, one half of the lanes after the other: both together would need more
/// registers than there are.
///
/// # Safety
/// As [`add_narrow`], and the CPU supports AVX-VNNI.
#[inline(always)]
unsafe fn add_dots_vnni<const M: usize, W: Quantised, const SUB: usize>(
    w: *const u8,
    acts: Q8Rows,
    sums: &mut [[__m256i; 2]; M],
) {
    // SAFETY: the caller guarantees the features, the block and the rows.
    unsafe {
        let start = groups::<W, SUB>().start;
        for half in 0..2 {
            let mut lanes = [_mm256_setzero_si256(); M];
            for row in 0..M {
                lanes[row] = sums[row][half];
            }
            for group in groups::<W, SUB>() {
                let w = unpack::<W>(w.add(half * 32), group);
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

    fn max_rows(layout: Layout) -> usize {
        if !VNNI && layout == Layout::Q8_0 {
            8
        } else {
            4
        }
    }
    #[inline(always)]
    unsafe fn prefetch(p: *const u8) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::F {
        // SAFETY: the caller guarantees AVX2, and the operation is on registers.
        unsafe { [_mm256_set1_ps(x); 2] }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::F {
        // SAFETY: the caller guarantees AVX2 and 16 readable elements.
        unsafe { [_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))] }
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self::F {
        // SAFETY: the caller guarantees AVX2 and 16 readable elements.
        unsafe {
            [
                _mm256_cvtph_ps(_mm_loadu_si128(p.cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(p.add(8).cast())),
            ]
        }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self::F {
        // SAFETY: the caller guarantees AVX2 and 16 readable elements.
        unsafe {
            let wide = [_mm_loadu_si128(p.cast()), _mm_loadu_si128(p.add(8).cast())];
            let low = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(wide[0]));
            let high = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(wide[1]));
            [_mm256_castsi256_ps(low), _mm256_castsi256_ps(high)]
        }
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const i8) -> Self::F {
        // SAFETY: the caller guarantees AVX2 and 16 readable elements.
        unsafe {
            let low = _mm256_cvtepi8_epi32(_mm_loadl_epi64(p.cast()));
            let high = _mm256_cvtepi8_epi32(_mm_loadl_epi64(p.add(8).cast()));
            [_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high)]
        }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, x: Self::F) {
        // SAFETY: the caller guarantees AVX2 and room for 16 elements.
        unsafe {
            _mm256_storeu_ps(p, x[0]);
            _mm256_storeu_ps(p.add(8), x[1]);
        }
    }
    #[inline(always)]
    unsafe fn store_f16(p: *mut u16, x: Self::F) {
        // SAFETY: the caller guarantees AVX2 and room for 16 elements.
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
        // SAFETY: the caller guarantees AVX2, and the operation is on registers.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }
    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the caller guarantees AVX2, and the operation is on registers.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }
    #[inline(always)]
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: the caller guarantees AVX2, and the operation is on registers.
        unsafe {
            [
                _mm256_fmadd_ps(a[0], b[0], c[0]),
                _mm256_fmadd_ps(a[1], b[1], c[1]),
            ]
        }
    }
    #[inline(always)]
    unsafe fn to_f(x: Self::I) -> Self::F {
        // SAFETY: the caller guarantees AVX2, and the operation is on registers.
        unsafe { [_mm256_cvtepi32_ps(x[0]), _mm256_cvtepi32_ps(x[1])] }
    }
    #[inline(always)]
    unsafe fn max_pair_sum(x: &[f32; BLOCK]) -> f32 {
        // SAFETY: the caller guarantees AVX2.
        unsafe { max_pair_sum(x) }
    }
    #[inline(always)]
    unsafe fn round(x: &[f32; BLOCK], factor: f32, bytes: &mut [i8; BLOCK]) -> [[i32; 2]; 2] {
        // SAFETY: the caller guarantees AVX2.
        unsafe { round(x, factor, bytes) }
    }
    #[inline(always)]
    unsafe fn accumulate<const M: usize, W: Quantised, const SUB: usize>(
        w: *const u8,
        scale: Self::F,
        acts: Q8Rows,
        sums: &mut [Self::F; M],
    ) {
        // SAFETY: the caller guarantees the features, a whole block of weights and `M` rows of activations.
        unsafe {
            if VNNI || W::BITS != 8 || !M.is_multiple_of(2) {
                return accumulate_dots::<Self, M, W, SUB>(w, scale, acts, sums);
            }
            for (i, sums) in sums.as_chunks_mut().0.iter_mut().enumerate() {
                q8_0::accumulate_two(w, &scale, acts, 2 * i, sums);
            }
        }
    }
    #[inline(always)]
    unsafe fn dot<const M: usize, W: Quantised, const SUB: usize>(
        w: *const u8,
        acts: Q8Rows,
    ) -> [Self::I; M] {
        // SAFETY: the caller guarantees the features, a whole block of weights and `M` rows of activations.
        unsafe {
            // Loops rather than closures, which would not inherit the target features.
            let mut pairs = [[_mm256_setzero_si256(); 2]; M];
            if !VNNI && W::BITS == 8 {
                for row in 0..M {
                    pairs[row] = q8_0::dot_one(w, acts, row);
                }
                return pairs;
            }
            for row in 0..M {
                pairs[row] = [_mm256_set1_epi32(acts.init::<W, SUB>(row)); 2];
            }
            match VNNI {
                true => add_dots_vnni::<M, W, SUB>(w, acts, &mut pairs),
                false => add_dots::<M, W, SUB>(w, acts, &mut pairs),
            }
            pairs
        }
    }
}
