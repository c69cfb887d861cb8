//! The lens of an answer as a heat map in SVG: a column for each token, a row for each layer.

use crate::engine::decode::LensRow;
use std::fmt::Write;

/// Width and height of a cell in user units.
const CELL: (usize, usize) = (6, 5);
/// Space for the layer numbers.
const AXIS: usize = 24;

/// The map of `rows`, with `exit_layer` as a line and the earliest agreeing layers as a contour; empty for no rows. Its
/// parts have the classes `agrees`, `exit` and `contour`.
pub fn svg(rows: &[LensRow], exit_layer: usize) -> String {
    let layers = rows.first().map_or(0, |row| row.layers.len());
    if layers == 0 {
        return String::new();
    }
    let (width, height) = (AXIS + rows.len() * CELL.0, layers * CELL.1);
    let top = |layer: usize| layers.saturating_sub(layer) * CELL.1;
    let agreed = rows.iter().filter(|row| row.agrees(exit_layer)).count();
    let mut out = format!(
        "<svg class=\"lens\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>What every layer would have said: layer {exit_layer} agrees on {agreed} of {} tokens</title>\n",
        rows.len()
    );
    for layer in 1..=layers {
        let path = agreeing(rows, layer, top(layer));
        if !path.is_empty() {
            let _ = writeln!(out, "<path class=\"agrees\" d=\"{path}\"/>");
        }
    }
    let mut contour = String::new();
    for (at, row) in rows.iter().enumerate() {
        let Some(earliest) = row.earliest() else {
            continue;
        };
        let command = if contour.is_empty() { 'M' } else { 'L' };
        let x = AXIS + at * CELL.0;
        let _ = write!(contour, "{command}{x} {0}H{1}", top(earliest), x + CELL.0);
    }
    let _ = writeln!(out, "<path class=\"contour\" d=\"{contour}\"/>");
    let middle = top(exit_layer.clamp(1, layers)) as f32 + CELL.1 as f32 / 2.0;
    let _ = writeln!(
        out,
        "<line class=\"exit\" x1=\"{AXIS}\" x2=\"{width}\" y1=\"{middle}\" y2=\"{middle}\"/>"
    );
    for layer in [1, exit_layer, layers] {
        let y = top(layer.clamp(1, layers)) + CELL.1;
        let _ = writeln!(out, "<text x=\"{}\" y=\"{y}\">{layer}</text>", AXIS - 4);
    }
    out + "</svg>\n"
}

/// A rectangle for each range of tokens on which the layer agrees.
fn agreeing(rows: &[LensRow], layer: usize, top: usize) -> String {
    let mut path = String::new();
    let mut at = 0;
    while at < rows.len() {
        let length = rows[at..]
            .iter()
            .take_while(|row| row.agrees(layer))
            .count();
        if length > 0 {
            let _ = write!(
                path,
                "M{} {top}h{1}v{2}h-{1}z",
                AXIS + at * CELL.0,
                length * CELL.0,
                CELL.1
            );
        }
        at += length.max(1);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decode::LayerChoice;

    /// A token with id 1 and the predictions of three layers.
    fn row(position: usize, ids: [u32; 3]) -> LensRow {
        let choice = |(layer, id): (usize, u32)| LayerChoice {
            layer,
            id,
            text: String::new(),
            p: 0.5,
        };
        LensRow {
            position,
            id: 1,
            layers: (1..).zip(ids).map(choice).collect(),
        }
    }

    #[test]
    fn stretches_of_agreement_become_rectangles() {
        let rows = [row(5, [0, 1, 1]), row(6, [1, 1, 1]), row(7, [0, 0, 1])];
        let map = svg(&rows, 2);
        assert!(map.contains("layer 2 agrees on 2 of 3 tokens"), "{map}");
        // The top layer agrees on all, the middle one on the first two, the lowest on the second.
        for path in ["M24 0h18v5h-18z", "M24 5h12v5h-12z", "M30 10h6v5h-6z"] {
            assert!(map.contains(path), "{path}\n{map}");
        }
        assert_eq!(map.matches("class=\"agrees\"").count(), 3);
        assert!(map.contains("M24 5H30L30 10H36L36 0H42"), "{map}");
    }

    #[test]
    fn there_is_no_map_of_nothing() {
        assert_eq!(svg(&[], 1), "");
    }
}
