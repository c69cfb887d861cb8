//! What was drawn where. Drawing returns it; mouse and scrolling are resolved against it.

use super::TokenRef;
use super::find::Found;
use crate::app::controls::Control;
use crate::app::input::Action;
use ratatui::layout::{Position, Rect};

/// The regions of one frame.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Regions {
    /// Later areas lie above earlier ones.
    areas: Vec<(Rect, Target)>,
    pub transcript: Viewport,
    /// Viewport of the text in the overlay.
    pub text: Viewport,
    /// Viewport of the token's details.
    pub details: Viewport,
    /// Matches of the search.
    pub found: Found,
}

/// Which part of a text the frame showed, in wrapped lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Viewport {
    pub first: usize,
    pub height: usize,
    pub total: usize,
}

impl Viewport {
    /// The first line after scrolling by `by` lines, clamped to the text.
    pub fn scrolled(self, by: isize) -> usize {
        self.first.saturating_add_signed(by).min(self.end())
    }

    /// The first line where the end of the text is shown.
    pub fn end(self) -> usize {
        self.total.saturating_sub(self.height)
    }
}

/// What a screen cell belongs to.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    Chat,
    Prompt,
    Controls,
    Rounds,
    Inspector,
    /// A row of the controls panel.
    Control(Control),
    /// The track of a slider: its left end is the min, its right end the max.
    Track(Control),
    Token(TokenRef),
    Round {
        turn: usize,
        round: usize,
    },
    /// The mark of a turn with several answers.
    Answers {
        turn: usize,
    },
    /// An entry of the list in the overlay.
    Entry(usize),
    /// A cell of the map of exit layers and speculations.
    Cell {
        exit_layer: usize,
        num_speculations: usize,
    },
    /// A cell of the lens: index of its row, and layer.
    LensCell {
        row: usize,
        layer: usize,
    },
    /// The track of the replay, from its first round to its last.
    Scrub,
    /// The rest of the overlay.
    Overlay,
    /// A key of the footer.
    Hint(Action),
}

impl Regions {
    pub fn add(&mut self, area: Rect, target: Target) {
        if !area.is_empty() {
            self.areas.push((area, target));
        }
    }

    /// The topmost target at a cell, and its area.
    pub fn at(&self, column: u16, row: u16) -> Option<(Rect, &Target)> {
        let position = Position::new(column, row);
        self.areas
            .iter()
            .rev()
            .find(|(area, _)| area.contains(position))
            .map(|(area, target)| (*area, target))
    }

    /// Rows of the screen down to the lowest target.
    pub fn height(&self) -> usize {
        self.areas
            .iter()
            .map(|(area, _)| usize::from(area.bottom()))
            .max()
            .unwrap_or(0)
    }

    /// Everything drawn, lowest first.
    pub fn areas(&self) -> &[(Rect, Target)] {
        &self.areas
    }
}
