//! The chat: every turn with the origins of its tokens. Only the viewport is laid out and drawn.

use super::Canvas;
use super::cache::{Cache, Key, LineStarts, TurnLines};
use super::find::{self, Highlighted};
use super::status::{answers, ended, status};
use super::theme::Role;
use super::welcome;
use super::wrap::{Flow, Found as Highlight, Line, Source, wrap};
use crate::app::state::Baselines;
use crate::app::state::find::Found;
use crate::app::{Mode, Pane, Target, TokenRef, Turn, Viewport};
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};

/// Max cells of a line of text: longer ones are hard to read.
const MAX_WIDTH: u16 = 100;
/// Cells to the left of the text, for `you` and `ai`.
pub const GUTTER: u16 = 5;

/// Max cells of the panel: text of [`MAX_WIDTH`], gutter, borders and margins.
pub const MAX_PANEL: u16 = MAX_WIDTH + GUTTER + 4;

/// A part of a turn.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Prompt,
    Answer,
    /// Statistics, or progress.
    Status,
    Gap,
}

/// Draws the chat; returns the cursor of the search field.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, cache: &mut Cache) -> Option<Position> {
    let mut inner = canvas.panel(area, title(canvas), Some(Pane::Chat));
    canvas.target(area, Target::Chat);
    if inner.width <= GUTTER {
        return None;
    }
    legend(canvas, area);
    let width = (inner.width - GUTTER).min(MAX_WIDTH);
    let key = Key {
        width,
        show_rejected: canvas.app.shared.display.show_rejected,
        ascii: canvas.app.shared.appearance.ascii,
    };
    cache.update(canvas.app, key, canvas.theme.symbols.arrow);
    if canvas.state.turns.is_empty() && canvas.state.live {
        welcome::draw(canvas, inner);
    }
    let bar = canvas.state.find.as_ref().map(|find| {
        cache.find(canvas.app, find.field.text(), canvas.theme.symbols.arrow);
        inner.height = inner.height.saturating_sub(1);
        Rect {
            y: inner.bottom(),
            height: 1,
            ..inner
        }
    });
    let mut shown = viewport(canvas, cache, usize::from(inner.height));
    if let Some(find) = &canvas.state.find {
        let found = found(canvas, cache, shown.first);
        canvas.regions.found = found;
        if let Some(line) = found
            .current
            .and_then(|at| line_of_match(canvas, cache, at))
            && find.reveal
        {
            shown.first = around(line, shown);
        }
    }
    canvas.regions.transcript = shown;
    draw_lines(canvas, inner, cache, shown);
    canvas.scrollbar(area, shown);
    let bar = bar?;
    find::bar(canvas, bar, canvas.regions.found)
}

/// The number of matches and the current one: by default, the first from line `first` on.
fn found(canvas: &Canvas<'_>, cache: &Cache, first: usize) -> Found {
    let turns = canvas.state.turns.iter();
    let total = turns
        .filter_map(|turn| Some(cache.turn(turn)?.found.len()))
        .sum();
    let in_view = || {
        let line = |at: &usize| line_of_match(canvas, cache, *at);
        (0..total).find(|at| line(at).is_some_and(|line| line >= first))
    };
    let chosen = canvas.state.find.as_ref().and_then(|find| find.at);
    let last = total.checked_sub(1);
    Found {
        total,
        current: last.map(|last| chosen.or_else(in_view).unwrap_or(last).min(last)),
    }
}

/// The line of the whole transcript where a match starts.
fn line_of_match(canvas: &Canvas<'_>, cache: &Cache, at: usize) -> Option<usize> {
    let (mut before, mut left) = (0, at);
    for turn in &canvas.state.turns {
        let lines = cache.turn(turn)?;
        let [(_, prompt), ..] = parts(turn, lines, cache.width(), canvas.baselines);
        if let Some(found) = lines.found.prompt.get(left) {
            return Some(before + lines.prompt.line_of(found.start));
        }
        left = left.saturating_sub(lines.found.prompt.len());
        if let Some(found) = lines.found.answer.get(left) {
            return Some(before + prompt + lines.shown().line_of(found.start));
        }
        left -= lines.found.answer.len();
        before += height(turn, cache, canvas.baselines);
    }
    None
}

/// The first line to show so that `line` is not at an edge.
fn around(line: usize, shown: Viewport) -> usize {
    let margin = (shown.height / 4).min(3);
    let (least, most) = (
        (line + margin + 1).saturating_sub(shown.height),
        line.saturating_sub(margin),
    );
    shown
        .first
        .clamp(least.min(most), most.max(least))
        .min(shown.end())
}

