//! The bottom line: a notice, or the available keys.

use super::Canvas;
use super::theme::Role;
use super::widgets::{Cells, row, wrap_words};
use crate::app::hints::{Hint, hints};
use crate::app::input::action::AppAction;
use crate::app::{Phase, State, Target};
use crate::safe_text::one_line;
use ratatui::layout::Rect;

/// Max rows of a notice.
const MAX_ROWS: u16 = 4;

/// Rows of the footer; more than one for a long notice.
pub fn height(state: &State, width: u16) -> u16 {
    let lines = notice(state).map_or(1, |(text, _)| {
        wrap_words(&text, width.saturating_sub(2)).len()
    });
    u16::try_from(lines).unwrap_or(MAX_ROWS).clamp(1, MAX_ROWS)
}

pub fn draw(canvas: &mut Canvas<'_>, area: Rect) {
    if area.is_empty() {
        return;
    }
    let mut rows = Rect {
        x: area.x + 1,
        width: area.width.saturating_sub(2),
        ..area
    };
    let row = draw_notice(canvas, &mut rows);
    let right = if canvas.app.shared.config.mouse {
        ""
    } else {
        "mouse off"
    };
    canvas.put_right(row, right, Role::Dim);
    draw_hints(
        canvas,
        Rect {
            width: row.width.saturating_sub(right.cells()),
            ..row
        },
    );
}

/// The notice, else the reason why there is no model or connection.
fn notice(state: &State) -> Option<(String, Role)> {
    if let Some(notice) = &state.notice {
        let role = if notice.is_error {
            Role::Wrong
        } else {
            Role::Accent
        };
        return Some((one_line(&notice.text).into_owned(), role));
    }
    match &state.phase {
        Phase::Failed { message, .. } if !state.turns.is_empty() && state.model.is_none() => {
            let lines: Vec<&str> = message.lines().filter(|line| !line.is_empty()).collect();
            Some((one_line(&lines.join(" ")).into_owned(), Role::Wrong))
        }
        Phase::Loading { stage, .. } if state.remote.is_some() && !state.turns.is_empty() => {
            Some((one_line(stage).into_owned(), Role::Dim))
        }
        _ => None,
    }
}

/// Writes the notice; returns the space to the right of its last line.
fn draw_notice(canvas: &mut Canvas<'_>, rows: &mut Rect) -> Rect {
    let mut lines = notice(canvas.state).map_or_else(Vec::new, |(text, role)| {
        wrap_words(&text, rows.width)
            .into_iter()
            .map(|line| (line, role))
            .collect::<Vec<_>>()
    });
    let cut = lines.split_off(lines.len().min(usize::from(rows.height)));
    if let Some((last, _)) = lines.last_mut() {
        cut.iter()
            .for_each(|(line, _)| *last += &format!(" {line}"));
    }
    let mut rest = Rect { height: 1, ..*rows };
    for (line, role) in &lines {
        let Some(row) = row(rows) else { break };
        let x = canvas.put_all(row, &[(line, *role)]) + 3;
        rest = Rect {
            x,
            width: row.right().saturating_sub(x),
            ..row
        };
    }
    rest
}

/// Draws the hints that fit. The way out is among them: the others leave room for it.
fn draw_hints(canvas: &mut Canvas<'_>, row: Rect) {
    let hints = hints(canvas.app);
    let is_way_out = |hint: &Hint| {
        let mut actions = hint.keys.iter().map(|(_, action)| action);
        actions.any(|action| *action == AppAction::Back.into())
    };
    let cells = |hint: &Hint| {
        let keys: u16 = hint.keys.iter().map(|(key, _)| key.as_str().cells()).sum();
        keys + 1 + hint.label.as_str().cells()
    };
    let way_out = hints.iter().find(|hint| is_way_out(hint));
    let mut reserved = way_out.map_or(0, |hint| cells(hint) + 2);
    let mut x = row.x;
    for hint in hints {
        if is_way_out(&hint) {
            reserved = 0;
        }
        if x + cells(&hint) + reserved > row.right() {
            continue;
        }
        x = draw_hint(
            canvas,
            Rect {
                x,
                width: row.right() - x,
                ..row
            },
            hint,
        ) + 2;
    }
}

/// Draws keys and their label. A click on a key presses it; a click on the label presses the last one.
fn draw_hint(canvas: &mut Canvas<'_>, row: Rect, hint: Hint) -> u16 {
    let keys: String = hint.keys.iter().map(|(key, _)| key.as_str()).collect();
    let end = canvas.put_all(
        row,
        &[
            (&keys, Role::Key),
            (" ", Role::Dim),
            (&hint.label, Role::Dim),
        ],
    );
    let (mut x, last) = (row.x, hint.keys.len().saturating_sub(1));
    for (at, (key, click)) in hint.keys.into_iter().enumerate() {
        let width = if at == last {
            end - x
        } else {
            key.as_str().cells()
        };
        canvas.target(Rect { x, width, ..row }, Target::Hint(click));
        x += width;
    }
    end
}
