//! Rotary position embedding over adjacent pairs.

use crate::engine::config::{LlamaConfig, RopeScaling};
use std::f64::consts::PI;

/// Radians per position for each pair of a head, `[head_dim / 2]`.
pub fn frequencies(config: &LlamaConfig) -> Vec<f64> {
    let dim = config.head_dim as f64;
    let plain = (0..config.head_dim / 2).map(|i| config.rope_theta.powf(-2.0 * i as f64 / dim));
    match &config.rope_scaling {
        RopeScaling::None => plain.collect(),
        RopeScaling::Linear { factor } => plain.map(|f| f / factor).collect(),
        RopeScaling::Factors(factors) => plain
            .zip(factors)
            .map(|(f, &by)| f / f64::from(by))
            .collect(),
        &RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_context,
        } => plain
            .map(|f| {
                let turns = original_context * f / (2.0 * PI);
                let keep = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor))
                    .clamp(0.0, 1.0);
                f * (keep + (1.0 - keep) / factor)
            })
            .collect(),
    }
}

/// Extends `rotations`, `[position][pair][cos, sin]`, to `positions` positions.
pub fn extend(rotations: &mut Vec<f32>, frequencies: &[f64], positions: usize) {
    let have = rotations.len() / (2 * frequencies.len()).max(1);
    for position in have..positions {
        for frequency in frequencies {
            let (sin, cos) = (position as f64 * frequency).sin_cos();
            rotations.extend([cos as f32, sin as f32]);
        }
    }
}
