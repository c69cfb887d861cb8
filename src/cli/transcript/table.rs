//! The list of sessions as lines of a terminal.

use crate::transcript::export::words::percent;
use crate::transcript::{Summary, Zone, moment, text};
use unicode_width::UnicodeWidthStr;

/// Columns of a title and of a model's name.
const TITLE: usize = 40;
const MODEL: usize = 24;

/// Names of the columns.
pub fn head() -> String {
    let (id, title, model) = ("session", "title", "model");
    format!("{id:26}  {:23}  {title:TITLE$}  {model:MODEL$}  turns  tokens  accepted\n", "begun")
}

/// One line for every session, two for broken ones.
pub fn rows(sessions: &[Summary]) -> String {
    sessions.iter().map(row).collect()
}

fn row(summary: &Summary) -> String {
    let id = text::one_line(&summary.id);
    if let Some(fault) = &summary.fault {
        return format!("{id:26}  cannot be read: {}\n", text::one_line(fault));
    }
    let totals = &summary.totals;
    format!(
        "{id:26}  {}  {}  {}  {:5}  {:6}  {:>8}\n",
        moment(summary.created_ms, Zone::Local),
        fit(&totals.title, TITLE),
        fit(&totals.model, MODEL),
        totals.turns,
        totals.tokens,
        percent(summary.acceptance_rate())
    )
}

/// `words`, cut or filled up to `columns`.
fn fit(words: &str, columns: usize) -> String {
    let words = text::one_line(words);
    let mut limit = columns;
    let mut cut = text::shorten(&words, limit);
    while cut.width() > columns {
        limit -= 1;
        cut = text::shorten(&words, limit);
    }
    let fill = " ".repeat(columns - cut.width());
    format!("{cut}{fill}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_and_acting_characters_keep_the_columns() {
        for words in [
            "",
            "short",
            "日本語の題名は幅が二倍あるので短くなければならないのです",
            "\x1b[2J\u{202e}",
            &"x".repeat(99),
        ] {
            assert_eq!(fit(words, 40).width(), 40, "{words:?}");
        }
    }
}
