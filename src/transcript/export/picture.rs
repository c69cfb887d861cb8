//! A session as a picture, laid out as on a terminal.

use super::describe;
use super::svg::{Cell, Picture, Rgb, Style};
use crate::engine::decode::Origin;
use crate::safe_text;
use crate::transcript::origin_style::{GENERATED, OriginStyle, style};
use crate::transcript::{Session, Zone};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

const COLUMNS: usize = 100;
const INK: Rgb = (0xeb, 0xe7, 0xe0);
const PAGE: Rgb = (0x16, 0x15, 0x13);

/// `session` as an SVG document.
pub fn svg(session: &Session) -> String {
    picture(session).svg()
}

/// `session` as cells.
pub fn picture(session: &Session) -> Picture {
    let mut page = Page::default();
    let bold = Style {
        bold: true,
        ..Style::default()
    };
    let dim = Style {
        dim: true,
        ..Style::default()
    };
    page.line(&session.display_title(), bold);
    page.line(&describe::facts(session, Zone::Utc).join(" · "), dim);
    if !session.system().is_empty() {
        page.line("", dim);
        page.line("System prompt", bold);
        page.write(session.system(), Style::default());
        page.end();
    }
    for turn in &session.turns {
        page.line("", dim);
        page.line(&describe::speaker(session, turn), bold);
        page.write(&turn.text, cell_style(style(Origin::Prompt)));
        for (_, token) in turn.runs.iter().flat_map(|run| run.shown()) {
            page.write(token.text, cell_style(style(token.origin)));
        }
        page.end();
        turn.runs
            .iter()
            .for_each(|run| page.line(&describe::run(session, turn, run), dim));
    }
    page.line("", dim);
    for origin in GENERATED.map(style) {
        page.write(origin.name, cell_style(origin));
        page.write("  ", Style::default());
    }
    page.end();
    Picture {
        title: session.display_title(),
        fg: INK,
        bg: PAGE,
        rows: page.rows,
    }
}

fn cell_style(of: &OriginStyle) -> Style {
    let lettering = of.lettering;
    let (text, ground) = of.text_colours();
    Style {
        fg: text.map(|colours| rgb(colours.dark.rgb)),
        bg: ground.map(|colours| rgb(colours.dark.rgb)),
        bold: lettering.bold,
        dim: lettering.dim,
        italic: lettering.italic,
        underlined: lettering.underlined,
        struck: lettering.struck,
        ..Style::default()
    }
}

fn rgb(colour: u32) -> Rgb {
    let [_, red, green, blue] = colour.to_be_bytes();
    (red, green, blue)
}

/// Rows of cells under construction.
#[derive(Default)]
struct Page {
    rows: Vec<Vec<Cell>>,
    row: Vec<Cell>,
}

impl Page {
    fn line(&mut self, words: &str, style: Style) {
        self.write(&safe_text::one_line(words), style);
        self.end();
    }

    fn end(&mut self) {
        self.rows.push(std::mem::take(&mut self.row));
    }

    /// Appends text. Rows wrap after the last space that fits.
    fn write(&mut self, words: &str, style: Style) {
        for symbol in safe_text::in_cells(words).graphemes(true) {
            if symbol == "\n" {
                self.end();
                continue;
            }
            let width = symbol.width().clamp(1, 2);
            if self.row.len() + width > COLUMNS {
                self.wrap();
            }
            self.row.push(Cell {
                symbol: symbol.into(),
                style,
            });
            self.row.extend((1..width).map(|_| Cell {
                symbol: String::new(),
                style,
            }));
        }
    }

    fn wrap(&mut self) {
        let space = self
            .row
            .iter()
            .rposition(|cell| cell.symbol == " ")
            .filter(|at| *at > COLUMNS / 2);
        let rest = space.map_or_else(Vec::new, |at| self.row.split_off(at + 1));
        self.end();
        self.row = rest;
    }
}
