//! The prompt, which grows with its text.

use super::theme::Role;
use super::widgets::{Cells, row};
use super::{Canvas, replay};
use crate::app::input::action::{AppAction, ChatAction, ViewAction};
use crate::app::{Action, Editor, Mode, Pane, State, Target};
use crate::plural::counted;
use crate::safe_text::one_line;
use ratatui::layout::{Position, Rect};
use unicode_segmentation::UnicodeSegmentation;

/// Max lines of the prompt.
const MAX_LINES: u16 = 8;

/// Max queued questions shown.
const MAX_QUEUED: u16 = 3;

/// A row of the prompt: where it starts and ends in the text.
struct Row {
    start: usize,
    end: usize,
}

/// Rows of the prompt within `area`, including borders.
pub fn height(state: &State, area: Rect) -> u16 {
    let width = area.width.saturating_sub(6);
    let lines = rows(state.prompt.text(), width).len() as u16;
    2 + queue_rows(state, area.height / 4) + lines.clamp(1, MAX_LINES.min((area.height / 3).max(1)))
}

/// Rows of the queued questions.
fn queue_rows(state: &State, room: u16) -> u16 {
    (state.queued.len() as u16).min(MAX_QUEUED).min(room)
}

/// The queued questions, the next one first.
fn queue(canvas: &mut Canvas<'_>, area: &mut Rect) {
    let queued = &canvas.state.queued;
    let rows = usize::from(queue_rows(canvas.state, area.height.saturating_sub(1)));
    for (at, text) in queued.iter().enumerate().take(rows) {
        let Some(row) = row(area) else { return };
        let more = queued.len() - at - 1;
        let label = match more {
            1.. if at + 1 == rows => format!("queued, {more} more after it: "),
            _ => "queued: ".to_owned(),
        };
        let x = canvas.put_all(row, &[(&label, Role::Accent)]);
        let rest = Rect {
            x,
            width: row.right().saturating_sub(x),
            ..row
        };
        canvas.put_all(rest, &[(text, Role::Dim)]);
    }
}

/// Draws it; returns the cursor if it has the focus.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect) -> Option<Position> {
    if let Some(player) = canvas.app.player() {
        replay::draw(canvas, area, player);
        context(canvas, area);
        return None;
    }
    if canvas.state.is_read_only() {
        watching(canvas, area);
        return None;
    }
    let title = match canvas.state.mode {
        Mode::Chat => "you",
        Mode::Completion => "text to continue",
    };
    let mut inner = canvas.panel(area, title, Some(Pane::Prompt));
    canvas.target(area, Target::Prompt);
    context(canvas, area);
    if inner.width < 4 {
        return None;
    }
    queue(canvas, &mut inner);
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

/// In place of the prompt while the requests of others are watched: that it takes no text, and keys that do something.
fn watching(canvas: &mut Canvas<'_>, area: Rect) {
    let host = canvas.state.remote.as_ref().map_or("", |r| r.host.as_str());
    let mut inner = canvas.panel(area, &format!("watching {host}"), Some(Pane::Prompt));
    canvas.target(area, Target::Prompt);
    context(canvas, area);
    let Some(row) = row(&mut inner) else { return };
    let wanted: [(Action, &str); 5] = match canvas.state.offer() {
        Some(offer) => [
            (ChatAction::Send.into(), offer.label),
            (AppAction::Quit.into(), "quit"),
            (AppAction::Help.into(), "help"),
            (AppAction::NextTheme.into(), "theme"),
            (AppAction::FocusNext.into(), "next panel"),
        ],
        None => [
            (ViewAction::TokenLeft.into(), "token"),
            (ViewAction::Find.into(), "find"),
            (AppAction::Quit.into(), "quit"),
            (AppAction::FocusNext.into(), "next panel"),
            (AppAction::Help.into(), "help"),
        ],
    };
    let mut x = canvas.put_all(row, &[("read-only", Role::Accent)]);
    for (action, label) in wanted {
        let Some(key) = canvas.app.shared.keys.key_of(canvas.state.home(), &action) else {
            continue;
        };
        let key = key.to_string();
        let width = 2 + key.as_str().cells() + 1 + label.cells();
        if x + width > row.right() {
            break;
        }
        let parts = [
            ("  ", Role::Dim),
            (key.as_str(), Role::Key),
            (" ", Role::Dim),
            (label, Role::Dim),
        ];
        x = canvas.put_all(Rect { x, width, ..row }, &parts);
    }
}

