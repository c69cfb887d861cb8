//! The bar of a replay, in place of the prompt: state, speed and progress.

use super::Canvas;
use super::theme::Role;
use super::widgets::Cells;
use crate::app::state::player::Course;
use crate::app::{Pane, Player, Target};
use crate::plural::counted;
use ratatui::layout::Rect;

/// Min cells of a usable track.
const MIN_TRACK: u16 = 8;

/// `playing 2×  ━━━━━●──────  41 of 120 rounds`
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, player: &Player) {
    let title = format!(
        "replay {} {}",
        canvas.theme.symbols.dot,
        player.session().display_title()
    );
    let row = canvas.panel(area, &title, Some(Pane::Prompt));
    canvas.target(area, Target::Prompt);
    if row.is_empty() {
        return;
    }
    let row = Rect { height: 1, ..row };
    let (course, role) = match player.course() {
        Course::Playing => ("playing", Role::Accent),
        Course::Paused => ("paused", Role::Title),
        Course::Over => ("at the end", Role::Title),
    };
    let speed = speed(canvas, player);
    let x = canvas.put_all(
        row,
        &[
            (course, role),
            ("  ", Role::Dim),
            (&speed, Role::Text),
            ("  ", Role::Dim),
        ],
    );
    let (played, rounds) = player.progress();
    let place = format!("{played} of {}", counted(rounds, "round"));
    let room = row.right().saturating_sub(x);
    let width = place.as_str().cells();
    if room >= width {
        canvas.put_right(row, &place, Role::Text);
    }
    let track = Rect {
        x,
        width: room.saturating_sub(width + 2),
        ..row
    };
    if track.width >= MIN_TRACK {
        let fraction = if rounds == 0 {
            1.0
        } else {
            played as f64 / rounds as f64
        };
        canvas.slider(track, fraction, true);
        canvas.target(track, Target::Scrub);
    }
}

/// `2×`, or that waits are skipped.
fn speed(canvas: &Canvas<'_>, player: &Player) -> String {
    match player.speed() {
        speed if speed.is_infinite() => "at once".into(),
        speed => format!("{speed}{}", canvas.theme.symbols.times),
    }
}
