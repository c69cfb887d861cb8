//! Draws rows of styled cells as SVG.

use crate::safe_text;
use std::fmt::Write;

/// Width of a cell in user units. Text is stretched to it, with any font of the viewer.
const CELL_WIDTH: f32 = 8.4;
/// Height of a cell.
const CELL_HEIGHT: f32 = 18.0;
/// The baseline, from the top of a cell.
const BASELINE: f32 = 13.5;
/// Underline and strikethrough, from the top of a cell.
const UNDERLINE: f32 = 15.5;
const STRIKETHROUGH: f32 = 9.0;
/// Space around the cells.
const PAD: f32 = 16.0;

/// A colour, red, green and blue.
pub type Rgb = (u8, u8, u8);

/// The style of a cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// `None` for the picture's default.
    pub fg: Option<Rgb>,
    /// `None` for the picture's default.
    pub bg: Option<Rgb>,
    pub bold: bool,
    pub dim: bool,
    pub italic: bool,
    pub underlined: bool,
    pub struck: bool,
    /// Swaps foreground and background.
    pub reversed: bool,
}

/// One cell of a row, holding a grapheme. A wide one is followed by a cell with an empty symbol.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    pub symbol: String,
    pub style: Style,
}

/// Rows of cells. Rows may differ in length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Text alternative for screen readers.
    pub title: String,
    pub fg: Rgb,
    pub bg: Rgb,
    pub rows: Vec<Vec<Cell>>,
}

impl Picture {
    /// The picture as an SVG document. Symbols are escaped.
    pub fn svg(&self) -> String {
        let columns = self
            .rows
            .iter()
            .map(Vec::len)
            .max()
            .unwrap_or_default()
            .max(1);
        let (width, height) = (
            columns as f32 * CELL_WIDTH + 2.0 * PAD,
            self.rows.len().max(1) as f32 * CELL_HEIGHT + 2.0 * PAD,
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
        let top = PAD + row as f32 * CELL_HEIGHT;
        let mut from = 0;
        for chunk in cells.chunk_by(same_background) {
            if let Some(colour) = self.colours(&chunk[0].style).1 {
                let (x, width) = (
                    PAD + from as f32 * CELL_WIDTH,
                    chunk.len() as f32 * CELL_WIDTH,
                );
                let colour = hex(colour);
                let _ = writeln!(
                    out,
                    "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{CELL_HEIGHT}\" fill=\"{colour}\"/>"
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

    /// Draws a run of cells in one style.
    fn text(&self, out: &mut String, top: f32, from: usize, cells: &[Cell]) {
        let style = &cells[0].style;
        let words: String = cells.iter().map(|cell| cell.symbol.as_str()).collect();
        let lined = style.underlined || style.struck;
        if words.trim().is_empty() && !lined {
            return;
        }
        let (x, y, width) = (
            PAD + from as f32 * CELL_WIDTH,
            top + BASELINE,
            cells.len() as f32 * CELL_WIDTH,
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

    /// The foreground, and the background if it differs from the picture's.
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

/// Whether two neighbours can be drawn as one text element. A wide character starts its own, to keep the grid aligned.
fn same_text(a: &Cell, b: &Cell) -> bool {
    let continues = b.symbol.is_empty();
    continues
        || (!a.symbol.is_empty()
            && a.style == b.style
            && a.symbol.is_ascii() == b.symbol.is_ascii())
}

/// Underline and strikethrough of `cells` cells from `x`, as a path: viewers disagree on CSS text decorations.
fn lines(style: &Style, x: f32, top: f32, cells: usize) -> String {
    let width = cells as f32 * CELL_WIDTH;
    let flat = |y: f32| format!("M{x:.1} {:.1}h{width:.1}", top + y);
    [(style.underlined, UNDERLINE), (style.struck, STRIKETHROUGH)]
        .into_iter()
        .filter(|(on, _)| *on)
        .map(|(_, y)| flat(y))
        .collect()
}

fn hex((red, green, blue): Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}
