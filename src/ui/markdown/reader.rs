//! Blocks: paragraphs, headings, lists, quotes, code, tables, from the events of pulldown-cmark.

use super::super::theme::Role;
use super::super::wrap::{Place, wrap};
use super::inline::Inline;
use super::source::{Fragment, Paragraph, Span, Text};
use super::table::{self, Align};
use pulldown_cmark::{Alignment, Event, Options, Parser, Tag, TagEnd};
use std::ops::Range;

/// Min cells for text beside a bullet; below that, it starts at the left border.
const HANGING: u16 = 12;
/// Max nesting shown.
const MAX_DEPTH: usize = 12;

/// Reads a text as lines of the screen.
pub fn read(text: &Text, width: u16) -> Vec<Vec<Fragment>> {
    let mut reader = Reader {
        text,
        width,
        blocks: Vec::new(),
        inline: Inline::new(&text.shown),
        line_start: 0,
        pending: Vec::new(),
        leads: Vec::new(),
        code: false,
        table: None,
        end: 0,
    };
    for (event, range) in Parser::new_ext(&text.shown, Options::ENABLE_TABLES).into_offset_iter() {
        reader.event(event, range);
    }
    reader.blocks
}

struct Reader<'t> {
    text: &'t Text,
    width: u16,
    blocks: Vec<Vec<Fragment>>,
    /// The line being read.
    inline: Inline<'t>,
    /// Where it starts in the source.
    line_start: usize,
    /// Earlier lines of the same paragraph.
    pending: Vec<(Range<usize>, Vec<Span>)>,
    /// Quotes and list items around it, the outermost first.
    leads: Vec<Lead>,
    /// Within a code block.
    code: bool,
    table: Option<Table>,
    /// Where the source of the last block ended.
    end: usize,
}

/// What a quote or a list item puts before its lines.
struct Lead {
    /// Before its first line; taken once written.
    first: Option<Vec<Fragment>>,
    /// Before each further line.
    further: Fragment,
}

