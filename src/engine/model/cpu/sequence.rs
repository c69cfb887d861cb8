//! One text on the CPU: its pages, the states of its rows in flight, and the passes that advance them.

use super::Weights;
use super::adapter::AdapterState;
use super::cache::Pages;
use super::head::{AddedRows, Columns};
use super::layout::Layout;
use crate::engine::kernels::PAGE;
use crate::engine::model::{Readout, Row, Sequence, check_rows, refusals, rope};
use crate::engine::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// Keys and values by page, and the states of rows in flight.
pub struct CpuSequence {
    weights: Arc<Weights>,
    pages: Pages,
    capacity: usize,
    /// Number of kept positions; rows in flight occupy the slots from here.
    len: usize,
    /// States of the rows in flight, `[slot - len][hidden]`.
    states: Vec<f32>,
    /// How many layers these rows have run, by `slot - len`; `None` for a slot without a row.
    depths: Vec<Option<usize>>,
    probe: Option<usize>,
    /// Copies of the states at the probed layer, laid out as `states`.
    probed: Vec<f32>,
    /// cos and sin of every position so far, `[position][head_dim / 2][2]`.
    rotations: Vec<f32>,
    /// The rows of the current pass.
    layout: Layout,
    /// Indices of the states that a head reads.
    readout: Vec<usize>,
    /// Rows of the head for tokens of this text.
    added: AddedRows,
    adapter: Option<Box<AdapterState>>,
}

/// The columns of the logits that are read.
fn columns<'a>(weights: &Weights, added: &'a AddedRows, readout: &Readout) -> Columns<'a> {
    match readout.vocab {
        0 => Columns::All,
        vocab => Columns::Draft(weights.draft_order.width(vocab), added),
    }
}

impl CpuSequence {
    pub fn new(weights: Arc<Weights>, capacity: usize) -> Result<Self> {
        if capacity == 0 {
            return Err(refusals::no_capacity());
        }
        let config = &weights.config;
        let pages = Pages::new(config.num_layers, config.num_kv_heads, config.head_dim);
        Ok(Self {
            capacity: capacity.min(config.context_length),
            weights,
            pages,
            len: 0,
            states: Vec::new(),
            depths: Vec::new(),
            probe: None,
            probed: Vec::new(),
            rotations: Vec::new(),
            layout: Layout::default(),
            readout: Vec::new(),
            added: AddedRows::default(),
            adapter: None,
        })
    }

    fn hidden(&self) -> usize {
        self.weights.config.hidden_size
    }

    /// Allocates memory for the rows, and embeds those that have run no layer.
    fn enter(&mut self, rows: &[Row]) -> Result<()> {
        let Some(last) = rows.last() else {
            return Ok(());
        };
        self.pages.grow(last.slot + 1)?;
        // Reserve by whole pages, so that passes within a page allocate nothing.
        let positions = self.pages.pages().len() * PAGE;
        let rotations = positions * self.weights.config.head_dim;
        self.rotations
            .reserve(rotations.saturating_sub(self.rotations.len()));
        let (hidden, window) = (self.hidden(), last.slot + 1 - self.len);
        if self.depths.len() < window {
            self.depths.resize(window, None);
            self.states.resize(window * hidden, 0.0);
        }
        // Once used, it grows together with `states`, so that a later probe allocates nothing.
        if self.probe.is_some() || self.probed.capacity() > 0 {
            self.probed
                .resize(window.max(self.depths.len()) * hidden, 0.0);
        }
        for row in rows {
            let at = row.slot - self.len;
            if row.depth == 0 {
                let state = &mut self.states[at * hidden..][..hidden];
                self.weights.embedding.row(row.token as usize, state);
            } else if self.depths[at] != Some(row.depth) {
                return Err(refusals::no_state_at(row.slot, row.depth));
            }
        }
        Ok(())
    }

    /// Runs `layers` over the rows that have run exactly the layers before them.
    fn segment(&mut self, rows: &[Row], layers: Range<usize>) {
        self.lay_out(rows.iter().filter(|row| row.depth <= layers.start));
        let weights = self.weights.clone();
        let mut scratch = weights.scratch();
        let pass = scratch.pass(&weights, &self.layout, &mut self.states, &self.pages);
        weights.pool.run(&|worker| {
            for layer in layers.clone() {
                // SAFETY: all workers run the same layers in the same order, and the buffers live until `run` returns.
                unsafe { pass.layer(worker, layer, &weights.layers[layer]) };
            }
        });
    }

    /// Prepares the rows of a pass.
    fn lay_out<'r>(&mut self, rows: impl Iterator<Item = &'r Row>) {
        let config = &self.weights.config;
        self.layout.begin(self.len);
        for row in rows {
            rope::extend(
                &mut self.rotations,
                &self.weights.frequencies,
                row.position + 1,
            );
            let place = (row.slot - self.len, row.slot, row.position);
            self.layout
                .push(place, row.ancestors, &self.rotations, config.head_dim);
        }
        self.layout.divide(config, self.weights.pool.threads());
    }

    /// Index of the state of a row in flight that has run `depth` layers.
    fn state(&self, slot: usize, depth: Option<usize>) -> Result<usize> {
        let at = slot.checked_sub(self.len);
        let held = at.and_then(|at| Some((at, (*self.depths.get(at)?)?)));
        match (held, depth) {
            (Some((at, held)), Some(depth)) if held == depth => Ok(at),
            (Some((at, _)), None) => Ok(at),
            _ => Err(refusals::no_state(slot)),
        }
    }
}

