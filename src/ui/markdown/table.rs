//! Tables: columns as wide as they need to be, or as there is room for.

use super::super::theme::Role;
use super::super::widgets::Cells;
use super::super::wrap::{Line, Place, wrap};
use super::inline::inline;
use super::source::{Fragment, Paragraph, Text};
use std::ops::Range;

/// Least cells of a column.
const LEAST: u16 = 3;
/// Between two columns.
const BETWEEN: &str = " │ ";

/// Where the text of a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Middle,
    Right,
}

/// The table that begins with `lines`, if they are one: its screen lines, and how many of `lines` it takes. Small models
/// forget the rule under the head; rows that a bar begins and ends are a table without it, too.
pub fn table(
    text: &Text,
    lines: &[Range<usize>],
    width: u16,
) -> Option<(Vec<Vec<Fragment>>, usize)> {
    let [head, second, ..] = lines else {
        return None;
    };
    let shown = |line: &Range<usize>| &text.shown[line.clone()];
    let ruled = aligns(shown(second))
        .filter(|aligns| cells(&text.shown, head.clone()).len() == aligns.len());
    let has_rule = ruled.is_some() && shown(head).contains('|');
    let barred = is_barred(shown(head)) && is_barred(shown(second));
    if !(has_rule || barred) {
        return None;
    }
    let first = if has_rule { 2 } else { 0 };
    let count = lines[first..]
        .iter()
        .take_while(|line| shown(line).contains('|'))
        .count();
    let row = |line: &Range<usize>, role| -> Vec<Paragraph> {
        cells(&text.shown, line.clone())
            .into_iter()
            .map(|range| cell(text, range, role))
            .collect()
    };
    let mut rows: Vec<Vec<Paragraph>> = has_rule
        .then(|| row(head, Role::Strong))
        .into_iter()
        .collect();
    rows.extend(
        lines[first..first + count]
            .iter()
            .map(|line| row(line, Role::Text)),
    );
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
    rows.iter_mut()
        .for_each(|row| row.resize_with(columns, Paragraph::default));
    let mut aligns = ruled.filter(|_| has_rule).unwrap_or_default();
    aligns.resize(columns, Align::Left);
    let widths = widths(rows.iter(), columns, width)?;
    let mut out: Vec<Vec<Fragment>> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        out.extend(lay_out(row, &widths, &aligns));
        if has_rule && at == 0 {
            out.push(rule_line(&widths));
        }
    }
    Some((out, first + count))
}

/// Whether a bar begins and ends a line.
fn is_barred(line: &str) -> bool {
    let line = line.trim();
    line.len() > 1 && line.starts_with('|') && line.ends_with('|')
}

fn cell(text: &Text, range: Range<usize>, role: Role) -> Paragraph {
    let mut spans = Vec::new();
    inline(&text.shown, range, role, &mut spans);
    Paragraph(text.cut(&spans))
}

/// The stretches between the bars of a line.
fn cells(text: &str, line: Range<usize>) -> Vec<Range<usize>> {
    let line = trimmed(text, line);
    let first = line.start + usize::from(text[line.clone()].starts_with('|'));
    let (mut start, mut cells) = (first, Vec::new());
    for (offset, _) in text[first..line.end].match_indices('|') {
        let at = first + offset;
        if !text[start..at].ends_with('\\') {
            cells.push(trimmed(text, start..at));
            start = at + 1;
        }
    }
    let rest = trimmed(text, start.min(line.end)..line.end);
    if !rest.is_empty() {
        cells.push(rest);
    }
    cells
}

fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let stretch = &text[range.clone()];
    let start = range.start + (stretch.len() - stretch.trim_start().len());
    start..start + stretch.trim().len()
}

/// `|:--|:-:|--:|` says where columns stand; none where a line is no such rule.
fn aligns(line: &str) -> Option<Vec<Align>> {
    let stretches = cells(line, 0..line.len());
    let align = |cell: Range<usize>| {
        let cell = &line[cell];
        let dashes = cell.trim_start_matches(':').trim_end_matches(':');
        let is_rule = !dashes.is_empty() && dashes.bytes().all(|byte| byte == b'-');
        is_rule.then(|| match (cell.starts_with(':'), cell.ends_with(':')) {
            (true, true) => Align::Middle,
            (false, true) => Align::Right,
            _ => Align::Left,
        })
    };
    let aligns: Option<Vec<Align>> = stretches.into_iter().map(align).collect();
    aligns.filter(|aligns| !aligns.is_empty() && (aligns.len() > 1 || line.contains('|')))
}

/// As wide as the widest cell; if that is too much, the widest columns give way. None where even the least is too much.
fn widths<'a>(
    rows: impl Iterator<Item = &'a Vec<Paragraph>>,
    columns: usize,
    width: u16,
) -> Option<Vec<u16>> {
    let mut widths = vec![LEAST; columns];
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
    let sum = |most: u16| {
        widths
            .iter()
            .map(|width| u32::from(*width.min(&most)))
            .sum::<u32>()
    };
    let most = (LEAST..=room.max(LEAST))
        .rev()
        .find(|most| sum(*most) <= u32::from(room))?;
    widths
        .iter_mut()
        .for_each(|width| *width = most.min(*width));
    Some(widths)
}

/// The lines of a row: as many as its highest cell has.
fn lay_out(row: &[Paragraph], widths: &[u16], aligns: &[Align]) -> Vec<Vec<Fragment>> {
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
