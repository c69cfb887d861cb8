//! A Llama whose layers are divided among GPUs, for models that do not fit one.
//!
//! Pipeline parallelism: each device runs a range of layers. Each has its own copy of the LM head, so an exit is read
//! where its state is. States move between devices through the host. A draft stays on the first device if its exit is
//! there.

use super::sequence::GpuSequence;
use super::{Gpu, GpuModel};
use crate::engine::config::LlamaConfig;
use crate::engine::model::{
    DraftOrder, MatrixInfo, Model, Readout, Row, Sequence, check_rows, refusals,
};
use crate::engine::weights::Checkpoint;
use crate::engine::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// A Llama on several GPUs.
pub struct SplitModel {
    config: LlamaConfig,
    parts: Vec<GpuModel>,
    layers: Vec<Range<usize>>,
}

/// One text. All parts keep the same positions.
struct SplitSequence {
    config: LlamaConfig,
    parts: Vec<GpuSequence>,
    layers: Vec<Range<usize>>,
    probe: Option<usize>,
}

impl SplitModel {
    /// Copies the weights to the devices. Each gets a share of the layers proportional to its memory. A device may be
    /// named more than once. `progress` is called with the fraction done.
    ///
    /// # Errors
    /// As [`GpuModel::load`], or if there are more devices than layers.
    pub fn load(
        checkpoint: &Checkpoint,
        gpus: &[Arc<Gpu>],
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self> {
        let config = checkpoint.config.clone();
        let count = config.num_layers;
        if gpus.len() > count || gpus.is_empty() {
            return Err(Error::Setting(format!(
                "{count} layers cannot be divided among {} GPUs; name fewer with --device",
                gpus.len()
            )));
        }
        let layers = divide(count, &shares(gpus));
        let mut parts = Vec::new();
        for (gpu, range) in gpus.iter().zip(&layers) {
            let (start, share) = (range.start as f32, range.len() as f32);
            let mut whole = |part: f32| progress((start + part * share) / count as f32);
            let part = GpuModel::load_layers(checkpoint, gpu.clone(), range.clone(), &mut whole)?;
            parts.push(part);
        }
        Ok(Self {
            config,
            parts,
            layers,
        })
    }
}

/// Memory of each device, divided among its parts; equal shares if any is unknown.
fn shares(gpus: &[Arc<Gpu>]) -> Vec<u64> {
    let parts = |index| gpus.iter().filter(|gpu| gpu.info.index == index).count() as u64;
    let memory = |gpu: &Arc<Gpu>| Some(gpu.info.memory? / parts(gpu.info.index));
    let known: Option<Vec<u64>> = gpus.iter().map(memory).collect();
    known.unwrap_or_else(|| vec![1; gpus.len()])
}

/// Divides layers in proportion to `shares`, each at least one. There are at most as many shares as layers.
fn divide(layers: usize, shares: &[u64]) -> Vec<Range<usize>> {
    let total: f64 = shares.iter().map(|&share| share as f64).sum();
    let (mut start, mut sum) = (0, 0.0);
    let last = shares.len().saturating_sub(1);
    let range = |(i, &share): (usize, &u64)| {
        sum += share as f64;
        let ideal = (layers as f64 * sum / total).round() as usize;
        // The parts after this one need a layer each.
        let end = match i == last {
            true => layers,
            false => ideal.clamp(start + 1, layers - (last - i)),
        };
        let range = start..end;
        start = end;
        range
    };
    shares.iter().enumerate().map(range).collect()
}

impl Model for SplitModel {
    fn config(&self) -> &LlamaConfig {
        &self.config
    }

    fn sequence(&self, capacity: usize) -> Result<Box<dyn Sequence>> {
        let part = |part: &GpuModel| GpuSequence::new(part.0.clone(), capacity);
        Ok(Box::new(SplitSequence {
            config: self.config.clone(),
            parts: self.parts.iter().map(part).collect::<Result<_>>()?,
            layers: self.layers.clone(),
            probe: None,
        }))
    }

    fn draft_order(&self) -> &DraftOrder {
        self.parts[0].draft_order()
    }

    fn set_draft_order(&mut self, order: Vec<u32>) -> Result<()> {
        for part in &mut self.parts {
            part.set_draft_order(order.clone())?;
        }
        Ok(())
    }

    fn matrices(&self) -> Vec<MatrixInfo> {
        self.parts.iter().flat_map(GpuModel::matrices).collect()
    }

    fn device_name(&self) -> String {
        let names: Vec<String> = self.parts.iter().map(GpuModel::device_name).collect();
        names.join(", ")
    }

