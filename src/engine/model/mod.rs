//! The Llama: embed, layers by range, head.

mod cpu;
mod load;
pub mod random;
mod rope;
#[cfg(test)]
mod tests;

use crate::engine::cache::{KvCache, Store};
use crate::engine::config::LlamaConfig;
use crate::engine::kernels::{Level, physical_cores};
use crate::engine::weights::Checkpoint;
use crate::engine::{Error, Result};
use candle_core::{CpuStorage, Device, InplaceOp1, Layout, Storage, Tensor};
use cpu::CpuLlama;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// A Llama whose layers can be run by ranges.
pub struct Llama {
    pub config: LlamaConfig,
    body: CpuLlama,
    /// Token ids by the column of a reduced head.
    draft_order: Vec<u32>,
    /// Whether `draft_order` is the vocabulary's own order, whose rows need no copy.
    draft_is_prefix: bool,
}

impl Llama {
    /// Reads and packs all weights; `progress` is called with the share that is done. `threads` is how many the CPU
    /// kernels use, none for the physical cores.
    pub fn load(
        checkpoint: &Checkpoint,
        device: &Device,
        threads: Option<usize>,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self> {
        if !device.is_cpu() {
            return Err(Error::Model("this device is not supported yet".into()));
        }
        Self::load_cpu(checkpoint, threads.unwrap_or_else(physical_cores), Level::detect(), progress)
    }

    /// As [`Llama::load`] for the CPU kernels at a level of SIMD.
    pub fn load_cpu(
        checkpoint: &Checkpoint,
        threads: usize,
        level: Level,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self> {
        let config = checkpoint.config.clone();
        load::check(&config)?;
        let body = CpuLlama::load(checkpoint, level, threads, progress)?;
        let draft_order = (0..config.vocab_size as u32).collect();
        Ok(Self { config, body, draft_order, draft_is_prefix: true })
    }

    /// An empty cache for at most `capacity` positions, which grows as it is filled.
    pub fn new_cache(&self, capacity: usize) -> Result<KvCache> {
        if capacity == 0 {
            return Err(Error::Setting("a cache needs room for at least one position".into()));
        }
        let capacity = capacity.min(self.config.context_length);
        Ok(KvCache::new(capacity, Store::Pages(self.body.pages())))
    }

    /// Embeddings of tokens, `[n, hidden]`. Fails on ids outside of the vocabulary.
    pub fn embed(&self, ids: &[u32]) -> Result<Tensor> {
        if let Some(id) = ids.iter().find(|&&id| id as usize >= self.config.vocab_size) {
            return Err(Error::Setting(format!("token {id} is not among the {} of the model", self.config.vocab_size)));
        }
        let rows = self.body.embed(ids);
        Ok(Tensor::from_vec(rows, (ids.len(), self.config.hidden_size), &Device::Cpu)?)
    }

    /// Runs layers `range` in place over `hidden`, `[n, hidden]`, whose rows stand at positions `start..start + n`;
    /// keys and values are written there. Fails if the cache has no room, or holds fewer than `start` positions.
    pub fn layers(&self, range: Range<usize>, hidden: &mut Tensor, start: usize, cache: &mut KvCache) -> Result<()> {
        let (n, width) = hidden.dims2()?;
        if width != self.config.hidden_size || range.start > range.end || range.end > self.config.num_layers {
            let message = format!("layers {range:?} cannot run over hidden states [{n}, {width}] of this model");
            return Err(Error::Setting(message));
        }
        if n == 0 || range.is_empty() {
            return Ok(());
        }
        cache.extend(start, n)?;
        let op = LayersOp { body: &self.body, range, start, cache: Mutex::new(cache) };
        Ok(hidden.inplace_op1(&op)?)
    }

    /// Final norm and LM head over all rows of `hidden`, `[n, hidden]`: logits row by row in `out`, which becomes
    /// `n * width` long. `vocab` is 0 for the whole vocabulary, else how many tokens of the draft order to compute.
    pub fn head(&self, hidden: &Tensor, vocab: usize, out: &mut Vec<f32>) -> Result<()> {
        let (n, hidden_size) = hidden.dims2()?;
        if hidden_size != self.config.hidden_size {
            return Err(Error::Setting(format!("hidden states of {hidden_size} elements do not fit this model")));
        }
        let width = self.head_width(vocab);
        out.resize(n * width, 0.0);
        let hidden = hidden.contiguous()?;
        // Straight from the storage: a custom op would put the logits in a tensor first.
        let (storage, layout) = hidden.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else {
            return Err(Error::Setting("hidden states are on another device than the model".into()));
        };
        let rows = &storage.as_slice::<f32>()?[layout.start_offset()..][..n * hidden_size];
        self.body.head(rows, vocab > 0 && !self.draft_is_prefix, width, out);
        Ok(())
    }

    /// How many logits [`Llama::head`] gives for each row.
    pub fn head_width(&self, vocab: usize) -> usize {
        if vocab == 0 { self.config.vocab_size } else { vocab.min(self.draft_order.len()) }
    }

    /// Token ids of the columns of a head reduced to `vocab`; 0 is not reduced, and gives nothing.
    pub fn draft_ids(&self, vocab: usize) -> &[u32] {
        &self.draft_order[..vocab.min(self.draft_order.len())]
    }

    /// The order in which a reduced head takes tokens, most frequent first; it may leave tokens out. Their rows are
    /// packed a second time. Without it the order is that of the ids, which for BPE are the most frequent merges.
    pub fn set_draft_order(&mut self, order: Vec<u32>) -> Result<()> {
        if order.is_empty() || order.iter().any(|&id| id as usize >= self.config.vocab_size) {
            return Err(Error::Setting("the order of the draft vocabulary must name tokens of the model".into()));
        }
        self.draft_is_prefix = order.iter().enumerate().all(|(i, &id)| i == id as usize);
        if !self.draft_is_prefix {
            self.body.set_draft_order(&order);
        }
        self.draft_order = order;
        Ok(())
    }

    /// Bytes that the weights take in memory.
    pub fn weight_bytes(&self) -> u64 {
        self.body.matrices().map(|w| w.bytes()).sum()
    }

    /// Type of most of the weights: `q8_0`, `f16`, …
    pub fn dtype_name(&self) -> String {
        let mut counts = BTreeMap::<String, u64>::new();
        for matrix in self.body.matrices() {
            *counts.entry(dtype_name(matrix.dtype)).or_default() += (matrix.rows * matrix.cols) as u64;
        }
        counts.into_iter().max_by_key(|(_, n)| *n).map(|(name, _)| name).unwrap_or_default()
    }

    /// `cpu×2`, `cuda`, `metal`.
    pub fn device_name(&self) -> String {
        format!("cpu×{}", self.body.threads())
    }
}

/// `Q4K` is `q4_k` to people.
fn dtype_name(dtype: candle_core::quantized::GgmlDType) -> String {
    let name = format!("{dtype:?}").to_lowercase();
    match name.strip_suffix('k') {
        Some(front) => format!("{front}_k"),
        None => name,
    }
}

/// [`CpuLlama::layers`] over the storage of a tensor.
struct LayersOp<'a> {
    body: &'a CpuLlama,
    range: Range<usize>,
    start: usize,
    /// Candle hands operations out by shared reference.
    cache: Mutex<&'a mut KvCache>,
}

impl InplaceOp1 for LayersOp<'_> {
    fn name(&self) -> &'static str {
        "llama-layers"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (CpuStorage::F32(data), Some((from, to))) = (storage, layout.contiguous_offsets()) else {
            candle_core::bail!("hidden states must be contiguous f32");
        };
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let Store::Pages(pages) = &mut cache.store else {
            candle_core::bail!("the cache belongs to another device");
        };
        self.body.layers(self.range.clone(), &mut data[from..to], self.start, pages);
        Ok(())
    }
}
