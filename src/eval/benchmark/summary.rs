//! The summary of a benchmark's samples.

use super::Sample;
use crate::engine::decode::Stats;
use crate::eval::interval::{Interval, interval, mean};
use crate::eval::metrics::{BleuCounts, TextScores};
use crate::eval::run::Measured;
use serde::{Deserialize, Serialize};

/// All samples together. Intervals are 95 % confidence intervals, by the bootstrap over samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub samples: usize,
    pub autoregressive: StrategySummary,
    pub speculative: Option<StrategySummary>,
    pub comparison: Option<Comparison>,
}

/// One strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StrategySummary {
    pub tokens: usize,
    /// Means over samples, prefill included, as LayerSkip reports them.
    pub total_time: Option<Interval>,
    pub time_per_token: Option<Interval>,
    pub tokens_per_second: Option<Interval>,
    /// All tokens ÷ all seconds of decoding, without prefill.
    pub decode_tokens_per_second: Option<Interval>,
    /// All prompt tokens over all seconds of prefill.
    pub prefill_tokens_per_second: Option<Interval>,
    /// Mean over samples.
    pub time_to_first_token: Option<Interval>,
    /// Mean over samples of accepted ÷ drafted, as LayerSkip reports it.
    pub acceptance_rate: Option<Interval>,
    /// Acceptance rate by draft position, over all samples: accepted ÷ verified.
    pub acceptance_by_position: Vec<f64>,
    /// (accepted + 1) averaged over all rounds that drafted.
    pub mean_accepted_length: Option<Interval>,
    /// `None` without references.
    pub scores: Option<Scores>,
}

/// Similarity of the texts to their references: means over samples, except for BLEU, which is over the corpus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Number of samples with a reference.
    pub references: usize,
    pub rouge_1: Option<Interval>,
    pub rouge_2: Option<Interval>,
    pub rouge_3: Option<Interval>,
    pub rouge_l: Option<Interval>,
    pub bleu_4: Option<Interval>,
    pub edit_distance: Option<Interval>,
    /// The fraction of samples whose text equals the reference.
    pub exact_match: Option<Interval>,
}

/// The second strategy against autoregressive decoding, without prefill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Mean over samples of the ratios of time per token: the speed-up of the paper.
    pub speedup_mean_of_ratios: Option<Interval>,
    /// Ratio of tokens per second over all samples.
    pub speedup_ratio_of_speeds: Option<Interval>,
    /// Number of samples in which both generated the same tokens.
    pub same_text: usize,
}

impl Summary {
    pub fn of(samples: &[Sample]) -> Self {
        let plain: Vec<&Measured> = samples
            .iter()
            .map(|sample| &sample.autoregressive)
            .collect();
        let other: Option<Vec<&Measured>> = samples
            .iter()
            .map(|sample| sample.speculative.as_ref())
            .collect();
        let other = other.filter(|runs| !runs.is_empty());
        let references: Vec<Option<&str>> = samples
            .iter()
            .map(|sample| sample.reference.as_deref())
            .collect();
        let scores =
            |of: fn(&Sample) -> Option<TextScores>| samples.iter().map(of).collect::<Vec<_>>();
        Self {
            samples: samples.len(),
            autoregressive: StrategySummary::of(
                &plain,
                &references,
                &scores(|sample| sample.autoregressive_scores),
            ),
            comparison: other.as_ref().map(|other| Comparison {
                same_text: samples
                    .iter()
                    .filter(|sample| sample.same_text == Some(true))
                    .count(),
                ..Comparison::of(&plain, other)
            }),
            speculative: other.map(|runs| {
                StrategySummary::of(
                    &runs,
                    &references,
                    &scores(|sample| sample.speculative_scores),
                )
            }),
        }
    }
}

impl StrategySummary {
    fn of(runs: &[&Measured], references: &[Option<&str>], scores: &[Option<TextScores>]) -> Self {
        let average = |of: fn(&Measured) -> Option<f64>| {
            mean(&runs.iter().map(|run| of(run)).collect::<Vec<_>>())
        };
        let total = Stats::total(runs.iter().map(|run| &run.stats));
        let pooled = |of: fn(&Stats) -> Option<f64>| {
            interval(runs.len(), |drawn| {
                of(&Stats::total(drawn.iter().map(|&index| &runs[index].stats)))
            })
        };
        Self {
            tokens: total.tokens,
            total_time: average(|run| Some(run.total_seconds)),
            time_per_token: average(|run| Some(run.time_per_token())),
            tokens_per_second: average(|run| Some(1.0 / run.time_per_token())),
            decode_tokens_per_second: pooled(Stats::tokens_per_second),
            prefill_tokens_per_second: pooled(Stats::prefill_tokens_per_second),
            time_to_first_token: average(|run| Some(run.time_to_first_token)),
            acceptance_rate: average(|run| run.stats.acceptance_rate()),
            acceptance_by_position: total.acceptance_by_position(),
            mean_accepted_length: pooled(Stats::mean_accepted_length),
            scores: Scores::of(runs, references, scores),
        }
    }
}

