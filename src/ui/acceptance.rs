//! The acceptance panel: rate, history, by position, speed, all from the engine's statistics.

use super::Canvas;
use super::theme::Role;
use super::widgets::{bar, row};
use crate::app::Turn;
use crate::app::available::is_available;
use crate::app::input::action::ChatAction;
use crate::engine::decode::{Controller, Proposer, Round, Settings, Stats};
use ratatui::layout::Rect;

/// Rounds per bar of the chart.
const ROUNDS_A_BAR: usize = 4;

pub fn draw(canvas: &mut Canvas<'_>, area: Rect) {
    let mut inner = canvas.panel(area, "acceptance", None);
    if inner.is_empty() {
        return;
    }
    let Some(turn) = canvas
        .state
        .turns
        .iter()
        .rev()
        .find(|turn| !turn.rounds.is_empty())
    else {
        canvas.put(
            inner.x,
            inner.y,
            "nothing generated yet",
            inner.width,
            canvas.theme.style(Role::Dim),
        );
        return;
    };
    let lines: &[Part] = match effective(turn) {
        _ if turn.stats.drafted == 0 => &[rate, speed, speed_up, phases],
        Some(_) if turn.stats.by_proposer.lookup.drafted > 0 => &[
            rate,
            pilot,
            reason,
            speed,
            speed_up,
            by_proposer,
            by_position,
            phases,
        ],
        Some(_) => &[rate, pilot, reason, speed, speed_up, by_position, phases],
        None if turn.stats.by_proposer.lookup.drafted > 0 => {
            &[rate, by_proposer, speed, speed_up, by_position, phases]
        }
        None => &[rate, by_position, speed, speed_up, phases],
    };
    for line in lines {
        let Some(row) = row(&mut inner) else { return };
        line(canvas, row, turn);
    }
}

