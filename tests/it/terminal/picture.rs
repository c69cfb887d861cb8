//! The screenshot of the README.

use skiplens::transcript::export::svg::{self, Picture, Rgb, Style};
use vt100::{Cell, Color, Screen};

const BACKGROUND: Rgb = (0x16, 0x19, 0x22);
const TEXT: Rgb = (0xd7, 0xda, 0xe0);

/// The screen as SVG.
pub fn svg(screen: &Screen) -> String {
    let (rows, columns) = screen.size();
    let row = |row| {
        (0..columns)
            .filter_map(|column| screen.cell(row, column).map(cell))
            .collect()
    };
    Picture {
        title: "The playground".into(),
        fg: TEXT,
        bg: BACKGROUND,
        rows: (0..rows).map(row).collect(),
    }
    .svg()
}

fn cell(cell: &Cell) -> svg::Cell {
    let contents = cell.contents();
    let blank = contents.is_empty() && !cell.is_wide_continuation();
    svg::Cell {
        symbol: if blank { " " } else { contents }.into(),
        style: style(cell),
    }
}

fn style(cell: &Cell) -> Style {
    Style {
        fg: color(cell.fgcolor()),
        bg: color(cell.bgcolor()),
        bold: cell.bold(),
        dim: cell.dim(),
        italic: cell.italic(),
        underlined: cell.underline(),
        struck: false,
        reversed: cell.inverse(),
    }
}

fn color(color: Color) -> Option<Rgb> {
    match color {
        Color::Rgb(r, g, b) => Some((r, g, b)),
        _ => None,
    }
}
