//! One text on the GPU.

use super::cache::Cache;
use super::matrix::padded;
use super::pass::{Batch, MAX_ROWS, PAGE, Recorder, Scratch};
use super::shader::Kernel;
use super::{HEAD_ROWS, Weights};
use crate::engine::model::{Plan, PlannedRound, Readout, Row, Sequence, check_rows, refusals};
use crate::engine::{Error, Result};
use std::ops::Range;
use std::sync::{Arc, MutexGuard, PoisonError};

/// Keys and values, and the states of rows in flight.
pub struct GpuSequence {
    pub(super) weights: Arc<Weights>,
    pub(super) cache: Cache,
    pub(super) capacity: usize,
    /// Number of kept positions; rows in flight occupy the slots from here.
    pub(super) len: usize,
    /// How many layers the rows in flight have run, by `slot - len`; `None` for a slot without a row.
    pub(super) depths: Vec<Option<usize>>,
    pub(super) probe: Option<usize>,
    states: States,
    /// Copies of the states at the probed layer.
    probed: Option<States>,
}

/// States of rows in flight, `[slot - len][padded hidden]`, with the group that binds them.
struct States {
    buffer: wgpu::Buffer,
    group: wgpu::BindGroup,
}

impl GpuSequence {
    pub fn new(weights: Arc<Weights>, capacity: usize) -> Result<Self> {
        if capacity == 0 {
            return Err(refusals::no_capacity());
        }
        let states = States::new(&weights, 16)?;
        Ok(Self {
            capacity: capacity.min(weights.config.context_length),
            cache: Cache::new(),
            len: 0,
            depths: Vec::new(),
            probe: None,
            states,
            probed: None,
            weights,
        })
    }

    /// Allocates memory for rows up to the slot `last`.
    pub(super) fn reserve(&mut self, last: usize) -> Result<()> {
        let weights = self.weights.clone();
        self.cache.grow(&weights, last + 1, self.capacity)?;
        let window = last + 1 - self.len;
        if self.depths.len() < window {
            self.depths.resize(window, None);
        }
        self.states.grow(&weights, window)?;
        if self.probe.is_some() {
            match &mut self.probed {
                Some(probed) => probed.grow(&weights, window)?,
                None => self.probed = Some(States::new(&weights, window)?),
            }
        }
        Ok(())
    }

    /// Runs `layers` over rows that have run exactly the layers before them.
    fn segment(&self, scratch: &mut Scratch, rows: &[Row], layers: Range<usize>) -> Result<()> {
        let (weights, n) = (&*self.weights, rows.len());
        let pages = pages(rows);
        let batch = Batch {
            n: n as u32,
            kept: self.len as u32,
            pages: pages as u32,
            ..Batch::default()
        };
        weights.upload(scratch, rows, self.len, &[batch])?;
        let step = weights.submission_layers(n);
        let mut start = layers.start;
        loop {
            let end = layers.end.min(start.saturating_add(step));
            let mut recorder = self.recorder(n, pages);
            if start == 0 {
                weights.embed(&mut recorder);
            }
            for layer in start..end {
                weights.layer(&mut recorder, scratch, layer, self.cache.group(layer));
            }
            weights.gpu.submit(recorder.finish());
            start = end;
            if start == layers.end {
                return weights.gpu.check();
            }
        }
    }

