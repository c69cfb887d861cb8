//! Replaying a saved session in place of the chat. Its events take the same path as the engine's. The chat does not
//! change, and nothing reaches the engine or a journal.

use super::reply::Reply;
use super::{engine_events, resume};
use crate::app::input::action::ReplayAction;
use crate::app::state::player::Course;
use crate::app::state::turn::{begin_run, mark_unseen};
use crate::app::state::{App, Phase, Player, ReplayScreen, Run, Shared, State};
use crate::engine::config::{LlamaConfig, RopeScaling};
use crate::engine::decode::{Round, Settings};
use crate::engine::loaded_model::ModelInfo;
use crate::engine::worker::{Event, RunEvent, RunId};
use crate::transcript::{ModelRecord, ReplayEvent, Session};
use std::sync::Arc;
use std::time::Duration;

/// Speeds, as multiples of the recorded speed.
const SPEEDS: [f64; 8] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, f64::INFINITY];

pub(super) fn refuse(state: &mut State) {
    state.notify_error("this is a replay; esc leaves it");
}

/// Replays a session from its start. The chat does not change.
pub(super) fn open(app: &mut App, session: Arc<Session>) {
    if app.replay.is_some() || !super::run::is_quiet(&mut app.chat) {
        return;
    }
    app.chat.overlay = None;
    app.chat.send_when_loaded = false;
    app.replay = Some(Box::new(screen(Player::new(session, false), &app.chat)));
}

impl App {
    /// Replays a session without a chat: no model is needed, and leaving the replay quits. The rounds before `from`
    /// appear at once.
    pub fn replay_alone(&mut self, session: Arc<Session>, speed: f64, from: usize) {
        let mut replay = screen(Player::new(session, true), &self.chat);
        replay.player.replay.set_speed(speed);
        let events = replay.player.replay.seek(from);
        feed(&mut replay, &mut self.shared, events);
        self.replay = Some(Box::new(replay));
    }
}

/// The screen at the start of the session.
fn screen(player: Player, chat: &State) -> ReplayScreen {
    let session = player.session.clone();
    let settings = session.rounds().next().map_or_else(
        || session.settings.clone(),
        |round| Settings::clone(&round.settings),
    );
    let mut state = State::new(chat.request.clone(), settings);
    state.live = false;
    let record = session.model().cloned().unwrap_or_default();
    state.shapes = chat.shapes.clone();
    let loaded = chat.model_record().is_some_and(|loaded| loaded.is(&record));
    state.model = chat.model.clone().filter(|_| loaded);
    state.model.get_or_insert_with(|| info(&record));
    state.raced = session.race.as_deref().cloned();
    state.system = session.system().to_owned();
    state.mode = session.current_mode();
    state.phase = Phase::Idle;
    ReplayScreen { player, state }
}

/// A model as recorded in the journal, for the header and the ranges of the controls.
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
        device_reason: None,
        exits_path: None,
        adapters: Vec::new(),
        borrowed_adapters: Vec::new(),
        adapters_fault: None,
        weight_bytes: record.weight_bytes,
        has_chat_template: true,
        chat_template_fault: None,
        defaults: Default::default(),
    }
}

/// Advances the replay to the time of a tick.
pub(super) fn on_tick(app: &mut App) {
    let (Some(replay), shared) = (&mut app.replay, &mut app.shared) else {
        return;
    };
    let player = &mut replay.player;
    let gone = player
        .last
        .map_or(Duration::ZERO, |last| shared.now.saturating_sub(last));
    player.last = Some(shared.now);
    let events = player.replay.advance(gone.as_secs_f64());
    feed(replay, shared, events);
}

/// Handles replayed events as if they happened now.
fn feed(replay: &mut ReplayScreen, shared: &mut Shared, events: Vec<ReplayEvent>) {
    for event in events {
        match event {
            ReplayEvent::Restart => restart(replay),
            ReplayEvent::Typed { turn } => open_turn(replay, shared, turn),
            ReplayEvent::Begin { turn, run, .. } => begin(replay, shared, turn, run),
            ReplayEvent::Engine(event) => {
                if let Event::Run(_, RunEvent::Round(round)) = &event {
                    show_settings(&mut replay.state, round);
                }
                drop(engine_events::on_event(&mut replay.state, event));
            }
            ReplayEvent::Over => {}
        }
    }
}

fn restart(replay: &mut ReplayScreen) {
    let state = &mut replay.state;
    state.turns.clear();
    state.phase = Phase::Idle;
    (state.view.cursor, state.view.top, state.last_run) = (None, None, None);
    // An overlay may refer to turns that no longer exist.
    state.overlay = None;
    replay.player.turn = None;
}

/// Shows the settings of the round in the controls. Values adjusted by a controller do not count as set by the user.
fn show_settings(state: &mut State, round: &Round) {
    let (exit_layer, num_speculations) =
        (state.settings.exit_layer, state.settings.num_speculations);
    state.settings = Settings::clone(&round.settings);
    if round.controller_note.is_some() {
        (state.settings.exit_layer, state.settings.num_speculations) =
            (exit_layer, num_speculations);
    }
}

