//! The interface of back ends: a [`Model`] holds the weights, a [`Sequence`] the keys, values and states of one text.
//!
//! Storage is up to the back end. The CPU back end runs the crate's kernels over plain buffers and allocates nothing
//! once they have grown; the GPU back end runs WGSL kernels on wgpu; the candle back end runs on any candle device. A
//! new back end adds a folder here and an arm in [`load`].

mod candle;
mod cpu;
mod device;
mod draft_order;
#[cfg(feature = "gpu")]
pub mod gpu;
mod load;
mod plan;
pub mod random;
mod refusals;
mod rope;
mod row;
#[cfg(test)]
pub(in crate::engine) mod tests;

use crate::engine::config::LlamaConfig;
use crate::engine::kernels::{Isa, physical_cores};
use crate::engine::weights::{Checkpoint, type_name};
use crate::engine::{Error, Result};
use candle_core::quantized::GgmlDType;
use std::collections::BTreeMap;

pub use candle::CandleModel;
pub use cpu::CpuModel;
pub use device::{DeviceRequest, Target};
pub use draft_order::DraftOrder;
pub use plan::{Plan, PlannedRound};
pub use row::{Ancestors, Readout, Row};

/// A Llama whose layers can be run in ranges. Threads can share it, each with its own sequences.
pub trait Model: Send + Sync {
    /// Shape of the model.
    fn config(&self) -> &LlamaConfig;

    /// An empty sequence for at most `capacity` positions, limited to the model's context. It allocates memory as it grows.
    ///
    /// # Errors
    /// If `capacity` is 0.
    fn sequence(&self, capacity: usize) -> Result<Box<dyn Sequence>>;

    /// The order of the tokens of a reduced head.
    fn draft_order(&self) -> &DraftOrder;

    /// Sets the order of the reduced head. Stores a second, reordered copy of the head, unless it is id order.
    ///
    /// # Errors
    /// If the order is invalid, memory cannot be allocated, or a sequence of this model is in use.
    fn set_draft_order(&mut self, order: Vec<u32>) -> Result<()>;

    /// The exit layers that have an adapter, in ascending order; none on back ends that cannot run them.
    fn adapted_exits(&self) -> &[usize] {
        &[]
    }

    /// The exit whose adapter drafts at `exit`: its own or, if the model's file says so, another one's; `None` without.
    fn adapter_of(&self, exit: usize) -> Option<usize> {
        let _ = exit;
        None
    }

    /// Whether [`Sequence::round`] runs rounds without the host.
    fn plans_rounds(&self) -> bool {
        false
    }

    /// Type and size of every matrix.
    fn matrices(&self) -> Vec<MatrixInfo>;

    /// `cpu×2`, `gpu:0 NVIDIA H100`, `cuda`, `metal`.
    fn device_name(&self) -> String;

    /// Bytes of weights that one decode step reads.
    fn step_bytes(&self) -> u64 {
        self.weight_bytes()
    }

    /// Instruction set of the CPU kernels; `None` for other back ends.
    fn simd(&self) -> Option<&'static str> {
        None
    }

    /// Measures the read bandwidth of the CPU kernels' threads, or of the GPU, in bytes per second; `None` if it cannot
    /// be measured. May take up to a second.
    fn read_bandwidth(&self) -> Option<f64> {
        None
    }

    /// Bytes of the weights in memory.
    fn weight_bytes(&self) -> u64 {
        self.matrices().iter().map(|matrix| matrix.bytes).sum()
    }

    /// Most frequent type of the weights: `q8_0`, `f16`, …
    fn dtype_name(&self) -> String {
        let mut counts = BTreeMap::<&str, usize>::new();
        for matrix in self.matrices() {
            *counts.entry(type_name(matrix.dtype)).or_default() += matrix.weights;
        }
        counts
            .into_iter()
            .max_by_key(|(_, n)| *n)
            .map(|(name, _)| name.to_lowercase())
            .unwrap_or_default()
    }
}

/// The keys, values and states of one text.
///
/// The first [`len`](Self::len) positions are kept: they are in the slots with the same numbers, and only their keys
/// and values are stored. Rows in flight occupy the slots after them. Their states persist between passes, so that
/// verification continues where drafting stopped. [`keep`](Self::keep) selects among the rows in flight;
/// [`truncate`](Self::truncate) discards them all.
pub trait Sequence: Send {
    /// Number of positions kept.
    fn len(&self) -> usize;

    /// Whether no position is kept.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Max number of positions.
    fn capacity(&self) -> usize;

    /// Size of keys and values in bytes, including truncated positions while their memory stays allocated.
    fn memory(&self) -> u64;

