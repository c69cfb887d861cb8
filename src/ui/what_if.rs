//! Acceptance of every exit layer and predicted speed of every pair of exit layer and speculations, as a map.

use super::Canvas;
use super::theme::Role;
use super::widgets::{Cells, bar, row, wrap_words};
use super::window::{centered, window};
use crate::app::state::what_if::{Forecasts, MAX_SPECULATIONS};
use crate::app::{Lens, State, Target, Turn, WhatIf};
use crate::engine::decode::{CostModel, Forecast};
use crate::plural::counted;
use ratatui::layout::Rect;

/// Cells of one pair: mark, shade, three digits.
const CELL: u16 = 5;
/// Cells of a row besides bar and pairs: exit layer, percentage, gaps.
const LABELS: u16 = 10;

/// The map and its cursor.
struct Map<'a> {
    forecasts: Forecasts,
    costs: &'a CostModel,
    /// Exit layer and speculations under the cursor.
    cursor: (usize, usize),
    /// Exit layer and speculations of the fastest pair, and of the settings if drafts have them.
    best: (usize, usize),
    present: Option<(usize, usize)>,
    /// Slowest and fastest speed.
    speeds: (f64, f64),
    /// Tokens per second of plain decoding.
    plain: f64,
}

/// ```text
///   here: E 8   K 4    74 % accepted    131 tok/s   1.54× of plain
/// * best: E 6   K 5    70 % accepted    140 tok/s   1.64× of plain
///
///  E  accepted        1    2    3  …  K
///  2  ▃▃          21%  ▁ 61 ▁ 64
///  8  ▆▆▆▆▆▆▆     74%  ▆128●▇131 …
/// ```
pub fn draw(canvas: &mut Canvas<'_>, body: Rect, cursor: WhatIf) {
    let state = canvas.state;
    let mut inner = window(
        canvas,
        centered(body, 104, state.layers().unwrap_or(0) as u16 + 9),
        "what if",
    );
    let turn = state
        .lens_turn()
        .filter(|turn| turn.run == Some(cursor.run));
    let Some((turn, lens)) = turn.and_then(|turn| Some((turn, turn.lens.as_deref()?))) else {
        return lines(
            canvas,
            &mut inner,
            "The chat has moved on; close this and open it again.",
            Role::Wrong,
        );
    };
    if let Some(message) = &lens.failed {
        return lines(canvas, &mut inner, message, Role::Wrong);
    }
    let notes = left_out(state).into_iter().chain([note(turn)]);
    let notes: Vec<String> = notes
        .flat_map(|text| wrap_words(&text, inner.width))
        .collect();
    let below = (notes.len() as u16 + 1).min(inner.height.saturating_sub(6));
    let foot = Rect {
        y: inner.bottom() - below,
        height: below,
        ..inner
    };
    inner.height -= below;
    let pair = (cursor.exit_layer, cursor.num_speculations);
    match map(canvas, turn, lens, pair) {
        Some(map) => {
            head(canvas, &mut inner, &map);
            progress(canvas, &mut inner, lens, Some(&map));
            chart(canvas, inner, &map);
        }
        None => progress(canvas, &mut inner, lens, None),
    }
    footnotes(canvas, foot, &notes);
}

/// The map of the newest answer in a panel, with the cursor at the current settings.
pub fn draw_panel(canvas: &mut Canvas<'_>, area: Rect) {
    let inner = canvas.panel(area, "what if", None);
    let state = canvas.state;
    let cursor = (
        state.settings.exit_layer,
        state.settings.num_speculations.min(MAX_SPECULATIONS),
    );
    let turn = state.newest_turn();
    let lens = turn.and_then(|turn| Some((turn, turn.lens.as_deref()?)));
    if let Some(map) = lens.and_then(|(turn, lens)| map(canvas, turn, lens, cursor)) {
        chart(canvas, inner, &map);
    }
}

