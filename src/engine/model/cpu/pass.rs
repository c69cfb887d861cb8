//! One pass of rows through layers.

use super::Layer;
use super::cache::Pages;
use crate::engine::config::LlamaConfig;
use crate::engine::kernels::{
    ActsView, BLOCK, Crew, LANES, Level, PAGE, Packed, Queries, Shared, TILE, Tile, copy, rms_norm,
    rotate, swiglu, tile, to_f16,
};
use std::ops::Range;

const _: () = assert!(BLOCK == 2 * LANES);

/// A row of a pass.
pub struct PassRow {
    /// Index of its state.
    pub state: usize,
    /// Where its keys and values go.
    pub slot: usize,
    pub position: usize,
    /// Where [`Pass::tails`] lists the branch of a tree that leads to it, itself included; empty in a chain.
    pub tail: Range<usize>,
}

/// Rows that attention takes together: consecutive ones of a chain, or one of a tree.
#[derive(Clone, Copy)]
pub struct Block {
    pub row: usize,
    pub rows: usize,
}

impl Block {
    /// Cuts the rows of a pass, which reach up to `positions`, into blocks.
    pub fn cut(
        rows: &[PassRow],
        config: &LlamaConfig,
        positions: usize,
        threads: usize,
        blocks: &mut Vec<Self>,
    ) {
        let parts = config.num_kv_heads * positions.div_ceil(PAGE);
        let max = Queries::rows(
            rows.len(),
            config.num_heads / config.num_kv_heads,
            parts,
            threads,
        );
        blocks.clear();
        for (i, row) in rows.iter().enumerate() {
            let follows = |block: &Block| {
                let before = &rows[i - 1];
                block.rows < max
                    && before.slot + 1 == row.slot
                    && before.tail.is_empty()
                    && row.tail.is_empty()
            };
            match blocks.last_mut() {
                Some(block) if follows(block) => block.rows += 1,
                _ => blocks.push(Self { row: i, rows: 1 }),
            }
        }
    }
}

/// One pass of rows through layers: what the members of the crew share.
pub struct Pass<'a> {
    pub config: &'a LlamaConfig,
    pub level: Level,
    pub rows: &'a [PassRow],
    /// cos and sin of each row, `[row][head_dim / 2][2]`.
    pub rotations: &'a [f32],
    pub blocks: &'a [Block],
    /// Slots of branches.
    pub tails: &'a [u32],
    /// Positions before this one lie in the slots of their numbers.
    pub kept: usize,
    /// The residual stream, `[state, hidden]`.
    pub hidden: Shared<f32>,
    pub input: ActsView,
    pub attended: ActsView,
    pub inner: ActsView,
    /// `[row, heads * head_dim]`
    pub q: Shared<f32>,
    /// [`SCORES`](crate::engine::kernels::SCORES) elements for each member.
    pub scores: Shared<f32>,
    /// What pages come to, `slots` times `slot_size` elements: for each member, or for each item of attention where those
    /// are fewer than slots.
    pub sums: Shared<f32>,
    pub slots: usize,
    pub slot_size: usize,
    pub cache: &'a Pages,
}

