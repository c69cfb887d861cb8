//! Rejection coupling preserves the model's distribution.

use super::*;

/// Pairs of tokens from self-speculation with rejection follow the distribution of autoregressive sampling.
#[test]
fn rejection_samples_the_models_distribution() {
    let mut decoder = decoder(config(3, 4, 2, 16, true), GgmlDType::F32, 6);
    decoder.end_tokens.clear();
    let mut counts = |strategy: Strategy, seeds: std::ops::Range<u64>| {
        let mut counts = std::collections::BTreeMap::<Vec<u32>, f64>::new();
        for seed in seeds {
            let coupling = Coupling::Rejection;
            let sampling = Sampling {
                temperature: 0.8,
                top_k: 3,
                top_p: 1.0,
                seed,
                coupling,
                ..Sampling::default()
            };
            let settings = Settings {
                strategy,
                exit_layer: 1,
                num_speculations: 3,
                max_steps: 3,
                sampling,
                ..Settings::default()
            };
            *counts
                .entry(tokens(&rounds(&mut decoder, &[5, 9], &settings, |_, _| {})))
                .or_default() += 1.0;
        }
        counts
    };
    let n = 6000u64;
    let plain = counts(Strategy::Autoregressive, 0..n);
    let speculative = counts(Strategy::SelfSpeculative, n..2 * n);
    let keys: std::collections::BTreeSet<_> =
        plain.keys().chain(speculative.keys()).cloned().collect();
    let pairs = keys.iter().map(|key| {
        (
            plain.get(key).unwrap_or(&0.0),
            speculative.get(key).unwrap_or(&0.0),
        )
    });
    // For two samples of the same size, the sum of (a - b)² / (a + b) is chi-square; rare texts are pooled.
    let (mut chi, mut rare, mut freedom) = (0f64, (0f64, 0f64), 0f64);
    for (a, b) in pairs {
        if a + b < 10.0 {
            rare = (rare.0 + a, rare.1 + b);
        } else {
            chi += (a - b).powi(2) / (a + b);
            freedom += 1.0;
        }
    }
    if rare.0 + rare.1 > 0.0 {
        chi += f64::powi(rare.0 - rare.1, 2) / (rare.0 + rare.1);
    }
    assert!(freedom >= 5.0);
    // 99.99 % of a chi-square distribution are below this (Wilson and Hilferty's approximation).
    let limit =
        freedom * (1.0 - 2.0 / (9.0 * freedom) + 3.72 * (2.0 / (9.0 * freedom)).sqrt()).powi(3);
    assert!(
        chi < limit,
        "chi-square {chi} of {freedom} degrees of freedom, limit {limit}"
    );
}
