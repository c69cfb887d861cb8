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
    #[serde(serialize_with = "in_single_precision")]
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How the rotary frequencies are scaled for long contexts.
    pub rope_scaling: RopeScaling,
    /// Max number of positions that the model was trained for.
    pub context_length: usize,
    /// Whether the LM head is the embedding matrix.
    pub tie_word_embeddings: bool,
}

/// How rotary frequencies are scaled for long contexts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RopeScaling {
    /// No scaling.
    #[default]
    #[serde(alias = "None")]
    None,
    /// All positions are divided by a factor.
    #[serde(alias = "Linear")]
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3.1's scheme: low frequencies are divided, high ones kept, with a ramp between.
    #[serde(alias = "Llama3")]
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
    #[serde(alias = "Factors")]
    Factors(Vec<f32>),
}

/// Model files store it in single precision; further digits are noise.
fn in_single_precision<S: serde::Serializer>(
    value: &f64,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f32(*value as f32)
}

impl LlamaConfig {
    /// Checks that the sizes are plausible. The limits are far above all real models, and low enough that products of
    /// two sizes cannot overflow. `weights::shapes::check` compares the sizes with the tensors.
    ///
    /// # Errors
    ///
    /// If a size is out of range. The message is about "its" shape, so that the caller can prepend the file name.
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

    /// Number of weights of all matrices.
    pub fn matrix_weights(&self) -> u64 {
        let tables = 2 - u64::from(self.tie_word_embeddings);
        let table = self.hidden_size as u64 * self.vocab_size as u64;
        self.layer_weights() * self.num_layers as u64 + tables * table
    }

    /// Number of weights of the matrices of one layer.
    pub fn layer_weights(&self) -> u64 {
        let [hidden, inner] = [self.hidden_size, self.intermediate_size].map(|n| n as u64);
        let [heads, kv_heads, dim] =
            [self.num_heads, self.num_kv_heads, self.head_dim].map(|n| n as u64);
        hidden * (2 * (heads + kv_heads) * dim + 3 * inner)
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
        let valid = match self {
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
        if valid {
            Ok(())
        } else {
            Err(format!("its RoPE scaling is invalid: {self:?}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> LlamaConfig {
        LlamaConfig {
            vocab_size: 100,
            hidden_size: 64,
            intermediate_size: 96,
            num_layers: 2,
            num_heads: 4,
            num_kv_heads: 2,
            head_dim: 16,
            rms_norm_eps: 1e-5,
            rope_theta: 1e4,
            rope_scaling: RopeScaling::None,
            context_length: 32,
            tie_word_embeddings: true,
        }
    }

    #[test]
    fn impossible_shapes_are_rejected() {
        assert_eq!(config().check(), Ok(()));
        let sizes: [fn(&mut LlamaConfig) -> &mut usize; 8] = [
            |config| &mut config.vocab_size,
            |config| &mut config.hidden_size,
            |config| &mut config.intermediate_size,
            |config| &mut config.num_layers,
            |config| &mut config.num_heads,
            |config| &mut config.num_kv_heads,
            |config| &mut config.head_dim,
            |config| &mut config.context_length,
        ];
        for size in sizes {
            for wrong in [0, 1 << 25, usize::MAX] {
                let mut config = config();
                *size(&mut config) = wrong;
                let fault = config.check().unwrap_err();
                assert!(
                    fault.contains(&format!("is {wrong}, not between 1 and")),
                    "{fault}"
                );
            }
        }
        let changes: [fn(&mut LlamaConfig); 8] = [
            |config| config.num_kv_heads = 3,
            |config| config.head_dim = 15,
            |config| config.rms_norm_eps = -1.0,
            |config| config.rms_norm_eps = f64::NAN,
            |config| config.rope_theta = 0.0,
            |config| {
                config.rope_scaling = RopeScaling::Linear {
                    factor: f64::INFINITY,
                }
            },
            |config| config.rope_scaling = RopeScaling::Factors(vec![1.0; 7]),
            |config| {
                config.rope_scaling = RopeScaling::Llama3 {
                    factor: 8.0,
                    low_freq_factor: 4.0,
                    high_freq_factor: 4.0,
                    original_context: 8192.0,
                }
            },
        ];
        for (i, change) in changes.into_iter().enumerate() {
            let mut config = config();
            change(&mut config);
            assert!(config.check().is_err(), "change {i}");
        }
    }
}
