//! The speed panel: the speed-up over plain decoding first, then acceptance and where the time goes.

use super::Canvas;
use super::big;
use super::theme::Role;
use super::way;
use super::widgets::{Cells, bar, row, wrap_words};
use crate::app::available::is_available;
use crate::app::input::action::{ChatAction, ControlsAction};
use crate::app::state::race::name_of;
use crate::app::{Action, Turn};
use crate::engine::decode::{Controller, Round, SpeedUp, Stats, Strategy};
use ratatui::layout::Rect;

/// Rounds per bar of the chart.
const ROUNDS_A_BAR: usize = 4;
/// Min rows for large digits.
const LARGE: u16 = 8;

pub fn draw(canvas: &mut Canvas<'_>, area: Rect) {
    let mut inner = canvas.panel(area, "speed", None);
    if inner.is_empty() {
        return;
    }
    let Some(turn) = canvas.state.newest_turn() else {
        canvas.put(
            inner.x,
            inner.y,
            "nothing generated yet",
            inner.width,
            canvas.theme.style(Role::Dim),
        );
        return;
    };
    let is_large = inner.height >= LARGE && !canvas.app.shared.appearance.ascii;
    if is_large {
        let area = Rect {
            height: big::HEIGHT,
            ..inner
        };
        large(canvas, area, turn);
        inner.y += big::HEIGHT;
        inner.height -= big::HEIGHT;
    }
    for line in lines(canvas, turn, is_large, inner.width) {
        let Some(row) = row(&mut inner) else { return };
        line(canvas, row, turn);
    }
}

/// The rows of the panel, the most useful first.
fn lines(canvas: &Canvas<'_>, turn: &Turn, is_large: bool, width: u16) -> Vec<Part> {
    let gain = turn.speed_up(canvas.baselines);
    let loses = drafts_on(canvas, turn) && gain.is_some_and(|gain| gain.is_loss());
    let is_drafted = turn.stats.drafted > 0;
    let controlled = effective(turn).is_some();
    let is_mixed = turn.stats.by_proposer.lookup.drafted > 0;
    let rows: [(bool, Part); 13] = [
        (!is_large, headline),
        (!is_large, speed),
        (loses, loss),
        (is_drafted, rate),
        (controlled, pilot),
        (controlled, reason),
        (reason_lines(turn, width).len() > 1, rest_of_reason),
        (!loses || !gain.is_some_and(|gain| gain.measured), race),
        (is_mixed, by_proposer),
        (is_drafted, by_position),
        (is_drafted && is_large, rounds),
        (true, phases),
        (loses && gain.is_some_and(|gain| gain.measured), race),
    ];
    let shown = rows.into_iter().filter(|(shown, _)| *shown);
    shown.map(|(_, part)| part).collect()
}

/// Whether the next tokens will be drafted, by the settings and the controller's last choice.
fn drafts_on(canvas: &Canvas<'_>, turn: &Turn) -> bool {
    let settings = &canvas.state.settings;
    let last = effective(turn).filter(|_| settings.controller == Controller::Auto);
    settings.strategy != Strategy::Autoregressive
        && last.is_none_or(|(round, _)| round.speculated())
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
        let now = way::of_round(round);
        canvas.put_all(row, &[("now ", Role::Dim), (&now, Role::Title)]);
        return;
    }
    let (chosen, yours) = (
        way::pair(&round.settings),
        way::pair(&canvas.state.settings),
    );
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

/// The controller's reason, in lines.
fn reason_lines(turn: &Turn, width: u16) -> Vec<String> {
    effective(turn).map_or_else(Vec::new, |(_, reason)| wrap_words(reason, width))
}

/// The first line of the controller's reason.
fn reason(canvas: &mut Canvas<'_>, row: Rect, turn: &Turn) {
    if let Some(line) = reason_lines(turn, row.width).first() {
        canvas.put_all(row, &[(line, Role::Accent)]);
    }
}

