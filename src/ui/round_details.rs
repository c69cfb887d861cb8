//! The round under the cursor, as a table: its phases, and the outcome of every draft.

use super::Canvas;
use super::inspector::Line;
use super::theme::{Role, Theme};
use super::way;
use crate::app::{TokenRef, Turn};
use crate::engine::decode::{PlainStep, Round, RoundToken};
use crate::plural::counted;
use crate::safe_text::one_line;
use ratatui::style::Style;

/// Cells of a token's text.
const TEXT: usize = 14;

/// ```text
/// round 12       E 6 K 4
/// draft      4 tokens      2.3 ms
/// verify     5 rows        3.1 ms
/// gained     3 tokens      5.4 ms  1.22×
///
///   token           draft   verify  accept
/// ● sky            80.1 %   90.2 %   100 %
/// ```
pub fn lines(canvas: &Canvas<'_>, turn: &Turn, at: TokenRef) -> Vec<Line> {
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
    lines.extend(phases(theme, round, canvas.baselines.plain_step(turn)));
    if let Some(note) = &round.controller_note {
        lines.push(spans(theme, &[(note, Role::Accent)]));
    }
    lines.push(Line::new());
    let titles = format!(
        "  {:<TEXT$} {:>7} {:>8} {:>7}",
        "token", "draft", "verify", "accept"
    );
    lines.push(spans(theme, &[(&titles, Role::Dim)]));
    let tokens = (0..round.slots()).filter_map(|slot| round.token(slot));
    lines.extend(tokens.map(|token| token_line(theme, &token)));
    lines
}

/// One line per phase: the work, and its duration.
fn phases(theme: &Theme, round: &Round, plain: Option<PlainStep>) -> Vec<Line> {
    let drafted = round.drafted().len();
    let seconds = round.draft_seconds + round.verify_seconds;
    let gain = plain
        .filter(|_| seconds > 0.0)
        .map_or_else(String::new, |plain| {
            let gain = plain.speed_up(round.len() as f64 / seconds);
            format!("  {:.2}{}", gain.ratio, theme.symbols.times)
        });
    let phase = |name: &str, count: usize, what: &str, time: String| {
        let what = counted(count, what);
        spans(
            theme,
            &[
                (&format!("{name:<10} "), Role::Dim),
                (&format!("{what:<10}"), Role::Text),
                (&time, Role::Text),
            ],
        )
    };
    let milliseconds = |seconds: f64| format!("{:>7.2} ms", seconds * 1e3);
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
fn token_line(theme: &Theme, token: &RoundToken<'_>) -> Line {
    let role = Role::of(token.outcome.origin());
    let percent = |p: Option<f32>| p.map_or("–".into(), |p| format!("{:.1} %", p * 100.0));
    let ratio = match (token.p_draft, token.p_verify) {
        (Some(draft), Some(verify)) if draft > 0.0 && token.draft_position.is_some() => {
            format!("{:.0} %", (verify / draft).min(1.0) * 100.0)
        }
        _ => String::new(),
    };
    let text: String = one_line(token.text).chars().take(TEXT).collect();
    vec![
        (format!("{} ", theme.symbol(role)), theme.symbol_style(role)),
        (format!("{text:<TEXT$}"), Style::new()),
        (
            format!(
                " {:>7} {:>8} {ratio:>7}",
                percent(token.p_draft),
                percent(token.p_verify)
            ),
            theme.style(Role::Dim),
        ),
    ]
}

fn spans(theme: &Theme, parts: &[(&str, Role)]) -> Line {
    let styled = |(text, role): &(&str, Role)| ((*text).to_owned(), theme.style(*role));
    parts.iter().map(styled).collect()
}