    fn step_bytes(&self) -> u64 {
        let parts: u64 = self.parts.iter().map(GpuModel::step_bytes).sum();
        // A step reads the head of the last part only.
        let copies = &self.parts[..self.parts.len() - 1];
        let heads: u64 = copies.iter().map(|part| part.0.output.bytes()).sum();
        parts - heads
    }

    fn read_bandwidth(&self) -> Option<f64> {
        // A step reads the devices one after the other.
        let seconds = |part: &GpuModel| Some(part.step_bytes() as f64 / part.read_bandwidth()?);
        let seconds: Option<f64> = self.parts.iter().map(seconds).sum();
        let bytes: u64 = self.parts.iter().map(GpuModel::step_bytes).sum();
        Some(bytes as f64 / seconds?)
    }
}

impl SplitSequence {
    /// The part that holds the states of rows after `depth` layers.
    fn part_of(&self, depth: usize) -> usize {
        self.layers.partition_point(|range| range.end < depth)
    }

    /// How many layers a row in flight has run.
    fn depth(&self, slot: usize) -> Option<usize> {
        let parts = self.parts.iter().zip(&self.layers);
        parts
            .filter_map(|(part, range)| Some(range.start + part.depth(slot)?))
            .next_back()
    }
}

impl Sequence for SplitSequence {
    fn len(&self) -> usize {
        self.parts[0].len()
    }

    fn capacity(&self) -> usize {
        self.parts[0].capacity()
    }

    fn memory(&self) -> u64 {
        self.parts.iter().map(GpuSequence::memory).sum()
    }

    fn forward(&mut self, rows: &[Row], to: usize) -> Result<()> {
        check_rows(rows, to, &self.config, self.len(), self.capacity())?;
        for row in rows.iter().filter(|row| row.depth > 0) {
            if self.depth(row.slot) != Some(row.depth) {
                return Err(refusals::no_state(row.slot));
            }
        }
        for i in 0..self.parts.len() {
            let Range { start, end } = self.layers[i];
            if i > 0 && to <= start {
                // Their states there are from an earlier pass.
                self.parts[i].forget(rows);
                continue;
            }
            let until = to.min(end);
            let here = |row: &&Row| row.depth < until || until == start;
            let local = |row: &Row| Row {
                depth: row.depth.saturating_sub(start),
                ..*row
            };
            let run: Vec<Row> = rows.iter().filter(here).map(local).collect();
            if let (Some((before, [part, ..])), 1..) = (self.parts.split_at_mut_checked(i), i) {
                let entering = |row: &&Row| row.depth == 0;
                let entering: Vec<Row> = run.iter().filter(entering).copied().collect();
                before[i - 1].copy_states(&entering, part)?;
            }
            self.parts[i].forward(&run, until - start)?;
        }
        Ok(())
    }

    fn logits(&mut self, readout: &Readout, out: &mut Vec<f32>) -> Result<()> {
        let depth = match readout.probed {
            true => self.probe.unwrap_or(readout.depth),
            false => readout.depth,
        };
        if depth > self.config.num_layers {
            let slot = readout.slots.first().copied().unwrap_or(0);
            return Err(refusals::no_state(slot));
        }
        // A row that has run more layers has left the part.
        let left = |&&slot: &&usize| !readout.probed && self.depth(slot) != Some(depth);
        if let Some(&slot) = readout.slots.iter().find(left) {
            return Err(refusals::no_state(slot));
        }
        let part = self.part_of(depth);
        let local = Readout {
            depth: depth - self.layers[part].start,
            ..*readout
        };
        self.parts[part].logits(&local, out)
    }

    fn keep(&mut self, path: &[usize]) -> Result<()> {
        self.parts[0].keep(path)?;
        for part in &mut self.parts[1..] {
            part.keep_existing(path)?;
        }
        Ok(())
    }

    fn truncate(&mut self, len: usize) {
        self.parts[0].truncate(len);
        let len = self.len();
        for part in &mut self.parts[1..] {
            part.set_len(len);
        }
    }

    fn probe(&mut self, layer: Option<usize>) {
        self.probe = layer;
        let holder = layer.map(|layer| self.part_of(layer));
        for (i, (part, range)) in self.parts.iter_mut().zip(&self.layers).enumerate() {
            part.probe(layer.filter(|_| holder == Some(i)).map(|l| l - range.start));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_divided_by_memory_and_no_part_is_empty() {
        assert_eq!(divide(32, &[80, 80]), [0..16, 16..32]);
        assert_eq!(divide(32, &[24, 8]), [0..24, 24..32]);
        assert_eq!(divide(3, &[1000, 1, 1]), [0..1, 1..2, 2..3]);
        assert_eq!(divide(5, &[1, 1, 1000]), [0..1, 1..2, 2..5]);
        assert_eq!(divide(4, &[0, 0]), [0..1, 1..4]);
    }
}
