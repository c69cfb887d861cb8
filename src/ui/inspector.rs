//! The token under the cursor: origin, probabilities, alternatives, and what every layer would have predicted.

use super::Canvas;
use super::round_details;
use super::theme::{Role, Theme};
use super::widgets::{Cells, wrap_words};
use super::worst;
use crate::app::input::Context;
use crate::app::input::action::{AppAction, ChatAction, ControlsAction, Pane, ViewAction};
use crate::app::{Action, App, State, Target, TokenRef, Turn, Viewport};
use crate::engine::decode::{Candidate, LayerChoice, LensRow, Round, Settings, StopReason};
use crate::engine::decode::{Origin, RoundToken};
use crate::engine::sampling::Coupling;
use crate::plural::counted;
use crate::safe_text::one_line;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

/// Cells of a label.
const LABEL: u16 = 13;
/// Max cells of indentation of a tree's nodes.
const MAX_INDENT: usize = 8;

/// A line of styled spans.
pub type Line = Vec<(String, Style)>;

/// Label, value, and the role in which the value is drawn.
type Fact = (&'static str, String, Role);

pub fn draw(canvas: &mut Canvas<'_>, area: Rect) {
    let state = canvas.state;
    let by_round = state.focus == Pane::Rounds && state.overlay.is_none();
    let title = match state.view.cursor {
        Some(_) if by_round => "round",
        Some(_) => "token",
        None if state.settings.detail => "newest token",
        None if worst::answer(canvas).is_some() => "worst drafts",
        None => "token",
    };
    let inner = canvas.panel(area, title, None);
    canvas.target(area, Target::Inspector);
    if inner.is_empty() {
        return;
    }
    let mut links = Vec::new();
    let round = state.view.cursor.filter(|_| by_round);
    let round = round.and_then(|at| Some((state.turns.get(at.turn)?, at)));
    let subject = state.inspected().and_then(|at| Subject::at(canvas, at));
    let lines = match (round, subject) {
        (Some((turn, at)), _) => round_details::lines(canvas, turn, at, inner.width),
        (None, Some(subject)) => subject.lines(inner.width),
        (None, None) => {
            let mut lines = how_to_choose(canvas, inner.width);
            if let Some((index, turn)) = worst::answer(canvas) {
                worst::list(canvas, (index, turn), inner.width, &mut lines, &mut links);
            }
            lines
        }
    };
    let mut shown = Viewport {
        first: canvas.state.view.details,
        height: usize::from(inner.height),
        total: lines.len(),
    };
    shown.first = shown.scrolled(0);
    for (line, y) in lines
        .iter()
        .skip(shown.first)
        .zip(inner.top()..inner.bottom())
    {
        let link = links
            .iter()
            .find(|(row, _)| row.checked_sub(shown.first) == Some(usize::from(y - inner.y)));
        if let Some((_, token)) = link {
            let row = Rect {
                y,
                height: 1,
                ..inner
            };
            canvas.target(row, Target::Token(*token));
        }
        draw_line(canvas, Rect { y, ..inner }, line);
    }
    canvas.scrollbar(area, shown);
    canvas.regions.details = shown;
}

/// Writes the first row of `row`, with an ellipsis if the line does not fit.
fn draw_line(canvas: &mut Canvas<'_>, row: Rect, line: &Line) {
    let mut x = row.x;
    for (text, style) in line {
        let room = row.right().saturating_sub(x);
        x = canvas.put(x, row.y, text, room, *style);
        if text.as_str().cells() > room && row.width > 0 {
            canvas.put(row.right() - 1, row.y, "…", 1, *style);
            return;
        }
    }
}

fn how_to_choose(canvas: &Canvas<'_>, width: u16) -> Vec<Line> {
    let next = canvas.app.key_name(Context::Global, AppAction::FocusNext);
    let mut how = format!("choose a token: a click, or {next} to the chat, then ← →");
    if worst::answer(canvas).is_some() {
        let worst = canvas.app.key_name(Context::Chat, ViewAction::NextWorst);
        how += &format!(", or {worst} for these");
    }
    dim(&canvas.theme, &how, width)
}

fn dim(theme: &Theme, text: &str, width: u16) -> Vec<Line> {
    let style = theme.style(Role::Dim);
    wrap_words(text, width)
        .into_iter()
        .map(|line| vec![(line, style)])
        .collect()
}

/// The inspected token.
struct Subject<'a> {
    app: &'a App,
    state: &'a State,
    theme: Theme,
    at: TokenRef,
    turn: &'a Turn,
    round: &'a Round,
    token: RoundToken<'a>,
}

