//! A list with a filter: command palette, models, presets.

use super::Editor;
use crate::app::input::Action;

/// A filtered list over the screen.
#[derive(Debug, Clone, PartialEq)]
pub struct Picker {
    pub title: &'static str,
    pub filter: Editor,
    /// Index among the matching entries.
    pub selected: usize,
    entries: Vec<Entry>,
    /// Files and folders shown instead of the entries while the filter is a path.
    paths: Option<Vec<Entry>>,
}

/// One choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub label: String,
    /// Key or remark, drawn to the right.
    pub note: String,
    pub action: Action,
    /// Help shown while the entry is selected.
    pub help: String,
    /// The path of a folder, which is opened rather than chosen.
    pub folder: Option<String>,
}

impl Entry {
    pub fn new(
        label: impl Into<String>,
        note: impl Into<String>,
        action: impl Into<Action>,
    ) -> Self {
        Self {
            label: label.into(),
            note: note.into(),
            action: action.into(),
            help: String::new(),
            folder: None,
        }
    }
}

impl Picker {
    pub fn new(title: &'static str, entries: Vec<Entry>) -> Self {
        Self {
            title,
            filter: Editor::default(),
            selected: 0,
            entries,
            paths: None,
        }
    }

    /// Entries that contain every word of the filter.
    pub fn matches(&self) -> Vec<&Entry> {
        if let Some(paths) = &self.paths {
            return paths.iter().collect();
        }
        let filter = self.filter.text().to_lowercase();
        let fits = |entry: &&Entry| {
            let text = format!("{} {}", entry.label, entry.note).to_lowercase();
            filter.split_whitespace().all(|word| text.contains(word))
        };
        self.entries.iter().filter(fits).collect()
    }

    /// Moves the selection, wrapping around at the ends.
    pub fn step(&mut self, by: isize) {
        let count = self.matches().len() as isize;
        self.selected = if count == 0 {
            0
        } else {
            (self.selected as isize + by).rem_euclid(count) as usize
        };
    }

    /// Moves the selection by several entries, stopping at the ends.
    pub fn page(&mut self, by: isize) {
        let last = self.matches().len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(by).min(last);
    }

    /// Changes the filter; the first match is selected.
    pub fn refine(&mut self, change: impl FnOnce(&mut Editor)) {
        let before = self.filter.text().to_owned();
        change(&mut self.filter);
        if self.filter.text() != before {
            self.selected = 0;
        }
    }

    /// Replaces the entries. The selected one stays selected.
    pub(in crate::app) fn renew(&mut self, entries: Vec<Entry>) {
        let selected = self.selected_entry().map(|entry| entry.label.clone());
        self.entries = entries;
        let same = |entry: &&Entry| Some(&entry.label) == selected.as_ref();
        let at = self.matches().iter().position(same);
        self.selected = at.unwrap_or(0);
    }

    /// The folder and the prefix of the name in the filter, if it is a path.
    pub(in crate::app) fn path(&self) -> Option<(&str, &str)> {
        let typed = self.filter.text();
        let is_path = typed.starts_with(['.', '/', '~']) && typed.contains('/');
        let at = typed.rfind('/').filter(|_| is_path)?;
        Some(typed.split_at(at + 1))
    }

    /// Shows files and folders instead of the entries, or the entries again.
    pub(in crate::app) fn show_paths(&mut self, paths: Option<Vec<Entry>>) {
        self.paths = paths;
    }

    pub fn selected_entry(&self) -> Option<&Entry> {
        self.matches().get(self.selected).copied()
    }

    /// The action of the selected entry.
    pub fn chosen(&self) -> Option<Action> {
        self.matches()
            .get(self.selected)
            .map(|entry| entry.action.clone())
    }
}
