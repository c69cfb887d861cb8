//! The shape of a Llama, from `config.json` or GGUF metadata.

pub mod hf;

use serde::{Deserialize, Serialize};

/// Shape and constants of a Llama. All sizes are in elements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlamaConfig {
    /// Number of tokens.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward network.
    pub intermediate_size: usize,
    /// The layer count L.
    pub num_layers: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Key-value heads; fewer than `num_heads` in grouped-query attention.
    pub num_kv_heads: usize,
    /// Elements of one head; usually `hidden_size / num_heads`.
    pub head_dim: usize,
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How those are scaled for long contexts.
    pub rope_scaling: RopeScaling,
    /// Max number of positions, which the model was trained for.
    pub context_length: usize,
    /// Whether the LM head is the embedding matrix.
    pub tie_word_embeddings: bool,
}

/// How rotary frequencies are scaled for long contexts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum RopeScaling {
    /// Not at all.
    #[default]
    None,
    /// All positions are divided by a factor.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3.1's scheme: low frequencies are divided, high ones kept, with a ramp between.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f64,
        /// Frequencies with fewer turns than this over the original context are low.
        low_freq_factor: f64,
        /// Frequencies with more turns than this over the original context are high.
        high_freq_factor: f64,
        /// Context length before scaling.
        original_context: f64,
    },
    /// A divisor for each frequency, `[head_dim / 2]`, from GGUF's `rope_freqs.weight`.
    Factors(Vec<f32>),
}

impl LlamaConfig {
    /// Checks that a model can have this shape. The limits are far above all real models, and low enough that products of
    /// two sizes cannot overflow; whether the sizes are right is for the tensors to prove.
    ///
    /// # Errors
    /// Says what is wrong with "its" shape, for a message that begins with the name of the file.
    pub fn check(&self) -> Result<(), String> {
        let sizes = [
            ("vocabulary size", self.vocab_size, 1 << 24),
            ("hidden size", self.hidden_size, 1 << 20),
            ("feed-forward size", self.intermediate_size, 1 << 22),
            ("layer count", self.num_layers, 1 << 12),
            ("head count", self.num_heads, 1 << 12),
            ("key-value head count", self.num_kv_heads, 1 << 12),
            ("head size", self.head_dim, 1 << 12),
            ("context length", self.context_length, 1 << 24),
        ];
        for (what, size, max) in sizes {
            if size == 0 || size > max {
                return Err(format!("its {what} is {size}, not between 1 and {max}"));
            }
        }
        if !self.num_heads.is_multiple_of(self.num_kv_heads) {
            return Err(format!(
                "its {} heads cannot share {} key-value heads evenly",
                self.num_heads, self.num_kv_heads
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(format!(
                "its head size {} is odd, so rotary embedding cannot pair the elements",
                self.head_dim
            ));
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
            Err(format!("its RoPE scaling is invalid: {self:?}"))
        }
    }
}