impl<'a> Subject<'a> {
    fn at(canvas: &Canvas<'a>, at: TokenRef) -> Option<Self> {
        let (state, theme) = (canvas.state, canvas.theme);
        let turn = state.turns.get(at.turn)?;
        let round = turn.rounds.get(at.round)?;
        Some(Self {
            app: canvas.app,
            state,
            theme,
            at,
            turn,
            round,
            token: round.token(at.slot)?,
        })
    }

    /// All lines, the exit layer's choice before the long lists.
    fn lines(&self, width: u16) -> Vec<Line> {
        let mut lines = self.facts(width);
        let layers = self.layers();
        lines.extend(self.strip(layers, width));
        let exit = self.round.settings.exit_layer;
        let own = layers.iter().filter(|layer| layer.layer == exit);
        lines.extend(own.map(|layer| self.layer(layer)));
        if let Some(detail) = self.token.detail {
            lines.extend(self.top("verifier", &detail.verify_top, detail.verify_entropy));
            lines.extend(self.top("draft", &detail.draft_top, detail.draft_entropy));
        }
        lines.extend(self.tree());
        if layers.is_empty() {
            lines.push(Line::new());
            lines.extend(dim(&self.theme, &self.why_no_layers(), width));
        } else {
            lines.push(self.fact("all layers", "", Role::Dim));
            lines.extend(layers.iter().map(|layer| self.layer(layer)));
        }
        lines
    }

    fn fact(&self, label: &str, value: &str, role: Role) -> Line {
        let label = format!("{label:<0$}", usize::from(LABEL));
        vec![
            (label, self.theme.style(Role::Dim)),
            (value.into(), self.theme.style(role)),
        ]
    }

    fn facts(&self, width: u16) -> Vec<Line> {
        let token = &self.token;
        let role = Role::of(token.outcome.origin());
        let origin = role.token().map_or("", |look| look.name);
        let place = match token.draft_position {
            Some(position) if self.round.branches() => format!(
                "{}, node {} at depth {}, rank {}",
                self.at.round,
                token.slot + 1,
                position + 1,
                token.rank + 1
            ),
            Some(position) => format!(
                "{}, draft {} of {}",
                self.at.round,
                position + 1,
                self.round.drafted().len()
            ),
            None => format!("{}, closing token", self.at.round),
        };
        let (q, p) = (probability(token.p_draft), probability(token.p_verify));
        let mut facts = vec![
            ("text", self.text(), Role::Title),
            ("origin", origin.to_owned(), role),
        ];
        let drafted_by = token.proposer.map(|by| by.name().to_owned());
        facts.extend(drafted_by.map(|by| ("drafted by", by, Role::Text)));
        facts.extend([
            ("round", place, Role::Text),
            ("q draft", q, Role::Text),
            ("p verify", p, Role::Text),
        ]);
        facts.extend(self.instead());
        let chance = chance(self.round, token).filter(|_| token.draft_position.is_some());
        facts.extend(chance.map(|chance| ("min(1, p/q)", chance, Role::Text)));
        let lines = facts.iter();
        lines
            .flat_map(|(label, value, role)| self.wrapped(label, value, *role, width))
            .collect()
    }

    /// A fact whose value may take several lines.
    fn wrapped(&self, label: &str, value: &str, role: Role, width: u16) -> Vec<Line> {
        let parts = wrap_words(value, width.saturating_sub(LABEL))
            .into_iter()
            .enumerate();
        parts
            .map(|(at, part)| self.fact(if at == 0 { label } else { "" }, &part, role))
            .collect()
    }

    /// For a correction: the draft's token, both its probabilities, and its chance of acceptance.
    fn instead(&self) -> Vec<Fact> {
        let corrected = self.token.outcome.origin() == Some(Origin::Corrected);
        let Some(draft) = self.round.first_rejected().filter(|_| corrected) else {
            return Vec::new();
        };
        let text = format!("“{}”  id {}", one_line(draft.text), draft.id);
        let (q, p) = (probability(draft.p_draft), probability(draft.p_verify));
        let chance = chance(self.round, &draft).map(|chance| ("  chance", chance, Role::Text));
        let chosen = ("draft chose", text, Role::Rejected);
        let both = ("  q, p", format!("{q}, {p}"), Role::Text);
        [chosen, both].into_iter().chain(chance).collect()
    }

