//! The Llama on the crate's own CPU kernels: each pass is one job of the thread pool.

mod adapter;
mod attention;
mod cache;
mod head;
mod layout;
mod pass;
mod scratch;
mod sequence;

use super::{DraftOrder, MatrixInfo, Model, Sequence, load, refusals, rope};
use crate::engine::config::LlamaConfig;
use crate::engine::kernels::{Arena, Isa, Packed, ThreadPool, read_bandwidth};
use crate::engine::weights::{Checkpoint, TensorSource};
use crate::engine::{Error, Result};
use adapter::Adapter;
use scratch::Scratch;
use sequence::CpuSequence;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
pub struct CpuModel(Arc<Weights>);

/// Data shared by all sequences.
struct Weights {
    config: LlamaConfig,
    isa: Isa,
    pool: ThreadPool,
    frequencies: Vec<f64>,
    embedding: Packed,
    layers: Vec<Layer>,
    output_norm: Vec<f32>,
    /// The LM head, unless it is tied to the embedding.
    output: Option<Packed>,
    draft_order: DraftOrder,
    /// Rows of the LM head in draft order; `None` if that is id order.
    draft: Option<Packed>,
    adapter: Option<Adapter>,
    scratch: Mutex<Scratch>,
}

impl CpuModel {
    /// Packs all weights for the kernels of the instruction set `isa`; `progress` is called with the fraction done.
    ///
    /// # Errors
    /// If the checkpoint is not a supported Llama, or memory cannot be allocated.
    pub fn load(
        checkpoint: &Checkpoint,
        threads: usize,
        isa: Isa,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self> {
        checkpoint
            .config
            .check()
            .map_err(|fault| Error::Model(format!("{}: {fault}", checkpoint.name)))?;
        let (config, source) = (&checkpoint.config, &*checkpoint.tensors);
        let (vocab, hidden) = (config.vocab_size, config.hidden_size);
        let steps = config.num_layers as f32 + 1.0;
        let mut arena = Arena::default();
        let embedding = load::matrix(source, "token_embd.weight", vocab, hidden, &mut arena)?;
        let output = match config.tie_word_embeddings {
            true => None,
            false => Some(load::matrix(
                source,
                "output.weight",
                vocab,
                hidden,
                &mut arena,
            )?),
        };
        let mut layers = Vec::new();
        for i in 0..config.num_layers {
            progress((i as f32 + 1.0) / steps);
            layers.push(Layer::load(
                source,
                &format!("blk.{i}"),
                config,
                &mut arena,
            )?);
        }
        let output_norm = load::vector(source, "output_norm.weight", hidden)?;
        let exits = checkpoint.exits.as_ref();
        let adapter = match exits.filter(|exits| !exits.layers.is_empty()) {
            Some(exits) => Some(Adapter::load(exits, source, config, &mut arena)?),
            None => None,
        };
        progress(1.0);
        Ok(Self(Arc::new(Weights {
            config: config.clone(),
            isa,
            pool: ThreadPool::new(threads),
            frequencies: rope::frequencies(config),
            embedding,
            layers,
            output_norm,
            output,
            draft_order: DraftOrder::by_id(vocab),
            draft: None,
            adapter,
            scratch: Mutex::default(),
        })))
    }
}

impl Model for CpuModel {
    fn config(&self) -> &LlamaConfig {
        &self.0.config
    }

    fn sequence(&self, capacity: usize) -> Result<Box<dyn Sequence>> {
        Ok(Box::new(CpuSequence::new(self.0.clone(), capacity)?))
    }

    fn draft_order(&self) -> &DraftOrder {
        &self.0.draft_order
    }

    fn set_draft_order(&mut self, order: Vec<u32>) -> Result<()> {
        let order = DraftOrder::new(order, self.0.config.vocab_size)?;
        let Some(weights) = Arc::get_mut(&mut self.0) else {
            return Err(refusals::draft_order_in_use());
        };
        weights.draft = match order.is_prefix() {
            true => None,
            false => Some(weights.head_weights().gather(order.ids(usize::MAX))?),
        };
        weights.draft_order = order;
        Ok(())
    }

    fn adapted_exits(&self) -> &[usize] {
        let adapter = self.0.adapter.as_ref();
        adapter.map_or(&[], |adapter| &adapter.exits)
    }

    fn adapter_of(&self, exit: usize) -> Option<usize> {
        self.0.adapter.as_ref()?.adapter_of(exit)
    }

    fn matrices(&self) -> Vec<MatrixInfo> {
        let layers = self.0.layers.iter().flat_map(Layer::matrices);
        let adapter = self.0.adapter.iter().flat_map(Adapter::matrices);
        let all = layers
            .chain([&self.0.embedding])
            .chain(&self.0.output)
            .chain(adapter);
        all.map(|w| MatrixInfo {
            dtype: w.dtype,
            weights: w.rows * w.cols,
            bytes: w.bytes(),
        })
        .collect()
    }

    fn device_name(&self) -> String {
        format!("cpu×{}", self.0.pool.threads())
    }

    fn step_bytes(&self) -> u64 {
        let layers = self.0.layers.iter().flat_map(Layer::matrices);
        layers
            .chain([self.0.head_weights()])
            .map(Packed::bytes)
            .sum()
    }

    fn simd(&self) -> Option<&'static str> {
        Some(self.0.isa.name())
    }

    fn read_bandwidth(&self) -> Option<f64> {
        read_bandwidth(&self.0.pool, self.0.isa, 5)
    }
}

impl Weights {
    /// The buffers of passes, for the pass at hand.
    fn scratch(&self) -> MutexGuard<'_, Scratch> {
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The matrix of the LM head.
    fn head_weights(&self) -> &Packed {
        self.output.as_ref().unwrap_or(&self.embedding)
    }
}

impl Layer {
    /// The tensors `{prefix}.attn_norm.weight` and so on.
    fn load(
        source: &dyn TensorSource,
        prefix: &str,
        config: &LlamaConfig,
        arena: &mut Arena,
    ) -> Result<Self> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let (heads, kv) = (
            config.num_heads * config.head_dim,
            config.num_kv_heads * config.head_dim,
        );
        let mut matrix = |name: &str, rows, cols| {
            load::matrix(
                source,
                &format!("{prefix}.{name}.weight"),
                rows,
                cols,
                arena,
            )
        };
        let norm = |name: &str| load::vector(source, &format!("{prefix}.{name}.weight"), hidden);
        Ok(Self {
            attn_norm: norm("attn_norm")?,
            qkv: [
                matrix("attn_q", heads, hidden)?,
                matrix("attn_k", kv, hidden)?,
                matrix("attn_v", kv, hidden)?,
            ],
            attn_output: matrix("attn_output", hidden, heads)?,
            ffn_norm: norm("ffn_norm")?,
            gate: matrix("ffn_gate", inner, hidden)?,
            up: matrix("ffn_up", inner, hidden)?,
            down: matrix("ffn_down", hidden, inner)?,
        })
    }

    fn matrices(&self) -> impl Iterator<Item = &Packed> {
        self.qkv
            .iter()
            .chain([&self.attn_output, &self.gate, &self.up, &self.down])
    }
}
