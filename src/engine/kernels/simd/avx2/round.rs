//! Rounding of activations with AVX2, also for the instruction sets beyond it.

use crate::engine::kernels::layout::{MAX_OCTET, MAX_PAIR};
use crate::engine::kernels::{BLOCK, ROUND_TO_NEAREST};
use std::arch::x86_64::*;

/// See [`Simd::max_pair_sum`](crate::engine::kernels::simd::Simd::max_pair_sum).
///
/// # Safety
/// The CPU supports AVX2.
#[inline(always)]
pub unsafe fn max_pair_sum(x: &[f32; BLOCK]) -> f32 {
    // SAFETY: the caller guarantees AVX2; loads and stores stay within the arrays.
    unsafe {
        let mut sizes = [_mm256_setzero_ps(); 4];
        for i in 0..4 {
            sizes[i] =
                _mm256_andnot_ps(_mm256_set1_ps(-0.0), _mm256_loadu_ps(x.as_ptr().add(i * 8)));
        }
        // Pairs of 16 columns: those of columns 0..4 and 8..12 in the low half, of 4..8 and 12..16 in the high half.
        let pairs = [
            _mm256_hadd_ps(sizes[0], sizes[1]),
            _mm256_hadd_ps(sizes[2], sizes[3]),
        ];
        let [low, high] = [
            _mm256_permute2f128_ps::<0x20>(pairs[0], pairs[1]),
            _mm256_permute2f128_ps::<0x31>(pairs[0], pairs[1]),
        ];
        let fours = _mm256_add_ps(low, high);
        let octets = _mm256_add_ps(fours, _mm256_permute_ps::<0b01_00_11_10>(fours));
        let octets = _mm256_mul_ps(octets, _mm256_set1_ps(MAX_PAIR / MAX_OCTET));
        let max = _mm256_max_epi32(_mm256_castps_si256(low), _mm256_castps_si256(high));
        let max = _mm256_max_epi32(max, _mm256_castps_si256(octets));
        let max = _mm_max_epi32(
            _mm256_castsi256_si128(max),
            _mm256_extracti128_si256::<1>(max),
        );
        let max = _mm_max_epi32(max, _mm_shuffle_epi32::<0b01_00_11_10>(max));
        let max = _mm_max_epi32(max, _mm_shuffle_epi32::<0b10_11_00_01>(max));
        f32::from_bits(_mm_cvtsi128_si32(max) as u32)
    }
}

/// See [`Simd::round`](crate::engine::kernels::simd::Simd::round).
///
/// # Safety
/// The CPU supports AVX2.
#[inline(always)]
pub unsafe fn round(x: &[f32; BLOCK], factor: f32, bytes: &mut [i8; BLOCK]) -> [[i32; 2]; 2] {
    // SAFETY: the caller guarantees AVX2; loads and stores stay within the arrays.
    unsafe {
        let mut steps = [_mm256_setzero_si256(); 4];
        for i in 0..4 {
            let scaled = _mm256_mul_ps(
                _mm256_loadu_ps(x.as_ptr().add(i * 8)),
                _mm256_set1_ps(factor),
            );
            let rounded =
                _mm256_castps_si256(_mm256_add_ps(scaled, _mm256_set1_ps(ROUND_TO_NEAREST)));
            steps[i] = _mm256_sub_epi32(
                rounded,
                _mm256_set1_epi32(ROUND_TO_NEAREST.to_bits() as i32),
            );
        }
        // Packing works within each half of a register, and leaves groups of four bytes in the order 0 2 4 6 1 3 5 7.
        let pairs = [
            _mm256_packs_epi32(steps[0], steps[1]),
            _mm256_packs_epi32(steps[2], steps[3]),
        ];
        let packed = _mm256_max_epi8(
            _mm256_packs_epi16(pairs[0], pairs[1]),
            _mm256_set1_epi8(-127),
        );
        let packed = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        _mm256_storeu_si256(bytes.as_mut_ptr().cast(), packed);
        // Two i16 for every four bytes; those of an octet are added within their half.
        let fours = _mm256_maddubs_epi16(_mm256_set1_epi8(1), packed);
        let fours = _mm256_add_epi16(fours, _mm256_shuffle_epi32::<0b01_00_11_10>(fours));
        let octets = _mm256_add_epi16(fours, _mm256_shuffle_epi32::<0b10_11_00_01>(fours));
        let two = |x: __m128i| {
            let x = _mm_cvtsi128_si32(x);
            [i32::from(x as i16), x >> 16]
        };
        [
            two(_mm256_castsi256_si128(octets)),
            two(_mm256_extracti128_si256::<1>(octets)),
        ]
    }
}
