//! A kept session played on the screen in place of the chat. What it reports goes the way of the engine's reports; the
//! chat waits beneath, and nothing reaches the engine or a journal.

mod steer;

use super::action::Pane;
use super::engine;
use super::message::{Effect, Msg};
use super::state::{Phase, Run, State, View};
use super::turn::begin_run;
use super::{Lens, race, recall};
use crate::engine::config::{LlamaConfig, RopeScaling};
use crate::engine::decode::{Round, Settings};
use crate::engine::loaded_model::ModelInfo;
use crate::engine::worker::{Event, RunEvent, RunId};
use crate::transcript::{self, ModelRecord, Replay, ReplayEvent, Session};
use std::sync::Arc;
use std::time::Duration;

pub(super) use steer::{act, allows, back, refuse, release, scrub, scrubbing};

/// Longest wait at once, so that no time is too far off to be named.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

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
        Self {
            replay: Replay::new(session.clone()),
            session,
            chat,
            turn: None,
            last: None,
            scrubbing: false,
        }
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

    fn run(&self, turn: usize, id: RunId) -> Option<&transcript::Run> {
        let runs = &self.session.turns.get(turn)?.runs;
        runs.iter().find(|run| run.run == id)
    }

    /// What the journal holds of the layers for a run.
    fn lens(&self, turn: usize, id: RunId) -> Option<Box<Lens>> {
        let lens = self.run(turn, id)?.lens.as_deref()?;
        Some(Box::new(Lens::kept(lens)))
    }

    /// The model of a run.
    fn model(&self, turn: usize, id: RunId) -> Option<ModelRecord> {
        self.session.model_of(self.run(turn, id)?).cloned()
    }

    /// How long after the last tick the next event comes.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let wait = self.replay.due_in()?;
        match self.last {
            None => Some(Duration::ZERO),
            Some(_) => Some(
                Duration::try_from_secs_f64(wait)
                    .map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT)),
            ),
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
        let Some(player) = &mut self.replay else {
            return;
        };
        player.replay.set_speed(speed);
        let events = player.replay.seek(from);
        feed(self, events);
    }
}

/// Make the screen that of the session's beginning.
fn set_stage(state: &mut State, player: Player) {
    let session = player.session.clone();
    state.model = Some(
        session
            .model()
            .map(info)
            .unwrap_or_else(|| info(&ModelRecord::default())),
    );
    state.settings = session.rounds().next().map_or_else(
        || session.settings.clone(),
        |round| Settings::clone(&round.settings),
    );
    state.system = session.system().to_owned();
    state.mode = session.mode_in_force();
    state.phase = Phase::Idle;
    state.raced = None;
    state.prompt = Default::default();
    state.controls = Default::default();
    state.focus = Pane::Prompt;
    (state.notice, state.drag, state.last_run) = (None, None, None);
    state.view = View {
        top: None,
        cursor: None,
        reveal: false,
        ..state.view
    };
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
        name: if record.name.is_empty() {
            "unknown model".into()
        } else {
            record.name.clone()
        },
        path: record.path.clone().into(),
        config,
        dtype: record.dtype.clone(),
        device: record.device.clone(),
        weight_bytes: record.weight_bytes,
        has_chat_template: true,
        chat_template_fault: None,
        defaults: Default::default(),
    }
}

/// Where a message is meant for the chat beneath: what the real engine reports.
pub(super) fn beneath<'a>(state: &'a mut State, msg: &Msg) -> Option<&'a mut State> {
    let theirs = matches!(
        msg,
        Msg::Engine(_) | Msg::EngineGone | Msg::SessionLoaded(_)
    );
    state
        .replay
        .as_mut()
        .filter(|_| theirs)?
        .chat
        .as_deref_mut()
}

/// Time went by.
pub(super) fn on_tick(state: &mut State) {
    let now = state.now;
    let Some(player) = &mut state.replay else {
        return;
    };
    let gone = player
        .last
        .map_or(Duration::ZERO, |last| now.saturating_sub(last));
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
                if let Event::Run(_, RunEvent::Round(round)) = &event {
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
    (state.view.cursor, state.view.top, state.last_run) = (None, None, None);
    // A map or text over the screen is about turns that are gone.
    state.overlay = None;
    if let Some(player) = &mut state.replay {
        player.turn = None;
    }
}

/// The controls show what was in force. What an autopilot moved, the user did not set.
fn take_settings(state: &mut State, round: &Round) {
    let (exit_layer, num_speculations) =
        (state.settings.exit_layer, state.settings.num_speculations);
    state.settings = Settings::clone(&round.settings);
    if round.controller_note.is_some() {
        (state.settings.exit_layer, state.settings.num_speculations) =
            (exit_layer, num_speculations);
    }
}

fn open_turn(state: &mut State, turn: usize) {
    let Some(player) = &mut state.replay else {
        return;
    };
    if player.turn.replace(turn) == Some(turn) {
        return;
    }
    let session = player.session.clone();
    recall::open(state, &session, turn);
}

fn begin(state: &mut State, turn: usize, id: RunId) {
    open_turn(state, turn);
    let run = Run {
        id,
        pausing: false,
        cancelling: false,
    };
    let paused = state
        .replay
        .as_ref()
        .is_some_and(|player| player.course() == Course::Paused);
    state.phase = if paused {
        Phase::Paused { run }
    } else {
        Phase::Prefill {
            run,
            done: 0,
            total: 0,
            cached: 0,
        }
    };
    state.last_run = Some(id);
    let lens = state
        .replay
        .as_ref()
        .and_then(|player| player.lens(turn, id));
    if let Some(turn) = state.turns.last_mut() {
        (turn.outcome, turn.run, turn.lens) = (None, Some(id), lens);
    }
    let model = state
        .replay
        .as_ref()
        .and_then(|player| player.model(turn, id));
    if let Some(model) = model {
        state.model = Some(info(&model));
        begin_run(&mut state.turns, Some(Arc::new(model)));
    }
}

#[cfg(test)]
mod tests;