fn map<'a>(
    canvas: &Canvas<'a>,
    turn: &Turn,
    lens: &'a Lens,
    cursor: (usize, usize),
) -> Option<Map<'a>> {
    let forecasts = canvas.state.forecasts(turn);
    let best = forecasts.best()?;
    let best = (best.exit_layer, best.num_speculations, best.speed);
    Some(Map {
        speeds: (forecasts.slowest(), best.2),
        forecasts,
        costs: &lens.costs,
        cursor,
        best: (best.0, best.1),
        present: canvas.state.pair_in_force(),
        plain: 1.0 / lens.costs.step(),
    })
}

fn lines(canvas: &mut Canvas<'_>, area: &mut Rect, text: &str, role: Role) {
    for line in wrap_words(text, area.width) {
        let Some(row) = row(area) else { return };
        canvas.put_all(row, &[(&line, role)]);
    }
}

/// The pair under the cursor and the fastest one.
fn head(canvas: &mut Canvas<'_>, area: &mut Rect, map: &Map<'_>) {
    let chosen = map.cursor;
    for (label, (exit, speculations)) in [("  here: ", chosen), ("* best: ", map.best)] {
        let (Some(forecast), Some(row)) = (map.forecasts.at(exit, speculations), row(area)) else {
            continue;
        };
        let figures = Figures {
            acceptance_rate: forecast.acceptance_rate(),
            tokens_per_second: forecast.speed,
            times: Some(forecast.speed / map.plain),
            error: forecast.error(),
        };
        pair_line(canvas, row, label, (exit, speculations), &figures);
    }
}

/// The figures of a pair.
pub struct Figures {
    pub acceptance_rate: Option<f64>,
    pub tokens_per_second: f64,
    /// Speed ÷ that of plain decoding.
    pub times: Option<f64>,
    /// Relative standard error of the speed, if it is a prediction.
    pub error: Option<f64>,
}

/// `here: E 8   K 4    74 % accepted    131 tok/s   1.54× of plain`
pub fn pair_line(
    canvas: &mut Canvas<'_>,
    row: Rect,
    label: &str,
    (exit, speculations): (usize, usize),
    figures: &Figures,
) {
    let pair = format!("E {exit:<2}  K {speculations:<2}");
    let rate = figures
        .acceptance_rate
        .map_or("–  ".into(), |rate| format!("{:.0} %", rate * 100.0));
    let rate = format!("  {rate:>5} accepted");
    let speed = format!("   {:>4.0} tok/s", figures.tokens_per_second);
    let times = figures.times.map_or_else(String::new, |times| {
        let error = figures
            .error
            .map(|error| format!(" ± {:.2}", times * error));
        let symbol = canvas.theme.symbols.times;
        format!("   {times:.2}{symbol} plain{}", error.unwrap_or_default())
    });
    let parts = [
        (label, Role::Dim),
        (&pair, Role::Title),
        (&rate, Role::Text),
        (&speed, Role::Title),
        (&times, Role::Dim),
    ];
    canvas.put_all(row, &parts);
}

/// Progress of the lens.
fn progress(canvas: &mut Canvas<'_>, area: &mut Rect, lens: &Lens, map: Option<&Map<'_>>) {
    let Some(row) = row(area) else { return };
    if let Some(map) = map.filter(|_| lens.complete()) {
        let times = canvas.theme.symbols.times;
        let plain = format!(
            "  plain:                   {:>4.0} tok/s   1.00{times}",
            map.plain
        );
        let of = match map.forecasts.answers {
            1 => String::new(),
            answers => format!(" of {answers} answers"),
        };
        let verdict = match map.speeds.1 < map.plain {
            true => ", faster than every pair",
            false => "",
        };
        let tokens = format!("   over {}{of}", counted(map.forecasts.tokens(), "token"));
        let used = [&plain, verdict, &tokens].map(|text| text.cells());
        let tokens = match used.iter().sum::<u16>() <= row.width {
            true => tokens,
            false => String::new(),
        };
        let parts = [
            (plain.as_str(), Role::Text),
            (verdict, Role::Wrong),
            (&tokens, Role::Dim),
        ];
        canvas.put_all(row, &parts);
        return;
    }
    let text = match lens.of {
        0 if canvas.state.run().is_some() => "waiting for the end of the answer".into(),
        0 => "measuring what each part of a round costs on this machine".into(),
        of => format!(
            "evaluating every layer: {} of {}",
            lens.rows.len(),
            counted(of, "token")
        ),
    };
    canvas.put_all(
        row,
        &[
            (canvas.spinner(), Role::Accent),
            (" ", Role::Dim),
            (&text, Role::Dim),
        ],
    );
}

