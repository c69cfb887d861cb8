//! Sampling settings.

use crate::engine::{Error, Result};
use serde::{Deserialize, Serialize};

/// How a token is chosen from logits. Without `sample`, only the penalties have an effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampling {
    /// Whether to sample; otherwise the likeliest token is chosen.
    pub sample: bool,
    /// Divisor of the logits; 0 is greedy.
    pub temperature: f32,
    /// Keep the k likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the likeliest tokens that together reach this probability; 1 keeps all.
    pub top_p: f32,
    /// Keep tokens with at least this fraction of the max probability; 0 keeps all.
    pub min_p: f32,
    /// Divides positive and multiplies negative logits of tokens in the history; 1 is off.
    pub repetition_penalty: f32,
    /// Forbid n-grams that already occur in the history; 0 is off.
    pub no_repeat_ngram: usize,
    /// Seed of all randomness.
    pub seed: u64,
    /// How draft and verify share randomness.
    pub coupling: Coupling,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            sample: true,
            temperature: 0.6,
            top_k: 0,
            top_p: 0.9,
            min_p: 0.0,
            repetition_penalty: 1.0,
            no_repeat_ngram: 0,
            seed: 42,
            coupling: Coupling::SharedNoise,
        }
    }
}

impl Sampling {
    /// Whether the likeliest token is always chosen.
    pub fn greedy(&self) -> bool {
        !self.sample || self.temperature < 1e-4
    }

    /// Whether draft and verifier sample independently, so that acceptance is random.
    pub fn rejects(&self) -> bool {
        self.coupling == Coupling::Rejection && !self.greedy()
    }

    /// Whether a filter may remove tokens from a vocabulary of `columns` tokens.
    pub fn filters(&self, columns: usize) -> bool {
        (1..columns).contains(&self.top_k) || self.top_p < 1.0 || self.min_p > 0.0
    }

    /// Checks that all values are in range.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`](crate::engine::Error::OutOfRange) for the first value out of range.
    pub fn validate(&self) -> Result<()> {
        let fault = |field: &'static str, value: f32, range: &str| {
            // Extreme numbers are easier to read in scientific notation.
            let value = match value == 0.0 || (1e-4..1e7).contains(&value.abs()) {
                true => value.to_string(),
                false => format!("{value:e}"),
            };
            let name = match field {
                "top_p" | "min_p" => field.replace('_', "-"),
                _ => field.replace('_', " "),
            };
            Err(Error::out_of_range(
                field,
                format!("{name} is {value}; it may be {range}"),
            ))
        };
        if !(0.0..=100.0).contains(&self.temperature) {
            return fault("temperature", self.temperature, "0 (greedy) to 100");
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return fault("top_p", self.top_p, "more than 0 and at most 1 (off)");
        }
        if !(0.0..=1.0).contains(&self.min_p) {
            return fault("min_p", self.min_p, "0 (off) to 1");
        }
        if !(0.01..=100.0).contains(&self.repetition_penalty) {
            return fault(
                "repetition_penalty",
                self.repetition_penalty,
                "0.01 to 100; 1 is off",
            );
        }
        Ok(())
    }
}

/// How draft and verify share randomness when sampling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coupling {
    /// Draft and verify take the argmax of log-probability plus the same Gumbel noise, a pure function of
    /// (seed, absolute position, token id). The text equals plain autoregressive sampling, token for token.
    #[default]
    SharedNoise,
    /// Accept a draft with probability min(1, p/q), else sample the residual (Leviathan et al., arXiv 2211.17192).
    Rejection,
}
