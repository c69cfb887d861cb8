//! The top line: the model and its decoding settings.

use super::Canvas;
use super::layout::NARROW;
use super::speed;
use super::theme::Role;
use super::way;
use super::widgets::Cells;
use crate::app::{Control, Mode, Phase};
use crate::engine::decode::Controller;
use crate::plural::counted;
use ratatui::layout::Rect;

/// Min cells for the names of program and model.
const MODEL: u16 = 56;

pub fn draw(canvas: &mut Canvas<'_>, area: Rect) {
    if area.is_empty() {
        return;
    }
    let dot = format!(" {} ", canvas.theme.symbols.dot);
    let (gain, role) = speed_up(canvas).unwrap_or((String::new(), Role::Dim));
    let room = area.width.saturating_sub(MODEL + gain.as_str().cells());
    let right = match area.width {
        ..NARROW => figures(canvas),
        _ => settings(canvas, room),
    };
    let between = match gain.is_empty() || right.is_empty() {
        true => "",
        false => dot.as_str(),
    };
    let right_cells = [&gain, between, &right].map(|text| text.cells());
    let room = area
        .width
        .saturating_sub(right_cells.iter().sum::<u16>() + 4);
    let left = Rect {
        x: area.x + 1,
        width: room,
        ..area
    };
    let model = model(canvas, &dot, left.width.saturating_sub(10));
    let x = canvas.put_all(left, &[("skiplens", Role::Accent), ("  ", Role::Dim)]);
    let rest = Rect {
        x,
        width: left.right().saturating_sub(x),
        ..left
    };
    let x = canvas.put_all(rest, &[(&model, Role::Text)]);
    loading(
        canvas,
        Rect {
            x,
            width: left.right().saturating_sub(x),
            ..left
        },
    );
    let start = left.right() + 2;
    let right_row = Rect {
        x: start.min(area.right()),
        width: area.right().saturating_sub(start + 1),
        ..area
    };
    canvas.put_all(
        right_row,
        &[(&gain, role), (between, Role::Dim), (&right, Role::Dim)],
    );
}

/// Progress of loading.
fn loading(canvas: &mut Canvas<'_>, row: Rect) {
    let Phase::Loading {
        stage, fraction, ..
    } = &canvas.state.phase
    else {
        return;
    };
    let percent = fraction
        .map(|fraction| format!("{:.0} %", fraction * 100.0))
        .unwrap_or_default();
    // The stage or, if there is no room for it, the fraction done.
    let words = if stage.as_str().cells() + 3 <= row.width {
        stage
    } else {
        &percent
    };
    let x = canvas.put_all(
        row,
        &[
            ("  ", Role::Dim),
            (canvas.spinner(), Role::Accent),
            (" ", Role::Dim),
            (words, Role::Dim),
        ],
    );
    let rest = row.right().saturating_sub(x + 1);
    if let (Some(fraction), true) = (fraction, words == stage && rest >= 6) {
        let percent = format!(" {percent}");
        let track = Rect {
            x: x + 1,
            width: (rest - 5).min(16),
            ..row
        };
        canvas.slider(track, f64::from(*fraction), true);
        canvas.put(
            track.right(),
            row.y,
            &percent,
            6,
            canvas.theme.style(Role::Dim),
        );
    }
}

/// The model, with as many details as fit.
fn model(canvas: &Canvas<'_>, dot: &str, room: u16) -> String {
    match (&canvas.state.model, &canvas.state.request.model) {
        (Some(model), _) => {
            let name = match canvas.state.is_read_only() {
                true => format!("watching {}", model.name),
                false => model.name.clone(),
            };
            let layers = counted(model.config.num_layers, "layer");
            let mut parts = vec![name.as_str(), &layers, &model.dtype, &model.device];
            if canvas.state.settings.adapter && !model.adapters.is_empty() {
                parts.push("exit adapters");
            }
            let fits = |count: &usize| parts[..*count].join(dot).as_str().cells() <= room;
            parts[..(1..=parts.len()).rev().find(fits).unwrap_or(1)].join(dot)
        }
        (None, Some(name)) => name.clone(),
        (None, None) => match &canvas.state.remote {
            Some(remote) if remote.watches => format!("watching {}", remote.host),
            Some(remote) => remote.host.clone(),
            None => "bundled model".into(),
        },
    }
}

/// The speed-up of the newest answer, with its role: `1.18× plain`.
fn speed_up(canvas: &Canvas<'_>) -> Option<(String, Role)> {
    let gain = canvas.state.newest_turn()?.speed_up(canvas.baselines)?;
    let about = if gain.measured { "" } else { "≈ " };
    let times = canvas.theme.symbols.times;
    let text = format!("{about}{:.2}{times} plain", gain.ratio);
    Some((text, speed::role_of(gain)))
}

/// The decoding settings. Omits the first parts, which the controls show too, if there is little room.
fn settings(canvas: &Canvas<'_>, room: u16) -> String {
    let state = canvas.state;
    let dot = format!(" {} ", canvas.theme.symbols.dot);
    let show = |control: Control| control.show(&state.settings, state.model.as_ref());
    let mut parts = vec![show(Control::Strategy)];
    if state.settings.sampling.sample && state.settings.sampling.temperature > 0.0 {
        parts.push(format!("seed {}", show(Control::Seed)));
    } else {
        parts.push("greedy".into());
    }
    if state.mode == Mode::Completion {
        parts.push("completion".into());
    }
    if state.settings.detail {
        parts.push("detail".into());
    }
    while parts.join(&dot).as_str().cells() > room && !parts.is_empty() {
        parts.remove(0);
    }
    parts.join(&dot)
}

/// A summary of the right column, if there is no room for that column.
fn figures(canvas: &Canvas<'_>) -> String {
    let state = canvas.state;
    let sampling = &state.settings.sampling;
    let mut parts = vec![match state.settings.controller {
        Controller::Auto => "auto".to_owned(),
        _ => way::pair(&state.settings),
    }];
    parts.push(if sampling.sample {
        format!("T {:.2}", sampling.temperature)
    } else {
        "greedy".into()
    });
    if let Some(turn) = state
        .turns
        .iter()
        .rev()
        .find(|turn| !turn.rounds.is_empty())
    {
        parts.extend(
            turn.stats
                .acceptance_rate()
                .map(|rate| format!("{:.0} %", rate * 100.0)),
        );
        parts.extend(
            turn.stats
                .tokens_per_second()
                .map(|speed| format!("{speed:.0} tok/s")),
        );
    }
    parts.join(&format!(" {} ", canvas.theme.symbols.dot))
}
