//! How long plain decoding would take, from what was measured while decoding.
//!
//! A round without a draft is a plain step and measures it. Before there is one, rounds with drafts tell: a draft step
//! runs the first E layers for one row, and verifying runs the others and the head for a few rows, which takes little
//! longer than for one.

use super::{CostModel, DraftToken, Proposer, Round, Strategy};
use crate::engine::config::LlamaConfig;

/// Fewer plain steps say too little.
const MIN_STEPS: usize = 8;
/// Fewer drafted tokens say too little.
const MIN_DRAFTS: usize = 8;
/// Relative error that remains however many steps were measured: the machine's speed drifts.
const MIN_ERROR: f64 = 0.02;
/// Relative error of the cost model, which takes the best of a few measurements.
const COST_MODEL_ERROR: f64 = 0.06;
/// How much longer verifying takes for every row after the first, as a share of one row. Measured: 0.03 to 0.2 for up
/// to eight rows, by processor and weight type.
const ROW_COST: f64 = 0.08;
/// Relative error of the estimate from rounds with drafts, and what every row after the first adds to it.
const ESTIMATE_ERROR: f64 = 0.05;
const ESTIMATE_ERROR_PER_ROW: f64 = 0.05;

/// Durations of the rounds of a run, by kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timings {
    plain: Samples,
    drafts: Vec<DraftRounds>,
}

/// Sums over durations in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Samples {
    count: usize,
    sum: f64,
    squares: f64,
}

/// Rounds with early-exit drafts at one depth.
#[derive(Debug, Clone, Copy, PartialEq)]
struct DraftRounds {
    /// Exit layer, draft vocabulary, whether verifying starts at the exit, and whether an adapter drafted.
    key: (usize, usize, bool, bool),
    rounds: usize,
    tokens: usize,
    draft_seconds: f64,
    verify_seconds: f64,
}

/// Duration of a plain step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlainStep {
    /// Seconds per token.
    pub seconds: f64,
    /// Relative standard error.
    pub error: f64,
    /// Whether plain steps or the cost model were measured; otherwise it is an estimate from rounds with drafts.
    pub measured: bool,
}

/// Speed of a run relative to plain decoding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpeedUp {
    /// Tokens per second ÷ those of plain decoding.
    pub ratio: f64,
    /// Standard error of the ratio.
    pub error: f64,
    /// As [`PlainStep::measured`].
    pub measured: bool,
}