fn rest_of_reason(canvas: &mut Canvas<'_>, row: Rect, turn: &Turn) {
    let lines = reason_lines(turn, row.width);
    if let Some(rest) = lines.get(1..) {
        canvas.put_all(row, &[(&rest.join(" "), Role::Accent)]);
    }
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
            canvas.theme.style(Role::Agree),
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
    let label = match turn.rounds.iter().any(Round::branches) {
        true => "by depth  ",
        false => "by position  ",
    };
    let start = canvas.put_all(row, &[(label, Role::Dim)]);
    for (x, share) in (start..row.right()).zip(shares) {
        canvas.put(
            x,
            row.y,
            bar(&canvas.theme, share),
            1,
            canvas.theme.style(Role::Agree),
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

/// The speed-up in large digits, with its error and plain's speed beside it.
fn large(canvas: &mut Canvas<'_>, area: Rect, turn: &Turn) {
    let Some(gain) = Gain::of(canvas, turn) else {
        let mut rest = area;
        for part in [headline, speed] {
            if let Some(row) = row(&mut rest) {
                part(canvas, row, turn);
            }
        }
        return;
    };
    let x = big::draw(canvas, area, &gain.ratio, gain.role) + 1;
    let beside = Rect {
        x,
        width: area.right().saturating_sub(x),
        ..area
    };
    let lines = [
        vec![("plain  ", gain.role), (gain.error.as_str(), Role::Dim)],
        vec![(gain.own.as_str(), Role::Title), (" tok/s", Role::Dim)],
        vec![
            ("plain ", Role::Dim),
            (&gain.plain, Role::Text),
            (gain.source, Role::Dim),
        ],
    ];
    for (parts, y) in lines.iter().zip(beside.top()..beside.bottom()) {
        canvas.put_all(
            Rect {
                y,
                height: 1,
                ..beside
            },
            parts,
        );
    }
}

/// `1.18× plain ± 0.03`, or why there is no figure.
fn headline(canvas: &mut Canvas<'_>, row: Rect, turn: &Turn) {
    match Gain::of(canvas, turn) {
        Some(gain) => {
            let ratio = format!("{}{}", gain.about, gain.ratio);
            let parts = [
                (ratio.as_str(), gain.role),
                (" plain  ", gain.role),
                (&gain.error, Role::Dim),
            ];
            canvas.put_all(row, &parts);
        }
        None if turn.is_plain() => {
            canvas.put_all(
                row,
                &[("plain decoding", Role::Title), (", no drafts", Role::Dim)],
            );
        }
        None if turn.stats.drafted == 0 => {
            canvas.put_all(
                row,
                &[("early exit", Role::Title), (", not verified", Role::Dim)],
            );
        }
        None => {
            canvas.put_all(row, &[("plain speed is not known yet", Role::Dim)]);
        }
    }
}

/// The speed-up of an answer, as text.
struct Gain {
    about: &'static str,
    ratio: String,
    error: String,
    own: String,
    plain: String,
    source: &'static str,
    role: Role,
}

impl Gain {
    /// `None` for plain answers, which say so instead.
    fn of(canvas: &Canvas<'_>, turn: &Turn) -> Option<Self> {
        if turn.is_plain() {
            return None;
        }
        let step = canvas.baselines.plain_step(turn)?;
        let gain = turn.speed_up(canvas.baselines)?;
        Some(Self {
            about: if gain.measured { "" } else { "≈ " },
            ratio: format!("{:.2}{}", gain.ratio, canvas.theme.symbols.times),
            error: format!("± {:.2}", gain.error),
            own: format!("{:.0}", turn.stats.tokens_per_second()?),
            plain: format!("{:.0}", 1.0 / step.seconds),
            source: if gain.measured { "" } else { ", estimated" },
            role: role_of(gain),
        })
    }
}

/// The role of a speed-up: a gain, a loss, or neither within its error.
pub fn role_of(gain: SpeedUp) -> Role {
    match gain {
        loss if loss.is_loss() => Role::Wrong,
        gain if gain.is_gain() => Role::Gain,
        _ => Role::Title,
    }
}

/// `368 tok/s, plain 312   2.1 tokens/round`
fn speed(canvas: &mut Canvas<'_>, row: Rect, turn: &Turn) {
    let stats = &turn.stats;
    let speed = stats
        .tokens_per_second()
        .map_or("–".into(), |speed| format!("{speed:.0}"));
    let mut parts = vec![(speed.as_str(), Role::Title), (" tok/s", Role::Dim)];
    let plain = canvas.baselines.plain_step(turn);
    let plain = plain
        .filter(|_| stats.drafted > 0)
        .map(|step| format!("{:.0}", 1.0 / step.seconds));
    if let Some(plain) = &plain {
        parts.extend([(", plain ", Role::Dim), (plain, Role::Text)]);
    }
    canvas.put_all(row, &parts);
}

/// `plain is faster here: alt-a`
fn loss(canvas: &mut Canvas<'_>, row: Rect, _: &Turn) {
    let mut parts = vec![("plain is faster here", Role::Wrong)];
    let key = key_now(canvas, ControlsAction::TogglePlain.into());
    if let Some(key) = &key {
        parts.extend([(": ", Role::Dim), (key, Role::Key)]);
    }
    canvas.put_all(row, &parts);
}

/// The key of an action, if it is available now.
fn key_now(canvas: &Canvas<'_>, action: Action) -> Option<String> {
    let key = canvas.app.key_now(action.clone());
    key.filter(|_| is_available(canvas.app, &action))
}

/// `last race 1.22× with E 8 K 4`, or how to start one.
fn race(canvas: &mut Canvas<'_>, row: Rect, _: &Turn) {
    if let Some(raced) = canvas.state.race_of_model() {
        let times = format!("{:.2}{}", raced.speed_up, canvas.theme.symbols.times);
        let name = name_of(&raced.settings);
        let room = row.width.saturating_sub(times.as_str().cells());
        let fits = |(before, between): &(&str, &str)| {
            before.cells() + between.cells() + name.as_str().cells() <= room
        };
        let wordings = [
            ("last race ", " with "),
            ("last race ", ": "),
            ("race ", ": "),
        ];
        let (before, between) = wordings.into_iter().find(fits).unwrap_or(("", ": "));
        let parts = [
            (before, Role::Dim),
            (&times, Role::Title),
            (between, Role::Dim),
            (&name, Role::Dim),
        ];
        canvas.put_all(row, &parts);
        return;
    }
    match key_now(canvas, ChatAction::Race.into()) {
        Some(key) => canvas.put_all(
            row,
            &[(&key, Role::Key), (" races against plain", Role::Dim)],
        ),
        None => canvas.put_all(row, &[("no race against plain yet", Role::Dim)]),
    };
}

/// `2.1 tokens per drafted round`: the accepted ones and the verifier's.
fn rounds(canvas: &mut Canvas<'_>, row: Rect, turn: &Turn) {
    let Some(length) = turn.stats.mean_accepted_length() else {
        return;
    };
    let length = format!("{length:.2}");
    canvas.put_all(
        row,
        &[
            (&length, Role::Text),
            (" tokens per drafted round", Role::Dim),
        ],
    );
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
            "{} per token",
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