fn title(canvas: &Canvas<'_>) -> &'static str {
    match canvas.state.mode {
        Mode::Chat if canvas.app.shared.display.markdown => "chat as Markdown",
        Mode::Chat => "chat",
        Mode::Completion => "completion",
    }
}

/// The parts of a turn and how many lines each has.
fn parts(turn: &Turn, lines: &TurnLines, width: u16, plain: &Baselines) -> [(Part, usize); 4] {
    let prompt = if turn.mode == Mode::Chat {
        lines.prompt.len()
    } else {
        0
    };
    let status = ended(turn, width, plain).map_or(1, |lines| lines.len());
    let answer = if is_bare(turn) {
        0
    } else {
        lines.shown().len()
    };
    [
        (Part::Prompt, prompt),
        (Part::Answer, answer),
        (Part::Status, status),
        (Part::Gap, 1),
    ]
}

/// Whether an answer has nothing to show yet.
fn is_bare(turn: &Turn) -> bool {
    turn.mode == Mode::Chat && turn.is_empty() && turn.pending.is_empty()
}

fn height(turn: &Turn, cache: &Cache, plain: &Baselines) -> usize {
    cache.turn(turn).map_or(0, |lines| {
        parts(turn, lines, cache.width(), plain)
            .iter()
            .map(|(_, count)| count)
            .sum()
    })
}

/// The lines to show: the end, the scroll position, or those around the token cursor.
fn viewport(canvas: &Canvas<'_>, cache: &Cache, height_: usize) -> Viewport {
    let state = canvas.state;
    let total = state
        .turns
        .iter()
        .map(|turn| height(turn, cache, canvas.baselines))
        .sum::<usize>()
        .saturating_sub(1);
    let end = total.saturating_sub(height_);
    let mut shown = Viewport {
        first: state.view.top.unwrap_or(end).min(end),
        height: height_,
        total,
    };
    if let Some(line) = state
        .view
        .cursor
        .filter(|_| state.view.reveal)
        .and_then(|at| line_of(canvas, cache, at))
    {
        shown.first = around(line, shown);
    }
    shown
}

/// The line of the whole transcript that contains a token.
fn line_of(canvas: &Canvas<'_>, cache: &Cache, at: TokenRef) -> Option<usize> {
    let turns = &canvas.state.turns;
    let turn = turns.get(at.turn)?;
    let lines = cache.turn(turn)?;
    let before: usize = turns[..at.turn]
        .iter()
        .map(|turn| height(turn, cache, canvas.baselines))
        .sum();
    let [(_, prompt), ..] = parts(turn, lines, cache.width(), canvas.baselines);
    let within = match &lines.markdown {
        Some((document, starts)) => starts.line_of(document.place(at)),
        None => lines.answer.line_of(Flow::place(Flow::shown_at(turn, at))),
    };
    Some(before + prompt + within)
}

fn draw_lines(canvas: &mut Canvas<'_>, inner: Rect, cache: &Cache, shown: Viewport) {
    let state = canvas.state;
    let (mut line, end) = (0, shown.first + shown.height);
    for (index, turn) in state.turns.iter().enumerate() {
        let Some(lines) = cache.turn(turn) else {
            continue;
        };
        for (part, count) in parts(turn, lines, cache.width(), canvas.baselines) {
            let from = shown.first.max(line);
            let to = end.min(line + count);
            if from < to {
                let y = inner.y + (from - shown.first) as u16;
                let area = Rect {
                    y,
                    height: (to - from) as u16,
                    ..inner
                };
                draw_part(canvas, area, (index, turn), lines, part, from - line);
            }
            line += count;
        }
        if line >= end {
            break;
        }
    }
}

/// Draws the lines of a part from its line `from` on, as many as the area has rows.
fn draw_part(
    canvas: &mut Canvas<'_>,
    area: Rect,
    at: (usize, &Turn),
    lines: &TurnLines,
    part: Part,
    from: usize,
) {
    let (index, turn) = at;
    let text = Rect {
        x: area.x + GUTTER,
        width: (area.width - GUTTER).min(MAX_WIDTH),
        ..area
    };
    let label = match (part, turn.mode) {
        (Part::Prompt, _) => "you",
        (Part::Answer, Mode::Chat) => "ai",
        (Part::Answer, Mode::Completion) => "text",
        (Part::Status, _) => {
            if is_bare(turn) && from == 0 {
                canvas.put(area.x, area.y, "ai", GUTTER, canvas.theme.style(Role::Dim));
            }
            if turn.answers() > 1 && from == 0 && !is_bare(turn) {
                answers(canvas, area, index, turn);
            }
            return status(canvas, text, (index, turn), from);
        }
        (Part::Gap, _) => return unseen_ends(canvas, text, index),
    };
    let prompt = Flow::prompt(turn);
    let answer = Flow::answer(
        index,
        turn,
        canvas.app.shared.display.show_rejected,
        canvas.theme.symbols.arrow,
    );
    let (starts, source): (&LineStarts, &dyn Source) = match (part, &lines.markdown) {
        (Part::Prompt, _) => (&lines.prompt, &prompt),
        (_, Some((document, starts))) => (starts, document),
        (_, None) => (&lines.answer, &answer),
    };
    if from == 0 {
        canvas.put(area.x, area.y, label, GUTTER, canvas.theme.style(Role::Dim));
    }
    let Some(start) = starts.get(from) else {
        return;
    };
    let mut row = 0;
    let found = &lines.found;
    let (before, matches) = match part {
        Part::Prompt => (found.before, &found.prompt),
        _ => (found.before + found.prompt.len(), &found.answer),
    };
    let finding = canvas.state.find.is_some();
    let current = canvas.regions.found.current;
    let source = Highlighted {
        source,
        matches: if finding { matches } else { &[] },
        current: current.and_then(|at| at.checked_sub(before)),
    };
    wrap(&source, start, usize::MAX, text.width, &mut |line| {
        draw_line(
            canvas,
            Rect {
                y: text.y + row,
                height: 1,
                ..text
            },
            &line,
            turn.unseen,
        );
        row += 1;
        row < text.height
    });
}

/// The line between turns above which the model no longer sees the text.
fn unseen_ends(canvas: &mut Canvas<'_>, row: Rect, index: usize) {
    let unseen = |at: usize| canvas.state.turns.get(at).is_some_and(|turn| turn.unseen);
    if unseen(index) && !unseen(index + 1) {
        let text = "the model no longer sees what is above: the context is full";
        canvas.put_all(Rect { height: 1, ..row }, &[(text, Role::Mark)]);
    }
}

fn draw_line(canvas: &mut Canvas<'_>, row: Rect, line: &Line, unseen: bool) {
    let state = canvas.state;
    let mut x = row.x;
    let cursor = state.view.cursor.map(|cursor| {
        let turn = state.turns.get(cursor.turn);
        turn.map_or(cursor, |turn| Flow::shown_at(turn, cursor))
    });
    for run in &line.runs {
        let mut style = canvas.theme.style(run.role);
        if let Some(origin) = run.origin {
            style = style.patch(canvas.theme.style(origin));
        }
        if unseen {
            style = canvas.theme.style(Role::Dim);
        }
        style = match run.found {
            Highlight::No => style,
            Highlight::Current => canvas
                .theme
                .style(Role::Accent)
                .add_modifier(Modifier::REVERSED | Modifier::BOLD | Modifier::UNDERLINED),
            Highlight::Other => canvas
                .theme
                .style(Role::Accent)
                .add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
        };
        if let (Some(token), Some(cursor)) = (run.token, cursor) {
            let whole_round = state.focus == Pane::Rounds
                && (token.turn, token.round) == (cursor.turn, cursor.round);
            if token == cursor || whole_round {
                style = highlighted(style);
            }
        }
        let width = run.width.min(row.right().saturating_sub(x));
        canvas.put(x, row.y, &run.text, width, style);
        if let Some(token) = run.token {
            canvas.target(
                Rect {
                    x,
                    y: row.y,
                    width,
                    height: 1,
                },
                Target::Token(token),
            );
        }
        x += width;
    }
}

/// The style of the token under the cursor: toggles reverse video, since accepted tokens may be reversed already.
fn highlighted(style: Style) -> Style {
    match style.add_modifier.contains(Modifier::REVERSED) {
        true => style
            .remove_modifier(Modifier::REVERSED)
            .add_modifier(Modifier::BOLD),
        false => style.add_modifier(Modifier::REVERSED),
    }
}

/// Draws the styles of the origins in the lower border.
fn legend(canvas: &mut Canvas<'_>, area: Rect) {
    let rejected = canvas.app.shared.display.show_rejected;
    // Omits the last ones if there is little room.
    let roles = [Role::Accepted, Role::Corrected, Role::Bonus]
        .into_iter()
        .chain(rejected.then_some(Role::Rejected))
        .chain([Role::Plain, Role::Draft]);
    let (mut x, y) = (area.x + 2, area.bottom() - 1);
    for role in roles {
        let name = role.token().map_or("", |look| look.name);
        if x + name.len() as u16 + 3 > area.right() {
            continue;
        }
        canvas.put(x, y, " ", 1, canvas.theme.style(Role::Border));
        x = canvas.put(x + 1, y, name, 12, canvas.theme.style(role));
        x = canvas.put(x, y, " ", 1, canvas.theme.style(Role::Border));
    }
}
