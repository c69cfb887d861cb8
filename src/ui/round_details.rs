//! The round under the cursor, as a table: its phases, and the outcome of every draft.

use super::Canvas;
use super::inspector::Line;
use super::theme::{Role, Theme};
use super::way;
use super::widgets::{column, wrap_words};
use crate::app::{TokenRef, Turn};
use crate::engine::decode::{PlainStep, Round, RoundToken};
use crate::plural::counted;
use ratatui::style::Style;

/// Cells of a token's text.
const TEXT: u16 = 14;
/// Cells of the whole table.
const WIDE: u16 = 41;

/// ```text
/// round 12       E 6 K 4
/// draft      4 tokens      2.3 ms
/// verify     5 rows        3.1 ms
/// gained     3 tokens      5.4 ms  1.22×
///
///   token           draft   verify  accept
/// ● sky            80.1 %   90.2 %   100 %
/// ```
///
/// In less than [`WIDE`] cells, figures have fewer digits.
pub fn lines(canvas: &Canvas<'_>, turn: &Turn, at: TokenRef, width: u16) -> Vec<Line> {
    let Some(round) = turn.rounds.get(at.round) else {
        return Vec::new();
    };
    let theme = &canvas.theme;
    let way = way::of_round(round);
    let mut lines = vec![spans(
        theme,
        &[
            (&format!("round {:<8} ", round.index), Role::Dim),
            (&way, Role::Title),
        ],
    )];
    let is_wide = width >= WIDE;
    lines.extend(phases(
        theme,
        round,
        canvas.baselines.plain_step(turn),
        is_wide,
    ));
    if let Some(note) = &round.controller_note {
        let note = wrap_words(note, width).into_iter();
        lines.extend(note.map(|line| spans(theme, &[(&line, Role::Accent)])));
    }
    lines.push(Line::new());
    let (text, columns) = match is_wide {
        true => (TEXT, [7, 8, 7]),
        false => (width.saturating_sub(22), [5, 6, 6]),
    };
    let title = spans(
        theme,
        &[
            ("  ", Role::Dim),
            (&column("token", text), Role::Dim),
            (
                &figures(["draft", "verify", "accept"].map(String::from), columns),
                Role::Dim,
            ),
        ],
    );
    lines.push(title);
    let tokens = (0..round.slots()).filter_map(|slot| round.token(slot));
    lines.extend(tokens.map(|token| token_line(theme, &token, text, columns, is_wide)));
    lines
}

/// Figures, right-aligned in columns.
fn figures(figures: [String; 3], columns: [usize; 3]) -> String {
    let padded = figures.iter().zip(columns);
    padded
        .map(|(figure, cells)| format!(" {figure:>cells$}"))
        .collect()
}

/// One line per phase: the work, and its duration.
fn phases(theme: &Theme, round: &Round, plain: Option<PlainStep>, is_wide: bool) -> Vec<Line> {
    let drafted = round.drafted().len();
    let seconds = round.draft_seconds + round.verify_seconds;
    let gain = plain
        .filter(|_| seconds > 0.0)
        .map_or_else(String::new, |plain| {
            let gain = plain.speed_up(round.len() as f64 / seconds);
            let gap = if is_wide { "  " } else { " " };
            format!("{gap}{:.2}{}", gain.ratio, theme.symbols.times)
        });
    let phase = |name: &str, count: usize, what: &str, time: String| {
        let what = counted(count, what);
        spans(
            theme,
            &[
                (&column(name, if is_wide { 11 } else { 7 }), Role::Dim),
                (&column(&what, if is_wide { 10 } else { 9 }), Role::Text),
                (&time, Role::Text),
            ],
        )
    };
    let milliseconds = |seconds: f64| match (seconds * 1e3, is_wide) {
        (time, true) => format!("{time:>7.2} ms"),
        (time, false) if time < 99.95 => format!("{time:>5.1} ms"),
        (time, false) => format!("{time:>5.0} ms"),
    };
    let mut lines = Vec::new();
    if drafted > 0 {
        lines.push(phase(
            "draft",
            drafted,
            "token",
            milliseconds(round.draft_seconds),
        ));
    }
    let name = if drafted > 0 { "verify" } else { "decode" };
    lines.push(phase(
        name,
        drafted + 1,
        "row",
        milliseconds(round.verify_seconds),
    ));
    lines.push(phase(
        "gained",
        round.len(),
        "token",
        milliseconds(seconds) + &gain,
    ));
    lines
}

/// The line of a draft, or of the closing token.
fn token_line(
    theme: &Theme,
    token: &RoundToken<'_>,
    text: u16,
    columns: [usize; 3],
    is_wide: bool,
) -> Line {
    let role = Role::of(token.outcome.origin());
    let decimals = usize::from(is_wide);
    let percent =
        |p: Option<f32>| p.map_or("–".into(), |p| format!("{:.decimals$} %", p * 100.0));
    let ratio = match (token.p_draft, token.p_verify) {
        (Some(draft), Some(verify)) if draft > 0.0 && token.draft_position.is_some() => {
            format!("{:.0} %", (verify / draft).min(1.0) * 100.0)
        }
        _ => String::new(),
    };
    vec![
        (format!("{} ", theme.symbol(role)), theme.symbol_style(role)),
        (column(token.text, text), Style::new()),
        (
            figures(
                [percent(token.p_draft), percent(token.p_verify), ratio],
                columns,
            ),
            theme.style(Role::Dim),
        ),
    ]
}

fn spans(theme: &Theme, parts: &[(&str, Role)]) -> Line {
    let styled = |(text, role): &(&str, Role)| ((*text).to_owned(), theme.style(*role));
    parts.iter().map(styled).collect()
}
