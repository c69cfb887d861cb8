//! A race: both lanes side by side, their figures, and whether their texts agree.

use super::Canvas;
use super::big;
use super::cache::{LineStarts, RaceLines};
use super::theme::Role;
use super::widgets::{row, wrap_words};
use super::window::{centered, window};
use super::wrap::{Flow, wrap};
use crate::app::state::race::Verdict;
use crate::app::state::turn::Outcome;
use crate::app::{Race, Turn, Viewport};
use crate::engine::decode::{Stats, StopReason};
use crate::plural::counted;
use ratatui::layout::Rect;

/// Min rows for large digits.
const LARGE: u16 = 18;

/// ```text
/// › Why is the sky blue?
/// ● exact so far: 57 tokens                 1.62× as fast
///
/// plain                  E 8 K 4
/// 84 tok/s  57 tokens …  136 tok/s  92 tokens …
/// The sky appears …      The sky appears …
/// ```
pub fn draw(canvas: &mut Canvas<'_>, body: Rect, race: &Race, lines: &mut RaceLines) {
    let window_area = centered(body, 156, 46);
    let mut inner = window(canvas, window_area, "race");
    if let Some(row) = row(&mut inner) {
        canvas.put_all(
            row,
            &[
                (canvas.theme.symbols.prompt, Role::Accent),
                (" ", Role::Dim),
                (&race.prompt, Role::Text),
            ],
        );
    }
    headline(canvas, &mut inner, race);
    if let Some(Outcome::Failed(message)) = &race.outcome {
        for line in wrap_words(message, inner.width) {
            let Some(row) = row(&mut inner) else { return };
            canvas.put_all(row, &[(&line, Role::Wrong)]);
        }
    }
    row(&mut inner);
    let width = inner.width.saturating_sub(3) / 2;
    let left = Rect { width, ..inner };
    let right = Rect {
        x: inner.right().saturating_sub(width),
        width,
        ..inner
    };
    let text = Rect {
        height: left.height.saturating_sub(3),
        ..left
    };
    let starts = lines.update(
        race,
        width,
        canvas.app.shared.appearance.ascii,
        canvas.theme.symbols.arrow,
    );
    let total = starts[0].len().max(starts[1].len());
    let mut shown = Viewport {
        first: race.top.unwrap_or(total),
        height: usize::from(text.height),
        total,
    };
    shown.first = shown.scrolled(0);
    for (at, area) in [left, right].into_iter().enumerate() {
        lane(
            canvas,
            area,
            &race.names[at],
            &race.lanes[at],
            &starts[at],
            race.top.map(|_| shown.first),
        );
    }
    canvas.scrollbar(window_area, shown);
    canvas.regions.text = shown;
}

/// The challenger's speed-up, in large digits if there is room, and whether the texts agree.
fn headline(canvas: &mut Canvas<'_>, inner: &mut Rect, race: &Race) {
    let ratio = race.speed_up();
    let role = match ratio {
        Some(ratio) if ratio > 1.0 => Role::Gain,
        Some(_) => Role::Wrong,
        None => Role::Dim,
    };
    let [reference, challenger] = &race.names;
    let times = canvas.theme.symbols.times;
    if inner.height < LARGE || canvas.app.shared.appearance.ascii {
        let Some(row) = row(inner) else { return };
        lamp(canvas, row, race);
        if let Some(ratio) = ratio {
            let text = format!("{ratio:.2}{times} as fast");
            canvas.put_right(row, &text, role);
        }
        return;
    }
    let mut area = Rect {
        height: big::HEIGHT,
        ..*inner
    };
    inner.y += big::HEIGHT;
    inner.height -= big::HEIGHT;
    if let Some(ratio) = ratio {
        let x = big::draw(canvas, area, &format!("{ratio:.2}×"), role) + 2;
        area = Rect {
            x,
            width: area.right().saturating_sub(x),
            ..area
        };
    }
    row(&mut area);
    if let Some(row) = row(&mut area) {
        let words = match ratio {
            Some(_) => format!("the speed of {reference}, with {challenger}"),
            None => format!("{challenger} against {reference}"),
        };
        canvas.put_all(row, &[(&words, Role::Text)]);
    }
    if let Some(row) = row(&mut area) {
        lamp(canvas, row, race);
    }
}

