//! Counts and times of an answer, in the formats of other servers: OpenAI's `usage`, llama.cpp's `timings`, vLLM's
//! `metrics`.

use crate::engine::decode::{Round, Stats, StopReason};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// OpenAI's token counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Usage {
    pub prompt_tokens: usize,
    pub completion_tokens: usize,
    pub total_tokens: usize,
    pub prompt_tokens_details: PromptTokensDetails,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct PromptTokensDetails {
    /// Prompt tokens found in a kept sequence.
    pub cached_tokens: usize,
}

/// llama.cpp's counts and times; `draft_*` are always present.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Timings {
    pub cache_n: usize,
    pub prompt_n: usize,
    pub prompt_ms: f64,
    pub prompt_per_token_ms: f64,
    pub prompt_per_second: f64,
    pub predicted_n: usize,
    pub predicted_ms: f64,
    pub predicted_per_token_ms: f64,
    pub predicted_per_second: f64,
    pub draft_n: usize,
    pub draft_n_accepted: usize,
    /// Prompt tokens computed in `prompt_ms`. The last token of a prompt is not: it begins decoding.
    #[serde(skip)]
    computed: usize,
}

/// vLLM's figures of one choice.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RequestMetrics {
    pub queue_time_ms: f64,
    pub time_to_first_token_ms: Option<f64>,
    pub generation_time_ms: f64,
    pub mean_itl_ms: Option<f64>,
    pub tokens_per_second: Option<f64>,
    /// `None` if nothing was to be drafted.
    pub speculative_decoding: Option<SpeculativeDecoding>,
}

/// vLLM's figures of speculation. A step is a round that drafted.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SpeculativeDecoding {
    pub mean_acceptance_length: Option<f64>,
    pub draft_acceptance_rate: Option<f64>,
    /// How many steps accepted 0, 1, … tokens.
    pub acceptance_histogram: Vec<usize>,
    /// The same by the number of drafted tokens.
    #[schema(value_type = BTreeMap<String, Vec<usize>>)]
    pub acceptance_histogram_by_draft_length: BTreeMap<usize, Vec<usize>>,
    pub num_spec_steps: usize,
    pub num_accepted_draft_tokens: usize,
    pub num_draft_tokens: usize,
    /// K; `None` if it changed.
    pub num_spec_tokens: Option<usize>,
    /// Only with `skiplens: {"detail": true}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_step_accepted: Option<Vec<usize>>,
    /// As `per_step_accepted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_step_drafted: Option<Vec<usize>>,
}

/// Counts updated with every round.
#[derive(Debug, Clone, Default)]
pub struct Steps {
    /// Totals of the rounds that drafted.
    stats: Stats,
    /// For each of these rounds.
    drafted: Vec<usize>,
    accepted: Vec<usize>,
    /// K of the steps; `None` once it has changed.
    speculations: Option<Option<usize>>,
}

impl Steps {
    pub fn add(&mut self, round: &Round) {
        if !round.speculated() {
            return;
        }
        self.stats.add(round);
        self.drafted.push(round.drafted().len());
        self.accepted.push(round.accepted());
        let k = Some(round.settings.num_speculations);
        self.speculations = match self.speculations {
            None => Some(k),
            Some(before) => Some(before.filter(|_| before == k)),
        };
    }

    /// The figures; `speculations` is K if there was no step.
    pub fn figures(&self, speculations: usize, detailed: bool) -> SpeculativeDecoding {
        let steps = self.accepted.len();
        let num_spec_tokens = self.speculations.unwrap_or(Some(speculations));
        let max = self.accepted.iter().copied().max().unwrap_or(0);
        let mut histogram = vec![0; num_spec_tokens.unwrap_or(max) + 1];
        let mut by_length = BTreeMap::<usize, Vec<usize>>::new();
        for (&accepted, &drafted) in self.accepted.iter().zip(&self.drafted) {
            histogram[accepted] += 1;
            let of = by_length
                .entry(drafted)
                .or_insert_with(|| vec![0; drafted + 1]);
            of[accepted] += 1;
        }
        SpeculativeDecoding {
            mean_acceptance_length: self.stats.mean_accepted_length(),
            draft_acceptance_rate: self.stats.acceptance_rate(),
            acceptance_histogram: histogram,
            acceptance_histogram_by_draft_length: by_length,
            num_spec_steps: steps,
            num_accepted_draft_tokens: self.stats.accepted,
            num_draft_tokens: self.stats.drafted,
            num_spec_tokens,
            per_step_accepted: detailed.then(|| self.accepted.clone()),
            per_step_drafted: detailed.then(|| self.drafted.clone()),
        }
    }
}

impl Timings {
    /// Adds a choice with a prompt of `prompt` tokens, of which `cached` were in the cache. Scoring the prompt took
    /// `scoring` seconds in addition to its prefill.
    pub fn add(&mut self, prompt: usize, cached: usize, scoring: f64, stats: &Stats) {
        self.cache_n += cached;
        self.prompt_n += prompt - cached;
        self.prompt_ms += (stats.prefill_seconds + scoring) * 1e3;
        self.predicted_n += stats.tokens;
        self.predicted_ms += stats.decode_seconds() * 1e3;
        self.draft_n += stats.drafted;
        self.draft_n_accepted += stats.accepted;
        let per = |part: f64, whole: f64| ratio(part, whole).unwrap_or(0.0);
        self.computed += match scoring > 0.0 {
            true => prompt - cached,
            false => stats.prefill_tokens,
        };
        self.prompt_per_token_ms = per(self.prompt_ms, self.computed as f64);
        self.prompt_per_second = per(self.computed as f64 * 1e3, self.prompt_ms);
        self.predicted_per_token_ms = per(self.predicted_ms, self.predicted_n as f64);
        self.predicted_per_second = per(self.predicted_n as f64 * 1e3, self.predicted_ms);
    }
}

/// OpenAI's finish reason.
pub fn finish_reason(stop: &StopReason) -> &'static str {
    match stop {
        StopReason::Eos | StopReason::StopToken(_) | StopReason::StopString(_) => "stop",
        StopReason::MaxSteps | StopReason::ContextFull | StopReason::Cancelled => "length",
    }
}

pub fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}
