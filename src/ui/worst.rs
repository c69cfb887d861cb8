//! The worst drafts of the newest answer, in the inspector's place while no token is selected.

use super::Canvas;
use super::inspector::Line;
use super::theme::Role;
use super::widgets::column;
use crate::app::state::worst::worst_drafts;
use crate::app::{TokenRef, Turn};
use ratatui::style::Style;

/// Max rows of the list.
const WORST: usize = 40;
/// Max cells of a token's text.
const TEXT: u16 = 12;
/// Cells of a line besides the texts.
const FIGURES: u16 = 16;

/// The answer whose worst drafts are listed: the newest one, if the verifier rejected any.
pub fn answer<'a>(canvas: &Canvas<'a>) -> Option<(usize, &'a Turn)> {
    let turns = &canvas.state.turns;
    let index = turns.iter().rposition(|turn| !turn.rounds.is_empty())?;
    let rejects = turns[index].stats.accepted < turns[index].stats.drafted;
    rejects.then(|| (index, &turns[index]))
}

/// Rejected drafts, the most confident first: the drafted token, the token in its place, and both probabilities.
pub fn list(
    canvas: &Canvas<'_>,
    (index, turn): (usize, &Turn),
    width: u16,
    lines: &mut Vec<Line>,
    links: &mut Vec<(usize, TokenRef)>,
) {
    let theme = &canvas.theme;
    let cells = (width.saturating_sub(FIGURES) / 2).min(TEXT);
    let [drafted, verifier] = ["drafted", "verifier"].map(|title| column(title, cells));
    let titles = format!("{drafted} {verifier} {:>6} {:>7}", "q", "p");
    lines.extend([Line::new(), vec![(titles, theme.style(Role::Dim))]]);
    for worst in worst_drafts(index, turn, WORST) {
        let round = turn.rounds.get(worst.at.round);
        let Some((round, token)) = round.and_then(|r| Some((r, r.token(worst.at.slot)?))) else {
            continue;
        };
        if let Some(at) = canvas.state.reachable(canvas.app.shared.display, worst.at) {
            links.push((lines.len(), at));
        }
        let instead = round.instead_of(worst.at.slot);
        let (instead, role) = instead.map_or(("", Role::Corrected), |token| {
            (token.text, Role::of(token.outcome.origin()))
        });
        let percent = |p: Option<f32>| p.map_or("–".into(), |p| format!("{:.1} %", p * 100.0));
        lines.push(vec![
            (column(token.text, cells), theme.style(Role::Rejected)),
            (" ".into(), Style::new()),
            (column(instead, cells), theme.style(role)),
            (
                format!(
                    " {:>6} {:>7}",
                    percent(token.p_draft),
                    percent(token.p_verify)
                ),
                theme.style(Role::Dim),
            ),
        ]);
    }
}
