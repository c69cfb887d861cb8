//! A kept session played on the screen in place of the chat. What it reports goes the way of the engine's reports; the
//! chat waits beneath, and nothing reaches the engine or a journal.

use super::action::{Action, Pane, Play};
use super::engine;
use super::message::{Effect, Msg};
use super::state::{Phase, Run, State, View};
use super::{Lens, race, recall, update};
use crate::engine::config::{LlamaConfig, RopeScaling};
use crate::engine::decode::{Round, Stats};
use crate::engine::worker::{Event, ModelInfo, RunId};
use crate::transcript::{ModelRecord, Replay, ReplayEvent, Session};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait at once, so that no time is too far off to be named.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Speeds to choose from, as multiples of the session's own pace.
const SPEEDS: [f64; 8] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, f64::INFINITY];

/// The session that is played.
#[derive(Debug, Clone, PartialEq)]
pub struct Player {
    session: Arc<Session>,
    replay: Replay,
    /// What waits beneath; none where the program only plays.
    chat: Option<Box<State>>,
    /// The turn of the session that was opened last.
    turn: Option<usize>,
    /// When the last tick came; none where something else than time moved the replay since.
    last: Option<Duration>,
    /// Whether the mouse holds the track.
    scrubbing: bool,
}

/// What a replay does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    Playing,
    Paused,
    Over,
}

impl Player {
    fn new(session: Arc<Session>, chat: Option<Box<State>>) -> Self {
        Self { replay: Replay::new(session.clone()), session, chat, turn: None, last: None, scrubbing: false }
    }

    /// What is played.
    pub fn session(&self) -> &Session {
        &self.session
    }

    pub fn course(&self) -> Course {
        match () {
            () if self.replay.is_over() => Course::Over,
            () if self.replay.is_paused() => Course::Paused,
            () => Course::Playing,
        }
    }

    /// How many times as fast as it was; infinite for at once.
    pub fn speed(&self) -> f64 {
        self.replay.speed()
    }

    /// Rounds played, and rounds there are.
    pub fn progress(&self) -> (usize, usize) {
        self.replay.progress()
    }

    /// Whether there is no chat beneath to go back to.
    pub fn alone(&self) -> bool {
        self.chat.is_none()
    }

    /// What the journal holds of the layers for a run.
    fn lens(&self, turn: usize, id: RunId) -> Option<Box<Lens>> {
        let run = self.session.turns.get(turn)?.runs.iter().find(|run| run.run == id)?;
        run.lens.as_deref().map(|lens| Box::new(Lens::kept(lens)))
    }

    /// How long after the last tick the next event comes.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let wait = self.replay.due_in()?;
        match self.last {
            None => Some(Duration::ZERO),
            Some(_) => Some(Duration::try_from_secs_f64(wait).map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT))),
        }
    }
}

/// Whether a replay can take the screen now; says why not.
pub(super) fn free(state: &mut State) -> bool {
    let busy = state.run().is_some() || race::under_way(state).is_some();
    if busy {
        state.say_wrong("an answer is being written; cancel it before you replay a session");
    }
    !busy && state.replay.is_none()
}

/// Play a session from its start; the chat stays as it is beneath.
pub(super) fn open(state: &mut State, session: Arc<Session>) -> Vec<Effect> {
    if !free(state) {
        return Vec::new();
    }
    state.overlay = None;
    state.queued = false;
    let turns = std::mem::take(&mut state.turns);
    let stage = state.clone();
    state.turns = turns;
    let chat = std::mem::replace(state, stage);
    set_stage(state, Player::new(session, Some(Box::new(chat))));
    Vec::new()
}

impl State {
    /// Play a session and nothing else: no model is needed, and leaving the replay is the end. What comes before round
    /// `from` is there at once.
    pub fn play_alone(&mut self, session: Arc<Session>, speed: f64, from: usize) {
        set_stage(self, Player::new(session, None));
        let Some(player) = &mut self.replay else { return };
        player.replay.set_speed(speed);
        let events = player.replay.seek(from);
        feed(self, events);
    }
}

