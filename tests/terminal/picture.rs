//! A screen as a picture, for the README.

use std::fmt::Write;
use vt100::{Cell, Color, Screen};

/// Size of a cell in the picture.
const CELL: (f32, f32) = (8.4, 18.0);
const MARGIN: f32 = 12.0;
const BACKGROUND: &str = "#161922";
const TEXT: &str = "#d7dae0";

/// The screen as SVG, cell by cell in a monospaced font.
pub fn svg(screen: &Screen) -> String {
    let (rows, columns) = screen.size();
    let width = f32::from(columns) * CELL.0 + 2.0 * MARGIN;
    let height = f32::from(rows) * CELL.1 + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" font-size=\"14\" \
         font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" xml:space=\"preserve\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n"
    );
    for row in 0..rows {
        let mut column = 0;
        while column < columns {
            let Some(cell) = screen.cell(row, column) else { break };
            let look = look(cell);
            let start = column;
            let mut text = String::new();
            while let Some(next) = screen.cell(row, column).filter(|next| self::look(next) == look) {
                let contents = next.contents();
                text.push_str(if contents.is_empty() && !next.is_wide_continuation() { " " } else { contents });
                column += 1;
            }
            stretch(&mut svg, (start, column, row), cell, &text);
        }
    }
    svg + "</svg>\n"
}

/// What must be the same within one stretch of text.
fn look(cell: &Cell) -> (Color, bool, bool, bool, bool, bool) {
    (cell.fgcolor(), cell.bold(), cell.dim(), cell.italic(), cell.underline(), cell.inverse())
}

fn stretch(svg: &mut String, (from, to, row): (u16, u16, u16), cell: &Cell, text: &str) {
    if text.trim().is_empty() && !cell.inverse() {
        return;
    }
    let (x, y) = (MARGIN + f32::from(from) * CELL.0, MARGIN + f32::from(row) * CELL.1);
    let width = f32::from(to - from) * CELL.0;
    let mut fill = color(cell.fgcolor());
    if cell.inverse() {
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{}\" fill=\"{fill}\"/>",
            CELL.1
        );
        fill = BACKGROUND.into();
    }
    let mut style = String::new();
    for (given, attribute) in [
        (cell.bold(), " font-weight=\"bold\""),
        (cell.italic(), " font-style=\"italic\""),
        (cell.underline(), " text-decoration=\"underline\""),
        (cell.dim(), " opacity=\"0.7\""),
    ] {
        style.push_str(if given { attribute } else { "" });
    }
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace(' ', "\u{a0}");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{:.1}\" textLength=\"{width:.1}\" fill=\"{fill}\"{style}>{text}</text>",
        y + CELL.1 * 0.76
    );
}

fn color(color: Color) -> String {
    match color {
        Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
        _ => TEXT.into(),
    }
}
