//! The Llama behind a seam: a [`Model`] holds the weights, a [`Sequence`] one text's keys, values and states.
//!
//! A back end owns how all of that is kept. The CPU's runs its own kernels over plain buffers and allocates nothing once
//! they are there; candle's runs tensors on any of candle's devices. A further back end adds a folder here and an arm in
//! [`load`].

mod candle;
mod cpu;
mod draft_order;
mod load;
mod plan;
pub mod random;
mod rope;
mod row;
#[cfg(test)]
mod tests;

use crate::engine::config::LlamaConfig;
use crate::engine::kernels::{Level, physical_cores};
use crate::engine::weights::Checkpoint;
use crate::engine::{Error, Result};
use candle_core::Device;
use candle_core::quantized::GgmlDType;
use std::collections::BTreeMap;

pub use candle::CandleModel;
pub use cpu::CpuModel;
pub use draft_order::DraftOrder;
pub use plan::{Plan, PlannedRound};
pub use row::{Ancestors, Readout, Row};

/// A Llama whose layers can be run by ranges.
pub trait Model: Send {
    fn config(&self) -> &LlamaConfig;

    /// An empty sequence with room for `capacity` positions, which takes memory as it is filled.
    ///
    /// # Errors
    /// Where `capacity` is 0. One beyond the model's context is cut to it.
    fn sequence(&self, capacity: usize) -> Result<Box<dyn Sequence>>;

    /// In which order a reduced head takes tokens.
    fn draft_order(&self) -> &DraftOrder;

    /// Gives the reduced head another order. Its rows are kept a second time where it is not that of the ids.
    ///
    /// # Errors
    /// Where the order does not fit, memory is lacking, or a sequence of this model is in use.
    fn set_draft_order(&mut self, order: Vec<u32>) -> Result<()>;

    /// Type and size of every matrix.
    fn matrices(&self) -> Vec<MatrixInfo>;

    /// `cpu×2`, `cuda`, `metal`.
    fn device_name(&self) -> String;

    /// Bytes of weights that one decode step reads.
    fn step_bytes(&self) -> u64 {
        self.weight_bytes()
    }

    /// SIMD level of the kernels; none where they are not the CPU's.
    fn simd(&self) -> Option<&'static str> {
        None
    }

    /// Bytes a second that the threads of the kernels read from memory; none where that is not measured. Takes a moment.
    fn read_bandwidth(&self) -> Option<f64> {
        None
    }

    /// Bytes that the weights take in memory.
    fn weight_bytes(&self) -> u64 {
        self.matrices().iter().map(|matrix| matrix.bytes).sum()
    }

    /// Type of most of the weights: `q8_0`, `f16`, …
    fn dtype_name(&self) -> String {
        let mut counts = BTreeMap::<String, usize>::new();
        for matrix in self.matrices() {
            *counts.entry(dtype_name(matrix.dtype)).or_default() += matrix.weights;
        }
        counts
            .into_iter()
            .max_by_key(|(_, n)| *n)
            .map(|(name, _)| name)
            .unwrap_or_default()
    }
}

/// Keys, values and states of one text.
///
/// The first [`len`](Self::len) positions are kept: they lie in the slots of their numbers, and only their keys and
/// values are held. Rows in flight take slots from there on; their states stay with them from pass to pass, so that
/// verify continues where drafting left off. [`keep`](Self::keep) chooses among them, and
/// [`truncate`](Self::truncate) ends their flight.
pub trait Sequence: Send {
    /// Positions kept.
    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Positions that can be held.
    fn capacity(&self) -> usize;

    /// Bytes that keys and values take, those of positions that were forgotten included where their memory is kept.
    fn memory(&self) -> u64;

    /// Brings all rows, in ascending order of their slots, to the first `to` layers, in one pass whatever depths they come
    /// from. Keys and values are written in the layers that are run.
    ///
    /// # Errors
    /// Where a token is not of the vocabulary, a slot is kept or does not fit, a row is deeper than `to` or has no state at
    /// its depth, the model has fewer layers, or memory is lacking.
    fn forward(&mut self, rows: &[Row], to: usize) -> Result<()>;