/// Whether the texts agree so far.
fn lamp(canvas: &mut Canvas<'_>, row: Rect, race: &Race) {
    let cancelled = matches!(race.outcome, Some(Outcome::Stopped(StopReason::Cancelled)));
    let (symbol, role, text) = match (race.verdict(), race.prefill) {
        (Verdict::Differs(at), _) => (
            canvas.theme.symbol(Role::Rejected),
            Role::Wrong,
            format!("differs at token {at}"),
        ),
        (Verdict::Exact(count), _) => (
            canvas.theme.symbol(Role::Accepted),
            Role::Agree,
            format!("exact: {}", counted(count, "token")),
        ),
        (Verdict::Same(count), _) if cancelled => (
            canvas.theme.symbol(Role::Plain),
            Role::Dim,
            format!("cancelled; {}", same(count)),
        ),
        (Verdict::Same(0), Some((done, total))) if race.outcome.is_none() => (
            canvas.spinner(),
            Role::Accent,
            format!("reading the prompt: {done} of {}", counted(total, "token")),
        ),
        (Verdict::Same(count), _) if race.outcome.is_some() => {
            (canvas.theme.symbol(Role::Plain), Role::Dim, same(count))
        }
        (Verdict::Same(count), _) => (
            canvas.spinner(),
            Role::Accent,
            format!("exact so far: {}", counted(count, "token")),
        ),
    };
    canvas.put_all(row, &[(symbol, role), (" ", role), (&text, role)]);
}

/// `the first 12 tokens are the same`
fn same(count: usize) -> String {
    match count {
        1 => "the first token is the same".into(),
        _ => format!("the first {} are the same", counted(count, "token")),
    }
}

/// A lane's text from line `top` on, or its end.
fn lane(
    canvas: &mut Canvas<'_>,
    mut area: Rect,
    name: &str,
    turn: &Turn,
    starts: &LineStarts,
    top: Option<usize>,
) {
    let Some(title) = row(&mut area) else { return };
    canvas.put_all(title, &[(name, Role::Heading)]);
    let Some(figures) = row(&mut area) else {
        return;
    };
    measured(canvas, figures, &turn.stats);
    row(&mut area);
    let end = starts.len().saturating_sub(usize::from(area.height));
    text(canvas, area, turn, starts, top.unwrap_or(end));
}

/// `136 tok/s  92 tokens  0.7 s  74 % accepted`
fn measured(canvas: &mut Canvas<'_>, row: Rect, stats: &Stats) {
    let speed = stats
        .tokens_per_second()
        .map_or("–".into(), |speed| format!("{speed:.0}"));
    let accepted = if row.width < 46 { "" } else { " accepted" };
    let rate = stats
        .acceptance_rate()
        .map(|rate| format!("  {:.0} %{accepted}", rate * 100.0))
        .unwrap_or_default();
    let rest = format!(
        " tok/s  {}  {:.1} s{rate}",
        counted(stats.tokens, "token"),
        stats.decode_seconds()
    );
    canvas.put_all(row, &[(&speed, Role::Title), (&rest, Role::Dim)]);
}

/// A lane's text from line `first` on, with the styles of origins.
fn text(canvas: &mut Canvas<'_>, area: Rect, turn: &Turn, starts: &LineStarts, first: usize) {
    let flow = Flow::answer(0, turn, false, canvas.theme.symbols.arrow);
    let Some(start) = starts.get(first).filter(|_| !area.is_empty()) else {
        return;
    };
    let mut rows = area.top()..area.bottom();
    wrap(&flow, start, usize::MAX, area.width, &mut |line| {
        let Some(y) = rows.next() else { return false };
        let mut x = area.x;
        for run in &line.runs {
            let width = run.width.min(area.right().saturating_sub(x));
            canvas.put(x, y, &run.text, width, canvas.theme.style(run.role));
            x += width;
        }
        true
    });
}
