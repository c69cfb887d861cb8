//! The forward pass on the CPU: every step runs in one parallel region of the team.

use super::{load, rope};
use crate::engine::Result;
use crate::engine::cache::{Pages, PagesView};
use crate::engine::config::LlamaConfig;
use crate::engine::kernels::{
    Acts, ActsView, Arena, Attention, BLOCK, Crew, LANES, Level, Packed, Shared, TILE, Team, Tile, attend,
    read_bandwidth, rms_norm, rotate, swiglu, tile, to_f16,
};
use crate::engine::weights::Checkpoint;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Weights of one layer.
struct Layer {
    attn_norm: Vec<f32>,
    /// q, k and v, which read the same activations.
    qkv: [Packed; 3],
    attn_output: Packed,
    ffn_norm: Vec<f32>,
    gate: Packed,
    up: Packed,
    down: Packed,
}

/// A Llama for the CPU kernels.
pub struct CpuLlama {
    config: LlamaConfig,
    level: Level,
    team: Team,
    frequencies: Vec<f64>,
    embedding: Packed,
    layers: Vec<Layer>,
    output_norm: Vec<f32>,
    /// The LM head where it is not the embedding.
    output: Option<Packed>,
    /// Rows of the LM head in the order of a draft vocabulary.
    draft: Option<Packed>,
    scratch: Mutex<Scratch>,
}

/// Buffers that outlive a step, so that a step allocates nothing.
#[derive(Default)]
struct Scratch {
    /// Normed input of a block of a layer, or of the head.
    input: Acts,
    /// Output of attention.
    attended: Acts,
    /// Hidden state of the feed-forward network.
    inner: Acts,
    q: Vec<f32>,
    /// Of each member of the team.
    scores: Vec<f32>,
}

impl CpuLlama {
    pub fn load(checkpoint: &Checkpoint, level: Level, threads: usize, progress: &mut dyn FnMut(f32)) -> Result<Self> {
        let (config, source) = (&checkpoint.config, &*checkpoint.tensors);
        let (vocab, hidden) = (config.vocab_size, config.hidden_size);
        let steps = config.num_layers as f32 + 1.0;
        let mut arena = Arena::default();
        let embedding = load::matrix(source, "token_embd.weight", vocab, hidden, &mut arena)?;
        let output = match config.tie_word_embeddings {
            true => None,
            false => Some(load::matrix(source, "output.weight", vocab, hidden, &mut arena)?),
        };
        let mut layers = Vec::new();
        for i in 0..config.num_layers {
            progress((i as f32 + 1.0) / steps);
            layers.push(Layer::load(checkpoint, i, &mut arena)?);
        }
        let output_norm = load::vector(source, "output_norm.weight", hidden)?;
        progress(1.0);
        Ok(Self {
            config: config.clone(),
            level,
            team: Team::new(threads),
            frequencies: rope::frequencies(config),
            embedding,
            layers,
            output_norm,
            output,
            draft: None,
            scratch: Mutex::default(),
        })
    }

    pub fn threads(&self) -> usize {
        self.team.threads()
    }

    pub fn level(&self) -> Level {
        self.level
    }

    pub fn read_bandwidth(&self) -> f64 {
        read_bandwidth(&self.team, self.level, 5)
    }

    /// Bytes of the layers and the head.
    pub fn step_bytes(&self) -> u64 {
        let layers = self.layers.iter().flat_map(Layer::matrices);
        layers.chain([self.output.as_ref().unwrap_or(&self.embedding)]).map(Packed::bytes).sum()
    }

    pub fn pages(&self) -> Pages {
        Pages::new(self.config.num_layers, self.config.num_kv_heads, self.config.head_dim)
    }

    /// All matrices, the ones of the layers first.
    pub fn matrices(&self) -> impl Iterator<Item = &Packed> {
        let layers = self.layers.iter().flat_map(Layer::matrices);
        layers.chain([&self.embedding]).chain(&self.output)
    }

