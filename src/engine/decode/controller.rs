//! Controllers, which adjust the exit layer and the number of speculations automatically and give a reason.

use super::decoder::{Decoder, Run, Scratch};
use super::verify::Verification;
use super::{Round, Session, Settings};
use crate::engine::Result;
use crate::engine::config::LlamaConfig;
use crate::engine::model::Readout;
use crate::engine::sampling::{Pick, Sampler};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Chooses the exit layer and the number of speculations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Controller {
    /// Does not change the settings.
    #[default]
    Fixed,
    /// Ends a draft early, at the first token with a draft probability below a threshold.
    Confidence {
        /// Min draft probability to continue, 0 to 1.
        threshold: f32,
    },
    /// One more speculation after a fully accepted round, fewer after a rejection.
    AdaptiveSpeculations,
    /// Adjusts both to maximise the expected tokens per executed layer, using the acceptance of each exit measured on
    /// cached hidden states (after DEL, arXiv 2504.05598).
    ExitAndSpeculations,
}

/// Max number of speculations that a controller chooses.
const MAX_SPECULATIONS: usize = 12;
/// Weight of the newest observation in the running acceptance of an exit.
const NEWEST: f64 = 0.25;
/// Assumed acceptance of an exit before it has been observed.
const PRIOR: f64 = 0.5;

/// State of a controller during a run.
#[derive(Debug, Clone, Default)]
pub(super) struct ControllerState {
    /// Speculations of the adaptive controllers, before rounding.
    speculations: Option<f64>,
    /// Running acceptance of each exit layer, by index; `None` before it has been observed.
    acceptance: Vec<Option<f64>>,
    /// Index of the exit to observe next.
    turn: usize,
}

impl ControllerState {
    /// The settings of the next round and the reason for them; no reason if the controller does not change them.
    pub fn choose(
        &mut self,
        wanted: &Arc<Settings>,
        config: &LlamaConfig,
    ) -> (Arc<Settings>, Option<String>) {
        let mut settings = wanted.clone();
        let reason = match wanted.controller {
            Controller::Fixed => None,
            Controller::Confidence { threshold } => {
                Some(format!("drafts end below {:.0} %", threshold * 100.0))
            }
            Controller::AdaptiveSpeculations => {
                let speculations = *self
                    .speculations
                    .get_or_insert(wanted.num_speculations as f64);
                Arc::make_mut(&mut settings).num_speculations = speculations.round() as usize;
                Some(format!("K follows acceptance: {speculations:.1}"))
            }
            Controller::ExitAndSpeculations => self.best(Arc::make_mut(&mut settings), config),
        };
        (settings, reason)
    }

    /// Learns from a finished round.
    pub fn learn(&mut self, round: &Round) {
        let Some(speculations) = &mut self.speculations else {
            return;
        };
        if round.speculated() {
            let all = round.rejected() == 0;
            let step = if all {
                1.0
            } else {
                -0.5 * (round.rejected() as f64).min(3.0)
            };
            *speculations = (*speculations + step).clamp(1.0, MAX_SPECULATIONS as f64);
        }
    }

    /// The exit layer to probe in the next verification; `None` if the controller needs no probe.
    pub fn probed_exit(&mut self, settings: &Settings, config: &LlamaConfig) -> Option<usize> {
        if settings.controller != Controller::ExitAndSpeculations {
            return None;
        }
        let candidates = || candidates(config.num_layers);
        self.turn = (self.turn + 1) % candidates().count().max(1);
        Some(candidates().nth(self.turn).unwrap_or(1))
    }

    /// Records that the exit would have predicted `agreed` of `seen` tokens.
    pub fn observe(&mut self, exit_layer: usize, agreed: usize, seen: usize) {
        if self.acceptance.len() <= exit_layer {
            self.acceptance.resize(exit_layer + 1, None);
        }
        if seen > 0 {
            let now = agreed as f64 / seen as f64;
            let before = self.acceptance[exit_layer].unwrap_or(PRIOR);
            self.acceptance[exit_layer] = Some(before + NEWEST * (now - before));
        }
    }

    fn best(&self, settings: &mut Settings, config: &LlamaConfig) -> Option<String> {
        let known = self
            .acceptance
            .iter()
            .enumerate()
            .filter_map(|(exit, a)| Some((exit, (*a)?)));
        let pairs = known.flat_map(|(exit, a)| {
            (1..=MAX_SPECULATIONS).map(move |k| (exit, k, a, tokens_per_layer(exit, k, a, config)))
        });
        let (exit, speculations, acceptance, value) = pairs.max_by(|x, y| x.3.total_cmp(&y.3))?;
        (settings.exit_layer, settings.num_speculations) = (exit, speculations);
        let (percent, tokens) = (
            acceptance * 100.0,
            value * (config.num_layers as f64 + head_layers(config)),
        );
        Some(format!(
            "E {exit} accepts {percent:.0} %: about {tokens:.2} tokens for the work of one"
        ))
    }
}

impl Decoder {
    /// Feeds a verified round to the controller: how much was accepted at the current exit, and how many of the kept tokens
    /// the probed exit would have predicted.
    pub(super) fn observe_exit(
        &mut self,
        session: &mut Session,
        run: &mut Run,
        settings: &Settings,
        exit_layer: usize,
        verification: &Verification,
    ) -> Result<()> {
        let first = session.tokens().len() - verification.len();
        let Scratch {
            slots,
            logits,
            verifier,
            ..
        } = &mut self.scratch;
        slots.clear();
        slots.push(first - 1);
        slots.extend(verification.path.iter().map(|node| first + node));
        slots.truncate(verification.len());
        let readout = Readout {
            slots,
            depth: exit_layer,
            vocab: 0,
            probed: true,
        };
        session.sequence.logits(&readout, logits)?;
        let (sampling, width) = (&settings.sampling, self.model.config().vocab_size);
        let mut agreed = 0;
        for (position, logits) in (first..).zip(logits.chunks_exact_mut(width)) {
            session
                .history
                .penalise_at(position, logits, None, sampling);
            verifier.fill(logits, None, sampling)?;
            let id = Sampler { sampling, position }.pick(verifier, Pick::Verify);
            agreed += usize::from(id == session.tokens()[position]);
        }
        let (accepted, drafted) = (verification.path.len(), verification.drafted.len());
        let controller = &mut run.controller;
        controller.observe(exit_layer, agreed, verification.len());
        controller.observe(settings.exit_layer, accepted, drafted.min(accepted + 1));
        Ok(())
    }
}

/// Exits to consider: about eight, spread over the first two thirds of the layers.
fn candidates(layers: usize) -> impl Iterator<Item = usize> {
    let step = (layers / 12).max(1);
    (1..layers).filter(move |exit| exit % step == 0 && exit * 3 <= layers * 2)
}

/// Expected tokens of a round per executed layer, if every draft token is accepted with probability `a`. The head
/// counts as [`head_layers`].
fn tokens_per_layer(exit_layer: usize, speculations: usize, a: f64, config: &LlamaConfig) -> f64 {
    let (k, head) = (speculations as f64, head_layers(config));
    let expected = if a < 1.0 {
        (1.0 - a.powf(k + 1.0)) / (1.0 - a)
    } else {
        k + 1.0
    };
    expected / (k * (exit_layer as f64 + head) + config.num_layers as f64 + head)
}

/// The work of the LM head, in layers.
fn head_layers(config: &LlamaConfig) -> f64 {
    let layer = config.hidden_size * (2 * config.hidden_size + 3 * config.intermediate_size);
    (config.vocab_size * config.hidden_size) as f64 / layer as f64
}
