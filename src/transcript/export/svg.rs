//! Pictures of a screen: rows of styled cells as SVG.

use crate::safe_text;
use std::fmt::Write;

/// Width of a cell in user units; text is stretched to it, whatever font the viewer has.
const WIDE: f32 = 8.4;
/// Height of a cell.
const HIGH: f32 = 18.0;
/// Where letters stand in a cell, from its top.
const BASE: f32 = 13.5;
/// Where lines under and through letters run.
const UNDER: f32 = 15.5;
const THROUGH: f32 = 9.0;
const PAD: f32 = 16.0;

/// A colour, red, green and blue.
pub type Rgb = (u8, u8, u8);

/// How a cell looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// None for the picture's own.
    pub fg: Option<Rgb>,
    /// None for the picture's own.
    pub bg: Option<Rgb>,
    pub bold: bool,
    pub dim: bool,
    pub italic: bool,
    pub underlined: bool,
    pub struck: bool,
    /// Foreground and background change places.
    pub reversed: bool,
}

/// One cell of a row: a character with what combines with it. A wide one is followed by a cell with an empty symbol.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    pub symbol: String,
    pub style: Style,
}

/// Rows of cells to be drawn. Rows may differ in length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// For readers who do not see it.
    pub title: String,
    pub fg: Rgb,
    pub bg: Rgb,
    pub rows: Vec<Vec<Cell>>,
}

impl Picture {
    /// The picture as an SVG document. Symbols are text, never markup.
    pub fn svg(&self) -> String {
        let columns = self
            .rows
            .iter()
            .map(Vec::len)
            .max()
            .unwrap_or_default()
            .max(1);
        let (width, height) = (
            columns as f32 * WIDE + 2.0 * PAD,
            self.rows.len().max(1) as f32 * HIGH + 2.0 * PAD,
        );
        let title = safe_text::xml(&self.title);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\" role=\"img\" aria-label=\"{title}\">\n<title>{title}</title>\n\
             <style>text{{font-family:ui-monospace,'SF Mono','Cascadia Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace;\
             font-size:14px;white-space:pre}}</style>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{}\"/>\n",
            hex(self.bg)
        );
        self.rows
            .iter()
            .enumerate()
            .for_each(|(row, cells)| self.row(&mut out, row, cells));
        out + "</svg>\n"
    }

    fn row(&self, out: &mut String, row: usize, cells: &[Cell]) {
        let top = PAD + row as f32 * HIGH;
        let mut from = 0;
        for chunk in cells.chunk_by(same_background) {
            if let Some(colour) = self.colours(&chunk[0].style).1 {
                let (x, width) = (PAD + from as f32 * WIDE, chunk.len() as f32 * WIDE);
                let colour = hex(colour);
                let _ = writeln!(
                    out,
                    "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{HIGH}\" fill=\"{colour}\"/>"
                );
            }
            from += chunk.len();
        }
        let mut from = 0;
        for chunk in cells.chunk_by(same_text) {
            self.text(out, top, from, chunk);
            from += chunk.len();
        }
    }

    /// A stretch of cells in one style.
    fn text(&self, out: &mut String, top: f32, from: usize, cells: &[Cell]) {
        let style = &cells[0].style;
        let words: String = cells.iter().map(|cell| cell.symbol.as_str()).collect();
        let lined = style.underlined || style.struck;
        if words.trim().is_empty() && !lined {
            return;
        }
        let (x, y, width) = (
            PAD + from as f32 * WIDE,
            top + BASE,
            cells.len() as f32 * WIDE,
        );
        let mut look = format!("fill=\"{}\"", hex(self.colours(style).0));
        for (on, attribute) in [
            (style.bold, " font-weight=\"bold\""),
            (style.italic, " font-style=\"italic\""),
            (style.dim, " opacity=\"0.6\""),
        ] {
            look.push_str(if on { attribute } else { "" });
        }
        if lined {
            let colour = hex(self.colours(style).0);
            let path = lines(style, x, top, cells.len());
            let _ = writeln!(
                out,
                "<path d=\"{path}\" stroke=\"{colour}\" fill=\"none\"/>"
            );
        }
        let words = safe_text::xml(&words);
        let _ = writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\" {look} \
             xml:space=\"preserve\">{words}</text>"
        );
    }

    /// Foreground, and background where it is not the picture's own.
    fn colours(&self, style: &Style) -> (Rgb, Option<Rgb>) {
        let fg = style.fg.unwrap_or(self.fg);
        match style.reversed {
            true => (style.bg.unwrap_or(self.bg), Some(fg)),
            false => (fg, style.bg.filter(|bg| *bg != self.bg)),
        }
    }
}

fn same_background(a: &Cell, b: &Cell) -> bool {
    (a.style.bg, a.style.fg, a.style.reversed) == (b.style.bg, b.style.fg, b.style.reversed)
}

/// Whether two neighbours can be drawn as one text: wide characters begin their own, so that the grid holds.
fn same_text(a: &Cell, b: &Cell) -> bool {
    let continues = b.symbol.is_empty();
    continues
        || (!a.symbol.is_empty()
            && a.style == b.style
            && a.symbol.is_ascii() == b.symbol.is_ascii())
}

/// The lines under and through `cells` cells from `x`, as a path: viewers do not agree on the text decorations of CSS.
fn lines(style: &Style, x: f32, top: f32, cells: usize) -> String {
    let width = cells as f32 * WIDE;
    let flat = |y: f32| format!("M{x:.1} {:.1}h{width:.1}", top + y);
    [(style.underlined, UNDER), (style.struck, THROUGH)]
        .into_iter()
        .filter(|(on, _)| *on)
        .map(|(_, y)| flat(y))
        .collect()
}

fn hex((red, green, blue): Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}
