//! A text with a cursor and a history of sent texts.

use crate::app::input::action::EditAction;
use unicode_segmentation::UnicodeSegmentation;

/// A multi-line text editor.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Editor {
    text: String,
    /// Byte offset, always on a grapheme boundary.
    cursor: usize,
    history: Vec<String>,
    /// Index in the history of the text shown; `None` for new text.
    recalled: Option<usize>,
    /// The new text while an entry of the history is shown.
    draft: String,
}

impl Editor {
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn cursor(&self) -> usize {
        self.cursor
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub fn history(&self) -> &[String] {
        &self.history
    }

    /// Replaces the text; the cursor goes to its end.
    pub fn set(&mut self, text: impl Into<String>) {
        self.text = text.into();
        self.cursor = self.text.len();
    }

    /// Inserts `text` at the cursor. Line endings become line feeds.
    pub fn insert(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        self.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
    }

    /// Takes the text and adds it to the history.
    pub fn take(&mut self) -> String {
        let text = std::mem::take(&mut self.text);
        self.cursor = 0;
        self.recalled = None;
        self.remember(&text);
        text
    }

    /// Adds a text to the history.
    pub fn remember(&mut self, text: &str) {
        if self.history.last().is_none_or(|last| last != text) && !text.is_empty() {
            self.history.push(text.to_owned());
        }
    }

    /// Carries out an editing action.
    pub fn edit(&mut self, action: EditAction) {
        match action {
            EditAction::NewLine => self.insert("\n"),
            EditAction::LineUp => self.up(),
            EditAction::LineDown => self.down(),
            // Handled by the owner of the editor.
            EditAction::Accept | EditAction::ExternalEditor => {}
            EditAction::CharLeft => self.cursor = self.previous(),
            EditAction::CharRight => self.cursor = self.next(),
            EditAction::WordLeft => self.cursor = self.word_start(),
            EditAction::WordRight => self.cursor = self.word_end(),
            EditAction::LineStart => self.cursor = self.line_start(),
            EditAction::LineEnd => self.cursor = self.line_end(),
            EditAction::TextStart => self.cursor = 0,
            EditAction::TextEnd => self.cursor = self.text.len(),
            EditAction::DeleteBack => self.delete_to(self.previous()),
            EditAction::DeleteForward => self.delete_to(self.next()),
            EditAction::DeleteWord => self.delete_to(self.word_start()),
            EditAction::DeleteToLineStart => self.delete_to(self.line_start()),
            EditAction::DeleteToLineEnd => self.delete_to(self.line_end()),
        }
    }

    /// A line up; in the first line, the previous entry of the history.
    fn up(&mut self) {
        match self.line_start() {
            0 => self.recall_older(),
            start => self.cursor = self.same_column(start - 1),
        }
    }

    /// A line down; in the last line, the next entry of the history.
    fn down(&mut self) {
        match self.line_end() {
            end if end == self.text.len() => self.recall_newer(),
            end => self.cursor = self.same_column(end + 1),
        }
    }

    fn recall_older(&mut self) {
        let older = match self.recalled {
            None if self.history.is_empty() => return,
            None => {
                self.draft = self.text.clone();
                self.history.len() - 1
            }
            Some(at) => at.saturating_sub(1),
        };
        self.recalled = Some(older);
        self.set(self.history[older].clone());
    }

    fn recall_newer(&mut self) {
        let Some(at) = self.recalled else { return };
        let newer = self.history.get(at + 1).cloned();
        self.recalled = newer.is_some().then_some(at + 1);
        let text = newer.unwrap_or_else(|| std::mem::take(&mut self.draft));
        self.set(text);
    }

    fn delete_to(&mut self, other: usize) {
        let (from, to) = (self.cursor.min(other), self.cursor.max(other));
        self.text.replace_range(from..to, "");
        self.cursor = from;
    }

    fn previous(&self) -> usize {
        self.text[..self.cursor]
            .grapheme_indices(true)
            .next_back()
            .map_or(0, |(at, _)| at)
    }

    fn next(&self) -> usize {
        self.text[self.cursor..]
            .graphemes(true)
            .next()
            .map_or(self.cursor, |g| self.cursor + g.len())
    }

    fn word_start(&self) -> usize {
        self.text[..self.cursor]
            .unicode_word_indices()
            .next_back()
            .map_or(0, |(at, _)| at)
    }

    fn word_end(&self) -> usize {
        let rest = &self.text[self.cursor..];
        rest.unicode_word_indices()
            .next()
            .map_or(self.text.len(), |(at, word)| self.cursor + at + word.len())
    }

    fn line_start(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        self.text[self.cursor..]
            .find('\n')
            .map_or(self.text.len(), |at| self.cursor + at)
    }

    /// The offset in the line around `within` at the cursor's column, in graphemes.
    fn same_column(&self, within: usize) -> usize {
        let column = self.text[self.line_start()..self.cursor]
            .graphemes(true)
            .count();
        let start = self.text[..within].rfind('\n').map_or(0, |at| at + 1);
        let line = self.text[start..].split('\n').next().unwrap_or_default();
        line.grapheme_indices(true)
            .nth(column)
            .map_or(start + line.len(), |(at, _)| start + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_by_grapheme_and_word() {
        let mut editor = Editor::default();
        editor.insert("one two👩‍💻");
        editor.edit(EditAction::DeleteBack);
        assert_eq!(editor.text(), "one two");
        editor.edit(EditAction::DeleteWord);
        assert_eq!(editor.text(), "one ");
        editor.edit(EditAction::DeleteToLineStart);
        assert!(editor.is_empty());
    }

    #[test]
    fn moves_between_lines_and_through_the_history() {
        let mut editor = Editor::default();
        for text in ["first", "second"] {
            editor.insert(text);
            editor.take();
        }
        editor.insert("ab\ncde");
        editor.up();
        assert_eq!(editor.cursor(), 2);
        editor.up();
        assert_eq!(editor.text(), "second");
        editor.up();
        editor.up();
        assert_eq!(editor.text(), "first");
        editor.down();
        editor.down();
        assert_eq!(editor.text(), "ab\ncde");
    }

    #[test]
    fn line_ends_become_line_feeds() {
        let mut editor = Editor::default();
        editor.insert("a\r\nb\rc");
        assert_eq!(editor.text(), "a\nb\nc");
    }
}
