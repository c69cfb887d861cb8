//! The mouse, resolved against the regions of the frame on screen.

use super::action::{Pane, Step};
use super::control::Control;
use super::hints::Click;
use super::message::Effect;
use super::range::Kind;
use super::regions::Target;
use super::state::{Overlay, State};
use super::{overlay, panel, player, update, walk, what_if};
use crossterm::event::{KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Rect;

/// Lines that a notch of the wheel scrolls.
const WHEEL: isize = 3;

pub(super) fn on_mouse(state: &mut State, event: MouseEvent) -> Vec<Effect> {
    let hit = state
        .regions
        .at(event.column, event.row)
        .map(|(area, target)| (area, target.clone()));
    match event.kind {
        MouseEventKind::Down(MouseButton::Left) => press(state, hit, event.column),
        MouseEventKind::Drag(MouseButton::Left) => drag(state, event.column),
        MouseEventKind::Up(_) => {
            player::release(state);
            match state.drag.take() {
                Some(_) => panel::tell(state),
                None => Vec::new(),
            }
        }
        MouseEventKind::ScrollUp => wheel(state, hit, -1),
        MouseEventKind::ScrollDown => wheel(state, hit, 1),
        _ => Vec::new(),
    }
}

fn press(state: &mut State, hit: Option<(Rect, Target)>, column: u16) -> Vec<Effect> {
    let Some((area, target)) = hit else {
        return Vec::new();
    };
    if state.overlay.is_some()
        && !matches!(
            target,
            Target::Entry(_) | Target::Cell { .. } | Target::Overlay | Target::Hint(_)
        )
    {
        state.overlay = None;
        return Vec::new();
    }
    match target {
        Target::Entry(index) => return overlay::choose(state, index),
        Target::Cell {
            exit_layer,
            num_speculations,
        } => {
            return what_if::click(state, exit_layer, num_speculations);
        }
        Target::Hint(Click::Do(action)) => return update::act(state, action),
        Target::Hint(Click::Press(code)) => {
            return update::on_key(state, KeyEvent::new(code, KeyModifiers::NONE));
        }
        Target::Hint(Click::Key(key)) => return update::on_key(state, key),
        Target::Scrub => {
            state.focus = Pane::Prompt;
            player::scrub(state, fraction(area, column));
        }
        Target::Track(control) => return grab(state, control, area, column),
        Target::Control(control) => return select(state, control),
        Target::Controls => state.focus = Pane::Controls,
        Target::Prompt => state.focus = Pane::Prompt,
        Target::Chat => state.focus = Pane::Chat,
        Target::Rounds => state.focus = Pane::Rounds,
        Target::Token(token) if walk::is_shown(state, token) => {
            state.focus = Pane::Chat;
            state.view.cursor = Some(token);
        }
        Target::Round { turn, round } => {
            state.focus = Pane::Rounds;
            walk::select_round(state, Some((turn, round)));
        }
        Target::Token(_) | Target::Inspector | Target::Overlay => {}
    }
    Vec::new()
}

/// A number that was being typed elsewhere is taken.
fn select(state: &mut State, control: Control) -> Vec<Effect> {
    update::apply(state, super::Action::FocusControl(control))
}

/// Take hold of a slider: the whole drag is one change to undo.
fn grab(state: &mut State, control: Control, area: Rect, column: u16) -> Vec<Effect> {
    let again = state.focus == Pane::Controls && state.controls.focused == control;
    let mut effects = select(state, control);
    effects.extend(match control.kind(state.model.as_ref()) {
        Kind::Slider(range) => {
            let moved = panel::set(state, control, range.at(fraction(area, column)));
            state.drag = Some(control).filter(|_| state.replay.is_none());
            moved
        }
        Kind::Toggle | Kind::Choice(_) => update::act(state, super::Action::Activate),
        Kind::Text if again => update::act(state, super::Action::Activate),
        Kind::Text | Kind::Number(_) => Vec::new(),
    });
    effects
}

/// The drag follows the column wherever the row is, past the ends too.
fn drag(state: &mut State, column: u16) -> Vec<Effect> {
    if player::scrubbing(state) {
        let track = state
            .regions
            .areas()
            .iter()
            .find(|(_, target)| *target == Target::Scrub);
        if let Some((area, _)) = track {
            player::scrub(state, fraction(*area, column));
        }
        return Vec::new();
    }
    let Some(control) = state.drag else {
        return Vec::new();
    };
    let track = state
        .regions
        .areas()
        .iter()
        .find(|(_, target)| *target == Target::Track(control));
    match (track, control.kind(state.model.as_ref())) {
        (Some((area, _)), Kind::Slider(range)) => {
            let value = range.at(fraction(*area, column));
            panel::drag(state, control, value)
        }
        _ => Vec::new(),
    }
}

/// How far along a track a column is.
fn fraction(track: Rect, column: u16) -> f64 {
    let last = f64::from(track.width.saturating_sub(1).max(1));
    (f64::from(column) - f64::from(track.x)) / last
}

fn wheel(state: &mut State, hit: Option<(Rect, Target)>, by: isize) -> Vec<Effect> {
    let shown = state.regions.text;
    if let Some(open) = &mut state.overlay {
        match open {
            Overlay::Help { scroll } | Overlay::Text { scroll, .. } => {
                *scroll = shown.scrolled(by * WHEEL)
            }
            Overlay::Picker(picker) => picker.step(by),
            Overlay::Sessions(list) => list.step(by),
            Overlay::WhatIf(map) => {
                let map = *map;
                return what_if::step(state, map, by, 0);
            }
            Overlay::Race(race) => race.scroll(shown, by * WHEEL),
            Overlay::System(_) => {}
        }
        return Vec::new();
    }
    match hit {
        Some((_, Target::Track(control) | Target::Control(control))) => {
            let mut effects = select(state, control);
            effects.extend(panel::adjust(
                state,
                control,
                if by < 0 { Step::Up } else { Step::Down },
            ));
            effects
        }
        Some((_, Target::Scrub)) => {
            update::act(state, super::Action::Play(super::Play::By(by as i32)))
        }
        Some((_, Target::Inspector)) => {
            walk::details(state, by * WHEEL);
            Vec::new()
        }
        Some((_, Target::Rounds | Target::Round { .. })) => {
            let action = if by < 0 {
                super::Action::RoundLeft
            } else {
                super::Action::RoundRight
            };
            update::act(state, action)
        }
        _ => {
            walk::scroll(state, by * WHEEL);
            Vec::new()
        }
    }
}
