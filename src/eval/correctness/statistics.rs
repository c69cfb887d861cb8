//! A permutation test for whether two sets of texts come from one distribution.

use crate::engine::sampling::noise::{PositionNoise, Stream};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Number of tokens of each text that are compared.
pub const POSITIONS: usize = 4;
/// Permutations of each test.
const PERMUTATIONS: usize = 2000;
/// A combined p-value below this counts as a difference.
const SIGNIFICANCE: f64 = 0.001;

/// All prompts together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampled {
    /// Texts of each strategy for each prompt.
    pub repetitions: usize,
    pub prompts: Vec<SampledPrompt>,
    /// The p-value: the probability of differences at least this large if both strategies draw from one distribution,
    /// over all prompts (Fisher's method).
    pub p_value: f64,
    /// Whether the p-value is small enough to conclude that they do not.
    pub differs: bool,
}

/// The texts of one prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampledPrompt {
    /// Id of the example.
    pub example: String,
    /// Total variation between the two samples' tokens, averaged over positions.
    pub distance: f64,
    pub p_value: f64,
}

impl Sampled {
    pub fn of(repetitions: usize, prompts: Vec<SampledPrompt>) -> Self {
        let p_value = fisher(prompts.iter().map(|prompt| prompt.p_value));
        Self {
            repetitions,
            prompts,
            p_value,
            differs: p_value < SIGNIFICANCE,
        }
    }
}

impl SampledPrompt {
    /// Compares the texts of both strategies.
    pub fn of(example: String, one: &[Vec<u32>], other: &[Vec<u32>]) -> Self {
        let mut pool: Vec<&Vec<u32>> = one.iter().chain(other).collect();
        let distance = distance(&pool, one.len());
        let mut as_far = 1;
        for round in 0..PERMUTATIONS {
            let noise = PositionNoise::new(1, round, Stream::Draft);
            for at in (1..pool.len()).rev() {
                pool.swap(at, (noise.uniform(at as u32) * (at + 1) as f64) as usize);
            }
            as_far += usize::from(self::distance(&pool, one.len()) >= distance - 1e-12);
        }
        Self {
            example,
            distance,
            p_value: as_far as f64 / (PERMUTATIONS + 1) as f64,
        }
    }
}

/// Total variation between the tokens of the first `half` texts and of the others, averaged over positions.
fn distance(texts: &[&Vec<u32>], half: usize) -> f64 {
    let (one, other) = (half.max(1) as f64, (texts.len() - half).max(1) as f64);
    let mut sum = 0.0;
    for position in 0..POSITIONS {
        let mut excess: HashMap<Option<u32>, f64> = HashMap::new();
        for (at, text) in texts.iter().enumerate() {
            let weight = if at < half { 1.0 / one } else { -1.0 / other };
            *excess.entry(text.get(position).copied()).or_default() += weight;
        }
        sum += excess.values().map(|excess| excess.abs()).sum::<f64>() / 2.0;
    }
    sum / POSITIONS as f64
}

/// Combines independent p-values: −2 Σ ln p has a χ² distribution with two degrees of freedom per value.
fn fisher(p_values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = p_values.len();
    let half: f64 = p_values.map(|p| -p.ln()).sum();
    let (mut term, mut sum) = (1.0, 0.0);
    for k in 0..count {
        if k > 0 {
            term *= half / k as f64;
        }
        sum += term;
    }
    (sum * (-half).exp()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts with tokens from one of two distributions over `0..n`.
    fn texts(n: u32, seed: u64, shifted: bool) -> Vec<Vec<u32>> {
        let draw = |at: usize, position: u32| {
            let uniform = PositionNoise::new(seed, at, Stream::Draft).uniform(position);
            let uniform = if shifted { uniform * uniform } else { uniform };
            (uniform * f64::from(n)) as u32
        };
        (0..80)
            .map(|at| (0..4).map(|position| draw(at, position)).collect())
            .collect()
    }

    #[test]
    fn equal_distributions_pass_and_others_do_not() {
        let prompts = |shifted: bool| {
            let of = |seed: u64| {
                SampledPrompt::of(
                    seed.to_string(),
                    &texts(5, seed, false),
                    &texts(5, seed + 100, shifted),
                )
            };
            Sampled::of(80, (0..4).map(of).collect())
        };
        let (same, other) = (prompts(false), prompts(true));
        assert!(!same.differs && same.p_value > 0.01, "{same:?}");
        assert!(other.differs, "{other:?}");
    }

    #[test]
    fn fishers_method_is_that_of_the_tables() {
        assert!((fisher([0.3].into_iter()) - 0.3).abs() < 1e-12);
        // χ² with 4 degrees of freedom at −2 ln(0.05²) = 11.98.
        assert!((fisher([0.05, 0.05].into_iter()) - 0.017_478_6).abs() < 1e-6);
    }
}