impl Pass<'_> {
    pub fn n(&self) -> usize {
        self.rows.len()
    }

    /// Elements `from..from + len` of a row of the residual stream.
    ///
    /// # Safety
    /// The caller guarantees that no other member of the crew uses them meanwhile.
    #[expect(clippy::mut_from_ref, reason = "members of the crew share the pass")]
    unsafe fn state(&self, row: usize, from: usize, len: usize) -> &mut [f32] {
        let start = self.rows[row].state * self.input.cols + from;
        // SAFETY: rows have states, and the caller guarantees exclusive use.
        unsafe { self.hidden.slice(start, len) }
    }

    /// One layer over all rows. Each phase ends with the whole crew done.
    ///
    /// # Safety
    /// The caller guarantees that all members of the crew run the same layers in the same order, and that the buffers
    /// outlive the pass.
    pub unsafe fn layer(&self, crew: &Crew, index: usize, layer: &Layer) {
        // SAFETY: the members write rows and columns of their own, and read what earlier phases wrote.
        unsafe {
            let [q, k, v] = &layer.qkv;
            self.norm(crew, &layer.attn_norm, &[q, k, v]);
            self.project(crew, index, &[q, k, v]);
            self.attention(crew, index, &layer.attn_output);
            self.add(crew, &layer.attn_output, &self.attended);
            self.norm(crew, &layer.ffn_norm, &[&layer.gate, &layer.up]);
            self.gate_up(crew, layer);
            self.add(crew, &layer.down, &self.inner);
        }
    }

    /// Normed rows of the residual stream, in the form that `weights` want.
    unsafe fn norm(&self, crew: &Crew, norm: &[f32], weights: &[&Packed]) {
        let (level, cols) = (self.level, self.input.cols);
        let eps = self.config.rms_norm_eps as f32;
        crew.share(self.n(), 1, |rows| {
            for row in rows {
                // SAFETY: rows are shared out.
                unsafe {
                    rms_norm(
                        level,
                        self.state(row, 0, cols),
                        norm,
                        eps,
                        self.input.row(row),
                    );
                    quantise_for(weights, level, &self.input, row);
                }
            }
        });
    }

    /// q, k and v; q and k rotated, k and v into the cache.
    unsafe fn project(&self, crew: &Crew, layer: usize, weights: &[&Packed]) {
        let panels = weights.iter().map(|w| w.panels()).sum();
        let done = |matrix: usize, panel: usize, first: usize, tile: &mut [[f32; LANES]]| {
            let column = panel * LANES;
            let lanes = LANES.min(weights[matrix].rows - column);
            // SAFETY: panels are shared out, and with them columns and elements of heads.
            unsafe { self.place(layer, matrix, first, column, tile, lanes) };
        };
        // SAFETY: the input was written in the phase before.
        unsafe {
            multiply(
                crew,
                self.level,
                weights,
                panels,
                &self.input,
                self.n(),
                done,
            )
        };
    }

    /// Puts columns `column..column + lanes` of q (`matrix` 0), k (1) or v (2) where they belong, a head's share at a
    /// time.
    unsafe fn place(
        &self,
        layer: usize,
        matrix: usize,
        first: usize,
        column: usize,
        tile: &mut [[f32; LANES]],
        lanes: usize,
    ) {
        let (level, dim) = (self.level, self.config.head_dim);
        let mut from = 0;
        while from < lanes {
            let (head, d) = ((column + from) / dim, (column + from) % dim);
            let width = (dim - d).min(lanes - from);
            if matrix < 2 {
                let at = first * dim + d;
                if width == LANES {
                    rotate(level, tile, &self.rotations[at..], dim);
                } else {
                    rotate_part(tile, from..from + width, &self.rotations[at..], dim);
                }
            }
            // SAFETY: the caller's.
            unsafe { self.write(layer, matrix, first, (head, d), tile, from..from + width) };
            from += width;
        }
    }

    /// Writes lanes `part` of a tile as elements `d..` of a head.
    unsafe fn write(
        &self,
        layer: usize,
        matrix: usize,
        first: usize,
        (head, d): (usize, usize),
        tile: &[[f32; LANES]],
        part: Range<usize>,
    ) {
        let (dim, width) = (self.config.head_dim, self.attended.cols);
        let mut halves = [[0; LANES]; TILE];
        if matrix > 0 {
            to_f16(self.level, tile, &mut halves);
        }
        for (i, values) in tile.iter().enumerate() {
            let (row, half) = (first + i, &halves[i][part.clone()]);
            // SAFETY: the caller's.
            unsafe {
                match matrix {
                    0 => copy(
                        &values[part.clone()],
                        self.q.slice(row * width + head * dim + d, part.len()),
                    ),
                    1 => self
                        .cache
                        .write_key(layer, head, self.rows[row].slot, d, half),
                    _ => self
                        .cache
                        .write_value(layer, head, self.rows[row].slot, d, half),
                }
            }
        }
    }

    /// Adds a product to the residual stream.
    unsafe fn add(&self, crew: &Crew, weights: &Packed, acts: &ActsView) {
        let (cols, panels) = (self.input.cols, weights.panels());
        let done = |_: usize, panel: usize, first: usize, tile: &mut [[f32; LANES]]| {
            let lanes = LANES.min(cols - panel * LANES);
            for (i, values) in tile.iter().enumerate() {
                // SAFETY: panels are shared out, and with them columns.
                let hidden = unsafe { self.state(first + i, panel * LANES, lanes) };
                match <&mut [f32; LANES]>::try_from(&mut *hidden) {
                    // Of known length, so that vectors do it.
                    Ok(hidden) => (0..LANES).for_each(|lane| hidden[lane] += values[lane]),
                    Err(_) => hidden.iter_mut().zip(values).for_each(|(h, x)| *h += x),
                }
            }
        };
        // SAFETY: the activations were written in the phase before.
        unsafe { multiply(crew, self.level, &[weights], panels, acts, self.n(), done) };
    }

    /// silu(gate) × up, from one reading of the input.
    unsafe fn gate_up(&self, crew: &Crew, layer: &Layer) {
        let (level, cols) = (self.level, self.inner.cols);
        let mut up: Tile = [[0.0; LANES]; TILE];
        let mut gate: Tile = [[0.0; LANES]; TILE];
        // Two panels are a block of columns, which can be quantised once both are there.
        crew.share(layer.gate.panels(), 2, |panels| {
            for panel in panels {
                let lanes = LANES.min(cols - panel * LANES);
                for first in (0..self.n()).step_by(TILE) {
                    let rows = TILE.min(self.n() - first);
                    // SAFETY: panels are shared out, and the input was written in the phase before.
                    unsafe {
                        tile(
                            level,
                            &layer.gate,
                            panel,
                            &self.input,
                            first,
                            rows,
                            &mut gate,
                        );
                        tile(level, &layer.up, panel, &self.input, first, rows, &mut up);
                        let at = first * cols + panel * LANES;
                        swiglu(
                            level,
                            &gate[..rows],
                            &up[..rows],
                            lanes,
                            self.inner.dense,
                            (at, cols),
                        );
                        if panel % 2 == 1 && !layer.down.is_dense() {
                            for row in first..first + rows {
                                self.inner.quantise(
                                    level,
                                    row,
                                    (panel - 1) * LANES,
                                    (panel + 1) * LANES,
                                );
                            }
                        }
                    }
                }
            }
        });
    }
}