fn chart(canvas: &mut Canvas<'_>, mut area: Rect, map: &Map<'_>) {
    let room = area.width.saturating_sub(LABELS);
    let columns = usize::from(room.saturating_sub(4) / CELL).clamp(1, MAX_SPECULATIONS);
    let bars = room.saturating_sub(columns as u16 * CELL).min(28);
    let first = map.cursor.1.saturating_sub(columns) + 1;
    let columns = first..first + columns;
    let Some(titles) = row(&mut area) else { return };
    canvas.put(
        titles.x,
        titles.y,
        if bars < 5 { " E" } else { " E accepted" },
        bars + 6,
        canvas.theme.style(Role::Dim),
    );
    for (speculations, x) in columns
        .clone()
        .zip((titles.x + LABELS + bars..).step_by(usize::from(CELL)))
    {
        let role = if speculations == map.cursor.1 {
            Role::Title
        } else {
            Role::Dim
        };
        canvas.put(
            x,
            titles.y,
            &format!("{:>5}", format!("K{speculations}")),
            CELL,
            canvas.theme.style(role),
        );
    }
    for exit in sampled(map, usize::from(area.height)) {
        let Some(row) = row(&mut area) else { return };
        acceptance(canvas, row, bars, exit, map);
        let mut x = row.x + LABELS + bars;
        for speculations in columns.clone() {
            let cell = Rect {
                x,
                width: CELL.min(row.right().saturating_sub(x)),
                ..row
            };
            if let Some(forecast) = map.forecasts.at(exit, speculations) {
                pair(canvas, cell, forecast, map);
            }
            x += CELL;
        }
    }
}

/// Exit layers that fit into `rows`, spread evenly. Includes the cursor's, the fastest and the current one.
fn sampled(map: &Map<'_>, rows: usize) -> Vec<usize> {
    let all: Vec<usize> = (1..map.costs.layers).collect();
    if all.len() <= rows {
        return all;
    }
    let mut kept: Vec<usize> = (0..rows)
        .map(|at| all[at * all.len() / rows.max(1)])
        .collect();
    let mut taken = Vec::new();
    let present = map.present.map(|(exit, _)| exit);
    for wanted in [map.cursor.0, map.best.0].into_iter().chain(present) {
        let free = kept
            .iter()
            .enumerate()
            .filter(|(_, exit)| !taken.contains(*exit));
        let nearest = free
            .min_by_key(|(_, exit)| exit.abs_diff(wanted))
            .map(|(at, _)| at);
        if let Some(at) = nearest.filter(|_| all.contains(&wanted) && !taken.contains(&wanted)) {
            kept[at] = wanted;
            taken.push(wanted);
        }
    }
    kept.sort_unstable();
    kept.dedup();
    kept
}

/// An exit layer, and its acceptance rate with the cursor's speculations as a bar and a number.
fn acceptance(canvas: &mut Canvas<'_>, row: Rect, bars: u16, exit: usize, map: &Map<'_>) {
    let here = exit == map.cursor.0;
    let label = format!("{exit:>2} ");
    let role = if here { Role::Title } else { Role::Dim };
    let x = canvas.put_all(row, &[(&label, role)]);
    let forecast = map.forecasts.at(exit, map.cursor.1);
    let Some(rate) = forecast.and_then(Forecast::acceptance_rate) else {
        return;
    };
    let filled = (rate * f64::from(bars)).round() as u16;
    for column in 0..bars {
        let (symbol, role) = if column < filled {
            (canvas.theme.symbols.filled, Role::Agree)
        } else {
            (canvas.theme.symbols.rest, Role::Track)
        };
        canvas.put(x + column, row.y, symbol, 1, canvas.theme.style(role));
    }
    let percent = format!("{:>4.0}%", rate * 100.0);
    canvas.put(x + bars, row.y, &percent, 6, canvas.theme.style(role));
}

