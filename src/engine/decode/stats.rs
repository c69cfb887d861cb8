//! Statistics of a run. They are computed only here.

use super::{Proposer, Round};
use serde::{Deserialize, Serialize};

/// Totals over a sequence of rounds, built with [`Stats::of`] or round by round with [`Stats::add`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Number of rounds.
    pub rounds: usize,
    /// Rounds in which anything was drafted.
    pub speculated_rounds: usize,
    /// Tokens added to the text.
    pub tokens: usize,
    /// Tokens drafted.
    pub drafted: usize,
    /// Drafted tokens that were accepted.
    pub accepted: usize,
    /// For each draft position i, from 0: how many rounds verified it, and how many of those accepted it.
    pub by_position: Vec<PositionCount>,
    /// The drafted tokens by what proposed them.
    #[serde(default)]
    pub by_proposer: ProposerCounts,
    /// Seconds from the prompt's first token to the first round.
    pub prefill_seconds: f64,
    /// Prompt tokens that were computed, not counting those found in the cache.
    pub prefill_tokens: usize,
    /// Seconds spent drafting.
    pub draft_seconds: f64,
    /// Seconds spent verifying, or on steps without a draft.
    pub verify_seconds: f64,
}

/// Acceptance at one draft position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionCount {
    /// Rounds that verified the position.
    pub verified: usize,
    /// Drafted tokens that were accepted.
    pub accepted: usize,
}

/// Counts for each proposer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposerCounts {
    /// Drafted by early exit.
    pub early_exit: DraftCount,
    /// Drafted by lookup.
    pub lookup: DraftCount,
    /// Drafted by exits with an adapter.
    #[serde(default)]
    pub adapter: DraftCount,
}

/// Drafted tokens and those of them that were accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftCount {
    /// Tokens drafted.
    pub drafted: usize,
    /// Drafted tokens that were accepted.
    pub accepted: usize,
}

impl ProposerCounts {
    /// The counts of a proposer.
    pub fn of(&self, proposer: Proposer) -> DraftCount {
        match proposer {
            Proposer::EarlyExit => self.early_exit,
            Proposer::Lookup => self.lookup,
            Proposer::Adapter => self.adapter,
        }
    }

    /// The proposers that drafted anything, with their counts.
    pub fn used(&self) -> impl Iterator<Item = (Proposer, DraftCount)> + '_ {
        Proposer::ALL
            .into_iter()
            .map(|proposer| (proposer, self.of(proposer)))
            .filter(|(_, count)| count.drafted > 0)
    }

    fn of_mut(&mut self, proposer: Proposer) -> &mut DraftCount {
        match proposer {
            Proposer::EarlyExit => &mut self.early_exit,
            Proposer::Lookup => &mut self.lookup,
            Proposer::Adapter => &mut self.adapter,
        }
    }
}

impl Stats {
    /// Statistics of `rounds`.
    pub fn of<'a>(rounds: impl IntoIterator<Item = &'a Round>) -> Self {
        let mut stats = Self::default();
        rounds.into_iter().for_each(|round| stats.add(round));
        stats
    }

    /// Totals of several runs.
    pub fn total<'a>(runs: impl IntoIterator<Item = &'a Stats>) -> Self {
        let mut total = Self::default();
        runs.into_iter().for_each(|stats| total.merge(stats));
        total
    }

    /// Adds the totals of another run.
    pub fn merge(&mut self, other: &Self) {
        self.rounds += other.rounds;
        self.speculated_rounds += other.speculated_rounds;
        self.tokens += other.tokens;
        self.drafted += other.drafted;
        self.accepted += other.accepted;
        self.prefill_seconds += other.prefill_seconds;
        self.prefill_tokens += other.prefill_tokens;
        self.draft_seconds += other.draft_seconds;
        self.verify_seconds += other.verify_seconds;
        if self.by_position.len() < other.by_position.len() {
            self.by_position
                .resize(other.by_position.len(), PositionCount::default());
        }
        for proposer in Proposer::ALL {
            let (count, more) = (
                self.by_proposer.of_mut(proposer),
                other.by_proposer.of(proposer),
            );
            count.drafted += more.drafted;
            count.accepted += more.accepted;
        }
        for (count, more) in self.by_position.iter_mut().zip(&other.by_position) {
            count.verified += more.verified;
            count.accepted += more.accepted;
        }
    }

    /// Adds a round.
    pub fn add(&mut self, round: &Round) {
        self.rounds += 1;
        self.speculated_rounds += usize::from(round.speculated());
        self.tokens += round.len();
        self.drafted += round.drafted().len();
        self.accepted += round.accepted();
        self.draft_seconds += round.draft_seconds;
        self.verify_seconds += round.verify_seconds;
        for token in round.drafted() {
            self.by_proposer.of_mut(token.proposer).drafted += 1;
        }
        for node in round.path() {
            if let Some(token) = round.drafted().get(node) {
                self.by_proposer.of_mut(token.proposer).accepted += 1;
            }
        }
        self.count_positions(round);
    }

    fn count_positions(&mut self, round: &Round) {
        // Reserves the draft's length at once, so that later rounds allocate nothing.
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

    /// accepted ÷ drafted, as LayerSkip reports it; `None` if nothing was drafted.
    pub fn acceptance_rate(&self) -> Option<f64> {
        ratio(self.accepted as f64, self.drafted as f64)
    }

    /// For each draft position, the fraction of the rounds that accepted it among those that verified it.
    pub fn acceptance_by_position(&self) -> Vec<f64> {
        self.by_position
            .iter()
            .filter_map(|c| ratio(c.accepted as f64, c.verified as f64))
            .collect()
    }

    /// Mean of accepted + 1 over the rounds that drafted, as vLLM and llama.cpp report it.
    pub fn mean_accepted_length(&self) -> Option<f64> {
        ratio(
            (self.accepted + self.speculated_rounds) as f64,
            self.speculated_rounds as f64,
        )
    }

    /// Seconds spent decoding, without prefill.
    pub fn decode_seconds(&self) -> f64 {
        self.draft_seconds + self.verify_seconds
    }

    /// Prompt tokens computed per second.
    pub fn prefill_tokens_per_second(&self) -> Option<f64> {
        ratio(self.prefill_tokens as f64, self.prefill_seconds)
    }

    /// Generated tokens per second, without prefill.
    pub fn tokens_per_second(&self) -> Option<f64> {
        ratio(self.tokens as f64, self.decode_seconds())
    }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}
