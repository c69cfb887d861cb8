//! Tiles of a matrix product: 16 outputs of several rows of activations, for which the weights are read once.

use super::acts::{ActBlock, ActsView};
use super::form::Form;
use super::{
    BLOCK, LANES, LINE, Level, Packed, dense::dense_tile, level::Kernel, scales, simd, simd::Rows,
    simd::Simd,
};

/// Most rows of activations that a panel is multiplied with at once.
pub const TILE: usize = 16;

/// Blocks by which scales are asked for before they are needed: they come in short runs, for which the machine's own
/// prefetching starts anew with every panel.
const AHEAD: usize = 16;

/// Bytes by which weights are asked for before they are needed, where a panel is passed over once.
const DISTANCE: usize = 5 << 10;

/// The same for one row and weights in bytes: those pass by so fast that the machine's own prefetching does better, if it
/// is not disturbed.
const NEAR: usize = 1 << 10;

/// One of the passes over a panel, each of which serves some of the rows. Meanwhile weights are asked for: else reading
/// memory and multiplying would take turns.
#[derive(Clone, Copy)]
struct Pass {
    index: usize,
    count: usize,
}

impl Pass {
    /// Where what is asked for begins, and how much of it goes with each block, of `units` blocks of `size` bytes that
    /// begin at `data`: what comes a little later, or of the next panel an even share in each of several passes.
    #[inline(always)]
    fn share(
        self,
        data: *const u8,
        distance: usize,
        units: usize,
        size: usize,
    ) -> (*const u8, usize) {
        if self.count == 1 {
            return (data.wrapping_add(distance), size);
        }
        let share = size / self.count;
        (
            data.wrapping_add(units * size + self.index * units * share),
            share,
        )
    }
}

/// `[row][lane]` results.
pub type Tile = [[f32; LANES]; TILE];