/// Make the screen that of the session's beginning.
fn set_stage(state: &mut State, player: Player) {
    let session = player.session.clone();
    state.model = Some(session.model().map(info).unwrap_or_else(|| info(&ModelRecord::default())));
    state.settings = session.rounds().next().map_or_else(|| session.settings.clone(), |round| round.settings.clone());
    state.system = session.system().to_owned();
    state.mode = recall::mode(&session);
    state.phase = Phase::Idle;
    state.baseline = Stats::default();
    state.prompt = Default::default();
    state.controls = Default::default();
    state.focus = Pane::Prompt;
    (state.notice, state.drag, state.last_run) = (None, None, None);
    state.view = View { top: None, cursor: None, reveal: false, ..state.view };
    state.replay = Some(Box::new(player));
}

/// What the journal knows of a model, for the header and the ranges of the controls.
fn info(record: &ModelRecord) -> ModelInfo {
    let config = LlamaConfig {
        vocab_size: 1 << 18,
        hidden_size: 0,
        intermediate_size: 0,
        num_layers: record.num_layers.max(2),
        num_heads: 0,
        num_kv_heads: 0,
        head_dim: 0,
        rms_norm_eps: 0.0,
        rope_theta: 0.0,
        rope_scaling: RopeScaling::None,
        context_length: 1 << 17,
        tie_word_embeddings: false,
    };
    ModelInfo {
        name: if record.name.is_empty() { "unknown model".into() } else { record.name.clone() },
        path: record.path.clone().into(),
        config,
        dtype: record.dtype.clone(),
        device: record.device.clone(),
        weight_bytes: record.weight_bytes,
        has_chat_template: true,
        defaults: Default::default(),
    }
}

/// Where a message is meant for the chat beneath: what the real engine reports.
pub(super) fn beneath<'a>(state: &'a mut State, msg: &Msg) -> Option<&'a mut State> {
    let theirs = matches!(msg, Msg::Engine(_) | Msg::EngineGone | Msg::SessionLoaded(_));
    state.replay.as_mut().filter(|_| theirs)?.chat.as_deref_mut()
}

/// Time went by.
pub(super) fn on_tick(state: &mut State) {
    let now = state.now;
    let Some(player) = &mut state.replay else { return };
    let gone = player.last.map_or(Duration::ZERO, |last| now.saturating_sub(last));
    player.last = Some(now);
    let events = player.replay.advance(gone.as_secs_f64());
    feed(state, events);
}

/// Take in what happens, as if it happened now.
fn feed(state: &mut State, events: Vec<ReplayEvent>) {
    for event in events {
        match event {
            ReplayEvent::Restart => restart(state),
            ReplayEvent::Typed { turn } => open_turn(state, turn),
            ReplayEvent::Begin { turn, run, .. } => begin(state, turn, run),
            ReplayEvent::Engine(event) => {
                if let Event::Round { round, .. } = &event {
                    take_settings(state, round);
                }
                drop(engine::on_event(state, event));
            }
            ReplayEvent::Over => {}
        }
    }
}

fn restart(state: &mut State) {
    state.turns.clear();
    state.phase = Phase::Idle;
    state.baseline = Stats::default();
    (state.view.cursor, state.view.top, state.last_run) = (None, None, None);
    // A map or text over the screen is about turns that are gone.
    state.overlay = None;
    if let Some(player) = &mut state.replay {
        player.turn = None;
    }
}

/// The controls show what was in force. What an autopilot moved, the user did not set.
fn take_settings(state: &mut State, round: &Round) {
    let (exit_layer, num_speculations) = (state.settings.exit_layer, state.settings.num_speculations);
    state.settings = round.settings.clone();
    if round.control.is_some() {
        (state.settings.exit_layer, state.settings.num_speculations) = (exit_layer, num_speculations);
    }
}

