//! Activations: f32 for dense weights, and blocks of 32 bytes with a scale for quantised weights.

use super::layout::{MAX_PAIR, Q8Block};
use super::simd::{Isa, Kernel, Simd};
use super::{BLOCK, Shared};

/// Storage of activations. It only grows.
#[derive(Debug, Default)]
pub struct Activations {
    dense: Vec<f32>,
    bytes: Vec<i8>,
    blocks: Vec<Q8Block>,
}

impl Activations {
    /// Storage for `[rows, cols]`; earlier contents are lost.
    pub fn view(&mut self, rows: usize, cols: usize) -> ActivationsView {
        let (n, blocks) = (rows * cols, rows * cols.div_ceil(BLOCK));
        if self.dense.len() < n {
            self.dense.resize(n, 0.0);
            self.bytes.resize(n, 0);
        }
        if self.blocks.len() < blocks {
            self.blocks.resize(blocks, Q8Block::default());
        }
        let (dense, bytes) = (Shared::new(&mut self.dense), Shared::new(&mut self.bytes));
        ActivationsView {
            cols,
            dense,
            bytes,
            blocks: Shared::new(&mut self.blocks),
        }
    }
}

/// `[rows, cols]` of activations, which the workers of a pool write in one phase and read in later ones.
#[derive(Clone, Copy)]
pub struct ActivationsView {
    /// Columns of a row.
    pub cols: usize,
    /// f32 values, `[rows, cols]`.
    pub dense: Shared<f32>,
    /// Quantised values, `[rows, cols]`.
    pub bytes: Shared<i8>,
    /// Scales and sums, `[rows, cols / 32]`.
    pub blocks: Shared<Q8Block>,
}

impl ActivationsView {
    /// The f32 values of a row.
    ///
    /// # Safety
    /// The storage outlives the result, and no other thread accesses the row in the meantime.
    pub unsafe fn row<'a>(&self, row: usize) -> &'a mut [f32] {
        // SAFETY: the caller guarantees exclusive access to the row.
        unsafe { self.dense.slice(row * self.cols, self.cols) }
    }

    /// Quantises columns `start..end` of a row from its f32 values; both are multiples of [`BLOCK`].
    ///
    /// # Safety
    /// The storage still exists, and no other thread accesses those columns during the call.
    pub unsafe fn quantise(&self, isa: Isa, row: usize, start: usize, end: usize) {
        let (from, len) = (row * self.cols + start, end - start);
        // SAFETY: the caller guarantees exclusive access to the columns; the kernel stays within its slices.
        unsafe {
            isa.run(Quantise {
                x: self.dense.slice(from, len),
                bytes: self.bytes.slice(from, len),
                blocks: self.blocks.slice(from / BLOCK, len / BLOCK),
            });
        }
    }
}

/// Quantises blocks of 32 numbers to bytes with a scale, so that the magnitudes of each two neighbours, columns `2i`
/// and `2i + 1`, add up to at most 128, and those of an octet to at most 255. The products of a pair with unsigned
/// 8-bit weights, and of an octet with signed ones, then fit an i16, which the AVX2 kernel needs (see
/// `simd::avx2::q8_0`). Most blocks of a Llama have one activation that is far larger than the others, so this costs
/// little: over SmolLM2-135M's activations the rounding error is 0.86 % of their size, compared with 0.78 % for bytes
/// up to ±127.
struct Quantise<'a> {
    x: &'a [f32],
    bytes: &'a mut [i8],
    blocks: &'a mut [Q8Block],
}

impl Kernel for Quantise<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let rows = self
            .x
            .as_chunks::<BLOCK>()
            .0
            .iter()
            .zip(self.bytes.as_chunks_mut::<BLOCK>().0);
        for ((x, bytes), block) in rows.zip(self.blocks) {
            // SAFETY: the caller guarantees that the CPU supports `S`.
            *block = unsafe { quantise_block::<S>(x, bytes) };
        }
    }
}

/// # Safety
/// The CPU supports `S`.
#[inline(always)]
unsafe fn quantise_block<S: Simd>(x: &[f32; BLOCK], bytes: &mut [i8; BLOCK]) -> Q8Block {
    // SAFETY: the caller guarantees that the CPU supports `S`.
    unsafe {
        let max = S::max_pair_sum(x);
        let scale = max / MAX_PAIR;
        let octets = S::round(x, if scale > 0.0 { MAX_PAIR / max } else { 0.0 }, bytes);
        let sums = octets.map(|[even, odd]| even + odd);
        let total = sums[0] + sums[1];
        Q8Block {
            scale,
            sum: scale * total as f32,
            neg8: -8 * total,
            neg16: -16 * total,
            neg128: -128 * total,
            neg32: sums.map(|sum| -32 * sum),
            neg128_octets: octets
                .map(|[even, odd]| (-128 * even) as u32 & 0xFFFF | ((-128 * odd) as u32) << 16),
        }
    }
}