    /// Runs all rows, in ascending order of their slots, up to layer `to` in one pass. Their depths may differ. Keys
    /// and values are written in the layers that are run.
    ///
    /// # Errors
    /// If a token is not in the vocabulary, a slot is kept or beyond the capacity, a row is deeper than `to` or has no state
    /// at its depth, the model has fewer layers, or memory cannot be allocated.
    fn forward(&mut self, rows: &[Row], to: usize) -> Result<()>;

    /// Final norm and LM head: writes logits `[slots, width]` to `out`, which is resized.
    ///
    /// # Errors
    /// If a slot has no state.
    fn logits(&mut self, readout: &Readout, out: &mut Vec<f32>) -> Result<()>;

    /// Appends the columns of these tokens to all logits over a part of the vocabulary, replacing earlier ones. False if
    /// this back end cannot; an empty list is always possible.
    ///
    /// # Errors
    /// If memory cannot be allocated.
    fn extend_draft_head(&mut self, ids: &[u32]) -> Result<bool> {
        Ok(ids.is_empty())
    }

    /// From now on stores what the adapter of exit `exit` needs from every row; `None` stops that. The adapter does not
    /// see positions computed before. No effect on back ends that cannot run adapters.
    fn adapt(&mut self, exit: Option<usize>) {
        let _ = exit;
    }

    /// As [`Self::logits`], through the adapter of the exit `readout.depth`: its block sees all earlier positions that
    /// were stored for it, and for a row in flight the rows on the way to it.
    ///
    /// # Errors
    /// If the exit has no adapter or is not the one passed to [`Self::adapt`], a slot has no state, or memory cannot be
    /// allocated.
    fn adapted_logits(&mut self, readout: &Readout, out: &mut Vec<f32>) -> Result<()> {
        let _ = (readout, out);
        Err(Error::Setting(
            "exit adapters do not run on this device".into(),
        ))
    }

    /// Keeps the rows in flight at the slots of `path`, in ascending order: moves their keys, values and states to the
    /// slots from [`len`](Self::len). Discards the others.
    ///
    /// # Errors
    /// If a slot has no row, or the order is not ascending.
    fn keep(&mut self, path: &[usize]) -> Result<()>;

    /// Keeps the positions before `len`, whether already kept or in flight, and discards all others and all states.
    fn truncate(&mut self, len: usize);

    /// From now on stores copies of the states of rows after `layer` layers, for [`Readout::probed`]; `None` stops
    /// that.
    fn probe(&mut self, layer: Option<usize>);

    /// Runs a whole round without the host; `None` if this back end does not support that, or not this plan.
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
    /// Type of its elements.
    pub dtype: GgmlDType,
    /// Number of elements.
    pub weights: usize,
    /// Bytes in memory.
    pub bytes: u64,
}

/// Loads all weights for a device; `progress` is called with the fraction done. `threads` is for the CPU kernels;
/// `None` means one per physical core.
///
/// # Errors
/// If the checkpoint is not a supported Llama, or memory cannot be allocated.
pub fn load(
    checkpoint: &Checkpoint,
    target: impl Into<Target>,
    threads: Option<usize>,
    progress: &mut dyn FnMut(f32),
) -> Result<Box<dyn Model>> {
    let mut model: Box<dyn Model> = match target.into() {
        Target::Cpu => {
            let threads = threads.unwrap_or_else(physical_cores);
            Box::new(CpuModel::load(
                checkpoint,
                threads,
                Isa::detect(),
                progress,
            )?)
        }
        Target::Candle(device) => Box::new(CandleModel::load(checkpoint, &device, progress)?),
        #[cfg(feature = "gpu")]
        Target::Gpu(gpu) => Box::new(gpu::GpuModel::load(checkpoint, gpu, progress)?),
        #[cfg(feature = "gpu")]
        Target::Gpus(gpus) => Box::new(gpu::SplitModel::load(checkpoint, &gpus, progress)?),
    };
    let exits = checkpoint.exits.as_ref();
    if let Some(order) = exits.and_then(|exits| exits.draft_order.clone()) {
        model.set_draft_order(order)?;
    }
    Ok(model)
}

/// Checks that rows can be run up to layer `to` on a model with this config, in a sequence that keeps `len` of
/// `capacity` positions.
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
                "token {token} is not in this model's vocabulary of {size}"
            )));
        }
        if slot < len || slot >= capacity || position > slot {
            return Err(Error::Setting(format!(
                "slot {slot} for position {position} does not fit a sequence that keeps {len} of {capacity} positions"
            )));
        }
        let valid = depth <= to
            && match ancestors {
                Ancestors::Chain => position == slot,
                Ancestors::Tree(mask) => {
                    let own = slot - len;
                    own < Ancestors::MAX_NODES
                        && mask >> own == 0
                        && position == len + mask.count_ones() as usize
                }
            };
        if !valid || slot < next {
            return Err(Error::Setting(format!("inconsistent row: {row:?}")));
        }
        next = slot + 1;
    }
    Ok(())
}
