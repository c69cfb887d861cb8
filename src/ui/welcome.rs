//! The empty chat: an introduction, the progress of loading, or why there is no model and what to do about it.

use super::Canvas;
use super::theme::Role;
use super::widgets::{Cells, row, wrap_words};
use crate::app::input::action::{AppAction, ChatAction};
use crate::app::{Action, Pane, Phase, Target};
use crate::engine::decode::Origin;
use crate::engine::weights::{PUBLISHED_BYTES, PUBLISHED_MODEL};
use crate::safe_text::in_cells;
use crate::transcript::origin_style::style;
use ratatui::layout::Rect;

/// Max cells of a line.
const WIDTH: u16 = 58;
/// Cells of a name in the legend, and of the gap after it.
const NAME: u16 = 11;

/// A line of spans with roles.
type Line = Vec<(String, Role)>;

pub fn draw(canvas: &mut Canvas<'_>, inner: Rect) {
    if matches!(canvas.state.phase, Phase::Failed { .. }) && canvas.state.model.is_none() {
        return failure(canvas, inner);
    }
    let width = inner.width.min(WIDTH);
    let rows = inner.height.saturating_sub(2);
    let lines = match canvas.state.is_read_only() {
        true => of_watching(width, rows),
        false => introduction(width, rows),
    };
    let height = lines.len() as u16 + 2;
    let (x, y) = (
        inner.x + (inner.width - width) / 2,
        inner.y + inner.height.saturating_sub(height) / 2,
    );
    let mut area = Rect {
        x,
        y,
        width,
        height: height.min(inner.bottom() - y),
    };
    for line in &lines {
        let Some(row) = row(&mut area) else { return };
        put_line(canvas, row, line);
    }
    row(&mut area);
    if let Some(row) = row(&mut area) {
        match canvas.state.phase {
            Phase::Loading { .. } => progress(canvas, row),
            _ if canvas.state.is_read_only() => {}
            _ => keys(canvas, row),
        }
    }
}

fn put_line(canvas: &mut Canvas<'_>, row: Rect, line: &Line) {
    let parts: Vec<(&str, Role)> = line
        .iter()
        .map(|(text, role)| (text.as_str(), *role))
        .collect();
    canvas.put_all(row, &parts);
}

/// The introduction and the legend, as much as fits.
fn introduction(width: u16, rows: u16) -> Vec<Line> {
    let words = |text, role| wrapped(text, width, role);
    let title: Vec<Line> = words("Ask something and watch how it is written.", Role::Title);
    let how: Vec<Line> = words(
        "The first layers of the model draft a few tokens; all of its layers verify them at once.",
        Role::Dim,
    );
    let moving: Vec<Line> = words(
        "Move the exit layer while it writes: the colours change, the words do not.",
        Role::Dim,
    );
    let legend = legend();
    most_that_fits(
        &[
            &[&title, &how, &legend, &moving],
            &[&title, &how, &legend],
            &[&title, &legend],
            &[&title],
        ],
        rows,
    )
}

/// The introduction while the requests of others are watched.
fn of_watching(width: u16, rows: u16) -> Vec<Line> {
    let title = wrapped("Watching, read-only.", width, Role::Title);
    let how = "What other clients of the server ask appears here, token by token as it is decoded.";
    let how = wrapped(how, width, Role::Dim);
    let legend = legend();
    most_that_fits(
        &[&[&title, &how, &legend], &[&title, &how], &[&title]],
        rows,
    )
}

fn wrapped(text: &str, width: u16, role: Role) -> Vec<Line> {
    let lines = wrap_words(text, width).into_iter();
    lines.map(|line| vec![(line, role)]).collect()
}

/// The first of several lists of paragraphs that has at most `rows` lines.
fn most_that_fits(choices: &[&[&Vec<Line>]], rows: u16) -> Vec<Line> {
    let mut joined = choices.iter().map(|paragraphs| {
        let owned: Vec<Vec<Line>> = paragraphs
            .iter()
            .map(|paragraph| (*paragraph).clone())
            .collect();
        owned.join(&Line::new())
    });
    joined
        .find(|lines| lines.len() <= usize::from(rows))
        .unwrap_or_default()
}

fn legend() -> Vec<Line> {
    [Origin::Accepted, Origin::Corrected, Origin::Bonus]
        .map(legend_line)
        .into()
}

fn legend_line(origin: Origin) -> Line {
    let look = style(origin);
    let gap = " ".repeat(usize::from(NAME.saturating_sub(look.name.cells())));
    vec![
        (look.name.into(), Role::from(origin)),
        (gap, Role::Dim),
        (look.meaning.into(), Role::Dim),
    ]
}

