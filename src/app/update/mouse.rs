//! The mouse, resolved against the regions of the frame on screen.

use super::reply::Reply;
use super::{chat, controls, lens, menu, navigation, overlay, replay, sessions, sweep, what_if};
use crate::app::controls::{Control, Kind};
use crate::app::input::action::{ControlsAction, ListAction, Pane, ReplayAction, Step, ViewAction};
use crate::app::message::Effect;
use crate::app::state::{App, Overlay, State, Target};
use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Rect;

/// Lines per notch of the wheel.
const WHEEL: isize = 3;

pub(super) fn on_mouse(app: &mut App, event: MouseEvent) -> Reply {
    let hit = app
        .shared
        .regions
        .at(event.column, event.row)
        .map(|(area, target)| (area, target.clone()));
    match event.kind {
        MouseEventKind::Down(MouseButton::Left) => press(app, hit, event.column),
        MouseEventKind::Drag(MouseButton::Left) => drag(app, event.column).into(),
        MouseEventKind::Up(_) => {
            replay::release(app);
            let state = app.state_mut();
            let moved = state.drag.take();
            moved.map(|_| controls::apply(state)).into()
        }
        MouseEventKind::ScrollUp => wheel(app, hit, -1),
        MouseEventKind::ScrollDown => wheel(app, hit, 1),
        _ => Reply::none(),
    }
}

fn press(app: &mut App, hit: Option<(Rect, Target)>, column: u16) -> Reply {
    let Some((area, target)) = hit else {
        return Reply::none();
    };
    let (state, shared) = app.parts();
    let over = matches!(
        target,
        Target::Entry(_)
            | Target::Cell { .. }
            | Target::LensCell { .. }
            | Target::Overlay
            | Target::Hint(_)
    );
    if state.overlay.is_some() && !over {
        state.overlay = None;
        return Reply::none();
    }
    match target {
        Target::Entry(index) if state.overlay.is_none() => {
            return menu::click(state, shared, index);
        }
        Target::Entry(index) => return overlay::click(state, index),
        Target::Cell {
            exit_layer,
            num_speculations,
        } if matches!(state.overlay, Some(Overlay::Sweep(_))) => {
            return sweep::click(state, (exit_layer, num_speculations));
        }
        Target::Cell {
            exit_layer,
            num_speculations,
        } => return what_if::click(state, exit_layer, num_speculations),
        Target::LensCell { row, layer } if state.overlay.is_some() => {
            lens::click(state, shared, row, layer);
            return Reply::none();
        }
        Target::Answers { turn } if state.live && state.run().is_none() => {
            return chat::show_answer(state, turn, 1).into();
        }
        Target::Hint(action) => return Reply::then(action),
        Target::Track(control) => return grab(state, control, fraction(area, column)),
        Target::Control(control) => return Reply::then(ControlsAction::FocusControl(control)),
        Target::Inspector | Target::Overlay => return Reply::none(),
        Target::Scrub => {
            state.focus = Pane::Prompt;
            replay::scrub(app, fraction(area, column));
            return Reply::none();
        }
        _ => {}
    }
    // The search field keeps the keys while the user stays in the chat.
    if matches!(
        target,
        Target::Controls | Target::Prompt | Target::Rounds | Target::Round { .. }
    ) {
        state.find = None;
    }
    let effects = controls::finish_typing(state);
    match target {
        Target::Controls => state.focus = Pane::Controls,
        Target::Prompt => state.focus = state.home(),
        Target::Chat => state.focus = Pane::Chat,
        Target::Rounds => state.focus = Pane::Rounds,
        Target::Token(token) if navigation::is_shown(state, shared.display, token) => {
            state.focus = Pane::Chat;
            state.view.cursor = Some(token);
        }
        Target::Round { turn, round } => {
            state.focus = Pane::Rounds;
            navigation::select_round(state, shared.display, Some((turn, round)));
        }
        _ => {}
    }
    effects.into()
}

