//! Every setting as a row: label, value, slider.

use super::Canvas;
use super::theme::Role;
use super::widgets::{Cells, row, wrap_words};
use crate::app::controls::Kind;
use crate::app::{Control, Pane, Target, Viewport};
use crate::engine::decode::{Controller, Strategy};
use ratatui::layout::Rect;

/// Cells of the longest label and the gap after it.
const LABEL: u16 = 13;
/// Max lines of the focused control's explanation.
const EXPLANATION: u16 = 6;
/// Cells of a slider's value.
const VALUE: u16 = 5;

pub fn draw(canvas: &mut Canvas<'_>, area: Rect) {
    let mut inner = canvas.panel(area, "controls", Some(Pane::Controls));
    canvas.target(area, Target::Controls);
    if inner.is_empty() {
        return;
    }
    let focused = canvas.state.controls.focused;
    let help = explanation(canvas, focused, inner.width);
    let room = (inner.height / 2).min(EXPLANATION);
    let below = (help.len() as u16).min(room);
    let mut rows = Rect {
        height: inner.height - below,
        ..inner
    };
    let visible = usize::from(rows.height);
    let controls = Control::of_model(canvas.state.model.as_ref());
    let at = controls
        .iter()
        .position(|control| *control == focused)
        .unwrap_or(0);
    let first = (at + 1)
        .saturating_sub(visible.saturating_sub(1))
        .min(controls.len().saturating_sub(visible));
    for control in &controls[first..] {
        let Some(row) = row(&mut rows) else { break };
        draw_control(canvas, row, *control);
    }
    let shown = Viewport {
        first,
        height: visible,
        total: controls.len(),
    };
    canvas.scrollbar(area, shown);
    hidden(canvas, area, shown);
    inner.y = inner.bottom() - below;
    for (at, line) in help.iter().enumerate().take(usize::from(below)) {
        canvas.put(
            inner.x,
            inner.y + at as u16,
            line,
            inner.width,
            canvas.theme.style(Role::Dim),
        );
    }
}

/// Draws the number of hidden controls in the lower border.
fn hidden(canvas: &mut Canvas<'_>, area: Rect, shown: Viewport) {
    let below = shown.total.saturating_sub(shown.first + shown.height);
    let text = match (shown.first, below) {
        (0, 0) => return,
        (0, below) => format!(" {below} more below "),
        (above, 0) => format!(" {above} more above "),
        (above, below) => format!(" {above} more above, {below} below "),
    };
    let border = Rect {
        x: area.x + 2,
        y: area.bottom() - 1,
        width: area.width.saturating_sub(3),
        height: 1,
    };
    canvas.put_all(border, &[(&text, Role::Dim)]);
}

/// Range or choices of the focused control, and its meaning.
fn explanation(canvas: &Canvas<'_>, control: Control, width: u16) -> Vec<String> {
    let range = match control.kind(canvas.state.model.as_ref()) {
        Kind::Slider(range) => format!("{} to {}: ", range.min, range.max),
        Kind::Choice(names) => format!("{}: ", names.join(", ")),
        _ => String::new(),
    };
    let settings = &canvas.state.settings;
    let chosen = settings.controller == Controller::Auto
        && settings.strategy == Strategy::SelfSpeculative
        && matches!(
            control,
            Control::ExitLayer | Control::Speculations | Control::Tree
        );
    let now = match control.has_effect(settings) {
        true => "",
        false if chosen => " (chosen by the controller; setting it takes over)",
        false => " (no effect now)",
    };
    wrap_words(&format!("{range}{}{now}", control.meaning()), width)
}

fn draw_control(canvas: &mut Canvas<'_>, row: Rect, control: Control) {
    let state = canvas.state;
    let focused = state.controls.focused == control;
    let active = focused && state.focus == Pane::Controls;
    canvas.target(row, Target::Control(control));
    let pointer = if active {
        canvas.theme.symbols.pointer
    } else {
        " "
    };
    let label_role = if active { Role::Title } else { Role::Dim };
    canvas.put_all(
        Rect {
            x: row.x - 1,
            width: 1,
            ..row
        },
        &[(pointer, Role::Accent)],
    );
    canvas.put(
        row.x,
        row.y,
        control.label(),
        LABEL,
        canvas.theme.style(label_role),
    );
    let rest = Rect {
        x: row.x + LABEL,
        width: row.width.saturating_sub(LABEL),
        ..row
    };
    if let (true, Some(typing)) = (active, &state.controls.typing) {
        let end = canvas.put(
            rest.x,
            rest.y,
            typing,
            rest.width,
            canvas.theme.style(Role::Title),
        );
        canvas.put(end, rest.y, "_", 1, canvas.theme.style(Role::Accent));
        return;
    }
    match control.kind(state.model.as_ref()) {
        Kind::Slider(range) => {
            let value = control.show(&state.settings, state.model.as_ref());
            canvas.put_right(
                Rect {
                    width: VALUE,
                    ..rest
                },
                &value,
                value_role(canvas, control),
            );
            let width = rest.width.saturating_sub(VALUE + 1);
            let track = Rect {
                x: rest.x + VALUE + 1,
                width,
                ..rest
            };
            canvas.slider(track, range.fraction(control.get(&state.settings)), active);
            canvas.target(track, Target::Track(control));
        }
        Kind::Text => {
            let text = if state.system.is_empty() {
                "none"
            } else {
                &state.system
            };
            draw_value(canvas, rest, control, text, active);
        }
        _ => {
            let value = control.show(&state.settings, state.model.as_ref());
            draw_value(canvas, rest, control, &value, active);
        }
    }
}

/// A control without effect is dimmed.
fn value_role(canvas: &Canvas<'_>, control: Control) -> Role {
    if control.has_effect(&canvas.state.settings) {
        Role::Text
    } else {
        Role::Dim
    }
}

/// A value without a slider; a click changes it.
fn draw_value(canvas: &mut Canvas<'_>, rest: Rect, control: Control, value: &str, active: bool) {
    let role = if active {
        Role::Accent
    } else {
        value_role(canvas, control)
    };
    let shown = rest.width.min(value.cells().max(1));
    canvas.put(rest.x, rest.y, value, rest.width, canvas.theme.style(role));
    canvas.target(
        Rect {
            width: shown,
            ..rest
        },
        Target::Track(control),
    );
}
