//! Wraps a turn into lines. Only the start of each line is cached: visible lines are wrapped again from there, and a
//! growing text from its last line. So the cost of a frame does not grow with the text.

use super::mark::mark;
use super::theme::Role;
use crate::app::state::turn::TokenRef;
use crate::app::{Mode, Turn};
use crate::engine::decode::Round;
use crate::safe_text::in_cells;
use ratatui::buffer::CellWidth;
use std::borrow::Cow;
use unicode_segmentation::UnicodeSegmentation;

/// A place in a flow: group, piece within it, byte within the piece.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub group: usize,
    pub piece: usize,
    pub byte: usize,
}

/// The text to wrap: a leading text (group 0), then each round, then the pending drafts.
#[derive(Clone, Copy)]
pub struct Flow<'a> {
    pub head: &'a str,
    pub turn: Option<(usize, &'a Turn)>,
    pub show_rejected: bool,
    pub arrow: &'a str,
}

/// A piece of text with one style.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece<'a> {
    pub text: Cow<'a, str>,
    pub role: Role,
    pub token: Option<TokenRef>,
    /// The role of the token's origin, if `role` is another.
    pub origin: Option<Role>,
}

/// A text to wrap: groups of pieces, the first [`Source::settled`] of which no longer change.
pub trait Source {
    fn settled(&self) -> usize;
    fn groups(&self) -> usize;
    /// The piece at a place; `None` past the end of its group.
    fn piece(&self, group: usize, piece: usize) -> Option<Piece<'_>>;
    /// Whether the character at a place is part of a match.
    fn found(&self, _place: Place, _role: Role) -> Found {
        Found::No
    }
}

/// Whether a character is part of a match.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Found {
    #[default]
    No,
    /// Part of the current match.
    Current,
    /// Part of another match.
    Other,
}

/// One line to draw.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Line {
    pub start: Place,
    pub runs: Vec<Run>,
}

/// Adjacent characters of a line that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub text: String,
    pub width: u16,
    pub role: Role,
    pub token: Option<TokenRef>,
    /// The role of the token's origin, if `role` is another.
    pub origin: Option<Role>,
    pub found: Found,
}

impl<'a> Flow<'a> {
    /// The question of a turn.
    pub fn prompt(turn: &'a Turn) -> Self {
        Self {
            head: &turn.prompt,
            turn: None,
            show_rejected: false,
            arrow: "",
        }
    }

    /// The answer of a turn; a completion starts with its prompt.
    pub fn answer(index: usize, turn: &'a Turn, show_rejected: bool, arrow: &'a str) -> Self {
        let head = if turn.mode == Mode::Completion {
            turn.prompt.as_str()
        } else {
            ""
        };
        Self {
            head,
            turn: Some((index, turn)),
            show_rejected,
            arrow,
        }
    }

    /// Piece 0 is the mark of changes before the round; the tokens follow.
    fn piece_of_round(
        &self,
        index: usize,
        turn: &Turn,
        at: usize,
        round: &'a Round,
        piece: usize,
    ) -> Option<Piece<'a>> {
        if piece == 0 {
            return Some(Piece {
                text: mark(turn, at, self.arrow).into(),
                role: Role::Mark,
                token: None,
                origin: None,
            });
        }
        let slot = piece - 1;
        let token = round.token(slot)?;
        let role = Role::of(token.outcome.origin());
        let (text, role) = match Shown::of(round, slot) {
            Shown::Kept => (in_cells(token.text), role),
            Shown::First if self.show_rejected => (in_cells(token.text), role),
            Shown::Folded(count) if self.show_rejected => (format!("+{count}").into(), Role::Dim),
            _ => (Cow::Borrowed(""), role),
        };
        Some(Piece {
            text,
            role,
            token: Some(TokenRef {
                turn: index,
                round: at,
                slot,
            }),
            origin: None,
        })
    }

    /// The token in whose piece a token is shown: rejected drafts after the first one share a piece.
    pub fn shown_at(turn: &Turn, token: TokenRef) -> TokenRef {
        let Some(round) = turn.rounds.get(token.round) else {
            return token;
        };
        match Shown::of(round, token.slot) {
            Shown::Behind(slot) => TokenRef { slot, ..token },
            _ => token,
        }
    }

    /// Where a token's piece starts.
    pub fn place(token: TokenRef) -> Place {
        Place {
            group: token.round + 1,
            piece: token.slot + 1,
            byte: 0,
        }
    }
}