/// Quantises a row of activations if one of the matrices wants that.
///
/// # Safety
/// No one else uses that row meanwhile.
pub unsafe fn quantise_for(weights: &[&Packed], level: Level, acts: &ActsView, row: usize) {
    if weights.iter().any(|w| !w.is_dense()) {
        // SAFETY: the caller's.
        unsafe { acts.quantise(level, row, 0, acts.cols) };
    }
}

/// Multiplies `n` rows of activations with the first `panels` panels of the matrices, counted through, and calls
/// `done(matrix, panel, first row, [row][lane])` with every tile.
///
/// # Safety
/// No one writes the activations meanwhile.
pub unsafe fn multiply(
    crew: &Crew,
    level: Level,
    weights: &[&Packed],
    panels: usize,
    acts: &ActsView,
    n: usize,
    mut done: impl FnMut(usize, usize, usize, &mut [[f32; LANES]]),
) {
    let mut out: Tile = [[0.0; LANES]; TILE];
    crew.share(panels, 1, |panels| {
        for mut panel in panels {
            let mut matrix = 0;
            while panel >= weights[matrix].panels() {
                panel -= weights[matrix].panels();
                matrix += 1;
            }
            for first in (0..n).step_by(TILE) {
                let rows = TILE.min(n - first);
                // SAFETY: the caller's.
                unsafe { tile(level, weights[matrix], panel, acts, first, rows, &mut out) };
                done(matrix, panel, first, &mut out[..rows]);
            }
        }
    });
}

/// As [`rotate`] for some of the lanes, where a head does not fill a panel.
fn rotate_part(tile: &mut [[f32; LANES]], part: Range<usize>, rotations: &[f32], stride: usize) {
    for (i, row) in tile.iter_mut().enumerate() {
        for (pair, rotation) in row[part.clone()]
            .chunks_exact_mut(2)
            .zip(rotations[i * stride..].chunks_exact(2))
        {
            let [a, b, cos, sin] = [pair[0], pair[1], rotation[0], rotation[1]];
            (pair[0], pair[1]) = (a * cos - b * sin, a * sin + b * cos);
        }
    }
}
