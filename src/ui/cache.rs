//! Caches where the lines of each turn start.

use super::find::{Match, matches};
use super::markdown::Document;
use super::wrap::{Flow, Place, Source, wrap};
use crate::app::{App, Mode, Race, Turn};
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
    /// The race, the width, and whether marks are in ASCII.
    key: Option<(RunId, u16, bool)>,
    lanes: [LineStarts; 2],
}

impl RaceLines {
    /// Updates the lines of both texts. Wraps only what is new since the last frame.
    pub fn update(
        &mut self,
        race: &Race,
        width: u16,
        ascii: bool,
        arrow: &str,
    ) -> &[LineStarts; 2] {
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

/// Whatever wrapping depends on besides the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Key {
    pub width: u16,
    pub show_rejected: bool,
    pub ascii: bool,
}

/// The lines of one turn.
#[derive(Debug, Default)]
pub struct TurnLines {
    pub prompt: LineStarts,
    pub answer: LineStarts,
    /// The finished answer as Markdown, if shown so.
    pub markdown: Option<(Document, LineStarts)>,
    /// Matches of the last search in it.
    pub found: FoundIn,
}

/// Matches in a turn.
#[derive(Debug, Default)]
pub struct FoundIn {
    query: String,
    /// Number of groups searched, and whether in the Markdown.
    searched: Option<(usize, bool)>,
    /// Number of matches in the turns before.
    pub before: usize,
    pub prompt: Vec<Match>,
    pub answer: Vec<Match>,
}

impl FoundIn {
    /// Number of matches.
    pub fn len(&self) -> usize {
        self.prompt.len() + self.answer.len()
    }
}

/// Starts of the lines of settled text, and of the lines of pending drafts.
#[derive(Debug, Default)]
pub struct LineStarts {
    places: Vec<Place>,
    /// Groups wrapped so far.
    groups: usize,
    /// Lines after the last settled one, with the drafts.
    tail: Vec<Place>,
}

impl LineStarts {
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

    /// The line that contains a place.
    pub fn line_of(&self, place: Place) -> usize {
        let settled = self.places.partition_point(|start| *start <= place);
        let drafted = self.tail.partition_point(|start| *start <= place);
        (settled + drafted).saturating_sub(1)
    }

    /// Wraps new text, from the start of the last line.
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
    pub fn shown(&self) -> &LineStarts {
        self.markdown
            .as_ref()
            .map_or(&self.answer, |(_, starts)| starts)
    }
}

impl Cache {
    /// Updates the lines of every turn.
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
                    (Document::of(index, turn, key.width), LineStarts::default())
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

    /// Searches every turn. Searches only what is new since the last frame.
    pub fn find(&mut self, app: &App, query: &str, arrow: &str) {
        let mut before = 0;
        for (index, turn) in app.state().turns.iter().enumerate() {
            let Some(lines) = self.turns.get_mut(&turn.id) else {
                continue;
            };
            let flow = Flow::answer(index, turn, self.key.show_rejected, arrow);
            let (source, markdown): (&dyn Source, bool) = match &lines.markdown {
                Some((document, _)) => (document, true),
                None => (&flow, false),
            };
            let searched = Some((source.groups(), markdown));
            let drafts = !turn.pending.is_empty();
            if lines.found.query == query && lines.found.searched == searched && !drafts {
                lines.found.before = before;
                before += lines.found.len();
                continue;
            }
            // A completion starts with its prompt.
            let prompt = match turn.mode {
                Mode::Chat => matches(&Flow::prompt(turn), query),
                Mode::Completion => Vec::new(),
            };
            lines.found = FoundIn {
                query: query.to_owned(),
                searched,
                prompt,
                before,
                answer: matches(source, query),
            };
            before += lines.found.len();
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