/// How a token is shown within its round. Of several rejected drafts only the first is shown, with the number of the
/// others, so that the text stays readable.
enum Shown {
    Kept,
    /// The first rejected draft.
    First,
    /// Stands for this many rejected drafts.
    Folded(usize),
    /// Rejected and counted in the piece of another slot.
    Behind(usize),
}

impl Shown {
    fn of(round: &Round, slot: usize) -> Self {
        if round.is_kept(slot) {
            return Self::Kept;
        }
        let mut rejected = (0..round.slots()).filter(|other| !round.is_kept(*other));
        match (rejected.next(), rejected.next()) {
            (Some(first), _) if first == slot => Self::First,
            (_, Some(second)) if second == slot => Self::Folded(1 + rejected.count()),
            (_, Some(second)) => Self::Behind(second),
            _ => Self::First,
        }
    }
}

impl Source for Flow<'_> {
    fn settled(&self) -> usize {
        1 + self.turn.map_or(0, |(_, turn)| turn.rounds.len())
    }

    fn groups(&self) -> usize {
        self.settled() + usize::from(self.turn.is_some_and(|(_, turn)| !turn.pending.is_empty()))
    }

    fn piece(&self, group: usize, piece: usize) -> Option<Piece<'_>> {
        if group == 0 {
            return (piece == 0).then(|| Piece {
                text: in_cells(self.head),
                role: Role::Prompt,
                token: None,
                origin: None,
            });
        }
        let (index, turn) = self.turn?;
        match turn.rounds.get(group - 1) {
            Some(round) => self.piece_of_round(index, turn, group - 1, round, piece),
            None => {
                let pending = turn.pending.get(piece)?;
                Some(Piece {
                    text: in_cells(&pending.text),
                    role: Role::Draft,
                    token: None,
                    origin: None,
                })
            }
        }
    }
}

/// A character not yet on a line.
struct Glyph {
    at: Place,
    len: usize,
    width: u16,
    role: Role,
    token: Option<TokenRef>,
    origin: Option<Role>,
    found: Found,
}

/// Fills lines and passes finished ones to the sink.
struct Filler<'s> {
    flow: &'s dyn Source,
    width: u16,
    start: Place,
    text: String,
    glyphs: Vec<Glyph>,
    used: u16,
    /// Number of glyphs after which the line may be broken.
    break_after: usize,
    /// Takes a line; false to stop.
    sink: &'s mut dyn FnMut(Line) -> bool,
}

/// Breaks `flow` from the place `from` to the end of group `until`, passing each line to `sink` until it returns false.
/// Passes the last line even if it is empty.
pub fn wrap(
    flow: &dyn Source,
    from: Place,
    until: usize,
    width: u16,
    sink: &mut dyn FnMut(Line) -> bool,
) {
    let mut filler = Filler {
        flow,
        width: width.max(1),
        start: from,
        text: String::new(),
        glyphs: Vec::new(),
        used: 0,
        break_after: 0,
        sink,
    };
    let mut place = from;
    while place.group < until.min(flow.groups()) {
        let Some(piece) = flow.piece(place.group, place.piece) else {
            place = Place {
                group: place.group + 1,
                piece: 0,
                byte: 0,
            };
            continue;
        };
        if !filler.piece(place, &piece) {
            return;
        }
        place = Place {
            piece: place.piece + 1,
            byte: 0,
            ..place
        };
    }
    let last = filler.take(filler.glyphs.len());
    (filler.sink)(last);
}