fn open_turn(state: &mut State, turn: usize) {
    let Some(player) = &mut state.replay else { return };
    if player.turn.replace(turn) == Some(turn) {
        return;
    }
    let session = player.session.clone();
    recall::open(state, &session, turn);
}

fn begin(state: &mut State, turn: usize, id: RunId) {
    open_turn(state, turn);
    let run = Run { id, pausing: false, cancelling: false };
    let paused = state.replay.as_ref().is_some_and(|player| player.course() == Course::Paused);
    state.phase = if paused { Phase::Paused { run } } else { Phase::Prefill { run, done: 0, total: 0, cached: 0 } };
    state.last_run = Some(id);
    let lens = state.replay.as_ref().and_then(|player| player.lens(turn, id));
    if let Some(turn) = state.turns.last_mut() {
        (turn.outcome, turn.run, turn.lens) = (None, Some(id), lens);
    }
}

/// Whether something may be done while a session is played: looking, not changing.
pub(super) fn allows(action: &Action) -> bool {
    use Action::*;
    let leaving = matches!(action, Interrupt | Back | Quit | Suspend);
    let playing = matches!(action, Pause | Step | Play(_));
    let opening = matches!(action, Help | Palette | WhatIf | Picture(_) | Copy);
    let choosing = matches!(action, FocusNext | FocusPrevious | Focus(_) | Top | Bottom)
        || matches!(action, ControlUp | ControlDown | ControlTop | ControlBottom)
        || matches!(action, TokenLeft | TokenRight | TokenUp | TokenDown | RoundLeft | RoundRight);
    let scrolling = matches!(action, ScrollUp | ScrollDown | PageUp | PageDown);
    let showing = matches!(action, ToggleRejected | ToggleMarkdown | ToggleMouse | NextTheme | Theme(_));
    leaving || playing || opening || choosing || scrolling || showing
}

/// Do something while a session is played.
pub(super) fn act(state: &mut State, action: Action) -> Vec<Effect> {
    match action {
        Action::Interrupt => return leave(state),
        Action::Pause => pause(state),
        Action::Step => step(state),
        Action::Play(play) => steer(state, play),
        action if allows(&action) => {
            let mut effects = update::apply(state, action);
            effects.retain(|effect| !matches!(effect, Effect::Send(_)));
            return effects;
        }
        _ => return refuse(state),
    }
    Vec::new()
}

pub(super) fn refuse(state: &mut State) -> Vec<Effect> {
    state.say_wrong("this is a replay; esc leaves it");
    Vec::new()
}

/// Pause, or go on; at the end, begin anew.
fn pause(state: &mut State) {
    let Some(player) = &mut state.replay else { return };
    let course = player.course();
    player.replay.pause(course == Course::Playing);
    player.last = None;
    if course == Course::Over {
        seek(state, 0);
    }
    show_pause(state);
}

/// The phase says whether what is played stands still.
fn show_pause(state: &mut State) {
    let paused = state.replay.as_ref().is_some_and(|player| player.course() == Course::Paused);
    state.phase = match state.phase {
        Phase::Prefill { run, .. } | Phase::Generating { run } if paused => Phase::Paused { run },
        Phase::Paused { run } if !paused => Phase::Generating { run },
        _ => return,
    };
}

/// One round further, and stand still there.
fn step(state: &mut State) {
    let Some(player) = &mut state.replay else { return };
    player.replay.pause(true);
    player.last = None;
    let events = player.replay.step();
    show_pause(state);
    feed(state, events);
}

