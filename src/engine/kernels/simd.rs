//! Sixteen lanes of numbers, whatever registers the machine has for them.

use super::acts::{ActBlock, MOST, MOST_OCTET};
use super::form::Form;
use super::{BLOCK, LANES};
use std::ops::Range;

/// Adding 1.5 × 2^23 rounds to the nearest integer, ties to even.
pub const ROUND: f32 = 12_582_912.0;

/// Vector operations of one level. Every implementation gives the same bits, lane by lane.
///
/// # Safety
/// The machine must have the level, and pointers must be valid for what is read or written: 16 elements of a vector,
/// or the whole block of 16 rows and 32 columns of weights and 32 activations.
pub trait Simd: Copy {
    /// 16 × f32.
    type F: Copy;
    /// 16 × i32.
    type I: Copy;
    /// Most rows of activations that are best served at once by weights of that form.
    fn rows(form: Form) -> usize;

    /// Asks for the cache line at `p`, which need not be there, in the second-level cache: the first level has few
    /// places for lines on their way, and loads that find none free wait.
    #[inline(always)]
    unsafe fn prefetch(_p: *const u8) {}
    unsafe fn splat(x: f32) -> Self::F;
    unsafe fn load(p: *const f32) -> Self::F;
    unsafe fn load_f16(p: *const u16) -> Self::F;
    unsafe fn load_bf16(p: *const u16) -> Self::F;
    /// 16 signed bytes.
    unsafe fn load_i8(p: *const i8) -> Self::F;
    unsafe fn store(p: *mut f32, x: Self::F);
    /// Rounded to the nearest f16, ties to even.
    unsafe fn store_f16(p: *mut u16, x: Self::F);
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once.
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    unsafe fn to_f(x: Self::I) -> Self::F;

    /// What the greatest step, [`MOST`], stands for: the greatest sum of the sizes of two neighbours, or, in its own
    /// measure, that of an octet, whichever is more; not a number if one of them is not.
    #[inline(always)]
    unsafe fn greatest(x: &[f32; BLOCK]) -> f32 {
        let pairs: [f32; BLOCK / 2] = std::array::from_fn(|i| x[2 * i].abs() + x[2 * i + 1].abs());
        let octets = pairs
            .as_chunks::<8>()
            .0
            .iter()
            .flat_map(|p| [0, 1].map(|i| (p[i] + p[i + 2]) + (p[i + 4] + p[i + 6])));
        // As integers, sizes can be compared in any order, which vectors do at once; what is not a number is the greatest.
        let most = pairs
            .into_iter()
            .chain(octets.map(|x| x * (MOST / MOST_OCTET)));
        f32::from_bits(most.fold(0, |most, x| most.max(x.to_bits() & 0x7FFF_FFFF)))
    }

    /// Rounds every number times `factor` to the nearest integer in −127..=127, ties to even; returns the sums of the
    /// octets of the first and of the last 16.
    #[inline(always)]
    unsafe fn round(x: &[f32; BLOCK], factor: f32, bytes: &mut [i8; BLOCK]) -> [[i32; 2]; 2] {
        let mut sums = [[0i32; 2]; 2];
        for i in 0..BLOCK {
            // The integer lies in the low bits: a cast would be done one by one. The clamp catches what is not a number.
            let rounded = x[i] * factor + ROUND;
            let step = (rounded.to_bits() as i32)
                .wrapping_sub(ROUND.to_bits() as i32)
                .clamp(-127, 127);
            bytes[i] = step as i8;
            sums[i / 16][i / 2 % 2] += step;
        }
        sums
    }

    /// Adds to `sums` the dot products of 16 rows of weights of that kind, times `scale`, with `M` rows of activations.
    #[inline(always)]
    unsafe fn accumulate<const M: usize, const KIND: u8>(
        w: *const u8,
        scale: Self::F,
        acts: Rows,
        sums: &mut [Self::F; M],
    ) {
        // SAFETY: the caller's.
        unsafe { accumulate::<Self, M, KIND>(w, scale, acts, sums) }
    }

    /// Dot products of 16 rows of weights of that kind with `M` rows of activations.
    unsafe fn dot<const M: usize, const KIND: u8>(w: *const u8, acts: Rows) -> [Self::I; M];
}

/// See [`Simd::accumulate`].
#[inline(always)]
pub unsafe fn accumulate<S: Simd, const M: usize, const KIND: u8>(
    w: *const u8,
    scale: S::F,
    acts: Rows,
    sums: &mut [S::F; M],
) {
    // SAFETY: the caller's.
    unsafe {
        let dots = S::dot::<M, KIND>(w, acts);
        for row in 0..M {
            let step = S::splat((*acts.block(row)).scale);
            sums[row] = S::fma(S::to_f(dots[row]), S::mul(scale, step), sums[row]);
        }
    }
}

// Kinds of weights. A block of 16 rows × 32 columns is 8 groups of 4 columns, which take 64 bytes each: first the
// columns of row 0, then those of row 1, and so on.

/// Signed bytes plus [`OFFSET`], group after group.
pub const BYTES: u8 = 0;
/// 4 × 64 bytes, whose low nibbles are groups 0 to 3 and whose high ones are groups 4 to 7.
pub const NIBBLES: u8 = 1;
/// The same, less 8.
pub const NIBBLES8: u8 = 2;
/// As [`NIBBLES`], and behind them 64 bytes whose bit `g` is the fifth bit of group `g`.
pub const FIVES: u8 = 3;
/// The same, less 16.
pub const FIVES16: u8 = 4;
/// Less 32, groups 0 to 3 of: as [`NIBBLES`], and behind them 2 × 64 bytes, each for four groups, with two more bits of
/// each.
pub const SIXES_LOW: u8 = 5;
/// Groups 4 to 7 of the same.
pub const SIXES_HIGH: u8 = 6;

