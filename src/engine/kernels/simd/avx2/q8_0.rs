//! Products of Q8_0 weights without VNNI.
//!
//! `vpmaddubsw` multiplies unsigned by signed bytes and adds two products to an i16; `vpmaddwd` adds two i16 to an i32.
//! Multiplications run on two of four ports, so as much as possible is added as i16, which any port can do. Because the
//! stored weights are 128 too large, the sum of an octet, eight products, overflows an i16 and wraps. Subtracting 128
//! times the sum of the activations wraps it back to the sum with signed weights, which fits (see `layout::MAX_OCTET`).
//!
//! The code for two rows is assembly: compilers run out of registers for the sums, weights and activations, or copy them
//! between iterations of loops that they do not unroll, and take 20 to 40 % longer.

use crate::engine::kernels::layout::Q8Block;
use crate::engine::kernels::simd::Q8Rows;
use std::arch::asm;
use std::arch::x86_64::*;
use std::mem::offset_of;

static ONES: [i16; 16] = [1; 16];

/// Loads the initial values of octets from the blocks of activations, `$at` bytes into `neg128_octets`: those of row 0
/// into `$a` and `$b`, those of row 1 into `$c` and `$d`.
#[rustfmt::skip]
macro_rules! octets {
    ($at:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "vpbroadcastd ", $a, ", [{block0} + {octets} + ", $at, "]\n",
            "vpbroadcastd ", $c, ", [{block1} + {octets} + ", $at, "]\n",
            "vmovdqa ", $b, ", ", $a, "\n",
            "vmovdqa ", $d, ", ", $c, "\n",
        )
    };
}

/// Adds the products of the group whose weights begin at offset `$w` and whose activations begin at offset `$x`.
#[rustfmt::skip]
macro_rules! group {
    ($w:literal, $x:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "vmovdqu ymm8, [{w} + ", $w, "]\n",
            "vmovdqu ymm9, [{w} + ", $w, " + 32]\n",
            "vpbroadcastd ymm10, [{x0} + ", $x, "]\n",
            "vpbroadcastd ymm11, [{x1} + ", $x, "]\n",
            "vpmaddubsw ymm12, ymm8, ymm10\n",
            "vpmaddubsw ymm13, ymm9, ymm10\n",
            "vpmaddubsw ymm8, ymm8, ymm11\n",
            "vpmaddubsw ymm9, ymm9, ymm11\n",
            "vpaddw ", $a, ", ", $a, ", ymm12\n",
            "vpaddw ", $b, ", ", $b, ", ymm13\n",
            "vpaddw ", $c, ", ", $c, ", ymm8\n",
            "vpaddw ", $d, ", ", $d, ", ymm9\n",
        )
    };
}

/// Adds up the octets of a row, in `$a` and `$b` and in `$c` and `$d`, as i32, and adds the results times the scales to
/// the row's sums.
#[rustfmt::skip]
macro_rules! finish {
    ($block:literal, $sums:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "vbroadcastss ymm10, [{", $block, "} + {step}]\n",
            "vpmaddwd ", $a, ", ", $a, ", ymm15\n",
            "vpmaddwd ", $b, ", ", $b, ", ymm15\n",
            "vpmaddwd ", $c, ", ", $c, ", ymm15\n",
            "vpmaddwd ", $d, ", ", $d, ", ymm15\n",
            "vmulps ymm8, ymm10, [{scale}]\n",
            "vmulps ymm9, ymm10, [{scale} + 32]\n",
            "vpaddd ", $a, ", ", $a, ", ", $c, "\n",
            "vpaddd ", $b, ", ", $b, ", ", $d, "\n",
            "vcvtdq2ps ", $a, ", ", $a, "\n",
            "vcvtdq2ps ", $b, ", ", $b, "\n",
            "vfmadd213ps ", $a, ", ymm8, [{sums} + ", $sums, "]\n",
            "vfmadd213ps ", $b, ", ymm9, [{sums} + ", $sums, " + 32]\n",
            "vmovups [{sums} + ", $sums, "], ", $a, "\n",
            "vmovups [{sums} + ", $sums, " + 32], ", $b, "\n",
        )
    };
}

