//! Exit adapters: drafts from exits that were not trained.
//!
//! An adapter sees a row's state after the exit layer E, and the last layer's state of the position before, which the last
//! verify has left behind. Its matrix P brings both into the last layer's space; one block, which all exits share and
//! which has its own keys and values, makes of it what the final norm and the LM head read (after EAGLE, Li et al., arXiv
//! 2401.15077):
//!
//! ```text
//! x(t) = P [norm(h_E(t)); norm(h_L(t - 1))]     norms without weights
//! o(t) = block(x(0) … x(t))                     logits = head(final norm(o(t)))
//! ```
//!
//! In a draft, the output of the row before takes the place of an h_L that does not exist yet. Once positions are verified,
//! their keys and values are computed again from true states.

use super::cache::Pages;
use super::layout::Layout;
use super::pass::{multiply, quantise_for};
use super::scratch::grow;
use super::{Layer, Weights};
use crate::engine::Result;
use crate::engine::config::LlamaConfig;
use crate::engine::kernels::{Arena, LANES, Packed, copy, rms_norm};
use crate::engine::model::{Ancestors, Row, load};
use crate::engine::weights::{BLOCK, Exits, TensorSource, projection};

/// Min verified positions per pass that rebuilds keys and values, unless a draft needs them earlier.
const BATCH: usize = 64;
/// Max verified positions that join the pass of a draft. A few rows more cost a pass next to nothing; one of their own reads
/// the weights again.
const MAX_JOINED: usize = 4;
/// Number of verified positions whose last-layer states are kept: how far a text can be rewound without losing h_L.
const RECENT: usize = 32;

/// Weights of the adapters of a model.
pub struct Adapter {
    /// Exit layers that have one.
    pub exits: Vec<usize>,
    /// By exit layer, the one whose matrix P is used.
    adapter_of: Vec<Option<usize>>,
    /// The matrix P of each, `[hidden, 2 × hidden]`.
    projections: Vec<Packed>,
    block: Layer,
    /// Weights of the norms of the inputs, which have none.
    ones: Vec<f32>,
}

impl Adapter {
    /// Loads the adapters of `exits`, whose tensors may be among those of the `model`.
    ///
    /// # Errors
    /// As [`load::matrix`].
    pub fn load(
        exits: &Exits,
        model: &dyn TensorSource,
        config: &LlamaConfig,
        arena: &mut Arena,
    ) -> Result<Self> {
        let (source, hidden) = (exits.tensors(model), config.hidden_size);
        let projections = exits
            .layers
            .iter()
            .map(|exit| load::matrix(source, &projection(*exit), hidden, 2 * hidden, arena));
        Ok(Self {
            projections: projections.collect::<Result<_>>()?,
            block: Layer::load(source, BLOCK, config, arena)?,
            exits: exits.layers.clone(),
            adapter_of: exits.adapter_of.clone(),
            ones: vec![1.0; hidden],
        })
    }

    pub fn matrices(&self) -> impl Iterator<Item = &Packed> {
        self.projections.iter().chain(self.block.matrices())
    }

    /// The exit whose matrix P is used at `exit`, if any.
    pub fn adapter_of(&self, exit: usize) -> Option<usize> {
        *self.adapter_of.get(exit)?
    }

    fn projection(&self, exit: usize) -> Option<&Packed> {
        let used = self.adapter_of(exit)?;
        let at = self.exits.iter().position(|&own| own == used)?;
        self.projections.get(at)
    }
}

/// What a sequence stores for its adapter. Verified positions from `start` on are covered without a gap; their keys and
/// values are in the slots from 0, since the rotary embedding sees differences of positions only.
pub struct AdapterState {
    /// The exit layer E.
    pub exit: usize,
    /// Keys and values of the block.
    pages: Pages,
    start: usize,
    /// Number of positions from `start` that have keys and values.
    done: usize,
    /// Inputs of the positions after those, `[position][2 × hidden]`.
    waiting: Vec<f32>,
    /// States h_L of the last verified positions, `[position][hidden]`.
    recent: Vec<f32>,
    /// h_L of the last verified position; zeros if it is unknown.
    last: Vec<f32>,
    /// States h_E of the rows in flight, `[slot - len][hidden]`, and which of them are stored.
    states: Vec<f32>,
    known: Vec<bool>,
    /// Outputs o of the rows in flight, `[slot - len][hidden]`, and which of them are computed.
    outputs: Vec<f32>,
    drafted: Vec<bool>,
    ancestors: Vec<Ancestors>,
    /// The rows of the current pass, their inputs `[row][2 × hidden]`, and the residual stream `[row][hidden]`.
    layout: Layout,
    inputs: Vec<f32>,
    x: Vec<f32>,
    /// Indices of the rows in `x`, for the head.
    indices: Vec<usize>,
}

