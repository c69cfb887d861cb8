//! Activations: as f32 for dense weights, and as bytes with a scale for each 32 of them for quantised ones.

use super::{BLOCK, Level, Shared, level::Kernel, simd::Simd};

/// Scale and sums of 32 quantised activations.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct ActBlock {
    /// Value of one step.
    pub scale: f32,
    /// Sum of the 32 values, for formats with minima.
    pub sum: f32,
    /// −8, −16 and −128 times the sum of the 32 bytes: where the dot products with offset weights start.
    pub neg8: i32,
    pub neg16: i32,
    pub neg128: i32,
    /// −32 times the sums of bytes 0..16 and 16..32.
    pub neg32: [i32; 2],
    /// −128 times the sums of the octets of bytes 0..16 and 16..32, as two i16 each.
    pub neg128_octets: [u32; 2],
}

/// Storage of activations. It only ever grows.
#[derive(Debug, Default)]
pub struct Acts {
    dense: Vec<f32>,
    bytes: Vec<i8>,
    blocks: Vec<ActBlock>,
}

impl Acts {
    /// Room for `rows` rows of `cols`; what was there is lost.
    pub fn view(&mut self, rows: usize, cols: usize) -> ActsView {
        let (n, blocks) = (rows * cols, rows * cols.div_ceil(BLOCK));
        if self.dense.len() < n {
            self.dense.resize(n, 0.0);
            self.bytes.resize(n, 0);
        }
        if self.blocks.len() < blocks {
            self.blocks.resize(blocks, ActBlock::default());
        }
        let (dense, bytes) = (Shared::new(&mut self.dense), Shared::new(&mut self.bytes));
        ActsView {
            cols,
            dense,
            bytes,
            blocks: Shared::new(&mut self.blocks),
        }
    }
}

/// `[rows, cols]` of activations, which a crew fills and reads by turns.
#[derive(Clone, Copy)]
pub struct ActsView {
    pub cols: usize,
    pub dense: Shared<f32>,
    pub bytes: Shared<i8>,
    pub blocks: Shared<ActBlock>,
}

impl ActsView {
    /// The f32 values of a row.
    ///
    /// # Safety
    /// No one else uses that row meanwhile.
    pub unsafe fn row<'a>(&self, row: usize) -> &'a mut [f32] {
        // SAFETY: the caller's.
        unsafe { self.dense.slice(row * self.cols, self.cols) }
    }

    /// Quantises columns `start..end` of a row from its f32 values; both are multiples of [`BLOCK`].
    ///
    /// # Safety
    /// No one else uses those columns meanwhile.
    pub unsafe fn quantise(&self, level: Level, row: usize, start: usize, end: usize) {
        let (from, len) = (row * self.cols + start, end - start);
        // SAFETY: the caller's.
        unsafe {
            level.run(Quantise {
                x: self.dense.slice(from, len),
                bytes: self.bytes.slice(from, len),
                blocks: self.blocks.slice(from / BLOCK, len / BLOCK),
            });
        }
    }
}

/// Most steps that two neighbours are rounded to together, less what rounding itself may add.
pub const MOST: f32 = 127.0;

/// The same for an octet: of each four columns the first two, or the last two, of 16.
pub const MOST_OCTET: f32 = 251.0;

/// Rounds each 32 numbers to bytes times their scale, such that neighbours, columns `2i` and `2i + 1`, are at most 128
/// together, and the four pairs of an octet at most 255. Their products with unsigned weights of eight bits, and those of
/// an octet with signed ones, then add up to less than an i16 holds, which AVX2 needs (see `avx2::bytes`). In a Llama most
/// blocks have one activation that is far greater than the others, so this costs little: over SmolLM2-135M's activations
/// the error of rounding is 0.86 % of their size, where bytes up to ±127 would have 0.78 %.
struct Quantise<'a> {
    x: &'a [f32],
    bytes: &'a mut [i8],
    blocks: &'a mut [ActBlock],
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
            // SAFETY: the caller's.
            *block = unsafe { quantise_block::<S>(x, bytes) };
        }
    }
}

#[inline(always)]
unsafe fn quantise_block<S: Simd>(x: &[f32; BLOCK], bytes: &mut [i8; BLOCK]) -> ActBlock {
    // SAFETY: the caller's.
    unsafe {
        let most = S::greatest(x);
        let scale = most / MOST;
        let octets = S::round(x, if scale > 0.0 { MOST / most } else { 0.0 }, bytes);
        let sums = octets.map(|[even, odd]| even + odd);
        let total = sums[0] + sums[1];
        ActBlock {
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
