//! Durations of the rounds of a run, and the plain step that they measure or suggest.

use super::{CostModel, DraftToken, PlainStep, Proposer, Round, Strategy};
use crate::engine::config::LlamaConfig;
use serde::{Deserialize, Serialize};

/// Min number of plain steps for a measurement.
const MIN_STEPS: usize = 8;
/// Min number of drafted tokens for an estimate.
const MIN_DRAFTS: usize = 8;
/// Lower bound of the relative error, however many steps were measured: the machine's speed drifts.
pub(super) const MIN_ERROR: f64 = 0.02;
/// Extra time of a verify phase per row after the first, as a fraction of the time for one row: of the first few, which hide
/// behind the reads of the weights, and of further ones, which are compute-bound. Measured on several processors and weight
/// types: 0 to 0.2 per row up to four rows, 0.1 to 2.1 in all for seven more, 0.8 to 5 for fifteen more.
const VERIFY_ROW_COST: f64 = 0.06;
const CHEAP_ROWS: f64 = 3.0;
const FURTHER_ROW_COST: f64 = 0.15;
/// Relative error of the estimate from rounds with drafts, the error added per row after the first, and the spread of one
/// round's time.
const ESTIMATE_ERROR: f64 = 0.05;
const ESTIMATE_ERROR_PER_ROW: f64 = 0.05;
const ROUND_SPREAD: f64 = 0.3;

/// Durations of the rounds of a run, by kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    pub(super) plain: Samples,
    drafts: Vec<DraftRounds>,
    /// Number and seconds of all rounds.
    rounds: usize,
    seconds: f64,
}

/// Sums over durations in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Samples {
    count: usize,
    sum: f64,
    squares: f64,
}

/// How tokens were drafted: whatever affects durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Drafts {
    /// Exit layer; 0 for lookup.
    exit_layer: usize,
    vocab: usize,
    /// Whether the verify phase starts at the exit.
    reuse: bool,
    /// Whether the exit's adapter drafted.
    adapter: bool,
}

/// Rounds whose drafts are chains of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct DraftRounds {
    pub drafts: Drafts,
    rounds: f64,
    tokens: f64,
    draft_seconds: f64,
    verify_seconds: f64,
}

impl Timings {
    /// Adds a round.
    pub fn add(&mut self, round: &Round) {
        let drafted = round.drafted();
        self.rounds += 1;
        self.seconds += round.draft_seconds + round.verify_seconds;
        if let Some(drafts) = Drafts::of(round) {
            self.add_drafts(DraftRounds {
                drafts,
                rounds: 1.0,
                tokens: drafted.len() as f64,
                draft_seconds: round.draft_seconds,
                verify_seconds: round.verify_seconds,
            });
        } else if drafted.is_empty() && round.strategy() != Strategy::EarlyExit && round.len() == 1
        {
            let seconds = round.draft_seconds + round.verify_seconds;
            self.plain.count += 1;
            self.plain.sum += seconds;
            self.plain.squares += seconds * seconds;
        }
    }

    fn add_drafts(&mut self, more: DraftRounds) {
        let own = self.drafts.iter_mut();
        match own.into_iter().find(|own| own.drafts == more.drafts) {
            Some(own) => {
                own.rounds += more.rounds;
                own.tokens += more.tokens;
                own.draft_seconds += more.draft_seconds;
                own.verify_seconds += more.verify_seconds;
            }
            None => self.drafts.push(more),
        }
    }

    /// Adds the timings of another run of the same model at the same time.
    pub fn merge(&mut self, other: &Self) {
        self.rounds += other.rounds;
        self.seconds += other.seconds;
        self.plain.count += other.plain.count;
        self.plain.sum += other.plain.sum;
        self.plain.squares += other.plain.squares;
        other
            .drafts
            .iter()
            .for_each(|rounds| self.add_drafts(*rounds));
    }

    /// The mean duration of a round, which is at least that of a plain step: every round runs all layers for a row.
    pub(super) fn round_seconds(&self) -> f64 {
        self.seconds / self.rounds.max(1) as f64
    }

    /// The kind of drafts that says most about a plain step: of those with enough tokens, that with the smallest error.
    pub(super) fn best_drafts(&self) -> Option<&DraftRounds> {
        let enough = self
            .drafts
            .iter()
            .filter(|own| own.tokens >= MIN_DRAFTS as f64);
        enough.min_by(|a, b| a.error().total_cmp(&b.error()))
    }
}

