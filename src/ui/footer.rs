//! The bottom line: what just happened, or the keys that work now.

use super::Canvas;
use super::theme::Role;
use super::widgets::Cells;
use crate::app::commands::fitting;
use crate::app::hints::{Hint, hints};
use crate::app::{Pane, Phase, Target};
use ratatui::layout::Rect;

pub fn draw(canvas: &mut Canvas<'_>, area: Rect) {
    if area.is_empty() {
        return;
    }
    let row = Rect {
        x: area.x + 1,
        width: area.width.saturating_sub(2),
        ..area
    };
    let state = canvas.state;
    if command(canvas, row) {
        return;
    }
    let row = notice(canvas, row);
    let row = failure(canvas, row);
    let right = if state.config.mouse { "" } else { "mouse off" };
    canvas.put_right(row, right, Role::Dim);
    draw_hints(
        canvas,
        Rect {
            width: row.width.saturating_sub(right.cells()),
            ..row
        },
    );
}

/// What the command that is being written does, or which ones it may become; whether it is one.
fn command(canvas: &mut Canvas<'_>, row: Rect) -> bool {
    let state = canvas.state;
    let here = state.overlay.is_none() && state.replay.is_none() && state.focus == Pane::Prompt;
    let fitting: Vec<_> = fitting(state.prompt.text()).filter(|_| here).collect();
    let whole: u16 = fitting
        .iter()
        .map(|(usage, what)| usage.cells() + what.cells() + 3)
        .sum();
    let explained = fitting.len() == 1 || whole <= row.width + 2;
    let mut rest = row;
    for (usage, what) in &fitting {
        if rest.x > row.x && usage.cells() > rest.width {
            break;
        }
        let told = if explained {
            format!(" {what}")
        } else {
            String::new()
        };
        let x = canvas.put_all(rest, &[(usage, Role::Key), (&told, Role::Dim)]) + 2;
        rest = Rect {
            x,
            width: row.right().saturating_sub(x),
            ..row
        };
    }
    !fitting.is_empty()
}

/// What just happened; gives back the room beside it.
fn notice(canvas: &mut Canvas<'_>, row: Rect) -> Rect {
    let Some(notice) = &canvas.state.notice else {
        return row;
    };
    let role = if notice.wrong {
        Role::Wrong
    } else {
        Role::Accent
    };
    let x = canvas.put_clipped(row, &notice.text, role) + 3;
    Rect {
        x,
        width: row.right().saturating_sub(x),
        ..row
    }
}

/// That there is no model stays in sight.
fn failure(canvas: &mut Canvas<'_>, row: Rect) -> Rect {
    let state = canvas.state;
    match &state.phase {
        Phase::Failed { message, .. } if !state.turns.is_empty() && state.model.is_none() => {
            let text = format!("{}  ", message.lines().next().unwrap_or_default());
            let x = canvas.put(
                row.x,
                row.y,
                &text,
                row.width.saturating_sub(14),
                canvas.theme.style(Role::Wrong),
            );
            Rect {
                x,
                width: row.right().saturating_sub(x),
                ..row
            }
        }
        _ => row,
    }
}

fn draw_hints(canvas: &mut Canvas<'_>, row: Rect) {
    let mut x = row.x;
    for hint in hints(canvas.state) {
        let keys: u16 = hint.keys.iter().map(|(key, _)| key.as_str().cells()).sum();
        if x + keys + 1 + hint.label.as_str().cells() > row.right() {
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

/// Keys and what they do. A click on a key does what the key does, one on the words what the last key does.
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
