//! Two ways of decoding one prompt with one seed, side by side. The conversation does not change.

use super::regions::Viewport;
use super::turn::{Mode, Outcome, Turn};
use crate::app::input::action::Opponent;
use crate::engine::decode::{Controller, Round, Settings, StopReason, Strategy};
use crate::engine::worker::{Lane, RunId};
use crate::transcript::{self, ModelRecord};

/// The race on screen.
#[derive(Debug, Clone, PartialEq)]
pub struct Race {
    pub run: RunId,
    /// The prompt, for the title.
    pub prompt: String,
    pub opponent: Opponent,
    /// Names of the lanes.
    pub names: [String; 2],
    /// The texts, as turns outside the conversation: reference, challenger.
    pub lanes: [Turn; 2],
    /// Prompt tokens computed and their total, for the lane that starts.
    pub prefill: Option<(usize, usize)>,
    /// How it ended; `None` while it runs.
    pub outcome: Option<Outcome>,
    /// First line shown of both texts; `None` follows their ends.
    pub top: Option<usize>,
    /// Number of leading tokens already found equal.
    compared: usize,
    diverged: Option<usize>,
}

/// The name of settings in a race: `plain`, `early exit E 8`, `E 8 K 4`, `E 8 adaptive K` or `auto`.
pub fn name_of(settings: &Settings) -> String {
    let (exit, speculations) = (settings.exit_layer, settings.num_speculations);
    match (settings.strategy, settings.controller) {
        (Strategy::Autoregressive, _) => "plain".into(),
        (Strategy::EarlyExit, _) => format!("early exit E {exit}"),
        (_, Controller::Fixed) => format!("E {exit} K {speculations}"),
        (_, Controller::Confidence { .. }) => format!("E {exit} K {speculations} confidence"),
        (_, Controller::AdaptiveSpeculations) => format!("E {exit} adaptive K"),
        (_, Controller::Auto) => "auto".into(),
    }
}

/// How the two texts compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The first tokens, this many, are equal; the rest is not known yet.
    Same(usize),
    /// Both have ended and are equal, with this many tokens.
    Exact(usize),
    /// The index, from 0, of the first token that differs.
    Differs(usize),
}

impl Race {
    pub(in crate::app) fn new(
        run: RunId,
        prompt: String,
        opponent: Opponent,
        names: [String; 2],
    ) -> Self {
        let lane = |id| Turn::new(id, Mode::Chat, String::new());
        let lanes = [lane(0), lane(1)];
        Self {
            run,
            prompt,
            opponent,
            names,
            lanes,
            prefill: None,
            outcome: None,
            top: None,
            compared: 0,
            diverged: None,
        }
    }

    pub fn lane(&self, lane: Lane) -> &Turn {
        &self.lanes[lane as usize]
    }

    /// Tokens per second of the challenger ÷ those of the reference.
    pub fn speed_up(&self) -> Option<f64> {
        let [reference, challenger] = &self.lanes;
        Some(challenger.stats.tokens_per_second()? / reference.stats.tokens_per_second()?)
    }

    /// Its measurements against plain decoding with `model`, if it finished.
    pub(in crate::app) fn measured(&self, model: Option<ModelRecord>) -> Option<transcript::Race> {
        if self.opponent != Opponent::Plain {
            return None;
        }
        let [plain, challenger] = &self.lanes;
        let first = challenger.rounds.first()?;
        // The lanes took turns, so both were measured under the same load.
        let mut timings = plain.timings.clone();
        timings.merge(&challenger.timings);
        Some(transcript::Race {
            model,
            speed_up: self.speed_up().filter(|_| self.is_whole())?,
            settings: Settings::clone(&first.settings),
            timings,
        })
    }

    /// Whether both texts finished.
    fn is_whole(&self) -> bool {
        matches!(&self.outcome, Some(Outcome::Stopped(reason)) if *reason != StopReason::Cancelled)
    }

    /// How the texts compare so far.
    pub fn verdict(&self) -> Verdict {
        let whole = self.is_whole();
        let [plain, speculative] = &self.lanes;
        match self.diverged {
            Some(at) => Verdict::Differs(at),
            None if whole && plain.len() != speculative.len() => Verdict::Differs(self.compared),
            None if whole => Verdict::Exact(self.compared),
            None => Verdict::Same(self.compared),
        }
    }

    /// Scrolls both texts. At the end, the view follows the end again.
    pub(in crate::app) fn scroll(&mut self, shown: Viewport, by: isize) {
        let first = shown.scrolled(by);
        self.top = (first < shown.end()).then_some(first);
    }

    pub(in crate::app) fn push(&mut self, lane: Lane, round: Round) {
        self.prefill = None;
        self.lanes[lane as usize].push(round);
        if self.diverged.is_some() {
            return;
        }
        let ids = |turn: &Turn| newest_ids(turn, self.compared);
        let (plain, speculative) = (ids(&self.lanes[0]), ids(&self.lanes[1]));
        let both = plain.len().min(speculative.len());
        let same = plain
            .iter()
            .zip(&speculative)
            .take_while(|(a, b)| a == b)
            .count();
        self.compared += same;
        self.diverged = (same < both).then_some(self.compared);
    }

    pub(in crate::app) fn end(&mut self, outcome: Outcome) {
        for lane in &mut self.lanes {
            lane.outcome = Some(outcome.clone());
        }
        self.outcome = Some(outcome);
    }
}

/// The tokens of a text from `from` on, without walking the text before it.
fn newest_ids(turn: &Turn, from: usize) -> Vec<u32> {
    let wanted = turn.len().saturating_sub(from);
    let (mut first, mut found) = (turn.rounds.len(), 0);
    while found < wanted && first > 0 {
        first -= 1;
        found += turn.rounds[first].len();
    }
    let ids = turn.rounds[first..]
        .iter()
        .flat_map(Round::kept)
        .map(|token| token.id);
    ids.skip(found - wanted.min(found)).collect()
}
