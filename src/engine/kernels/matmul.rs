//! Tiles of a matrix product: 16 outputs of several rows of activations, for which the weights are read once.

use super::acts::{ActBlock, ActsView};
use super::pack::Form;
use super::{BLOCK, LANES, Level, Packed, dense::dense_tile, level::Kernel, simd::Simd};

/// Most rows of activations that a panel is multiplied with at once.
pub const TILE: usize = 16;

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
    unsafe { level.run(Matmul { weights, panel, acts, first, rows, out }) }
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
        let mut done = 0;
        while done < self.rows {
            let (first, out) = (self.first + done, &mut self.out[done..]);
            // SAFETY: the caller's.
            done += unsafe {
                match self.rows - done {
                    16.. => part::<S, 16>(self.weights, self.panel, self.acts, first, out),
                    8.. => part::<S, 8>(self.weights, self.panel, self.acts, first, out),
                    4.. => part::<S, 4>(self.weights, self.panel, self.acts, first, out),
                    2.. => part::<S, 2>(self.weights, self.panel, self.acts, first, out),
                    _ => part::<S, 1>(self.weights, self.panel, self.acts, first, out),
                }
            };
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
    out: &mut [[f32; LANES]],
) -> usize {
    // SAFETY: the caller's.
    unsafe {
        match w.form {
            Form::F32 => dense_tile::<S, M, 0>(w, panel, acts, first, out),
            Form::F16 => dense_tile::<S, M, 1>(w, panel, acts, first, out),
            Form::Bf16 => dense_tile::<S, M, 2>(w, panel, acts, first, out),
            Form::Signed => quantised::<S, M, SIGNED>(w, panel, acts, first, out),
            Form::Small16 => quantised::<S, M, SMALL16>(w, panel, acts, first, out),
            Form::SmallMin => quantised::<S, M, SMALL_MIN>(w, panel, acts, first, out),
            Form::SmallHalves => quantised::<S, M, SMALL_HALVES>(w, panel, acts, first, out),
            Form::Nibbles8 => quantised::<S, M, NIBBLES8>(w, panel, acts, first, out),
            Form::NibblesMin => quantised::<S, M, NIBBLES_MIN>(w, panel, acts, first, out),
        }
    }
    M
}

const SIGNED: u8 = 0;
const SMALL16: u8 = 1;
const SMALL_MIN: u8 = 2;
const SMALL_HALVES: u8 = 3;
const NIBBLES8: u8 = 4;
const NIBBLES_MIN: u8 = 5;

#[inline(always)]
unsafe fn quantised<S: Simd, const M: usize, const FORM: u8>(
    w: &Packed,
    panel: usize,
    acts: &ActsView,
    first: usize,
    out: &mut [[f32; LANES]],
) {
    let units = w.cols / BLOCK;
    let halves = if FORM == SMALL_HALVES { 2 } else { 1 };
    // SAFETY: panels and rows are whole, which `tile` and its caller saw to.
    unsafe {
        let bytes = acts.bytes.slice(first * acts.cols, M * acts.cols).as_ptr();
        let blocks: *const ActBlock = acts.blocks.slice(first * units, M * units).as_ptr();
        let mut data = w.panel(panel);
        let mut scales = w.scales[panel * units * LANES * halves..].as_ptr();
        let mut mins = if w.mins.is_empty() { scales } else { w.mins[panel * units * LANES..].as_ptr() };
        let mut sums = [S::splat(0.0); M];
        for unit in 0..units {
            let weights = match FORM {
                SIGNED => S::load_signed(data),
                NIBBLES8 | NIBBLES_MIN => S::load_nibbles(data),
                _ => S::load_small(data),
            };
            let scale = S::load(scales);
            for row in 0..M {
                let x = bytes.add(row * acts.cols + unit * BLOCK);
                let act = &*blocks.add(row * units + unit);
                let step = S::splat(act.scale);
                let dot = match FORM {
                    SIGNED => S::dot_signed(&weights, x, if S::SIGNED_BIAS == 128 { act.neg128 } else { 0 }),
                    SMALL16 => S::dot_small(&weights, x, act.neg16),
                    SMALL_MIN => S::dot_small(&weights, x, 0),
                    NIBBLES8 => S::dot_nibbles(&weights, x, act.neg8),
                    NIBBLES_MIN => S::dot_nibbles(&weights, x, 0),
                    _ => {
                        let [low, high] = S::dot_halves(&weights, x, act.neg32);
                        sums[row] = S::fma(S::to_f(low), S::mul(scale, step), sums[row]);
                        let scale = S::load(scales.add(LANES));
                        sums[row] = S::fma(S::to_f(high), S::mul(scale, step), sums[row]);
                        continue;
                    }
                };
                sums[row] = S::fma(S::to_f(dot), S::mul(scale, step), sums[row]);
                if FORM == SMALL_MIN || FORM == NIBBLES_MIN {
                    sums[row] = S::fma(S::load(mins), S::splat(act.sum), sums[row]);
                }
            }
            data = data.add(w.form.unit());
            scales = scales.add(LANES * halves);
            mins = mins.wrapping_add(LANES);
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            S::store(out.as_mut_ptr(), sum);
        }
    }
}
