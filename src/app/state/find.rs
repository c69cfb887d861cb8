//! Finding a text in the conversation.

use super::Editor;

/// The text to find, and the current match. Drawing finds the matches, since they depend on what is shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Find {
    pub field: Editor,
    /// Index of the current match; `None` for the first one in view.
    pub at: Option<usize>,
    /// The next frame scrolls to the current match.
    pub reveal: bool,
}

/// The matches found by a frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// Number of matches.
    pub total: usize,
    /// Index of the current one.
    pub current: Option<usize>,
}

impl Find {
    /// A search for `text`.
    pub(in crate::app) fn of(text: &str) -> Self {
        let mut find = Self::default();
        find.refine(|field| field.set(text));
        find
    }

    /// Changes the text. The first match in view becomes the current one.
    pub(in crate::app) fn refine(&mut self, change: impl FnOnce(&mut Editor)) {
        let before = self.field.text().to_owned();
        change(&mut self.field);
        if self.field.text() != before {
            (self.at, self.reveal) = (None, true);
        }
    }

    /// Moves to the match `by` positions further, wrapping around.
    pub(in crate::app) fn step(&mut self, found: Found, by: isize) {
        if let Some(current) = self.at.or(found.current).filter(|_| found.total > 0) {
            let next = (current as isize + by).rem_euclid(found.total as isize);
            (self.at, self.reveal) = (Some(next as usize), true);
        }
    }
}
