//! Finding a text in the conversation: the matches, and the bar below the chat.

use super::Canvas;
use super::theme::Role;
use super::widgets::Cells;
use super::window::field;
use super::wrap::{Found, Piece, Place, Source};
use crate::app::state::find;
use ratatui::layout::{Position, Rect};

/// A match, from its first to its last character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    pub start: Place,
    pub last: Place,
}

/// Every match of `query` in the kept text. Ignores case; all white space is equal.
pub fn matches(source: &dyn Source, query: &str) -> Vec<Match> {
    let query: String = query.chars().flat_map(folded).collect();
    if query.is_empty() {
        return Vec::new();
    }
    let (mut text, mut places) = (String::new(), Vec::new());
    for group in 0..source.groups() {
        for piece in 0.. {
            let Some(found) = source.piece(group, piece) else {
                break;
            };
            if !is_text(found.role) {
                continue;
            }
            for (byte, c) in found.text.char_indices() {
                places.push((text.len(), Place { group, piece, byte }));
                text.extend(folded(c));
            }
        }
    }
    let place = |at: usize| {
        let after = places.partition_point(|(start, _)| *start <= at);
        places[after - 1].1
    };
    text.match_indices(query.as_str())
        .map(|(at, _)| Match {
            start: place(at),
            last: place(at + query.len() - 1),
        })
        .collect()
}

/// Whether a piece is part of the text, not an annotation.
fn is_text(role: Role) -> bool {
    !matches!(role, Role::Rejected | Role::Mark | Role::Dim)
}

fn folded(c: char) -> impl Iterator<Item = char> {
    let c = if c.is_whitespace() { ' ' } else { c };
    c.to_lowercase()
}

/// A text whose matches are highlighted.
pub struct Highlighted<'a> {
    pub source: &'a dyn Source,
    pub matches: &'a [Match],
    /// Index of the current match, if it is one of these.
    pub current: Option<usize>,
}

impl Source for Highlighted<'_> {
    fn settled(&self) -> usize {
        self.source.settled()
    }

    fn groups(&self) -> usize {
        self.source.groups()
    }

    fn piece(&self, group: usize, piece: usize) -> Option<Piece<'_>> {
        self.source.piece(group, piece)
    }

    fn found(&self, place: Place, role: Role) -> Found {
        let at = self.matches.partition_point(|found| found.last < place);
        match self.matches.get(at) {
            Some(found) if found.start <= place && is_text(role) => match self.current {
                Some(current) if current == at => Found::Current,
                _ => Found::Other,
            },
            _ => Found::No,
        }
    }
}

/// Draws the search bar with the number of matches; returns the cursor.
pub fn bar(canvas: &mut Canvas<'_>, row: Rect, found: find::Found) -> Option<Position> {
    let find = canvas.state.find.as_ref()?;
    let count = match (found.current, find.field.is_empty()) {
        (Some(current), _) => format!("{} of {}", current + 1, found.total),
        (None, false) => "not found".into(),
        (None, true) => String::new(),
    };
    let x = canvas.put_all(row, &[("find ", Role::Dim)]);
    let width = row.right().saturating_sub(x + count.as_str().cells() + 1);
    let (cursor, _) = field(canvas, Rect { x, width, ..row }, &find.field);
    canvas.put_right(row, &count, Role::Accent);
    Some(cursor)
}

#[cfg(test)]
mod tests {
    use super::super::wrap::Flow;
    use super::*;
    use crate::app::{Mode, Turn};
    use proptest::prelude::*;

    fn found(text: &str, query: &str) -> Vec<String> {
        let turn = Turn::new(0, Mode::Chat, text.into());
        let shown = crate::safe_text::in_cells(text).into_owned();
        matches(&Flow::prompt(&turn), query)
            .iter()
            .map(|found| {
                let last = shown[found.last.byte..].chars().next().unwrap();
                shown[found.start.byte..found.last.byte + last.len_utf8()].to_owned()
            })
            .collect()
    }

    #[test]
    fn case_and_white_space_make_no_difference() {
        let both = ["The sky", "THE\nsky"];
        assert_eq!(found("The sky, THE\nsky", "the sky"), both);
        assert_eq!(found("Straße ÄÖ", "äö"), ["ÄÖ"]);
        assert_eq!(found("aaaa", "aa"), ["aa", "aa"]);
        assert!(found("anything", "").is_empty());
    }

    proptest! {
        #[test]
        fn matches_are_what_was_searched_for(text in "[abA 漢İ\n]{0,40}", query in "[abA 漢İ]{1,3}") {
            let fold = |text: &str| text.chars().flat_map(folded).collect::<String>();
            for hit in found(&text, &query) {
                prop_assert!(fold(&hit).contains(&fold(&query)), "{hit:?}");
            }
            let expected = fold(&text).matches(&fold(&query)).count();
            prop_assert_eq!(found(&text, &query).len(), expected);
        }
    }
}
