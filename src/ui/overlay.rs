//! Overlays: help, lists, texts, the system prompt.

use super::Canvas;
use super::cache::RaceLines;
use super::prompt::draw_text;
use super::theme::Role;
use super::widgets::{Cells, row, wrap_words};
use super::window::{centered, field, window};
use super::{help, lens, race, sessions, sweep, what_if};
use crate::app::state::picker::Picker;
use crate::app::{Overlay, Target, Viewport};
use ratatui::layout::{Position, Rect};

/// Separator of the parts of a note.
const BETWEEN: &str = " · ";
/// Max cells of a line of text.
const TEXT: u16 = 74;
/// Max lines of help about the selected entry of a list.
const ABOUT: u16 = 5;

/// Draws the overlay, if there is one; returns its cursor.
pub fn draw(canvas: &mut Canvas<'_>, body: Rect, race_lines: &mut RaceLines) -> Option<Position> {
    match canvas.state.overlay.as_ref()? {
        Overlay::Help { topic, scroll } => {
            let lines = help::lines(canvas, body.width.saturating_sub(4).min(TEXT), topic);
            text(canvas, body, "help", &lines, *scroll);
            None
        }
        Overlay::Text {
            title,
            lines,
            scroll,
            ..
        } => {
            let width = body.width.saturating_sub(4).min(TEXT);
            let folded = lines.iter().flat_map(|line| wrap_indented(line, width));
            let lines: Vec<_> = folded.map(|line| (line, Role::Text)).collect();
            text(canvas, body, title, &lines, *scroll);
            None
        }
        Overlay::WhatIf(map) => {
            what_if::draw(canvas, body, *map);
            None
        }
        Overlay::Lens(view) => {
            lens::draw(canvas, body, *view);
            None
        }
        Overlay::Race(race) => {
            race::draw(canvas, body, race, race_lines);
            None
        }
        Overlay::Sweep(measured) => {
            sweep::draw(canvas, body, measured);
            None
        }
        Overlay::Sessions(browser) => Some(sessions::draw(canvas, body, browser)),
        Overlay::Picker(picker) => Some(list(canvas, body, picker)),
        Overlay::System(editor) => {
            let inner = window(canvas, centered(body, 64, 10), "system prompt");
            Some(draw_text(canvas, inner, editor))
        }
    }
}

/// A scrollable text.
fn text(canvas: &mut Canvas<'_>, body: Rect, title: &str, lines: &[(String, Role)], scroll: usize) {
    let area = centered(body, TEXT + 4, lines.len() as u16 + 2);
    let inner = window(canvas, area, title);
    let mut shown = Viewport {
        first: scroll,
        height: usize::from(inner.height),
        total: lines.len(),
    };
    shown.first = shown.scrolled(0);
    for (at, (line, role)) in lines
        .iter()
        .skip(shown.first)
        .take(shown.height)
        .enumerate()
    {
        canvas.put(
            inner.x,
            inner.y + at as u16,
            line,
            inner.width,
            canvas.theme.style(*role),
        );
    }
    canvas.scrollbar(area, shown);
    canvas.regions.text = shown;
}

/// Wraps a line that is too long. A line that fits keeps its columns.
fn wrap_indented(line: &str, width: u16) -> Vec<String> {
    if line.cells() <= width {
        vec![line.to_string()]
    } else {
        wrap_words(line, width)
    }
}

/// Draws the selected entry's help at the bottom of a list.
fn about(canvas: &mut Canvas<'_>, inner: &mut Rect, help: &[String]) {
    let lines = (help.len() as u16).min(ABOUT);
    // The list itself takes precedence.
    if lines == 0 || inner.height < lines + 3 {
        return;
    }
    inner.height -= lines + 1;
    let rows = inner.bottom() + 1..inner.bottom() + 1 + lines;
    for (line, y) in help.iter().zip(rows) {
        canvas.put_all(
            Rect {
                y,
                height: 1,
                ..*inner
            },
            &[(line, Role::Accent)],
        );
    }
}

/// The last parts of a note that fit. They say what speaks against a model; its size comes before.
fn end_of(note: &str, width: u16) -> &str {
    let mut rest = note;
    while rest.cells() > width {
        let Some((_, after)) = rest.split_once(BETWEEN) else {
            break;
        };
        rest = after;
    }
    rest
}

/// A list with its filter and the selected entry marked.
fn list(canvas: &mut Canvas<'_>, body: Rect, picker: &Picker) -> Position {
    let matches = picker.matches();
    let widest = matches
        .iter()
        .map(|entry| entry.label.as_str().cells() + entry.note.as_str().cells())
        .max();
    let width = widest
        .unwrap_or(0)
        .saturating_add(8)
        .max(64)
        .min(body.width);
    let help = picker
        .selected_entry()
        .filter(|entry| !entry.help.is_empty())
        .map_or_else(Vec::new, |entry| {
            wrap_words(&entry.help, width.saturating_sub(4))
        });
    // The window's size does not depend on the selection.
    let helps = matches.iter().filter(|entry| !entry.help.is_empty());
    let lines = helps.map(|entry| wrap_words(&entry.help, width.saturating_sub(4)).len() as u16);
    let below = lines.max().map_or(0, |lines| lines.min(ABOUT) + 1);
    let area = centered(body, width, (matches.len() as u16 + 4 + below).max(8));
    let mut inner = window(canvas, area, picker.title);
    let Some(filter) = row(&mut inner) else {
        return area.as_position();
    };
    let (cursor, _) = field(canvas, filter, &picker.filter);
    row(&mut inner);
    about(canvas, &mut inner, &help);
    let height = usize::from(inner.height);
    let shown = Viewport {
        first: (picker.selected + 1).saturating_sub(height),
        height,
        total: matches.len(),
    };
    for (index, entry) in matches.iter().enumerate().skip(shown.first) {
        let Some(row) = row(&mut inner) else { break };
        let note = end_of(
            &entry.note,
            row.width.saturating_sub(entry.label.as_str().cells() + 2),
        );
        let label = Rect {
            width: row.width.saturating_sub(note.cells() + 2),
            ..row
        };
        let end = canvas.put_all(label, &[(&entry.label, Role::Text)]) + 2;
        let rest = Rect {
            x: end,
            width: row.right().saturating_sub(end),
            ..row
        };
        canvas.put_right(rest, note, Role::Dim);
        if index == picker.selected {
            canvas.select(row);
        }
        canvas.target(row, Target::Entry(index));
    }
    canvas.scrollbar(area, shown);
    if matches.is_empty() {
        let hint = match picker.title {
            "models" => "enter loads this path or Hugging Face id",
            "presets" if picker.filter.text().trim().is_empty() => {
                "none yet; type a name to save the current settings"
            }
            "presets" => "enter saves the current settings under this name",
            _ => "nothing matches",
        };
        canvas.put_all(inner, &[(hint, Role::Dim)]);
    }
    cursor
}
