//! The Llama: embed, layers by range, head.
//!
//! Two bodies compute the same. The CPU's runs its own kernels over plain buffers and allocates nothing once they are
//! there; the other runs candle's operations over tensors on any device of candle. What passes between the stages,
//! [`Hidden`] and [`KvCache`], is kept in the form that the body at work wants.

mod cpu;
mod device;
mod hidden;
mod load;
pub mod random;
mod rope;
mod step;
#[cfg(test)]
mod tests;

use crate::engine::cache::{KvCache, Store};
use crate::engine::config::LlamaConfig;
use crate::engine::kernels::{Level, Packed, physical_cores};
use crate::engine::weights::Checkpoint;
use crate::engine::{Error, Result};
use candle_core::quantized::GgmlDType;
use candle_core::{Device, DeviceLocation, Tensor};
use cpu::CpuLlama;
pub(crate) use device::CacheTensors;
use device::{DeviceLlama, Kind};
pub use hidden::Hidden;
use hidden::{States, elsewhere};
use std::collections::BTreeMap;
use std::ops::Range;

/// A Llama whose layers can be run by ranges.
pub struct Llama {
    pub config: LlamaConfig,
    body: Body,
    /// Token ids by the column of a reduced head.
    draft_order: Vec<u32>,
    /// Whether `draft_order` is the vocabulary's own order, whose rows need no copy.
    draft_is_prefix: bool,
}

