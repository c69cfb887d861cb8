//! Compares distributions with their definitions.

use super::*;
use crate::engine::sampling::noise::{PositionNoise, Stream};
use proptest::prelude::*;

fn distribution(logits: &[f32], sampling: &Sampling) -> Distribution {
    let mut distribution = Distribution::default();
    distribution.fill(logits, None, sampling).unwrap();
    distribution
}

/// The surviving columns by definition: sort everything.
fn survivors(logits: &[f32], s: &Sampling) -> Vec<u32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut all: Vec<(u32, f32)> = logits
        .iter()
        .enumerate()
        .map(|(i, &x)| (i as u32, softmax::weight((x - max) / s.temperature)))
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    if s.top_k > 0 {
        all.truncate(s.top_k);
    }
    let total: f64 = all.iter().map(|&(_, w)| f64::from(w)).sum();
    let mut sum = 0.0;
    let nucleus = all.iter().position(|&(_, w)| {
        sum += f64::from(w);
        sum >= total * f64::from(s.top_p)
    });
    if s.top_p < 1.0 {
        all.truncate(nucleus.map_or(all.len(), |n| n + 1));
    }
    all.into_iter()
        .enumerate()
        .filter(|(i, (_, w))| *i == 0 || *w >= s.min_p)
        .map(|(_, (id, _))| id)
        .collect()
}

proptest! {
    #[test]
    fn filtering_matches_a_full_sort(
        logits in prop::collection::vec(-6f32..6.0, 1..400),
        top_k in 0usize..50, top_p in 0.05f32..0.99, min_p in 0f32..0.3, temperature in 0.2f32..3.0,
    ) {
        let sampling = Sampling { top_k, top_p, min_p, temperature, ..Sampling::default() };
        let distribution = distribution(&logits, &sampling);
        let want = survivors(&logits, &sampling);
        // Rounding of the running sum may move the border by one token.
        prop_assert!(distribution.kept.len().abs_diff(want.len()) <= 1);
        let common = want.len().min(distribution.kept.len());
        prop_assert_eq!(&distribution.kept[..common], &want[..common]);
        let sum: f32 = (0..logits.len() as u32).map(|id| distribution.probability(id)).sum();
        prop_assert!((sum - 1.0).abs() < 1e-4);
    }

    #[test]
    fn pruned_gumbel_argmax_is_the_argmax(logits in prop::collection::vec(-9f32..9.0, 1..300), seed: u64) {
        let distribution = distribution(&logits, &Sampling { temperature: 1.0, top_p: 1.0, ..Sampling::default() });
        let noise = PositionNoise::new(seed, 3, Stream::Gumbel);
        let score = |i: &usize| f64::from(distribution.weights[*i]).ln() + noise::gumbel(noise.uniform(*i as u32));
        let want = (0..logits.len()).max_by(|a, b| score(a).total_cmp(&score(b))).unwrap();
        prop_assert_eq!(distribution.gumbel_argmax(noise), want as u32);
    }
}

#[test]
fn samples_follow_the_distribution() {
    let logits = [0.0, 1.0, 2.0, -1.0, 0.5];
    let distribution = distribution(
        &logits,
        &Sampling {
            temperature: 1.0,
            top_p: 1.0,
            ..Sampling::default()
        },
    );
    let (mut gumbel, mut cdf) = ([0f64; 5], [0f64; 5]);
    let n = 40_000;
    for position in 0..n {
        gumbel[distribution.gumbel_argmax(PositionNoise::new(5, position, Stream::Gumbel))
            as usize] += 1.0;
        let uniform = PositionNoise::new(5, position, Stream::Verify).uniform(0);
        cdf[distribution.inverse_cdf(uniform) as usize] += 1.0;
    }
    for counts in [gumbel, cdf] {
        let chi: f64 = counts
            .iter()
            .enumerate()
            .map(|(id, &count)| {
                let want = f64::from(distribution.probability(id as u32)) * n as f64;
                (count - want).powi(2) / want
            })
            .sum();
        assert!(chi < 23.5, "chi-square of 4 degrees of freedom: {chi}");
    }
}

#[test]
fn a_vocab_subset_is_indexed_by_token_id() {
    let vocab = Arc::new(VocabSubset::new(vec![7, 2, 9], 12));
    let mut distribution = Distribution::default();
    distribution
        .fill(&[0.0, 3.0, 1.0], Some(&vocab), &Sampling::default())
        .unwrap();
    assert_eq!(distribution.argmax(), 2);
    assert_eq!(distribution.probability(5), 0.0);
    assert!(distribution.probability(2) > 0.5);
}

#[test]
fn a_non_finite_max_logit_is_an_error() {
    for bad in [
        [f32::NAN; 3],
        [f32::NEG_INFINITY; 3],
        [f32::INFINITY, 0.0, 0.0],
    ] {
        assert!(
            Distribution::default()
                .fill(&bad, None, &Sampling::default())
                .is_err()
        );
    }
}
