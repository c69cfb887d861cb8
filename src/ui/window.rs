//! Windows over the screen, and one-line fields in them.

use super::Canvas;
use super::theme::Role;
use crate::app::{Editor, Target};
use ratatui::layout::{Position, Rect};
use ratatui::widgets::{Clear, Widget};

/// An area of this size, centered in `body`.
pub fn centered(body: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(body.width), height.min(body.height));
    let (x, y) = (
        body.x + (body.width - width) / 2,
        body.y + (body.height - height) / 2,
    );
    Rect {
        x,
        y,
        width,
        height,
    }
}

/// Clears an area and draws an empty window there; returns its inner area.
pub fn window(canvas: &mut Canvas<'_>, area: Rect, title: &str) -> Rect {
    Clear.render(area, canvas.buffer);
    let inner = canvas.panel(area, title, None);
    canvas.buffer.set_style(area, ratatui::style::Style::new());
    canvas.target(area, Target::Overlay);
    inner
}

/// Draws a one-line field; returns its cursor and the column after its text.
pub fn field(canvas: &mut Canvas<'_>, row: Rect, editor: &Editor) -> (Position, u16) {
    let (before, after) = editor.text().split_at(editor.cursor());
    let x = canvas.put_all(
        row,
        &[
            (canvas.theme.symbols.prompt, Role::Accent),
            (" ", Role::Dim),
            (before, Role::Text),
        ],
    );
    let rest = Rect {
        x,
        width: row.right().saturating_sub(x),
        ..row
    };
    let end = canvas.put_all(rest, &[(after, Role::Text)]);
    (
        Position::new(x.min(row.right().saturating_sub(1)), row.y),
        end,
    )
}
