//! Estimates how long plain decoding would have taken at the time of an answer, from timings taken while decoding.
//!
//! A round without a draft is a plain step and measures it directly. Rounds with drafts give an estimate: a draft step
//! runs the first E layers for one row, and verification runs the remaining layers and the head for a few rows, which
//! takes little longer than for one. Measurements from another time correct that estimate only by a ratio: a plain step
//! to rounds with drafts, both measured then. So changes in the machine's load cancel out.

use super::CostModel;
use super::timings::{DraftRounds, MIN_ERROR, Timings};
use crate::engine::config::LlamaConfig;
use std::ops::RangeInclusive;

/// Relative error of the cost model, which takes the best of a few measurements.
const COST_MODEL_ERROR: f64 = 0.06;
/// Relative error of a plain step measured at another time, used without a correction.
const OTHER_TIME_ERROR: f64 = 0.15;
/// Relative error of a correction from rounds with the same drafts; error added if the drafts differ, and per row of
/// difference.
const CORRECTION_ERROR: f64 = 0.02;
const OTHER_DRAFTS_ERROR: f64 = 0.03;
const CORRECTION_ERROR_PER_ROW: f64 = 0.04;
/// Corrections by the cost model outside this range come from measurements under changing load.
const PLAUSIBLE: RangeInclusive<f64> = 0.75..=1.35;
/// The same for a race. Its runs alternate, so a large correction means that the estimate is wrong.
const PLAUSIBLE_OF_RACES: RangeInclusive<f64> = 0.4..=2.5;

/// Duration of a plain step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlainStep {
    /// Seconds per token.
    pub seconds: f64,
    /// Relative standard error.
    pub error: f64,
    /// Whether this rests on measured plain steps or the cost model; otherwise it is an estimate from rounds with
    /// drafts.
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

/// What all runs tell about plain decoding with one model on one device.
#[derive(Debug, Clone, Default)]
pub struct Baselines {
    config: Option<LlamaConfig>,
    /// A plain step of the newest run that measured one.
    newest: Option<PlainStep>,
    race: Option<Race>,
    costs: Option<CostModel>,
}

/// A plain step and rounds with drafts, measured alternately under the same load.
#[derive(Debug, Clone)]
struct Race {
    plain: PlainStep,
    drafts: Option<DraftRounds>,
}

impl Baselines {
    /// No measurements yet. Without `config`, the shape of the model, there are no estimates.
    pub fn new(config: Option<LlamaConfig>) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    /// Adds a run, the newest last.
    pub fn add(&mut self, run: &Timings) {
        self.newest = run.plain.mean().or(self.newest);
    }

    /// Adds a race: the timings of both of its runs, one of them plain.
    pub fn add_race(&mut self, timings: &Timings) {
        self.race = timings.plain.mean().map(|plain| Race {
            plain,
            drafts: timings.best_drafts().copied(),
        });
    }

    /// Adds the costs of the parts of a round.
    pub fn add_costs(&mut self, costs: &CostModel) {
        if costs.step() > 0.0 {
            self.costs = Some(costs.clone());
        }
    }

    /// The best estimate of a plain step at the time of a run; `None` before enough is known.
    pub fn plain_step(&self, run: &Timings) -> Option<PlainStep> {
        let measured = run.plain.mean();
        let estimated = run.best_drafts().and_then(|drafts| {
            let estimate = drafts.estimate(self.config.as_ref()?)?;
            Some(self.correction(drafts).map_or(estimate, |ratio| PlainStep {
                seconds: estimate.seconds * ratio.seconds,
                ..ratio
            }))
        });
        let step = match (measured, estimated) {
            (Some(a), Some(b)) if b.measured => Some(a.with(&b)),
            (Some(own), _) | (None, Some(own)) => Some(own),
            // Rounds with drafts whose model has an unknown shape: the machine may have been much slower or faster then.
            (None, None) if run.best_drafts().is_some() && !self.knows_shape() => None,
            (None, None) => self.at_another_time(),
        }?;
        Some(PlainStep {
            seconds: step.seconds.min(run.round_seconds()),
            ..step
        })
    }

    /// Whether times of rounds can be estimated from the model's shape.
    fn knows_shape(&self) -> bool {
        let config = self.config.as_ref();
        config.is_some_and(|config| config.hidden_size > 0)
    }

