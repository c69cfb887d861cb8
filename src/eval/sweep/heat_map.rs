//! The speed-up over exit layer and speculations as a picture.

use super::{Cell, Merged, ResultRow};
use crate::safe_text::xml;
use std::fmt::Write;

/// Size of a tile and of the margins, in user units.
const WIDE: f64 = 64.0;
const HIGH: f64 = 28.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 64.0;
const BELOW: f64 = 60.0;

/// One cell of the map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tile {
    pub exit_layer: usize,
    pub num_speculations: usize,
    pub speedup: f64,
    pub best: bool,
}

/// The cells of one temperature, draft vocabulary and controller.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    /// Their common settings, as text.
    pub title: String,
    /// Rows and columns of the map.
    pub exit_layers: Vec<usize>,
    pub num_speculations: Vec<usize>,
    pub tiles: Vec<Tile>,
    /// Tokens per second of autoregressive decoding, for each baseline.
    pub plain: Vec<f64>,
}

impl HeatMap {
    /// The maps of a sweep, one for each combination of temperature, draft vocabulary and controller.
    pub fn all(merged: &Merged, model: &str) -> Vec<Self> {
        let shared = |cell: &Cell| {
            (
                cell.temperature.to_bits(),
                cell.draft_vocab,
                cell.controller.to_string(),
            )
        };
        let groups = merged
            .rows
            .chunk_by(|a, b| shared(&a.cell) == shared(&b.cell));
        groups
            .filter_map(|rows| Self::of(rows, merged, model))
            .collect()
    }

    fn of(rows: &[ResultRow], merged: &Merged, model: &str) -> Option<Self> {
        let first = rows.first()?.cell;
        let mut title = format!("{model} · T {}", first.temperature);
        if first.draft_vocab > 0 {
            title += &format!(" · draft vocabulary {}", first.draft_vocab);
        }
        if first.controller != Default::default() {
            title += &format!(" · {}", first.controller);
        }
        let axis = |of: fn(&Cell) -> usize| {
            let mut values: Vec<usize> = rows.iter().map(|row| of(&row.cell)).collect();
            values.sort_unstable();
            values.dedup();
            values
        };
        let speedup = |row: &ResultRow| row.speedup.map(|speedup| speedup.value);
        let best = rows
            .iter()
            .filter_map(speedup)
            .fold(f64::NEG_INFINITY, f64::max);
        let tiles = rows.iter().filter_map(|row| {
            let speedup = speedup(row)?;
            Some(Tile {
                exit_layer: row.cell.exit_layer,
                num_speculations: row.cell.num_speculations,
                speedup,
                best: speedup == best,
            })
        });
        let beside = |id: &str| rows.iter().any(|row| row.baseline == id);
        let plain = merged.baselines.iter().filter(|plain| beside(&plain.id));
        let plain: Vec<f64> = plain.filter_map(|plain| plain.tokens_per_second).collect();
        Some(Self {
            title,
            exit_layers: axis(|cell| cell.exit_layer),
            num_speculations: axis(|cell| cell.num_speculations),
            tiles: tiles.collect(),
            plain,
        })
    }

    pub fn best(&self) -> Option<&Tile> {
        self.tiles.iter().find(|tile| tile.best)
    }

    pub fn tile(&self, exit_layer: usize, num_speculations: usize) -> Option<&Tile> {
        self.tiles
            .iter()
            .find(|tile| (tile.exit_layer, tile.num_speculations) == (exit_layer, num_speculations))
    }

    /// A one-line caption.
    pub fn caption(&self) -> String {
        let slowest = self.plain.iter().copied().reduce(f64::min);
        let fastest = self.plain.iter().copied().reduce(f64::max);
        let plain = slowest
            .zip(fastest)
            .map(|(slowest, fastest)| match self.plain.len() {
                1 => format!("plain decoding {slowest:.1} tokens/s"),
                _ => format!("plain decoding {slowest:.1} to {fastest:.1} tokens/s"),
            });
        let best = self.best().map(|best| {
            format!(
                "best E {} K {} at {:.2}×",
                best.exit_layer, best.num_speculations, best.speedup
            )
        });
        let parts: Vec<String> = plain.into_iter().chain(best).collect();
        parts.join(" · ")
    }

