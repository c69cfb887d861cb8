//! The token under the cursor: origin, probabilities, alternatives, and what every layer would have said.

use super::Canvas;
use super::theme::Role;
use super::widgets::{fold, row};
use crate::app::keymap::Context;
use crate::app::turn::{TokenView, token};
use crate::app::{Action, Pane, Target, TokenRef};
use crate::engine::decode::{Candidate, LayerChoice, LensRow, Round, StopReason};
use crate::engine::sampling::Coupling;
use crate::transcript::text::one_line;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

/// Cells of a label.
const LABEL: u16 = 12;

pub fn draw(canvas: &mut Canvas<'_>, area: Rect) {
    let title = if canvas.state.view.cursor.is_none() && canvas.state.settings.detail {
        "newest token"
    } else {
        "token"
    };
    let mut inner = canvas.panel(area, title, None);
    canvas.target(area, Target::Inspector);
    if inner.is_empty() {
        return;
    }
    let chosen = canvas.state.inspected().and_then(|at| find(canvas, at));
    match chosen {
        Some((at, round, token)) => {
            facts(canvas, &mut inner, at, round, &token);
            let exit = round.settings.exit_layer;
            let asked = asked(canvas, at).map(|row| row.layers.as_slice());
            match (token.detail, asked) {
                (Some(detail), asked) => {
                    let recorded =
                        Some(detail.layers.as_slice()).filter(|layers| !layers.is_empty());
                    let all = recorded.or(asked).unwrap_or_default();
                    strip(canvas, &mut inner, token.id, all, exit);
                    top(
                        canvas,
                        &mut inner,
                        "verifier",
                        &detail.verify_top,
                        detail.verify_entropy,
                        token.id,
                    );
                    top(
                        canvas,
                        &mut inner,
                        "draft",
                        &detail.draft_top,
                        detail.draft_entropy,
                        token.id,
                    );
                    layers(canvas, &mut inner, token.id, all, exit);
                }
                (None, Some(all)) => {
                    strip(canvas, &mut inner, token.id, all, exit);
                    layers(canvas, &mut inner, token.id, all, exit);
                }
                (None, None) => no_detail(canvas, &mut inner),
            }
        }
        None => {
            let next = canvas.state.key_name(Context::Global, &Action::FocusNext);
            let how = format!("choose a token: a click, or {next} to the chat, then ← →");
            for line in fold(&how, inner.width) {
                let Some(row) = row(&mut inner) else { return };
                canvas.put_all(row, &[(&line, Role::Dim)]);
            }
        }
    }
}

fn find<'a>(canvas: &Canvas<'a>, at: TokenRef) -> Option<(TokenRef, &'a Round, TokenView<'a>)> {
    let state: &'a crate::app::State = canvas.state;
    let round = state.turns.get(at.turn)?.rounds.get(at.round)?;
    Some((at, round, token(round, at.slot)?))
}

fn fact(canvas: &mut Canvas<'_>, area: &mut Rect, label: &str, value: &str, role: Role) {
    let Some(row) = row(area) else { return };
    canvas.put(row.x, row.y, label, LABEL, canvas.theme.style(Role::Dim));
    canvas.put(
        row.x + LABEL,
        row.y,
        value,
        row.width.saturating_sub(LABEL),
        canvas.theme.style(role),
    );
}

fn facts(
    canvas: &mut Canvas<'_>,
    area: &mut Rect,
    at: TokenRef,
    round: &Round,
    token: &TokenView<'_>,
) {
    let text = match (token.text, token.draft_position, &round.stop) {
        ("", None, Some(StopReason::Eos | StopReason::StopToken(_))) => {
            format!("end of the answer  id {}", token.id)
        }
        ("", ..) => format!("part of a character  id {}", token.id),
        (text, ..) => format!("“{}”  id {}", one_line(text), token.id),
    };
    fact(canvas, area, "text", &text, Role::Title);
    let role = Role::of(token.origin);
    let origin = role.token().map_or("", |look| look.name);
    fact(canvas, area, "origin", origin, role);
    let place = match token.draft_position {
        Some(position) => format!(
            "{}, draft {} of {}",
            at.round,
            position + 1,
            round.drafted.len()
        ),
        None => format!("{}, ends it", at.round),
    };
    fact(canvas, area, "round", &place, Role::Text);
    fact(
        canvas,
        area,
        "p draft",
        &probability(token.p_draft),
        Role::Text,
    );
    fact(
        canvas,
        area,
        "p verify",
        &probability(token.p_verify),
        Role::Text,
    );
    if let (Some(chance), Some(_)) = (chance(round, token), token.draft_position) {
        fact(canvas, area, "min(1, p/q)", &chance, Role::Text);
    }
}

fn probability(p: Option<f32>) -> String {
    p.map_or("–".into(), |p| format!("{:.1} %", p * 100.0))
}