/// A table being read.
#[derive(Default)]
struct Table {
    source: Range<usize>,
    aligns: Vec<Align>,
    rows: Vec<Vec<Paragraph>>,
    /// Whether the row being read belongs to the table: a line without a bar ends it.
    in_row: bool,
    /// Where the last cell ended.
    cell_end: usize,
    /// Lines after the table that CommonMark parses as rows.
    behind: Vec<(Range<usize>, Paragraph)>,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(end) => self.end_of(end, range),
            Event::Text(text) if self.code => self.code_lines(&text, range),
            Event::Rule => {
                self.gap(range.start);
                let rule = Fragment::made("─".repeat(8), Role::Border);
                self.lines(Paragraph(vec![rule]));
                self.end = range.end;
            }
            Event::SoftBreak | Event::HardBreak => {
                self.end_line(range.start);
                self.line_start = range.end;
            }
            Event::Html(_) => {
                self.inline
                    .source(trim_end(&self.text.shown, range.clone()));
                self.end_line(range.end);
            }
            event => self.inline.event(event, range),
        }
    }

    fn start(&mut self, tag: Tag<'_>, range: Range<usize>) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock => {
                self.gap(range.start);
                self.line_start = range.start;
            }
            Tag::Heading { .. } => {
                self.gap(range.start);
                self.inline.open(Role::Heading);
            }
            Tag::BlockQuote(_) => {
                self.flush(range.start);
                self.gap(range.start);
                let bar = Fragment::made("┃ ", Role::Dim);
                self.lead(vec![bar.clone()], bar);
            }
            Tag::Item => {
                self.flush(range.start);
                self.gap(range.start);
                self.item(range);
            }
            Tag::List(_) => self.flush(range.start),
            Tag::CodeBlock(_) => {
                self.flush(range.start);
                self.gap(range.start);
                self.code = true;
            }
            Tag::Table(aligns) => {
                self.gap(range.start);
                self.table = Some(Table {
                    source: range,
                    aligns: aligns.into_iter().map(Align::from).collect(),
                    ..Table::default()
                });
            }
            Tag::TableHead => {
                self.inline.open(Role::Strong);
                self.row(true);
            }
            Tag::TableRow => {
                let barred = self.text.shown[range].contains('|');
                self.row(barred);
            }
            tag => self.inline.start(tag, range),
        }
    }

    fn end_of(&mut self, end: TagEnd, range: Range<usize>) {
        match end {
            TagEnd::Paragraph | TagEnd::HtmlBlock => self.flush(range.end),
            TagEnd::Heading(_) => {
                self.flush(range.end);
                self.inline.close();
            }
            TagEnd::BlockQuote(_) | TagEnd::Item => {
                self.flush(range.end);
                // An empty item still shows its bullet.
                if self.leads.last().is_some_and(|lead| lead.first.is_some()) {
                    self.lines(Paragraph::default());
                }
                self.leads.pop();
            }
            TagEnd::List(_) => {}
            TagEnd::CodeBlock => self.code = false,
            TagEnd::TableCell => {
                let cell = Paragraph(self.text.cut(&self.inline.take()));
                if let Some(table) = &mut self.table {
                    table.cell_end = range.end;
                    match table.rows.last_mut().filter(|_| table.in_row) {
                        Some(row) => row.push(cell),
                        None => table.behind.push((range.clone(), cell)),
                    }
                }
            }
            TagEnd::TableHead => self.inline.close(),
            TagEnd::TableRow => self.more_cells(range.clone()),
            TagEnd::Table => self.finish_table(),
            end => self.inline.end(end, range.clone()),
        }
        self.end = self.end.max(trim_end(&self.text.shown, range).end);
    }

    fn lead(&mut self, first: Vec<Fragment>, further: Fragment) {
        self.leads.push(Lead {
            first: Some(first),
            further,
        });
    }

    /// `- ` becomes a bullet; a number stays as written.
    fn item(&mut self, range: Range<usize>) {
        let source = &self.text.shown[range.clone()];
        let start = range.start + (source.len() - source.trim_start().len());
        let digits = self.text.shown[start..]
            .bytes()
            .take_while(u8::is_ascii_digit)
            .count();
        let marker = match digits {
            0 => self
                .text
                .cut(&[Span::Replaced(start..start + 1, "•".into(), Role::Accent)]),
            digits => self
                .text
                .cut(&[Span::Source(start..start + digits + 1, Role::Accent)]),
        };
        let space = Fragment::made(" ", Role::Text);
        let width = Paragraph(marker.clone()).width() + 1;
        let indent = Fragment::made(" ".repeat(usize::from(width)), Role::Text);
        self.lead([marker, vec![space]].concat(), indent);
    }

    /// Blank lines of the source between two blocks show as one.
    fn gap(&mut self, start: usize) {
        let between = self.text.shown.get(self.end..start).unwrap_or_default();
        let blank = between.matches('\n').count() > 1;
        if blank && !self.blocks.is_empty() {
            let quotes = self.leads.iter().filter(|lead| lead.first.is_none());
            let prefix = quotes.map(|lead| lead.further.clone()).collect();
            self.blocks.push(prefix);
            self.end = start;
        }
    }

    /// Ends the line being read.
    fn end_line(&mut self, end: usize) {
        let source = self.line_start.min(end)..end;
        self.pending.push((source, self.inline.take()));
    }

    /// Ends the paragraph being read, if there is one.
    fn flush(&mut self, end: usize) {
        if !self.inline.is_empty() {
            self.end_line(end);
        }
        let lines = std::mem::take(&mut self.pending);
        if lines.is_empty() {
            return;
        }
        // Small models forget the rule under a table's head: lines with bars at both ends form a table without it.
        let barred = lines.len() > 1
            && lines
                .iter()
                .all(|(source, _)| is_barred(&self.text.shown[source.clone()]));
        let laid_out = barred
            .then(|| {
                let row = |(_, spans): &(_, Vec<Span>)| {
                    let cells = split_at_bars(&self.text.shown, spans);
                    cells
                        .iter()
                        .map(|cell| Paragraph(self.text.cut(cell)))
                        .collect()
                };
                let rows = lines.iter().map(row).collect();
                table::lay_out(rows, Vec::new(), None, self.room())
            })
            .flatten();
        match laid_out {
            Some(rows) => rows.into_iter().for_each(|row| self.whole_line(row)),
            None => lines
                .iter()
                .for_each(|(_, spans)| self.lines(Paragraph(self.text.cut(spans)))),
        }
        self.end = self.end.max(trim_end(&self.text.shown, 0..end).end);
    }

    fn code_lines(&mut self, text: &str, range: Range<usize>) {
        let mut at = range.start;
        for line in text.split_inclusive('\n') {
            let shown = line.trim_end_matches('\n');
            let source = at..at + shown.len();
            let span = match self.text.shown.get(source.clone()) {
                Some(same) if same == shown => Span::Source(source, Role::Code),
                _ => Span::Replaced(at..at, shown.to_owned(), Role::Code),
            };
            let code = self.text.cut(&[Span::Made("  ", Role::Code), span]);
            self.lines(Paragraph(code));
            at += line.len();
        }
        self.end = range.end;
    }

    /// Writes a paragraph after its bullets and quote bars; further lines are aligned with its first word.
    fn lines(&mut self, body: Paragraph) {
        let depth = self.leads.len().min(MAX_DEPTH);
        let (mut first, mut further) = (Vec::new(), Vec::new());
        for lead in &mut self.leads[..depth] {
            first.extend(
                lead.first
                    .take()
                    .unwrap_or_else(|| vec![lead.further.clone()]),
            );
            further.push(lead.further.clone());
        }
        let used = Paragraph(first.clone()).width();
        if self.width < used.saturating_add(HANGING) || further.is_empty() {
            return self.blocks.push([first, body.0].concat());
        }
        let mut before = Some(first);
        wrap(&body, Place::default(), 1, self.width - used, &mut |line| {
            let mut block = before.take().unwrap_or_else(|| further.clone());
            block.extend(line.runs.into_iter().map(Fragment::from));
            self.blocks.push(block);
            true
        });
    }

    /// Starts a row of the table, or of the text after it.
    fn row(&mut self, barred: bool) {
        let Some(table) = &mut self.table else { return };
        table.in_row = barred && table.behind.is_empty();
        if table.in_row {
            table.rows.push(Vec::new());
        }
    }

    /// Restores cells beyond the head's columns, which CommonMark drops.
    fn more_cells(&mut self, row: Range<usize>) {
        let Some(table) = self.table.as_mut().filter(|table| table.in_row) else {
            return;
        };
        let rest = table.cell_end.min(row.end)..row.end;
        let spans = [Span::Source(rest, Role::Text)];
        let cells = split_at_bars(&self.text.shown, &spans);
        let cells = cells.iter().map(|cell| Paragraph(self.text.cut(cell)));
        if let Some(last) = table.rows.last_mut() {
            last.extend(cells.filter(|cell| cell.width() > 0));
        }
    }

    fn finish_table(&mut self) {
        let Some(table) = self.table.take() else {
            return;
        };
        let rule = Some(1).filter(|_| !table.rows.is_empty());
        match table::lay_out(table.rows, table.aligns, rule, self.room()) {
            Some(lines) => lines.into_iter().for_each(|line| self.whole_line(line)),
            None => {
                let last = table.behind.first().map(|(range, _)| range.start);
                let source = table.source.start..last.unwrap_or(table.source.end);
                self.as_written(source);
            }
        }
        for (_, line) in table
            .behind
            .into_iter()
            .filter(|(_, line)| line.width() > 0)
        {
            self.lines(line);
        }
    }

    /// Width left within the surrounding quotes and items.
    fn room(&self) -> u16 {
        let depth = self.leads.len().min(MAX_DEPTH);
        let used = self.leads[..depth]
            .iter()
            .map(|lead| u16::try_from(lead.further.text.chars().count()).unwrap_or(u16::MAX));
        self.width.saturating_sub(used.sum())
    }

    /// A line that is already laid out.
    fn whole_line(&mut self, line: Vec<Fragment>) {
        let depth = self.leads.len().min(MAX_DEPTH);
        let mut block = Vec::new();
        for lead in &mut self.leads[..depth] {
            let first = lead.first.take();
            block.extend(first.unwrap_or_else(|| vec![lead.further.clone()]));
        }
        block.extend(line);
        self.blocks.push(block);
    }

    /// Lines of the source, verbatim.
    fn as_written(&mut self, source: Range<usize>) {
        let mut at = source.start;
        for line in self.text.shown[source].split_inclusive('\n') {
            let range = at..at + line.trim_end_matches('\n').len();
            let line_of = self.text.cut(&[Span::Source(range, Role::Text)]);
            self.lines(Paragraph(line_of));
            at += line.len();
        }
    }
}

