//! The lens as a heat map: a column for each token of an answer, a row for each layer.

use super::Canvas;
use super::theme::Role;
use super::widgets::{Cells, bar, row, wrap_words};
use super::window::{centered, window};
use crate::app::available::is_available;
use crate::app::input::action::ChatAction;
use crate::app::state::lens_view::{LensView, Measure};
use crate::app::{Lens, Target, Turn};
use crate::engine::decode::{LayerChoice, LensRow};
use crate::plural::counted;
use crate::safe_text::one_line;
use ratatui::layout::Rect;

/// Cells of the layer numbers.
const AXIS: u16 = 4;
/// Max cells of a column.
const MAX_COLUMN: usize = 3;
/// Steps of the shading of probabilities.
const STEPS: f32 = 5.0;

/// What is drawn.
struct Map<'a> {
    lens: &'a Lens,
    exit_layer: usize,
    measure: Measure,
    /// Row of the lens and layer under the cursor.
    cursor: Option<(usize, usize)>,
}

/// ```text
///  30 ██████████████████████████
///  24 ██ ███ ██████ ████ ███████
///   8 ─█──◆──█─◆────█─────◆──█─   the exit layer
///   4  ◆     ◆      ◆        ◆
///      The sky looks [blue] because of …
/// ```
pub fn draw(canvas: &mut Canvas<'_>, body: Rect, view: LensView) {
    let rows_wanted = canvas.state.layers().unwrap_or(0) as u16 + 8;
    let mut inner = window(canvas, centered(body, body.width, rows_wanted), "lens");
    let turn = canvas.state.turn_of(view.turn).map(|(_, turn)| turn);
    let Some((turn, lens)) = turn.and_then(|turn| Some((turn, turn.lens.as_deref()?))) else {
        return note(
            canvas,
            &mut inner,
            "The chat has moved on; close this and open it again.",
            Role::Wrong,
        );
    };
    if let Some(message) = &lens.failed {
        return note(canvas, &mut inner, message, Role::Wrong);
    }
    if !lens.complete() {
        progress(canvas, &mut inner, lens);
    }
    let Some(last) = lens.rows.len().checked_sub(1) else {
        return;
    };
    let at = view.row.min(last);
    let foot_rows = 4.min(inner.height / 2);
    let foot = Rect {
        y: inner.bottom() - foot_rows,
        height: foot_rows,
        ..inner
    };
    inner.height -= foot_rows;
    let map = Map {
        lens,
        exit_layer: exit_layer(canvas, turn),
        measure: view.measure,
        cursor: Some((at, view.layer)),
    };
    map.draw(canvas, inner);
    details(canvas, foot, turn, &map, (at, view.layer));
}

/// The lens of the newest answer in a panel, following its end; false if there is none.
pub fn draw_panel(canvas: &mut Canvas<'_>, area: Rect) -> bool {
    let Some((turn, lens)) = newest(canvas) else {
        return false;
    };
    let inner = canvas.panel(area, "lens", None);
    let map = Map {
        lens,
        exit_layer: exit_layer(canvas, turn),
        measure: Measure::Agreement,
        cursor: None,
    };
    map.draw(canvas, inner);
    true
}

/// In place of the panel: what the lens is, and how to get it.
pub fn draw_hint(canvas: &mut Canvas<'_>, area: Rect) {
    let mut inner = canvas.panel(area, "lens", None);
    let action = ChatAction::Lens;
    let key = canvas.app.key_now(action.clone());
    let how = match key.filter(|_| is_available(canvas.app, &action.into())) {
        Some(key) => format!("{key} shows what every layer would have predicted along the answer"),
        None => "what every layer would have predicted along an answer appears here".into(),
    };
    note(canvas, &mut inner, &how, Role::Dim);
}

/// The newest answer, if it has a lens.
fn newest<'a>(canvas: &Canvas<'a>) -> Option<(&'a Turn, &'a Lens)> {
    let turn = canvas.state.newest_turn()?;
    let lens = turn.lens.as_deref().filter(|lens| !lens.rows.is_empty())?;
    Some((turn, lens))
}

/// The exit layer of the answer's last drafts.
fn exit_layer(canvas: &Canvas<'_>, turn: &Turn) -> usize {
    let settings = turn.rounds.last().map(|round| &round.settings);
    settings.map_or(canvas.state.settings.exit_layer, |settings| {
        settings.exit_layer
    })
}

fn note(canvas: &mut Canvas<'_>, area: &mut Rect, text: &str, role: Role) {
    for line in wrap_words(text, area.width) {
        let Some(row) = row(area) else { return };
        canvas.put_all(row, &[(&line, role)]);
    }
}