/// `out[i][lane] = weights[16 * panel + lane] · acts[first + i]` for `i` in `0..rows`, `rows` at most [`TILE`].
///
/// # Safety
/// `acts` holds those rows, quantised or as f32 as the weights' form demands, and no one writes them meanwhile.
pub unsafe fn tile(
    level: Level,
    weights: &Packed,
    panel: usize,
    acts: &ActsView,
    first: usize,
    rows: usize,
    out: &mut Tile,
) {
    assert!(rows <= TILE && weights.cols == acts.cols);
    // SAFETY: the caller's.
    unsafe {
        level.run(Matmul {
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
    acts: &'a ActsView,
    first: usize,
    rows: usize,
    out: &'a mut Tile,
}

impl Kernel for Matmul<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let most = S::rows(self.weights.form);
        let (mut done, mut pass) = (
            0,
            Pass {
                index: 0,
                count: self.rows.div_ceil(most),
            },
        );
        while done < self.rows {
            let (first, out) = (self.first + done, &mut self.out[done..]);
            // SAFETY: the caller's.
            done += unsafe {
                match (self.rows - done).min(most) {
                    8.. => part::<S, 8>(self.weights, self.panel, self.acts, first, pass, out),
                    4.. => part::<S, 4>(self.weights, self.panel, self.acts, first, pass, out),
                    2.. => part::<S, 2>(self.weights, self.panel, self.acts, first, pass, out),
                    _ => part::<S, 1>(self.weights, self.panel, self.acts, first, pass, out),
                }
            };
            pass.index += 1;
        }
    }
}

/// The product with `M` rows; returns `M`.
#[inline(always)]
unsafe fn part<S: Simd, const M: usize>(
    w: &Packed,
    panel: usize,
    acts: &ActsView,
    first: usize,
    pass: Pass,
    out: &mut [[f32; LANES]],
) -> usize {
    // SAFETY: the caller's.
    unsafe {
        match w.form {
            Form::F32 => dense_tile::<S, M, 0>(w, panel, acts, first, out),
            Form::F16 => dense_tile::<S, M, 1>(w, panel, acts, first, out),
            Form::Bf16 => dense_tile::<S, M, 2>(w, panel, acts, first, out),
            Form::Signed => quantised::<S, M, SIGNED, 0>(w, panel, acts, first, pass, out),
            Form::Fives16 => quantised::<S, M, FIVES16, 0>(w, panel, acts, first, pass, out),
            Form::FivesMin => quantised::<S, M, FIVES_MIN, 0>(w, panel, acts, first, pass, out),
            Form::FivesMinSuper => {
                quantised::<S, M, FIVES_MIN_SUPER, 1>(w, panel, acts, first, pass, out)
            }
            Form::SixesHalves => {
                quantised::<S, M, SIXES_HALVES, 2>(w, panel, acts, first, pass, out)
            }
            Form::Nibbles8 => quantised::<S, M, NIBBLES8, 0>(w, panel, acts, first, pass, out),
            Form::NibblesMin => quantised::<S, M, NIBBLES_MIN, 0>(w, panel, acts, first, pass, out),
            Form::NibblesMinSuper => {
                quantised::<S, M, NIBBLES_MIN_SUPER, 1>(w, panel, acts, first, pass, out)
            }
        }
    }
    M
}

const SIGNED: u8 = 0;
const FIVES16: u8 = 1;
const FIVES_MIN: u8 = 2;
const FIVES_MIN_SUPER: u8 = 3;
const SIXES_HALVES: u8 = 4;
const NIBBLES8: u8 = 5;
const NIBBLES_MIN: u8 = 6;
const NIBBLES_MIN_SUPER: u8 = 7;

#[inline(always)]
unsafe fn quantised<S: Simd, const M: usize, const FORM: u8, const PARTS: usize>(
    w: &Packed,
    panel: usize,
    acts: &ActsView,
    first: usize,
    pass: Pass,
    out: &mut [[f32; LANES]],
) {
    let (units, size) = (w.cols / BLOCK, w.form.unit());
    let has_mins = matches!(
        FORM,
        FIVES_MIN | FIVES_MIN_SUPER | NIBBLES_MIN | NIBBLES_MIN_SUPER
    );
    // SAFETY: panels and rows are whole, which `tile` and its caller saw to.
    unsafe {
        let bytes = acts.bytes.slice(first * acts.cols, M * acts.cols).as_ptr();
        let blocks: *const ActBlock = acts.blocks.slice(first * units, M * units).as_ptr();
        let mut data = w.panel(panel);
        let distance = if M == 1 && FORM == SIGNED {
            NEAR
        } else {
            DISTANCE
        };
        let (mut ahead, share) = pass.share(data, distance, units, size);
        let all_scales = w.scales.panel(panel);
        let all_mins = if has_mins {
            w.mins.panel(panel)
        } else {
            all_scales
        };
        let mut sums = [S::splat(0.0); M];
        for unit in 0..units {
            for line in 0..share.div_ceil(LINE) {
                S::prefetch(ahead.wrapping_add(line * LINE));
            }
            ahead = ahead.wrapping_add(share);
            scales::prefetch::<S, PARTS>(all_scales, unit + AHEAD);
            if has_mins {
                scales::prefetch::<S, PARTS>(all_mins, unit + AHEAD);
            }
            let scale = scales::load::<S, PARTS>(all_scales, unit, 0);
            let rows = Rows {
                x: bytes.add(unit * BLOCK),
                stride: acts.cols,
                block: blocks.add(unit),
                block_stride: units,
            };
            match FORM {
                SIGNED => S::accumulate::<M, { simd::BYTES }>(data, scale, rows, &mut sums),
                FIVES16 => S::accumulate::<M, { simd::FIVES16 }>(data, scale, rows, &mut sums),
                FIVES_MIN | FIVES_MIN_SUPER => {
                    S::accumulate::<M, { simd::FIVES }>(data, scale, rows, &mut sums)
                }
                NIBBLES8 => S::accumulate::<M, { simd::NIBBLES8 }>(data, scale, rows, &mut sums),
                NIBBLES_MIN | NIBBLES_MIN_SUPER => {
                    S::accumulate::<M, { simd::NIBBLES }>(data, scale, rows, &mut sums)
                }
                _ => {
                    S::accumulate::<M, { simd::SIXES_LOW }>(data, scale, rows, &mut sums);
                    let (scale, high) = (
                        scales::load::<S, PARTS>(all_scales, unit, 1),
                        Rows {
                            x: rows.x.add(16),
                            ..rows
                        },
                    );
                    S::accumulate::<M, { simd::SIXES_HIGH }>(data, scale, high, &mut sums);
                }
            }
            if has_mins {
                let min = scales::load::<S, PARTS>(all_mins, unit, 0);
                for row in 0..M {
                    sums[row] = S::fma(min, S::splat((*rows.block(row)).sum), sums[row]);
                }
            }
            data = data.add(size);
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            S::store(out.as_mut_ptr(), sum);
        }
    }
}