/// The probability with which rejection sampling accepts a draft (Leviathan et al., algorithm 1).
fn chance(round: &Round, token: &TokenView<'_>) -> Option<String> {
    let (draft, verify) = (token.p_draft?, token.p_verify?);
    let ratio = if draft > 0.0 {
        (verify / draft).min(1.0)
    } else {
        1.0
    };
    let used =
        round.settings.sampling.coupling == Coupling::Rejection && round.settings.sampling.sample;
    Some(format!(
        "{:.1} %{}",
        ratio * 100.0,
        if used { "" } else { " (not used)" }
    ))
}

/// What every layer would have said at the place of a token, where that was asked for afterwards.
fn asked<'a>(canvas: &Canvas<'a>, at: TokenRef) -> Option<&'a LensRow> {
    let state: &'a crate::app::State = canvas.state;
    let turn = state.turns.get(at.turn)?;
    let round = turn.rounds.get(at.round)?;
    // A draft after the first rejected one stands behind words that are not in the text.
    let after = at.slot.min(round.accepted);
    let in_text = at.slot <= round.accepted || at.slot >= round.drafted.len();
    let rows = &turn.lens.as_ref().filter(|_| in_text)?.rows;
    let found = rows.binary_search_by_key(&(round.position + after), |row| row.position);
    found.ok().map(|index| &rows[index])
}

fn no_detail(canvas: &mut Canvas<'_>, area: &mut Rect) {
    let state = canvas.state;
    let text = match state.replay {
        Some(_) => "the journal holds no alternatives here".to_string(),
        None if !state.settings.detail => {
            let record = state.key_name(Pane::Chat, &Action::ToggleDetail);
            let ask = state.key_name(Context::Global, &Action::WhatIf);
            format!(
                "{record} records layers and alternatives while it writes; {ask} asks the layers afterwards"
            )
        }
        None => "layers: from the next round on".to_string(),
    };
    row(area);
    for line in fold(&text, area.width) {
        let Some(row) = row(area) else { return };
        canvas.put_all(row, &[(&line, Role::Dim)]);
    }
}

/// The likeliest tokens of one side with its entropy.
fn top(
    canvas: &mut Canvas<'_>,
    area: &mut Rect,
    side: &str,
    top: &[Candidate],
    entropy: Option<f32>,
    id: u32,
) {
    if top.is_empty() {
        return;
    }
    let entropy = entropy
        .map(|nats| format!("entropy {nats:.2} nats"))
        .unwrap_or_default();
    fact(canvas, area, side, &entropy, Role::Dim);
    for candidate in top {
        let Some(row) = row(area) else { return };
        let chosen = if candidate.id == id {
            canvas.theme.symbols.pointer
        } else {
            " "
        };
        let percent = format!("{:>5.1} % ", candidate.p * 100.0);
        canvas.put_all(
            row,
            &[
                (chosen, Role::Accent),
                (&percent, Role::Dim),
                (&one_line(&candidate.text), Role::Text),
            ],
        );
    }
}

/// A symbol for each layer, the first on the left: whether it would have written this token. The exit layer stands out.
fn strip(canvas: &mut Canvas<'_>, area: &mut Rect, id: u32, layers: &[LayerChoice], exit: usize) {
    if layers.is_empty() {
        return;
    }
    let earliest = layers
        .iter()
        .find(|layer| layer.id == id)
        .map(|layer| layer.layer);
    let name = if area.width < LABEL + 22 {
        ""
    } else {
        "layer "
    };
    let text = earliest.map_or("none agrees".into(), |layer| {
        format!("first agreed: {name}{layer}")
    });
    fact(canvas, area, "layers", &text, Role::Text);
    for part in layers.chunks(usize::from(area.width.max(1))) {
        let Some(row) = row(area) else { return };
        for (x, layer) in (row.x..row.right()).zip(part) {
            let (mark, role) = agreement(canvas, layer.id == id);
            let exits = if layer.layer == exit {
                Modifier::REVERSED
            } else {
                Modifier::empty()
            };
            canvas.put(
                x,
                row.y,
                mark,
                1,
                canvas.theme.style(role).add_modifier(exits),
            );
        }
    }
}

fn agreement(canvas: &Canvas<'_>, agrees: bool) -> (&'static str, Role) {
    match agrees {
        true => (canvas.theme.symbol(Role::Accepted), Role::Accepted),
        false => (canvas.theme.symbol(Role::Rejected), Role::Dim),
    }
}

/// What each layer would have said, as many of the last as there is room for.
fn layers(canvas: &mut Canvas<'_>, area: &mut Rect, id: u32, layers: &[LayerChoice], exit: usize) {
    let skipped = layers.len().saturating_sub(usize::from(area.height));
    for layer in &layers[skipped..] {
        let Some(row) = row(area) else { return };
        let (mark, role) = agreement(canvas, layer.id == id);
        let (pointer, number) = if layer.layer == exit {
            (canvas.theme.symbols.pointer, Role::Title)
        } else {
            (" ", Role::Dim)
        };
        let label = format!("{:>2} ", layer.layer);
        let percent = format!(" {:>5.1} % ", layer.p * 100.0);
        canvas.put_all(
            row,
            &[
                (pointer, Role::Accent),
                (&label, number),
                (mark, role),
                (&percent, Role::Dim),
                (&one_line(&layer.text), role),
            ],
        );
    }
}
