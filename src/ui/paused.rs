//! A paused run, phase by phase: the drafts with their probabilities, and the verifier's verdict.

use super::Canvas;
use super::theme::Role;
use super::widgets::{column, row};
use crate::app::input::action::ChatAction;
use crate::app::{Pane, Phase, State, Target, Turn};
use crate::engine::decode::Round;
use crate::safe_text::one_line;
use ratatui::layout::Rect;

/// Max cells of indentation of a tree's nodes.
const MAX_INDENT: usize = 6;
/// Rows of the keys, with the gap before them.
const KEYS: u16 = 3;
/// Cells of a verified token's line besides its text.
const FIGURES: u16 = 17;

/// Whether the run is paused and the inspector's place is free.
pub fn applies(state: &State) -> bool {
    matches!(state.phase, Phase::Paused { .. })
        && !state.inspecting()
        && state.focus != Pane::Controls
}

pub fn draw(canvas: &mut Canvas<'_>, area: Rect) {
    let mut inner = canvas.panel(area, "step", None);
    canvas.target(area, Target::Inspector);
    let Some(turn) = canvas.state.turns.last() else {
        return;
    };
    if turn.pending.is_empty() {
        match turn.rounds.last() {
            Some(round) => verified(canvas, &mut inner, turn, round),
            None => put_line(canvas, &mut inner, "next: the first draft", Role::Dim),
        }
    } else {
        drafting(canvas, &mut inner, turn);
    }
    row(&mut inner);
    let further = if !canvas.state.live {
        "one more round"
    } else {
        "one more phase"
    };
    let keys = [(ChatAction::Step, further), (ChatAction::Pause, "resume")];
    for (action, label) in keys {
        if let Some(key) = canvas.app.key_now(action) {
            put_line(canvas, &mut inner, &format!("{key}  {label}"), Role::Dim);
        }
    }
}

fn put_line(canvas: &mut Canvas<'_>, area: &mut Rect, text: &str, role: Role) {
    if let Some(row) = row(area) {
        canvas.put_all(row, &[(text, role)]);
    }
}

/// Tokens drafted so far, with their draft probabilities.
fn drafting(canvas: &mut Canvas<'_>, area: &mut Rect, turn: &Turn) {
    let settings = &canvas.state.settings;
    let (exit, most) = (settings.exit_layer, settings.num_speculations);
    let text = format!("layers 1 to {exit} draft: {} of {most}", turn.pending.len());
    put_line(canvas, area, &text, Role::Text);
    // The newest ones, and room for the keys below.
    let room = usize::from(area.height.saturating_sub(KEYS));
    for token in &turn.pending[turn.pending.len().saturating_sub(room)..] {
        let Some(row) = row(area) else { return };
        let text = format!(" “{}”", one_line(&token.text));
        canvas.put_all(row, &[(&text, Role::Text)]);
        canvas.put_right(row, &probability(token.p_draft), Role::Dim);
    }
}

/// The last round: each token with both probabilities and the verdict.
fn verified(canvas: &mut Canvas<'_>, area: &mut Rect, turn: &Turn, round: &Round) {
    let number = turn.rounds.len() - 1;
    let text = format!(
        "round {number}: {} of {} accepted",
        round.accepted(),
        round.drafted().len()
    );
    put_line(canvas, area, &text, Role::Text);
    let width = area.width.saturating_sub(FIGURES).min(16) + FIGURES;
    let titles = format!("{:>1$}", "draft  verify", usize::from(width));
    put_line(canvas, area, &titles, Role::Dim);
    for slot in 0..round.slots() {
        let (Some(token), Some(row)) = (round.token(slot), row(area)) else {
            return;
        };
        let x = canvas.symbol(row, Role::of(token.outcome.origin()));
        // In a tree, indented by depth.
        let depth = match round.branches() {
            true => token.draft_position.unwrap_or(0).min(MAX_INDENT),
            false => 0,
        };
        let text = format!("{:depth$}“{}”", "", one_line(token.text));
        let text = format!(
            " {}",
            column(&text, row.width.saturating_sub(FIGURES).min(16))
        );
        let percent =
            |p: Option<f32>| p.map_or("     –".into(), |p| format!("{:>4.0} %", p * 100.0));
        let both = format!(" {}  {}", percent(token.p_draft), percent(token.p_verify));
        let rest = Rect {
            x,
            width: row.right().saturating_sub(x),
            ..row
        };
        canvas.put_all(rest, &[(&text, Role::Text), (&both, Role::Dim)]);
    }
}

fn probability(p: Option<f32>) -> String {
    p.map_or_else(|| "–".into(), |p| format!("{:.1} %", p * 100.0))
}
