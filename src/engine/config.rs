//! The shape of a Llama, as `config.json` or GGUF metadata give it.

pub mod huggingface;

use serde::{Deserialize, Serialize};

/// The longest context anyone claims; beyond it a file is damaged.
const MAX_CONTEXT: usize = 1 << 24;

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
    Llama3 {
        factor: f64,
        low_freq_factor: f64,
        high_freq_factor: f64,
        original_context: f64,
    },
    /// Per-frequency divisors as GGUF's `rope_freqs.weight` holds them, `[head_dim / 2]`.
    Factors(Vec<f32>),
}

impl LlamaConfig {
    /// What makes this shape impossible, in words; nothing if it is sound. Sizes are not judged here: the tensors prove
    /// or refute them.
    pub fn check(&self) -> Result<(), String> {
        let sizes = [
            ("vocabulary", self.vocab_size),
            ("hidden size", self.hidden_size),
            ("feed-forward size", self.intermediate_size),
            ("layer count", self.num_layers),
            ("head count", self.num_heads),
            ("key-value head count", self.num_kv_heads),
            ("head size", self.head_dim),
            ("context length", self.context_length),
        ];
        if let Some((what, size)) = sizes
            .iter()
            .find(|(_, n)| *n == 0 || *n > u32::MAX as usize)
        {
            return Err(format!("its {what} is {size}"));
        }
        if !self.num_heads.is_multiple_of(self.num_kv_heads) {
            return Err(format!(
                "{} heads cannot share {} key-value heads",
                self.num_heads, self.num_kv_heads
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(format!(
                "its head size {} is odd, which rotary embedding cannot halve",
                self.head_dim
            ));
        }
        if self.context_length > MAX_CONTEXT {
            return Err(format!("its context length is {}", self.context_length));
        }
        self.check_constants()
    }

    fn check_constants(&self) -> Result<(), String> {
        if !(self.rms_norm_eps.is_finite() && self.rms_norm_eps >= 0.0) {
            return Err(format!("its RMSNorm epsilon is {}", self.rms_norm_eps));
        }
        if !(self.rope_theta.is_finite() && self.rope_theta > 0.0) {
            return Err(format!("its RoPE base is {}", self.rope_theta));
        }
        self.rope_scaling.check(self.head_dim)
    }
}

impl RopeScaling {
    fn check(&self, head_dim: usize) -> Result<(), String> {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let sound = match self {
            Self::None => true,
            Self::Linear { factor } => positive(*factor),
            Self::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_context,
            } => {
                [
                    *factor,
                    *low_freq_factor,
                    *high_freq_factor,
                    *original_context,
                ]
                .into_iter()
                .all(positive)
                    && high_freq_factor > low_freq_factor
            }
            Self::Factors(factors) => {
                factors.len() == head_dim / 2 && factors.iter().all(|&x| x.is_finite() && x > 0.0)
            }
        };
        if sound {
            Ok(())
        } else {
            Err(format!("its RoPE scaling makes no sense: {self:?}"))
        }
    }
}