fn progress(canvas: &mut Canvas<'_>, area: &mut Rect, lens: &Lens) {
    let Some(row) = row(area) else { return };
    let text = match lens.of {
        0 if canvas.state.run().is_some() => "waiting for the end of the answer".into(),
        0 => "measuring what each part of a round costs on this machine".into(),
        of => format!(
            "evaluating every layer: {} of {}",
            lens.rows.len(),
            counted(of, "token")
        ),
    };
    let parts = [
        (canvas.spinner(), Role::Accent),
        (" ", Role::Dim),
        (text.as_str(), Role::Dim),
    ];
    canvas.put_all(row, &parts);
}

impl Map<'_> {
    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let layers = self.lens.rows.first().map_or(0, |row| row.layers.len());
        if layers == 0 || area.width <= AXIS || area.is_empty() {
            return;
        }
        let room = usize::from(area.width - AXIS);
        let tokens = self.lens.rows.len();
        let column = (room / tokens).clamp(1, MAX_COLUMN);
        let shown = (room / column).min(tokens);
        let first = match self.cursor {
            Some((at, _)) => at.saturating_sub(shown / 2).min(tokens - shown),
            None => tokens - shown,
        };
        let groups = layers.min(usize::from(area.height));
        for (y, group) in (area.top()..area.bottom()).zip((0..groups).rev()) {
            let of = group * layers / groups + 1..=(group + 1) * layers / groups;
            let layer = self.representative(of.clone());
            let is_exit = of.contains(&self.exit_layer);
            let axis = Rect {
                y,
                width: AXIS,
                height: 1,
                ..area
            };
            self.axis(canvas, axis, layer, is_exit);
            for (at, cells) in self.lens.rows[first..first + shown].iter().enumerate() {
                let cell = Rect {
                    x: area.x + AXIS + (at * column) as u16,
                    y,
                    width: column as u16,
                    height: 1,
                };
                self.cell(
                    canvas,
                    cell,
                    first + at,
                    cells,
                    (layer, of.clone(), is_exit),
                );
            }
        }
    }

    /// The layer that a row of several layers shows: the cursor's, the exit layer, or the deepest.
    fn representative(&self, of: std::ops::RangeInclusive<usize>) -> usize {
        let cursor = self.cursor.map(|(_, layer)| layer);
        let wanted = [cursor, Some(self.exit_layer)];
        let found = wanted
            .into_iter()
            .flatten()
            .find(|layer| of.contains(layer));
        found.unwrap_or(*of.end())
    }

    fn axis(&self, canvas: &mut Canvas<'_>, area: Rect, layer: usize, is_exit: bool) {
        let here = self.cursor.is_some_and(|(_, cursor)| cursor == layer);
        let role = match (here, is_exit) {
            (true, _) => Role::Title,
            (_, true) => Role::Accent,
            _ => Role::Dim,
        };
        let pointer = if is_exit {
            canvas.theme.symbols.pointer
        } else {
            " "
        };
        canvas.put_all(
            area,
            &[(pointer, Role::Accent), (&format!("{layer:>2} "), role)],
        );
    }

    fn cell(
        &self,
        canvas: &mut Canvas<'_>,
        area: Rect,
        at: usize,
        row: &LensRow,
        (layer, of, is_exit): (usize, std::ops::RangeInclusive<usize>, bool),
    ) {
        let Some(choice) = row.layers.get(layer - 1) else {
            return;
        };
        let agrees = choice.id == row.id;
        let contour = row
            .earliest()
            .is_some_and(|earliest| of.contains(&earliest));
        let symbols = canvas.theme.symbols;
        let (symbol, role) = match self.measure {
            Measure::Agreement if contour => (symbols.contour, Role::Title),
            Measure::Agreement if agrees => (symbols.filled_cell, Role::Accepted),
            Measure::Agreement if is_exit => (symbols.rest, Role::Accent),
            Measure::Agreement => (" ", Role::Dim),
            Measure::Probability => {
                let step = (choice.p * STEPS).min(STEPS - 1.0) as u8;
                let role = if is_exit && !agrees {
                    Role::Accent
                } else {
                    Role::Heat(step)
                };
                (bar(&canvas.theme, f64::from(choice.p)), role)
            }
        };
        let fill = if contour { " " } else { symbol };
        let style = canvas.theme.style(role);
        for x in area.left()..area.right() {
            let symbol = if x == area.left() { symbol } else { fill };
            canvas.put(x, area.y, symbol, 1, style);
        }
        if self.cursor == Some((at, layer)) {
            canvas.select(area);
        }
        canvas.target(area, Target::LensCell { row: at, layer });
    }
}

