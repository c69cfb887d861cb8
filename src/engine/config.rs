//! The shape of a Llama, as `config.json` or GGUF metadata give it.

use serde::{Deserialize, Serialize};

/// Shape and constants of a Llama. All sizes are in elements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlamaConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    /// Width of the feed-forward network.
    pub intermediate_size: usize,
    /// The layer count L.
    pub num_layers: usize,
    pub num_heads: usize,
    /// Key-value heads; fewer than `num_heads` in grouped-query attention.
    pub num_kv_heads: usize,
    /// Elements of one head; usually `hidden_size / num_heads`.
    pub head_dim: usize,
    pub rms_norm_eps: f64,
    pub rope_theta: f64,
    pub rope_scaling: RopeScaling,
    /// Positions the model was made for: the most a cache may hold.
    pub context_length: usize,
    /// Whether the LM head is the embedding matrix.
    pub tie_word_embeddings: bool,
}

/// How rotary frequencies are stretched for long contexts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum RopeScaling {
    #[default]
    None,
    /// Every position divided by `factor`.
    Linear { factor: f64 },
    /// Llama 3.1's scheme: low frequencies stretched, high ones kept, a ramp between.
    Llama3 { factor: f64, low_freq_factor: f64, high_freq_factor: f64, original_context: f64 },
    /// Per-frequency divisors as GGUF's `rope_freqs.weight` holds them, `[head_dim / 2]`.
    Factors(Vec<f32>),
}