    /// The factor that corrects an estimate from `drafts`, in the field `seconds`.
    fn correction(&self, drafts: &DraftRounds) -> Option<PlainStep> {
        let config = self.config.as_ref()?;
        let raced = self.race.as_ref().and_then(|race| {
            let other = race.drafts.as_ref()?;
            let mut error = CORRECTION_ERROR
                + CORRECTION_ERROR_PER_ROW * (drafts.further_rows() - other.further_rows()).abs();
            if drafts.drafts != other.drafts {
                error += OTHER_DRAFTS_ERROR;
            }
            Some((race.plain, other.estimate(config)?, error))
        });
        let costs = self.costs.as_ref().and_then(|costs| {
            let plain = PlainStep {
                seconds: costs.step(),
                error: COST_MODEL_ERROR,
                measured: true,
            };
            let other = drafts.drafts.cost(costs, drafts.further_rows());
            // The cost model interpolates, so its error grows with the rows.
            let rows = 0.01 * drafts.further_rows();
            Some((plain, other.estimate(config)?, rows))
        });
        let ratio = |(plain, estimate, error): (PlainStep, PlainStep, f64)| PlainStep {
            seconds: plain.seconds / estimate.seconds,
            error: plain.error.hypot(error),
            measured: true,
        };
        let within = |range: RangeInclusive<f64>| move |r: &PlainStep| range.contains(&r.seconds);
        let raced = raced.map(ratio).filter(within(PLAUSIBLE_OF_RACES));
        let costs = costs.map(ratio).filter(within(PLAUSIBLE));
        let ratios = raced.into_iter().chain(costs);
        ratios.min_by(|a, b| a.error.total_cmp(&b.error))
    }

    /// A plain step measured before or after, for a run that measured none itself.
    fn at_another_time(&self) -> Option<PlainStep> {
        let costs = self.costs.as_ref().map(CostModel::step);
        let raced = self.race.as_ref().map(|race| race.plain.seconds);
        let newest = self.newest.map(|step| step.seconds);
        let seconds = newest.or(raced).or(costs)?;
        Some(PlainStep {
            seconds,
            error: OTHER_TIME_ERROR,
            measured: false,
        })
    }
}

impl PlainStep {
    /// The geometric mean of two measurements, weighted by their errors. Its error covers the difference between them.
    fn with(&self, other: &Self) -> Self {
        let weights = [self, other].map(|step| step.error.powi(-2));
        let logs = [self, other].map(|step| step.seconds.ln());
        let sum = weights[0] + weights[1];
        let mean = (weights[0] * logs[0] + weights[1] * logs[1]) / sum;
        let spread = weights[0] * (logs[0] - mean).powi(2) + weights[1] * (logs[1] - mean).powi(2);
        Self {
            seconds: mean.exp(),
            error: (1.0 / sum)
                .sqrt()
                .hypot((spread / sum).sqrt())
                .max(MIN_ERROR),
            measured: self.measured && other.measured,
        }
    }

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
    /// That of plain decoding itself.
    pub const PLAIN: Self = Self {
        ratio: 1.0,
        error: 0.0,
        measured: true,
    };

    /// Whether the run is faster than plain decoding by more than the error.
    pub fn is_gain(&self) -> bool {
        self.ratio - self.error > 1.0
    }

