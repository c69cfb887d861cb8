//! Turns: a prompt and the rounds that answer it.

use super::{Baselines, Lens};
use crate::engine::decode::{Round, SpeedUp, Stats, StopReason, Strategy, Timings};
use crate::engine::worker::RunId;
use crate::transcript::ModelRecord;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub use crate::transcript::Mode;

/// A prompt and its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Unique within a session; the key of cached line wrapping.
    pub id: u64,
    pub mode: Mode,
    pub prompt: String,
    /// Every round of the answer, in order. Everything shown of the answer derives from them.
    pub rounds: Vec<Round>,
    /// Tokens drafted in the current round, not yet verified.
    pub pending: Vec<Pending>,
    /// Statistics of the rounds, prefill included once the run has ended.
    pub stats: Stats,
    /// Durations of the rounds, by kind.
    pub timings: Timings,
    /// The generation that wrote its end; `None` if the answer was read from a file.
    pub run: Option<RunId>,
    /// The model that wrote its end, if known.
    pub model: Option<Arc<ModelRecord>>,
    /// Where another model continued.
    pub switches: Vec<Switch>,
    /// Indices of rounds before which others were missed, in an answer that is watched.
    pub gaps: Vec<usize>,
    /// What every layer would have predicted along the answer, if requested.
    pub lens: Option<Box<Lens>>,
    /// Whether the model no longer sees it, because the context is full.
    pub unseen: bool,
    /// How it ended; `None` while the run is running.
    pub outcome: Option<Outcome>,
    /// The other answers to the same prompt, oldest first.
    pub others: Vec<Turn>,
    /// Index of this answer among all of them.
    pub variant: usize,
}

/// A change of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Switch {
    /// Index of the first round by the new model.
    pub round: usize,
    /// Short names of the models that tell them apart.
    pub from: String,
    pub to: String,
}

/// A drafted token before it is verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    pub id: u32,
    pub text: String,
    pub p_draft: Option<f32>,
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Stopped(StopReason),
    Failed(String),
}

/// Names one token of the session, kept or rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenRef {
    /// Index of the turn.
    pub turn: usize,
    /// Index of the round within the turn.
    pub round: usize,
    /// Index of the token within the round: drafted tokens first, then the one that ends the round.
    pub slot: usize,
}

impl Turn {
    pub fn new(id: u64, mode: Mode, prompt: String) -> Self {
        let (rounds, pending, stats) = (Vec::new(), Vec::new(), Stats::default());
        Self {
            id,
            mode,
            prompt,
            rounds,
            pending,
            stats,
            timings: Timings::default(),
            run: None,
            model: None,
            switches: Vec::new(),
            gaps: Vec::new(),
            lens: None,
            unseen: false,
            outcome: None,
            others: Vec::new(),
            variant: 0,
        }
    }

    /// Number of answers to the prompt.
    pub fn answers(&self) -> usize {
        self.others.len() + 1
    }

    /// A turn for another answer to the same prompt. This answer is kept in [`Self::others`], unless it is empty.
    pub(in crate::app) fn again(mut self, id: u64) -> Self {
        let mut fresh = Self::new(id, self.mode, self.prompt.clone());
        let mut others = std::mem::take(&mut self.others);
        if !self.answer().is_empty() {
            others.insert(self.variant.min(others.len()), self);
        }
        (fresh.variant, fresh.others) = (others.len(), others);
        fresh
    }

    /// Shows the answer at `index` of all. Drops the current one if it is empty.
    pub(in crate::app) fn show(&mut self, mut index: usize) {
        if index == self.variant || index >= self.answers() {
            return;
        }
        let mut others = std::mem::take(&mut self.others);
        let at = index - usize::from(index > self.variant);
        let shown = others.remove(at);
        let before = std::mem::replace(self, shown);
        self.unseen = before.unseen;
        if before.answer().is_empty() {
            index -= usize::from(index > before.variant);
        } else {
            let back = before.variant - usize::from(before.variant > index);
            others.insert(back.min(others.len()), before);
        }
        (self.others, self.variant) = (others, index);
    }

    /// Adds a finished round, which replaces the pending drafts.
    pub fn push(&mut self, round: Round) {
        self.pending.clear();
        self.stats.add(&round);
        self.timings.add(&round);
        self.rounds.push(round);
    }

    /// The text of the answer, raw.
    pub fn answer(&self) -> String {
        self.rounds
            .iter()
            .flat_map(Round::kept)
            .map(|token| token.text)
            .collect()
    }

    /// Number of tokens in the answer.
    pub fn len(&self) -> usize {
        self.stats.tokens
    }

    /// Whether it is part of the conversation sent with the next question.
    pub fn is_said(&self) -> bool {
        self.mode == Mode::Chat && !self.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.rounds.iter().all(Round::is_empty)
    }

    /// Its speed relative to plain decoding with the same model; `None` while that is unknown, and for early exit.
    pub fn speed_up(&self, baselines: &Baselines) -> Option<SpeedUp> {
        let speed = self.stats.tokens_per_second()?;
        match self.stats.drafted {
            0 => self.is_plain().then_some(SpeedUp::PLAIN),
            _ => Some(baselines.plain_step(self)?.speed_up(speed)),
        }
    }

    /// Whether all of it was decoded plainly: by all layers, without drafts.
    pub fn is_plain(&self) -> bool {
        let exits_early = |round: &Round| round.strategy() == Strategy::EarlyExit;
        self.stats.drafted == 0 && !self.is_empty() && !self.rounds.iter().any(exits_early)
    }

    /// Seconds from the question to the first token.
    pub fn first_token_seconds(&self) -> Option<f64> {
        let prefill = self.stats.prefill_seconds;
        let first = self.rounds.first().filter(|_| prefill > 0.0)?;
        Some(prefill + first.draft_seconds + first.verify_seconds)
    }

    /// Whether both answers come from the same weights, or both from unknown ones.
    pub fn has_model_of(&self, other: &Self) -> bool {
        match (&self.model, &other.model) {
            (Some(own), Some(other)) => own.has_weights_of(other),
            (own, other) => own.is_none() && other.is_none(),
        }
    }
}

/// Marks the turns of the oldest `messages` messages, not counting the system prompt, as unseen by the model.
pub(in crate::app) fn mark_unseen(turns: &mut [Turn], messages: usize) {
    let Some((_, before)) = turns.split_last_mut() else {
        return;
    };
    // Each turn of the conversation is a question and an answer.
    let mut dropped = messages / 2;
    for turn in before {
        turn.unseen = dropped > 0 && turn.is_said();
        dropped -= usize::from(turn.unseen);
    }
}

/// Records that `model` continues the last turn; adds a [`Switch`] if another model wrote before.
pub(in crate::app) fn begin_run(turns: &mut [Turn], model: Option<Arc<ModelRecord>>) {
    let Some(model) = model else { return };
    let before = turns.iter().rev().find_map(|turn| turn.model.clone());
    let Some(turn) = turns.last_mut() else { return };
    if let Some(before) = before.filter(|before| !before.has_weights_of(&model)) {
        turn.switches
            .retain(|switch| switch.round != turn.rounds.len());
        turn.switches.push(Switch {
            round: turn.rounds.len(),
            from: before.name_beside(&model),
            to: model.name_beside(&before),
        });
    }
    turn.model = Some(model);
}
