//! The menu above the prompt while a slash command is typed.

use super::Canvas;
use super::theme::Role;
use super::widgets::{Cells, wrap_words};
use super::window::window;
use crate::app::state::menu::{Menu, Suggestion};
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
    // Within borders and margins.
    let width = body.width.saturating_sub(4);
    let columns = Columns::of(menu, width);
    let lines = match &menu.hint {
        Some(hint) if menu.entries.is_empty() => hint_lines(hint, width).len(),
        _ => menu.entries.len() + columns.most_lines(menu) - 1,
    };
    let rows = (lines.max(1) as u16).min(ROWS) + 2;
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
    match &menu.hint {
        Some(hint) if menu.entries.is_empty() => draw_hint(canvas, inner, hint),
        _ => {
            let shown = viewport(menu, &columns, usize::from(inner.height));
            for (index, entry) in menu.entries.iter().enumerate().skip(shown.first) {
                let is_selected = menu.selected == Some(index);
                let rows = match is_selected {
                    true => columns.lines(entry).len() as u16,
                    false => 1,
                };
                let rows = rows.min(inner.height);
                if rows == 0 {
                    break;
                }
                let place = Rect {
                    height: rows,
                    ..inner
                };
                draw_entry(canvas, place, &columns, entry, is_selected);
                canvas.target(place, Target::Entry(index));
                inner.y += rows;
                inner.height -= rows;
            }
            canvas.scrollbar(area, shown);
        }
    }
}

/// Cells of names and of notes.
struct Columns {
    names: u16,
    notes: u16,
}

impl Columns {
    fn of(menu: &Menu, width: u16) -> Self {
        let labels = menu
            .entries
            .iter()
            .map(|entry| entry.label.as_str().cells());
        let names = labels
            .max()
            .unwrap_or(0)
            .min(NAMES.max(width / 2))
            .min(width);
        Self {
            names,
            notes: width.saturating_sub(names + 2),
        }
    }

    /// The whole note of an entry, which is shown when it is selected.
    fn lines(&self, entry: &Suggestion) -> Vec<String> {
        wrap_words(&entry.note, self.notes)
    }

    fn most_lines(&self, menu: &Menu) -> usize {
        let lines = menu.entries.iter().map(|entry| self.lines(entry).len());
        lines.max().unwrap_or(1).max(1)
    }
}

/// An entry in `area`. The notes of others than the selected one have one row.
fn draw_entry(
    canvas: &mut Canvas<'_>,
    area: Rect,
    columns: &Columns,
    entry: &Suggestion,
    is_selected: bool,
) {
    let name = Rect {
        width: columns.names,
        height: 1,
        ..area
    };
    canvas.put_all(name, &[(&entry.label, Role::Key)]);
    let note = Rect {
        x: (area.x + columns.names + 2).min(area.right()),
        width: columns.notes,
        height: 1,
        ..area
    };
    if is_selected {
        for (line, y) in columns.lines(entry).iter().zip(area.top()..area.bottom()) {
            canvas.put_all(Rect { y, ..note }, &[(line, Role::Dim)]);
        }
        canvas.select(area);
    } else {
        canvas.put_all(note, &[(&entry.note, Role::Dim)]);
    }
}

/// The meaning of what is written, beside its name.
fn hint_lines((name, about): &(String, String), width: u16) -> Vec<String> {
    wrap_words(about, width.saturating_sub(name.as_str().cells() + 2))
}

fn draw_hint(canvas: &mut Canvas<'_>, area: Rect, hint: &(String, String)) {
    let name = Rect { height: 1, ..area };
    let x = canvas.put_all(name, &[(&hint.0, Role::Key)]) + 2;
    let lines = hint_lines(hint, area.width);
    for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
        let row = Rect {
            x,
            y,
            width: area.right().saturating_sub(x),
            height: 1,
        };
        canvas.put_all(row, &[(line, Role::Dim)]);
    }
}

/// The suggestions around the selected one, all lines of which are shown.
fn viewport(menu: &Menu, columns: &Columns, height: usize) -> Viewport {
    let selected = menu.selected.unwrap_or(0);
    let entry = menu.selected.and_then(|at| menu.entries.get(at));
    let lines = entry.map_or(1, |entry| columns.lines(entry).len());
    Viewport {
        first: (selected + lines).saturating_sub(height).min(selected),
        height,
        total: menu.entries.len() + lines - 1,
    }
}
