//! Controllers, which adjust the settings automatically and give a reason.

use super::chooser::{Action, Base, Chooser, MAX_LOOKUP, ShapeChoice, Situation};
use super::decoder::{Decoder, Run, Scratch};
use super::estimates::Estimates;
use super::growth::{Drawn, Growth};
use super::lookup::continued;
use super::verify::Verification;
use super::work::Place;
use super::{DraftToken, Proposers, Round, Session, Settings, Strategy};
use crate::engine::Result;
use crate::engine::model::Readout;
use crate::engine::sampling::{Pick, Sampler};
use crate::plural::counted;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Adjusts the settings from round to round.
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
    /// Chooses proposer and exit layer by expected tokens per second, or plain decoding where that is fastest, and lets
    /// drafts grow while they pay. Serialised under its earlier name.
    #[serde(rename = "exit-and-speculations", alias = "auto")]
    Auto,
}

impl Controller {
    /// Default threshold of the confidence controller.
    pub const THRESHOLD: f32 = 0.5;
}

/// The spelling on the command line and in tables.
impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed => f.write_str("fixed"),
            Self::Confidence { threshold } => write!(f, "confidence:{threshold}"),
            Self::AdaptiveSpeculations => f.write_str("adaptive"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

impl FromStr for Controller {
    type Err = String;

    /// The inverse of `Display`. Accepts the names of earlier versions too.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let name = text.trim().to_lowercase().replace('_', "-");
        let threshold = match name.split_once(':') {
            Some(("confidence", threshold)) => threshold.parse().ok(),
            _ => Some(Self::THRESHOLD),
        };
        match name.split(':').next() {
            Some("confidence") => threshold
                .filter(|threshold| (0.0..=1.0).contains(threshold))
                .map(|threshold| Self::Confidence { threshold })
                .ok_or_else(|| "the threshold of confidence may be 0 to 1".into()),
            _ => match name.as_str() {
                "fixed" => Ok(Self::Fixed),
                "adaptive" | "adaptive-speculations" => Ok(Self::AdaptiveSpeculations),
                "auto" | "exit-and-speculations" => Ok(Self::Auto),
                _ => Err("choose fixed, confidence, confidence:THRESHOLD, adaptive or auto".into()),
            },
        }
    }
}

/// Max number of speculations that a controller chooses.
const MAX_SPECULATIONS: usize = 12;
/// State of a controller during a run.
#[derive(Debug, Clone, Default)]
pub(super) struct ControllerState {
    /// Speculations of the adaptive controller, before rounding.
    speculations: Option<f64>,
}