impl Timings {
    /// Adds a round.
    pub fn add(&mut self, round: &Round) {
        let (drafted, settings) = (round.drafted(), &round.settings);
        // One step for each token: not so in a tree, or for other proposers.
        let is_chain = |token: &DraftToken| token.parent.is_none() && token.proposer.exits();
        if !drafted.is_empty() && drafted.iter().all(is_chain) {
            self.add_drafts(DraftRounds {
                key: (
                    settings.exit_layer,
                    settings.draft_vocab,
                    settings.kvq_reuse,
                    drafted[0].proposer == Proposer::Adapter,
                ),
                rounds: 1,
                tokens: drafted.len(),
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
        match self.drafts.iter_mut().find(|own| own.key == more.key) {
            Some(own) => {
                own.rounds += more.rounds;
                own.tokens += more.tokens;
                own.draft_seconds += more.draft_seconds;
                own.verify_seconds += more.verify_seconds;
            }
            None => self.drafts.push(more),
        }
    }

    /// Adds the timings of another run of the same model.
    pub fn merge(&mut self, other: &Self) {
        self.plain.count += other.plain.count;
        self.plain.sum += other.plain.sum;
        self.plain.squares += other.plain.squares;
        other
            .drafts
            .iter()
            .for_each(|steps| self.add_drafts(*steps));
    }

    /// The best estimate of a plain step; `None` before anything was decoded. `costs` are the measured costs on this
    /// machine, `config` the shape of the model.
    pub fn plain_step(
        &self,
        costs: Option<&CostModel>,
        config: Option<&LlamaConfig>,
    ) -> Option<PlainStep> {
        let steps = self.plain.mean();
        let costs = costs.map(CostModel::step).filter(|step| *step > 0.0);
        let costs = costs.map(|seconds| PlainStep {
            seconds,
            error: COST_MODEL_ERROR,
            measured: true,
        });
        let drafts = || self.estimate_from_drafts(config?);
        let measured = steps.into_iter().chain(costs);
        measured
            .min_by(|a, b| a.error.total_cmp(&b.error))
            .or_else(drafts)
    }

    /// From the settings with the most drafts: the early layers of a draft step, and the verify phase without what its
    /// further rows cost.
    fn estimate_from_drafts(&self, config: &LlamaConfig) -> Option<PlainStep> {
        let most = self.drafts.iter().max_by_key(|rounds| rounds.tokens)?;
        if most.tokens < MIN_DRAFTS || most.verify_seconds <= 0.0 {
            return None;
        }
        let (exit_layer, draft_vocab, reuse, adapter) = most.key;
        let early = step_weights(config, exit_layer, None);
        // The block of an adapter is one layer more.
        let run = exit_layer + usize::from(adapter);
        let draft = step_weights(config, run, Some(draft_vocab));
        let further_rows = most.tokens as f64 / most.rounds as f64;
        let verify = most.verify_seconds / most.rounds as f64 / (1.0 + ROW_COST * further_rows);
        let early_seconds = match reuse {
            true => most.draft_seconds / most.tokens as f64 * early / draft,
            false => 0.0,
        };
        Some(PlainStep {
            seconds: early_seconds + verify,
            error: ESTIMATE_ERROR + ESTIMATE_ERROR_PER_ROW * further_rows,
            measured: false,
        })
    }
}

impl Samples {
    fn mean(&self) -> Option<PlainStep> {
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

impl PlainStep {
    /// The speed-up of a run with this many tokens per second.
    pub fn speed_up(&self, tokens_per_second: f64) -> SpeedUp {
        let ratio = tokens_per_second * self.seconds;
        SpeedUp {
            ratio,
            error: ratio * self.error,
            measured: self.measured,
        }
    }
}

impl SpeedUp {
    /// Whether the run is faster than plain decoding, beyond the error.
    pub fn is_gain(&self) -> bool {
        self.ratio - self.error > 1.0
    }

    /// Whether plain decoding is faster, beyond the error.
    pub fn is_loss(&self) -> bool {
        self.ratio + self.error < 1.0
    }
}

/// Weights read for one row through `layers` layers and, if there is one, a head of `vocab` tokens (0: all), without the
/// norms.
fn step_weights(config: &LlamaConfig, layers: usize, vocab: Option<usize>) -> f64 {
    let hidden = config.hidden_size;
    let queries = config.num_heads * config.head_dim;
    let keys = config.num_kv_heads * config.head_dim;
    let layer = hidden * (2 * queries + 2 * keys + 3 * config.intermediate_size);
    let vocab = match vocab {
        None => 0,
        Some(0) => config.vocab_size,
        Some(some) => some.min(config.vocab_size),
    };
    (layers * layer + vocab * hidden) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decode::{ClosingToken, Origin, RoundTokens, Settings};
    use crate::engine::model::random;
    use std::sync::Arc;

    fn round(drafted: usize, draft_seconds: f64, verify_seconds: f64) -> Round {
        let tokens = RoundTokens {
            drafted: (0..drafted).map(|_| DraftToken::new(1, "", 1.0)).collect(),
            closing: Some(ClosingToken::new(2, "", Origin::Corrected, 1.0)),
            ..RoundTokens::default()
        };
        let settings = Settings {
            exit_layer: 1,
            draft_vocab: 0,
            ..Settings::default()
        };
        let mut round = Round::new(0, 0, settings, tokens);
        (round.draft_seconds, round.verify_seconds) = (draft_seconds, verify_seconds);
        round
    }

    fn timings(rounds: &[Round]) -> Timings {
        let mut timings = Timings::default();
        rounds.iter().for_each(|round| timings.add(round));
        timings
    }

    #[test]
    fn plain_steps_are_measured() {
        let rounds: Vec<Round> = (0..100).map(|_| round(0, 0.0, 0.004)).collect();
        let step = timings(&rounds).plain_step(None, None).unwrap();
        assert!((step.seconds - 0.004).abs() < 1e-9 && step.measured);
        assert_eq!(step.error, MIN_ERROR);
        let speed_up = step.speed_up(300.0);
        assert!((speed_up.ratio - 1.2).abs() < 1e-9 && !speed_up.is_loss());
        assert!(step.speed_up(200.0).is_loss());
    }

    /// However slow drafting is, no estimate says that a round gains more than its tokens.
    #[test]
    fn an_estimated_speed_up_is_at_most_the_tokens_a_round() {
        for (draft, verify) in [(0.0118, 0.0159), (0.0001, 0.01), (0.1, 0.001)] {
            let step = timings(&vec![round(1, draft, verify); 50])
                .plain_step(None, Some(&random::small()))
                .unwrap();
            let tokens_per_second = 1.4 / (draft + verify);
            assert!(step.speed_up(tokens_per_second).ratio <= 1.4);
        }
    }

    #[test]
    fn rounds_with_drafts_give_an_estimate_that_measurements_replace() {
        let config = random::small();
        let drafts: Vec<Round> = (0..20).map(|_| round(1, 0.002, 0.01)).collect();
        let mut all = timings(&drafts);
        let estimate = all.plain_step(None, Some(&config)).unwrap();
        // At most the early layers of the draft and the whole verify phase, at least the verify phase of one row.
        assert!(estimate.seconds < 0.012 && estimate.seconds > 0.009 && !estimate.measured);
        all.merge(&timings(&vec![round(0, 0.0, 0.005); 10]));
        let measured = all.plain_step(None, Some(&config)).unwrap();
        assert!((measured.seconds - 0.005).abs() < 1e-9 && measured.measured);
    }

    #[test]
    fn early_exit_steps_are_no_plain_steps() {
        let mut early = round(0, 0.0, 0.001);
        Arc::make_mut(&mut early.settings).strategy = Strategy::EarlyExit;
        assert_eq!(timings(&vec![early; 50]).plain_step(None, None), None);
    }
}
