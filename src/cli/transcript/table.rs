//! The list of sessions as a table.

use crate::cli::output;
use crate::safe_text;
use crate::transcript::export::describe::percent;
use crate::transcript::{Summary, Zone, local_minutes, moment};
use unicode_width::UnicodeWidthStr;

/// Widths in cells: an id, a date without and with its zone, and the columns of figures including the gaps before them.
const ID: usize = 25;
const DATE: usize = 16;
const DATE_AND_ZONE: usize = 23;
const TURNS: usize = 7;
const FIGURES: usize = 18;
/// Max and min width of the title and of the model's name. A column narrower than its min is omitted.
const TITLE: (usize, usize) = (40, 12);
const MODEL: (usize, usize) = (24, 16);
const GAP: usize = 2;

/// Widths of the columns; 0 for omitted ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    zone: bool,
    title: usize,
    model: usize,
    turns: usize,
}

impl Table {
    /// A table that fits the terminal; for a file or a pipe, the full table.
    pub fn for_stdout() -> Self {
        let terminal = output::stdout()
            .is_terminal()
            .then(|| crossterm::terminal::size().ok())
            .flatten();
        terminal.map_or(Self::whole(), |(columns, _)| Self::within(columns.into()))
    }

    fn whole() -> Self {
        Self {
            zone: true,
            title: TITLE.0,
            model: MODEL.0,
            turns: TURNS,
        }
    }

    /// A table within `columns` cells. The zone is dropped first, then the model, then the turns.
    fn within(columns: usize) -> Self {
        let room = |zone: bool, model: usize, turns: usize| {
            let date = if zone { DATE_AND_ZONE } else { DATE };
            let gaps = if model > 0 { 3 * GAP } else { 2 * GAP };
            columns.saturating_sub(ID + date + model + turns + FIGURES + gaps)
        };
        let shapes = [
            (true, MODEL.0, TURNS),
            (false, MODEL.0, TURNS),
            (false, MODEL.1, TURNS),
            (false, 0, TURNS),
        ];
        let wide = shapes
            .into_iter()
            .find(|&(zone, model, turns)| room(zone, model, turns) >= 24);
        let (zone, model, turns) = wide.unwrap_or((false, 0, 0));
        Self {
            zone,
            model,
            turns,
            title: room(zone, model, turns).clamp(TITLE.1, TITLE.0),
        }
    }

    /// The header line.
    pub fn head(&self) -> String {
        self.line(
            "session",
            "begun",
            "title",
            "model",
            ["turns", "tokens", "accepted"],
        )
    }

    /// One line per session.
    pub fn rows(&self, sessions: &[Summary]) -> String {
        sessions.iter().map(|summary| self.row(summary)).collect()
    }

    fn row(&self, summary: &Summary) -> String {
        let id = safe_text::one_line(&summary.id);
        if let Some(fault) = summary.fault_beside_name() {
            return format!(
                "{}  cannot be read: {}\n",
                padded(&id, ID),
                safe_text::one_line(&fault)
            );
        }
        let totals = &summary.totals;
        let begun = match self.zone {
            true => moment(summary.created_ms, Zone::Local),
            false => local_minutes(summary.created_ms),
        };
        let figures = [
            totals.turns.to_string(),
            totals.tokens.to_string(),
            percent(summary.acceptance_rate()),
        ];
        self.line(
            &id,
            &begun,
            &totals.title,
            &totals.model,
            figures.each_ref().map(String::as_str),
        )
    }

    fn line(
        &self,
        id: &str,
        begun: &str,
        title: &str,
        model: &str,
        [turns, tokens, accepted]: [&str; 3],
    ) -> String {
        let date = if self.zone { DATE_AND_ZONE } else { DATE };
        let mut out = format!(
            "{}  {}  {}",
            padded(id, ID),
            fitted(begun, date),
            fitted(title, self.title)
        );
        if self.model > 0 {
            out += &format!("  {}", fitted(model, self.model));
        }
        if self.turns > 0 {
            out += &format!("  {turns:>5}");
        }
        out + &format!("  {tokens:>6}  {accepted:>8}\n")
    }
}

/// `words`, truncated or padded to `columns`.
fn fitted(words: &str, columns: usize) -> String {
    padded(&safe_text::fit(words, columns), columns)
}

/// `words`, padded to `columns`. Ids are never truncated, so that they can be copied.
fn padded(words: &str, columns: usize) -> String {
    let fill = " ".repeat(columns.saturating_sub(words.width()));
    format!("{words}{fill}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::tests::sample;

    fn summary(title: &str, model: &str) -> Summary {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("20261123-152034-123-0abcd.jsonl");
        crate::transcript::save(&sample(), &path, false).unwrap();
        let mut summary = Summary::of(&path);
        (summary.totals.title, summary.totals.model) = (title.into(), model.into());
        summary
    }

    #[test]
    fn lines_fit_the_terminal_whatever_the_words() {
        for words in [
            "",
            "short",
            "日本語の題名は幅が二倍あるので短くなければならないのです",
            "\x1b[2J\u{202e}",
            &"x".repeat(99),
        ] {
            let summary = summary(words, words);
            for columns in 80..200 {
                let table = Table::within(columns);
                let lines = table.head() + &table.rows(std::slice::from_ref(&summary));
                let widths: Vec<usize> = lines.lines().map(UnicodeWidthStr::width).collect();
                assert!(
                    widths[0] == widths[1] && widths[0] <= columns,
                    "{columns}: {widths:?}\n{lines}"
                );
            }
        }
    }

    #[test]
    fn a_wide_terminal_shows_all_that_a_pipe_gets() {
        assert_eq!(Table::within(300), Table::whole());
    }
}