    /// Final norm and LM head: logits `[slots, width]` in `out`, which takes that length.
    ///
    /// # Errors
    /// Where a slot holds no state.
    fn logits(&mut self, readout: &Readout, out: &mut Vec<f32>) -> Result<()>;

    /// Keeps, of the rows in flight, those at `path`, slots in ascending order: keys, values and states move to the slots
    /// from [`len`](Self::len) on. The others are forgotten.
    ///
    /// # Errors
    /// Where a slot holds no row, or the order is another.
    fn keep(&mut self, path: &[usize]) -> Result<()>;

    /// Keeps the positions before `len`, kept already or in flight, and forgets all others and every state.
    fn truncate(&mut self, len: usize);

    /// Keeps a copy of the states that rows have after that many layers, for [`Readout::probed`]; none ends it.
    fn probe(&mut self, layer: Option<usize>);

    /// A whole round without the host; none where this back end, or this plan, wants it step by step.
    ///
    /// # Errors
    /// As [`Self::forward`].
    fn round(&mut self, plan: &Plan) -> Result<Option<PlannedRound>> {
        let _ = plan;
        Ok(None)
    }
}

/// Type and size of a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatrixInfo {
    pub dtype: GgmlDType,
    pub weights: usize,
    pub bytes: u64,
}

/// Reads all weights for a device; `progress` is called with the share that is done. `threads` is how many the CPU
/// kernels use, none for the physical cores.
///
/// # Errors
/// Where the checkpoint is not of a Llama that can be run, or memory is lacking.
pub fn load(
    checkpoint: &Checkpoint,
    device: &Device,
    threads: Option<usize>,
    progress: &mut dyn FnMut(f32),
) -> Result<Box<dyn Model>> {
    if device.is_cpu() {
        let threads = threads.unwrap_or_else(physical_cores);
        let model = CpuModel::load(checkpoint, threads, Level::detect(), progress)?;
        return Ok(Box::new(model));
    }
    Ok(Box::new(CandleModel::load(checkpoint, device, progress)?))
}

/// Checks that rows can run on a model of that shape to layer `to`, in a sequence that keeps `len` of `capacity`
/// positions.
fn check_rows(
    rows: &[Row],
    to: usize,
    config: &LlamaConfig,
    len: usize,
    capacity: usize,
) -> Result<()> {
    let layers = config.num_layers;
    if to > layers {
        return Err(Error::Setting(format!(
            "this model has {layers} layers, not {to}"
        )));
    }
    let mut next = len;
    for row in rows {
        let &Row {
            token,
            position,
            slot,
            ancestors,
            depth,
        } = row;
        if token as usize >= config.vocab_size {
            let size = config.vocab_size;
            return Err(Error::Setting(format!(
                "token {token} is not among the {size} of the model"
            )));
        }
        if slot < len || slot >= capacity || position > slot {
            return Err(Error::Setting(format!(
                "slot {slot} for position {position} does not fit a sequence that keeps {len} of {capacity} positions"
            )));
        }
        let sound = depth <= to
            && match ancestors {
                Ancestors::Chain => position == slot,
                Ancestors::Tree(mask) => {
                    let own = slot - len;
                    own < Ancestors::MAX_NODES
                        && mask >> own == 0
                        && position == len + mask.count_ones() as usize
                }
            };
        if !sound || slot < next {
            return Err(Error::Setting(format!("a row that cannot be: {row:?}")));
        }
        next = slot + 1;
    }
    Ok(())
}

/// `Q4K` is `q4_k` to people.
fn dtype_name(dtype: GgmlDType) -> String {
    let name = format!("{dtype:?}").to_lowercase();
    match name.strip_suffix('k') {
        Some(front) => format!("{front}_k"),
        None => name,
    }
}