impl Sequence for CpuSequence {
    fn len(&self) -> usize {
        self.len
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn memory(&self) -> u64 {
        let adapter = self.adapter.as_ref();
        self.pages.bytes() + self.added.bytes() + adapter.map_or(0, |adapter| adapter.memory())
    }

    fn forward(&mut self, rows: &[Row], to: usize) -> Result<()> {
        check_rows(rows, to, &self.weights.config, self.len, self.capacity)?;
        self.enter(rows)?;
        if let Some(adapter) = &mut self.adapter {
            adapter.catch_up(&self.weights, &self.rotations, false)?;
            adapter.enter(rows, self.len);
        }
        let adapted = self.adapter.as_ref().map(|adapter| adapter.exit);
        let hidden = self.hidden();
        let mut from = rows.iter().map(|row| row.depth).min().unwrap_or(to);
        while from < to {
            // Up to the layer where the next row joins, or whose states are stored.
            let joins = rows.iter().map(|row| row.depth);
            let joins = joins.chain(self.probe).chain(adapted);
            let next = joins.filter(|&at| at > from).min().unwrap_or(to).min(to);
            self.segment(rows, from..next);
            if self.probe == Some(next) {
                for row in &self.layout.rows {
                    let state = row.state * hidden..(row.state + 1) * hidden;
                    self.probed[state.clone()].copy_from_slice(&self.states[state]);
                }
            }
            if let Some(adapter) = self.adapter.as_mut().filter(|own| own.exit == next) {
                for row in &self.layout.rows {
                    let state = &self.states[row.state * hidden..][..hidden];
                    adapter.store(row.state, state);
                }
            }
            from = next;
        }
        for row in rows {
            self.depths[row.slot - self.len] = Some(to);
        }
        Ok(())
    }

    fn logits(&mut self, readout: &Readout, out: &mut Vec<f32>) -> Result<()> {
        let depth = (!readout.probed).then_some(readout.depth);
        self.readout.clear();
        for &slot in readout.slots {
            let at = self.state(slot, depth)?;
            self.readout.push(at);
        }
        let states = match readout.probed {
            true => &self.probed,
            false => &self.states,
        };
        let columns = columns(&self.weights, &self.added, readout);
        self.weights.head(states, &self.readout, columns, out);
        Ok(())
    }

    fn extend_draft_head(&mut self, ids: &[u32]) -> Result<bool> {
        self.added.set(ids, self.weights.head_weights())?;
        Ok(true)
    }

    fn adapt(&mut self, exit: Option<usize>) {
        let adapter = self.weights.adapter.as_ref();
        let exit = exit.filter(|exit| adapter.is_some_and(|own| own.adapter_of(*exit).is_some()));
        match (exit, &mut self.adapter) {
            (None, own) => *own = None,
            (Some(exit), Some(own)) => own.choose(exit, &self.weights, &self.rotations),
            (Some(exit), own @ None) => {
                let config = &self.weights.config;
                *own = Some(Box::new(AdapterState::new(config, exit, self.len)));
            }
        }
    }

    fn adapted_logits(&mut self, readout: &Readout, out: &mut Vec<f32>) -> Result<()> {
        self.readout.clear();
        for &slot in readout.slots {
            let at = self.state(slot, Some(readout.depth))?;
            self.readout.push(at);
        }
        let knows = |adapter: &&mut Box<AdapterState>| {
            adapter.exit == readout.depth && self.readout.iter().all(|&at| adapter.knows(at))
        };
        let Some(adapter) = self.adapter.as_mut().filter(knows) else {
            return Err(Error::Setting(format!(
                "nothing is stored for an adapter of exit {}",
                readout.depth
            )));
        };
        let weights = &self.weights;
        let (states, rows) = adapter.draft(
            weights,
            &self.rotations,
            self.len,
            &self.readout,
            &self.states,
        )?;
        let columns = columns(weights, &self.added, readout);
        weights.head(states, rows, columns, out);
        Ok(())
    }

    fn keep(&mut self, path: &[usize]) -> Result<()> {
        let hidden = self.hidden();
        if !path.is_sorted_by(|a, b| a < b) {
            return Err(refusals::not_ascending());
        }
        for &slot in path {
            self.state(slot, None)?;
        }
        for (to, &slot) in path.iter().enumerate() {
            let from = slot - self.len;
            if from != to {
                self.pages.copy(slot, self.len + to);
                self.depths[to] = self.depths[from];
                if let Some(adapter) = &mut self.adapter {
                    adapter.copy(from, to);
                }
                for states in [&mut self.states, &mut self.probed] {
                    if states.len() >= (from + 1) * hidden {
                        states.copy_within(from * hidden..(from + 1) * hidden, to * hidden);
                    }
                }
            }
        }
        self.depths.truncate(path.len());
        Ok(())
    }

    fn truncate(&mut self, len: usize) {
        let in_flight = self.depths.iter().take_while(|depth| depth.is_some());
        let len = len.min(self.len + in_flight.count());
        if let Some(adapter) = &mut self.adapter {
            let (config, hidden) = (&self.weights.config, self.weights.config.hidden_size);
            adapter.truncate(self.len, len, |at| {
                let whole = self.depths[at] == Some(config.num_layers);
                whole.then(|| &self.states[at * hidden..][..hidden])
            });
        }
        self.len = len;
        self.depths.clear();
    }

    fn probe(&mut self, layer: Option<usize>) {
        self.probe = layer;
    }
}
