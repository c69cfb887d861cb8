//! How other exit layers and numbers of speculations would have performed on an answer: every layer's predictions along
//! it, and the map drawn from them.

use super::State;
use super::turn::Turn;
use crate::engine::decode::{Controller, CostModel, Forecast, LensRow, Settings, Strategy};
use crate::engine::sampling::Coupling;
use crate::engine::worker::RunId;
use crate::plural::counted;
use crate::transcript;

/// Max speculations of the map.
pub const MAX_SPECULATIONS: usize = 12;

/// What every layer would have predicted along an answer, as reported so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lens {
    pub rows: Vec<LensRow>,
    /// Total number of positions; 0 before the first report.
    pub of: usize,
    /// Costs of the parts of a round on this machine.
    pub costs: CostModel,
    /// One for each exit layer and number of speculations, ordered by both.
    pub forecasts: Vec<Forecast>,
    /// Why it failed, if it did.
    pub failed: Option<String>,
}

/// The map on screen. Its data belongs to the turn ([`Turn::lens`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WhatIf {
    /// The generation that it analyses; stale if the last turn has another.
    pub run: RunId,
    /// The cell under the cursor.
    pub exit_layer: usize,
    pub num_speculations: usize,
}

/// One forecast for each exit layer and number of speculations, over one or more answers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Forecasts {
    all: Vec<Forecast>,
    /// Number of answers that they cover.
    pub answers: usize,
}

impl Forecasts {
    /// The forecast for a pair of settings; `None` outside the map.
    pub fn at(&self, exit_layer: usize, num_speculations: usize) -> Option<&Forecast> {
        let column = num_speculations
            .checked_sub(1)
            .filter(|column| *column < MAX_SPECULATIONS)?;
        self.all
            .get(exit_layer.checked_sub(1)? * MAX_SPECULATIONS + column)
    }

    /// The fastest pair.
    pub fn best(&self) -> Option<&Forecast> {
        self.all.iter().max_by(|a, b| a.speed.total_cmp(&b.speed))
    }

    /// The lowest speed.
    pub fn slowest(&self) -> f64 {
        let speeds = self.all.iter().map(|forecast| forecast.speed);
        speeds.fold(f64::INFINITY, f64::min)
    }

    /// Total tokens of the answers.
    pub fn tokens(&self) -> usize {
        self.all.first().map_or(0, |forecast| forecast.tokens)
    }

    fn merge(&mut self, other: &[Forecast]) {
        if self.all.is_empty() {
            self.all = other.to_vec();
        } else {
            let pairs = self.all.iter_mut().zip(other);
            pairs.for_each(|(own, other)| own.merge(other));
        }
        self.answers += 1;
    }
}

impl State {
    /// Forecasts over a turn and every other answer by its model that has a lens.
    pub fn forecasts(&self, turn: &Turn) -> Forecasts {
        let mut pooled = Forecasts::default();
        let same = |other: &&Turn| other.has_model_of(turn) || std::ptr::eq(*other, turn);
        for lens in self
            .turns
            .iter()
            .filter(same)
            .filter_map(|turn| turn.lens.as_ref())
        {
            if !lens.forecasts.is_empty() && lens.failed.is_none() {
                pooled.merge(&lens.forecasts);
            }
        }
        pooled
    }

    /// The current exit layer and speculations, if they determine drafts; a controller may choose others.
    pub fn pair_in_force(&self) -> Option<(usize, usize)> {
        let settings = &self.settings;
        let drafts = settings.strategy == Strategy::SelfSpeculative && settings.proposers.exits();
        let pair = (settings.exit_layer, settings.num_speculations);
        (drafts && settings.controller != Controller::Auto).then_some(pair)
    }

    /// What decoding now does that no forecast predicts: they are about chains of K drafts through the model's own head.
    pub fn left_out_of_forecasts(&self) -> Vec<String> {
        let settings = &self.settings;
        match settings.strategy {
            Strategy::Autoregressive => return vec!["no drafts".into()],
            Strategy::EarlyExit => return vec!["early exit without verification".into()],
            Strategy::SelfSpeculative => {}
        }
        let mut parts = Vec::new();
        if settings.tree > 0 && settings.controller != Controller::Auto {
            parts.push(format!("a tree of {}", counted(settings.tree, "node")));
        }
        if settings.proposers.looks_up() {
            parts.push("lookup".into());
        }
        let model = self.model.as_ref();
        let has_adapters = model.is_some_and(|model| !model.adapters.is_empty());
        if settings.adapter && settings.proposers.exits() && has_adapters {
            parts.push("exit adapters".into());
        }
        let controller = match settings.controller {
            Controller::Fixed => None,
            Controller::Confidence { .. } => Some("the confidence controller"),
            Controller::AdaptiveSpeculations => Some("the controller adaptive K"),
            Controller::Auto => Some("the controller auto"),
        };
        parts.extend(controller.map(str::to_owned));
        parts
    }
}

impl Lens {
    /// Whether all positions were reported.
    pub fn complete(&self) -> bool {
        self.of > 0 && self.rows.len() >= self.of
    }

    /// A lens from a journal.
    pub(in crate::app) fn kept(lens: &transcript::Lens) -> Self {
        let mut whole = Self::default();
        whole.add(lens.rows.clone(), lens.rows.len(), lens.costs.clone());
        whole
    }

    /// Adds positions. Drops those that do not follow the known ones, since they belong to another text.
    pub(in crate::app) fn add(&mut self, rows: Vec<LensRow>, of: usize, costs: CostModel) {
        let last = self.rows.last().map(|row| row.position);
        self.rows.extend(
            rows.into_iter()
                .filter(|row| last.is_none_or(|last| row.position > last)),
        );
        self.of = of;
        self.costs = costs;
        self.forecasts = Forecast::all(&self.rows, MAX_SPECULATIONS, &self.costs);
    }
}

impl Turn {
    /// Whether a layer's predictions determine exactly which of its drafts would be accepted: the full model chose the
    /// whole text with one sampling, and drafts sample as the verifier does.
    pub fn acceptance_is_exact(&self) -> bool {
        let Some(first) = self.rounds.first().map(|round| &round.settings) else {
            return true;
        };
        let exact = |s: &Settings| {
            let same_noise = !s.sampling.sample || s.sampling.coupling == Coupling::SharedNoise;
            let whole = s.strategy != Strategy::EarlyExit && s.draft_vocab == first.draft_vocab;
            same_noise && whole && s.sampling == first.sampling
        };
        self.rounds.iter().all(|round| exact(&round.settings))
    }
}
