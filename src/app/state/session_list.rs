//! The list of saved sessions.

use super::Editor;
use crate::transcript::Summary;

/// One session of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    pub summary: Summary,
    /// Where the search matched; empty if the title did, or nothing was searched for.
    pub excerpt: String,
    /// When it began, in local time.
    pub begun: String,
    /// Whether it is the session being recorded.
    pub own: bool,
}

/// The list on screen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SessionList {
    pub search: Editor,
    /// The newest first.
    pub listed: Vec<Listed>,
    pub selected: usize,
    /// Whether the search is still running.
    pub searching: bool,
    /// The title of the selected session while it is edited.
    pub title: Option<Editor>,
    /// Id of the session that stays selected when the list changes.
    pub(in crate::app) follow: Option<String>,
    /// Id of the current search; results of others are dropped.
    pub(in crate::app) search_id: u64,
}

impl SessionList {
    /// The selected session.
    pub fn chosen(&self) -> Option<&Listed> {
        self.listed.get(self.selected)
    }

    /// Moves the selection, stopping at the ends.
    pub(in crate::app) fn step(&mut self, by: isize) {
        let last = self.listed.len().saturating_sub(1);
        self.select(self.selected.saturating_add_signed(by).min(last));
    }

    pub(in crate::app) fn select(&mut self, index: usize) {
        self.selected = index;
        self.follow = self.chosen().map(|listed| listed.summary.id.clone());
    }

    /// Replaces the list. The selected session stays selected; if it is gone, the one at its index is. Before the user
    /// has selected one, it is the first that can be read.
    pub(in crate::app) fn fill(&mut self, listed: Vec<Listed>) {
        self.listed = listed;
        let place = |id: &String| {
            self.listed
                .iter()
                .position(|listed| listed.summary.id == *id)
        };
        let last = self.listed.len().saturating_sub(1);
        let readable = |listed: &Listed| listed.summary.fault.is_none();
        self.selected = match &self.follow {
            Some(id) => place(id).unwrap_or(self.selected).min(last),
            None => self.listed.iter().position(readable).unwrap_or(0),
        };
    }
}
