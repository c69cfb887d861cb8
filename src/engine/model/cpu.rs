//! The forward pass on the CPU: every step runs in one parallel region of the team.

use super::step::{Step, multiply, quantise_for};
use super::{load, rope};
use crate::engine::Result;
use crate::engine::cache::Pages;
use crate::engine::config::LlamaConfig;
use crate::engine::kernels::{
    Acts, Arena, LANES, Level, Packed, Queries, SCORES, Shared, Team, copy, read_bandwidth,
    rms_norm,
};
use crate::engine::weights::Checkpoint;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Weights of one layer.
pub struct Layer {
    pub attn_norm: Vec<f32>,
    /// q, k and v, which read the same activations.
    pub qkv: [Packed; 3],
    pub attn_output: Packed,
    pub ffn_norm: Vec<f32>,
    pub gate: Packed,
    pub up: Packed,
    pub down: Packed,
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
    /// Of attention, for each member of the team.
    scores: Vec<f32>,
    sums: Vec<f32>,
}

impl CpuLlama {
    pub fn load(
        checkpoint: &Checkpoint,
        level: Level,
        threads: usize,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self> {
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
        layers
            .chain([self.output.as_ref().unwrap_or(&self.embedding)])
            .map(Packed::bytes)
            .sum()
    }

    pub fn pages(&self) -> Pages {
        Pages::new(
            self.config.num_layers,
            self.config.num_kv_heads,
            self.config.head_dim,
        )
    }

    /// All matrices, the ones of the layers first.
    pub fn matrices(&self) -> impl Iterator<Item = &Packed> {
        let layers = self.layers.iter().flat_map(Layer::matrices);
        layers.chain([&self.embedding]).chain(&self.output)
    }

    /// Rows of the embedding into `hidden`, `[ids, hidden]`.
    pub fn embed(&self, ids: &[u32], hidden: &mut [f32]) {
        for (&id, row) in ids
            .iter()
            .zip(hidden.chunks_exact_mut(self.config.hidden_size))
        {
            self.embedding.row(id as usize, row);
        }
    }

    /// Lets a later [`CpuLlama::head`] with `draft` compute these tokens only, in this order.
    pub fn set_draft_order(&mut self, ids: &[u32]) {
        self.draft = Some(self.output.as_ref().unwrap_or(&self.embedding).gather(ids));
    }

    /// Layers `range` over `hidden`, `[n, hidden]`, whose rows stand at `start..start + n`.
    pub fn layers(&self, range: Range<usize>, hidden: &mut [f32], start: usize, pages: &mut Pages) {
        let n = hidden.len() / self.config.hidden_size;
        let config = &self.config;
        rope::extend(&mut pages.rotations, &self.frequencies, start + n);
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let Scratch {
            input,
            attended,
            inner,
            q,
            scores,
            sums,
        } = &mut *scratch;
        let slots = 4 * self.team.threads();
        let slot_size = Queries::room(
            config.num_heads / config.num_kv_heads,
            config.head_dim,
            start + n,
        );
        grow(q, n * config.num_heads * config.head_dim);
        grow(scores, self.team.threads() * SCORES);
        grow(sums, slots * slot_size);
        let step = Step {
            config: &self.config,
            level: self.level,
            n,
            start,
            hidden: Shared::new(hidden),
            input: input.view(n, config.hidden_size),
            attended: attended.view(n, config.num_heads * config.head_dim),
            inner: inner.view(n, config.intermediate_size),
            q: Shared::new(q),
            scores: Shared::new(scores),
            sums: Shared::new(sums),
            slots,
            slot_size,
            cache: pages,
        };
        self.team.run(&|crew| {
            for layer in range.clone() {
                // SAFETY: the buffers outlive the step, and its phases are apart.
                unsafe { step.layer(crew, layer, &self.layers[layer]) };
            }
        });
    }

    /// Final norm and LM head over `hidden`, `[n, hidden]`, into `out`, `[n, width]`; with `draft` over the first
    /// `width` tokens of the draft order, else of the vocabulary.
    pub fn head(&self, hidden: &[f32], draft: bool, width: usize, out: &mut [f32]) {
        let cols = self.config.hidden_size;
        let n = hidden.len() / cols;
        let full = self.output.as_ref().unwrap_or(&self.embedding);
        let weights = if draft {
            self.draft.as_ref().unwrap_or(full)
        } else {
            full
        };
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let (acts, out) = (scratch.input.view(n, cols), Shared::new(out));
        self.team.run(&|crew| {
            // SAFETY: members write rows, then columns, of their own.
            unsafe {
                crew.share(n, 1, |rows| {
                    for row in rows {
                        let x = &hidden[row * cols..(row + 1) * cols];
                        rms_norm(
                            self.level,
                            x,
                            &self.output_norm,
                            self.config.rms_norm_eps as f32,
                            acts.row(row),
                        );
                        quantise_for(&[weights], self.level, &acts, row);
                    }
                });
                multiply(
                    crew,
                    self.level,
                    &[weights],
                    width.div_ceil(LANES),
                    &acts,
                    n,
                    |_, panel, first, tile| {
                        let lanes = LANES.min(width - panel * LANES);
                        for (i, values) in tile.iter().enumerate() {
                            copy(
                                &values[..lanes],
                                out.slice((first + i) * width + panel * LANES, lanes),
                            );
                        }
                    },
                );
            }
        });
    }
}

impl Layer {
    fn load(checkpoint: &Checkpoint, i: usize, arena: &mut Arena) -> Result<Self> {
        let (config, source) = (&checkpoint.config, &*checkpoint.tensors);
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let (heads, kv) = (
            config.num_heads * config.head_dim,
            config.num_kv_heads * config.head_dim,
        );
        let mut matrix = |name: &str, rows, cols| {
            load::matrix(source, &format!("blk.{i}.{name}.weight"), rows, cols, arena)
        };
        let norm = |name: &str| load::vector(source, &format!("blk.{i}.{name}.weight"), hidden);
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

fn grow(buffer: &mut Vec<f32>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
}