/// Draws one row.
type Part = fn(&mut Canvas<'_>, Rect, &Turn);

/// The last round, if a controller chose its settings.
fn effective(turn: &Turn) -> Option<(&Round, &str)> {
    let round = turn.rounds.last()?;
    Some((round, round.controller_note.as_deref()?))
}

/// `now E 6 K 5, yours E 8 K 4`: the controller's choice, and the user's settings.
fn pilot(canvas: &mut Canvas<'_>, row: Rect, turn: &Turn) {
    let Some((round, _)) = effective(turn) else {
        return;
    };
    if round.settings.controller == Controller::Auto {
        let now = drafting(round);
        canvas.put_all(row, &[("now ", Role::Dim), (&now, Role::Title)]);
        return;
    }
    let (chosen, yours) = (pair(&round.settings), pair(&canvas.state.settings));
    canvas.put_all(
        row,
        &[
            ("now ", Role::Dim),
            (&chosen, Role::Title),
            (", yours ", Role::Dim),
            (&yours, Role::Text),
        ],
    );
}

/// The controller's reason.
fn reason(canvas: &mut Canvas<'_>, row: Rect, turn: &Turn) {
    let Some((_, reason)) = effective(turn) else {
        return;
    };
    canvas.put_all(row, &[(reason, Role::Accent)]);
}

/// `74 %  ▁▃▅▆▆▇▇▆▇`
fn rate(canvas: &mut Canvas<'_>, row: Rect, turn: &Turn) {
    let stats = &turn.stats;
    let Some(rate) = stats.acceptance_rate() else {
        canvas.put_all(
            row,
            &[("no drafts: ", Role::Dim), ("nothing to accept", Role::Dim)],
        );
        return;
    };
    let percent = format!("{:>3.0} %  ", rate * 100.0);
    let x = canvas.put_all(row, &[(&percent, Role::Title)]);
    let width = usize::from(row.right().saturating_sub(x));
    let bars = course(turn, width);
    for (column, share) in bars.iter().enumerate() {
        let symbol = share.map_or(" ", |share| bar(&canvas.theme, share));
        canvas.put(
            x + column as u16,
            row.y,
            symbol,
            1,
            canvas.theme.style(Role::Accepted),
        );
    }
}

/// Acceptance over the last rounds, several per bar. Bars start at fixed rounds, so they do not flicker.
fn course(turn: &Turn, width: usize) -> Vec<Option<f64>> {
    let bars = turn.rounds.len().div_ceil(ROUNDS_A_BAR);
    let first = bars.saturating_sub(width) * ROUNDS_A_BAR;
    turn.rounds[first..]
        .chunks(ROUNDS_A_BAR)
        .map(|rounds| Stats::of(rounds).acceptance_rate())
        .collect()
}

/// `by position ▇ ▆ ▅ ▃`
fn by_position(canvas: &mut Canvas<'_>, row: Rect, turn: &Turn) {
    let shares = turn.stats.acceptance_by_position();
    if shares.is_empty() {
        return;
    }
    let start = canvas.put_all(row, &[("by position  ", Role::Dim)]);
    for (x, share) in (start..row.right()).zip(shares) {
        canvas.put(
            x,
            row.y,
            bar(&canvas.theme, share),
            1,
            canvas.theme.style(Role::Accepted),
        );
    }
}

/// `early exit 31/80, lookup 12/20`
fn by_proposer(canvas: &mut Canvas<'_>, row: Rect, turn: &Turn) {
    let counts: Vec<String> = turn
        .stats
        .by_proposer
        .used()
        .map(|(by, count)| format!("{} {}/{}", by.name(), count.accepted, count.drafted))
        .collect();
    canvas.put_all(row, &[(&counts.join(", "), Role::Dim)]);
}

/// `3.9 tokens/round  118 tok/s`
fn speed(canvas: &mut Canvas<'_>, row: Rect, turn: &Turn) {
    let stats = &turn.stats;
    let speed = stats
        .tokens_per_second()
        .map_or("–".into(), |speed| format!("{speed:.0}"));
    let mut parts = vec![(speed.as_str(), Role::Title), (" tok/s", Role::Dim)];
    let length = stats
        .mean_accepted_length()
        .map(|length| format!("   {length:.1}"));
    if let Some(length) = &length {
        parts.extend([(length.as_str(), Role::Text), (" tokens/round", Role::Dim)]);
    }
    canvas.put_all(row, &parts);
}

/// `race 1.22× of plain, E 8 K 4`: what the last race measured, or how to start one. An answer's own speed is not
/// compared: no plain answer was measured beside it.
fn speed_up(canvas: &mut Canvas<'_>, row: Rect, _: &Turn) {
    let state = canvas.state;
    let Some(raced) = &state.raced else {
        let key = canvas.app.key_now(ChatAction::Race);
        match key.filter(|_| is_available(canvas.app, &ChatAction::Race.into())) {
            Some(key) => canvas.put_all(
                row,
                &[(&key, Role::Key), (" compares with plain", Role::Dim)],
            ),
            None => canvas.put_all(row, &[("no race with plain yet", Role::Dim)]),
        };
        return;
    };
    let times = format!("{:.2}{}", raced.speed_up, canvas.theme.symbols.times);
    let force = match raced.settings.controller {
        Controller::Fixed => pair(&raced.settings),
        _ => "controller".into(),
    };
    let parts = [
        ("race ", Role::Dim),
        (&times, Role::Title),
        (" of plain, ", Role::Dim),
        (&force, Role::Dim),
    ];
    canvas.put_all(row, &parts);
}

/// How a round drafted: `plain`, `lookup`, `E 6 K 2`, `E 6 tree of 8`.
fn drafting(round: &Round) -> String {
    let settings = &round.settings;
    match round.drafted().first() {
        None => "plain".into(),
        Some(token) if token.proposer == Proposer::Lookup => "lookup".into(),
        Some(_) if settings.tree > 0 => {
            format!("E {} tree of {}", settings.exit_layer, settings.tree)
        }
        Some(_) => pair(settings),
    }
}

fn pair(settings: &Settings) -> String {
    format!("E {} K {}", settings.exit_layer, settings.num_speculations)
}

/// The shares of draft and verify.
fn phases(canvas: &mut Canvas<'_>, row: Rect, turn: &Turn) {
    let stats = &turn.stats;
    let rounds = stats.rounds.max(1) as f64;
    let milliseconds = |seconds: f64| match seconds * 1e3 / rounds {
        many if many >= 100.0 => format!("{many:.0} ms"),
        few => format!("{few:.1} ms"),
    };
    if stats.drafted == 0 {
        let text = format!(
            "{} a token",
            milliseconds(stats.draft_seconds + stats.verify_seconds)
        );
        canvas.put_all(row, &[(&text, Role::Dim)]);
        return;
    }
    let (draft, verify) = (
        milliseconds(stats.draft_seconds),
        milliseconds(stats.verify_seconds),
    );
    let text = format!("{draft} draft + {verify} verify");
    canvas.put_all(row, &[(&text, Role::Dim)]);
}
