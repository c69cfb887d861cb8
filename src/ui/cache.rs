//! Where the lines of each turn start, kept from frame to frame.

use super::markdown::Document;
use super::wrap::{Flow, Place, Source, wrap};
use crate::app::{App, Race, Turn};
use crate::engine::worker::RunId;
use std::collections::HashMap;

/// Starts of wrapped lines, by turn.
#[derive(Debug, Default)]
pub struct Cache {
    turns: HashMap<u64, TurnLines>,
    key: Key,
}

/// Starts of the lines of a race's two texts.
#[derive(Debug, Default)]
pub struct RaceLines {
    /// Whose texts they are, the width, and whether marks are in ASCII.
    key: Option<(RunId, u16, bool)>,
    lanes: [Starts; 2],
}

impl RaceLines {
    /// Bring the lines of both texts up to date: only what is new since the last frame is wrapped.
    pub fn update(&mut self, race: &Race, width: u16, ascii: bool, arrow: &str) -> &[Starts; 2] {
        let key = Some((race.run, width, ascii));
        if self.key != key {
            *self = Self {
                key,
                ..Self::default()
            };
        }
        for (starts, turn) in self.lanes.iter_mut().zip(&race.lanes) {
            starts.grow(&Flow::answer(0, turn, false, arrow), width);
        }
        &self.lanes
    }
}

/// What the wrapping depends on besides the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Key {
    pub width: u16,
    pub show_rejected: bool,
    pub ascii: bool,
}

/// The lines of one turn.
#[derive(Debug, Default)]
pub struct TurnLines {
    pub prompt: Starts,
    pub answer: Starts,
    /// The finished answer as Markdown, once that was asked for.
    pub markdown: Option<(Document, Starts)>,
}

/// Starts of lines as far as the text is settled, and the lines that what is being drafted adds.
#[derive(Debug, Default)]
pub struct Starts {
    places: Vec<Place>,
    /// Groups wrapped so far.
    groups: usize,
    /// Lines from the last settled one on, with the draft.
    tail: Vec<Place>,
}

impl Starts {
    /// Number of lines.
    pub fn len(&self) -> usize {
        self.places.len() + self.tail.len()
    }

    /// Where a line starts.
    pub fn get(&self, line: usize) -> Option<Place> {
        self.places
            .get(line)
            .or_else(|| self.tail.get(line.checked_sub(self.places.len())?))
            .copied()
    }

    /// The line that holds a place.
    pub fn line_of(&self, place: Place) -> usize {
        let settled = self.places.partition_point(|start| *start <= place);
        let drafted = self.tail.partition_point(|start| *start <= place);
        (settled + drafted).saturating_sub(1)
    }

    /// Take up the text where it was left: at the start of its last line.
    fn grow(&mut self, flow: &dyn Source, width: u16) {
        let settled = flow.settled();
        if settled < self.groups {
            *self = Self::default();
        }
        if settled > self.groups || self.places.is_empty() {
            let from = self.places.pop().unwrap_or_default();
            wrap(flow, from, settled, width, &mut |line| {
                self.places.push(line.start);
                true
            });
            self.groups = settled;
        }
        self.tail.clear();
        if flow.groups() > settled {
            let from = self.places.last().copied().unwrap_or_default();
            let mut tail = Vec::new();
            wrap(flow, from, settled + 1, width, &mut |line| {
                tail.push(line.start);
                true
            });
            self.tail = tail.split_off(1);
        }
    }
}

impl TurnLines {
    /// The lines of the answer as it is shown.
    pub fn shown(&self) -> &Starts {
        self.markdown
            .as_ref()
            .map_or(&self.answer, |(_, starts)| starts)
    }
}

impl Cache {
    /// Bring the lines of every turn up to date.
    pub fn update(&mut self, app: &App, key: Key, arrow: &str) {
        let state = app.state();
        if self.key != key {
            self.key = key;
            self.turns.clear();
        }
        if self.turns.len() > state.turns.len() {
            self.turns
                .retain(|id, _| state.turns.iter().any(|turn| turn.id == *id));
        }
        for (index, turn) in state.turns.iter().enumerate() {
            let lines = self.turns.entry(turn.id).or_default();
            lines.prompt.grow(&Flow::prompt(turn), key.width);
            if app.shows_markdown(turn) {
                let (document, starts) = lines.markdown.get_or_insert_with(|| {
                    (Document::of(index, turn, key.width), Starts::default())
                });
                starts.grow(document, key.width);
            } else {
                lines.markdown = None;
                lines.answer.grow(
                    &Flow::answer(index, turn, key.show_rejected, arrow),
                    key.width,
                );
            }
        }
    }

    /// Cells of a wrapped line.
    pub fn width(&self) -> u16 {
        self.key.width
    }

    /// The lines of a turn, after [`Self::update`].
    pub fn turn(&self, turn: &Turn) -> Option<&TurnLines> {
        self.turns.get(&turn.id)
    }
}