impl Filler<'_> {
    /// Adds a piece from `place.byte` on. False once the sink stops.
    fn piece(&mut self, place: Place, piece: &Piece<'_>) -> bool {
        for (offset, grapheme) in piece.text[place.byte..].grapheme_indices(true) {
            let byte = place.byte + offset;
            let after = Place {
                byte: byte + grapheme.len(),
                ..place
            };
            let at = Place { byte, ..place };
            let go_on = match grapheme {
                "\n" => self.line_end(after),
                _ => self.grapheme(grapheme, at, after, piece),
            };
            if !go_on {
                return false;
            }
        }
        true
    }

    fn line_end(&mut self, after: Place) -> bool {
        let line = self.take(self.glyphs.len());
        self.start = after;
        (self.sink)(line)
    }

    fn grapheme(&mut self, grapheme: &str, at: Place, after: Place, piece: &Piece<'_>) -> bool {
        let width = grapheme.cell_width();
        if width == 0 {
            self.combine(grapheme);
            return true;
        }
        if grapheme == " " && self.used + width > self.width {
            return self.line_end(after);
        }
        let mut go_on = true;
        while go_on && self.used + width > self.width && !self.glyphs.is_empty() {
            go_on = self.overflow(at);
        }
        let (grapheme, width) = if width > self.width {
            ("?", 1)
        } else {
            (grapheme, width)
        };
        self.text.push_str(grapheme);
        self.used += width;
        self.glyphs.push(Glyph {
            at,
            len: grapheme.len(),
            width,
            role: piece.role,
            token: piece.token,
            origin: piece.origin,
            found: self.flow.found(at, piece.role),
        });
        if grapheme == " " || width == 2 {
            self.break_after = self.glyphs.len();
        }
        go_on
    }

    /// Joins a combining character to the one before it, if that is safe.
    fn combine(&mut self, grapheme: &str) {
        let joins = |c: &char| !matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}');
        let Some(last) = self.glyphs.last_mut() else {
            return;
        };
        let joined: String = grapheme.chars().filter(joins).collect();
        if last.len < 32 {
            last.len += joined.len();
            self.text.push_str(&joined);
        }
    }

    /// Ends the line at its last break, or here. The text after the break starts the next line.
    fn overflow(&mut self, at: Place) -> bool {
        let cut = if self.break_after > 0 {
            self.break_after
        } else {
            self.glyphs.len()
        };
        let next = self.glyphs.get(cut).map_or(at, |glyph| glyph.at);
        let line = self.take(cut);
        self.start = next;
        (self.sink)(line)
    }

    /// Takes the first `count` glyphs as a line; the others stay.
    fn take(&mut self, count: usize) -> Line {
        let rest = self.glyphs.split_off(count);
        let mut line = Line {
            start: self.start,
            runs: Vec::new(),
        };
        let mut byte = 0;
        for glyph in std::mem::replace(&mut self.glyphs, rest) {
            let text = &self.text[byte..byte + glyph.len];
            byte += glyph.len;
            match line.runs.last_mut() {
                Some(run)
                    if (run.token, run.role, run.found)
                        == (glyph.token, glyph.role, glyph.found) =>
                {
                    run.text.push_str(text);
                    run.width += glyph.width;
                }
                _ => line.runs.push(Run {
                    text: text.into(),
                    width: glyph.width,
                    role: glyph.role,
                    token: glyph.token,
                    origin: glyph.origin,
                    found: glyph.found,
                }),
            }
        }
        self.text.drain(..byte);
        self.used = self.glyphs.iter().map(|glyph| glyph.width).sum();
        self.break_after = 0;
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(text: &str, width: u16) -> Vec<String> {
        let turn = Turn::new(0, Mode::Chat, text.into());
        let mut lines = Vec::new();
        wrap(
            &Flow::prompt(&turn),
            Place::default(),
            1,
            width,
            &mut |line| {
                lines.push(line.runs.iter().map(|run| run.text.as_str()).collect());
                true
            },
        );
        lines
    }

    #[test]
    fn breaks_at_words_and_keeps_indents() {
        assert_eq!(lines("one two three", 8), ["one two ", "three"]);
        assert_eq!(lines("one two three", 7), ["one two", "three"]);
        assert_eq!(lines("a\n  b\n", 10), ["a", "  b", ""]);
        assert_eq!(lines("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(lines("", 3), [""]);
    }

    #[test]
    fn wide_and_combining_characters_keep_their_cells() {
        assert_eq!(lines("漢字漢字", 5), ["漢字", "漢字"]);
        assert_eq!(
            lines("e\u{301}e\u{301}e\u{301}", 2),
            ["e\u{301}e\u{301}", "e\u{301}"]
        );
        assert_eq!(lines("👩‍💻👩‍💻", 3), ["👩‍💻", "👩‍💻"]);
        assert_eq!(lines("漢", 1), ["?"]);
    }

    proptest! {
        /// Wrapping from the start of any line gives the same lines from there on, none too wide.
        #[test]
        fn every_line_can_be_taken_up(text in "[a-d 漢é👍\u{301}\n\u{1b}]{0,80}", width in 1u16..12) {
            let turn = Turn::new(0, Mode::Chat, text);
            let flow = Flow::prompt(&turn);
            let from = |place| {
                let mut lines = Vec::new();
                wrap(&flow, place, 1, width, &mut |line| { lines.push(line); true });
                lines
            };
            let all = from(Place::default());
            for (at, line) in all.iter().enumerate() {
                prop_assert!(line.runs.iter().map(|run| run.width).sum::<u16>() <= width);
                prop_assert_eq!(&from(line.start), &all[at..]);
            }
        }
    }
}
