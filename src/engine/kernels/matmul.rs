//! Tiles of a matrix product: 16 outputs of several rows of activations, for one read of the weights.

use super::activations::ActivationsView;
use super::dense::dense_tile;
use super::layout::{self, Layout, Q8Block, Quantised};
use super::simd::{Isa, Kernel, Q8Rows, Simd};
use super::{BLOCK, CACHE_LINE, LANES, Packed, dense, scales};

/// Max number of activation rows of a [`Tile`].
pub const TILE: usize = 16;

/// Prefetch distance for scales, in blocks. Scales lie in short runs, so the hardware prefetcher restarts in every
/// panel.
const PREFETCH_BLOCKS: usize = 16;

/// Prefetch distance for weights, in bytes, if a panel is read in a single pass.
const PREFETCH_BYTES: usize = 5 << 10;

/// The same for one row and 8-bit weights. They stream so fast that the hardware prefetcher does better with little
/// software prefetching.
const PREFETCH_BYTES_ONE_ROW: usize = 1 << 10;

/// One of several passes over a panel, each for some of the rows.
#[derive(Clone, Copy)]
struct Pass {
    index: usize,
    count: usize,
}

impl Pass {
    /// Where prefetching starts, and how many bytes to prefetch per block, for a panel of `blocks` blocks of
    /// `block_bytes` that begins at `data`. A single pass prefetches what it reads a little later; each of several
    /// passes prefetches an equal share of the next panel. Otherwise reading memory and multiplying would take turns.
    #[inline(always)]
    fn prefetch(
        self,
        data: *const u8,
        distance: usize,
        blocks: usize,
        block_bytes: usize,
    ) -> (*const u8, usize) {
        if self.count == 1 {
            return (data.wrapping_add(distance), block_bytes);
        }
        let share = block_bytes / self.count;
        (
            data.wrapping_add(blocks * block_bytes + self.index * blocks * share),
            share,
        )
    }
}

/// `[row][lane]` results.
pub type Tile = [[f32; LANES]; TILE];

/// `out[i][lane] = weights[16 * panel + lane] · acts[first + i]` for `i` in `0..rows`, `rows` at most [`TILE`].
///
/// # Safety
/// `acts` holds those rows, quantised or as f32 as the layout of the weights requires, and no thread writes them during
/// the call.
pub unsafe fn tile(
    isa: Isa,
    weights: &Packed,
    panel: usize,
    acts: &ActivationsView,
    first: usize,
    rows: usize,
    out: &mut Tile,
) {
    assert!(rows <= TILE && weights.cols == acts.cols);
    // SAFETY: the caller guarantees the activations; the columns agree and `out` has room for the rows, as asserted.
    unsafe {
        isa.run(Matmul {
            weights,
            panel,
            acts,
            first,
            rows,
            out,
        })
    }
}

struct Matmul<'a> {
    weights: &'a Packed,
    panel: usize,
    acts: &'a ActivationsView,
    first: usize,
    rows: usize,
    out: &'a mut Tile,
}

impl Kernel for Matmul<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let max = S::max_rows(self.weights.layout);
        let (mut done, mut pass) = (
            0,
            Pass {
                index: 0,
                count: self.rows.div_ceil(max),
            },
        );
        while done < self.rows {
            let (first, out) = (self.first + done, &mut self.out[done..]);
            // SAFETY: `tile` and its caller guarantee the rows; each arm takes no more than are left.
            done += unsafe {
                match (self.rows - done).min(max) {
                    8.. => rows::<S, 8>(self.weights, self.panel, self.acts, first, pass, out),
                    4.. => rows::<S, 4>(self.weights, self.panel, self.acts, first, pass, out),
                    2.. => rows::<S, 2>(self.weights, self.panel, self.acts, first, pass, out),
                    _ => rows::<S, 1>(self.weights, self.panel, self.acts, first, pass, out),
                }
            };
            pass.index += 1;
        }
    }
}