impl Drafts {
    /// `None` without drafts, and for trees, where one pass drafts several tokens.
    fn of(round: &Round) -> Option<Self> {
        let (first, settings) = (round.drafted().first()?, &round.settings);
        let is_chain = |token: &DraftToken| token.parent.is_none();
        if !round.drafted().iter().all(is_chain) {
            return None;
        }
        Some(match first.proposer {
            Proposer::Lookup => Self {
                exit_layer: 0,
                vocab: 0,
                reuse: true,
                adapter: false,
            },
            Proposer::EarlyExit | Proposer::Adapter => Self {
                exit_layer: settings.exit_layer,
                vocab: settings.draft_vocab,
                reuse: settings.kvq_reuse,
                adapter: first.proposer == Proposer::Adapter,
            },
        })
    }

    /// Layers that a draft step runs. An adapter's block counts as one more.
    fn layers(&self, exit_layer: usize) -> usize {
        exit_layer.saturating_add(usize::from(self.adapter))
    }

    /// The cost of a round that drafts this many tokens.
    pub fn cost(&self, costs: &CostModel, tokens: f64) -> DraftRounds {
        let count = tokens.round().max(1.0);
        let draft = match self.exit_layer {
            0 => 0.0,
            exit_layer => costs.draft(self.layers(exit_layer), count as usize),
        };
        DraftRounds {
            drafts: *self,
            rounds: 1.0,
            tokens: count,
            draft_seconds: draft,
            verify_seconds: costs.verify(self.exit_layer, count as usize),
        }
    }
}

impl DraftRounds {
    /// Rows of a verify phase after the first.
    pub fn further_rows(&self) -> f64 {
        self.tokens / self.rounds
    }

    /// Relative error of the estimate of a plain step.
    fn error(&self) -> f64 {
        let rows = ESTIMATE_ERROR + ESTIMATE_ERROR_PER_ROW * self.further_rows();
        rows.hypot(ROUND_SPREAD / self.rounds.sqrt())
    }

    /// Estimates a plain step: the early layers of a draft step, plus the verify phase without the cost of its further
    /// rows.
    pub fn estimate(&self, config: &LlamaConfig) -> Option<PlainStep> {
        let Drafts {
            exit_layer,
            vocab,
            reuse,
            ..
        } = self.drafts;
        let early = step_weights(config, exit_layer, None);
        let draft = step_weights(config, self.drafts.layers(exit_layer), Some(vocab));
        let further_rows = self.further_rows();
        let cheap = further_rows.min(CHEAP_ROWS);
        let rows = 1.0 + VERIFY_ROW_COST * cheap + FURTHER_ROW_COST * (further_rows - cheap);
        let verify = self.verify_seconds / self.rounds / rows;
        let early_seconds = match reuse && exit_layer > 0 {
            true => self.draft_seconds / self.tokens * early / draft,
            false => 0.0,
        };
        let seconds = early_seconds + verify;
        // Zero or not finite if the config is degenerate or nothing was timed.
        (seconds.is_finite() && seconds > 0.0).then_some(PlainStep {
            seconds,
            error: self.error(),
            measured: false,
        })
    }
}

impl Samples {
    /// The mean duration; `None` before there are enough samples.
    pub fn mean(&self) -> Option<PlainStep> {
        if self.count < MIN_STEPS || self.sum <= 0.0 {
            return None;
        }
        let count = self.count as f64;
        let mean = self.sum / count;
        let variance = (self.squares / count - mean * mean).max(0.0);
        Some(PlainStep {
            seconds: mean,
            error: MIN_ERROR.max((variance / count).sqrt() / mean),
            measured: true,
        })
    }
}

/// Weights read for one row: `layers` layers and, with `Some`, a head over `vocab` tokens (0: all). Norms are ignored.
fn step_weights(config: &LlamaConfig, layers: usize, vocab: Option<usize>) -> f64 {
    let vocab = match vocab {
        None => 0,
        Some(0) => config.vocab_size,
        Some(some) => some.min(config.vocab_size),
    };
    layers as f64 * config.layer_weights() as f64 + vocab as f64 * config.hidden_size as f64
}
