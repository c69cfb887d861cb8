//! The strip of rounds: each with a symbol for every token.

use super::Canvas;
use super::theme::Role;
use super::way;
use super::widgets::{Cells, row};
use crate::app::{Pane, Target};
use crate::engine::decode::{Round, Strategy};
use ratatui::layout::Rect;

pub fn draw(canvas: &mut Canvas<'_>, area: Rect) {
    let mut inner = canvas.panel(area, "rounds", Some(Pane::Rounds));
    canvas.target(area, Target::Rounds);
    legend(canvas, area);
    let state = canvas.state;
    let last = state.turns.iter().rposition(|turn| !turn.rounds.is_empty());
    let Some(turn) = state.view.cursor.map(|cursor| cursor.turn).or(last) else {
        canvas.put(
            inner.x,
            inner.y,
            "each round appears here",
            inner.width,
            canvas.theme.style(Role::Dim),
        );
        return;
    };
    let rounds = &state.turns[turn].rounds;
    let selected = state.view.cursor.map(|cursor| cursor.round);
    let detail = if inner.height > 1 {
        row_at_bottom(&mut inner)
    } else {
        None
    };
    draw_strip(
        canvas,
        inner,
        turn,
        selected.map_or(rounds.len(), |round| round + 1),
    );
    let described = selected
        .or(rounds.len().checked_sub(1))
        .and_then(|round| rounds.get(round));
    if let (Some(detail), Some(round)) = (detail, described) {
        describe(canvas, detail, round);
    }
}

/// Draws the meanings of as many symbols as fit in the lower border.
fn legend(canvas: &mut Canvas<'_>, area: Rect) {
    let roles = [
        Role::Accepted,
        Role::Rejected,
        Role::Corrected,
        Role::Bonus,
        Role::Plain,
    ];
    let (mut x, last) = (area.x + 2, area.right().saturating_sub(1));
    if area.height < 2 {
        return;
    }
    for role in roles {
        let name = role.token().map_or("", |look| look.name);
        let row = Rect {
            x,
            y: area.bottom() - 1,
            width: last.saturating_sub(x),
            height: 1,
        };
        if name.cells() + 4 > row.width {
            return;
        }
        canvas.put_all(row, &[(" ", Role::Dim)]);
        canvas.symbol(Rect { x: x + 1, ..row }, role);
        let words = Rect {
            x: x + 2,
            width: row.width - 2,
            ..row
        };
        // The trailing space overlaps the next name's leading one.
        x = canvas.put_all(
            words,
            &[(" ", Role::Dim), (name, Role::Dim), (" ", Role::Dim)],
        ) - 1;
    }
}

fn row_at_bottom(area: &mut Rect) -> Option<Rect> {
    let mut bottom = Rect {
        y: area.bottom() - 1,
        height: 1,
        ..*area
    };
    area.height -= 1;
    row(&mut bottom)
}

/// Fills the rows backwards, so that round `until - 1` is the last one shown.
fn draw_strip(canvas: &mut Canvas<'_>, area: Rect, turn: usize, until: usize) {
    let rounds = &canvas.state.turns[turn].rounds;
    let room = usize::from(area.width) * usize::from(area.height);
    let mut first = until.min(rounds.len());
    let mut used = 0;
    while first > 0
        && used + usize::from(width(first - 1, &rounds[first - 1])) + usize::from(area.width) / 8
            < room
    {
        first -= 1;
        used += usize::from(width(first, &rounds[first]));
    }
    let (mut x, mut y) = (area.x, area.y);
    for (index, round) in rounds.iter().enumerate().skip(first) {
        let width = width(index, round);
        if x + width > area.right() + 2 {
            (x, y) = (area.x, y + 1);
        }
        if y >= area.bottom() {
            return;
        }
        draw_round(
            canvas,
            Rect {
                x,
                y,
                width: width - 2,
                height: 1,
            },
            turn,
            index,
        );
        x += width;
    }
}

/// Cells of a round, including the gap after it.
fn width(index: usize, round: &Round) -> u16 {
    let digits = index.checked_ilog10().unwrap_or(0) as u16 + 1;
    digits + 1 + round.slots() as u16 + 2
}

/// `41 ●●●○×`
fn draw_round(canvas: &mut Canvas<'_>, area: Rect, turn: usize, index: usize) {
    let state = canvas.state;
    let round = &state.turns[turn].rounds[index];
    let x = canvas.put_all(area, &[(&format!("{index} "), Role::Dim)]);
    let slots = (0..round.slots()).filter_map(|slot| round.token(slot));
    for (x, token) in (x..area.right()).zip(slots) {
        canvas.symbol(
            Rect {
                x,
                width: 1,
                ..area
            },
            Role::of(token.outcome.origin()),
        );
    }
    let chosen = state
        .view
        .cursor
        .is_some_and(|cursor| (cursor.turn, cursor.round) == (turn, index));
    if chosen {
        canvas.select(area);
    }
    canvas.target(area, Target::Round { turn, round: index });
}

/// Milliseconds and settings of one round.
fn describe(canvas: &mut Canvas<'_>, row: Rect, round: &Round) {
    let settings = &round.settings;
    let (draft, verify) = (round.draft_seconds * 1e3, round.verify_seconds * 1e3);
    let (accepted, time) = match round.drafted().len() {
        0 => (
            "nothing drafted".to_string(),
            format!("  {:.1} ms", draft + verify),
        ),
        drafted => (
            format!("{}/{drafted} accepted", round.accepted()),
            format!("  draft {draft:.1} ms  verify {verify:.1} ms"),
        ),
    };
    let way = match (round.drafted().is_empty(), round.strategy()) {
        (true, Strategy::EarlyExit) => format!("  E {}", settings.exit_layer),
        (true, _) => String::new(),
        (false, _) => format!("  {}", way::of_round(round)),
    };
    let temperature = match settings.sampling.sample {
        true => format!("  T {:.2}", settings.sampling.temperature),
        false => "  greedy".into(),
    };
    let reason = round
        .controller_note
        .as_ref()
        .map(|reason| format!("  {reason}"))
        .unwrap_or_default();
    let parts = [
        (&accepted, Role::Text),
        (&time, Role::Dim),
        (&way, Role::Dim),
        (&temperature, Role::Dim),
    ];
    let x = canvas.put_all(row, &parts.map(|(text, role)| (text.as_str(), role)));
    let rest = Rect {
        x,
        width: row.right().saturating_sub(x),
        ..row
    };
    canvas.put_all(rest, &[(&reason, Role::Accent)]);
}