/// The product with `M` rows; returns `M`.
///
/// # Safety
/// The CPU supports `S`, and `acts` holds `M` rows from `first` that no thread writes.
#[inline(always)]
unsafe fn rows<S: Simd, const M: usize>(
    w: &Packed,
    panel: usize,
    acts: &ActivationsView,
    first: usize,
    pass: Pass,
    out: &mut [[f32; LANES]],
) -> usize {
    // SAFETY: the conditions are the same, and each arm names the type of the weights' layout.
    unsafe {
        match w.layout {
            Layout::F32 => dense_tile::<S, M, dense::F32>(w, panel, acts, first, out),
            Layout::F16 => dense_tile::<S, M, dense::F16>(w, panel, acts, first, out),
            Layout::Bf16 => dense_tile::<S, M, dense::Bf16>(w, panel, acts, first, out),
            Layout::Q8_0 => quantised::<S, M, layout::Q8_0>(w, panel, acts, first, pass, out),
            Layout::Q5_0 => quantised::<S, M, layout::Q5_0>(w, panel, acts, first, pass, out),
            Layout::Q5_1 => quantised::<S, M, layout::Q5_1>(w, panel, acts, first, pass, out),
            Layout::Q5K => quantised::<S, M, layout::Q5K>(w, panel, acts, first, pass, out),
            Layout::Q6K => quantised::<S, M, layout::Q6K>(w, panel, acts, first, pass, out),
            Layout::Q4_0 => quantised::<S, M, layout::Q4_0>(w, panel, acts, first, pass, out),
            Layout::Q4_1 => quantised::<S, M, layout::Q4_1>(w, panel, acts, first, pass, out),
            Layout::Q4K => quantised::<S, M, layout::Q4K>(w, panel, acts, first, pass, out),
        }
    }
    M
}

/// The product with `M` rows for weights of layout `W`.
///
/// # Safety
/// As [`rows`], and `W` is the type of the layout of `w`.
#[inline(always)]
unsafe fn quantised<S: Simd, const M: usize, W: Quantised>(
    w: &Packed,
    panel: usize,
    acts: &ActivationsView,
    first: usize,
    pass: Pass,
    out: &mut [[f32; LANES]],
) {
    let (blocks, block_bytes) = (w.cols / BLOCK, w.layout.block_bytes());
    // SAFETY: the caller guarantees rows and layout. Panels are whole, and `data`, the scales and `acts` advance block by
    // block to the end of a row.
    unsafe {
        let bytes = acts.bytes.slice(first * acts.cols, M * acts.cols).as_ptr();
        let act_blocks: *const Q8Block = acts.blocks.slice(first * blocks, M * blocks).as_ptr();
        let mut data = w.panel(panel);
        let distance = if M == 1 && W::BITS == 8 {
            PREFETCH_BYTES_ONE_ROW
        } else {
            PREFETCH_BYTES
        };
        let (mut ahead, share) = pass.prefetch(data, distance, blocks, block_bytes);
        let all_scales = w.scales.panel(panel);
        let all_mins = if W::HAS_MINS {
            w.mins.panel(panel)
        } else {
            all_scales
        };
        let mut sums = [S::splat(0.0); M];
        for block in 0..blocks {
            for line in 0..share.div_ceil(CACHE_LINE) {
                S::prefetch(ahead.wrapping_add(line * CACHE_LINE));
            }
            ahead = ahead.wrapping_add(share);
            scales::prefetch::<S, W>(all_scales, block + PREFETCH_BLOCKS);
            if W::HAS_MINS {
                scales::prefetch::<S, W>(all_mins, block + PREFETCH_BLOCKS);
            }
            let scale = scales::load::<S, W>(all_scales, block, 0);
            let rows = Q8Rows {
                x: bytes.add(block * BLOCK),
                stride: acts.cols,
                block: act_blocks.add(block),
                block_stride: blocks,
            };
            S::accumulate::<M, W, 0>(data, scale, rows, &mut sums);
            if W::SUB_BLOCKS == 2 {
                let scale = scales::load::<S, W>(all_scales, block, 1);
                let rows = Q8Rows {
                    x: rows.x.add(BLOCK / 2),
                    ..rows
                };
                S::accumulate::<M, W, 1>(data, scale, rows, &mut sums);
            }
            if W::HAS_MINS {
                let min = scales::load::<S, W>(all_mins, block, 0);
                for row in 0..M {
                    sums[row] = S::fma(min, S::splat((*rows.block(row)).sum), sums[row]);
                }
            }
            data = data.add(block_bytes);
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            S::store(out.as_mut_ptr(), sum);
        }
    }
}
