//! One pass of rows through layers.

use super::Layer;
use super::cache::Pages;
use super::layout::Layout;
use crate::engine::config::LlamaConfig;
use crate::engine::kernels::{
    ActivationsView, BLOCK, Isa, LANES, Packed, Shared, TILE, Tile, Worker, copy, rms_norm, rotate,
    swiglu, tile, to_f16,
};
use std::ops::Range;

const _: () = assert!(BLOCK == 2 * LANES);

/// One pass of rows through layers: the data shared by the workers.
pub struct ForwardPass<'a> {
    pub config: &'a LlamaConfig,
    pub isa: Isa,
    pub layout: &'a Layout,
    /// The residual stream, `[state, hidden]`.
    pub hidden: Shared<f32>,
    /// Normalised input of attention or of the feed-forward network, `[row, hidden]`.
    pub input: ActivationsView,
    /// Output of attention, `[row, heads * head_dim]`.
    pub attended: ActivationsView,
    /// Hidden state of the feed-forward network, `[row, intermediate]`.
    pub inner: ActivationsView,
    /// Queries, `[row, heads * head_dim]`.
    pub q: Shared<f32>,
    /// [`SCORES`](crate::engine::kernels::SCORES) elements for each worker.
    pub scores: Shared<f32>,
    /// Partial results of attention, `[partial_slots][partial_slot_len]`: a slot for each worker, or for each item of
    /// attention if there are fewer items than slots.
    pub partials: Shared<f32>,
    pub partial_slots: usize,
    pub partial_slot_len: usize,
    pub cache: &'a Pages,
}