/// Progress of loading, and the key that cancels it.
fn progress(canvas: &mut Canvas<'_>, row: Rect) {
    let Phase::Loading {
        stage,
        fraction,
        cancelling,
    } = &canvas.state.phase
    else {
        return;
    };
    let stage = if *cancelling {
        "cancelling"
    } else {
        stage.as_str()
    };
    let parts = [
        (canvas.spinner(), Role::Accent),
        (" ", Role::Dim),
        (stage, Role::Text),
    ];
    let x = canvas.put_all(row, &parts) + 1;
    if let Some(fraction) = fraction {
        let track = Rect {
            x,
            width: row.right().saturating_sub(x + 6).min(16),
            ..row
        };
        canvas.slider(track, f64::from(*fraction), true);
        let percent = format!("{:>4.0} %", fraction * 100.0);
        canvas.put(
            track.right(),
            row.y,
            &percent,
            6,
            canvas.theme.style(Role::Dim),
        );
    }
}

/// The first keys to know.
fn keys(canvas: &mut Canvas<'_>, row: Rect) {
    let wanted: [(Action, &str); 3] = [
        (ChatAction::Send.into(), "send"),
        (AppAction::FocusNext.into(), "to the controls"),
        (AppAction::Help.into(), "all keys"),
    ];
    let mut x = row.x;
    for (action, label) in wanted {
        let Some(key) = canvas
            .app
            .shared
            .keys
            .key_of(Pane::Prompt, &action)
            .map(|key| key.to_string())
        else {
            continue;
        };
        let width = key.as_str().cells() + 1 + label.cells();
        if x + width > row.right() {
            return;
        }
        let parts = [
            (key.as_str(), Role::Key),
            (" ", Role::Dim),
            (label, Role::Dim),
        ];
        canvas.put_all(Rect { x, width, ..row }, &parts);
        x += width + 3;
    }
}

/// Why there is no model, and what can be loaded instead.
fn failure(canvas: &mut Canvas<'_>, inner: Rect) {
    let Phase::Failed {
        message,
        engine_lives,
    } = &canvas.state.phase
    else {
        return;
    };
    let mut area = inner;
    let below = if *engine_lives { 6 } else { 0 };
    let room = usize::from(inner.height.saturating_sub(below).max(1));
    let text = in_cells(message).into_owned();
    let lines = text
        .lines()
        .flat_map(|line| wrap_words(line, inner.width))
        .take(room);
    for (at, line) in lines.enumerate() {
        let Some(row) = row(&mut area) else { return };
        canvas.put_all(
            row,
            &[(&line, if at == 0 { Role::Wrong } else { Role::Text })],
        );
    }
    if *engine_lives {
        row(&mut area);
        offer(canvas, &mut area);
    }
}

/// The model that one key loads, and the key of the model picker.
fn offer(canvas: &mut Canvas<'_>, area: &mut Rect) {
    let state = canvas.state;
    if let (Some(offer), Some(key)) = (
        state.offer(),
        canvas
            .app
            .shared
            .keys
            .key_of(Pane::Prompt, &ChatAction::Send.into()),
    ) {
        let Some(first) = row(area) else { return };
        canvas.put_all(
            first,
            &[(&format!("{key}  "), Role::Key), (offer.label, Role::Title)],
        );
        canvas.target(first, Target::Hint(ChatAction::Send.into()));
        for line in about(offer.model.as_deref(), area.width) {
            let Some(row) = row(area) else { return };
            canvas.put_all(row, &[(&line, Role::Dim)]);
        }
    }
    if let (Some(key), Some(row)) = (
        canvas
            .app
            .shared
            .keys
            .key_of(state.focus, &AppAction::Models.into()),
        row(area),
    ) {
        canvas.put_all(
            row,
            &[
                (&format!("{key}  "), Role::Key),
                ("or /model chooses another one", Role::Dim),
            ],
        );
        canvas.target(row, Target::Hint(AppAction::Models.into()));
    }
}

/// Size and source of a model before its download.
fn about(model: Option<&str>, width: u16) -> Vec<String> {
    if model != Some(PUBLISHED_MODEL) {
        return Vec::new();
    }
    let size = PUBLISHED_BYTES as f64 / 1e9;
    let text = format!(
        "{PUBLISHED_MODEL}, {size:.1} GB from Hugging Face. It was not tuned for early exit: it answers, but little of \
         what its first layers draft is accepted."
    );
    wrap_words(&text, width)
}
