//! Vectors of sixteen lanes, for the registers of each instruction set.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod dispatch;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use super::layout::{Layout, MAX_OCTET, MAX_PAIR, Q8_0_OFFSET, Q8Block, Quantised};
use super::{BLOCK, LANES, ROUND_TO_NEAREST};
pub use dispatch::{Isa, Kernel};
use std::ops::Range;

/// Vector operations of one instruction set. Every implementation gives the same bits, lane by lane.
///
/// # Safety
/// Callers of every method guarantee that the CPU supports the instruction set, and that pointers are valid for what is
/// read or written: 16 elements of a vector, or a whole block of weights and the activations that it is multiplied by.
pub trait Simd: Copy {
    /// 16 × f32.
    type F: Copy;
    /// 16 × i32.
    type I: Copy;

    /// The max number of activation rows that are best multiplied in one pass over weights of that layout.
    fn max_rows(layout: Layout) -> usize;

    /// Prefetches the cache line at `p`, which need not exist, into the second-level cache: the first level tracks few
    /// outstanding lines, and loads stall when all of those slots are taken.
    ///
    /// # Safety
    /// The CPU supports the instruction set.
    #[inline(always)]
    unsafe fn prefetch(_p: *const u8) {}

    /// # Safety
    /// The CPU supports the instruction set.
    unsafe fn splat(x: f32) -> Self::F;
    /// # Safety
    /// The CPU supports the instruction set, and 16 elements can be read.
    unsafe fn load(p: *const f32) -> Self::F;
    /// # Safety
    /// As [`Self::load`].
    unsafe fn load_f16(p: *const u16) -> Self::F;
    /// # Safety
    /// As [`Self::load`].
    unsafe fn load_bf16(p: *const u16) -> Self::F;
    /// # Safety
    /// As [`Self::load`].
    unsafe fn load_i8(p: *const i8) -> Self::F;
    /// # Safety
    /// The CPU supports the instruction set, and 16 elements can be written.
    unsafe fn store(p: *mut f32, x: Self::F);
    /// Rounds to the nearest f16, ties to even.
    ///
    /// # Safety
    /// As [`Self::store`].
    unsafe fn store_f16(p: *mut u16, x: Self::F);
    /// # Safety
    /// The CPU supports the instruction set.
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    /// # Safety
    /// The CPU supports the instruction set.
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once.
    ///
    /// # Safety
    /// The CPU supports the instruction set.
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// # Safety
    /// The CPU supports the instruction set.
    unsafe fn to_f(x: Self::I) -> Self::F;

    /// The value that maps to the quantised magnitude [`MAX_PAIR`]: the max sum of the magnitudes of two neighbouring
    /// columns, or, rescaled by `MAX_PAIR / MAX_OCTET`, of an octet, whichever is larger. NaN if any input is NaN.
    ///
    /// # Safety
    /// The CPU supports the instruction set.
    #[inline(always)]
    unsafe fn max_pair_sum(x: &[f32; BLOCK]) -> f32 {
        let pairs: [f32; BLOCK / 2] = std::array::from_fn(|i| x[2 * i].abs() + x[2 * i + 1].abs());
        let octets = pairs
            .as_chunks::<8>()
            .0
            .iter()
            .flat_map(|p| [0, 1].map(|i| (p[i] + p[i + 2]) + (p[i + 4] + p[i + 6])));
        // The bits of non-negative floats sort like the floats, with NaN above all, so the order of comparisons, which
        // vectors change, does not matter.
        let sums = pairs
            .into_iter()
            .chain(octets.map(|x| x * (MAX_PAIR / MAX_OCTET)));
        f32::from_bits(sums.fold(0, |max, x| max.max(x.to_bits() & 0x7FFF_FFFF)))
    }

    /// Rounds every number times `factor` to the nearest integer in −127..=127, ties to even; returns the sums of the
    /// octets of the first and of the last 16.
    ///
    /// # Safety
    /// The CPU supports the instruction set.
    #[inline(always)]
    unsafe fn round(x: &[f32; BLOCK], factor: f32, bytes: &mut [i8; BLOCK]) -> [[i32; 2]; 2] {
        let mut sums = [[0i32; 2]; 2];
        for i in 0..BLOCK {
            // The integer is read from the low bits because a float-to-int cast would not be vectorised. The clamp
            // catches NaN.
            let rounded = x[i] * factor + ROUND_TO_NEAREST;
            let q = (rounded.to_bits() as i32)
                .wrapping_sub(ROUND_TO_NEAREST.to_bits() as i32)
                .clamp(-127, 127);
            bytes[i] = q as i8;
            sums[i / 16][i / 2 % 2] += q;
        }
        sums
    }