impl ControllerState {
    /// The settings of the next round, and the reason if the controller changed them.
    pub fn choose(&mut self, wanted: &Arc<Settings>) -> (Arc<Settings>, Option<String>) {
        let mut settings = wanted.clone();
        let reason = match wanted.controller {
            Controller::Fixed | Controller::Auto => None,
            Controller::Confidence { threshold } => {
                Some(format!("drafts end below {:.0} %", threshold * 100.0))
            }
            Controller::AdaptiveSpeculations => {
                let speculations = *self
                    .speculations
                    .get_or_insert(wanted.num_speculations as f64);
                Arc::make_mut(&mut settings).num_speculations = speculations.round() as usize;
                Some(format!("adaptive K, target {speculations:.1}"))
            }
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
}

/// What a round does.
pub(super) struct Turn {
    pub settings: Arc<Settings>,
    pub note: Option<String>,
    /// What may draft; `None` for a step without a draft.
    pub drafts: Option<Proposers>,
    /// An exit to probe.
    pub probed: Option<usize>,
    /// When a draft of an exit grows; `None` for a shape fixed in advance.
    pub growth: Option<Growth>,
}

/// The settings chosen last, for reuse.
pub(super) struct Chosen {
    wanted: Arc<Settings>,
    base: Base,
    action: Action,
    settings: Arc<Settings>,
}

/// How lookup would continue the text.
#[derive(Default)]
pub(super) struct Prediction {
    /// The length of the match; `None` if nothing was found or looked for.
    matched: Option<usize>,
    tokens: Vec<u32>,
}

impl Prediction {
    /// The length of the match and the tokens predicted to follow.
    pub fn get(&self) -> Option<(usize, &[u32])> {
        Some((self.matched?, &self.tokens))
    }
}

/// Learned costs and acceptance, without and with adapters.
#[derive(Serialize, Deserialize)]
struct StoredEstimates {
    #[serde(flatten)]
    estimates: Estimates,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    adapted: Option<Estimates>,
}

impl Decoder {
    /// Tells [`Controller::Auto`](super::Controller::Auto) whether the model's exits are trained, and the exit layer and
    /// speculations that its author recommends.
    pub fn set_exits(&mut self, trained: bool, recommended: Option<(usize, usize)>) {
        self.chooser.set_training(trained, recommended);
    }

    /// As [`Self::set_exits`], for drafts by the adapters of its exits, which are trained.
    pub fn set_adapted_exits(&mut self, recommended: Option<(usize, usize)>) {
        if let Some(chooser) = &mut self.adapted_chooser {
            chooser.set_training(true, recommended);
        }
    }

    /// The chooser for these settings.
    pub(super) fn chooser(&mut self, settings: &Settings) -> &mut Chooser {
        match &mut self.adapted_chooser {
            Some(chooser) if settings.adapter => chooser,
            _ => &mut self.chooser,
        }
    }

    /// The learned costs and acceptance, as JSON for [`Self::set_estimates`].
    pub fn estimates(&self) -> String {
        // Structs of finite numbers always serialise.
        serde_json::to_string(&StoredEstimates {
            estimates: self.chooser.estimates.clone(),
            adapted: self
                .adapted_chooser
                .as_ref()
                .map(|chooser| chooser.estimates.clone()),
        })
        .unwrap_or_default()
    }

    /// Restores estimates learned earlier with this model on this machine. Implausible ones are ignored.
    pub fn set_estimates(&mut self, json: &str) {
        if let Ok(StoredEstimates { estimates, adapted }) = serde_json::from_str(json) {
            self.chooser.resume(estimates);
            if let (Some(chooser), Some(adapted)) = (&mut self.adapted_chooser, adapted) {
                chooser.resume(adapted);
            }
        }
    }

    /// Asks the controller what the next round does.
    ///
    /// # Errors
    /// If memory cannot be allocated.
    pub(super) fn choose(
        &mut self,
        session: &mut Session,
        run: &mut Run,
        wanted: &Arc<Settings>,
    ) -> Result<Turn> {
        run.prediction.matched = None;
        let drafts = wanted.strategy == Strategy::SelfSpeculative;
        if wanted.controller != Controller::Auto || !drafts {
            let (settings, note) = run.controller.choose(wanted);
            return Ok(Turn {
                drafts: drafts.then_some(settings.proposers),
                settings,
                note,
                probed: None,
                growth: None,
            });
        }
        if wanted.proposers.looks_up() {
            self.predict(session, &mut run.prediction);
        }
        let situation = Situation {
            place: self.place(session, wanted),
            exits: wanted.proposers.exits(),
            matched: run.prediction.matched,
        };
        let chooser = self.chooser(wanted);
        let (base, action) = chooser.choose(&situation);
        let probed = chooser.probe(situation.exits, situation.place, action);
        let coupling = Drawn::by(&wanted.sampling);
        let growth = match (base, action) {
            (Base::Exit { exit_layer, .. }, Action::Exit) => {
                chooser.growth(exit_layer, coupling, situation.place)
            }
            _ => None,
        };
        let note = match (action, situation.matched) {
            (Action::Lookup(_), Some(matched)) => {
                format!("last {} seen before", counted(matched, "token"))
            }
            _ => self.chooser(wanted).reason().to_owned(),
        };
        let same = run.chosen.as_ref().filter(|chosen| {
            Arc::ptr_eq(&chosen.wanted, wanted) && (chosen.base, chosen.action) == (base, action)
        });
        let settings = match same {
            Some(chosen) => chosen.settings.clone(),
            None => Arc::new(chosen_settings(wanted, base, action)),
        };
        run.chosen = Some(Chosen {
            wanted: wanted.clone(),
            base,
            action,
            settings: settings.clone(),
        });
        Ok(Turn {
            settings,
            note: Some(note),
            drafts: match action {
                Action::Step => None,
                Action::Exit => Some(Proposers::Exit),
                Action::Lookup(_) => Some(Proposers::Lookup),
            },
            probed,
            growth,
        })
    }

    fn predict(&mut self, session: &mut Session, prediction: &mut Prediction) {
        let found = &mut self.scratch.continuations;
        session.look_up(found);
        prediction.tokens.clear();
        if let Some(best) = found.first() {
            prediction.matched = Some(best.matched);
            let tokens = continued(session.tokens(), best.start);
            prediction.tokens.extend(tokens.take(MAX_LOOKUP));
        }
    }

    /// Where the next round takes place, or the last one took place.
    pub(super) fn place(&self, session: &Session, settings: &Settings) -> Place {
        let whole = self.model.config().vocab_size as f64;
        let columns = session.draft_columns(self.model.draft_order(), settings.draft_vocab);
        Place {
            context: session.tokens().len(),
            draft_share: columns as f64 / whole,
        }
    }

    /// Tells the chooser how many of the kept tokens the probed exit would have drafted.
    pub(super) fn observe_exit(
        &mut self,
        session: &mut Session,
        settings: &Settings,
        exit_layer: usize,
        verification: &Verification,
    ) -> Result<()> {
        let first = session.tokens().len() - verification.len();
        let vocab = session.draft_vocab(self.model.draft_order(), settings.draft_vocab)?;
        let ids = vocab.as_ref().map(|vocab| vocab.ids.as_slice());
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
            vocab: settings.draft_vocab,
            probed: true,
        };
        session.sequence.logits(&readout, logits)?;
        let (sampling, width) = (&settings.sampling, logits.len() / slots.len().max(1));
        let mut agreed = 0;
        for (position, logits) in (first..).zip(logits.chunks_exact_mut(width.max(1))) {
            session.hide_later_tokens(position, logits);
            session.history.penalise_at(position, logits, ids, sampling);
            if verifier.fill(logits, vocab.as_ref(), sampling).is_err() {
                continue;
            }
            let id = Sampler { sampling, position }.pick(verifier, Pick::Verify);
            agreed += usize::from(id == session.tokens()[position]);
        }
        self.chooser(settings)
            .estimates
            .first(exit_layer, agreed, verification.len());
        Ok(())
    }
}

/// `wanted` with the chooser's choice applied. Where lookup may draft, the settings of every round allow it; a lookup
/// round differs only in its number of speculations.
fn chosen_settings(wanted: &Settings, base: Base, action: Action) -> Settings {
    let mut settings = wanted.clone();
    let looks_up = wanted.proposers.looks_up();
    settings.tree = 0;
    match base {
        Base::Plain if looks_up => {
            settings.proposers = Proposers::Lookup;
            settings.num_speculations = MAX_LOOKUP;
        }
        Base::Plain => settings.strategy = Strategy::Autoregressive,
        Base::Exit { exit_layer, shape } => {
            settings.exit_layer = exit_layer;
            (settings.num_speculations, settings.tree) = match shape {
                // Until it is known what the draft grew to.
                ShapeChoice::Growing => (1, 0),
                ShapeChoice::Fixed { speculations, tree } => (speculations, tree),
            };
            settings.proposers = match looks_up {
                true => Proposers::ExitAndLookup,
                false => Proposers::Exit,
            };
        }
    }
    if let Action::Lookup(length) = action {
        settings.num_speculations = length;
        settings.tree = 0;
    }
    settings
}

/// The settings of a round whose draft grew: speculations and tree are what it grew to.
pub(super) fn shaped(mut settings: Arc<Settings>, drafted: &[DraftToken]) -> Arc<Settings> {
    let depth = drafted.iter().filter(|token| token.rank == 0).count();
    let tree = match drafted.len() {
        nodes if nodes > depth => nodes,
        _ => 0,
    };
    if depth > 0 && (settings.num_speculations, settings.tree) != (depth, tree) {
        let settings = Arc::make_mut(&mut settings);
        (settings.num_speculations, settings.tree) = (depth, tree);
    }
    settings
}