/// Adds the dot products, times `scale`, with rows `row` and `row + 1` of activations to `sums`.
///
/// # Safety
/// The CPU supports AVX2 and FMA; `w` points to a whole block, and `acts` has both rows.
#[inline(always)]
pub unsafe fn accumulate_two(
    w: *const u8,
    scale: &[__m256; 2],
    acts: Q8Rows,
    row: usize,
    sums: &mut [[__m256; 2]; 2],
) {
    // SAFETY: the caller guarantees the features, the block and the rows. The code reads within them and `scale`, and
    // writes only `sums` and the registers named below.
    unsafe {
        asm!(
            "vmovdqu ymm15, [rip + {ones}]",
            octets!("0", "ymm0", "ymm1", "ymm2", "ymm3"),
            group!("0", "0", "ymm0", "ymm1", "ymm2", "ymm3"),
            group!("64", "4", "ymm0", "ymm1", "ymm2", "ymm3"),
            group!("128", "8", "ymm0", "ymm1", "ymm2", "ymm3"),
            group!("192", "12", "ymm0", "ymm1", "ymm2", "ymm3"),
            octets!("4", "ymm4", "ymm5", "ymm6", "ymm7"),
            group!("256", "16", "ymm4", "ymm5", "ymm6", "ymm7"),
            group!("320", "20", "ymm4", "ymm5", "ymm6", "ymm7"),
            group!("384", "24", "ymm4", "ymm5", "ymm6", "ymm7"),
            group!("448", "28", "ymm4", "ymm5", "ymm6", "ymm7"),
            finish!("block0", "0", "ymm0", "ymm1", "ymm4", "ymm5"),
            finish!("block1", "64", "ymm2", "ymm3", "ymm6", "ymm7"),
            w = in(reg) w,
            x0 = in(reg) acts.x.add(row * acts.stride),
            x1 = in(reg) acts.x.add((row + 1) * acts.stride),
            block0 = in(reg) acts.block(row),
            block1 = in(reg) acts.block(row + 1),
            scale = in(reg) scale,
            sums = in(reg) sums,
            ones = sym ONES,
            octets = const offset_of!(Q8Block, neg128_octets),
            step = const offset_of!(Q8Block, scale),
            out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _,
            out("ymm4") _, out("ymm5") _, out("ymm6") _, out("ymm7") _,
            out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
            out("ymm12") _, out("ymm13") _, out("ymm15") _,
            options(nostack, preserves_flags),
        );
    }
}

/// The dot products with one row of activations.
///
/// # Safety
/// The CPU supports AVX2; `w` points to a whole block, and `acts` has the row.
#[inline(always)]
pub unsafe fn dot_one(w: *const u8, acts: Q8Rows, row: usize) -> [__m256i; 2] {
    // SAFETY: the caller guarantees AVX2, the block and the row.
    unsafe {
        let mut sums = [_mm256_setzero_si256(); 2];
        for half in 0..2 {
            let octets = (*acts.block(row)).neg128_octets[half];
            let mut products = [_mm256_set1_epi32(octets as i32); 2];
            for group in half * 4..half * 4 + 4 {
                let x = _mm256_set1_epi32(acts.four(row, group));
                for i in 0..2 {
                    let w = _mm256_loadu_si256(w.add(group * 64 + i * 32).cast());
                    products[i] = _mm256_add_epi16(products[i], _mm256_maddubs_epi16(w, x));
                }
            }
            for i in 0..2 {
                sums[i] = _mm256_add_epi32(
                    sums[i],
                    _mm256_madd_epi16(products[i], _mm256_set1_epi16(1)),
                );
            }
        }
        sums
    }
}