/// `●▆128`: a mark, a shade, tokens per second.
fn pair(canvas: &mut Canvas<'_>, cell: Rect, forecast: &Forecast, map: &Map<'_>) {
    let at = (forecast.exit_layer, forecast.num_speculations);
    let (slowest, fastest) = map.speeds;
    let share = if fastest > slowest {
        (forecast.speed - slowest) / (fastest - slowest)
    } else {
        1.0
    };
    let mark = match at {
        at if at == map.best => "*",
        at if Some(at) == map.present => canvas.theme.symbols.knob,
        _ => " ",
    };
    // The colour of a gain above plain speed, shades of grey below it.
    let heat = match forecast.speed >= map.plain {
        true => Role::Agree,
        false => Role::Heat(0),
    };
    let text = format!("{:>3}", short(forecast.speed));
    canvas.put_all(
        cell,
        &[
            (mark, Role::Title),
            (bar(&canvas.theme, share), heat),
            (&text, heat),
        ],
    );
    if at == (map.cursor.0, map.cursor.1) {
        canvas.select(cell);
    }
    let (exit_layer, num_speculations) = at;
    canvas.target(
        cell,
        Target::Cell {
            exit_layer,
            num_speculations,
        },
    );
}

/// A speed in three characters.
fn short(speed: f64) -> String {
    match speed {
        speed if speed < 9.95 => format!("{speed:.1}"),
        speed if speed < 999.5 => format!("{speed:.0}"),
        speed => format!("{:.0}k", speed / 1e3),
    }
}

/// The current settings that no cell's prediction covers.
fn left_out(state: &State) -> Option<String> {
    let parts = state.left_out_of_forecasts();
    (!parts.is_empty()).then(|| {
        format!(
            "Every cell predicts chains of K drafts by early exit. No cell predicts the settings now: {}.",
            parts.join(", ")
        )
    })
}

/// A note on how exact the map is.
fn note(turn: &Turn) -> String {
    match turn.acceptance_is_exact() {
        true => "Acceptance is exact: with greedy decoding or shared noise no setting of E and K changes the text. Speed is an \
             estimate from measured costs of the parts of a round."
            .into(),
        false => {
            "Acceptance and speed are estimates: with rejection coupling, early exit or sampling that changed on the way, \
             the layers' predictions along this text do not determine which drafts would have been accepted."
                .into()
        }
    }
}

fn footnotes(canvas: &mut Canvas<'_>, mut area: Rect, notes: &[String]) {
    let knob = canvas.theme.symbols.knob;
    if let Some(row) = row(&mut area) {
        let mut parts = vec![("*", Role::Title), (" fastest", Role::Dim)];
        if canvas.state.pair_in_force().is_some() {
            let meaning = match canvas.state.left_out_of_forecasts().is_empty() {
                true => " settings now",
                false => " E and K now",
            };
            parts.extend([
                ("   ", Role::Dim),
                (knob, Role::Title),
                (meaning, Role::Dim),
            ]);
        }
        let end = canvas.put_all(row, &parts);
        let parts = [
            ("   ", Role::Dim),
            (canvas.theme.symbols.bars[6], Role::Agree),
            (" faster than plain", Role::Dim),
        ];
        let rest = Rect {
            x: end,
            width: row.right().saturating_sub(end),
            ..row
        };
        let end = canvas.put_all(rest, &parts);
        let rest = Rect {
            x: end,
            width: row.right().saturating_sub(end),
            ..row
        };
        if rest.width > 28 {
            canvas.put_right(rest, "tokens per second, predicted", Role::Dim);
        }
    }
    for line in notes {
        let Some(row) = row(&mut area) else { return };
        canvas.put_all(row, &[(line, Role::Dim)]);
    }
}
