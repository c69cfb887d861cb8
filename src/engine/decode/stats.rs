//! Statistics of a run, computed here and nowhere else.

use super::Round;
use serde::{Deserialize, Serialize};

/// What a sequence of rounds amounts to. Build it with [`Stats::of`] or round by round with [`Stats::add`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    pub rounds: usize,
    /// Rounds in which anything was drafted.
    pub speculated_rounds: usize,
    /// Tokens added to the text.
    pub tokens: usize,
    pub drafted: usize,
    pub accepted: usize,
    /// Of the rounds that verified draft position i (from 0): how many there were and how many accepted it.
    pub by_position: Vec<PositionCount>,
    /// Seconds from the prompt's first token to the first round.
    pub prefill_seconds: f64,
    /// Tokens that prefill computed (those found in the cache are not counted).
    pub prefill_tokens: usize,
    pub draft_seconds: f64,
    pub verify_seconds: f64,
}

/// Acceptance at one draft position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionCount {
    pub verified: usize,
    pub accepted: usize,
}

impl Stats {
    /// Statistics of `rounds`.
    pub fn of<'a>(rounds: impl IntoIterator<Item = &'a Round>) -> Self {
        let mut stats = Self::default();
        rounds.into_iter().for_each(|round| stats.add(round));
        stats
    }

    /// Count one more round.
    pub fn add(&mut self, round: &Round) {
        self.rounds += 1;
        self.speculated_rounds += usize::from(round.speculated());
        self.tokens += round.len();
        self.drafted += round.drafted().len();
        self.accepted += round.accepted();
        self.draft_seconds += round.draft_seconds;
        self.verify_seconds += round.verify_seconds;
        self.count_positions(round);
    }

    fn count_positions(&mut self, round: &Round) {
        // At once for all that was drafted: the list is then as long as drafts get.
        let more = round.drafted().len().saturating_sub(self.by_position.len());
        self.by_position.reserve(more);
        for (position, accepted) in round.verified().enumerate() {
            if self.by_position.len() <= position {
                self.by_position.push(PositionCount::default());
            }
            let count = &mut self.by_position[position];
            count.verified += 1;
            count.accepted += usize::from(accepted);
        }
    }

    /// accepted ÷ drafted, as LayerSkip reports it; none before anything was drafted.
    pub fn acceptance_rate(&self) -> Option<f64> {
        ratio(self.accepted as f64, self.drafted as f64)
    }

    /// For each draft position, the share of the rounds that verified it and accepted it.
    pub fn acceptance_by_position(&self) -> Vec<f64> {
        self.by_position
            .iter()
            .filter_map(|c| ratio(c.accepted as f64, c.verified as f64))
            .collect()
    }

    /// (accepted + 1) averaged over the rounds that drafted, as vLLM and llama.cpp report it.
    pub fn mean_accepted_length(&self) -> Option<f64> {
        ratio(
            (self.accepted + self.speculated_rounds) as f64,
            self.speculated_rounds as f64,
        )
    }

    /// Seconds spent decoding, prefill apart.
    pub fn decode_seconds(&self) -> f64 {
        self.draft_seconds + self.verify_seconds
    }

    /// Generated tokens a second, prefill apart.
    pub fn tokens_per_second(&self) -> Option<f64> {
        ratio(self.tokens as f64, self.decode_seconds())
    }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}
