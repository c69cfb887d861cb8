//! A list to choose from by typing: command palette, models, presets.

use super::Editor;
use crate::app::input::Action;

/// A filtered list over the screen.
#[derive(Debug, Clone, PartialEq)]
pub struct Picker {
    pub title: &'static str,
    pub filter: Editor,
    /// Index among the entries that match.
    pub selected: usize,
    entries: Vec<Entry>,
}

/// One choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub label: String,
    /// Key or remark, drawn to the right.
    pub note: String,
    pub action: Action,
}

impl Picker {
    pub fn new(title: &'static str, entries: Vec<Entry>) -> Self {
        Self {
            title,
            filter: Editor::default(),
            selected: 0,
            entries,
        }
    }

    /// Entries that hold every word of the filter.
    pub fn matches(&self) -> Vec<&Entry> {
        let filter = self.filter.text().to_lowercase();
        let fits = |entry: &&Entry| {
            let text = format!("{} {}", entry.label, entry.note).to_lowercase();
            filter.split_whitespace().all(|word| text.contains(word))
        };
        self.entries.iter().filter(fits).collect()
    }

    /// Move the selection, wrapping around at the ends.
    pub fn step(&mut self, by: isize) {
        let count = self.matches().len() as isize;
        self.selected = if count == 0 {
            0
        } else {
            (self.selected as isize + by).rem_euclid(count) as usize
        };
    }

    /// Move the selection by more than one; it stops at the ends.
    pub fn page(&mut self, by: isize) {
        let last = self.matches().len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(by).min(last);
    }

    /// Change the filter; the first match is selected.
    pub fn refine(&mut self, change: impl FnOnce(&mut Editor)) {
        let before = self.filter.text().to_owned();
        change(&mut self.filter);
        if self.filter.text() != before {
            self.selected = 0;
        }
    }

    /// The action of the selected entry.
    pub fn chosen(&self) -> Option<Action> {
        self.matches()
            .get(self.selected)
            .map(|entry| entry.action.clone())
    }
}