    /// Rows of the embedding, `[ids, hidden]`.
    pub fn embed(&self, ids: &[u32]) -> Vec<f32> {
        let width = self.config.hidden_size;
        let mut out = vec![0.0; ids.len() * width];
        for (&id, row) in ids.iter().zip(out.chunks_exact_mut(width)) {
            self.embedding.row(id as usize, row);
        }
        out
    }

    /// Lets a later [`CpuLlama::head`] with `draft` compute these tokens only, in this order.
    pub fn set_draft_order(&mut self, ids: &[u32]) {
        self.draft = Some(self.output.as_ref().unwrap_or(&self.embedding).gather(ids));
    }

    /// Layers `range` over `hidden`, `[n, hidden]`, whose rows stand at `start..start + n`.
    pub fn layers(&self, range: Range<usize>, hidden: &mut [f32], start: usize, pages: &mut Pages) {
        let n = hidden.len() / self.config.hidden_size;
        let (config, group) = (&self.config, self.config.num_heads / self.config.num_kv_heads);
        rope::extend(&mut pages.rotations, &self.frequencies, start + n);
        let rotations = std::mem::take(&mut pages.rotations);
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let Scratch { input, attended, inner, q, scores } = &mut *scratch;
        let score_size = group * (start + n).next_multiple_of(LANES);
        grow(q, n * config.num_heads * config.head_dim);
        grow(scores, self.team.threads() * score_size);
        let step = Step {
            llama: self,
            n,
            start,
            hidden: Shared::new(hidden),
            input: input.view(n, config.hidden_size),
            attended: attended.view(n, config.num_heads * config.head_dim),
            inner: inner.view(n, config.intermediate_size),
            q: Shared::new(q),
            scores: Shared::new(scores),
            score_size,
            cache: pages.view(),
            rotations: &rotations,
        };
        self.team.run(&|crew| {
            for layer in range.clone() {
                // SAFETY: the buffers outlive the step, and its phases are apart.
                unsafe { step.layer(crew, layer) };
            }
        });
        drop(step);
        pages.rotations = rotations;
    }

    /// Final norm and LM head over `hidden`, `[n, hidden]`, into `out`, `[n, width]`; with `draft` over the first
    /// `width` tokens of the draft order, else of the vocabulary.
    pub fn head(&self, hidden: &[f32], draft: bool, width: usize, out: &mut [f32]) {
        let cols = self.config.hidden_size;
        let n = hidden.len() / cols;
        let full = self.output.as_ref().unwrap_or(&self.embedding);
        let weights = if draft { self.draft.as_ref().unwrap_or(full) } else { full };
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let (acts, out) = (scratch.input.view(n, cols), Shared::new(out));
        self.team.run(&|crew| {
            // SAFETY: members write rows, then columns, of their own.
            unsafe {
                crew.share(n, 1, |rows| {
                    for row in rows {
                        let x = &hidden[row * cols..(row + 1) * cols];
                        rms_norm(self.level, x, &self.output_norm, self.config.rms_norm_eps as f32, acts.row(row));
                        quantise_for(&[weights], self.level, &acts, row);
                    }
                });
                multiply(crew, self.level, &[weights], width.div_ceil(LANES), &acts, n, |_, panel, first, tile| {
                    let lanes = LANES.min(width - panel * LANES);
                    for (i, values) in tile.iter().enumerate() {
                        out.slice((first + i) * width + panel * LANES, lanes).copy_from_slice(&values[..lanes]);
                    }
                });
            }
        });
    }
}

impl Layer {
    fn load(checkpoint: &Checkpoint, i: usize, arena: &mut Arena) -> Result<Self> {
        let (config, source) = (&checkpoint.config, &*checkpoint.tensors);
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let (heads, kv) = (config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim);
        let mut matrix =
            |name: &str, rows, cols| load::matrix(source, &format!("blk.{i}.{name}.weight"), rows, cols, arena);
        let norm = |name: &str| load::vector(source, &format!("blk.{i}.{name}.weight"), hidden);
        Ok(Self {
            attn_norm: norm("attn_norm")?,
            qkv: [matrix("attn_q", heads, hidden)?, matrix("attn_k", kv, hidden)?, matrix("attn_v", kv, hidden)?],
            attn_output: matrix("attn_output", hidden, heads)?,
            ffn_norm: norm("ffn_norm")?,
            gate: matrix("ffn_gate", inner, hidden)?,
            up: matrix("ffn_up", inner, hidden)?,
            down: matrix("ffn_down", hidden, inner)?,
        })
    }