impl AdapterState {
    /// Begins at position `len` of a sequence.
    pub fn new(config: &LlamaConfig, exit: usize, len: usize) -> Self {
        Self {
            exit,
            pages: Pages::new(1, config.num_kv_heads, config.head_dim),
            start: len,
            done: 0,
            waiting: Vec::new(),
            recent: Vec::new(),
            last: vec![0.0; config.hidden_size],
            states: Vec::new(),
            known: Vec::new(),
            outputs: Vec::new(),
            drafted: Vec::new(),
            ancestors: Vec::new(),
            layout: Layout::default(),
            inputs: Vec::new(),
            x: Vec::new(),
            indices: Vec::new(),
        }
    }

    /// Continues with another exit.
    pub fn choose(&mut self, exit: usize, weights: &Weights, rotations: &[f32]) {
        if self.exit == exit {
            return;
        }
        // What waits has the states of the exit so far.
        if self.catch_up(weights, rotations, true).is_err() {
            self.restart(self.end());
        }
        self.exit = exit;
        self.known.fill(false);
        self.drafted.fill(false);
    }

    /// Size of its keys and values in bytes.
    pub fn memory(&self) -> u64 {
        self.pages.bytes()
    }

    fn hidden(&self) -> usize {
        self.last.len()
    }

    /// The position after those that are covered.
    fn end(&self) -> usize {
        self.start + self.done + self.waiting.len() / (2 * self.hidden())
    }

    /// Covers nothing before position `at`.
    fn restart(&mut self, at: usize) {
        self.start = at;
        self.done = 0;
        self.waiting.clear();
    }

    /// Makes room for the rows of a pass of a sequence that keeps `len` positions.
    pub fn enter(&mut self, rows: &[Row], len: usize) {
        let (hidden, window) = (
            self.hidden(),
            rows.last().map_or(0, |row| row.slot + 1 - len),
        );
        if self.known.len() < window {
            self.known.resize(window, false);
            self.drafted.resize(window, false);
            self.ancestors.resize(window, Ancestors::Chain);
            for states in [&mut self.states, &mut self.outputs] {
                if states.len() < window * hidden {
                    states.resize(window * hidden, 0.0);
                }
            }
        }
        for row in rows {
            let at = row.slot - len;
            self.ancestors[at] = row.ancestors;
            if row.depth == 0 {
                (self.known[at], self.drafted[at]) = (false, false);
            }
        }
    }

    /// Stores the state of a row in flight after the exit.
    pub fn store(&mut self, at: usize, state: &[f32]) {
        let hidden = self.hidden();
        self.states[at * hidden..][..hidden].copy_from_slice(state);
        self.known[at] = true;
    }

    /// Whether the state of a row in flight after the exit is stored.
    pub fn knows(&self, at: usize) -> bool {
        self.known.get(at).copied().unwrap_or(false)
    }

    /// Moves a row in flight.
    pub fn copy(&mut self, from: usize, to: usize) {
        let hidden = self.hidden();
        if from < self.known.len() {
            self.known[to] = self.known[from];
            self.states
                .copy_within(from * hidden..(from + 1) * hidden, to * hidden);
        }
    }

