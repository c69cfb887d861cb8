//! The list of saved sessions.

use super::Canvas;
use super::prompt::draw_text;
use super::theme::Role;
use super::widgets::{Cells, row, wrap_words};
use super::window::{centered, field, window};
use crate::app::{Listed, SessionList, Target};
use crate::plural::counted;
use crate::safe_text;
use crate::transcript::export::describe::percent;
use ratatui::layout::{Position, Rect};

/// Max cells of the window.
const WIDEST: u16 = 124;
/// Cells of a date, of a count of tokens, of a share, with the gap before each.
const DATE: u16 = 18;
const TOKENS: u16 = 9;
const ACCEPTED: u16 = 10;
/// Rows for remarks about the selected session.
const BELOW: u16 = 2;

/// The cells of each column; 0 if it does not fit.
struct Columns {
    title: u16,
    model: u16,
    tokens: u16,
}

/// ```text
/// › sky                                                       3 sessions
///
///   title                 begun             model           tokens  accepted
/// ▸ Why is the sky blue?  2026-11-23 16:20  SmolLM2-135M…      180    62.3 %
///
/// …the sky appears blue because…
/// ```
pub fn draw(canvas: &mut Canvas<'_>, body: Rect, list: &SessionList) -> Position {
    let wanted = (list.listed.len() as u16).saturating_add(BELOW + 6).max(12);
    let mut inner = window(canvas, centered(body, WIDEST, wanted), "sessions");
    let Some(top) = row(&mut inner) else {
        return body.as_position();
    };
    let cursor = head(canvas, top, list);
    row(&mut inner);
    let below = BELOW.min(inner.height.saturating_sub(4));
    let foot = Rect {
        y: inner.bottom() - below,
        height: below,
        ..inner
    };
    inner.height -= below;
    let columns = Columns::of(inner.width);
    names(canvas, &mut inner, &columns);
    let first = (list.selected + 1).saturating_sub(usize::from(inner.height));
    for (index, listed) in list.listed.iter().enumerate().skip(first) {
        let Some(row) = row(&mut inner) else { break };
        line(canvas, row, listed, &columns);
        if index == list.selected {
            canvas.select(row);
        }
        canvas.target(row, Target::Entry(index));
    }
    if list.listed.is_empty() {
        let text = match (list.searching, list.search.is_empty()) {
            (true, _) => "",
            (false, true) => "no session is saved yet: the first answer starts one",
            (false, false) => "nothing matches",
        };
        canvas.put_all(inner, &[(text, Role::Dim)]);
    }
    remarks(canvas, foot, list);
    cursor
}

/// The search or the title under edit, and the number of sessions.
fn head(canvas: &mut Canvas<'_>, row: Rect, list: &SessionList) -> Position {
    if let Some(title) = &list.title {
        let x = canvas.put_all(row, &[("title ", Role::Dim)]);
        return draw_text(
            canvas,
            Rect {
                x,
                width: row.right().saturating_sub(x),
                ..row
            },
            title,
        );
    }
    let (cursor, end) = field(canvas, row, &list.search);
    let count = counted(list.listed.len(), "session");
    let count = if list.searching {
        format!("searching: {count}")
    } else {
        count
    };
    let room = Rect {
        x: end,
        width: row.right().saturating_sub(end),
        ..row
    };
    if room.width > count.as_str().cells() {
        canvas.put_right(room, &count, Role::Dim);
    }
    cursor
}

impl Columns {
    fn of(width: u16) -> Self {
        let left = width.saturating_sub(2 + DATE);
        let tokens = if left >= 34 { TOKENS + ACCEPTED } else { 0 };
        let model = if left >= tokens + 36 {
            (left - tokens) / 3
        } else {
            0
        };
        Self {
            title: left.saturating_sub(tokens + model),
            model,
            tokens,
        }
    }
}

fn names(canvas: &mut Canvas<'_>, area: &mut Rect, columns: &Columns) {
    let Some(row) = row(area) else { return };
    let parts = ["title", "begun", "model", "tokens", "accepted"].map(|name| (name, Role::Dim));
    cells(canvas, row, columns, parts);
}

/// Writes the columns of a row.
fn cells(canvas: &mut Canvas<'_>, row: Rect, columns: &Columns, parts: [(&str, Role); 5]) {
    let [title, begun, model, tokens, accepted] = parts;
    let mut x = row.x + 2;
    for (width, (text, role)) in [
        (columns.title, title),
        (DATE, begun),
        (columns.model, model),
    ] {
        let room = width.saturating_sub(2);
        canvas.put(
            x,
            row.y,
            &safe_text::fit(text, usize::from(room)),
            room,
            canvas.theme.style(role),
        );
        x += width;
    }
    if columns.tokens > 0 {
        canvas.put_right(
            Rect {
                x,
                width: TOKENS,
                ..row
            },
            tokens.0,
            tokens.1,
        );
        canvas.put_right(
            Rect {
                x: x + TOKENS,
                width: ACCEPTED,
                ..row
            },
            accepted.0,
            accepted.1,
        );
    }
}

fn line(canvas: &mut Canvas<'_>, row: Rect, listed: &Listed, columns: &Columns) {
    let summary = &listed.summary;
    let mark = if listed.own {
        canvas.theme.symbols.pointer
    } else {
        " "
    };
    canvas.put_all(row, &[(mark, Role::Accent)]);
    if summary.fault.is_some() {
        let rest = Rect {
            x: row.x + 2,
            width: row.width.saturating_sub(2),
            ..row
        };
        canvas.put_all(
            rest,
            &[(&summary.id, Role::Dim), ("  cannot be read", Role::Wrong)],
        );
        return;
    }
    let totals = &summary.totals;
    let title = if totals.title.is_empty() {
        "(empty)"
    } else {
        &totals.title
    };
    let (tokens, accepted) = (
        totals.tokens.to_string(),
        percent(summary.acceptance_rate()),
    );
    let parts = [
        (title, Role::Text),
        (&listed.begun, Role::Dim),
        (&totals.model, Role::Dim),
        (&tokens, Role::Text),
        (&accepted, Role::Text),
    ];
    cells(canvas, row, columns, parts);
}

/// Where the search matched, why a file is unreadable, or that the session is on screen.
fn remarks(canvas: &mut Canvas<'_>, mut area: Rect, list: &SessionList) {
    let Some(chosen) = list.chosen() else { return };
    let (text, role) = match &chosen.summary.fault {
        Some(_) => (
            chosen.summary.fault_beside_name().unwrap_or_default(),
            Role::Wrong,
        ),
        None if !chosen.excerpt.is_empty() => (chosen.excerpt.clone(), Role::Dim),
        None if chosen.own => ("this is the session on the screen".into(), Role::Dim),
        None => {
            let totals = &chosen.summary.totals;
            let turns = counted(totals.turns, "turn");
            // Its column may be too narrow for the whole name.
            let words = [&chosen.summary.id, &turns, &totals.model];
            let words: Vec<&str> = (words.into_iter())
                .map(String::as_str)
                .filter(|word| !word.is_empty())
                .collect();
            (words.join(", "), Role::Dim)
        }
    };
    for part in wrap_words(&text, area.width) {
        let Some(row) = row(&mut area) else { return };
        canvas.put_all(row, &[(&part, role)]);
    }
}