impl ForwardPass<'_> {
    /// Number of rows.
    pub fn n(&self) -> usize {
        self.layout.rows.len()
    }

    /// Elements `from..from + len` of a row of the residual stream.
    ///
    /// # Safety
    /// No other worker accesses them while the result is in use.
    #[expect(clippy::mut_from_ref, reason = "the workers share the pass")]
    unsafe fn state(&self, row: usize, from: usize, len: usize) -> &mut [f32] {
        let start = self.layout.rows[row].state * self.input.cols + from;
        // SAFETY: the range is checked by `slice`, and the caller guarantees exclusive access.
        unsafe { self.hidden.slice(start, len) }
    }

    /// Runs one layer over all rows, in phases separated by barriers.
    ///
    /// # Safety
    /// All workers run the same layers in the same order, and the buffers outlive the pass.
    pub unsafe fn layer(&self, worker: &Worker, index: usize, layer: &Layer) {
        // SAFETY: the caller guarantees that all workers are in the same phase. In a phase, workers write disjoint rows
        // or columns and read only what earlier phases wrote.
        unsafe {
            self.keys_and_values(worker, index, layer);
            self.attention(worker, index, &layer.attn_output);
            self.add(worker, &layer.attn_output, &self.attended);
            self.norm(worker, &layer.ffn_norm, &[&layer.gate, &layer.up]);
            self.gate_up(worker, layer);
            self.add(worker, &layer.down, &self.inner);
        }
    }

    /// Runs the first phases of a layer: queries, keys and values of all rows.
    ///
    /// # Safety
    /// As [`Self::layer`].
    pub unsafe fn keys_and_values(&self, worker: &Worker, index: usize, layer: &Layer) {
        let [q, k, v] = &layer.qkv;
        // SAFETY: as in `layer`.
        unsafe {
            self.norm(worker, &layer.attn_norm, &[q, k, v]);
            self.project(worker, index, &[q, k, v]);
        }
    }

    /// Normalises the rows of the residual stream, and quantises them if `weights` require that.
    ///
    /// # Safety
    /// As [`Self::layer`].
    unsafe fn norm(&self, worker: &Worker, norm: &[f32], weights: &[&Packed]) {
        let (isa, cols) = (self.isa, self.input.cols);
        let eps = self.config.rms_norm_eps as f32;
        worker.parallel_for(self.n(), 1, |rows| {
            for row in rows {
                // SAFETY: one worker writes each row in this phase.
                unsafe {
                    rms_norm(
                        isa,
                        self.state(row, 0, cols),
                        norm,
                        eps,
                        self.input.row(row),
                    );
                    quantise_for(weights, isa, &self.input, row);
                }
            }
        });
    }

    /// Computes q, k and v, rotates q and k, and writes k and v to the cache.
    ///
    /// # Safety
    /// As [`Self::layer`], and an earlier phase has written the input.
    unsafe fn project(&self, worker: &Worker, layer: usize, weights: &[&Packed]) {
        let panels = weights.iter().map(|w| w.panels()).sum();
        let done = |matrix: usize, panel: usize, first: usize, tile: &mut [[f32; LANES]]| {
            let column = panel * LANES;
            let lanes = LANES.min(weights[matrix].rows - column);
            // SAFETY: one worker writes each panel, and so each column and element of a head, in this phase.
            unsafe { self.place(layer, matrix, first, column, tile, lanes) };
        };
        // SAFETY: the caller guarantees that the input is complete.
        unsafe {
            multiply(
                worker,
                self.isa,
                weights,
                panels,
                &self.input,
                self.n(),
                done,
            )
        };
    }

    /// Writes columns `column..column + lanes` of q (`matrix` 0), k (1) or v (2), one head at a time, rotating q and k.
    ///
    /// # Safety
    /// No other worker accesses these elements of q and of the cache in this phase.
    unsafe fn place(
        &self,
        layer: usize,
        matrix: usize,
        first: usize,
        column: usize,
        tile: &mut [[f32; LANES]],
        lanes: usize,
    ) {
        let (isa, dim) = (self.isa, self.config.head_dim);
        let mut from = 0;
        while from < lanes {
            let (head, d) = ((column + from) / dim, (column + from) % dim);
            let width = (dim - d).min(lanes - from);
            if matrix < 2 {
                let at = first * dim + d;
                if width == LANES {
                    rotate(isa, tile, &self.layout.rotations[at..], dim);
                } else {
                    rotate_part(tile, from..from + width, &self.layout.rotations[at..], dim);
                }
            }
            // SAFETY: the caller guarantees exclusive access to the elements.
            unsafe { self.write(layer, matrix, first, (head, d), tile, from..from + width) };
            from += width;
        }
    }

    /// Writes lanes `part` of a tile as elements `d..` of a head.
    ///
    /// # Safety
    /// As [`Self::place`].
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
            to_f16(self.isa, tile, &mut halves);
        }
        for (i, values) in tile.iter().enumerate() {
            let (row, half) = (first + i, &halves[i][part.clone()]);
            // SAFETY: the caller guarantees exclusive access to the elements.
            unsafe {
                match matrix {
                    0 => copy(
                        &values[part.clone()],
                        self.q.slice(row * width + head * dim + d, part.len()),
                    ),
                    1 => self
                        .cache
                        .write_key(layer, head, self.layout.rows[row].slot, d, half),
                    _ => self
                        .cache
                        .write_value(layer, head, self.layout.rows[row].slot, d, half),
                }
            }
        }
    }

    /// Adds the product of `weights` and `acts` to the residual stream.
    ///
    /// # Safety
    /// As [`Self::layer`], and an earlier phase has written `acts`.
    unsafe fn add(&self, worker: &Worker, weights: &Packed, acts: &ActivationsView) {
        let (cols, panels) = (self.input.cols, weights.panels());
        let done = |_: usize, panel: usize, first: usize, tile: &mut [[f32; LANES]]| {
            let lanes = LANES.min(cols - panel * LANES);
            for (i, values) in tile.iter().enumerate() {
                // SAFETY: one worker writes each panel, and so each column, in this phase.
                let hidden = unsafe { self.state(first + i, panel * LANES, lanes) };
                match <&mut [f32; LANES]>::try_from(&mut *hidden) {
                    // The compiler vectorises only a constant length.
                    Ok(hidden) => (0..LANES).for_each(|lane| hidden[lane] += values[lane]),
                    Err(_) => hidden.iter_mut().zip(values).for_each(|(h, x)| *h += x),
                }
            }
        };
        // SAFETY: the caller guarantees that the activations are complete.
        unsafe { multiply(worker, self.isa, &[weights], panels, acts, self.n(), done) };
    }

    /// Writes `inner`: silu(gate) × up.
    ///
    /// # Safety
    /// As [`Self::layer`], and an earlier phase has written the input.
    unsafe fn gate_up(&self, worker: &Worker, layer: &Layer) {
        let (isa, cols) = (self.isa, self.inner.cols);
        let mut up: Tile = [[0.0; LANES]; TILE];
        let mut gate: Tile = [[0.0; LANES]; TILE];
        // Two panels make up a block of columns, which can be quantised once both are done.
        worker.parallel_for(layer.gate.panels(), 2, |panels| {
            for panel in panels {
                let lanes = LANES.min(cols - panel * LANES);
                for first in (0..self.n()).step_by(TILE) {
                    let rows = TILE.min(self.n() - first);
                    // SAFETY: one worker writes each pair of panels in this phase, and the caller guarantees that the
                    // input is complete.
                    unsafe {
                        tile(isa, &layer.gate, panel, &self.input, first, rows, &mut gate);
                        tile(isa, &layer.up, panel, &self.input, first, rows, &mut up);
                        let at = first * cols + panel * LANES;
                        swiglu(
                            isa,
                            &gate[..rows],
                            &up[..rows],
                            lanes,
                            self.inner.dense,
                            (at, cols),
                        );
                        if panel % 2 == 1 && !layer.down.is_dense() {
                            for row in first..first + rows {
                                self.inner.quantise(
                                    isa,
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

/// Quantises a row of activations if one of the matrices requires that.
///
/// # Safety
/// As [`ActivationsView::quantise`], for the whole row.
pub unsafe fn quantise_for(weights: &[&Packed], isa: Isa, acts: &ActivationsView, row: usize) {
    if weights.iter().any(|w| !w.is_dense()) {
        // SAFETY: the caller guarantees exclusive access to the row.
        unsafe { acts.quantise(isa, row, 0, acts.cols) };
    }
}

/// Multiplies `n` rows of activations by the first `panels` panels of the matrices, counted one matrix after the other,
/// and calls `done(matrix, panel, first row, [row][lane])` with every tile.
///
/// # Safety
/// An earlier phase has written the activations, and no worker writes them in this one.
pub unsafe fn multiply(
    worker: &Worker,
    isa: Isa,
    weights: &[&Packed],
    panels: usize,
    acts: &ActivationsView,
    n: usize,
    mut done: impl FnMut(usize, usize, usize, &mut [[f32; LANES]]),
) {
    let mut out: Tile = [[0.0; LANES]; TILE];
    worker.parallel_for(panels, 1, |panels| {
        for mut panel in panels {
            let mut matrix = 0;
            while panel >= weights[matrix].panels() {
                panel -= weights[matrix].panels();
                matrix += 1;
            }
            for first in (0..n).step_by(TILE) {
                let rows = TILE.min(n - first);
                // SAFETY: the caller guarantees that the activations are complete and not written.
                unsafe { tile(isa, weights[matrix], panel, acts, first, rows, &mut out) };
                done(matrix, panel, first, &mut out[..rows]);
            }
        }
    });
}

/// As [`rotate`] for some of the lanes, for heads that do not fill a panel.
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