/// Draws the use of the context in the lower border. Sessions do not record the context length, so a replay shows only
/// the tokens.
fn context(canvas: &mut Canvas<'_>, area: Rect) {
    let state = canvas.state;
    let Some(used) = state.context_used() else {
        return;
    };
    let total = state.model.as_ref().filter(|_| state.live);
    let total = total.map_or(0, |model| model.config.context_length);
    let share = match total {
        0 => 0.0,
        total => used as f64 / total as f64,
    };
    let role = match share {
        ..0.75 => Role::Dim,
        ..0.95 => Role::Accent,
        _ => Role::Wrong,
    };
    let wordings = match total {
        0 => vec![format!(" context {} ", counted(used, "token"))],
        total => vec![
            format!(" context {used} of {total} tokens, {:.0} % ", share * 100.0),
            format!(" context {used} of {total} "),
            format!(" context {:.0} % ", share * 100.0),
        ],
    };
    let row = Rect {
        x: area.x + 2,
        y: area.bottom().saturating_sub(1),
        width: area.width.saturating_sub(4),
        height: 1,
    };
    let fits = |words: &&String| words.as_str().cells() <= row.width / 2;
    if let Some(words) = wordings.iter().find(fits) {
        canvas.put_right(row, words, role);
    }
}

/// Draws the part of a text around the cursor; returns the cursor.
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

/// Break a text at words where possible, else at `width` cells, leaving a cell for the cursor. Spaces that no longer fit
/// hang past the end of their row.
fn rows(text: &str, width: u16) -> Vec<Row> {
    let width = width.saturating_sub(1).max(1);
    let mut rows = Vec::new();
    let (mut start, mut used) = (0, 0);
    // The start of the current word, and the cells before it.
    let (mut word, mut before) = (0, 0);
    for (at, grapheme) in text.grapheme_indices(true) {
        if grapheme == "\n" {
            rows.push(Row { start, end: at });
            (start, used) = (at + 1, 0);
            (word, before) = (start, 0);
            continue;
        }
        let cells = cells(grapheme);
        let space = grapheme == " ";
        if used + cells > width && at > start && !space {
            if word > start {
                rows.push(Row { start, end: word });
                (start, used) = (word, used - before);
            }
            // Breaks a word that is longer than a row.
            if used + cells > width && at > start {
                rows.push(Row { start, end: at });
                (start, used) = (at, 0);
            }
            (word, before) = (start, 0);
        }
        used += cells;
        if space {
            (word, before) = (at + 1, used);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn broken(text: &str, width: u16) -> Vec<&str> {
        let rows = rows(text, width).into_iter();
        rows.map(|row| &text[row.start..row.end]).collect()
    }

    #[test]
    fn words_stay_whole_where_they_fit() {
        assert_eq!(broken("one two three", 9), ["one two ", "three"]);
        assert_eq!(broken("one two", 8), ["one two"]);
        assert_eq!(broken("a\n\nb", 8), ["a", "", "b"]);
        assert_eq!(
            broken("a longerthanarow", 6),
            ["a ", "longe", "rthan", "arow"]
        );
        assert_eq!(broken("ab   cd", 4), ["ab   ", "cd"]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_row_is_too_wide(text in "[ab 漢\n]{0,60}", width in 3u16..20) {
            let rows = broken(&text, width);
            for row in &rows {
                prop_assert!(cells(row.trim_end_matches(' ')) < width, "{row:?}");
            }
            let dense = |text: &str| text.replace('\n', "");
            prop_assert_eq!(dense(&rows.concat()), dense(&text));
        }
    }
}
