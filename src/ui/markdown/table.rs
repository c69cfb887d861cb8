//! Tables: columns as wide as needed, or as there is room for.

use super::super::theme::Role;
use super::super::widgets::Cells;
use super::super::wrap::{Line, Place, wrap};
use super::source::{Fragment, Paragraph};

/// Min cells of a column.
const MIN: u16 = 3;
/// Between two columns.
const BETWEEN: &str = " │ ";

/// The alignment of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Middle,
    Right,
}

/// The screen lines of a table, with a rule after its first `head` rows. `None` if there is no room for its columns.
pub fn lay_out(
    mut rows: Vec<Vec<Paragraph>>,
    mut aligns: Vec<Align>,
    head: Option<usize>,
    width: u16,
) -> Option<Vec<Vec<Fragment>>> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
    rows.iter_mut()
        .for_each(|row| row.resize_with(columns, Paragraph::default));
    aligns.resize(columns, Align::Left);
    let widths = widths(rows.iter(), columns, width)?;
    let mut out: Vec<Vec<Fragment>> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        out.extend(lay_out_row(row, &widths, &aligns));
        if head == Some(at + 1) {
            out.push(rule_line(&widths));
        }
    }
    Some(out)
}

/// The width of each column: that of its widest cell or, if there is no room, less for the widest columns. `None` if
/// even [`MIN`] does not fit.
fn widths<'a>(
    rows: impl Iterator<Item = &'a Vec<Paragraph>>,
    columns: usize,
    width: u16,
) -> Option<Vec<u16>> {
    let mut widths = vec![MIN; columns];
    for row in rows {
        widths
            .iter_mut()
            .zip(row)
            .for_each(|(width, cell)| *width = cell.width().max(*width));
    }
    let between = BETWEEN
        .cells()
        .checked_mul(u16::try_from(columns - 1).ok()?)?;
    let room = width.checked_sub(between)?;
    let sum = |max: u16| {
        widths
            .iter()
            .map(|width| u32::from(*width.min(&max)))
            .sum::<u32>()
    };
    let max = (MIN..=room.max(MIN))
        .rev()
        .find(|max| sum(*max) <= u32::from(room))?;
    widths.iter_mut().for_each(|width| *width = max.min(*width));
    Some(widths)
}

/// The lines of a row: as many as its tallest cell.
fn lay_out_row(row: &[Paragraph], widths: &[u16], aligns: &[Align]) -> Vec<Vec<Fragment>> {
    let lines = |(cell, width): (&Paragraph, &u16)| {
        let mut lines: Vec<Line> = Vec::new();
        wrap(cell, Place::default(), 1, *width, &mut |line| {
            lines.push(line);
            true
        });
        lines
    };
    let cells: Vec<Vec<Line>> = row.iter().zip(widths).map(lines).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    let line = |at: usize| {
        let mut out = Vec::new();
        for (column, cell) in cells.iter().enumerate() {
            if column > 0 {
                out.push(Fragment::made(BETWEEN, Role::Border));
            }
            pad(cell.get(at), widths[column], aligns[column], &mut out);
        }
        out
    };
    (0..height).map(line).collect()
}

/// A line of a cell with the spaces around it.
fn pad(line: Option<&Line>, width: u16, align: Align, out: &mut Vec<Fragment>) {
    let runs = line.map(|line| line.runs.as_slice()).unwrap_or_default();
    let used: u16 = runs.iter().map(|run| run.width).sum();
    let free = width.saturating_sub(used);
    let before = match align {
        Align::Left => 0,
        Align::Middle => free / 2,
        Align::Right => free,
    };
    let spaces = |count: u16| Fragment::made(" ".repeat(usize::from(count)), Role::Text);
    out.push(spaces(before));
    out.extend(runs.iter().cloned().map(Fragment::from));
    out.push(spaces(free - before));
}

fn rule_line(widths: &[u16]) -> Vec<Fragment> {
    let stretches: Vec<String> = widths
        .iter()
        .map(|width| "─".repeat(usize::from(*width)))
        .collect();
    vec![Fragment::made(stretches.join("─┼─"), Role::Border)]
}
