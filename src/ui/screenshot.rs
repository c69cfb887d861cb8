//! Screenshots.

use super::theme::{Theme, rgb};
use crate::app::Appearance;
use crate::transcript::export::svg::{Cell, Picture, Style};
use ratatui::buffer::{self, Buffer};
use ratatui::style::Modifier;
use unicode_width::UnicodeWidthStr;

/// The cells of a buffer, in the colours of a terminal that matches the theme.
pub fn screenshot(buffer: &Buffer, appearance: Appearance) -> Picture {
    let (fg, bg) = Theme::new(appearance).page();
    let rows = buffer
        .content
        .chunks(usize::from(buffer.area.width).max(1))
        .map(row)
        .collect();
    Picture {
        title: "skiplens".into(),
        fg,
        bg,
        rows,
    }
}

/// A wide character also takes the cells after it.
fn row(cells: &[buffer::Cell]) -> Vec<Cell> {
    let mut covered = 0;
    let mut drawn = |cell: &buffer::Cell| {
        let symbol = if covered > 0 { "" } else { cell.symbol() };
        covered = if covered > 0 {
            covered - 1
        } else {
            symbol.width().saturating_sub(1)
        };
        Cell {
            symbol: symbol.into(),
            style: style(cell),
        }
    };
    cells.iter().map(&mut drawn).collect()
}

fn style(cell: &buffer::Cell) -> Style {
    let has = |modifier| cell.modifier.contains(modifier);
    Style {
        fg: rgb(cell.fg),
        bg: rgb(cell.bg),
        bold: has(Modifier::BOLD),
        dim: has(Modifier::DIM),
        italic: has(Modifier::ITALIC),
        underlined: has(Modifier::UNDERLINED),
        struck: has(Modifier::CROSSED_OUT),
        reversed: has(Modifier::REVERSED),
    }
}