    /// Its text, or the reason why it has none.
    fn text(&self) -> String {
        let id = self.token.id;
        match self.token.text {
            "" if self.ends_answer() => format!("end of the answer  id {id}"),
            "" => format!("no text  id {id}"),
            text => format!("“{}”  id {id}", one_line(text)),
        }
    }

    /// Whether the answer ended with this token, drafted or not.
    fn ends_answer(&self) -> bool {
        let ended = matches!(
            self.round.stop,
            Some(StopReason::Eos | StopReason::StopToken(_))
        );
        let kept = self.round.is_kept(self.token.slot);
        let behind = match self.token.draft_position {
            Some(position) => self.round.len().saturating_sub(position + 1),
            None => 0,
        };
        ended && kept && behind == 0
    }

    /// What every layer would have predicted in its place, recorded or requested afterwards.
    fn layers(&self) -> &'a [LayerChoice] {
        let recorded = self.token.detail.map(|detail| detail.layers.as_slice());
        match recorded.filter(|layers| !layers.is_empty()) {
            Some(layers) => layers,
            None => self.asked().map_or(&[], |row| row.layers.as_slice()),
        }
    }

    fn asked(&self) -> Option<&'a LensRow> {
        let rows = &self
            .turn
            .lens
            .as_ref()
            .filter(|_| self.follows_text())?
            .rows;
        // The first rejected draft has the position of the token that replaced it.
        let place = match self.token.draft_position {
            Some(position) => position,
            None => self.round.len().checked_sub(1)?,
        };
        let position = self.round.position + place;
        let found = rows.binary_search_by_key(&position, |row| row.position);
        found.ok().map(|index| &rows[index])
    }

    /// Whether it is part of the text or the text has another token in its place. A draft after a rejected one follows
    /// discarded text, so no layer is evaluated there.
    fn follows_text(&self) -> bool {
        self.token.draft_position.is_none() || self.round.instead_of(self.token.slot).is_some()
    }

    fn why_no_layers(&self) -> String {
        let state = self.state;
        let key = |pane: Context, action: Action| self.app.key_name(pane, action);
        let is_last = self.at.turn + 1 == state.turns.len();
        let askable = is_last && state.lens_turn().is_some();
        let asked = self.turn.lens.as_deref().filter(|lens| !lens.complete());
        match asked {
            _ if !self.follows_text() => {
                "a draft before this one was rejected, so no layer is evaluated here".into()
            }
            _ if !state.live => "the journal has no alternatives here".into(),
            _ if state.is_read_only() => {
                "the layers of a watched answer are not reported, unless its client records them"
                    .into()
            }
            Some(lens) if lens.failed.is_none() => {
                format!(
                    "evaluating every layer: {} so far",
                    counted(lens.rows.len(), "token")
                )
            }
            _ if is_last && state.run().is_some() && state.settings.detail => {
                "its layers follow once the answer is finished".into()
            }
            _ if askable && !state.settings.detail => format!(
                "{} records layers and alternatives during decoding; {} runs the layers afterwards",
                key(Context::Chat, ControlsAction::ToggleDetail.into()),
                key(Context::Global, ChatAction::WhatIf.into())
            ),
            _ if askable => format!(
                "{} runs the layers",
                key(Context::Global, ChatAction::WhatIf.into())
            ),
            _ => "its layers were not recorded, and they can be computed only for the last answer"
                .into(),
        }
    }

    /// The most likely tokens of one side, and its entropy.
    fn top(&self, side: &str, top: &[Candidate], entropy: Option<f32>) -> Vec<Line> {
        if top.is_empty() {
            return Vec::new();
        }
        let entropy = entropy
            .map(|nats| format!("entropy {nats:.2} nats"))
            .unwrap_or_default();
        let candidate = |candidate: &Candidate| {
            let chosen = if candidate.id == self.token.id {
                self.theme.symbols.pointer
            } else {
                " "
            };
            self.line(&[
                (chosen, Role::Accent),
                (&format!("{:>5.1} % ", candidate.p * 100.0), Role::Dim),
                (&one_line(&candidate.text), Role::Text),
            ])
        };
        [self.fact(side, &entropy, Role::Dim)]
            .into_iter()
            .chain(top.iter().map(candidate))
            .collect()
    }

    /// The nodes of a tree: indented by depth, with their ranks, accepted ones marked.
    fn tree(&self) -> Vec<Line> {
        if !self.round.branches() {
            return Vec::new();
        }
        let nodes = self.round.drafted().len();
        let count = format!(
            "{} of {} accepted",
            self.round.accepted(),
            counted(nodes, "node")
        );
        let mut lines = vec![self.fact("tree", &count, Role::Text)];
        let mut order = Vec::new();
        depth_first(self.round, None, &mut order);
        for node in order {
            let Some(token) = self.round.token(node) else {
                continue;
            };
            let role = Role::of(token.outcome.origin());
            let pointer = match node == self.token.slot {
                true => self.theme.symbols.pointer,
                false => " ",
            };
            let indent = " ".repeat(self.round.depth(node).min(MAX_INDENT));
            lines.push(self.line(&[
                (pointer, Role::Accent),
                (&indent, Role::Dim),
                (self.theme.symbol(role), role),
                (&format!(" {} ", token.rank + 1), Role::Dim),
                (&format!("“{}”", one_line(token.text)), role),
            ]));
        }
        lines
    }

    fn line(&self, parts: &[(&str, Role)]) -> Line {
        parts
            .iter()
            .map(|(text, role)| ((*text).to_owned(), self.theme.style(*role)))
            .collect()
    }

    /// A symbol for each layer, the first on the left: whether it would have chosen this token. The exit layer is
    /// highlighted.
    fn strip(&self, layers: &[LayerChoice], width: u16) -> Vec<Line> {
        if layers.is_empty() {
            return Vec::new();
        }
        let earliest = layers.iter().find(|layer| self.agrees(layer));
        let name = if width < LABEL + 22 { "" } else { "layer " };
        let text = earliest.map_or("none agrees".into(), |layer| {
            format!("first agreed: {name}{}", layer.layer)
        });
        let symbol = |layer: &LayerChoice| {
            let (mark, role) = self.agreement(layer);
            let exits = if layer.layer == self.round.settings.exit_layer {
                Modifier::REVERSED
            } else {
                Modifier::empty()
            };
            (mark.to_owned(), self.theme.style(role).add_modifier(exits))
        };
        let rows = layers
            .chunks(usize::from(width.max(1)))
            .map(|part| part.iter().map(symbol).collect());
        [self.fact("layers", &text, Role::Text)]
            .into_iter()
            .chain(rows)
            .collect()
    }

    fn agrees(&self, layer: &LayerChoice) -> bool {
        layer.id == self.token.id
    }

    fn agreement(&self, layer: &LayerChoice) -> (&'static str, Role) {
        match self.agrees(layer) {
            true => (self.theme.symbol(Role::Accepted), Role::Agree),
            false => (self.theme.symbol(Role::Rejected), Role::Dim),
        }
    }

    /// The choice of a layer; the exit layer is marked.
    fn layer(&self, layer: &LayerChoice) -> Line {
        let (mark, role) = self.agreement(layer);
        let (pointer, number) = if layer.layer == self.round.settings.exit_layer {
            (self.theme.symbols.pointer, Role::Title)
        } else {
            (" ", Role::Dim)
        };
        self.line(&[
            (pointer, Role::Accent),
            (&format!("{:>2} ", layer.layer), number),
            (mark, role),
            (&format!(" {:>5.1} % ", layer.p * 100.0), Role::Dim),
            (&one_line(&layer.text), role),
        ])
    }
}