/// What bytes in memory have more than the weights they stand for. x86 multiplies unsigned bytes with signed ones.
pub const OFFSET: u8 = if cfg!(target_arch = "x86_64") { 128 } else { 0 };

/// Where the further bits of a block begin.
pub const BITS: usize = 256;

/// The groups that a dot product of that kind takes; the activations begin with the first of them.
#[inline(always)]
pub const fn groups<const KIND: u8>() -> Range<usize> {
    match KIND {
        SIXES_LOW => 0..4,
        SIXES_HIGH => 4..8,
        _ => 0..8,
    }
}

/// Where the activations of a block lie.
#[derive(Clone, Copy)]
pub struct Rows {
    pub x: *const i8,
    /// Bytes from row to row.
    pub stride: usize,
    /// The block of the first row.
    pub block: *const ActBlock,
    /// Blocks from row to row.
    pub block_stride: usize,
}

impl Rows {
    /// # Safety
    /// The row is there.
    #[inline(always)]
    pub unsafe fn block(&self, row: usize) -> *const ActBlock {
        // SAFETY: the caller's.
        unsafe { self.block.add(row * self.block_stride) }
    }

    /// What the dot product of a row starts at, for what the weights have too much.
    ///
    /// # Safety
    /// The row is there.
    #[inline(always)]
    pub unsafe fn init<const KIND: u8>(&self, row: usize) -> i32 {
        // SAFETY: the caller's.
        let block = unsafe { &*self.block(row) };
        match KIND {
            BYTES if OFFSET > 0 => block.neg128,
            NIBBLES8 => block.neg8,
            FIVES16 => block.neg16,
            SIXES_LOW => block.neg32[0],
            SIXES_HIGH => block.neg32[1],
            _ => 0,
        }
    }

    /// Activations `4 * group..` of a row.
    ///
    /// # Safety
    /// They are there.
    #[inline(always)]
    pub unsafe fn four(&self, row: usize, group: usize) -> i32 {
        // SAFETY: the caller's.
        unsafe {
            self.x
                .add(row * self.stride + group * 4)
                .cast::<i32>()
                .read_unaligned()
        }
    }
}

/// No vector instructions asked for: arrays, for any machine and for reference.
#[derive(Clone, Copy)]
pub struct Portable;

#[inline(always)]
fn lanes<T>(f: impl FnMut(usize) -> T) -> [T; LANES] {
    std::array::from_fn(f)
}

impl Simd for Portable {
    type F = [f32; LANES];
    type I = [i32; LANES];

    fn rows(_form: Form) -> usize {
        1
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::F {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::F {
        // SAFETY: the caller's.
        lanes(|i| unsafe { *p.add(i) })
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self::F {
        // SAFETY: the caller's.
        lanes(|i| half::f16::from_bits(unsafe { *p.add(i) }).to_f32())
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self::F {
        // SAFETY: the caller's.
        lanes(|i| f32::from_bits(u32::from(unsafe { *p.add(i) }) << 16))
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const i8) -> Self::F {
        // SAFETY: the caller's.
        lanes(|i| f32::from(unsafe { *p.add(i) }))
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, x: Self::F) {
        // SAFETY: the caller's.
        unsafe { std::ptr::copy_nonoverlapping(x.as_ptr(), p, LANES) }
    }
    #[inline(always)]
    unsafe fn store_f16(p: *mut u16, x: Self::F) {
        for (i, x) in x.into_iter().enumerate() {
            // SAFETY: the caller's.
            unsafe { *p.add(i) = half::f16::from_f32(x).to_bits() }
        }
    }
    #[inline(always)]
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
        lanes(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        lanes(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        lanes(|i| a[i].mul_add(b[i], c[i]))
    }
    #[inline(always)]
    unsafe fn to_f(x: Self::I) -> Self::F {
        lanes(|i| x[i] as f32)
    }
    #[inline(always)]
    unsafe fn dot<const M: usize, const KIND: u8>(w: *const u8, acts: Rows) -> [Self::I; M] {
        // SAFETY: the caller's blocks are whole.
        let byte = |at: usize| i32::from(unsafe { *w.add(at) });
        let weight = |group: usize, i: usize| {
            let nibble = || byte(group % 4 * 64 + i) >> (group / 4 * 4) & 15;
            match KIND {
                BYTES if OFFSET == 0 => i32::from(byte(group * 64 + i) as u8 as i8),
                BYTES => byte(group * 64 + i),
                NIBBLES | NIBBLES8 => nibble(),
                FIVES | FIVES16 => nibble() | (byte(BITS + i) >> group & 1) << 4,
                _ => nibble() | (byte(BITS + group / 4 * 64 + i) >> (group % 4 * 2) & 3) << 4,
            }
        };
        std::array::from_fn(|row| {
            // SAFETY: the caller's.
            let mut sums = [unsafe { acts.init::<KIND>(row) }; LANES];
            for group in groups::<KIND>() {
                // SAFETY: the caller's.
                let x = unsafe { acts.four(row, group - groups::<KIND>().start) }.to_ne_bytes();
                for i in 0..64 {
                    sums[i / 4] += weight(group, i) * i32::from(x[i % 4] as i8);
                }
            }
            sums
        })
    }
}
