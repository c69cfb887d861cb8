//! What can be done with a replay: looking at what is played, pausing, scrubbing, leaving.

use super::{Course, feed};
use crate::app::action::{Action, Pane, Play};
use crate::app::message::Effect;
use crate::app::state::{Phase, State, View};
use crate::app::update;

/// Speeds to choose from, as multiples of the session's own pace.
const SPEEDS: [f64; 8] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, f64::INFINITY];

/// Whether something may be done while a session is played: looking, not changing.
pub(in crate::app) fn allows(action: &Action) -> bool {
    use Action::*;
    let leaving = matches!(action, Interrupt | Back | Quit | Suspend);
    let playing = matches!(action, Pause | Step | Play(_));
    let opening = matches!(action, Help | Palette | WhatIf | Picture(_) | Copy);
    let choosing = matches!(action, FocusNext | FocusPrevious | Focus(_) | Top | Bottom)
        || matches!(action, ControlUp | ControlDown | ControlTop | ControlBottom)
        || matches!(
            action,
            TokenLeft | TokenRight | TokenUp | TokenDown | RoundLeft | RoundRight
        );
    let scrolling = matches!(
        action,
        ScrollUp | ScrollDown | PageUp | PageDown | DetailsUp | DetailsDown
    );
    let showing = matches!(
        action,
        ToggleRejected | ToggleMarkdown | ToggleMouse | NextTheme | Theme(_)
    );
    leaving || playing || opening || choosing || scrolling || showing
}

/// Do something while a session is played.
pub(in crate::app) fn act(state: &mut State, action: Action) -> Vec<Effect> {
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

pub(in crate::app) fn refuse(state: &mut State) -> Vec<Effect> {
    state.say_wrong("this is a replay; esc leaves it");
    Vec::new()
}

/// Pause, or go on; at the end, begin anew.
fn pause(state: &mut State) {
    let Some(player) = &mut state.replay else {
        return;
    };
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
    let paused = state
        .replay
        .as_ref()
        .is_some_and(|player| player.course() == Course::Paused);
    state.phase = match state.phase {
        Phase::Prefill { run, .. } | Phase::Generating { run } if paused => Phase::Paused { run },
        Phase::Paused { run } if !paused => Phase::Generating { run },
        _ => return,
    };
}

/// One round further, and stand still there.
fn step(state: &mut State) {
    let Some(player) = &mut state.replay else {
        return;
    };
    player.replay.pause(true);
    player.last = None;
    let events = player.replay.step();
    show_pause(state);
    feed(state, events);
}

fn steer(state: &mut State, play: Play) {
    let Some(player) = &mut state.replay else {
        return;
    };
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
    let Some(player) = &mut state.replay else {
        return;
    };
    let (played, rounds) = player.progress();
    let there = if player.replay.is_over() {
        round >= rounds
    } else {
        played == round
    };
    if there {
        return;
    }
    player.last = None;
    let events = player.replay.seek(round);
    feed(state, events);
}

/// The mouse takes hold of the track, or moves along it.
pub(in crate::app) fn scrub(state: &mut State, fraction: f64) {
    let Some(player) = &mut state.replay else {
        return;
    };
    player.scrubbing = true;
    let (_, rounds) = player.progress();
    let round = (fraction.clamp(0.0, 1.0) * rounds as f64).round() as usize;
    seek(state, round);
}

pub(in crate::app) fn scrubbing(state: &State) -> bool {
    state.replay.as_ref().is_some_and(|player| player.scrubbing)
}

pub(in crate::app) fn release(state: &mut State) {
    if let Some(player) = &mut state.replay {
        player.scrubbing = false;
    }
}

/// Esc: to the bar, then to the chat.
pub(in crate::app) fn back(state: &mut State) -> Vec<Effect> {
    state.view.cursor = None;
    if state.focus == Pane::Prompt {
        return leave(state);
    }
    state.focus = Pane::Prompt;
    Vec::new()
}

/// The chat again, as it was; only how things are shown stays as it was changed meanwhile.
fn leave(state: &mut State) -> Vec<Effect> {
    let Some(player) = state.replay.take() else {
        return Vec::new();
    };
    let Some(chat) = player.chat else {
        return update::apply(state, Action::Quit);
    };
    let shown = std::mem::replace(state, *chat);
    let State {
        view: View {
            show_rejected,
            markdown,
            ..
        },
        config,
        look,
        now,
        regions,
        next_turn,
        ..
    } = shown;
    state.view = View {
        show_rejected,
        markdown,
        ..std::mem::take(&mut state.view)
    };
    (state.config, state.look, state.now, state.regions) = (config, look, now, regions);
    // What was wrapped is remembered by these numbers.
    state.next_turn = state.next_turn.max(next_turn);
    Vec::new()
}