/// Who computes.
enum Body {
    Cpu(Box<CpuLlama>),
    Device(Box<DeviceLlama>),
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
        if device.is_cpu() {
            let threads = threads.unwrap_or_else(physical_cores);
            return Self::load_cpu(checkpoint, threads, Level::detect(), progress);
        }
        Self::load_tensors(checkpoint, device, progress)
    }

    /// As [`Llama::load`] for candle's own operations, on any of its devices. A row's result may depend on its
    /// neighbours there.
    pub fn load_tensors(
        checkpoint: &Checkpoint,
        device: &Device,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self> {
        load::check(&checkpoint.config)?;
        let body = DeviceLlama::load(checkpoint, device, progress)?;
        Ok(Self::new(
            checkpoint.config.clone(),
            Body::Device(Box::new(body)),
        ))
    }

    /// As [`Llama::load`] for the CPU kernels at a level of SIMD.
    pub fn load_cpu(
        checkpoint: &Checkpoint,
        threads: usize,
        level: Level,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self> {
        load::check(&checkpoint.config)?;
        let body = CpuLlama::load(checkpoint, level, threads, progress)?;
        Ok(Self::new(
            checkpoint.config.clone(),
            Body::Cpu(Box::new(body)),
        ))
    }

    fn new(config: LlamaConfig, body: Body) -> Self {
        let draft_order = (0..config.vocab_size as u32).collect();
        Self {
            config,
            body,
            draft_order,
            draft_is_prefix: true,
        }
    }

    /// An empty cache for at most `capacity` positions, which grows as it is filled.
    pub fn new_cache(&self, capacity: usize) -> Result<KvCache> {
        if capacity == 0 {
            return Err(Error::Setting(
                "a cache needs room for at least one position".into(),
            ));
        }
        let capacity = capacity.min(self.config.context_length);
        Ok(KvCache::new(
            capacity,
            match &self.body {
                Body::Cpu(body) => Store::Pages(body.pages()),
                Body::Device(body) => Store::Tensors(body.cache()),
            },
        ))
    }

    /// Puts the embeddings of tokens into `hidden`, a row for each, in place of what was there. Fails on ids outside of
    /// the vocabulary.
    pub fn embed(&self, ids: &[u32], hidden: &mut Hidden) -> Result<()> {
        if let Some(id) = ids
            .iter()
            .find(|&&id| id as usize >= self.config.vocab_size)
        {
            return Err(Error::Setting(format!(
                "token {id} is not among the {} of the model",
                self.config.vocab_size
            )));
        }
        match &self.body {
            Body::Cpu(body) => body.embed(ids, hidden.buffer(ids.len(), self.config.hidden_size)),
            Body::Device(body) => hidden.set_tensor(body.embed(ids)?)?,
        }
        Ok(())
    }

    /// Runs layers `range` in place over `hidden`, whose n rows stand at positions `start..start + n`; keys and values
    /// are written there. Fails if the cache has no room, or holds fewer than `start` positions.
    pub fn layers(
        &self,
        range: Range<usize>,
        hidden: &mut Hidden,
        start: usize,
        cache: &mut KvCache,
    ) -> Result<()> {
        self.check_width(hidden)?;
        if range.start > range.end || range.end > self.config.num_layers {
            return Err(Error::Setting(format!(
                "this model has no layers {range:?}"
            )));
        }
        if hidden.is_empty() || range.is_empty() {
            return Ok(());
        }
        cache.extend(start, hidden.rows())?;
        match (&self.body, &mut hidden.states, &mut cache.store) {
            (Body::Cpu(body), States::Rows(rows), Store::Pages(pages)) => {
                body.layers(range, rows, start, pages)
            }
            (Body::Device(body), States::Tensors(_), Store::Tensors(tensors)) => {
                let passed = body.layers(range, &hidden.tensor()?, start, tensors)?;
                hidden.set_tensor(passed)?;
            }
            _ => return Err(elsewhere()),
        }
        Ok(())
    }

    /// Final norm and LM head over all n rows of `hidden`: logits row by row in `out`, which becomes `n * width` long.
    /// `vocab` is 0 for the whole vocabulary, else how many tokens of the draft order to compute.
    pub fn head(&self, hidden: &Hidden, vocab: usize, out: &mut Vec<f32>) -> Result<()> {
        self.check_width(hidden)?;
        let width = self.head_width(vocab);
        out.resize(hidden.rows() * width, 0.0);
        if hidden.is_empty() {
            return Ok(());
        }
        match (&self.body, &hidden.states) {
            (Body::Cpu(body), States::Rows(rows)) => {
                body.head(rows, vocab > 0 && !self.draft_is_prefix, width, out);
            }
            (Body::Device(body), States::Tensors(_)) => {
                let mut logits = body.head(&hidden.tensor()?)?;
                if width < self.config.vocab_size || vocab > 0 {
                    logits = logits
                        .index_select(&Tensor::new(self.draft_ids(vocab), logits.device())?, 1)?;
                }
                out.copy_from_slice(&logits.flatten_all()?.to_vec1::<f32>()?);
            }
            _ => return Err(elsewhere()),
        }
        Ok(())
    }

    fn check_width(&self, hidden: &Hidden) -> Result<()> {
        let width = hidden.width()?;
        if !hidden.is_empty() && width != self.config.hidden_size {
            return Err(Error::Setting(format!(
                "hidden states of {width} elements do not fit this model"
            )));
        }
        Ok(())
    }

    /// How many logits [`Llama::head`] gives for each row.
    pub fn head_width(&self, vocab: usize) -> usize {
        if vocab == 0 {
            self.config.vocab_size
        } else {
            vocab.min(self.draft_order.len())
        }
    }

    /// Token ids of the columns of a head reduced to `vocab`; 0 is not reduced, and gives nothing.
    pub fn draft_ids(&self, vocab: usize) -> &[u32] {
        &self.draft_order[..vocab.min(self.draft_order.len())]
    }

    /// The order in which a reduced head takes tokens, most frequent first; it may leave tokens out. Their rows are
    /// packed a second time. Without it the order is that of the ids, which for BPE are the most frequent merges.
    pub fn set_draft_order(&mut self, order: Vec<u32>) -> Result<()> {
        if order.is_empty()
            || order
                .iter()
                .any(|&id| id as usize >= self.config.vocab_size)
        {
            return Err(Error::Setting(
                "the order of the draft vocabulary must name tokens of the model".into(),
            ));
        }
        self.draft_is_prefix = order.iter().enumerate().all(|(i, &id)| i == id as usize);
        if let (false, Body::Cpu(body)) = (self.draft_is_prefix, &mut self.body) {
            body.set_draft_order(&order);
        }
        self.draft_order = order;
        Ok(())
    }

    /// The CPU kernels, where they compute.
    fn cpu(&self) -> Option<&CpuLlama> {
        match &self.body {
            Body::Cpu(body) => Some(body),
            Body::Device(_) => None,
        }
    }

    /// Type, number of weights and bytes of every matrix.
    fn kinds(&self) -> Vec<Kind> {
        match &self.body {
            Body::Device(body) => body.kinds.clone(),
            Body::Cpu(body) => {
                let kind = |w: &Packed| Kind {
                    dtype: w.dtype,
                    weights: w.rows * w.cols,
                    bytes: w.bytes(),
                };
                body.matrices().map(kind).collect()
            }
        }
    }

    /// Bytes that the weights take in memory.
    pub fn weight_bytes(&self) -> u64 {
        self.kinds().iter().map(|kind| kind.bytes).sum()
    }

    /// Bytes of weights that one decode step reads.
    pub fn step_bytes(&self) -> u64 {
        self.cpu()
            .map_or_else(|| self.weight_bytes(), CpuLlama::step_bytes)
    }

    /// Bytes a second that the threads of the CPU kernels read from memory; none on other devices. Takes a moment.
    pub fn read_bandwidth(&self) -> Option<f64> {
        self.cpu().map(CpuLlama::read_bandwidth)
    }

    /// SIMD level of the CPU kernels; none on other devices.
    pub fn simd(&self) -> Option<&'static str> {
        self.cpu().map(|body| body.level().name())
    }

    /// Type of most of the weights: `q8_0`, `f16`, …
    pub fn dtype_name(&self) -> String {
        let mut counts = BTreeMap::<String, usize>::new();
        for kind in self.kinds() {
            *counts.entry(dtype_name(kind.dtype)).or_default() += kind.weights;
        }
        counts
            .into_iter()
            .max_by_key(|(_, n)| *n)
            .map(|(name, _)| name)
            .unwrap_or_default()
    }

    /// `cpu×2`, `cuda`, `metal`.
    pub fn device_name(&self) -> String {
        match &self.body {
            Body::Cpu(body) => format!("cpu×{}", body.threads()),
            Body::Device(body) => match body.device.location() {
                DeviceLocation::Cpu => "cpu".into(),
                DeviceLocation::Cuda { .. } => "cuda".into(),
                DeviceLocation::Metal { .. } => "metal".into(),
            },
        }
    }
}

/// `Q4K` is `q4_k` to people.
fn dtype_name(dtype: GgmlDType) -> String {
    let name = format!("{dtype:?}").to_lowercase();
    match name.strip_suffix('k') {
        Some(front) => format!("{front}_k"),
        None => name,
    }
}
