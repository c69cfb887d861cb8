//! A sweep: the measured speed of every pair of exit layer and speculations, as a map that fills as cells are measured.

use super::Canvas;
use super::theme::Role;
use super::what_if::{Figures, pair_line};
use super::widgets::{bar, row};
use super::window::{centered, window};
use crate::app::Target;
use crate::app::state::Sweep;
use crate::app::state::turn::Outcome;
use crate::engine::decode::StopReason;
use crate::plural::counted;
use crate::safe_text::one_line;
use ratatui::layout::Rect;

/// Cells of one pair: mark, bar, speed-up.
const CELL: u16 = 7;
/// Cells of an exit layer's label.
const LABEL: u16 = 4;
/// Speed-ups at the ends of the shading.
const SLOWEST: f64 = 0.6;
const FASTEST: f64 = 1.4;
/// Steps of the shading.
const STEPS: f64 = 5.0;

/// ```text
/// › Why is the sky blue?
///   here: E 8   K 4    74 % accepted    131 tok/s   1.54× of plain
/// * best: E 6   K 5    70 % accepted    140 tok/s   1.64× of plain
///   plain                                85 tok/s
///  E     K1     K2     K3
///  4  ▃ 0.91 ▅ 1.10 ·
/// ```
pub fn draw(canvas: &mut Canvas<'_>, body: Rect, sweep: &Sweep) {
    let columns = sweep.speculations.len() as u16;
    let rows = sweep.exit_layers.len() as u16;
    let area = centered(body, (LABEL + columns * CELL + 4).max(68), rows + 9);
    let mut inner = window(canvas, area, "sweep");
    let title = format!("{} {}", canvas.theme.symbols.prompt, one_line(&sweep.title));
    if let Some(row) = row(&mut inner) {
        canvas.put_all(row, &[(&title, Role::Dim)]);
    }
    let best = sweep.best();
    head(canvas, &mut inner, "  here: ", Some(sweep.cursor), sweep);
    head(canvas, &mut inner, "* best: ", best, sweep);
    plain(canvas, &mut inner, sweep);
    progress(canvas, &mut inner, sweep);
    chart(canvas, inner, sweep, best);
}

/// The figures of a pair.
fn head(
    canvas: &mut Canvas<'_>,
    area: &mut Rect,
    label: &str,
    pair: Option<(usize, usize)>,
    sweep: &Sweep,
) {
    let (Some(row), Some((exit, speculations))) = (row(area), pair) else {
        return;
    };
    let Some(cell) = sweep.cells.get(&(exit, speculations)) else {
        let pair = format!("E {exit:<2}  K {speculations:<2}");
        let parts = [
            (label, Role::Dim),
            (&pair, Role::Title),
            ("  not measured yet", Role::Dim),
        ];
        canvas.put_all(row, &parts);
        return;
    };
    let figures = Figures {
        acceptance_rate: cell.acceptance_rate,
        tokens_per_second: cell.tokens_per_second,
        times: sweep.speed_up(cell),
        error: None,
    };
    pair_line(canvas, row, label, (exit, speculations), &figures);
}

fn plain(canvas: &mut Canvas<'_>, area: &mut Rect, sweep: &Sweep) {
    let Some(row) = row(area) else { return };
    let speed = sweep
        .plain
        .map_or_else(|| "–".to_owned(), |plain| format!("{plain:.0} tok/s"));
    let slower = match (
        sweep.plain,
        sweep.best().and_then(|best| sweep.cells.get(&best)),
    ) {
        (Some(plain), Some(best)) if sweep.outcome.is_some() && best.tokens_per_second < plain => {
            "; plain decoding is faster than every pair"
        }
        _ => "",
    };
    let parts = [
        ("  plain: ", Role::Dim),
        (speed.as_str(), Role::Title),
        (slower, Role::Text),
    ];
    canvas.put_all(row, &parts);
}

