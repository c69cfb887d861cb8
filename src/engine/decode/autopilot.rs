//! Controllers that move the exit layer and the number of speculations themselves, and say why.

use super::{Round, Settings};
use crate::engine::config::LlamaConfig;
use serde::{Deserialize, Serialize};

/// Who chooses exit layer and speculations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Controller {
    /// The settings stay as they are.
    #[default]
    Fixed,
    /// A draft ends early at the first token that the exit holds for less likely than this.
    Confidence { threshold: f32 },
    /// One speculation more after a round that accepted all, fewer after one that rejected.
    AdaptiveSpeculations,
    /// Both from the acceptance that each exit would have had, measured on cached hidden states, so that the expected
    /// tokens for each layer run are most (after DEL, arXiv 2504.05598).
    ExitAndSpeculations,
}

/// The most speculations a controller goes to.
const MOST: usize = 12;
/// Weight of the newest observation in the running acceptance of an exit.
const NEWEST: f64 = 0.25;
/// Acceptance that an exit is taken to have before it was observed, and how much that belief weighs.
const PRIOR: f64 = 0.5;

/// What a controller knows of the run so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Autopilot {
    /// Speculations of the adaptive controllers, between two whole numbers.
    speculations: Option<f64>,
    /// Running acceptance of each exit layer, by index; none before it was observed.
    acceptance: Vec<Option<f64>>,
    /// Which exit is observed next.
    turn: usize,
}

impl Autopilot {
    /// The settings of the next round and the reason for them; none when the controller leaves them alone.
    pub fn choose(
        &mut self,
        wanted: &Settings,
        config: &LlamaConfig,
    ) -> (Settings, Option<String>) {
        let mut settings = wanted.clone();
        let reason = match wanted.controller {
            Controller::Fixed => None,
            Controller::Confidence { threshold } => {
                Some(format!("a draft ends under {:.0} %", threshold * 100.0))
            }
            Controller::AdaptiveSpeculations => {
                let speculations = *self
                    .speculations
                    .get_or_insert(wanted.num_speculations as f64);
                settings.num_speculations = speculations.round() as usize;
                Some(format!("K follows acceptance: {speculations:.1}"))
            }
            Controller::ExitAndSpeculations => self.best(&mut settings, config),
        };
        (settings, reason)
    }

    /// Learns from a finished round.
    pub fn learn(&mut self, round: &Round) {
        let Some(speculations) = &mut self.speculations else {
            return;
        };
        if round.speculated() {
            let all = round.accepted == round.drafted.len();
            let step = if all {
                1.0
            } else {
                -0.5 * (round.rejected() as f64).min(3.0)
            };
            *speculations = (*speculations + step).clamp(1.0, MOST as f64);
        }
    }

    /// The exit layer whose hidden states the next verification should be asked about.
    pub fn observed_exit(&mut self, config: &LlamaConfig) -> usize {
        let candidates = || candidates(config.num_layers);
        self.turn = (self.turn + 1) % candidates().count().max(1);
        candidates().nth(self.turn).unwrap_or(1)
    }

    /// Notes that of `seen` tokens the exit would have written `agreed`.
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
            (1..=MOST).map(move |k| (exit, k, a, tokens_per_layer(exit, k, a, config)))
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

/// Exits worth a look: about eight, spread over the shallow two thirds.
fn candidates(layers: usize) -> impl Iterator<Item = usize> {
    let step = (layers / 12).max(1);
    (1..layers).filter(move |exit| exit % step == 0 && exit * 3 <= layers * 2)
}

/// Expected tokens of a round for each layer it runs, where every draft token is accepted with probability `a`. The head
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

/// How many layers' work the LM head is.
fn head_layers(config: &LlamaConfig) -> f64 {
    let layer = config.hidden_size * (2 * config.hidden_size + 3 * config.intermediate_size);
    (config.vocab_size * config.hidden_size) as f64 / layer as f64
}
