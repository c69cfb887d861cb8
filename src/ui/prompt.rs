//! The prompt, which grows with its text.

use super::theme::Role;
use super::widgets::Cells;
use super::{Canvas, replay};
use crate::app::{Editor, Mode, Pane, State, Target};
use crate::safe_text::one_line;
use ratatui::layout::{Position, Rect};
use unicode_segmentation::UnicodeSegmentation;

/// Max lines of the prompt.
const MAX_LINES: u16 = 8;

/// A row of the prompt: where it starts and ends in the text.
struct Row {
    start: usize,
    end: usize,
}

/// Rows that the prompt takes of `area`, borders included.
pub fn height(state: &State, area: Rect) -> u16 {
    let width = area.width.saturating_sub(6);
    let lines = rows(state.prompt.text(), width).len() as u16;
    2 + lines.clamp(1, MAX_LINES.min((area.height / 3).max(1)))
}

/// Draw it; returns the cursor if it has the focus.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect) -> Option<Position> {
    if let Some(player) = canvas.app.player() {
        replay::draw(canvas, area, player);
        return None;
    }
    let title = match canvas.state.mode {
        Mode::Chat => "you",
        Mode::Completion => "text to continue",
    };
    let inner = canvas.panel(area, title, Some(Pane::Prompt));
    canvas.target(area, Target::Prompt);
    if inner.width < 4 {
        return None;
    }
    canvas.put(
        inner.x,
        inner.y,
        canvas.theme.symbols.prompt,
        1,
        canvas.theme.style(Role::Accent),
    );
    let text = Rect {
        x: inner.x + 2,
        width: inner.width - 2,
        ..inner
    };
    let cursor = draw_text(canvas, text, &canvas.state.prompt);
    if canvas.state.prompt.is_empty() {
        let hint = match canvas.state.mode {
            Mode::Chat => "ask something, or /? for commands",
            Mode::Completion => "begin a text, or /? for commands",
        };
        canvas.put(
            text.x,
            text.y,
            hint,
            text.width,
            canvas.theme.style(Role::Dim),
        );
    }
    (canvas.state.focus == Pane::Prompt).then_some(cursor)
}

/// Draw the part of a text around the cursor; returns the cursor.
pub fn draw_text(canvas: &mut Canvas<'_>, area: Rect, editor: &Editor) -> Position {
    let text = editor.text();
    let rows = rows(text, area.width);
    let at = rows
        .iter()
        .rposition(|row| row.start <= editor.cursor())
        .unwrap_or(0);
    let first = (at + 1).saturating_sub(usize::from(area.height));
    for (y, row) in rows
        .iter()
        .skip(first)
        .take(usize::from(area.height))
        .enumerate()
    {
        let style = canvas.theme.style(Role::Text);
        canvas.put(
            area.x,
            area.y + y as u16,
            &text[row.start..row.end],
            area.width,
            style,
        );
    }
    let column = rows.get(at).map_or(0, |row| {
        cells(&text[row.start..editor.cursor().max(row.start)])
    });
    Position::new(
        (area.x + column).min(area.right().saturating_sub(1)),
        area.y + at.saturating_sub(first) as u16,
    )
}

/// Break a text at `width` cells, leaving a cell for the cursor.
fn rows(text: &str, width: u16) -> Vec<Row> {
    let width = width.saturating_sub(1).max(1);
    let mut rows = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (at, grapheme) in text.grapheme_indices(true) {
        if grapheme == "\n" {
            rows.push(Row { start, end: at });
            (start, used) = (at + 1, 0);
            continue;
        }
        let cells = cells(grapheme);
        if used + cells > width && at > start {
            rows.push(Row { start, end: at });
            (start, used) = (at, 0);
        }
        used += cells;
    }
    rows.push(Row {
        start,
        end: text.len(),
    });
    rows
}

fn cells(text: &str) -> u16 {
    one_line(text).as_ref().cells()
}