    /// Whether plain decoding is faster by more than the error.
    pub fn is_loss(&self) -> bool {
        self.ratio + self.error < 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decode::{
        ClosingToken, DraftToken, Origin, Round, RoundTokens, Settings, Strategy,
    };
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

    fn baselines() -> Baselines {
        Baselines::new(Some(random::small()))
    }

    #[test]
    fn plain_steps_are_measured() {
        let rounds: Vec<Round> = (0..100).map(|_| round(0, 0.0, 0.004)).collect();
        let step = baselines().plain_step(&timings(&rounds)).unwrap();
        assert!((step.seconds - 0.004).abs() < 1e-9 && step.measured);
        assert_eq!(step.error, MIN_ERROR);
        let speed_up = step.speed_up(300.0);
        assert!((speed_up.ratio - 1.2).abs() < 1e-9 && !speed_up.is_loss());
        assert!(step.speed_up(200.0).is_loss());
    }

    /// However slow drafting is, no estimated speed-up exceeds the tokens per round.
    #[test]
    fn an_estimated_speed_up_is_at_most_the_tokens_a_round() {
        for (draft, verify) in [(0.0118, 0.0159), (0.0001, 0.01), (0.1, 0.001)] {
            let step = baselines()
                .plain_step(&timings(&vec![round(1, draft, verify); 50]))
                .unwrap();
            let tokens_per_second = 1.4 / (draft + verify);
            assert!(step.speed_up(tokens_per_second).ratio <= 1.4);
        }
    }

    /// An answer that is mostly lookup, with many rows in a verify phase, is judged by its few rounds with short drafts.
    #[test]
    fn long_drafts_do_not_decide_where_there_are_short_ones() {
        let plain = 0.003;
        let long = |count| vec![round(12, 0.0, 2.4 * plain); count];
        let short = vec![round(1, 0.2 * plain, 0.85 * plain); 8];
        let own = baselines().plain_step(&timings(&long(40))).unwrap();
        let with_short = baselines()
            .plain_step(&timings(&[long(40), short].concat()))
            .unwrap();
        assert!((own.seconds / plain - 1.0).abs() < 0.25, "{own:?}");
        assert!(
            (with_short.seconds / plain - 1.0).abs() < 0.15,
            "{with_short:?}"
        );
        assert!(with_short.error < own.error);
    }

    /// A race, or an answer with plain steps, corrects the estimate for another answer, whatever the machine's load was
    /// then.
    #[test]
    fn measurements_under_another_load_give_the_same_speed_up() {
        let answer = timings(&vec![round(1, 0.002, 0.01); 20]);
        let estimate = baselines().plain_step(&answer).unwrap();
        assert!(estimate.seconds < 0.012 && estimate.seconds > 0.009 && !estimate.measured);
        for load in [0.2, 1.0, 14.0] {
            let mut known = baselines();
            let mut race = timings(&vec![round(1, 0.002 * load, 0.01 * load); 20]);
            race.merge(&timings(&vec![round(0, 0.0, 0.0095 * load); 10]));
            known.add_race(&race);
            let step = known.plain_step(&answer).unwrap();
            assert!((step.seconds - 0.0095).abs() < 1e-9 && step.measured);
            assert!(step.error >= MIN_ERROR);
        }
    }

    #[test]
    fn costs_measured_under_another_load_give_the_same_speed_up() {
        let costs = |load: f64| CostModel {
            layers: 3,
            layer: vec![0.002 * load; 17],
            head: vec![0.003 * load; 17],
            draft_head: 0.001 * load,
            sampling: 0.0,
        };
        let answer = timings(&vec![round(1, 0.003, 0.009); 20]);
        let steps = [0.2, 1.0, 14.0].map(|load| {
            let mut known = baselines();
            known.add_costs(&costs(load));
            known.plain_step(&answer).unwrap()
        });
        // The answer's rounds took exactly as long as these costs say, so a plain step does too.
        for step in steps {
            assert!((step.seconds - 0.009).abs() < 1e-9, "{step:?}");
            assert!(step.measured && step.error >= COST_MODEL_ERROR);
        }
    }

    /// No measurement at another time makes an answer look faster than its tokens a round.
    #[test]
    fn no_speed_up_exceeds_the_tokens_per_round() {
        let answer = timings(&vec![round(1, 0.002, 0.01); 20]);
        for plain in [0.001, 0.01, 0.1] {
            let mut known = baselines();
            let mut race = timings(&vec![round(1, 0.002, 0.01); 20]);
            race.merge(&timings(&vec![round(0, 0.0, plain); 10]));
            known.add_race(&race);
            known.add(&timings(&vec![round(0, 0.0, plain); 10]));
            let few = timings(&vec![round(1, 0.002, 0.01); 3]);
            for run in [&answer, &few] {
                let step = known.plain_step(run).unwrap();
                assert!(step.seconds <= 0.012 + 1e-12, "{step:?}");
            }
        }
    }

    /// A replay does not know the shape of the model.
    #[test]
    fn without_a_shape_there_is_no_estimate() {
        let answer = timings(&vec![round(1, 0.002, 0.01); 20]);
        let zeros = LlamaConfig {
            hidden_size: 0,
            num_layers: 0,
            vocab_size: 0,
            ..random::small()
        };
        for config in [None, Some(zeros)] {
            let mut known = Baselines::new(config);
            assert_eq!(known.plain_step(&answer), None);
            // The machine may have been much faster or slower then.
            known.add(&timings(&vec![round(0, 0.0, 0.001); 20]));
            assert_eq!(known.plain_step(&answer), None);
        }
    }

    #[test]
    fn a_run_with_few_drafts_takes_the_plain_step_of_another_time_and_says_so() {
        let short = timings(&vec![round(1, 0.002, 0.01); 3]);
        assert_eq!(baselines().plain_step(&short), None);
        let mut known = baselines();
        known.add(&timings(&vec![round(0, 0.0, 0.008); 20]));
        let step = known.plain_step(&short).unwrap();
        assert!(!step.measured && step.error >= OTHER_TIME_ERROR);
    }

    #[test]
    fn early_exit_steps_are_no_plain_steps() {
        let mut early = round(0, 0.0, 0.001);
        Arc::make_mut(&mut early.settings).strategy = Strategy::EarlyExit;
        assert_eq!(baselines().plain_step(&timings(&vec![early; 50])), None);
    }
}
