//! The layout of the screen.

use super::{footer, paused, prompt, transcript};
use crate::app::{Control, State};
use crate::engine::decode::Controller;
use ratatui::layout::Rect;

/// The areas of a frame. An omitted area is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Layout {
    pub header: Rect,
    pub chat: Rect,
    /// Beside the chat, if its lines would otherwise be too long.
    pub side: Rect,
    pub rounds: Rect,
    pub controls: Rect,
    pub speed: Rect,
    pub inspector: Rect,
    pub prompt: Rect,
    pub footer: Rect,
}

/// Below this width there is no right column.
pub const NARROW: u16 = 72;
/// Rows of the speed panel, borders included.
const SPEED: u16 = 7;
/// Rows of the speed panel with large digits; a controller takes two more.
const SPEED_LARGE: u16 = 10;
/// Rows of the controls panel besides the controls: explanation and borders.
const CONTROLS: u16 = 5;
/// Min cells of a useful panel beside the chat.
const SIDE: u16 = 44;
/// Min rows of a useful inspector.
const INSPECTOR: u16 = 10;

impl Layout {
    /// Divides `area` for this state.
    pub fn of(area: Rect, state: &State) -> Self {
        let mut rest = area;
        let header = take_top(&mut rest, u16::from(area.height > 8));
        let footer = match area.height {
            0..=4 => 0,
            rows => footer::height(state, area.width).min(rows / 4),
        };
        let footer = take_bottom(&mut rest, footer);
        let right = if area.width < NARROW {
            0
        } else {
            (area.width * 3 / 10).clamp(34, 48)
        };
        let mut left = rest;
        let mut column = take_right(&mut left, right);
        let lines = prompt::height(state, left);
        let prompt = take_bottom(&mut left, lines);
        let lines = if left.height < 14 {
            0
        } else {
            2 + (left.height / 10).min(3)
        };
        let rounds = take_bottom(&mut left, lines);
        let side = match left.width.checked_sub(transcript::MAX_PANEL) {
            Some(side) if side >= SIDE => side,
            _ => 0,
        };
        let side = take_right(&mut left, side);
        let mut layout = Self {
            header,
            footer,
            prompt,
            rounds,
            chat: left,
            side,
            ..Self::default()
        };
        layout.fill_column(&mut column, state);
        layout
    }

    /// Controls above, speed below them, the token at the bottom if there is room for all.
    fn fill_column(&mut self, column: &mut Rect, state: &State) {
        let controller = state.settings.controller != Controller::Fixed;
        let large = SPEED_LARGE + if controller { 2 } else { 0 };
        let controls = CONTROLS + Control::of_model(state.model.as_ref()).len() as u16;
        let roomy = column.height >= controls + large + INSPECTOR;
        let inspecting = state.watching() || paused::applies(state);
        if roomy {
            self.controls = take_top(column, controls);
            self.speed = take_top(column, large);
            self.inspector = *column;
            return;
        }
        self.speed = take_bottom(column, SPEED.min(column.height / 2));
        if inspecting {
            self.inspector = *column;
        } else {
            self.controls = *column;
        }
    }

    /// Everything between header and footer.
    pub fn body(&self) -> Rect {
        [
            self.chat,
            self.side,
            self.rounds,
            self.controls,
            self.speed,
            self.inspector,
            self.prompt,
        ]
        .into_iter()
        .filter(|area| !area.is_empty())
        .reduce(Rect::union)
        .unwrap_or_default()
    }
}

/// Cut `rows` off the top.
fn take_top(area: &mut Rect, rows: u16) -> Rect {
    let rows = rows.min(area.height);
    let top = Rect {
        height: rows,
        ..*area
    };
    area.y += rows;
    area.height -= rows;
    top
}

fn take_bottom(area: &mut Rect, rows: u16) -> Rect {
    let rows = rows.min(area.height);
    area.height -= rows;
    Rect {
        y: area.y + area.height,
        height: rows,
        ..*area
    }
}

fn take_right(area: &mut Rect, columns: u16) -> Rect {
    let columns = columns.min(area.width);
    area.width -= columns;
    Rect {
        x: area.x + area.width,
        width: columns,
        ..*area
    }
}