fn steer(state: &mut State, play: Play) {
    let Some(player) = &mut state.replay else { return };
    let (played, _) = player.progress();
    let speed = player.speed();
    let slower = SPEEDS.iter().rev().find(|slower| **slower < speed);
    let faster = SPEEDS.iter().find(|faster| **faster > speed);
    match play {
        Play::Slower => player.replay.set_speed(*slower.unwrap_or(&speed)),
        Play::Faster => player.replay.set_speed(*faster.unwrap_or(&speed)),
        Play::OwnPace => player.replay.set_speed(1.0),
        Play::AtOnce => player.replay.set_speed(f64::INFINITY),
        Play::By(by) => return seek(state, played.saturating_add_signed(by as isize)),
        Play::Start => return seek(state, 0),
        Play::End => return seek(state, usize::MAX),
    }
    player.last = None;
}

fn seek(state: &mut State, round: usize) {
    let Some(player) = &mut state.replay else { return };
    let (played, rounds) = player.progress();
    let there = if player.replay.is_over() { round >= rounds } else { played == round };
    if there {
        return;
    }
    player.last = None;
    let events = player.replay.seek(round);
    feed(state, events);
}

/// The mouse takes hold of the track, or moves along it.
pub(super) fn scrub(state: &mut State, fraction: f64) {
    let Some(player) = &mut state.replay else { return };
    player.scrubbing = true;
    let (_, rounds) = player.progress();
    let round = (fraction.clamp(0.0, 1.0) * rounds as f64).round() as usize;
    seek(state, round);
}

pub(super) fn scrubbing(state: &State) -> bool {
    state.replay.as_ref().is_some_and(|player| player.scrubbing)
}

pub(super) fn release(state: &mut State) {
    if let Some(player) = &mut state.replay {
        player.scrubbing = false;
    }
}

/// Esc: to the bar, then to the chat.
pub(super) fn back(state: &mut State) -> Vec<Effect> {
    state.view.cursor = None;
    if state.focus == Pane::Prompt {
        return leave(state);
    }
    state.focus = Pane::Prompt;
    Vec::new()
}

/// The chat again, as it was; only how things are shown stays as it was changed meanwhile.
fn leave(state: &mut State) -> Vec<Effect> {
    let Some(player) = state.replay.take() else { return Vec::new() };
    let Some(chat) = player.chat else { return update::apply(state, Action::Quit) };
    let shown = std::mem::replace(state, *chat);
    let State { view: View { show_rejected, markdown, .. }, config, look, now, regions, next_turn, .. } = shown;
    state.view = View { show_rejected, markdown, ..std::mem::take(&mut state.view) };
    (state.config, state.look, state.now, state.regions) = (config, look, now, regions);
    // What was wrapped is remembered by these numbers.
    state.next_turn = state.next_turn.max(next_turn);
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Options, Turn, update};
    use crate::transcript::tests::any_session;
    use proptest::prelude::*;

    fn plain(turns: &[Turn]) -> Vec<Turn> {
        turns.iter().map(|turn| Turn { id: 0, run: None, lens: None, ..turn.clone() }).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Played at any pace, to and fro, a session ends as the turns that going on with it shows.
        #[test]
        fn a_replay_ends_as_the_session_was_recorded(
            session in any_session(),
            moves in proptest::collection::vec((0u64..4000, -20i32..20), 0..6),
        ) {
            let options = || Options { session: Some(Arc::new(session.clone())), ..Options::default() };
            let recorded = State::new(options()).unwrap();
            let mut state = State::new(Options::default()).unwrap();
            state.play_alone(Arc::new(session.clone()), 1.0, 0);
            let mut now = 0;
            for (wait, by) in moves {
                now += wait;
                update(&mut state, Msg::Tick(Duration::from_millis(now)));
                update(&mut state, Msg::Action(Action::Play(Play::By(by))));
            }
            update(&mut state, Msg::Action(Action::Play(Play::End)));
            prop_assert_eq!(plain(&state.turns), plain(&recorded.turns));
            prop_assert_eq!((state.mode, &state.system), (recorded.mode, &recorded.system));
        }
    }
}
