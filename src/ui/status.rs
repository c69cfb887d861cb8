//! The line under an answer: progress, statistics, and why it ended.

use super::Canvas;
use super::theme::Role;
use super::transcript::GUTTER;
use super::widgets::{Cells, wrap_words};
use crate::app::state::Baselines;
use crate::app::state::turn::Outcome;
use crate::app::{Phase, Target, Turn};
use crate::engine::decode::StopReason;
use crate::plural::counted;
use crate::safe_text::one_line;
use ratatui::layout::Rect;

/// Separator between the figures of a turn.
const BETWEEN: &str = " · ";

/// The lines under a turn that has ended.
pub fn ended(turn: &Turn, width: u16, plain: &Baselines) -> Option<Vec<String>> {
    let text = match turn.outcome.as_ref()? {
        Outcome::Failed(message) => format!("failed: {}", one_line(message)),
        Outcome::Stopped(reason) => {
            let parts = figures(turn, plain).into_iter().chain(stop_words(reason));
            // Lines break between parts, not within them.
            let parts = parts.map(|part| part.replace(' ', "\u{a0}"));
            parts.collect::<Vec<_>>().join(BETWEEN)
        }
    };
    Some(
        wrap_words(&text, width)
            .iter()
            .map(|line| {
                line.trim_end_matches(BETWEEN.trim_end())
                    .replace('\u{a0}', " ")
            })
            .collect(),
    )
}

/// Draws which of several answers this is, beside its status line.
pub fn answers(canvas: &mut Canvas<'_>, area: Rect, index: usize, turn: &Turn) {
    let mark = format!("{}/{}", turn.variant + 1, turn.answers());
    let row = Rect {
        width: GUTTER - 1,
        height: 1,
        ..area
    };
    canvas.put_all(row, &[(&mark, Role::Accent)]);
    canvas.target(row, Target::Answers { turn: index });
}

/// The line under an answer.
pub fn status(canvas: &mut Canvas<'_>, row: Rect, (index, turn): (usize, &Turn), from: usize) {
    if let Some(lines) = ended(turn, row.width, canvas.baselines) {
        let role = if matches!(turn.outcome, Some(Outcome::Failed(_))) {
            Role::Wrong
        } else {
            Role::Dim
        };
        for (line, y) in lines.iter().skip(from).zip(row.top()..row.bottom()) {
            canvas.put(
                row.x,
                y,
                &dotted(canvas, line),
                row.width,
                canvas.theme.style(role),
            );
        }
        return;
    }
    let live = index + 1 == canvas.state.turns.len();
    let (text, role) = match &canvas.state.phase {
        Phase::Prefill {
            done,
            total,
            cached,
            ..
        } if live => {
            let room = row.width.saturating_sub(2);
            (prefill(*done, *total, *cached, room), Role::Dim)
        }
        Phase::Paused { .. } if live => ("paused".into(), Role::Accent),
        _ => {
            let room = row.width.saturating_sub(2);
            let text = summary(turn, canvas.baselines, room);
            (dotted(canvas, &text), Role::Dim)
        }
    };
    let mut x = row.x;
    let moves = matches!(
        canvas.state.phase,
        Phase::Prefill { .. } | Phase::Generating { .. }
    );
    if live && moves {
        x = canvas.put(
            x,
            row.y,
            canvas.spinner(),
            1,
            canvas.theme.style(Role::Accent),
        ) + 1;
    }
    let rest = Rect {
        x,
        width: row.right().saturating_sub(x),
        ..row
    };
    canvas.put_all(rest, &[(&text, role)]);
}

/// Progress of prefill, in as many words as there is room for.
fn prefill(done: usize, total: usize, cached: usize, width: u16) -> String {
    let reading = "reading the prompt";
    let cache = |words: &str| match cached {
        0 => String::new(),
        cached => format!(", {cached}{words}"),
    };
    let wordings = match total {
        0 => vec![reading.to_owned()],
        _ => vec![
            format!(
                "{reading}: {done} of {}{}",
                counted(total, "token"),
                cache(" from the cache")
            ),
            format!("{reading}: {done} of {total}{}", cache(" from the cache")),
            format!("{reading}: {done} of {total}{}", cache(" cached")),
            format!("{reading}: {done} of {total}"),
            format!("prompt: {done}/{total}"),
        ],
    };
    let fits = |words: &&String| words.as_str().cells() <= width;
    wordings
        .iter()
        .find(fits)
        .or(wordings.last())
        .cloned()
        .unwrap_or_default()
}

/// `212 tok · 41 % accepted (86 of 210) · 368 tok/s · 1.18× plain · first token 0.12 s`, as many of them as fit.
fn summary(turn: &Turn, plain: &Baselines, width: u16) -> String {
    let mut parts = figures(turn, plain);
    while parts.len() > 1 && parts.join(BETWEEN).as_str().cells() > width {
        parts.pop();
    }
    parts.join(BETWEEN)
}

fn figures(turn: &Turn, plain: &Baselines) -> Vec<String> {
    let stats = &turn.stats;
    if stats.tokens == 0 {
        return Vec::new();
    }
    let mut parts = vec![format!("{} tok", stats.tokens)];
    parts.extend(stats.acceptance_rate().map(|rate| {
        let (accepted, drafted) = (stats.accepted, stats.drafted);
        format!("{:.0} % accepted ({accepted} of {drafted})", rate * 100.0)
    }));
    parts.extend(
        stats
            .tokens_per_second()
            .map(|speed| format!("{speed:.0} tok/s")),
    );
    parts.extend(turn.speed_up(plain).map(|gain| {
        let about = if gain.measured { "" } else { "≈ " };
        format!("{about}{:.2}× plain", gain.ratio)
    }));
    let first = turn
        .first_token_seconds()
        .filter(|_| turn.outcome.is_some());
    parts.extend(first.map(|seconds| format!("first token {seconds:.2} s")));
    parts
}

/// Replaces the separator by the theme's, which has the same width.
fn dotted(canvas: &Canvas<'_>, text: &str) -> String {
    text.replace(BETWEEN, &format!(" {} ", canvas.theme.symbols.dot))
}

/// Why an answer ended; `None` for the model's own end.
fn stop_words(reason: &StopReason) -> Option<String> {
    (*reason != StopReason::Eos).then(|| reason.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_the_prompt_is_read_fits_whatever_the_width() {
        for width in 14..90 {
            for (done, total, cached) in [(0, 0, 0), (16, 24, 8), (123, 4096, 0), (12, 99, 87)] {
                let words = prefill(done, total, cached, width);
                let least = ["reading the prompt".cells(), 17][usize::from(total > 0)];
                assert!(
                    words.as_str().cells() <= width.max(least),
                    "{words} in {width}"
                );
            }
        }
        assert_eq!(
            prefill(16, 24, 8, 80),
            "reading the prompt: 16 of 24 tokens, 8 from the cache"
        );
        assert_eq!(
            prefill(16, 24, 8, 40),
            "reading the prompt: 16 of 24, 8 cached"
        );
    }
}