impl Scores {
    fn of(
        runs: &[&Measured],
        references: &[Option<&str>],
        scores: &[Option<TextScores>],
    ) -> Option<Self> {
        if scores.iter().all(Option::is_none) {
            return None;
        }
        let average = |of: fn(&TextScores) -> f64| {
            mean(
                &scores
                    .iter()
                    .map(|scores| scores.as_ref().map(of))
                    .collect::<Vec<_>>(),
            )
        };
        let counts: Vec<BleuCounts> = runs
            .iter()
            .zip(references)
            .map(|(run, reference)| {
                let mut counts = BleuCounts::default();
                if let Some(reference) = reference {
                    counts.add(&run.text, reference);
                }
                counts
            })
            .collect();
        Some(Self {
            references: scores.iter().flatten().count(),
            rouge_1: average(|scores| scores.rouge_1),
            rouge_2: average(|scores| scores.rouge_2),
            rouge_3: average(|scores| scores.rouge_3),
            rouge_l: average(|scores| scores.rouge_l),
            bleu_4: interval(counts.len(), |drawn| {
                let mut all = BleuCounts::default();
                drawn.iter().for_each(|&index| all.merge(&counts[index]));
                Some(all.score())
            }),
            edit_distance: average(|scores| scores.edit_distance),
            exact_match: average(|scores| f64::from(u8::from(scores.exact_match))),
        })
    }
}

impl Comparison {
    /// Speed-ups of `other` over `plain`, sample by sample; the texts are not compared.
    pub fn of(plain: &[&Measured], other: &[&Measured]) -> Self {
        let ratios: Vec<Option<f64>> = plain
            .iter()
            .zip(other)
            .map(|(plain, other)| {
                positive(plain.decode_time_per_token(), other.decode_time_per_token())
            })
            .collect();
        let speed = |runs: &[&Measured], drawn: &[usize]| {
            Stats::total(drawn.iter().map(|&index| &runs[index].stats)).tokens_per_second()
        };
        Self {
            speedup_mean_of_ratios: mean(&ratios),
            speedup_ratio_of_speeds: interval(plain.len(), |drawn| {
                positive(speed(other, drawn)?, speed(plain, drawn)?)
            }),
            same_text: 0,
        }
    }
}

fn positive(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decode::StopReason;

    fn run(tokens: usize, seconds: f64) -> Measured {
        Measured {
            text: "a b".into(),
            tokens: vec![1; tokens],
            stop: StopReason::MaxSteps,
            stats: Stats {
                tokens,
                verify_seconds: seconds,
                ..Stats::default()
            },
            time_to_first_token: 0.5,
            total_seconds: seconds + 1.0,
        }
    }

    fn sample(plain: Measured, other: Measured) -> Sample {
        let scores = TextScores::of(&plain.text, "a c");
        Sample {
            id: "0".into(),
            category: None,
            prompt_tokens: 1,
            reference: Some("a c".into()),
            same_text: Some(plain.tokens == other.tokens),
            autoregressive: plain,
            autoregressive_scores: Some(scores),
            speculative: Some(other),
            speculative_scores: Some(scores),
        }
    }

    /// Two samples with the ratios 2 and 1: the mean of ratios is 1.5, while over all 110 tokens the long sample
    /// dominates.
    #[test]
    fn both_speed_ups_are_what_their_names_say() {
        let samples = [
            sample(run(10, 2.0), run(10, 1.0)),
            sample(run(100, 10.0), run(100, 10.0)),
        ];
        let summary = Summary::of(&samples);
        let comparison = summary.comparison.unwrap();
        let value = |interval: Option<Interval>| interval.unwrap().value;
        assert!((value(comparison.speedup_mean_of_ratios) - 1.5).abs() < 1e-12);
        assert!((value(comparison.speedup_ratio_of_speeds) - 12.0 / 11.0).abs() < 1e-12);
        assert_eq!(comparison.same_text, 2);
        let plain = summary.autoregressive;
        assert!((value(plain.time_per_token) - (3.0 / 10.0 + 11.0 / 100.0) / 2.0).abs() < 1e-12);
        assert!((value(plain.decode_tokens_per_second) - 110.0 / 12.0).abs() < 1e-12);
        assert!((value(plain.scores.unwrap().rouge_1) - 0.5).abs() < 1e-12);
        assert_eq!(plain.acceptance_rate, None, "nothing was drafted");
    }
}