    /// Follows [`Sequence::truncate`](crate::engine::model::Sequence::truncate) from `old` to `len` positions. `last` is the
    /// state of a row in flight after the last layer, if it has one.
    pub fn truncate<'s>(
        &mut self,
        old: usize,
        len: usize,
        last: impl Fn(usize) -> Option<&'s [f32]>,
    ) {
        let hidden = self.hidden();
        for at in 0..len.saturating_sub(old) {
            let state = last(at);
            if self.knows(at) && state.is_some() {
                if self.end() != old + at {
                    self.restart(old + at);
                }
                self.waiting
                    .extend_from_slice(&self.states[at * hidden..][..hidden]);
                self.waiting.extend_from_slice(&self.last);
            }
            match state {
                Some(state) => {
                    if self.recent.len() >= 2 * RECENT * hidden {
                        self.recent.drain(..RECENT * hidden);
                    }
                    self.recent.extend_from_slice(state);
                }
                None => self.recent.clear(),
            }
            self.find_last();
        }
        if len < old {
            let left = self.recent.len().saturating_sub((old - len) * hidden);
            self.recent.truncate(left);
            self.find_last();
            if len < self.start {
                self.restart(len);
            }
            let covered = len - self.start;
            self.done = self.done.min(covered);
            self.waiting.truncate((covered - self.done) * 2 * hidden);
        }
        self.known.clear();
        self.drafted.clear();
        self.ancestors.clear();
    }

    fn find_last(&mut self) {
        let hidden = self.hidden();
        let from = self.recent.len().checked_sub(hidden);
        match from.map(|from| &self.recent[from..]) {
            Some(state) => self.last.copy_from_slice(state),
            None => self.last.fill(0.0),
        }
    }

    /// Computes keys and values of verified positions, if `now` or if many are waiting.
    ///
    /// # Errors
    /// If memory cannot be allocated.
    pub fn catch_up(&mut self, weights: &Weights, rotations: &[f32], now: bool) -> Result<()> {
        let Some(adapter) = &weights.adapter else {
            return Ok(());
        };
        let hidden = self.hidden();
        let n = self.waiting.len() / (2 * hidden);
        if n == 0 || (!now && n < BATCH) {
            return Ok(());
        }
        self.pages.grow(self.done + n)?;
        self.layout.begin(self.done);
        let dim = weights.config.head_dim;
        for i in 0..n {
            let place = (i, self.done + i, self.done + i);
            self.layout.push(place, Ancestors::Chain, rotations, dim);
        }
        std::mem::swap(&mut self.inputs, &mut self.waiting);
        self.pass(weights, adapter, false);
        self.waiting.clear();
        self.done += n;
        Ok(())
    }

    /// Runs the block over rows in flight, whose indices are `rows` and whose states after the exit are in `states`;
    /// returns the outputs `[_][hidden]` and the indices of those of `rows` among them, for the head.
    ///
    /// # Errors
    /// If memory cannot be allocated.
    pub fn draft(
        &mut self,
        weights: &Weights,
        rotations: &[f32],
        len: usize,
        rows: &[usize],
        states: &[f32],
    ) -> Result<(&[f32], &[usize])> {
        let hidden = self.hidden();
        if self.end() != len {
            self.restart(len);
        }
        let Some(adapter) = &weights.adapter else {
            return Ok((&[], &[]));
        };
        if self.waiting.len() > MAX_JOINED * 2 * hidden {
            self.catch_up(weights, rotations, true)?;
        }
        let (kept, dim) = (len - self.start, weights.config.head_dim);
        self.pages
            .grow(kept + rows.iter().max().map_or(0, |last| last + 1))?;
        self.layout.begin(kept);
        let joined = kept - self.done;
        for i in 0..joined {
            let place = (i, self.done + i, self.done + i);
            self.layout.push(place, Ancestors::Chain, rotations, dim);
        }
        std::mem::swap(&mut self.inputs, &mut self.waiting);
        self.waiting.clear();
        self.done = kept;
        for (i, &at) in (joined..).zip(rows) {
            self.inputs
                .extend_from_slice(&states[at * hidden..][..hidden]);
            let (before, depth) = match self.ancestors[at] {
                Ancestors::Chain => (at.checked_sub(1), at),
                // Ancestors are in ascending order, so the last one is the parent.
                Ancestors::Tree(mask) => (
                    mask.checked_ilog2().map(|bit| bit as usize),
                    mask.count_ones() as usize,
                ),
            };
            match before {
                None => self.inputs.extend_from_slice(&self.last),
                Some(before) if self.drafted[before] => self
                    .inputs
                    .extend_from_slice(&self.outputs[before * hidden..][..hidden]),
                Some(_) => self.inputs.resize(self.inputs.len() + hidden, 0.0),
            }
            let place = (i, kept + at, kept + depth);
            self.layout.push(place, self.ancestors[at], rotations, dim);
        }
        self.pass(weights, adapter, true);
        for (i, &at) in (joined..).zip(rows) {
            self.outputs[at * hidden..][..hidden].copy_from_slice(&self.x[i * hidden..][..hidden]);
            self.drafted[at] = true;
        }
        self.indices.clear();
        self.indices.extend(joined..joined + rows.len());
        Ok((&self.x, &self.indices))
    }

    /// Projects the inputs of the rows; runs the block over them, or with `whole` unset only up to keys and values.
    fn pass(&mut self, weights: &Weights, adapter: &Adapter, whole: bool) {
        let Some(projection) = adapter.projection(self.exit) else {
            return;
        };
        let (isa, n, hidden) = (weights.isa, self.layout.rows.len(), self.hidden());
        self.layout.divide(&weights.config, weights.pool.threads());
        grow(&mut self.x, n * hidden);
        let (mut scratch, inputs) = (weights.scratch(), &self.inputs);
        let joined = scratch.joined.view(n, 2 * hidden);
        let pass = scratch.pass(weights, &self.layout, &mut self.x, &self.pages);
        weights.pool.run(&|worker| {
            // SAFETY: all workers run the same phases in the same order; in the first each row belongs to one worker, in the
            // second each panel and so its columns. The buffers live until `run` returns.
            unsafe {
                worker.parallel_for(n, 1, |range| {
                    for row in range {
                        let eps = weights.config.rms_norm_eps as f32;
                        let (out, input) = (joined.row(row), &inputs[row * 2 * hidden..]);
                        for half in [0, hidden] {
                            let out = &mut out[half..half + hidden];
                            rms_norm(isa, &input[half..half + hidden], &adapter.ones, eps, out);
                        }
                        quantise_for(&[projection], isa, &joined, row);
                    }
                });
                let done = |_: usize, panel: usize, first: usize, tile: &mut [[f32; LANES]]| {
                    let lanes = LANES.min(hidden - panel * LANES);
                    for (i, values) in tile.iter().enumerate() {
                        let to = (first + i) * hidden + panel * LANES;
                        copy(&values[..lanes], pass.hidden.slice(to, lanes));
                    }
                };
                let panels = projection.panels();
                multiply(worker, isa, &[projection], panels, &joined, n, done);
                match whole {
                    true => pass.layer(worker, 0, &adapter.block),
                    false => pass.keys_and_values(worker, 0, &adapter.block),
                }
            }
        });
    }
}