    /// A recorder of passes over this sequence, starting with batch 0 of `n` rows.
    pub(super) fn recorder(&self, n: usize, pages: usize) -> Recorder<'_> {
        Recorder::new(&self.weights.gpu, &self.states.group, n, pages)
    }

    /// Copies the states of rows to the probed ones.
    fn copy_probed(&self, rows: &[Row]) {
        let Some(probed) = &self.probed else {
            return;
        };
        let stride = padded(self.weights.config.hidden_size) as u64 * 4;
        let mut encoder = self.weights.gpu.encoder();
        for run in rows.chunk_by(|a, b| a.slot + 1 == b.slot) {
            let at = (run[0].slot - self.len) as u64 * stride;
            let bytes = run.len() as u64 * stride;
            encoder.copy_buffer_to_buffer(&self.states.buffer, at, &probed.buffer, at, Some(bytes));
        }
        self.weights.gpu.submit(encoder);
    }

    /// Runs one pass of `rows`, at most the max of a pass, up to layer `to`.
    fn pass(&self, scratch: &mut Scratch, rows: &[Row], to: usize) -> Result<()> {
        let mut from = rows.iter().map(|row| row.depth).min().unwrap_or(to);
        if to == 0 {
            return self.segment(scratch, rows, 0..0);
        }
        while from < to {
            // Up to the layer where the next row joins, or to the probed layer.
            let joins = rows.iter().map(|row| row.depth).chain(self.probe);
            let next = joins.filter(|&at| at > from).min().unwrap_or(to).min(to);
            let run: Vec<Row> = rows
                .iter()
                .filter(|row| row.depth <= from)
                .copied()
                .collect();
            self.segment(scratch, &run, from..next)?;
            if self.probe == Some(next) {
                self.copy_probed(&run);
            }
            from = next;
        }
        Ok(())
    }

    /// How many layers a row in flight has run.
    pub(super) fn depth(&self, slot: usize) -> Option<usize> {
        let at = slot.checked_sub(self.len)?;
        *self.depths.get(at)?
    }

    pub(super) fn scratch(weights: &Weights) -> MutexGuard<'_, Scratch> {
        weights
            .scratch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sequence for GpuSequence {
    fn len(&self) -> usize {
        self.len
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn memory(&self) -> u64 {
        self.cache.bytes()
    }

    fn forward(&mut self, rows: &[Row], to: usize) -> Result<()> {
        check_rows(rows, to, &self.weights.config, self.len, self.capacity)?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        for row in rows.iter().filter(|row| row.depth > 0) {
            if self.depth(row.slot) != Some(row.depth) {
                return Err(refusals::no_state_at(row.slot, row.depth));
            }
        }
        self.reserve(last.slot)?;
        let weights = self.weights.clone();
        let mut scratch = Self::scratch(&weights);
        for rows in rows.chunks(weights.max_rows(last.slot / PAGE + 1)) {
            self.pass(&mut scratch, rows, to)?;
        }
        for row in rows {
            self.depths[row.slot - self.len] = Some(to);
        }
        Ok(())
    }

    fn logits(&mut self, readout: &Readout, out: &mut Vec<f32>) -> Result<()> {
        for &slot in readout.slots {
            let depth = self.depth(slot).ok_or_else(|| refusals::no_state(slot))?;
            if !readout.probed && depth != readout.depth {
                return Err(refusals::no_state(slot));
            }
        }
        let weights = self.weights.clone();
        let (products, width) = weights.head_products(readout.vocab);
        let states = match (readout.probed, &self.probed) {
            (false, _) => &self.states.group,
            (true, Some(probed)) => &probed.group,
            (true, None) => return Err(Error::Setting("no layer is probed".into())),
        };
        let mut scratch = Self::scratch(&weights);
        out.resize(readout.slots.len() * width, 0.0);
        for (slots, out) in readout
            .slots
            .chunks(HEAD_ROWS)
            .zip(out.chunks_mut(HEAD_ROWS * width))
        {
            let rows: Vec<Row> = slots
                .iter()
                .flat_map(|&slot| Row::chain(&[0], slot))
                .collect();
            let n = rows.len();
            let batch = Batch {
                n: n as u32,
                ..Batch::default()
            };
            weights.upload(&mut scratch, &rows, self.len, &[batch])?;
            let mut recorder = Recorder::new(&weights.gpu, states, n, 0);
            weights.head(&mut recorder, products, width);
            let encoder = recorder.finish();
            weights.read_logits(&mut scratch, encoder, &[(0, n, width)], &mut [out])?;
        }
        Ok(())
    }

    fn keep(&mut self, path: &[usize]) -> Result<()> {
        if !path.is_sorted_by(|a, b| a < b) {
            return Err(refusals::not_ascending());
        }
        for &slot in path {
            self.depth(slot).ok_or_else(|| refusals::no_state(slot))?;
        }
        self.keep_existing(path)
    }

    fn truncate(&mut self, len: usize) {
        let in_flight = self.depths.iter().take_while(|depth| depth.is_some());
        self.set_len(len.min(self.len + in_flight.count()));
    }

    fn probe(&mut self, layer: Option<usize>) {
        self.probe = layer;
    }

    fn round(&mut self, plan: &Plan) -> Result<Option<PlannedRound>> {
        self.planned_round(plan)
    }
}

impl GpuSequence {
    /// As [`Sequence::keep`], where slots without a row have nothing to move.
    pub(super) fn keep_existing(&mut self, path: &[usize]) -> Result<()> {
        let moves: Vec<[u32; 2]> = path
            .iter()
            .zip(self.len..)
            .filter(|&(&from, to)| from != to && self.depth(from).is_some())
            .map(|(&from, to)| [from as u32, to as u32])
            .collect();
        let weights = self.weights.clone();
        let mut scratch = Self::scratch(&weights);
        for moves in moves.chunks(MAX_ROWS) {
            self.move_rows(&mut scratch, moves)?;
        }
        self.depths = path.iter().map(|&slot| self.depth(slot)).collect();
        Ok(())
    }

    /// Keeps exactly `len` positions, and discards all others and all states.
    pub(super) fn set_len(&mut self, len: usize) {
        self.len = len;
        self.depths.clear();
    }

    /// Forgets the states of rows.
    pub(super) fn forget(&mut self, rows: &[Row]) {
        for row in rows {
            if let Some(depth) = self.depths.get_mut(row.slot - self.len) {
                *depth = None;
            }
        }
    }

    /// Copies the states of rows, `[rows, padded hidden]`, to another sequence, through the host.
    pub(super) fn copy_states(&self, rows: &[Row], to: &mut Self) -> Result<()> {
        let Some(last) = rows.last() else {
            return Ok(());
        };
        to.reserve(last.slot)?;
        let stride = padded(self.weights.config.hidden_size) as u64 * 4;
        let bytes = rows.len() as u64 * stride;
        let gpu = &self.weights.gpu;
        let mut scratch = Self::scratch(&self.weights);
        self.weights.grow_staging(&mut scratch, bytes)?;
        let runs = || rows.chunk_by(|a, b| a.slot + 1 == b.slot);
        let (mut encoder, mut staged) = (gpu.encoder(), 0);
        for run in runs() {
            let (at, bytes) = (
                (run[0].slot - self.len) as u64 * stride,
                run.len() as u64 * stride,
            );
            let (from, staging) = (&self.states.buffer, &scratch.staging);
            encoder.copy_buffer_to_buffer(from, at, staging, staged, Some(bytes));
            staged += bytes;
        }
        gpu.read(encoder, &scratch.staging, bytes, |mut bytes| {
            for run in runs() {
                let (states, rest) = bytes.split_at(run.len() * stride as usize);
                let at = (run[0].slot - to.len) as u64 * stride;
                let queue = &to.weights.gpu.queue;
                queue.write_buffer(&to.states.buffer, at, states);
                bytes = rest;
            }
        })?;
        for row in rows {
            to.depths[row.slot - to.len] = Some(0);
        }
        to.weights.gpu.check()
    }

    /// Moves keys, values and states from slot to slot, in order.
    fn move_rows(&self, scratch: &mut Scratch, moves: &[[u32; 2]]) -> Result<()> {
        let (weights, config) = (&*self.weights, &self.weights.config);
        let gpu = &weights.gpu;
        let batch = Batch {
            n: moves.len() as u32,
            kept: self.len as u32,
            ..Batch::default()
        };
        gpu.queue
            .write_buffer(&scratch.batches, 0, bytemuck::bytes_of(&batch));
        gpu.queue
            .write_buffer(&scratch.moves, 0, bytemuck::cast_slice(moves));
        let (kv_heads, pairs) = (config.num_kv_heads, config.head_dim / 2);
        let stride = padded(config.hidden_size);
        let cache_dims = gpu.uniform(&[kv_heads as u32, pairs as u32, 0, 0])?;
        let state_dims = gpu.uniform(&[stride as u32, 0, 0, 0])?;
        let of_cache = gpu.moves_group([&scratch.moves, &cache_dims]);
        let of_states = gpu.moves_group([&scratch.moves, &state_dims]);
        let mut recorder = self.recorder(moves.len(), 0);
        let groups = |threads: usize| [threads.div_ceil(64) as u32, 1, 1];
        for cache in self.cache.groups() {
            let size = groups(kv_heads * pairs);
            recorder.run(Kernel::MoveCache, &[&of_cache, cache], size);
        }
        recorder.run(Kernel::MoveStates, &[&of_states], groups(stride));
        if let Some(probed) = &self.probed {
            recorder.states = &probed.group;
            recorder.run(Kernel::MoveStates, &[&of_states], groups(stride));
        }
        gpu.submit(recorder.finish());
        gpu.check()
    }
}

/// Pages that the rows attend to.
pub(super) fn pages(rows: &[Row]) -> usize {
    rows.iter()
        .map(|row| row.position / PAGE + 1)
        .max()
        .unwrap_or(0)
}

impl States {
    fn new(weights: &Weights, rows: usize) -> Result<Self> {
        let stride = padded(weights.config.hidden_size);
        let buffer = weights
            .gpu
            .buffer((rows * stride * 4) as u64, "the states of rows")?;
        let scratch = GpuSequence::scratch(weights);
        let group = weights
            .gpu
            .pass_group(&scratch.batches, &scratch.rows, &buffer);
        Ok(Self { buffer, group })
    }

    /// Makes room for `rows` states, keeping existing ones.
    fn grow(&mut self, weights: &Weights, rows: usize) -> Result<()> {
        let stride = padded(weights.config.hidden_size) as u64 * 4;
        if rows as u64 * stride <= self.buffer.size() {
            return Ok(());
        }
        let larger = Self::new(weights, rows.next_power_of_two())?;
        let mut encoder = weights.gpu.encoder();
        let kept = Some(self.buffer.size());
        encoder.copy_buffer_to_buffer(&self.buffer, 0, &larger.buffer, 0, kept);
        weights.gpu.submit(encoder);
        *self = larger;
        Ok(())
    }
}

impl Weights {
    /// Submits commands that compute logits, and reads back ranges `(first row, rows, width)`.
    pub(super) fn read_logits(
        &self,
        scratch: &mut Scratch,
        mut encoder: wgpu::CommandEncoder,
        ranges: &[(usize, usize, usize)],
        out: &mut [&mut [f32]],
    ) -> Result<()> {
        let bytes: usize = ranges.iter().map(|(_, rows, width)| rows * width * 4).sum();
        self.grow_staging(scratch, bytes as u64)?;
        self.copy_logits(scratch, &mut encoder, ranges);
        self.gpu
            .read(encoder, &scratch.staging, bytes as u64, |mut bytes| {
                for out in out {
                    let (mine, rest) = bytes.split_at(out.len() * 4);
                    bytemuck::cast_slice_mut(out).copy_from_slice(mine);
                    bytes = rest;
                }
            })
    }

    pub(super) fn grow_staging(&self, scratch: &mut Scratch, bytes: u64) -> Result<()> {
        if scratch.staging.size() < bytes {
            scratch.staging = self.gpu.staging(bytes.next_power_of_two())?;
        }
        Ok(())
    }

    /// Copies ranges of logits to the staging buffer, one after the other; returns their size in bytes.
    pub(super) fn copy_logits(
        &self,
        scratch: &Scratch,
        encoder: &mut wgpu::CommandEncoder,
        ranges: &[(usize, usize, usize)],
    ) -> u64 {
        let vocab = self.config.vocab_size;
        let mut at = 0;
        for &(first, rows, width) in ranges {
            // Whole rows are adjacent.
            let (copies, length) = match width == vocab {
                true => (1, rows * width),
                false => (rows, width),
            };
            for row in first..first + copies {
                let from = (row * vocab * 4) as u64;
                let bytes = length as u64 * 4;
                encoder.copy_buffer_to_buffer(
                    &self.logits,
                    from,
                    &scratch.staging,
                    at,
                    Some(bytes),
                );
                at += bytes;
            }
        }
        at
    }
}