impl From<Alignment> for Align {
    fn from(alignment: Alignment) -> Self {
        match alignment {
            Alignment::Right => Self::Right,
            Alignment::Center => Self::Middle,
            Alignment::Left | Alignment::None => Self::Left,
        }
    }
}

/// A range without trailing white space.
fn trim_end(text: &str, range: Range<usize>) -> Range<usize> {
    range.start..range.start + text[range.clone()].trim_end().len()
}

/// Whether a line starts and ends with a bar.
fn is_barred(line: &str) -> bool {
    let line = line.trim();
    line.len() > 1 && line.starts_with('|') && line.ends_with('|')
}

/// The cells between the bars of a line, trimmed.
fn split_at_bars(text: &str, spans: &[Span]) -> Vec<Vec<Span>> {
    let mut cells = vec![Vec::new()];
    for span in spans {
        let Span::Source(range, role) = span else {
            cells
                .last_mut()
                .into_iter()
                .for_each(|cell| cell.push(span.clone()));
            continue;
        };
        let mut at = range.start;
        for (nth, stretch) in text[range.clone()].split('|').enumerate() {
            if nth > 0 {
                cells.push(Vec::new());
            }
            let start = at + (stretch.len() - stretch.trim_start().len());
            let trimmed = start..start + stretch.trim().len();
            if let (false, Some(cell)) = (trimmed.is_empty(), cells.last_mut()) {
                cell.push(Span::Source(trimmed, *role));
            }
            at += stretch.len() + 1;
        }
    }
    // Bars at the ends of a line surround cells; they do not separate them.
    if cells.first().is_some_and(Vec::is_empty) {
        cells.remove(0);
    }
    if cells.last().is_some_and(Vec::is_empty) {
        cells.pop();
    }
    cells
}