/// Progress of the sweep, or how it ended.
fn progress(canvas: &mut Canvas<'_>, area: &mut Rect, sweep: &Sweep) {
    let Some(row) = row(area) else { return };
    let all = sweep.exit_layers.len() * sweep.speculations.len();
    let count = format!("{} of {}", sweep.cells.len(), counted(all, "pair"));
    match &sweep.outcome {
        None => {
            let text = format!("measuring: {count}, up to 64 tokens each");
            let parts = [
                (canvas.spinner(), Role::Accent),
                (" ", Role::Dim),
                (text.as_str(), Role::Dim),
            ];
            canvas.put_all(row, &parts);
        }
        Some(Outcome::Failed(message)) => {
            canvas.put_all(row, &[(&one_line(message), Role::Wrong)]);
        }
        Some(Outcome::Stopped(reason)) => {
            let stopped = match reason {
                StopReason::Cancelled => format!("cancelled: {count}"),
                _ => count,
            };
            canvas.put_all(row, &[(&stopped, Role::Dim)]);
        }
    }
}

fn chart(canvas: &mut Canvas<'_>, mut area: Rect, sweep: &Sweep, best: Option<(usize, usize)>) {
    let columns = usize::from(area.width.saturating_sub(LABEL) / CELL).max(1);
    let at = |values: &[usize], value| values.iter().position(|v| *v == value).unwrap_or(0);
    let column = at(&sweep.speculations, sweep.cursor.1);
    let first = (column + 1).saturating_sub(columns);
    let speculations = &sweep.speculations[first..(first + columns).min(sweep.speculations.len())];
    let Some(titles) = row(&mut area) else { return };
    canvas.put_all(titles, &[(" E", Role::Dim)]);
    for (k, x) in speculations
        .iter()
        .zip((titles.x + LABEL..).step_by(usize::from(CELL)))
    {
        let role = match *k == sweep.cursor.1 {
            true => Role::Title,
            false => Role::Dim,
        };
        let title = format!("{:>6}", format!("K{k}"));
        canvas.put(x, titles.y, &title, CELL, canvas.theme.style(role));
    }
    let rows = usize::from(area.height);
    let line = at(&sweep.exit_layers, sweep.cursor.0);
    let top = (line + 1).saturating_sub(rows);
    for exit in sweep.exit_layers.iter().skip(top) {
        let Some(row) = row(&mut area) else { return };
        let role = match *exit == sweep.cursor.0 {
            true => Role::Title,
            false => Role::Dim,
        };
        canvas.put_all(row, &[(&format!("{exit:>2}"), role)]);
        for (k, x) in speculations
            .iter()
            .zip((row.x + LABEL..).step_by(usize::from(CELL)))
        {
            let cell = Rect {
                x,
                width: (CELL - 1).min(row.right().saturating_sub(x)),
                ..row
            };
            pair(canvas, cell, (*exit, *k), sweep, best);
        }
    }
}

/// `*▆1.28`: a mark, a bar, the speed-up; tokens per second if the speed of plain decoding is unknown.
fn pair(
    canvas: &mut Canvas<'_>,
    area: Rect,
    at: (usize, usize),
    sweep: &Sweep,
    best: Option<(usize, usize)>,
) {
    match sweep.cells.get(&at) {
        Some(cell) => {
            let fastest = best.and_then(|best| sweep.cells.get(&best));
            let (share, text) = match (sweep.speed_up(cell), fastest) {
                (Some(times), _) => (
                    ((times - SLOWEST) / (FASTEST - SLOWEST)).clamp(0.0, 1.0),
                    format!("{times:.2}"),
                ),
                (None, Some(fastest)) => (
                    cell.tokens_per_second / fastest.tokens_per_second,
                    format!("{:>4.0}", cell.tokens_per_second),
                ),
                (None, None) => (1.0, String::new()),
            };
            let mark = if best == Some(at) { "*" } else { " " };
            let heat = Role::Heat((share * STEPS).min(STEPS - 1.0) as u8);
            let parts = [
                (mark, Role::Title),
                (bar(&canvas.theme, share), heat),
                (&text, heat),
            ];
            canvas.put_all(area, &parts);
        }
        None => {
            let dot = format!("    {}", canvas.theme.symbols.dot);
            canvas.put_all(area, &[(&dot, Role::Dim)]);
        }
    }
    if at == sweep.cursor {
        canvas.select(area);
    }
    canvas.target(
        area,
        Target::Cell {
            exit_layer: at.0,
            num_speculations: at.1,
        },
    );
}
