//! Autoregressive beside self-speculative decoding of one prompt and seed. The conversation is left alone.

use super::commands;
use super::message::Effect;
use super::regions::Viewport;
use super::state::CONVERSATION;
use super::state::{Overlay, State};
use super::talk;
use super::turn::{Mode, Outcome, Turn};
use crate::engine::decode::{Round, Settings, StopReason};
use crate::engine::prompt::Prompt;
use crate::engine::worker::{Command, Lane, RunEvent, RunId, Task};
use std::sync::Arc;

/// The race that lies over the screen.
#[derive(Debug, Clone, PartialEq)]
pub struct Race {
    pub run: RunId,
    /// What is answered, for the title.
    pub prompt: String,
    /// The texts as turns that are in no conversation: autoregressive, self-speculative.
    pub lanes: [Turn; 2],
    /// Prompt tokens read, of how many, by the lane that begins.
    pub prefill: Option<(usize, usize)>,
    /// How it ended; none while it goes on.
    pub outcome: Option<Outcome>,
    /// First line shown of both texts; none follows their ends.
    pub top: Option<usize>,
    /// How far the texts are known to be the same.
    compared: usize,
    diverged: Option<usize>,
}

/// What a race measured: two answers to one prompt, side by side on the same machine at the same time.
#[derive(Debug, Clone, PartialEq)]
pub struct Raced {
    /// Self-speculative speed ÷ autoregressive speed.
    pub speed_up: f64,
    /// Settings of the self-speculative answer.
    pub settings: Settings,
}

/// What is known of the two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The first so many tokens are the same, and nothing else is known.
    Same(usize),
    /// Both have ended and are the same.
    Exact(usize),
    /// The token at this place, from 0, is the first that differs.
    Differs(usize),
}

impl Race {
    fn new(run: RunId, prompt: String) -> Self {
        let lane = |id| Turn::new(id, Mode::Chat, String::new());
        let lanes = [lane(0), lane(1)];
        Self {
            run,
            prompt,
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

    /// Tokens a second of the self-speculative lane by those of the other.
    pub fn speed_up(&self) -> Option<f64> {
        let [plain, speculative] = &self.lanes;
        Some(speculative.stats.tokens_per_second()? / plain.stats.tokens_per_second()?)
    }

    /// What it measured, if it came to its end.
    fn measured(&self) -> Option<Raced> {
        let first = self.lanes[Lane::SelfSpeculative as usize].rounds.first()?;
        Some(Raced {
            speed_up: self.speed_up().filter(|_| self.is_whole())?,
            settings: Settings::clone(&first.settings),
        })
    }

    /// Whether both texts came to their end.
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

    /// Scroll both texts; at the end, the end is followed again.
    pub(super) fn scroll(&mut self, shown: Viewport, by: isize) {
        let first = shown.scrolled(by);
        self.top = (first < shown.end()).then_some(first);
    }

    fn push(&mut self, lane: Lane, round: Round) {
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

    fn end(&mut self, outcome: Outcome) {
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

/// Whether a race can start now.
pub(super) fn can(state: &State) -> bool {
    let something = !state.prompt.is_empty() || !state.turns.is_empty();
    something && state.run().is_none() && state.layers().is_some_and(|layers| layers > 1)
}

/// Start a race on the prompt being written, or else on the last one.
pub(super) fn start(state: &mut State) -> Vec<Effect> {
    if !talk::ready(state) {
        return Vec::new();
    }
    let Some((text, prompt)) = prompt(state) else {
        state.say_wrong("write a prompt to race on, or ask something first");
        return Vec::new();
    };
    let run = RunId(state.next_run);
    state.next_run += 1;
    state.overlay = Some(Overlay::Race(Box::new(Race::new(run, text))));
    vec![Effect::Send(Command::Start {
        run,
        conversation: CONVERSATION,
        task: Task::Race(prompt),
        settings: Arc::new(state.settings.clone()),
    })]
}

/// The words to answer, and all that the model is to continue.
fn prompt(state: &State) -> Option<(String, Prompt)> {
    let written = Some(state.prompt.text())
        .filter(|text| !text.trim().is_empty() && !commands::is_command(text));
    let (before, text, mode) = match (written, state.turns.split_last()) {
        (Some(text), _) => (&state.turns[..], text.to_string(), state.mode),
        (None, Some((last, before))) => (before, last.prompt.clone(), last.mode),
        (None, None) => return None,
    };
    let prompt = match mode {
        Mode::Completion => Prompt::Text(text.clone()),
        Mode::Chat => Prompt::Chat(talk::conversation(state, before, text.clone())),
    };
    Some((text, prompt))
}

/// The race on screen, if it is this run's and goes on.
fn running(state: &mut State, id: RunId) -> Option<&mut Race> {
    match &mut state.overlay {
        Some(Overlay::Race(race)) if race.run == id && race.outcome.is_none() => Some(race),
        _ => None,
    }
}

/// Whether events of this run are the race's.
pub(super) fn is_of(state: &State, id: RunId) -> bool {
    matches!(&state.overlay, Some(Overlay::Race(race)) if race.run == id)
}

/// What the engine tells of a race. Late events are dropped.
pub(super) fn on_event(state: &mut State, run: RunId, event: RunEvent) {
    match event {
        RunEvent::Race { lane, round } => {
            if let Some(race) = running(state, run) {
                race.push(lane, *round);
            }
        }
        RunEvent::Prefill { done, total, .. } => {
            if let Some(race) = running(state, run) {
                race.prefill = Some((done, total));
            }
        }
        RunEvent::Finished { reason, .. } => finish(state, run, Outcome::Stopped(reason)),
        RunEvent::Failed(failure) => finish(state, run, Outcome::Failed(failure.message)),
        _ => {}
    }
}

fn finish(state: &mut State, run: RunId, outcome: Outcome) {
    let Some(race) = running(state, run) else {
        return;
    };
    race.end(outcome);
    let raced = race.measured();
    state.raced = raced.or(state.raced.take());
}

/// The engine is gone, and the race with it.
pub(super) fn on_gone(state: &mut State, message: &str) {
    if let Some(id) = under_way(state) {
        finish(state, id, Outcome::Failed(message.to_string()));
    }
}

/// End the race but leave it on screen; none when there is none to end.
pub(super) fn cancel(state: &mut State) -> Option<Vec<Effect>> {
    let id = under_way(state)?;
    finish(state, id, Outcome::Stopped(StopReason::Cancelled));
    Some(vec![Effect::Send(Command::Cancel { run: id })])
}

/// The race that goes on.
pub(super) fn under_way(state: &State) -> Option<RunId> {
    match &state.overlay {
        Some(Overlay::Race(race)) if race.outcome.is_none() => Some(race.run),
        _ => None,
    }
}

/// A race that went on before a message and is no longer on screen after it is to end in the engine, too.
pub(super) fn left(state: &State, before: Option<RunId>) -> Option<Effect> {
    let gone = before.filter(|id| !is_of(state, *id))?;
    Some(Effect::Send(Command::Cancel { run: gone }))
}