/// Appends nodes below `parent` in depth-first order, siblings by rank. Bounded, since a round from a file may have any
/// number of nodes.
fn depth_first(round: &Round, parent: Option<usize>, order: &mut Vec<usize>) {
    let nodes = 0..round.drafted().len().min(Settings::MAX_TREE);
    let mut children: Vec<usize> = nodes.filter(|&node| round.parent(node) == parent).collect();
    children.sort_by_key(|&node| round.drafted()[node].rank);
    for node in children {
        order.push(node);
        depth_first(round, Some(node), order);
    }
}

fn probability(p: Option<f32>) -> String {
    p.map_or("–".into(), |p| format!("{:.1} %", p * 100.0))
}

/// The probability with which rejection sampling accepts a draft (Leviathan et al., algorithm 1).
fn chance(round: &Round, token: &RoundToken<'_>) -> Option<String> {
    let (draft, verify) = (token.p_draft?, token.p_verify?);
    let ratio = if draft > 0.0 {
        (verify / draft).min(1.0)
    } else {
        1.0
    };
    let sampling = &round.settings.sampling;
    let used = sampling.coupling == Coupling::Rejection && sampling.sample;
    let used = if used { "" } else { ", not used" };
    Some(format!("{:.1} %{used}", ratio * 100.0))
}