    /// Adds the dot products of part `SUB` of a block of weights with `M` rows of activations, times `scale`, to `sums`.
    ///
    /// # Safety
    /// The CPU supports the instruction set; `w` points to a whole block, and `acts` to `M` rows of the part.
    #[inline(always)]
    unsafe fn accumulate<const M: usize, W: Quantised, const SUB: usize>(
        w: *const u8,
        scale: Self::F,
        acts: Q8Rows,
        sums: &mut [Self::F; M],
    ) {
        // SAFETY: the conditions are the same, and the caller meets them.
        unsafe { accumulate_dots::<Self, M, W, SUB>(w, scale, acts, sums) }
    }

    /// Dot products of part `SUB` of a block of 16 rows of weights with `M` rows of activations.
    ///
    /// # Safety
    /// As [`Self::accumulate`].
    unsafe fn dot<const M: usize, W: Quantised, const SUB: usize>(
        w: *const u8,
        acts: Q8Rows,
    ) -> [Self::I; M];
}

/// [`Simd::accumulate`] in terms of [`Simd::dot`].
///
/// # Safety
/// As [`Simd::accumulate`].
#[inline(always)]
unsafe fn accumulate_dots<S: Simd, const M: usize, W: Quantised, const SUB: usize>(
    w: *const u8,
    scale: S::F,
    acts: Q8Rows,
    sums: &mut [S::F; M],
) {
    // SAFETY: the caller guarantees the instruction set, the block and the rows.
    unsafe {
        let dots = S::dot::<M, W, SUB>(w, acts);
        for row in 0..M {
            let step = S::splat((*acts.block(row)).scale);
            sums[row] = S::fma(S::to_f(dots[row]), S::mul(scale, step), sums[row]);
        }
    }
}

/// The groups of columns in part `SUB` of a block.
#[inline(always)]
const fn groups<W: Quantised, const SUB: usize>() -> Range<usize> {
    SUB * W::GROUPS..(SUB + 1) * W::GROUPS
}

/// Quantised activations to multiply with one block of weights, or with part of it.
#[derive(Clone, Copy)]
pub struct Q8Rows {
    /// The bytes of the first row.
    pub x: *const i8,
    /// Stride between rows, in bytes.
    pub stride: usize,
    /// The block of the first row.
    pub block: *const Q8Block,
    /// Stride between rows, in blocks.
    pub block_stride: usize,
}

impl Q8Rows {
    /// Scale and sums of a row.
    ///
    /// # Safety
    /// The row exists.
    #[inline(always)]
    pub unsafe fn block(&self, row: usize) -> *const Q8Block {
        // SAFETY: the caller guarantees that the row exists, so the offset stays in its allocation.
        unsafe { self.block.add(row * self.block_stride) }
    }

    /// Initial value of a row's dot product, which cancels the zero point of the weights.
    ///
    /// # Safety
    /// The row exists.
    #[inline(always)]
    unsafe fn init<W: Quantised, const SUB: usize>(&self, row: usize) -> i32 {
        // SAFETY: the caller guarantees that the row exists.
        let block = unsafe { &*self.block(row) };
        match W::ZERO {
            8 => block.neg8,
            16 => block.neg16,
            32 => block.neg32[SUB],
            128 => block.neg128,
            _ => 0,
        }
    }

    /// Activations `4 * group..4 * group + 4` of a row, as the bytes of an integer.
    ///
    /// # Safety
    /// The row exists and has that group.
    #[inline(always)]
    unsafe fn four(&self, row: usize, group: usize) -> i32 {
        // SAFETY: the caller guarantees that the four bytes exist; the read is unaligned.
        unsafe {
            self.x
                .add(row * self.stride + group * 4)
                .cast::<i32>()
                .read_unaligned()
        }
    }
}
