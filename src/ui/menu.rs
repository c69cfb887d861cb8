//! The menu above the prompt while a slash command is typed.

use super::Canvas;
use super::theme::Role;
use super::widgets::{Cells, row};
use super::window::window;
use crate::app::state::menu::Menu;
use crate::app::{Target, Viewport};
use ratatui::layout::Rect;

/// Max rows of suggestions.
const ROWS: u16 = 10;
/// Max cells of the column of names.
const NAMES: u16 = 28;

/// Draws the menu above the prompt, over whatever is there.
pub fn draw(canvas: &mut Canvas<'_>, body: Rect, prompt: Rect) {
    let Some(menu) = canvas.state.menu() else {
        return;
    };
    let rows = (menu.entries.len().max(1) as u16).min(ROWS) + 2;
    let height = rows.min(prompt.y.saturating_sub(body.y));
    if height < 3 {
        return;
    }
    let area = Rect {
        y: prompt.y - height,
        height,
        width: body.width,
        ..prompt
    };
    let mut inner = window(canvas, area, "commands");
    if menu.entries.is_empty() {
        if let Some((name, about)) = &menu.hint {
            canvas.put_all(
                inner,
                &[(name, Role::Key), ("  ", Role::Dim), (about, Role::Dim)],
            );
        }
        return;
    }
    let shown = viewport(menu, usize::from(inner.height));
    let widest = menu
        .entries
        .iter()
        .map(|entry| entry.label.as_str().cells())
        .max();
    let names = widest.unwrap_or(0).min(NAMES.max(inner.width / 2));
    for (index, entry) in menu.entries.iter().enumerate().skip(shown.first) {
        let Some(row) = row(&mut inner) else { break };
        let name = Rect {
            width: names.min(row.width),
            ..row
        };
        canvas.put_all(name, &[(&entry.label, Role::Key)]);
        let note = Rect {
            x: (row.x + names + 2).min(row.right()),
            width: row.width.saturating_sub(names + 2),
            ..row
        };
        canvas.put_all(note, &[(&entry.note, Role::Dim)]);
        if menu.selected == Some(index) {
            canvas.select(row);
        }
        canvas.target(row, Target::Entry(index));
    }
    canvas.scrollbar(area, shown);
}

/// The suggestions around the selected one.
fn viewport(menu: &Menu, height: usize) -> Viewport {
    Viewport {
        first: (menu.selected.unwrap_or(0) + 1).saturating_sub(height),
        height,
        total: menu.entries.len(),
    }
}