/// Starts dragging a slider. The whole drag is one change to undo.
fn grab(state: &mut State, control: Control, fraction: f64) -> Reply {
    let again = state.focus == Pane::Controls && state.controls.focused == control;
    let focus = Reply::then(ControlsAction::FocusControl(control));
    match control.kind(state.model.as_ref()) {
        Kind::Slider(range) if state.live => {
            let effects = controls::finish_typing(state);
            let moved = controls::set(state, control, range.at(fraction));
            state.drag = Some(control);
            Reply::from(effects).and(moved).and(focus)
        }
        // In a replay, `Set` is refused with a notice.
        Kind::Slider(range) => focus.and(Reply::then(ControlsAction::Set(
            control,
            range.at(fraction),
        ))),
        Kind::Toggle | Kind::Choice(_) => focus.and(Reply::then(ControlsAction::Activate)),
        Kind::Text if again => focus.and(Reply::then(ControlsAction::Activate)),
        Kind::Text | Kind::Number(_) => focus,
    }
}

/// A drag follows the column in any row, also past the ends.
fn drag(app: &mut App, column: u16) -> Vec<Effect> {
    let track = |target: Target| {
        let areas = app.shared.regions.areas().iter();
        areas
            .filter(|(_, drawn)| *drawn == target)
            .map(|(area, _)| fraction(*area, column))
            .next()
    };
    if app.player().is_some_and(|player| player.scrubbing) {
        if let Some(fraction) = track(Target::Scrub) {
            replay::scrub(app, fraction);
        }
        return Vec::new();
    }
    let Some(control) = app.state().drag else {
        return Vec::new();
    };
    let fraction = track(Target::Track(control));
    let state = app.state_mut();
    match (fraction, control.kind(state.model.as_ref())) {
        (Some(fraction), Kind::Slider(range)) => controls::drag(state, control, range.at(fraction)),
        _ => Vec::new(),
    }
}

/// The position of a column along a track, 0 to 1.
fn fraction(track: Rect, column: u16) -> f64 {
    let last = f64::from(track.width.saturating_sub(1).max(1));
    (f64::from(column) - f64::from(track.x)) / last
}

fn wheel(app: &mut App, hit: Option<(Rect, Target)>, by: isize) -> Reply {
    let (state, shared) = app.parts();
    if overlay::scroll_by(state, &shared.regions, by * WHEEL) {
        return Reply::none();
    }
    let entry = if by < 0 {
        ListAction::EntryUp
    } else {
        ListAction::EntryDown
    };
    match &mut state.overlay {
        Some(Overlay::Picker(_)) => return Reply::then(entry),
        Some(Overlay::Sessions(list)) => return sessions::act_on_list(list, entry),
        Some(Overlay::Lens(_)) => {
            lens::step(state, 0, -by);
            return Reply::none();
        }
        Some(Overlay::WhatIf(_)) => {
            what_if::step(state, by, 0);
            return Reply::none();
        }
        Some(Overlay::Sweep(sweep)) => {
            sweep.move_by(by, 0);
            return Reply::none();
        }
        Some(_) => return Reply::none(),
        None => {}
    }
    match hit.map(|(_, target)| target) {
        Some(Target::Track(control) | Target::Control(control)) => {
            let step = if by < 0 { Step::Up } else { Step::Down };
            return Reply::then(ControlsAction::FocusControl(control))
                .and(Reply::then(ControlsAction::Adjust(step)));
        }
        Some(Target::Scrub) => return Reply::then(ReplayAction::By(by as i32)),
        Some(Target::Rounds | Target::Round { .. }) => {
            return Reply::then(if by < 0 {
                ViewAction::RoundLeft
            } else {
                ViewAction::RoundRight
            });
        }
        Some(Target::Entry(_)) => return Reply::then(entry),
        Some(Target::Inspector) => navigation::details(state, &shared.regions, by * WHEEL),
        _ => navigation::scroll(state, &shared.regions, by * WHEEL),
    }
    Reply::none()
}