    fn matrices(&self) -> impl Iterator<Item = &Packed> {
        self.qkv.iter().chain([&self.attn_output, &self.gate, &self.up, &self.down])
    }
}

fn grow(buffer: &mut Vec<f32>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
}

/// Quantises a row of activations if one of the matrices wants that.
///
/// # Safety
/// No one else uses that row meanwhile.
unsafe fn quantise_for(weights: &[&Packed], level: Level, acts: &ActsView, row: usize) {
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
unsafe fn multiply(
    crew: &Crew,
    level: Level,
    weights: &[&Packed],
    panels: usize,
    acts: &ActsView,
    n: usize,
    mut done: impl FnMut(usize, usize, usize, &mut [[f32; LANES]]),
) {
    let mut out: Tile = [[0.0; LANES]; TILE];
    crew.share(panels, crew.piece(panels), |panels| {
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
        for (pair, rotation) in row[part.clone()].chunks_exact_mut(2).zip(rotations[i * stride..].chunks_exact(2)) {
            let [a, b, cos, sin] = [pair[0], pair[1], rotation[0], rotation[1]];
            (pair[0], pair[1]) = (a * cos - b * sin, a * sin + b * cos);
        }
    }
}

/// One pass of rows through layers: what the members of the crew share.
struct Step<'a> {
    llama: &'a CpuLlama,
    n: usize,
    /// Position of the first row.
    start: usize,
    /// `[n, hidden]`, the residual stream.
    hidden: Shared<f32>,
    input: ActsView,
    attended: ActsView,
    inner: ActsView,
    /// `[n, heads * head_dim]`
    q: Shared<f32>,
    scores: Shared<f32>,
    /// Elements of `scores` that belong to one member.
    score_size: usize,
    cache: PagesView,
    rotations: &'a [f32],
}

impl Step<'_> {
    /// One layer over all rows. Each phase ends with the whole crew done.
    ///
    /// # Safety
    /// All members of the crew call this alike, and the buffers are in place.
    unsafe fn layer(&self, crew: &Crew, index: usize) {
        let layer = &self.llama.layers[index];
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
        let (level, cols) = (self.llama.level, self.input.cols);
        let eps = self.llama.config.rms_norm_eps as f32;
        crew.share(self.n, 1, |rows| {
            for row in rows {
                // SAFETY: rows are shared out.
                unsafe {
                    rms_norm(level, self.hidden.slice(row * cols, cols), norm, eps, self.input.row(row));
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
        unsafe { multiply(crew, self.llama.level, weights, panels, &self.input, self.n, done) };
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
        let (level, dim) = (self.llama.level, self.llama.config.head_dim);
        let mut from = 0;
        while from < lanes {
            let (head, d) = ((column + from) / dim, (column + from) % dim);
            let width = (dim - d).min(lanes - from);
            if matrix < 2 {
                let at = (self.start + first) * dim + d;
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
        let (dim, width) = (self.llama.config.head_dim, self.attended.cols);
        let mut halves = [[0; LANES]; TILE];
        if matrix > 0 {
            to_f16(self.llama.level, tile, &mut halves);
        }
        for (i, values) in tile.iter().enumerate() {
            let (row, half) = (first + i, &halves[i][part.clone()]);
            // SAFETY: the caller's.
            unsafe {
                match matrix {
                    0 => self.q.slice(row * width + head * dim + d, part.len()).copy_from_slice(&values[part.clone()]),
                    1 => self.cache.write_key(layer, head, self.start + row, d, half),
                    _ => self.cache.write_value(layer, head, self.start + row, d, half),
                }
            }
        }
    }

    /// Attention of every row, in the form that `weights` want.
    unsafe fn attention(&self, crew: &Crew, layer: usize, weights: &Packed) {
        let config = &self.llama.config;
        let (kv_heads, dim) = (config.num_kv_heads, config.head_dim);
        let size = config.num_heads / kv_heads * dim;
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        crew.share(self.n * kv_heads, 1, |items| {
            for item in items {
                let (row, head) = (item / kv_heads, item % kv_heads);
                self.cache.head(layer, head, &mut keys, &mut values);
                // SAFETY: items are shared out, and the cache was written in the phase before.
                unsafe {
                    let attention = Attention {
                        q: self.q.slice(item * size, size),
                        head_dim: dim,
                        keys: &keys,
                        values: &values,
                        positions: self.start + row + 1,
                        scores: self.scores.slice(crew.member() * self.score_size, self.score_size),
                        out: self.attended.dense.slice(item * size, size),
                    };
                    attend(self.llama.level, attention);
                    if !weights.is_dense() && size.is_multiple_of(BLOCK) {
                        self.attended.quantise(self.llama.level, row, head * size, (head + 1) * size);
                    }
                }
            }
        });
        if !weights.is_dense() && !size.is_multiple_of(BLOCK) {
            crew.share(self.n, 1, |rows| {
                // SAFETY: rows are shared out.
                rows.for_each(|row| unsafe { quantise_for(&[weights], self.llama.level, &self.attended, row) });
            });
        }
    }

    /// Adds a product to the residual stream.
    unsafe fn add(&self, crew: &Crew, weights: &Packed, acts: &ActsView) {
        let (cols, panels) = (self.input.cols, weights.panels());
        let done = |_: usize, panel: usize, first: usize, tile: &mut [[f32; LANES]]| {
            let lanes = LANES.min(cols - panel * LANES);
            for (i, values) in tile.iter().enumerate() {
                // SAFETY: panels are shared out, and with them columns.
                let hidden = unsafe { self.hidden.slice((first + i) * cols + panel * LANES, lanes) };
                hidden.iter_mut().zip(values).for_each(|(h, x)| *h += x);
            }
        };
        // SAFETY: the activations were written in the phase before.
        unsafe { multiply(crew, self.llama.level, &[weights], panels, acts, self.n, done) };
    }

    /// silu(gate) × up, from one reading of the input.
    unsafe fn gate_up(&self, crew: &Crew, layer: &Layer) {
        let (level, cols) = (self.llama.level, self.inner.cols);
        let mut up: Tile = [[0.0; LANES]; TILE];
        let mut gate: Tile = [[0.0; LANES]; TILE];
        // Two panels are a block of columns, which can be quantised once both are there.
        let piece = crew.piece(layer.gate.panels()).next_multiple_of(2);
        crew.share(layer.gate.panels(), piece, |panels| {
            for panel in panels {
                let lanes = LANES.min(cols - panel * LANES);
                for first in (0..self.n).step_by(TILE) {
                    let rows = TILE.min(self.n - first);
                    // SAFETY: panels are shared out, and the input was written in the phase before.
                    unsafe {
                        tile(level, &layer.gate, panel, &self.input, first, rows, &mut gate);
                        tile(level, &layer.up, panel, &self.input, first, rows, &mut up);
                        swiglu(level, &mut gate[..rows], &up[..rows]);
                        for (i, values) in gate[..rows].iter().enumerate() {
                            let to = self.inner.dense.slice((first + i) * cols + panel * LANES, lanes);
                            to.copy_from_slice(&values[..lanes]);
                            if panel % 2 == 1 && !layer.down.is_dense() {
                                self.inner.quantise(level, first + i, (panel - 1) * LANES, (panel + 1) * LANES);
                            }
                        }
                    }
                }
            }
        });
    }
}

const _: () = assert!(BLOCK == 2 * LANES);