    /// The map as an SVG document: exit layers to the right, speculations upwards, the line of 1.0× between the tiles
    /// that are faster than plain decoding and those that are not, a frame around the best.
    pub fn svg(&self) -> String {
        let (columns, rows) = (
            self.exit_layers.len() as f64,
            self.num_speculations.len() as f64,
        );
        let (width, height) = (
            (LEFT + columns * WIDE + 20.0).max(420.0),
            TOP + rows * HIGH + BELOW,
        );
        let (title, caption) = (xml(&self.title), xml(&self.caption()));
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-label=\"Speed-up over exit layer and speculations\">\n\
             <title>{title}: {caption}</title>\n\
             <style>text{{font-family:system-ui,sans-serif;font-size:12px;fill:#222}}.m{{text-anchor:middle}}\
             .e{{text-anchor:end}}.t{{font-size:14px;font-weight:bold}}</style>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text class=\"t\" x=\"12\" y=\"22\">{title}</text>\n<text x=\"12\" y=\"42\">{caption}</text>\n"
        );
        self.axes(&mut out);
        for tile in &self.tiles {
            self.draw_tile(&mut out, tile);
        }
        self.line_of_one(&mut out);
        if let Some((x, y)) = self
            .best()
            .and_then(|best| self.corner(best.exit_layer, best.num_speculations))
        {
            let _ = writeln!(
                out,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{WIDE}\" height=\"{HIGH}\" fill=\"none\" stroke=\"#000\" \
                 stroke-width=\"2\" stroke-dasharray=\"5 2\"/>"
            );
        }
        out + "</svg>\n"
    }

    /// The upper left corner of a tile.
    fn corner(&self, exit_layer: usize, num_speculations: usize) -> Option<(f64, f64)> {
        let column = self.exit_layers.iter().position(|&e| e == exit_layer)?;
        let row = self
            .num_speculations
            .iter()
            .rev()
            .position(|&k| k == num_speculations)?;
        Some((LEFT + column as f64 * WIDE, TOP + row as f64 * HIGH))
    }

    fn axes(&self, out: &mut String) {
        let bottom = TOP + self.num_speculations.len() as f64 * HIGH;
        for (column, exit_layer) in self.exit_layers.iter().enumerate() {
            let x = LEFT + (column as f64 + 0.5) * WIDE;
            let _ = writeln!(
                out,
                "<text class=\"m\" x=\"{x}\" y=\"{}\">{exit_layer}</text>",
                bottom + 16.0
            );
        }
        for (row, speculations) in self.num_speculations.iter().rev().enumerate() {
            let y = TOP + (row as f64 + 0.5) * HIGH + 4.0;
            let _ = writeln!(
                out,
                "<text class=\"e\" x=\"{}\" y=\"{y}\">{speculations}</text>",
                LEFT - 8.0
            );
        }
        let middle = LEFT + self.exit_layers.len() as f64 * WIDE / 2.0;
        let _ = writeln!(
            out,
            "<text class=\"m\" x=\"{middle}\" y=\"{}\">exit layer E</text>",
            bottom + 36.0
        );
        let _ = writeln!(
            out,
            "<text class=\"m\" transform=\"translate(20 {}) rotate(-90)\">speculations K</text>",
            (TOP + bottom) / 2.0
        );
    }

    fn draw_tile(&self, out: &mut String, tile: &Tile) {
        let Some((x, y)) = self.corner(tile.exit_layer, tile.num_speculations) else {
            return;
        };
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{WIDE}\" height=\"{HIGH}\" fill=\"{}\" stroke=\"#fff\"/>\n\
             <text class=\"m\" x=\"{}\" y=\"{}\">{:.2}×</text>",
            colour(tile.speedup),
            x + WIDE / 2.0,
            y + HIGH / 2.0 + 4.0,
            tile.speedup
        );
    }

    /// A thick line along each edge between a tile that is faster than plain decoding and one that is not.
    fn line_of_one(&self, out: &mut String) {
        let faster =
            |e: Option<&usize>, k: Option<&usize>| Some(self.tile(*e?, *k?)?.speedup >= 1.0);
        let mut line = |x1: f64, y1: f64, x2: f64, y2: f64| {
            let _ = writeln!(
                out,
                "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" stroke=\"#000\" stroke-width=\"3\"/>"
            );
        };
        for (column, e) in self.exit_layers.iter().enumerate() {
            for (row, k) in self.num_speculations.iter().enumerate() {
                let (Some(here), Some((x, y))) = (faster(Some(e), Some(k)), self.corner(*e, *k))
                else {
                    continue;
                };
                if faster(self.exit_layers.get(column + 1), Some(k))
                    .is_some_and(|right| right != here)
                {
                    line(x + WIDE, y, x + WIDE, y + HIGH);
                }
                if faster(Some(e), self.num_speculations.get(row + 1))
                    .is_some_and(|above| above != here)
                {
                    line(x, y, x + WIDE, y);
                }
            }
        }
    }
}

/// From orange (slower than plain decoding) through white to blue (faster), safe for colour-blind readers.
fn colour(speedup: f64) -> String {
    let share = speedup.ln().clamp(-0.7, 0.7) / 0.7;
    let (r, g, b) = match share < 0.0 {
        true => (230.0, 145.0, 56.0),
        false => (61.0, 133.0, 198.0),
    };
    let mix = |end: f64| (255.0 + (end - 255.0) * share.abs()).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mix(r), mix(g), mix(b))
}