/// The text around the token, and the prediction of the layer under the cursor.
fn details(
    canvas: &mut Canvas<'_>,
    mut area: Rect,
    turn: &Turn,
    map: &Map<'_>,
    (at, layer): (usize, usize),
) {
    let Some(cells) = map.lens.rows.get(at) else {
        return;
    };
    if let Some(row) = row(&mut area) {
        text_around(canvas, row, turn, map.lens, at);
    }
    if let (Some(row), Some(choice)) = (row(&mut area), cells.layers.get(layer - 1)) {
        let text = token_text(turn, map.lens, at).unwrap_or_default();
        chosen(canvas, row, choice, map, (choice.id == cells.id, &text));
    }
    if let Some(row) = row(&mut area) {
        let earliest = cells.earliest().map_or("no layer agrees".into(), |layer| {
            format!("layer {layer} is the first to agree")
        });
        let agreed = map.lens.rows.iter().filter(|row| row.agrees(layer)).count();
        let share = format!(
            "{earliest}; layer {layer} agrees on {agreed} of {} ({:.0} %)",
            counted(map.lens.rows.len(), "token"),
            100.0 * agreed as f64 / map.lens.rows.len() as f64
        );
        canvas.put_all(row, &[(&share, Role::Dim)]);
    }
    if let Some(row) = row(&mut area) {
        legend(canvas, row, map.measure);
    }
}

/// The text of the token in row `at` of the lens.
fn token_text(turn: &Turn, lens: &Lens, at: usize) -> Option<String> {
    let position = lens.rows.get(at)?.position;
    let token = turn.token_at(0, position)?;
    let token = turn.rounds.get(token.round)?.token(token.slot)?;
    Some(one_line(token.text).into_owned())
}

/// `… The sky looks blue because …`, the token in the middle marked.
fn text_around(canvas: &mut Canvas<'_>, row: Rect, turn: &Turn, lens: &Lens, at: usize) {
    let text = |at: usize| token_text(turn, lens, at);
    let here = text(at).unwrap_or_default();
    let half = row.width.saturating_sub(here.as_str().cells()) / 2;
    let (mut before, mut first) = (String::new(), at);
    while let Some(earlier) = first.checked_sub(1) {
        let piece = text(earlier).unwrap_or_default();
        if before.as_str().cells() + piece.as_str().cells() > half {
            break;
        }
        before.insert_str(0, &piece);
        first = earlier;
    }
    let mut after = String::new();
    for later in at + 1..lens.rows.len() {
        let piece = text(later).unwrap_or_default();
        if after.as_str().cells() + piece.as_str().cells() > half {
            break;
        }
        after.push_str(&piece);
    }
    let x = canvas.put_all(row, &[(&before, Role::Dim)]);
    let end = canvas.put(
        x,
        row.y,
        &here,
        row.right().saturating_sub(x),
        canvas.theme.style(Role::Title),
    );
    canvas.select(Rect {
        x,
        width: end - x,
        ..row
    });
    let rest = Rect {
        x: end,
        width: row.right().saturating_sub(end),
        ..row
    };
    canvas.put_all(rest, &[(&after, Role::Dim)]);
}

/// `layer 8 (exit) predicts “ blue” 62.1 %; the text has “ azure”`
fn chosen(
    canvas: &mut Canvas<'_>,
    row: Rect,
    choice: &LayerChoice,
    map: &Map<'_>,
    (agrees, text): (bool, &str),
) {
    let exit = match choice.layer == map.exit_layer {
        true => " (exit)",
        false => "",
    };
    let label = format!("layer {}{exit} predicts ", choice.layer);
    let choice_text = format!("“{}”", one_line(&choice.text));
    let p = format!(" {:.1} %", choice.p * 100.0);
    let verdict = match agrees {
        true => "; it agrees with the text".to_owned(),
        false if text.is_empty() => "; the text ends here".to_owned(),
        false => format!("; the text has “{text}”"),
    };
    let role = if agrees { Role::Agree } else { Role::Rejected };
    let parts = [
        (label.as_str(), Role::Dim),
        (&choice_text, role),
        (&p, Role::Text),
        (&verdict, Role::Dim),
    ];
    canvas.put_all(row, &parts);
}

fn legend(canvas: &mut Canvas<'_>, row: Rect, measure: Measure) {
    let symbols = canvas.theme.symbols;
    match measure {
        Measure::Agreement => canvas.put_all(
            row,
            &[
                (symbols.filled_cell, Role::Accepted),
                (" agrees with the text   ", Role::Dim),
                (symbols.contour, Role::Title),
                (" first layer to agree   ", Role::Dim),
                (symbols.rest, Role::Accent),
                (" exit layer", Role::Dim),
            ],
        ),
        Measure::Probability => canvas.put_all(
            row,
            &[
                (symbols.bars[0], Role::Heat(0)),
                (symbols.bars[4], Role::Heat(2)),
                (symbols.bars[7], Role::Heat(4)),
                (" probability of the layer's own choice", Role::Dim),
            ],
        ),
    };
}