fn open_turn(replay: &mut ReplayScreen, shared: &mut Shared, turn: usize) {
    if replay.player.turn.replace(turn) != Some(turn) {
        resume::open(&mut replay.state, shared, &replay.player.session, turn);
        resume::take_answers(&mut replay.state, shared, &replay.player.session, turn);
    }
}

fn begin(replay: &mut ReplayScreen, shared: &mut Shared, turn: usize, id: RunId) {
    open_turn(replay, shared, turn);
    let ReplayScreen { player, state } = replay;
    let run = Run {
        id,
        pausing: false,
        cancelling: false,
    };
    state.phase = if player.course() == Course::Paused {
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
    mark_unseen(&mut state.turns, 0);
    if let Some(last) = state.turns.last_mut() {
        (last.outcome, last.run, last.lens) = (None, Some(id), player.lens(turn, id));
    }
    if let Some(model) = player.model(turn, id) {
        if state.model_record().is_none_or(|shown| !shown.is(&model)) {
            state.model = Some(info(&model));
        }
        begin_run(&mut state.turns, Some(Arc::new(model)));
    }
}

/// Pauses or resumes; at the end, restarts.
pub(super) fn pause(app: &mut App) -> Reply {
    if let Some(replay) = &mut app.replay {
        let player = &mut replay.player;
        let course = player.course();
        player.replay.pause(course == Course::Playing);
        player.last = None;
        if course == Course::Over {
            seek(app, 0);
        }
    }
    show_pause(app);
    Reply::none()
}

/// Sets the phase to paused or running, as the replay is.
fn show_pause(app: &mut App) {
    let Some(replay) = &mut app.replay else {
        return;
    };
    let paused = replay.player.course() == Course::Paused;
    replay.state.phase = match replay.state.phase {
        Phase::Prefill { run, .. } | Phase::Generating { run } if paused => Phase::Paused { run },
        Phase::Paused { run } if !paused => Phase::Generating { run },
        _ => return,
    };
}

/// Plays one round and pauses.
pub(super) fn step(app: &mut App) -> Reply {
    let Some(replay) = &mut app.replay else {
        return Reply::none();
    };
    replay.player.replay.pause(true);
    replay.player.last = None;
    let events = replay.player.replay.step();
    show_pause(app);
    if let Some(replay) = &mut app.replay {
        feed(replay, &mut app.shared, events);
    }
    Reply::none()
}

pub(super) fn act(app: &mut App, action: ReplayAction) -> Reply {
    let Some(replay) = &mut app.replay else {
        return Reply::none();
    };
    let player = &mut replay.player;
    let (played, _) = player.progress();
    let speed = player.speed();
    let slower = SPEEDS.iter().rev().find(|slower| **slower < speed);
    let faster = SPEEDS.iter().find(|faster| **faster > speed);
    let speed = match action {
        ReplayAction::Slower => *slower.unwrap_or(&speed),
        ReplayAction::Faster => *faster.unwrap_or(&speed),
        ReplayAction::OwnPace => 1.0,
        ReplayAction::AtOnce => f64::INFINITY,
        ReplayAction::By(by) => return seek(app, played.saturating_add_signed(by as isize)),
        ReplayAction::Start => return seek(app, 0),
        ReplayAction::End => return seek(app, usize::MAX),
    };
    player.replay.set_speed(speed);
    player.last = None;
    Reply::none()
}

fn seek(app: &mut App, round: usize) -> Reply {
    let Some(replay) = &mut app.replay else {
        return Reply::none();
    };
    let player = &mut replay.player;
    let (played, rounds) = player.progress();
    let there = if player.replay.is_over() {
        round >= rounds
    } else {
        played == round
    };
    if !there {
        player.last = None;
        let events = player.replay.seek(round);
        feed(replay, &mut app.shared, events);
    }
    Reply::none()
}

/// Seeks to a fraction of the track while the mouse holds it.
pub(super) fn scrub(app: &mut App, fraction: f64) {
    if let Some(replay) = &mut app.replay {
        replay.player.scrubbing = true;
        let (_, rounds) = replay.player.progress();
        seek(
            app,
            (fraction.clamp(0.0, 1.0) * rounds as f64).round() as usize,
        );
    }
}

pub(super) fn release(app: &mut App) {
    if let Some(replay) = &mut app.replay {
        replay.player.scrubbing = false;
    }
}

/// Back to the chat as it was; false where there is none.
pub(super) fn leave(app: &mut App) -> bool {
    let alone = app
        .replay
        .as_ref()
        .is_some_and(|replay| replay.player.is_alone());
    if !alone {
        app.replay = None;
    }
    !alone
}

#[cfg(test)]
mod tests;
